/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Digests in the module's catalog prove that the files of a VM are as they were when it was
 * sealed. The module commits them in the same step.
 *
 * The manifest always has a digest, and holds the digest of the state. The memory has one if
 * "saved" in the manifest asks for it ("digest_ram").
 */
#ifndef CPR_INTEGRITY_H
#define CPR_INTEGRITY_H

#include "vm/vm.h"

/**
 * integrity_commit - seal or unclaim a VM, with the digests of its files
 * @vm: its QEMU has ended
 * @cmd: CPR_CMD_VM_SEAL, or CPR_CMD_VM_UNCLAIM, which renews the VM's digests: the manifest
 *	may have been written, and KVM writes the wall clock into the guest's memory when
 *	QEMU loads a vCPU
 *
 * Waits for the kernel to unmap the memory of that QEMU. Other users of the VM's files, which
 * that QEMU may have passed to them, are revoked if vm->revoke is set. Cannot be interrupted.
 * Returns: 0; -EBUSY with exit status 5 if there are users, which are named; or another
 * negative errno. After an error the state of the VM has not changed.
 */
int integrity_commit(struct vm *vm, int cmd, struct err *err);

/**
 * integrity_check_manifest - compare the manifest with its digest, before it is parsed
 *
 * Returns: 0; -EUCLEAN if it differs, or if there is no digest.
 */
int integrity_check_manifest(struct vm *vm, struct err *err);

/**
 * integrity_check_memory - compare the memory with its digest
 * @vm: with its manifest
 *
 * Returns: 0, also if there is no digest; -EUCLEAN if the memory differs; -EINTR on a signal.
 */
int integrity_check_memory(struct vm *vm, struct err *err);

/* {"manifest", "ram"}, each null if absent; NULL if both are. The caller owns the object. */
struct json_object *integrity_json(const struct vm_digests *digests);

#endif
