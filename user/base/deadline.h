/* SPDX-License-Identifier: GPL-2.0-only */
/* Every wait ends: points in time on the monotonic clock. */
#ifndef CPR_DEADLINE_H
#define CPR_DEADLINE_H

#include "base/util.h"

/* Milliseconds on the monotonic clock. */
typedef int64_t deadline_t;

deadline_t now_ms(void);

/**
 * deadline_in - the time some seconds from now
 * @seconds: multiplied by $CPR_TIMEOUT_SCALE (a number from 0.01 to 1000), for
 *	hosts that are slow because they are emulated
 */
deadline_t deadline_in(double seconds);

/* Milliseconds left for poll(2); 0 when it has passed. */
int deadline_left(deadline_t deadline);

/* The earlier of @deadline and @ms from now. */
deadline_t deadline_cap(deadline_t deadline, int ms);

#endif
