/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SIGINT, SIGTERM and SIGHUP take effect only where a command waits and can go
 * back; everywhere else they are kept until such a place, or the end.
 */
#ifndef CPR_INTERRUPT_H
#define CPR_INTERRUPT_H

#include <signal.h>

#include "base/util.h"

/* Block the signals from here on. Call once. */
void interrupt_init(void);

/* The signal mask for ppoll(2) where interruption is welcome. */
const sigset_t *interrupt_mask(void);

/* Whether one arrived. */
bool interrupted(void);

/* The same, where nobody has waited: one that is pending counts. */
bool interrupt_arrived(void);

/* Ignore them meanwhile, or no longer: one that came is kept. Returns what it was. */
bool interrupt_defer(bool defer);

/* From here on there is no way back: they are blocked, and forgotten. */
void interrupt_disable(void);

/* The signal mask that the program was started with, for children. */
const sigset_t *interrupt_original_mask(void);

#endif
