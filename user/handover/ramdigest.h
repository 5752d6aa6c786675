/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The digest of a VM's memory files, which detects damage but not forgery.
 *
 * It is the XXH3-128 of a list: for each file, in the order of the manifest, its size as 64
 * bits, little-endian, and the XXH3-128 in canonical form of each RAM_CHUNK bytes of it; the
 * last chunk may be shorter. So any number of threads computes the same digest.
 *
 * The files are read, not mapped: a page fault on a hole would allocate a frame of the
 * region, and the module does not seal a VM whose files are mapped. Each thread reads into a
 * buffer that fits into its CPU's cache.
 */
#ifndef CPR_RAMDIGEST_H
#define CPR_RAMDIGEST_H

#include "base/digest.h"

#define RAM_CHUNK (64 * MIB)

/**
 * ramdigest_compute - compute the digest of memory files
 * @dir: directory of the files
 * @files: their names
 * @interruptible: whether a signal ends the computation
 * @bytes: gets the digest, DIGEST_BYTES bytes
 *
 * Shows its progress, see progress.h. Returns: 0; -EINTR; -EIO if a file is shorter than
 * when it was opened; or the errno of open(2) or read(2).
 */
int ramdigest_compute(const char *dir, const struct strv *files, bool interruptible,
		      uint8_t *bytes, struct err *err);

#endif
