/* SPDX-License-Identifier: GPL-2.0-only */
/* Parse and format sizes. */
#ifndef CPR_SIZE_H
#define CPR_SIZE_H

#include "base/util.h"

/**
 * size_parse - parse a SIZE argument of the command line
 * @s: digits and at most one of K M G T (powers of 1024, any case), as QEMU's -m
 * @unit: unit of a number without a suffix, bytes
 * @out: the size, bytes
 *
 * Returns: 0, -EINVAL, or -ERANGE for sizes above 2^63 - 1.
 */
int size_parse(const char *s, uint64_t unit, uint64_t *out) _must_check_;

/**
 * memparse - parse a number of the kernel command line, as memparse() of Linux
 * @s: decimal, 0x hexadecimal or 0 octal, and at most one of K M G T P E
 * @end: the first character after the number; @s itself if there is no number
 */
uint64_t memparse(const char *s, const char **end);

/* "512M", "1G", "1536K", "4097": the shortest exact form. Static buffer, as fmt(). */
const char *size_exact(uint64_t bytes);

/* "1.5 GiB": rounded, for messages. Static buffer, as fmt(). */
const char *size_human(uint64_t bytes);

#endif
