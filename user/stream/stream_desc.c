// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "stream/stream_desc.h"

#define CHUNK 4096
#define PAGE_SIZE_X86 4096

/* How QEMU writes it, to the blank; what is between is for the tokener. */
#define TEXT_BEGIN "{\"configuration\": "
#define TEXT_PAGE_SIZE ", \"page_size\": "
#define TEXT_DEVICES ", \"devices\": ["
#define TEXT_BETWEEN ", "
#define TEXT_END "]}"

void desc_free(struct desc *desc)
{
	json_object_put(desc->configuration);
	if (desc->tok)
		json_tokener_free(desc->tok);
	*desc = (struct desc){ 0 };
}

/* What is looked at to tell: the frame, the beginning of the text. */
#define HEAD (DESC_FRAME + sizeof(TEXT_BEGIN) - 1)

/* @head: of a frame that is at @at. Returns 1 if it ends with the file. */
static int consider(struct desc *desc, const uint8_t *head, uint64_t at)
{
	uint32_t len = get_be32(head + 1);
	bool fits = len == desc->src->size - at - DESC_FRAME;

	if (memcmp(head + DESC_FRAME, TEXT_BEGIN, sizeof(TEXT_BEGIN) - 1) != 0)
		return 0;
	if (fits || !desc->found) {
		desc->found = true;
		desc->at = at;
		desc->len = len;
	}
	return fits;
}

/* Heads that begin in [@from, @to), the last first. */
static int search(struct desc *desc, uint64_t from, uint64_t to)
{
	uint8_t buf[CHUNK + HEAD], *head = buf + (to - from);
	int r = source_at(desc->src, from, buf, to - from + HEAD - 1, "description");

	while (r == 0 && (head = memrchr(buf, DESC_TYPE, head - buf)))
		r = consider(desc, head, from + (head - buf));
	return r;
}

int desc_find(struct desc *desc, struct source *src)
{
	uint64_t to, stop = src->size > DESC_MAX ? src->size - DESC_MAX : 0;
	int r = 0;

	*desc = (struct desc){ .src = src };
	if (src->size < HEAD)
		return 0;
	for (to = src->size - HEAD + 1; r == 0 && to > stop; ) {
		uint64_t from = to - stop < CHUNK ? stop : to - CHUNK;

		r = search(desc, from, to);
		to = from;
	}
	return r < 0 ? r : 0;
}

static int text_ends(struct desc *desc, const char *expected)
{
	return damaged(desc->src, desc->end, .expected = expected,
		       .found = "the end of the description",
		       .meaning = "the description is incomplete");
}

/* The text @word, exactly; with @optional, return 0 if something else is there. */
static int word(struct desc *desc, const char *expected, bool optional)
{
	size_t len = strlen(expected);
	char buf[32];

	if (desc->end - desc->pos < len)
		return text_ends(desc, fmt("'%s'", expected));
	if (source_at(desc->src, desc->pos, buf, len, "description") < 0)
		return -EUCLEAN;
	if (memcmp(buf, expected, len) == 0) {
		desc->pos += len;
		return 1;
	}
	if (optional)
		return 0;
	return damaged(desc->src, desc->pos, .expected = fmt("'%s'", expected),
		       .found = fmt("'%s'", printable(buf, len)),
		       .meaning = "this is not the description that QEMU writes");
}

static int bad_json(struct desc *desc, uint64_t offset, const char *why)
{
	return damaged(desc->src, offset, .expected = "JSON", .found = why,
		       .meaning = "the description is damaged");
}

/* QEMU escapes all else. */
static int check_plain(struct desc *desc, const char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (buf[i] < 0x20 || buf[i] == 0x7f)
			return bad_json(desc, desc->pos + i, fmt("byte 0x%02x", (uint8_t)buf[i]));
	return 0;
}

static int value(struct desc *desc, struct json_object **out)
{
	uint64_t start = desc->pos;
	char buf[CHUNK];

	json_tokener_reset(desc->tok);
	for (;;) {
		size_t n = desc->end - desc->pos < CHUNK ? desc->end - desc->pos : CHUNK;
		enum json_tokener_error error;

		if (n == 0)
			return text_ends(desc, "the rest of a value");
		if (desc->pos - start > DESC_VALUE_MAX)
			return unproven(desc->src, start, .expected = "a device's description",
					.found = "more than 8 MiB", .meaning = "no device has as much");
		if (source_at(desc->src, desc->pos, buf, n, "description") < 0 ||
		    check_plain(desc, buf, n) < 0)
			return -EUCLEAN;
		*out = json_tokener_parse_ex(desc->tok, buf, n);
		error = json_tokener_get_error(desc->tok);
		if (error != json_tokener_continue && error != json_tokener_success)
			return bad_json(desc, desc->pos + json_tokener_get_parse_end(desc->tok),
					json_tokener_error_desc(error));
		desc->pos += error == json_tokener_success ?
			     json_tokener_get_parse_end(desc->tok) : n;
		if (error == json_tokener_success)
			return 0;
	}
}

static int typed(struct desc *desc, enum json_type type, struct json_object **out)
{
	uint64_t start = desc->pos;
	int r = value(desc, out);

	if (r == 0 && !json_object_is_type(*out, type)) {
		r = damaged(desc->src, start, .expected = json_type_to_name(type),
			    .found = json_type_to_name(json_object_get_type(*out)),
			    .meaning = "this is not the description that QEMU writes");
		json_object_put(*out);
		*out = NULL;
	}
	return r;
}

static int page_size(struct desc *desc)
{
	_cleanup_json_ struct json_object *size = NULL;
	uint64_t start = desc->pos;
	int r = typed(desc, json_type_int, &size);

	if (r == 0 && json_object_get_int64(size) != PAGE_SIZE_X86)
		r = damaged(desc->src, start, .expected = "pages of 4096 bytes",
			    .found = json_object_get_string(size),
			    .meaning = "this is not the state of an x86 guest");
	return r;
}

int desc_begin(struct desc *desc)
{
	int r;

	desc->tok = json_tokener_new_ex(DESC_DEPTH);
	if (!desc->tok)
		return -ENOMEM;
	json_tokener_set_flags(desc->tok, JSON_TOKENER_STRICT |
			       JSON_TOKENER_ALLOW_TRAILING_CHARS);
	desc->pos = desc->at + DESC_FRAME;
	desc->end = desc->src->size - desc->pos < desc->len ? desc->src->size :
		    desc->pos + desc->len;
	r = word(desc, TEXT_BEGIN, false);
	if (r > 0)
		r = typed(desc, json_type_object, &desc->configuration);
	if (r == 0)
		r = word(desc, TEXT_PAGE_SIZE, false);
	if (r > 0)
		r = page_size(desc);
	if (r == 0)
		r = word(desc, TEXT_DEVICES, false);
	return r < 0 ? r : 0;
}

static int finish(struct desc *desc)
{
	if (desc->pos == desc->end)
		return 0;
	return damaged(desc->src, desc->pos, .expected = "the end of the description",
		       .found = fmt("%llu more bytes", (unsigned long long)(desc->end - desc->pos)),
		       .meaning = "something was appended to it");
}

int desc_next(struct desc *desc, struct json_object **out)
{
	int r = word(desc, TEXT_END, true);

	*out = NULL;
	if (r != 0)
		return r < 0 ? r : finish(desc);
	if (desc->any) {
		r = word(desc, TEXT_BETWEEN, false);
		if (r < 0)
			return r;
	}
	desc->any = true;
	return typed(desc, json_type_object, out);
}
