/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Restoring a VM: a new QEMU loads the saved state, onto the memory that has stayed in the
 * region, and resumes the guest.
 *
 * Before the guest is resumed nothing is removed: after any failure the VM is sealed as
 * before, and can be restored again.
 */
#ifndef CPR_RESTORE_H
#define CPR_RESTORE_H

#include "handover/restorable.h"

/* Whether restore_vm() has something to do for this VM. */
bool restore_wanted(const struct cpr_vm *vm);

/**
 * restore_check - run those checks of restore_vm() that need no QEMU
 *
 * Changes nothing. Returns: 0; -EBUSY with exit status 5 if there is nothing to restore;
 * or what restore_vm() would return.
 */
int restore_check(struct vm *vm, const struct restore_opts *opts, struct err *err);

/**
 * restore_vm - start a new QEMU, load the saved state and resume the guest
 * @vm: sealed or held, or in any state in which an earlier restore was killed; cprfs is
 *	mounted
 * @result: gets "ms" (to load the state and resume), "pid", "runstate", "pause" as in
 *	pause.h, and "clock_set" if the guest has an agent
 *
 * Returns: 0; -EBUSY with exit status 5 if there is nothing to restore; -EUCLEAN if a file
 * is not as it was sealed; a refusal with exit status 3, 4 or 5 if the QEMU, a disk or a
 * device is missing, has changed or is in use; -EIO if the devices reach other memory than
 * before; -ETIMEDOUT; -EINTR on a signal before the guest is resumed; or another errno.
 */
int restore_vm(struct vm *vm, const struct restore_opts *opts, struct json_object *result,
	       struct err *err);

/**
 * restore_finish - complete a restore that was killed after it had pinned the VM
 * @vm: running, attached, with its manifest
 * @result: as of restore_vm(), but for "ms"
 *
 * Returns: 0; -EBUSY with exit status 5 if not a restore but a save was killed; or
 * another errno.
 */
int restore_finish(struct vm *vm, struct json_object *result, struct err *err);

#endif
