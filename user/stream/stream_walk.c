// SPDX-License-Identifier: GPL-2.0-only
/*
 * The description is a tree, and a malicious file could make that tree very deep or very
 * wide. The walk therefore uses a stack of fixed size instead of recursion, and a limit
 * on its steps in proportion to the bytes that it walks.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "stream/stream_walk.h"

#define MAX_LEVELS 24
#define MAX_STEPS_FREE 100000

#define MISPLACED "the device's data is damaged, or some of it is lost or duplicated"

/**
 * struct walk_level - a level of the walk: a struct, a subsection or the device itself
 * @name: its name, for faults
 * @fields: its fields
 * @subs: its subsections
 * @field: index of the next field to walk
 * @sub: index of the next subsection to walk
 * @left: for an array of structs: remaining elements, including the current one
 * @start: offset of the current element in the file
 * @size: size of an element according to the description, bytes; -1 if not given
 */
struct walk_level {
	const char *name;
	struct json_object *fields, *subs;
	size_t field, sub;
	uint64_t left;
	uint64_t start;
	int64_t size;
};

struct walk {
	struct source *src;
	struct walk_level stack[MAX_LEVELS];
	size_t depth;
	uint64_t start;
	uint64_t steps;
};

static int walk_bad(struct walk *w, const char *expected, const char *found)
{
	return damaged(w->src, w->src->pos, .expected = fmt("a description with %s", expected),
		       .found = found, .meaning = "the description is damaged");
}

static const char *quoted_name(const char *s)
{
	return s ? fmt("'%s'", source_printable(s, strlen(s))) : "none";
}

/* The members that a description may have, and their JSON types. */
static const struct { const char *key; enum json_type type; } members[] = {
	{ "name", json_type_string }, { "type", json_type_string }, { "size", json_type_int },
	{ "array_len", json_type_int }, { "index", json_type_int },
	{ "struct", json_type_object }, { "vmsd_name", json_type_string },
	{ "version", json_type_int }, { "fields", json_type_array },
	{ "subsections", json_type_array }, { "instance_id", json_type_int },
};

static bool member_ok(const char *key, struct json_object *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (streq(members[i].key, key))
			return json_object_is_type(value, members[i].type) &&
			       (members[i].type != json_type_int ||
				json_object_get_int64(value) >= 0);
	return false;
}

static int walk_check_members(struct walk *w, struct json_object *obj)
{
	if (!json_object_is_type(obj, json_type_object))
		return walk_bad(w, "an object", json_type_to_name(json_object_get_type(obj)));
	json_object_object_foreach(obj, key, value)
		if (!member_ok(key, value))
			return walk_bad(w, "members that QEMU writes", quoted_name(key));
	return 0;
}

/*
 * QEMU describes an array whose elements differ as one field for each element. These
 * fields have the indexes 0, 1, ..., except the last one, which has none. A field that
 * is missing in the description is thereby detected.
 */
static int walk_check_index(struct walk *w, struct json_object *field, struct json_object *before)
{
	int64_t last = before ? jint(before, "index", -1) : -1, index = jint(field, "index", -1);
	bool follows = last >= 0 && streq(jstr(field, "name"), jstr(before, "name"));

	if (last >= 0 ? follows && (index < 0 || index == last + 1) : index <= 0)
		return 0;
	return walk_bad(w, "all elements of an array", fmt("%s out of its order",
						       quoted_name(jstr(field, "name"))));
}

static int walk_check_field(struct walk *w, struct json_object *field, struct json_object *before)
{
	int r = walk_check_members(w, field);

	if (r < 0)
		return r;
	if (!jstr(field, "name") || !jstr(field, "type") || !jget(field, "size") ||
	    (jget(field, "array_len") && jget(field, "index")) ||
	    jint(field, "array_len", 2) < 2)
		return walk_bad(w, "a name, a type and a size for each field",
				quoted_name(jstr(field, "name")));
	return walk_check_index(w, field, before);
}

static int walk_check_fields(struct walk *w, struct json_object *fields)
{
	size_t n = json_object_array_length(fields);
	struct json_object *field = NULL;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct json_object *before = field;

		field = json_object_array_get_idx(fields, i);
		r = walk_check_field(w, field, before);
	}
	if (r == 0 && field && jget(field, "index"))
		return walk_bad(w, "all elements of an array", "its end missing");
	return r;
}

static int walk_push(struct walk *w, const char *name, struct json_object *vmsd, uint64_t times,
		     int64_t size)
{
	struct json_object *fields = jget(vmsd, "fields");
	int r = walk_check_members(w, vmsd);

	if (r < 0)
		return r;
	if (!fields)
		return walk_bad(w, "fields", quoted_name(name));
	if (w->depth == MAX_LEVELS)
		return walk_bad(w, fmt("at most %d levels", MAX_LEVELS), "more");
	r = walk_check_fields(w, fields);
	if (r < 0)
		return r;
	w->stack[w->depth++] = (struct walk_level){
		.name = name, .fields = fields, .subs = jget(vmsd, "subsections"),
		.left = times, .start = w->src->pos, .size = size,
	};
	return 0;
}

/**
 * struct field_type - a type of field
 * @type: QEMU's name of the type
 * @size: size of one element, bytes; 0 if any size is valid
 * @legal: description of the valid bytes; NULL if every byte is valid
 * @low, @high: range of the valid bytes if @legal is set
 * @list: a list: each element follows a byte 1, and a byte 0 ends the list. In the
 *	description the elements overwrite each other, so they cannot be walked
 *
 * Types that are not in the table, which single devices define, may have any size and
 * content.
 */
struct field_type {
	const char *type;
	unsigned int size;
	const char *legal;
	uint8_t low, high;
	bool list;
};

static const struct field_type field_types[] = {
	{ .type = "bool", .size = 1, .legal = "0 or 1", .low = 0, .high = 1 },
	{ .type = "nullptr", .size = 1, .legal = "the mark of a null pointer", .low = '0', .high = '0' },
	{ .type = "unused_buffer", .legal = "zero, as it is unused", .low = 0, .high = 0 },
	{ .type = "int8", .size = 1 }, { .type = "uint8", .size = 1 },
	{ .type = "uint8 equal", .size = 1 },
	{ .type = "int16", .size = 2 }, { .type = "uint16", .size = 2 },
	{ .type = "uint16 equal", .size = 2 },
	{ .type = "int32", .size = 4 }, { .type = "uint32", .size = 4 },
	{ .type = "int32 equal", .size = 4 }, { .type = "uint32 equal", .size = 4 },
	{ .type = "int32 le", .size = 4 }, { .type = "fd", .size = 4 },
	{ .type = "int64", .size = 8 }, { .type = "uint64", .size = 8 },
	{ .type = "int64 equal", .size = 8 }, { .type = "timer", .size = 8 },
	{ .type = "CPU_Double_U", .size = 8 },
	{ .type = "qtailq", .list = true }, { .type = "qlist", .list = true },
	{ .type = "gtree", .list = true },
};

static const struct field_type *field_type_of(const char *type)
{
	static const struct field_type any = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(field_types); i++)
		if (streq(field_types[i].type, type))
			return &field_types[i];
	return &any;
}

static int check_bytes(struct source *src, const uint8_t *p, size_t n,
		       const struct field_type *kind, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < kind->low || p[i] > kind->high)
			return damaged(src, src->pos + i,
				       .expected = fmt("field %s, %s", name, kind->legal),
				       .found = fmt("0x%02x", p[i]), .meaning = MISPLACED);
	return 0;
}

static int skip_legal(struct source *src, uint64_t n, const struct field_type *kind,
		      const char *name)
{
	while (n) {
		size_t part = n < SOURCE_PIECE ? n : SOURCE_PIECE;
		const uint8_t *p = source_need(src, part, name);

		if (!p || check_bytes(src, p, part, kind, name) < 0)
			return -EUCLEAN;
		src->pos += part;
		n -= part;
	}
	return 0;
}

static int walk_skip_list(struct walk *w, uint64_t size, const char *name)
{
	struct source *src = w->src;
	uint8_t last;

	if (size == 0)
		return walk_bad(w, fmt("the end of the list %s", name), "an empty list");
	if (source_skip(src, size - 1, name) < 0 || source_u8(src, name, &last) < 0)
		return -EUCLEAN;
	if (last == 0)
		return 0;
	return damaged(src, src->pos - 1, .expected = fmt("the end of the list %s, 0x00", name),
		       .found = fmt("0x%02x", last),
		       .meaning = MISPLACED);
}

/* Type "capability": the only one whose elements differ in length, so each is parsed. */
static int walk_skip_names(struct walk *w, uint64_t times, const char *name)
{
	char text[SOURCE_NAME];

	while (times--)
		if (source_name(w->src, name, text) < 0)
			return -EUCLEAN;
	return 0;
}

static int walk_skip_leaf(struct walk *w, struct json_object *field)
{
	uint64_t size = jint(field, "size", 0), times = jint(field, "array_len", 1), bytes;
	const char *type = jstr(field, "type"), *name = quoted_name(jstr(field, "name"));
	const struct field_type *kind = field_type_of(type);

	if (streq(type, "capability"))
		return walk_skip_names(w, times, name);
	if (kind->size && kind->size != size)
		return walk_bad(w, fmt("a size of %u for %s, of type %s", kind->size, name,
				       quoted_name(type)),
				fmt("%llu", (unsigned long long)size));
	if (__builtin_mul_overflow(size, times, &bytes))
		return walk_bad(w, fmt("a size for %s", name), "one above all limits");
	if (kind->list && times == 1)
		return walk_skip_list(w, bytes, name);
	return kind->legal ? skip_legal(w->src, bytes, kind, name) :
	       source_skip(w->src, bytes, fmt("field %s", name));
}

/* A nested description is in the member "struct", or in the field itself. */
static struct json_object *nested_description(struct json_object *field)
{
	struct json_object *of = jget(field, "struct");

	if (of)
		return of;
	return jget(field, "fields") && !field_type_of(jstr(field, "type"))->list ? field : NULL;
}

static int walk_enter_field(struct walk *w, struct json_object *field)
{
	struct json_object *of = nested_description(field);
	const char *name = jstr(field, "name");
	int64_t size = jint(field, "size", 0);

	if (streq(jstr(field, "type"), "struct") && !of)
		return walk_bad(w, "fields", quoted_name(name));
	if (!of)
		return walk_skip_leaf(w, field);
	/* An array of elements of 0 bytes is walked once. */
	return walk_push(w, name, of, size ? jint(field, "array_len", 1) : 1, size);
}

static int walk_subsection_head(struct walk *w, const char *name, int64_t version)
{
	struct source *src = w->src;
	uint64_t at = src->pos;
	char found[SOURCE_NAME];
	uint32_t got;
	uint8_t type;

	if (source_u8(src, "subsection", &type) < 0)
		return -EUCLEAN;
	if (type != SUBSECTION_TYPE)
		return damaged(src, at, .expected = fmt("subsection %s, 0x05", quoted_name(name)),
			       .found = fmt("0x%02x", type),
			       .meaning = MISPLACED);
	if (source_name(src, "name of a subsection", found) < 0)
		return -EUCLEAN;
	if (!streq(found, name))
		return damaged(src, at, .expected = fmt("subsection %s", quoted_name(name)),
			       .found = fmt("'%s'", found),
			       .meaning = MISPLACED);
	if (source_be32(src, "version of a subsection", &got) < 0)
		return -EUCLEAN;
	if (got == version)
		return 0;
	return damaged(src, src->pos - 4, .expected = fmt("version %lld of subsection %s",
							   (long long)version, quoted_name(name)),
		       .found = fmt("%u", got),
		       .meaning = "the device's data and its description do not agree");
}

static int walk_enter_subsection(struct walk *w, struct json_object *vmsd)
{
	const char *name;
	int r = walk_check_members(w, vmsd);

	if (r < 0)
		return r;
	name = jstr(vmsd, "vmsd_name");
	if (!name || !jget(vmsd, "version"))
		return walk_bad(w, "a name and a version for each subsection", quoted_name(name));
	r = walk_subsection_head(w, name, jint(vmsd, "version", 0));
	return r < 0 ? r : walk_push(w, name, vmsd, 1, -1);
}

/* The current element is complete: check its size, then go to the next or up a level. */
static int walk_end_element(struct walk *w, struct walk_level *level)
{
	uint64_t got = w->src->pos - level->start;

	if (level->size >= 0 && got != (uint64_t)level->size)
		return damaged(w->src, level->start, .expected = fmt("%lld bytes of %s",
			       (long long)level->size, quoted_name(level->name)),
			       .found = fmt("fields of %llu bytes", (unsigned long long)got),
			       .meaning = "the sizes in the description contradict each other");
	if (--level->left == 0) {
		w->depth--;
		return 0;
	}
	level->field = level->sub = 0;
	level->start = w->src->pos;
	return 0;
}

static int walk_step(struct walk *w)
{
	struct walk_level *level = &w->stack[w->depth - 1];

	/* QEMU describes some fields of 0 bytes, but few: see MAX_STEPS_FREE. */
	if (++w->steps > MAX_STEPS_FREE + 2 * (w->src->pos - w->start))
		return walk_bad(w, "fields that have bytes", "far too many without");
	if (level->field < json_object_array_length(level->fields))
		return walk_enter_field(w, json_object_array_get_idx(level->fields,
								     level->field++));
	if (level->subs && level->sub < json_object_array_length(level->subs))
		return walk_enter_subsection(w, json_object_array_get_idx(level->subs,
									  level->sub++));
	return walk_end_element(w, level);
}

int stream_walk(struct source *src, struct json_object *vmsd)
{
	struct walk w = { .src = src, .start = src->pos };
	int r = walk_push(&w, jstr(vmsd, "vmsd_name"), vmsd, 1, jint(vmsd, "size", -1));

	while (r == 0 && w.depth)
		r = walk_step(&w);
	return r;
}
