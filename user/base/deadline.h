/* SPDX-License-Identifier: GPL-2.0-only */
/* Deadlines, so that no wait is unbounded. */
#ifndef CPR_DEADLINE_H
#define CPR_DEADLINE_H

#include "base/util.h"

/* A point in time: milliseconds on CLOCK_MONOTONIC. */
typedef int64_t deadline_t;

deadline_t now_ms(void);

/**
 * deadline_in - the deadline @seconds from now
 * @seconds: multiplied by $CPR_TIMEOUT_SCALE (a number from 0.01 to 1000), for
 *	emulated hosts, which are slow
 */
deadline_t deadline_in(double seconds);

/* Milliseconds until @deadline, as a timeout for poll(2); 0 once it has passed. */
int deadline_left(deadline_t deadline);

/* The earlier of @deadline and @ms milliseconds from now. */
deadline_t deadline_cap(deadline_t deadline, int ms);

#endif
