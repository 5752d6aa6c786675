/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The description at the end of a state file ("vmdesc"): JSON that lists, for each
 * device, the fields that QEMU has written. It is read one device at a time, so that
 * the largest description of a device bounds the memory use.
 */
#ifndef CPR_STREAM_DESC_H
#define CPR_STREAM_DESC_H

#include <json-c/json.h>

#include "stream/source.h"

/* The frame before the text: a type byte and the length as be32. */
#define DESC_TYPE 0x06
#define DESC_FRAME 5

/* Limits: a hundred times what the largest real guests need. */
#define DESC_MAX (UINT64_C(64) << 20)
#define DESC_VALUE_MAX (8 << 20)
#define DESC_DEPTH 64

/**
 * struct stream_desc - a description that is being read
 * @src: the state file
 * @found: the file has a description
 * @at: offset of its type byte
 * @len: length of the text according to the file, bytes
 * @configuration: description of the configuration section, owned
 * @tok: the JSON parser
 * @pos: offset of the text to read next
 * @end: offset of the end of the text
 * @any: a device was read
 */
struct stream_desc {
	struct source *src;
	bool found;
	uint64_t at;
	uint32_t len;
	struct json_object *configuration;
	struct json_tokener *tok;
	uint64_t pos;
	uint64_t end;
	bool any;
};

/**
 * stream_desc_find - search the description backwards from the end of the file
 *
 * A description that does not end with the file is used if there is no other. Then the
 * stream before it can be read, and the fault be reported at its place.
 *
 * Returns: 0, also if there is no description; or a negative errno with a fault recorded.
 */
int stream_desc_find(struct stream_desc *desc, struct source *src);
void stream_desc_free(struct stream_desc *desc);

/*
 * Read up to the first device: the description of the configuration and the page size.
 * Returns: 0, or a negative errno, with a fault recorded unless it is -ENOMEM.
 */
int stream_desc_begin(struct stream_desc *desc);

/*
 * Read the description of the next device into @out, which the caller owns; NULL after
 * the last one. Returns: 0, or a negative errno with a fault recorded.
 */
int stream_desc_next(struct stream_desc *desc, struct json_object **out);

#endif
