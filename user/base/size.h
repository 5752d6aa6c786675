/* SPDX-License-Identifier: GPL-2.0-only */
/* Sizes and addresses in text. */
#ifndef CPR_SIZE_H
#define CPR_SIZE_H

#include "base/util.h"

/**
 * size_parse - SIZE of the command line
 * @s: digits and at most one of K M G T (powers of 1024, any case); QEMU's -m
 *	takes the same
 * @unit: what a number without a suffix counts, in bytes
 * @out: bytes
 *
 * Returns: 0, -EINVAL, or -ERANGE above 2^63.
 */
int size_parse(const char *s, uint64_t unit, uint64_t *out) _must_check_;

/**
 * memparse - a number of the kernel's command line
 * @s: decimal, 0x hexadecimal or 0 octal, and at most one of K M G T P E
 * @end: where it ended; @s itself if there was no number
 */
uint64_t memparse(const char *s, const char **end);

/* "512M", "1G", "1536K", "4097": the shortest exact form. Static buffer, as fmt(). */
const char *size_exact(uint64_t bytes);

/* "1.5 GiB": for people. Static buffer, as fmt(). */
const char *size_human(uint64_t bytes);

#endif
