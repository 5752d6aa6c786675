/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sealing a saved VM: its QEMU quits, and the module commits digests of the VM's files and
 * lets nobody change them until the VM is restored. Only a sealed VM survives a kexec.
 */
#ifndef CPR_SEAL_H
#define CPR_SEAL_H

#include "vm/vm.h"

/**
 * seal_vm - quit the QEMU of a saved VM and seal the VM
 * @vm: in state "saved"; its QEMU is in postmigrate, or has ended there
 *
 * Cannot be interrupted. Returns: 0; or -errno, and the VM is still "saved", but its QEMU
 * may have quit.
 */
int seal_vm(struct vm *vm, struct err *err);

#endif
