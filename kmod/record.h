/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_RECORD_H
#define CPR_RECORD_H

#include <linux/cleanup.h>
#include <linux/refcount.h>
#include <linux/time64.h>

#include "dma_table.h"
#include "identity.h"

struct cpr_wanted_vm;

/**
 * struct cpr_device - a device in a snapshot
 * @id: identity of the device, and the number of its table
 * @members: devices of its IOMMU group, @id.members of them
 * @hold: whether the module holds the device, see hold.c
 * @reason: why the device is not held; "" if it is, or if it should not be
 * @found: where the device is; all zeros unless @moved
 * @moved: the device is at another address than @id has
 */
struct cpr_device {
	struct cpr_catalog_device id;
	struct cpr_pci *members;
	enum cpr_device_hold hold;
	char reason[CPR_DEVICE_REASON_LEN];
	struct cpr_pci found;
	bool moved;
};

/**
 * struct cpr_dma - a snapshot of what a VM's devices can reach
 * @refs: references
 * @nr_tables: entries in @tables
 * @tables: one for each IOMMU domain
 * @nr_devices: entries in @devices
 * @devices: the devices
 * @wanted: what wanted.c has of the snapshot of a held VM, or NULL
 */
struct cpr_dma {
	refcount_t refs;
	u32 nr_tables;
	struct cpr_dma_table *tables;
	u32 nr_devices;
	struct cpr_device *devices;
	struct cpr_wanted_vm *wanted;
};

/**
 * struct cpr_vm - a handover unit
 * @state: never CPR_VM_STATE_DEFINED: a VM that is only defined has no record
 * @inherited: an earlier kernel sealed the VM
 * @since: when it entered @state
 * @kernel: release of the kernel that ran then
 * @digests: of its files when it was sealed; none in a state in which they change
 * @dma: the snapshot, or NULL
 * @changes: counts steps, snapshots and mappings, after each of which the devices may
 *	reach other memory than before
 * @verified: @changes when the devices were last found to reach what @dma has; 0 if never
 */
struct cpr_vm {
	enum cpr_vm_state state;
	bool inherited;
	struct timespec64 since;
	char kernel[CPR_IMAGE_KERNEL_LEN];
	struct cpr_digests digests;
	struct cpr_dma *dma;
	u64 changes;
	u64 verified;
};

struct cpr_dma *cpr_dma_new(u32 tables, u32 devices);
struct cpr_dma *cpr_dma_get(struct cpr_dma *dma);
void cpr_dma_put(struct cpr_dma *dma);
u64 cpr_dma_catalog_size(const struct cpr_dma *dma);

DEFINE_FREE(cpr_dma, struct cpr_dma *, cpr_dma_put(_T))

struct cpr_vm *cpr_vm_new(void);
void cpr_vm_free(struct cpr_vm *vm);
u64 cpr_vm_catalog_size(const struct cpr_vm *vm);

#endif /* CPR_RECORD_H */
