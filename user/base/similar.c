// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "base/similar.h"

#define LONGEST 32

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: the number of changes, of which none touches a letter twice. */
static unsigned int distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned int d[LONGEST + 1][LONGEST + 1];

	for (size_t i = 0; i <= na; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= nb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= na; i++)
		for (size_t j = 1; j <= nb; j++) {
			d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
					least(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[na][nb];
}

static const char *only_with_prefix(const char *word, const struct strv *list)
{
	const char *found = NULL;

	for (size_t i = 0; i < list->n; i++) {
		if (!startswith(list->v[i], word))
			continue;
		if (found)
			return NULL;
		found = list->v[i];
	}
	return found;
}

const char *similar(const char *word, const struct strv *list)
{
	size_t len = strlen(word);
	const char *best = NULL;
	unsigned int limit = (len + 2) / 3;

	if (!len || len > LONGEST)
		return NULL;
	best = only_with_prefix(word, list);
	if (best || len < 2)
		return best;
	for (size_t i = 0; i < list->n; i++) {
		size_t n = strlen(list->v[i]);
		unsigned int changes = n > LONGEST ? n : distance(word, len, list->v[i], n);

		if (changes > limit || (best && changes == limit))
			continue;
		best = list->v[i];
		limit = changes;
	}
	return best;
}
