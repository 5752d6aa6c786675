/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Aborting a handover: rolls back what a save, a seal or a restore has done, and the guest
 * runs on if it ran. Works wherever a helper or a QEMU was killed: the module's state, the
 * manifest and QEMU's runstate show how far the handover had come.
 */
#ifndef CPR_ABORT_H
#define CPR_ABORT_H

#include "vm/vm.h"

/* Whether abort_vm() has something to do. Does not ask the VM's QEMU. */
bool abort_wanted(const struct cpr_vm *vm);

/* The same before a save, which just repeats a question to QEMU that was interrupted. */
bool abort_comes_first(const struct cpr_vm *vm);

/* The same as an error: -EBUSY with exit status 5 if the VM is held, otherwise -ENOENT (3). */
int abort_check(struct vm *vm, struct err *err);

/**
 * abort_vm - roll back the handover of a VM
 * @vm: in any state
 * @result: gets "runstate" and "pause" as in pause.h; and all that restore_vm() adds, if
 *	the guest had to be restored
 *
 * A guest that was paused stays paused. Returns: 0; -ENOENT with exit status 3 if there is
 * nothing to roll back; -EBUSY with exit status 5 if the VM was saved under another
 * kernel; or another errno, and the VM can be aborted again.
 */
int abort_vm(struct vm *vm, struct json_object *result, struct err *err);

/* Unload the kernel that an update has loaded, so that no reboot jumps to it. False: none. */
bool abort_unload_kernel(void);

#endif
