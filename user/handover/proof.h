/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Proof that the next QEMU can load a state: by its answers, see fit.h, and by a rehearsal,
 * see rehearsal.h.
 */
#ifndef CPR_PROOF_H
#define CPR_PROOF_H

#include "vm/vm.h"
#include "handover/fit.h"
#include "handover/rehearsal.h"

/**
 * struct proof - what a state has to pass before it counts as saved
 * @no_rehearse: without a rehearsal
 * @rehearse: refuse a VM that cannot be rehearsed
 * @fit: the QEMU that will load the state
 * @rehearsal: that QEMU, once it waits for the state
 * @deadline: for the rehearsal
 */
struct proof {
	bool no_rehearse;
	bool rehearse;
	struct fit fit;
	struct rehearsal rehearsal;
	deadline_t deadline;
};

/**
 * proof_prepare - query the next QEMU while the guest still runs
 * @vm: with its manifest
 * @qemu: path of the next QEMU; NULL: the binary in the manifest, as it is on disk now
 * @proof: gets @fit; end it with proof_end() in any case
 *
 * Returns: 0; -EINTR; a refusal with exit status 4 if that QEMU cannot load the guest, or if
 * a rehearsal is required and impossible.
 */
int proof_prepare(struct vm *vm, const char *qemu, struct proof *proof, struct err *err);

/**
 * proof_begin - have the next QEMU wait for the state, if there is to be a rehearsal
 * @vm: attached, with its manifest, see rehearsal_begin()
 *
 * Returns: 0; -EINTR; or a refusal with exit status 4.
 */
int proof_begin(struct vm *vm, struct proof *proof, struct err *err);

/**
 * proof_check - check that the next QEMU can load a state
 * @vm: attached, with its manifest; its QEMU is in postmigrate
 * @proof: after proof_begin()
 * @state: path of the state file; unused if a command has the state
 * @runstate: of the guest before the save
 * @found: gets "qemu", and "rehearsed" and "rehearsal", or "rehearsal_note", as in "saved" of
 *	the manifest
 *
 * Returns: 0; -EINTR; or a refusal with exit status 4.
 */
int proof_check(struct vm *vm, const char *state, const char *runstate, struct proof *proof,
		struct json_object *found, struct err *err);

/* End the QEMU that waits, if proof_check() has not. May be repeated. */
void proof_end(struct proof *proof);

/* Copy @found to "saved", and remove from there what an earlier proof has found. */
void proof_record(struct vm *vm, struct json_object *found);

/* Copy what "saved" records of the proof to the result of a save. */
void proof_report(struct vm *vm, struct json_object *result);

#endif
