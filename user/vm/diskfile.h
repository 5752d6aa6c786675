/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file or device that a disk is kept in: what tells it from another one, and
 * whether it was written to.
 */
#ifndef CPR_DISKFILE_H
#define CPR_DISKFILE_H

#include "base/util.h"

/**
 * diskfile_measure - what it is now
 * @disk: object, gets "kind", and as far as that kind has them "size" (bytes),
 *	"identity", "inode", "mtime" (ns) and "head", the digest of its first 64 KiB
 *
 * Returns: 0 or a negative errno.
 */
int diskfile_measure(struct json_object *disk, const char *path);

/* The first difference between two of these, in words; NULL if there is none. Caller frees. */
char *diskfile_difference(struct json_object *then, struct json_object *now);

#endif
