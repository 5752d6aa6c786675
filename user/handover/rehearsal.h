/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rehearsing the load of a state: while the QEMU that has written the state waits in
 * postmigrate, the next QEMU loads it, with the guest stopped. It maps the guest's memory
 * privately, from files opened read-only, and is killed afterwards. So neither the memory
 * nor the disks change. As to start a QEMU takes longer than to load the state, it is
 * started while the guest still runs.
 */
#ifndef CPR_REHEARSAL_H
#define CPR_REHEARSAL_H

#include "base/deadline.h"
#include "qemu/rehearsalargs.h"
#include "vm/vm.h"

/**
 * struct rehearsal - a QEMU that waits for a state
 * @plan: its command line, or a note why there is no rehearsal
 * @qemu: QEMU_NONE without one
 * @ms: how long its start has taken
 */
struct rehearsal {
	struct rehearsal_plan plan;
	struct qemu qemu;
	int64_t ms;
};

/**
 * rehearsal_obstacle - why the load of a VM's state cannot be rehearsed
 * @vm: with its manifest
 *
 * Returns: the reason, which the caller frees; NULL if nothing is known against a rehearsal
 * while the guest runs.
 */
char *rehearsal_obstacle(struct vm *vm);

/**
 * rehearsal_begin - start the QEMU that is to load a state
 * @vm: attached, with its manifest, and "cpu" and "process" in it
 * @binary: path of that QEMU
 * @deadline: for its start
 * @rehearsal: end it with rehearsal_end() in any case
 *
 * Returns: 0, also if a rehearsal is impossible, see its plan; a refusal with exit status 4 if
 * the QEMU does not start with the guest's devices and CPU; -EINTR on a signal.
 */
int rehearsal_begin(struct vm *vm, const char *binary, deadline_t deadline,
		    struct rehearsal *rehearsal, struct err *err);

/**
 * rehearsal_perform - make that QEMU load a state, and end it
 * @binary: its path
 * @state: path of the state file
 * @runstate: of the guest before the save
 * @deadline: for the load
 * @saved: gets "rehearsed": true and "rehearsal": {"ms", "memory_bytes"}, or
 *	"rehearsal_note" if a rehearsal turns out to be impossible
 *
 * Returns: 0, also if a rehearsal is impossible; a refusal with exit status 4 and QEMU's
 * last lines if QEMU cannot load the state; -EINTR on a signal.
 */
int rehearsal_perform(struct rehearsal *rehearsal, const char *binary, const char *state,
		      const char *runstate, deadline_t deadline, struct json_object *saved,
		      struct err *err);

/* May be repeated. */
void rehearsal_end(struct rehearsal *rehearsal);

#endif
