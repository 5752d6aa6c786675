// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>

#include "base/size.h"

static const char suffixes[] = "KMGTPE";

static int suffix_shift(char c)
{
	const char *p = c ? strchr(suffixes, toupper((unsigned char)c)) : NULL;

	return p ? 10 * (int)(p - suffixes + 1) : -1;
}

int size_parse(const char *s, uint64_t unit, uint64_t *out)
{
	uint64_t factor = unit, value;
	char *end;
	int shift;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	value = strtoull(s, &end, 10);
	if (errno)
		return -ERANGE;
	shift = suffix_shift(*end);
	if (shift > 0 && shift <= 40) {
		factor = UINT64_C(1) << shift;
		end++;
	}
	if (*end)
		return -EINVAL;
	if (value > INT64_MAX / factor)
		return -ERANGE;
	*out = value * factor;
	return 0;
}

uint64_t memparse(const char *s, const char **end)
{
	uint64_t value;
	char *e;
	int shift;

	*end = s;
	if (!isdigit((unsigned char)*s))
		return 0;
	value = strtoull(s, &e, 0);
	shift = suffix_shift(*e);
	if (shift > 0) {
		value <<= shift;
		e++;
	}
	*end = e;
	return value;
}

const char *size_exact(uint64_t bytes)
{
	int i = -1;

	while (bytes && bytes % 1024 == 0 && i < 3) {
		bytes /= 1024;
		i++;
	}
	if (i < 0)
		return fmt("%llu", (unsigned long long)bytes);
	return fmt("%llu%c", (unsigned long long)bytes, suffixes[i]);
}

const char *size_human(uint64_t bytes)
{
	double v = bytes;
	int i = -1;

	while (v >= 1024 && i < 5) {
		v /= 1024;
		i++;
	}
	if (i < 0)
		return fmt("%llu B", (unsigned long long)bytes);
	return fmt(v == (uint64_t)v ? "%.0f %ciB" : "%.1f %ciB", v, suffixes[i]);
}
