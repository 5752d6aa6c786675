/* SPDX-License-Identifier: GPL-2.0-only */
/* How far a long work is: one line on stderr, if that is a terminal. */
#ifndef CPR_PROGRESS_H
#define CPR_PROGRESS_H

#include "base/deadline.h"

/**
 * struct progress - a work under way
 * @what: it is, in words
 * @total: bytes to do
 * @begin: when it began
 * @next: when to draw the line again
 * @drawn: there is one
 */
struct progress {
	const char *what;
	uint64_t total;
	deadline_t begin;
	deadline_t next;
	bool drawn;
};

/* Begin; a work that is done within a second shows nothing. */
struct progress progress_begin(const char *what, uint64_t total);

/* @done bytes are done. Call as often as you like. */
void progress_show(struct progress *p, uint64_t done);

/* Take the line away. */
void progress_end(struct progress *p);

/* "12 GiB of 64 GiB, 18%, 9 s left" after @ms of work. Static buffer, as fmt(). */
const char *progress_text(uint64_t done, uint64_t total, int64_t ms);

#endif
