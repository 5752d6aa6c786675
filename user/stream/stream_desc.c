// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "stream/stream_desc.h"

#define CHUNK 4096
#define PAGE_SIZE_X86 4096

/* The fixed text of the description, as QEMU writes it. json-c parses the values. */
#define TEXT_BEGIN "{\"configuration\": "
#define TEXT_PAGE_SIZE ", \"page_size\": "
#define TEXT_DEVICES ", \"devices\": ["
#define TEXT_BETWEEN ", "
#define TEXT_END "]}"

void stream_desc_free(struct stream_desc *desc)
{
	json_object_put(desc->configuration);
	if (desc->tok)
		json_tokener_free(desc->tok);
	*desc = (struct stream_desc){ 0 };
}

/* Bytes by which a description is recognized: the frame and the beginning of the text. */
#define HEAD (DESC_FRAME + sizeof(TEXT_BEGIN) - 1)

/* Check the frame @head at offset @at. Returns 1 if its end is the end of the file. */
static int desc_check_frame(struct stream_desc *desc, const uint8_t *head, uint64_t at)
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

/* Check the frames that begin in [@from, @to), the last one first. */
static int desc_search(struct stream_desc *desc, uint64_t from, uint64_t to)
{
	uint8_t buf[CHUNK + HEAD], *head = buf + (to - from);
	int r = source_at(desc->src, from, buf, to - from + HEAD - 1, "description");

	while (r == 0 && (head = memrchr(buf, DESC_TYPE, head - buf)))
		r = desc_check_frame(desc, head, from + (head - buf));
	return r;
}

int stream_desc_find(struct stream_desc *desc, struct source *src)
{
	uint64_t to, stop = src->size > DESC_MAX ? src->size - DESC_MAX : 0;
	int r = 0;

	*desc = (struct stream_desc){ .src = src };
	if (src->size < HEAD)
		return 0;
	for (to = src->size - HEAD + 1; r == 0 && to > stop; ) {
		uint64_t from = to - stop < CHUNK ? stop : to - CHUNK;

		r = desc_search(desc, from, to);
		to = from;
	}
	return r < 0 ? r : 0;
}

static int desc_ends_early(struct stream_desc *desc, const char *expected)
{
	return damaged(desc->src, desc->end, .expected = expected,
		       .found = "the end of the description",
		       .meaning = "the description is incomplete");
}

/* Read exactly @expected: returns 1. If other text follows, returns 0 with @optional. */
static int desc_expect(struct stream_desc *desc, const char *expected, bool optional)
{
	size_t len = strlen(expected);
	char buf[32];

	if (desc->end - desc->pos < len)
		return desc_ends_early(desc, fmt("'%s'", expected));
	if (source_at(desc->src, desc->pos, buf, len, "description") < 0)
		return -EUCLEAN;
	if (memcmp(buf, expected, len) == 0) {
		desc->pos += len;
		return 1;
	}
	if (optional)
		return 0;
	return damaged(desc->src, desc->pos, .expected = fmt("'%s'", expected),
		       .found = fmt("'%s'", source_printable(buf, len)),
		       .meaning = "this is not the description that QEMU writes");
}

static int desc_bad_json(struct stream_desc *desc, uint64_t offset, const char *why)
{
	return damaged(desc->src, offset, .expected = "JSON", .found = why,
		       .meaning = "the description is damaged");
}

/* QEMU escapes control characters. */
static int desc_check_plain(struct stream_desc *desc, const char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (buf[i] < 0x20 || buf[i] == 0x7f)
			return desc_bad_json(desc, desc->pos + i,
					     fmt("byte 0x%02x", (uint8_t)buf[i]));
	return 0;
}

static int desc_parse_value(struct stream_desc *desc, struct json_object **out)
{
	uint64_t start = desc->pos;
	char buf[CHUNK];

	json_tokener_reset(desc->tok);
	for (;;) {
		size_t n = desc->end - desc->pos < CHUNK ? desc->end - desc->pos : CHUNK;
		enum json_tokener_error error;

		if (n == 0)
			return desc_ends_early(desc, "the rest of a value");
		if (desc->pos - start > DESC_VALUE_MAX)
			return unproven(desc->src, start, .expected = "a device's description",
					.found = "more than 8 MiB",
					.meaning = "no device has such a long description");
		if (source_at(desc->src, desc->pos, buf, n, "description") < 0 ||
		    desc_check_plain(desc, buf, n) < 0)
			return -EUCLEAN;
		*out = json_tokener_parse_ex(desc->tok, buf, n);
		error = json_tokener_get_error(desc->tok);
		if (error != json_tokener_continue && error != json_tokener_success)
			return desc_bad_json(desc,
					     desc->pos + json_tokener_get_parse_end(desc->tok),
					     json_tokener_error_desc(error));
		desc->pos += error == json_tokener_success ?
			     json_tokener_get_parse_end(desc->tok) : n;
		if (error == json_tokener_success)
			return 0;
	}
}

static int desc_parse_typed(struct stream_desc *desc, enum json_type type, struct json_object **out)
{
	uint64_t start = desc->pos;
	int r = desc_parse_value(desc, out);

	if (r == 0 && !json_object_is_type(*out, type)) {
		r = damaged(desc->src, start, .expected = json_type_to_name(type),
			    .found = json_type_to_name(json_object_get_type(*out)),
			    .meaning = "this is not the description that QEMU writes");
		json_object_put(*out);
		*out = NULL;
	}
	return r;
}

static int desc_check_page_size(struct stream_desc *desc)
{
	_cleanup_json_ struct json_object *size = NULL;
	uint64_t start = desc->pos;
	int r = desc_parse_typed(desc, json_type_int, &size);

	if (r == 0 && json_object_get_int64(size) != PAGE_SIZE_X86)
		r = damaged(desc->src, start, .expected = "pages of 4096 bytes",
			    .found = json_object_get_string(size),
			    .meaning = "this is not the state of an x86 guest");
	return r;
}

int stream_desc_begin(struct stream_desc *desc)
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
	r = desc_expect(desc, TEXT_BEGIN, false);
	if (r > 0)
		r = desc_parse_typed(desc, json_type_object, &desc->configuration);
	if (r == 0)
		r = desc_expect(desc, TEXT_PAGE_SIZE, false);
	if (r > 0)
		r = desc_check_page_size(desc);
	if (r == 0)
		r = desc_expect(desc, TEXT_DEVICES, false);
	return r < 0 ? r : 0;
}

static int desc_check_end(struct stream_desc *desc)
{
	if (desc->pos == desc->end)
		return 0;
	return damaged(desc->src, desc->pos, .expected = "the end of the description",
		       .found = fmt("%llu more bytes", (unsigned long long)(desc->end - desc->pos)),
		       .meaning = "something was appended to the description");
}

int stream_desc_next(struct stream_desc *desc, struct json_object **out)
{
	int r = desc_expect(desc, TEXT_END, true);

	*out = NULL;
	if (r != 0)
		return r < 0 ? r : desc_check_end(desc);
	if (desc->any) {
		r = desc_expect(desc, TEXT_BETWEEN, false);
		if (r < 0)
			return r;
	}
	desc->any = true;
	return desc_parse_typed(desc, json_type_object, out);
}
