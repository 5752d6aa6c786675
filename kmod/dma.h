/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_DMA_H
#define CPR_DMA_H

#include "cpr_internal.h"
#include "record.h"

struct file;
struct netlink_ext_ack;

/**
 * struct cpr_dma_request - a request to take or to verify a snapshot
 * @name: of the VM
 * @devices: PCI addresses; for a snapshot only
 * @nr_devices: entries in @devices
 * @files: files of VFIO, which show that the caller has the devices
 * @nr_files: entries in @files
 * @full: probe every page
 * @start: of the part to verify, page by page
 * @length: of the part; 0 for all
 */
struct cpr_dma_request {
	const char *name;
	const char *const *devices;
	u32 nr_devices;
	struct file *const *files;
	u32 nr_files;
	bool full;
	u64 start;
	u64 length;
};

/**
 * struct cpr_dma_report - the result of a request
 * @devices: in the snapshot
 * @extents: of all tables, that lead to the VM's memory
 * @bytes: of these extents
 * @next: where the next part to verify starts; 0 if there is none
 * @differences: ranges that differ from the snapshot
 * @first: the first ranges that differ
 */
struct cpr_dma_report {
	u32 devices;
	u32 extents;
	u64 bytes;
	u64 next;
	u32 differences;
	struct {
		struct cpr_pci device;
		struct cpr_dma_diff diff;
	} first[8];
};

void cpr_dma_sum(const struct cpr_dma *dma, struct cpr_dma_report *report);
int cpr_dma_snapshot(struct cpr *c, const struct cpr_dma_request *ask,
		     struct cpr_dma_report *report, struct netlink_ext_ack *extack);
int cpr_dma_verify(struct cpr *c, const struct cpr_dma_request *ask,
		   struct cpr_dma_report *report, struct netlink_ext_ack *extack);

#endif /* CPR_DMA_H */
