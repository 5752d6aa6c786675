/* SPDX-License-Identifier: GPL-2.0-only */
/* Tables of what a device can reach. Pure C. */
#ifndef CPR_DMA_TABLE_H
#define CPR_DMA_TABLE_H

#include "catalog.h"
#include <linux/cpr.h>

/**
 * struct cpr_dma_table - extents, in ascending order of iova
 * @extents: the extents
 * @nr: extents in use
 * @room: entries in @extents
 */
struct cpr_dma_table {
	struct cpr_dma_extent *extents;
	u32 nr;
	u32 room;
};

/**
 * struct cpr_dma_sum - sums over a table
 * @extents: number of extents of each class, by enum cpr_image_dma_class
 * @bytes: bytes of these extents
 */
struct cpr_dma_sum {
	u32 extents[CPR_IMAGE_DMA_RAM + 1];
	u64 bytes[CPR_IMAGE_DMA_RAM + 1];
};

/**
 * struct cpr_dma_diff - a range that differs between two tables
 * @kind: how it differs
 * @iova: first I/O virtual address
 * @length: bytes
 * @expected: recorded physical address; valid unless @kind is EXTRA, or FOREIGN and
 *	zero
 * @found: current physical address; valid unless @kind is MISSING
 */
struct cpr_dma_diff {
	enum cpr_difference_kind kind;
	u64 iova;
	u64 length;
	u64 expected;
	u64 found;
};

/**
 * struct cpr_dma_owner - memory of a VM
 * @geo: geometry of the region
 * @frames: bitmap of the frames of the VM's memory
 * @bytes: of these frames
 */
struct cpr_dma_owner {
	const struct cpr_geometry *geo;
	const unsigned long *frames;
	u64 bytes;
};

int cpr_dma_table_add(struct cpr_dma_table *t, const struct cpr_dma_extent *e);
void cpr_dma_table_free(struct cpr_dma_table *t);
void cpr_dma_table_sum(const struct cpr_dma_table *t, struct cpr_dma_sum *sum);

bool cpr_dma_in_region(const struct cpr_geometry *geo, u64 phys);
bool cpr_dma_owned(const struct cpr_dma_owner *owner, u64 phys, u64 length);
bool cpr_dma_table_fits(const struct cpr_dma_table *t, const struct cpr_dma_owner *owner);
const struct cpr_dma_extent *cpr_dma_table_foreign(const struct cpr_dma_table *t,
						   const struct cpr_dma_owner *owner);

int cpr_dma_table_clip(const struct cpr_dma_table *t, u64 start, u64 end,
		       struct cpr_dma_table *part);

u32 cpr_dma_compare(const struct cpr_dma_table *before, const struct cpr_dma_table *now,
		    const struct cpr_dma_owner *owner,
		    void (*report)(void *data, const struct cpr_dma_diff *diff), void *data);

int cpr_dma_reached(const struct cpr_dma_table *t, struct cpr_dma_table *reached);
u64 cpr_dma_gap(const struct cpr_dma_table *reached, u64 phys, u64 end, u64 *gap);

#endif /* CPR_DMA_TABLE_H */
