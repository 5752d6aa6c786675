/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that the passed-through devices of a VM can reach, before and after a kexec.
 *
 * QEMU is frozen while the module reads it: the kernel frees page tables of an IOMMU as soon
 * as their mappings are removed, and nothing that a module could hold prevents that.
 */
#ifndef CPR_DMA_H
#define CPR_DMA_H

#include "vm/vm.h"

/**
 * dma_prove - have the module record the memory, and look at every page of it
 * @vm: the VM, with its QEMU attached
 *
 * For a guest that still runs: without an IOMMU of its own, it does not change what its
 * devices reach. QEMU is frozen for some ms at a time, and runs for as long in between.
 * Sets @vm->proven, or, if the module finds a page that differs, @vm->full. Does nothing
 * for a guest with an IOMMU, or if @vm->full or @vm->proven is set.
 *
 * Returns: 0, or as dma_snapshot(); -EINTR.
 */
int dma_prove(struct vm *vm, struct err *err);

/**
 * dma_snapshot - have the module record the memory that the devices can reach
 * @vm: the VM, with its QEMU attached
 *
 * After dma_prove(), that record is kept if both ends of every 2 MiB are still what they
 * were. If not, every page is looked at.
 *
 * Also checks that QEMU has as many devices as the manifest names, and has them alone.
 * Returns: 0, also for a VM without devices; -EOPNOTSUPP with exit status 4 if QEMU has more
 * or fewer devices; an error of freeze_begin() or vfio_check_shared(); or the error of the
 * module.
 */
int dma_snapshot(struct vm *vm, struct err *err);

/**
 * dma_verify - have the module compare that record with the memory reachable now
 * @vm: the VM, with its QEMU attached
 *
 * Sets "verified" in vm->manifest if the module has compared, with any result. The caller
 * writes the manifest, but not while the VM is restoring, unless the next step is to
 * unclaim the VM: see integrity.h. Returns: 0 if nothing differs or the VM has no devices;
 * -EIO, with the first ranges that differ in @err, if something differs; -EOPNOTSUPP as
 * dma_snapshot(); or the error of the module.
 */
int dma_verify(struct vm *vm, struct err *err);

#endif
