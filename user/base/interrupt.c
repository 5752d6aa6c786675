// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <poll.h>

#include "base/interrupt.h"

static volatile sig_atomic_t arrived;
static sigset_t original;
static sigset_t allowed;	/* mask of an interruptible wait */
static sigset_t open_mask;	/* the same, or the full mask while signals are deferred */
static bool disabled;

static void on_signal(int sig)
{
	arrived = sig;
}

void interrupt_init(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&block, signals[i]);
	sigprocmask(SIG_BLOCK, &block, &original);
	open_mask = original;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction old;

		sigaction(signals[i], NULL, &old);
		if (old.sa_handler == SIG_IGN)
			continue;
		sigaction(signals[i], &sa, NULL);
		sigdelset(&open_mask, signals[i]);
	}
	allowed = open_mask;
	signal(SIGPIPE, SIG_IGN);
}

const sigset_t *interrupt_mask(void)
{
	return &open_mask;
}

bool interrupted(void)
{
	return arrived && !disabled;
}

bool interrupt_arrived(void)
{
	static const struct timespec now;

	ppoll(NULL, 0, &now, &open_mask);
	return interrupted();
}

bool interrupt_defer(bool defer)
{
	bool was = disabled;

	disabled = defer;
	open_mask = allowed;
	if (defer)
		sigprocmask(SIG_BLOCK, NULL, &open_mask);
	return was;
}

void interrupt_disable(void)
{
	interrupt_defer(true);
}

const sigset_t *interrupt_original_mask(void)
{
	return &original;
}
