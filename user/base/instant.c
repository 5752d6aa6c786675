// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <stdio.h>
#include <time.h>

#include <x86intrin.h>

#include "base/instant.h"

#define NS_PER_S INT64_C(1000000000)
#define ENOUGH_NS (NS_PER_S / 100)		/* reading the clocks takes about 1 us */
#define TRIES 5

/* Plausible TSC rates. */
#define MIN_HZ INT64_C(100000000)
#define MAX_HZ INT64_C(20000000000)

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static uint64_t read_tsc(void)
{
	_mm_lfence();
	return __rdtsc();
}

static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = line; (at = strstr(at, word)); at += len)
		if (at > line && strchr(" \t", at[-1]) && strchr(" \n", at[len]))
			return true;
	return false;
}

/* All CPUs have the same flags, so those of the first suffice. */
static bool tsc_is_steady(void)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	_cleanup_free_ char *line = NULL;
	bool steady = false;
	size_t size = 0;

	if (!file)
		return false;
	while (getline(&line, &size, file) > 0) {
		if (!startswith(line, "flags"))
			continue;
		steady = has_word(line, "constant_tsc") && has_word(line, "nonstop_tsc");
		break;
	}
	fclose(file);
	return steady;
}

/* Read both clocks at the same time: of TRIES readings, use the fastest. */
static void read_clocks(uint64_t *tsc, int64_t *ns)
{
	int64_t least = INT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		int64_t before = clock_ns(CLOCK_MONOTONIC_RAW);
		uint64_t at = read_tsc();
		int64_t took = clock_ns(CLOCK_MONOTONIC_RAW) - before;

		if (took >= least)
			continue;
		least = took;
		*tsc = at;
		*ns = before + took / 2;
	}
}

int64_t tsc_hz(bool wait)
{
	static uint64_t first_tsc;
	static int64_t first_ns;
	uint64_t tsc;
	double hz;
	int64_t ns;

	if (!first_ns)
		read_clocks(&first_tsc, &first_ns);
	read_clocks(&tsc, &ns);
	while (wait && ns - first_ns < ENOUGH_NS) {
		usleep(5000);
		read_clocks(&tsc, &ns);
	}
	if (ns - first_ns < ENOUGH_NS || tsc <= first_tsc)
		return 0;
	hz = (double)(tsc - first_tsc) * NS_PER_S / (double)(ns - first_ns);
	return hz >= MIN_HZ && hz <= MAX_HZ ? (int64_t)hz : 0;
}

void instant_now(struct instant *now)
{
	static int steady = -1;
	_cleanup_free_ char *boot = read_text("/proc/sys/kernel/random/boot_id", 64);

	if (steady < 0)
		steady = tsc_is_steady();
	*now = (struct instant){
		.up_us = clock_ns(CLOCK_BOOTTIME) / 1000,
		.wall_us = clock_ns(CLOCK_REALTIME) / 1000,
		.tsc = read_tsc(), .steady = steady,
	};
	snprintf(now->boot, sizeof(now->boot), "%s", boot ? boot : "");
}
