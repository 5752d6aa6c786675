// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <limits.h>
#include <time.h>

#include "base/deadline.h"

deadline_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static double timeout_scale(void)
{
	const char *s = getenv("CPR_TIMEOUT_SCALE");
	double v = s ? strtod(s, NULL) : 1;

	return v >= 0.01 && v <= 1000 ? v : 1;
}

deadline_t deadline_in(double seconds)
{
	return now_ms() + (int64_t)(seconds * timeout_scale() * 1000);
}

int deadline_left(deadline_t deadline)
{
	int64_t left = deadline - now_ms();

	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

deadline_t deadline_cap(deadline_t deadline, int ms)
{
	deadline_t soon = now_ms() + ms;

	return soon < deadline ? soon : deadline;
}
