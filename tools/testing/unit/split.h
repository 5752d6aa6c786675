/* SPDX-License-Identifier: GPL-2.0-only */
/* A command line as words. Spaces separate them; no case needs one inside. */
#ifndef SPLIT_H
#define SPLIT_H

#include "base/util.h"

static inline void split(const char *line, struct strv *out)
{
	_cleanup_free_ char *copy = xstrdup(line);
	char *next = copy, *word;

	while ((word = strsep(&next, " ")))
		if (*word)
			strv_push(out, word);
}

#endif
