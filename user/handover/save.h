/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Saving a VM: QEMU stops the guest and writes its state beside its memory. QEMU stays alive
 * in postmigrate, from where abort_vm() resumes the guest. If a save fails, the guest runs
 * on.
 */
#ifndef CPR_SAVE_H
#define CPR_SAVE_H

#include "handover/savable.h"

#define SAVE_TIMEOUT_S 120

/* Whether save_vm() accepts the state of this VM. */
bool save_wanted(const struct cpr_vm *vm);

/**
 * save_check - check that a VM can be saved, as far as possible while the guest runs
 * @bytes: what the save would take of the region; 0 unless the VM is in copy mode; may be
 *	NULL
 *
 * Returns: 0; or an error as of savable_check().
 */
int save_check(struct vm *vm, const struct save_opts *opts, uint64_t *bytes, struct err *err);

/**
 * save_vm - stop the guest, save its state and prove that it can be loaded
 * @vm: running; with @vm->hooked the caller has called hooks_before()
 * @result: gets "ms", "state_bytes", "runstate" (of the guest before), "pause" as in
 *	pause.h, "qemu", "rehearsal" or "rehearsal_note" as in the manifest, and "proven":
 *	false if a command has the state
 *
 * Returns: 0; an error as of savable_check(); -ETIMEDOUT; -EINTR on a signal; or another
 * errno. After an error the save is rolled back, see rollback_save().
 */
int save_vm(struct vm *vm, const struct save_opts *opts, struct json_object *result,
	    struct err *err);

#endif
