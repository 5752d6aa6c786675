/* SPDX-License-Identifier: GPL-2.0-only */
/* A point in time by several clocks, to measure durations across a kexec. */
#ifndef CPR_INSTANT_H
#define CPR_INSTANT_H

#include "base/util.h"

/**
 * struct instant - a point in time
 * @boot: boot_id of the running kernel; "" if it cannot be read
 * @up_us: CLOCK_BOOTTIME, microseconds: exact, but each kernel starts it at 0
 * @wall_us: CLOCK_REALTIME, microseconds: continues across a kexec, but may be set
 * @tsc: the TSC, which continues across a kexec. Linux writes the boot CPU's TSC once,
 *	in the first kernel; the next kernel finds the value that it needs and leaves it.
 * @steady: @tsc is usable as a clock: the CPU guarantees that it never stops and has
 *	a constant rate (constant_tsc and nonstop_tsc in /proc/cpuinfo)
 */
struct instant {
	char boot[37];
	int64_t up_us;
	int64_t wall_us;
	uint64_t tsc;
	bool steady;
};

void instant_now(struct instant *now);

/**
 * tsc_hz - the rate of the TSC
 * @wait: wait until the measurement is long enough
 *
 * Measures against CLOCK_MONOTONIC_RAW since the first call of this function, with an
 * error below 0.1 %. Returns: Hz, or 0 if the rate cannot be measured or, without
 * @wait, if the time since the first call is too short.
 */
int64_t tsc_hz(bool wait);

#endif
