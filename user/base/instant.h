/* SPDX-License-Identifier: GPL-2.0-only */
/* A moment, by every clock that may tell how long ago it was. */
#ifndef CPR_INSTANT_H
#define CPR_INSTANT_H

#include "base/util.h"

/**
 * struct instant - now
 * @boot: id of the kernel's boot
 * @up_us: CLOCK_BOOTTIME, microseconds: exact, and begins anew with each kernel
 * @wall_us: CLOCK_REALTIME, microseconds: goes on, and may be set meanwhile
 * @tsc: goes on over a kexec, and nobody sets it: Linux writes the boot CPU's
 *	once, in the first kernel, and finds it as it wants it in the next
 * @steady: @tsc can be trusted: the CPU promises that it always runs, and at one
 *	rate (constant_tsc and nonstop_tsc in /proc/cpuinfo)
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
 * tsc_hz - the rate of the TSC, measured since this program first called it
 * @wait: until that is long enough; otherwise the result may be 0
 *
 * By CLOCK_MONOTONIC_RAW, to better than 0.1 %. Returns: 0 if it cannot be.
 */
int64_t tsc_hz(bool wait);

#endif
