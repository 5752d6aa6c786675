/* SPDX-License-Identifier: GPL-2.0-only */
/* How fast a disk takes a guest's RAM, measured before the guest stops. */
#ifndef CPR_DISKSPEED_H
#define CPR_DISKSPEED_H

#include "base/util.h"

/**
 * diskspeed_probe - estimate how long a copy of a guest's RAM takes
 * @path: an empty file on the disk; empty again afterwards
 * @bytes: of the copy
 * @rate: measured bytes a second
 *
 * QEMU writes the copy once. cpr-helper reads it twice, for the digest and for the check,
 * and from the disk if QEMU writes past the page cache.
 *
 * Returns: seconds; 0 if the file cannot be written.
 */
double diskspeed_probe(const char *path, uint64_t bytes, double *rate);

#endif
