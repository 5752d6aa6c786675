/* SPDX-License-Identifier: GPL-2.0-only */
/* Walk the data of a device field by field, by its description. */
#ifndef CPR_STREAM_WALK_H
#define CPR_STREAM_WALK_H

#include <json-c/json.h>

#include "stream/source.h"

#define SUBSECTION_TYPE 0x05

/**
 * stream_walk - read and check the data that @vmsd describes
 * @src: the state file, at the start of the data
 * @vmsd: {"vmsd_name", "version", "fields"[, "subsections"]}, or {"size", "fields"} for a
 *	device without a VMStateDescription
 *
 * Also checks the description itself: it must have the form that QEMU writes, and its
 * sizes must agree with each other.
 *
 * Returns: 0, or a negative errno with a fault recorded.
 */
int stream_walk(struct source *src, struct json_object *vmsd);

#endif
