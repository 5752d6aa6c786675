/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SIGINT, SIGTERM and SIGHUP are blocked except where a command waits and can roll
 * back. A signal that arrives elsewhere stays pending until such a wait.
 */
#ifndef CPR_INTERRUPT_H
#define CPR_INTERRUPT_H

#include <signal.h>

#include "base/util.h"

/* Block the signals. Call once. Also ignores SIGPIPE. */
void interrupt_init(void);

/* The signal mask for a ppoll(2) that the signals may interrupt. */
const sigset_t *interrupt_mask(void);

/* Whether a signal was delivered; false while signals are deferred. */
bool interrupted(void);

/* The same, but deliver pending signals first, for code that has not waited. */
bool interrupt_arrived(void);

/* Defer the signals, or no longer; none is lost. Returns: whether they were deferred. */
bool interrupt_defer(bool defer);

/* Past the point of no return: ignore the signals for good. */
void interrupt_disable(void);

/* The signal mask that the program was started with, to be set in child processes. */
const sigset_t *interrupt_original_mask(void);

#endif
