/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A rehearsal: while the QEMU that has written a state waits in postmigrate, the one
 * that is to load it does so once, with the guest stopped and its memory mapped
 * privately from files opened for reading only. Then it is killed. What it loaded, and
 * what it did to memory meanwhile, goes with it.
 */
#ifndef CPR_REHEARSAL_H
#define CPR_REHEARSAL_H

#include "base/deadline.h"
#include "vm/vm.h"

/**
 * rehearsal_hindrance - why there can be none for this VM
 *
 * Returns: the reason, which the caller frees; NULL if there can be one, as far as can
 * be told while the guest runs.
 */
char *rehearsal_obstacle(struct vm *vm);

/**
 * rehearse - have a QEMU load a state
 * @vm: attached; its QEMU is in postmigrate
 * @binary: the QEMU to try
 * @state: path of the state file
 * @runstate: that the guest had when it was saved
 * @saved: to add to: "rehearsed": true and "rehearsal": {"ms", "memory_bytes"}, or
 *	"rehearsal_note" if it turns out that there can be none
 *
 * Returns: 0, also without one; a refusal with exit status 4 and QEMU's words if it
 * could not load the state; -EINTR on a signal.
 */
int rehearsal_perform(struct vm *vm, const char *binary, const char *state, const char *runstate,
		      deadline_t deadline, struct json_object *saved, struct err *err);

#endif
