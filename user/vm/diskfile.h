/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file or device behind a disk: traits by which another file, or a modification of
 * the same file, is detected.
 */
#ifndef CPR_DISKFILE_H
#define CPR_DISKFILE_H

#include "base/util.h"

/**
 * diskfile_measure - read the traits of a file or device
 * @disk: object to which the function adds "kind" and, as far as they exist for that
 *	kind, "size" (bytes), "identity", "inode", "mtime" (ns) and "head", the digest of
 *	the first 64 KiB
 * @path: path of the file or device
 *
 * Returns: 0 or a negative errno.
 */
int diskfile_measure(struct json_object *disk, const char *path);

/* The first difference between the traits, as a sentence; NULL if none. Caller frees. */
char *diskfile_difference(struct json_object *then, struct json_object *now);

#endif
