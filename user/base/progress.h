/* SPDX-License-Identifier: GPL-2.0-only */
/* Progress of a long operation: one line on stderr, if stderr is a terminal. */
#ifndef CPR_PROGRESS_H
#define CPR_PROGRESS_H

#include "base/deadline.h"

/**
 * struct progress - a long operation
 * @what: name of the operation, printed before the numbers; not copied
 * @total: bytes to process
 * @begin: time at which the operation began
 * @next: time at which to redraw the line
 * @drawn: a line is on the terminal
 */
struct progress {
	const char *what;
	uint64_t total;
	deadline_t begin;
	deadline_t next;
	bool drawn;
};

/* Begin. Nothing is drawn for an operation that takes less than a second. */
struct progress progress_begin(const char *what, uint64_t total);

/* Report that @done bytes are processed. Frequent calls are cheap. */
void progress_show(struct progress *p, uint64_t done);

/* Erase the line. */
void progress_end(struct progress *p);

/* "12 GiB of 64 GiB, 18%, 9 s left" after @ms milliseconds. Static buffer, as fmt(). */
const char *progress_text(uint64_t done, uint64_t total, int64_t ms);

#endif
