// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Records of VMs and snapshots
 *
 * How the record of a VM, and the snapshot of what its devices can reach, come to
 * life, are counted and are freed. vm.c decides what is in a VM's record, dma.c
 * what is in a snapshot; store.c reads and writes both.
 *
 * A VM holds a reference on its snapshot. Others hold references while they read
 * it without cpr->lock.
 *
 * Locking: cpr->lock for the record of a VM. A snapshot does not change any more
 * once a VM has it, but for @wanted, and for @hold, @reason, @found and @moved of its
 * devices: wanted.c writes them with cpr->lock and the mutex of hold.c held, so either of
 * the two is enough to read.
 */
#include <linux/slab.h>

#include "record.h"

static void record_free_dma(struct cpr_dma *dma)
{
	for (u32 i = 0; i < dma->nr_tables; i++)
		cpr_dma_table_free(&dma->tables[i]);
	for (u32 i = 0; i < dma->nr_devices; i++)
		kvfree(dma->devices[i].members);
	kvfree(dma->tables);
	kvfree(dma->devices);
	kfree(dma);
}

/**
 * cpr_dma_new - allocate an empty snapshot
 * @tables: room for tables
 * @devices: room for devices
 *
 * Return: the snapshot with one reference, or NULL without memory.
 */
struct cpr_dma *cpr_dma_new(u32 tables, u32 devices)
{
	struct cpr_dma *dma = kzalloc(sizeof(*dma), GFP_KERNEL);

	if (!dma)
		return NULL;
	refcount_set(&dma->refs, 1);
	dma->tables = kvcalloc(tables, sizeof(*dma->tables), GFP_KERNEL);
	dma->devices = kvcalloc(devices, sizeof(*dma->devices), GFP_KERNEL);
	if (dma->tables && dma->devices)
		return dma;
	cpr_dma_put(dma);
	return NULL;
}

/**
 * cpr_dma_get - take a reference on a snapshot
 * @dma: the snapshot
 *
 * Return: @dma.
 */
struct cpr_dma *cpr_dma_get(struct cpr_dma *dma)
{
	refcount_inc(&dma->refs);
	return dma;
}

/**
 * cpr_dma_put - drop a reference on a snapshot
 * @dma: the snapshot, or NULL
 */
void cpr_dma_put(struct cpr_dma *dma)
{
	if (dma && refcount_dec_and_test(&dma->refs))
		record_free_dma(dma);
}

/**
 * cpr_dma_catalog_size - bytes that a snapshot takes in the catalog
 * @dma: the snapshot, or NULL
 */
u64 cpr_dma_catalog_size(const struct cpr_dma *dma)
{
	u64 bytes = 0;

	if (!dma)
		return 0;
	for (u32 i = 0; i < dma->nr_tables; i++)
		bytes += cpr_catalog_dma_size(dma->tables[i].nr);
	for (u32 i = 0; i < dma->nr_devices; i++)
		bytes += cpr_catalog_device_size(dma->devices[i].id.members);
	return bytes;
}

/**
 * cpr_vm_new - allocate an empty record of a VM
 *
 * Return: the record, or NULL without memory.
 */
struct cpr_vm *cpr_vm_new(void)
{
	struct cpr_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL);

	/* Not 0, which @verified is. */
	if (vm)
		vm->changes = 1;
	return vm;
}

/**
 * cpr_vm_free - free the record of a VM
 * @vm: the record, or NULL
 */
void cpr_vm_free(struct cpr_vm *vm)
{
	if (!vm)
		return;
	cpr_dma_put(vm->dma);
	kfree(vm);
}

/**
 * cpr_vm_catalog_size - bytes that a VM takes in the catalog
 * @vm: the record
 */
u64 cpr_vm_catalog_size(const struct cpr_vm *vm)
{
	return sizeof(struct cpr_image_vm) + cpr_dma_catalog_size(vm->dma);
}
