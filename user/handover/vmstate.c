// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "handover/vmstate.h"

/* The parser of the description has the same limit. */
#define MAX_LEVELS 64

/* Fields of one description: saved, or known to the QEMU that will load them. */
struct level {
	const char *name;
	unsigned int depth;
};

static bool vmstate_check(struct json_object *saved, struct json_object *known,
			  const struct level *above, const char *name, char **why);

static bool _printf_(2, 3) vmstate_misfit(char **why, const char *format, ...)
{
	va_list ap;

	free(*why);
	va_start(ap, format);
	*why = xvasprintf(format, ap);
	va_end(ap);
	return false;
}

/* The array member of this name; NULL if the member has another type. */
static struct json_object *vmstate_list(struct json_object *obj, const char *key)
{
	struct json_object *m = jget(obj, key);

	return json_object_is_type(m, json_type_array) ? m : NULL;
}

/* Types whose saved size is the size in memory. */
static const char *const plain[] = {
	"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
	"uint8 equal", "uint16 equal", "int32 equal", "uint32 equal", "int64 equal",
	"uint64 equal",
};

static bool vmstate_is_plain(const char *type)
{
	for (size_t i = 0; type && i < ARRAY_SIZE(plain); i++)
		if (streq(plain[i], type))
			return true;
	return false;
}

/* The Nth field of a name that is not unique is saved as "name[N]". */
static bool vmstate_same_name(const char *saved, const char *known)
{
	size_t len = strlen(known);

	if (strncmp(saved, known, len) != 0)
		return false;
	return !saved[len] || (saved[len] == '[' && saved[strlen(saved) - 1] == ']' &&
			       strspn(saved + len + 1, "0123456789") == strlen(saved + len) - 2);
}

/* The place of a removed field; its content may have any size. */
static bool vmstate_is_filler(const char *name)
{
	return vmstate_same_name(name, "unused");
}

static bool vmstate_check_leaf(struct json_object *field, struct json_object *known,
			       const struct level *level, char **why)
{
	int64_t saved = jint(field, "size", 0), size = jint(known, "size", 0);
	int64_t n = jint(field, "array_len", 0), num = jint(known, "num", 0);

	if (vmstate_is_plain(jstr(field, "type")) && !jget(known, "Description") && saved != size)
		return vmstate_misfit(why, "field '%s' of '%s' has %lld bytes there, and was saved "
				      "with %lld", jstr(field, "name"), level->name,
				      (long long)size, (long long)saved);
	if (n && num && n != num)
		return vmstate_misfit(why, "field '%s' of '%s' has %lld elements there, and was "
				      "saved with %lld", jstr(field, "name"), level->name,
				      (long long)num, (long long)n);
	return true;
}

/* A list describes its elements in the field itself, a struct below the field. */
static struct json_object *vmstate_nested(struct json_object *field)
{
	struct json_object *of = jget(field, "struct");

	return of ? of : jget(field, "fields") ? field : NULL;
}

static bool vmstate_check_field(struct json_object *field, struct json_object *known,
				const struct level *level, char **why)
{
	struct json_object *of = vmstate_nested(field), *description = jget(known, "Description");
	const char *name = jstr(field, "name");

	if (!vmstate_check_leaf(field, known, level, why))
		return false;
	return !of || !description || vmstate_check(of, description, level, name, why);
}

/*
 * Find the field that @field is loaded as: the first one of that name, from @from on, that
 * fits, because the dump may list alternatives of one field for different conditions.
 * Returns: its index; the number of @fields if none has the name; -1 if none of that name
 * fits.
 */
static ssize_t vmstate_find_field(struct json_object *fields, size_t from,
				  struct json_object *field, const struct level *level, char **why)
{
	const char *name = jstr(field, "name");
	size_t n = json_object_array_length(fields);
	bool seen = false;

	for (size_t i = from; i < n; i++) {
		struct json_object *known = json_object_array_get_idx(fields, i);
		const char *other = jstr(known, "field");

		if (!other || !vmstate_same_name(name, other))
			continue;
		seen = true;
		if (vmstate_check_field(field, known, level, why))
			return i;
	}
	return seen ? -1 : (ssize_t)n;
}

static bool vmstate_unknown_field(struct json_object *field, const struct level *level, char **why)
{
	return vmstate_misfit(why, "field '%s' of '%s' was saved, and has no counterpart there",
			      jstr(field, "name"), level->name);
}

/* Names are unique, but for elements of an array that differ and are saved one by one. */
static bool vmstate_same_array(struct json_object *a, struct json_object *b)
{
	return a && streq(jstr(a, "name"), jstr(b, "name"));
}

/*
 * Both lists are in the order of the bytes. A saved field without a counterpart may have been
 * renamed, if a known field without a counterpart is in its place; then their sizes cannot be
 * compared. If there is none, QEMU has no field for the saved bytes.
 */
static bool vmstate_check_fields(struct json_object *saved, struct json_object *known,
				 const struct level *level, char **why)
{
	size_t n = json_object_array_length(known), next = 0;
	struct json_object *lost = NULL, *before = NULL;

	for (size_t i = 0; i < json_object_array_length(saved); i++) {
		struct json_object *field = json_object_array_get_idx(saved, i);
		bool again;
		ssize_t at;

		if (!jstr(field, "name"))
			return true;
		again = vmstate_same_array(before, field);
		before = field;
		at = n;
		if (!vmstate_is_filler(jstr(field, "name")))
			at = vmstate_find_field(known, again && next ? next - 1 : next, field,
						level, why);
		if (at < 0)
			return false;
		if (at == (ssize_t)n) {
			lost = jint(field, "size", 0) && !lost ? field : lost;
			continue;
		}
		if (lost && (size_t)at == next)
			return vmstate_unknown_field(lost, level, why);
		lost = NULL;
		next = at + 1;
	}
	return !lost || next < n || vmstate_unknown_field(lost, level, why);
}

static struct json_object *vmstate_find_subsection(struct json_object *subs, const char *name)
{
	for (size_t i = 0; subs && i < json_object_array_length(subs); i++) {
		struct json_object *sub = json_object_array_get_idx(subs, i);

		if (jstr(sub, "name") && streq(jstr(sub, "name"), name))
			return sub;
	}
	return NULL;
}

static bool vmstate_check_subsections(struct json_object *saved, struct json_object *known,
				      const struct level *level, char **why)
{
	for (size_t i = 0; saved && i < json_object_array_length(saved); i++) {
		struct json_object *sub = json_object_array_get_idx(saved, i), *there;
		const char *name = jstr(sub, "vmsd_name");

		if (!name)
			continue;
		there = vmstate_find_subsection(known, name);
		if (!there)
			return vmstate_misfit(why, "subsection '%s' was saved, and is not known "
					      "there", name);
		if (!vmstate_check(sub, there, level, name, why))
			return false;
	}
	return true;
}

static bool vmstate_check_version(struct json_object *saved, struct json_object *known,
				  const char *name, char **why)
{
	int64_t version = jint(saved, "version", -1);
	int64_t low = jint(known, "minimum_version_id", 0), high = jint(known, "version_id", 0);

	if (version < 0 || (version >= low && version <= high))
		return true;
	return vmstate_misfit(why, "'%s' has versions %lld to %lld there, and was saved with %lld",
			      name, (long long)low, (long long)high, (long long)version);
}

static bool vmstate_check(struct json_object *saved, struct json_object *known,
			  const struct level *above, const char *name, char **why)
{
	struct level level = { .name = name, .depth = above ? above->depth + 1 : 0 };
	struct json_object *fields = vmstate_list(saved, "fields");
	struct json_object *there = vmstate_list(known, "Fields");

	if (level.depth > MAX_LEVELS)
		return true;
	if (!vmstate_check_version(saved, known, name, why))
		return false;
	if (fields && there && !vmstate_check_fields(fields, there, &level, why))
		return false;
	return vmstate_check_subsections(vmstate_list(saved, "subsections"),
					 vmstate_list(known, "Subsections"), &level, why);
}

/* Several models may have descriptions of one name, which are mostly the same. */
bool vmstate_fits(struct json_object *known, struct json_object *device, char **why)
{
	const char *name = jstr(device, "vmsd_name");

	*why = NULL;
	if (!name)
		return true;
	json_object_object_foreach(known, model, entry) {
		struct json_object *description = jget(entry, "Description");
		const char *other = jstr(description, "name");
		_cleanup_free_ char *now = NULL;

		(void)model;
		if (!other || !streq(name, other))
			continue;
		if (vmstate_check(device, description, NULL, name, &now)) {
			free(*why);
			*why = NULL;
			return true;
		}
		if (!*why)
			vmstate_misfit(why, "%s", now);
	}
	return !*why;
}
