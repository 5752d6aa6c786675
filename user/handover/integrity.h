/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What proves that the files of a VM are what was sealed: digests in the module's
 * catalog, committed with the step that seals it.
 *
 * The manifest's is always there, and the manifest has that of the state. The
 * memory's is there if "saved" asks for it ("digest_ram").
 */
#ifndef CPR_INTEGRITY_H
#define CPR_INTEGRITY_H

#include "vm/vm.h"

/**
 * integrity_commit - seal a VM, or unclaim it, with the digests of its files
 * @vm: its QEMU is gone
 * @cmd: CPR_CMD_VM_SEAL, or CPR_CMD_VM_UNCLAIM, which renews the digests that the VM
 *	has: a manifest may have been written, and KVM writes its wall clock into the
 *	guest's memory when QEMU loads a CPU
 *
 * Waits a while for the kernel to let go of the memory. Cannot be interrupted.
 * Returns: 0 or -errno; then the VM is in the state that it was in.
 */
int integrity_commit(struct vm *vm, int cmd, struct err *err);

/**
 * integrity_check_manifest - compare the manifest with the digest on record
 *
 * Before a word of it is believed. Returns: 0; -EUCLEAN if it differs, or if there
 * is no digest to compare it with.
 */
int integrity_check_manifest(struct vm *vm, struct err *err);

/**
 * integrity_check_memory - compare the memory with the digest on record
 *
 * Can be interrupted. Returns: 0, also if there is no digest; -EUCLEAN if it
 * differs; -EINTR.
 */
int integrity_check_memory(struct vm *vm, struct err *err);

/* {"manifest", "ram"}, null where there is none; NULL without any. */
struct json_object *integrity_json(const struct vm_digests *digests);

#endif
