/* SPDX-License-Identifier: GPL-2.0-only */
/* That the QEMU which is to load a state can: by what it says, and on trial. */
#ifndef CPR_PROOF_H
#define CPR_PROOF_H

#include "vm/vm.h"
#include "handover/fit.h"

/**
 * struct proof - what a state is to be held against before it counts
 * @no_rehearse: do not have it loaded on trial
 * @rehearse: refuse a VM for which that cannot be
 * @fit: the QEMU that will load it; fit_free() it
 * @deadline: for the trial
 */
struct proof {
	bool no_rehearse;
	bool rehearse;
	struct fit fit;
	deadline_t deadline;
};

/**
 * proof_prepare - all that can be asked of the next QEMU while the guest still runs
 * @qemu: its path; NULL: the one that the guest runs in, as that is on disk now
 *
 * Returns: 0; an error, with exit status 4, if it cannot load the guest.
 */
int proof_prepare(struct vm *vm, const char *qemu, struct proof *proof, struct err *err);

/**
 * proof_find - see that the next QEMU can load a state
 * @state: the file; not looked at if a command has the state
 * @runstate: of the guest before the save
 * @found: gets what is to be remembered of that, as in "saved" of the manifest
 */
int proof_check(struct vm *vm, const char *state, const char *runstate,
		const struct proof *proof, struct json_object *found, struct err *err);

/* Put that into "saved"; what was found before goes. */
void proof_record(struct vm *vm, struct json_object *found);

/* Copy what "saved" records of the proof to the result of a save. */
void proof_report(struct vm *vm, struct json_object *result);

#endif
