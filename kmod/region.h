/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_REGION_H
#define CPR_REGION_H

#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/pfn.h>
#include <linux/types.h>

#include <uapi/linux/cpr_image.h>

/**
 * struct cpr_region - the claimed physical range
 * @start: physical address
 * @size: bytes
 * @base: kernel address of the range
 * @pgmap: provides the struct pages, one folio a frame
 * @mapping: mapping of each folio that no file maps, see region.c
 * @failed: called when a page, counted from @start, has a memory error; may sleep
 */
struct cpr_region {
	u64 start;
	u64 size;
	void *base;
	struct dev_pagemap pgmap;
	struct address_space mapping;
	int (*failed)(struct cpr_region *r, u64 page);
};

static inline void *cpr_region_address(const struct cpr_region *r, u32 frame)
{
	return r->base + ((u64)frame << CPR_IMAGE_FRAME_SHIFT);
}

static inline unsigned long cpr_region_pfn(const struct cpr_region *r, u32 frame)
{
	return PHYS_PFN(r->start) +
	       ((unsigned long)frame << (CPR_IMAGE_FRAME_SHIFT - PAGE_SHIFT));
}

static inline struct folio *cpr_region_folio(const struct cpr_region *r, u32 frame)
{
	return pfn_folio(cpr_region_pfn(r, frame));
}

extern const struct address_space_operations cpr_region_aops;

int cpr_region_check_kernel(void);
int cpr_region_parse(const char *option, u64 *start, u64 *size);
int cpr_region_find(u64 *start, u64 *size);
int cpr_region_claim(struct cpr_region *r, u64 start, u64 size);
void cpr_region_release(struct cpr_region *r);
bool cpr_region_frame_pinned(const struct cpr_region *r, u32 frame);
void cpr_region_set_mapping(struct cpr_region *r, u32 frame,
			    struct address_space *mapping, pgoff_t index);
void cpr_region_wait_unlocked(const struct cpr_region *r, u32 frame);
void cpr_region_unmap(struct cpr_region *r, u32 frame);

#endif /* CPR_REGION_H */
