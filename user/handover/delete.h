/* SPDX-License-Identifier: GPL-2.0-only */
/* Deleting a VM: its memory, its files and its saved state; its devices return to the host. */
#ifndef CPR_DELETE_H
#define CPR_DELETE_H

#include "vm/vm.h"

/**
 * delete_check - check that a VM can be deleted
 * @vm: its QEMU is attached if one runs
 * @force: also if a saved guest is lost
 *
 * Changes nothing. Returns: 0; -EBUSY with exit status 5 if the VM's QEMU runs, its memory
 * is mapped, or a saved guest would be lost; or another errno.
 */
int delete_check(struct vm *vm, bool force, struct err *err);

/**
 * delete_vm - delete a VM, after delete_check()
 *
 * Mounts cprfs if it is not mounted. Returns: as delete_check(); or another errno, with
 * exit status 6 if some of the VM's files are removed.
 */
int delete_vm(struct vm *vm, bool force, struct err *err);

#endif
