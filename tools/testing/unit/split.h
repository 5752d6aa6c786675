/* SPDX-License-Identifier: GPL-2.0-only */
/* A command line as words, and as options of QEMU. */
#ifndef SPLIT_H
#define SPLIT_H

#include "ktap.h"
#include "qemu/qemuopt.h"

/* Spaces separate the words; no case needs one inside. */
static inline void split(const char *line, struct strv *out)
{
	_cleanup_free_ char *copy = xstrdup(line);
	char *next = copy, *word;

	while ((word = strsep(&next, " ")))
		if (*word)
			strv_push(out, word);
}

/* @argv gets the words that @opts refers to. */
static inline void parse(const char *line, struct strv *argv, struct qemuopts *opts)
{
	split(line, argv);
	CHECK_MSG(qemuopts_parse(argv, opts, NULL) == 0, "'%s'", line);
}

#endif
