/* SPDX-License-Identifier: GPL-2.0-only */
/* Everything that is wrong with an image. */
#ifndef CPR_CHECK_H
#define CPR_CHECK_H

#include "vm/image.h"

/**
 * image_check - check all tables of an image
 * @img: the image
 *
 * Returns: a list with an object for each defect: "kind", an identifier that
 * image-format.md lists; "place", a superblock or slot; "offset" of that place;
 * and "defect", with the values. NULL if memory is short.
 */
struct json_object *image_check(const struct image *img);

#endif
