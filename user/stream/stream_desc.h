/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The description at the end of a state file: JSON by which QEMU tells, device by
 * device, what fields it has written. It is read one device at a time, so that
 * memory is bounded by the largest of them.
 */
#ifndef CPR_STREAM_DESC_H
#define CPR_STREAM_DESC_H

#include <json-c/json.h>

#include "stream/source.h"

/* The frame around the text: a type byte and be32 length. */
#define DESC_TYPE 0x06
#define DESC_FRAME 5

/* The largest of real guests are a hundredth of these. */
#define DESC_MAX (UINT64_C(64) << 20)
#define DESC_VALUE_MAX (8 << 20)
#define DESC_DEPTH 64

/**
 * struct desc - a description, and how far it has been read
 * @found: there is one
 * @at: offset of its type byte
 * @len: of the text, as the file says it
 * @configuration: of the configuration section
 */
struct desc {
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
 * desc_find - where the description is, seen from the end of the file
 *
 * One that does not end with the file is taken if there is no other: then the
 * stream before it can be read, and the fault be named where it is.
 *
 * Returns: 0 also if there is none, or a negative errno with a fault.
 */
int desc_find(struct desc *desc, struct source *src);
void desc_free(struct desc *desc);

/* Read up to the first device: the configuration's description, the page size. */
int desc_begin(struct desc *desc);

/* The next device, which the caller owns; NULL after the last. */
int desc_next(struct desc *desc, struct json_object **out);

#endif
