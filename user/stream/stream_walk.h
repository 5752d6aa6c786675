/* SPDX-License-Identifier: GPL-2.0-only */
/* A device's bytes, field by field, as the description tells. */
#ifndef CPR_STREAM_WALK_H
#define CPR_STREAM_WALK_H

#include <json-c/json.h>

#include "stream/source.h"

#define SUBSECTION_TYPE 0x05

/**
 * walk_fields - go past what @vmsd describes
 * @vmsd: {"vmsd_name", "version", "fields"[, "subsections"]}, or of a device that
 *	is written the old way {"size", "fields"}; other members are not looked at
 *
 * The description itself is checked on the way: that it has the form that QEMU
 * gives it, and that the sizes in it agree with each other.
 *
 * Returns: 0, or a negative errno with a fault.
 */
int walk_fields(struct source *src, struct json_object *vmsd);

#endif
