/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Digest of what is in a VM's memory files: detects damage, not forgery.
 *
 * It is the XXH3-128 of a list: for each file, in the order of the manifest, its
 * size as 64 bits, little-endian, and for each RAM_CHUNK bytes of it (the last time
 * for what is left) their XXH3-128 in canonical order. So many threads can work on
 * it, and it is the same however many did.
 *
 * The files are read, not mapped: a fault on a hole would fill it with a frame of
 * the region, and a file that is mapped keeps its VM from being sealed. Each thread
 * reads into a buffer that stays in its CPU's cache.
 */
#ifndef CPR_RAMDIGEST_H
#define CPR_RAMDIGEST_H

#include "base/digest.h"

#define RAM_CHUNK (64 * MIB)

/**
 * ram_digest - digest of memory files
 * @dir: that they are in
 * @files: their names
 * @interruptible: a signal may end it
 * @bytes: the digest, DIGEST_BYTES of it
 *
 * Shows how far it is, as progress.h says. Returns: 0; -EINTR; what open(2) or
 * read(2) said; -EIO if a file is shorter than it was.
 */
int ramdigest_compute(const char *dir, const struct strv *files, bool interruptible, uint8_t *bytes,
		      struct err *err);

#endif
