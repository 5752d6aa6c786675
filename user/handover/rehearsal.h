/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rehearsing the load of a state: while the QEMU that has written the state waits in
 * postmigrate, the next QEMU loads it, with the guest stopped. It maps the guest's memory
 * privately, from files opened read-only, and is killed afterwards. So neither the memory
 * nor the disks change.
 */
#ifndef CPR_REHEARSAL_H
#define CPR_REHEARSAL_H

#include "base/deadline.h"
#include "vm/vm.h"

/**
 * rehearsal_obstacle - why the load of a VM's state cannot be rehearsed
 * @vm: with its manifest
 *
 * Returns: the reason, which the caller frees; NULL if nothing is known against a rehearsal
 * while the guest runs.
 */
char *rehearsal_obstacle(struct vm *vm);

/**
 * rehearsal_perform - make a QEMU load a state
 * @vm: attached; its QEMU is in postmigrate
 * @binary: path of the QEMU that loads
 * @state: path of the state file
 * @runstate: of the guest before the save
 * @deadline: for the load
 * @saved: gets "rehearsed": true and "rehearsal": {"ms", "memory_bytes"}, or
 *	"rehearsal_note" if a rehearsal turns out to be impossible
 *
 * Returns: 0, also if a rehearsal is impossible; a refusal with exit status 4 and QEMU's
 * last lines if QEMU cannot load the state; -EINTR on a signal.
 */
int rehearsal_perform(struct vm *vm, const char *binary, const char *state, const char *runstate,
		      deadline_t deadline, struct json_object *saved, struct err *err);

#endif
