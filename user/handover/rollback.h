/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rolling back a save, from whatever point it has reached: QEMU gets its settings back, and
 * the guest runs if it ran before. For a save that fails, and for abort.
 */
#ifndef CPR_ROLLBACK_H
#define CPR_ROLLBACK_H

#include "vm/vm.h"

/**
 * rollback_save - roll back a save that has failed
 * @vm: attached, with its manifest
 * @runstate: of the guest before the save
 * @code: the errno that the save failed with
 * @err: gets the last lines of QEMU's log
 *
 * Never fails: what cannot be rolled back is printed as a note, and left as it is for
 * abort_vm(), with all that abort_vm() needs to know.
 */
void rollback_save(struct vm *vm, const char *runstate, int code, struct err *err);

/**
 * rollback_migration - wait until QEMU has no migration under way, and reset its settings
 * @vm: attached, with its manifest
 * @status: runstate of the guest then, owned by the caller; NULL after an error
 *
 * Removes "previous" from the manifest, in memory only. Returns: 0; -ETIMEDOUT if the
 * migration does not end, and nothing is changed; or another errno.
 */
int rollback_migration(struct vm *vm, char **status, struct err *err);

/**
 * rollback_suspended - roll back the save of a guest that is suspended to RAM
 * @vm: attached, with its manifest, no migration under way
 * @result: as of restore_vm(), if the guest was restored; untouched if it was only woken
 *
 * In postmigrate QEMU aborts on "cont" for a suspended guest. So this QEMU quits, and
 * another one loads the state. If no state was written, the guest is woken in this QEMU if
 * the save had suspended it.
 *
 * Cannot be interrupted. Returns: 0; or -errno, and the guest stays suspended.
 */
int rollback_suspended(struct vm *vm, struct json_object *result, struct err *err);

/**
 * rollback_by_restore - roll back the save of a VM whose QEMU has ended
 * @vm: in any state that restore_vm() accepts, or saved without a QEMU; with its manifest
 * @result: as of restore_vm()
 *
 * Starts the QEMU that the guest ran in, if its binary is still there; otherwise the one
 * that the VM was saved for. Returns: as restore_vm().
 */
int rollback_by_restore(struct vm *vm, struct json_object *result, struct err *err);

#endif
