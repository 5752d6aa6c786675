/* SPDX-License-Identifier: GPL-2.0-only */
/* What the passed-through devices of a VM can reach, before and after. */
#ifndef CPR_DMA_H
#define CPR_DMA_H

#include "vm/vm.h"

/**
 * dma_snapshot - have the module record what the devices can reach
 * @vm: with its QEMU attached
 *
 * Also sees that QEMU has the devices that the manifest names, and no others.
 * Returns: 0, also for a VM without devices; -EOPNOTSUPP (exit 4) if QEMU has
 * other devices; what the module says.
 */
int dma_snapshot(struct vm *vm, struct err *err);

/**
 * dma_verify - have the module compare that with what they reach now
 *
 * The verdict goes to vm->manifest in any case. The caller writes that, but not while
 * the VM is restoring, unless the next step is to unclaim it: integrity.h. Returns:
 * 0 only if nothing differs, or there are no devices; -EIO with the first ranges that
 * differ.
 */
int dma_verify(struct vm *vm, struct err *err);

#endif
