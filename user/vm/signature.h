/* SPDX-License-Identifier: GPL-2.0-only */
/* What a file or block device has on it: file systems, partitions, disks of guests. */
#ifndef CPR_SIGNATURE_H
#define CPR_SIGNATURE_H

#include "base/error.h"

/**
 * signature_find - look for what somebody may still need
 * @found: words for it, like "ext4, label 'data', UUID ..."; NULL if nothing is known there;
 *	owned by the caller
 *
 * Returns: 0; or a negative errno if it cannot be read.
 */
int signature_find(const char *path, char **found, struct err *err);

#endif
