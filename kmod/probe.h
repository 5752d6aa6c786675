/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_PROBE_H
#define CPR_PROBE_H

#include "dma_table.h"
#include "memory.h"

struct iommu_domain;

/**
 * struct cpr_gap - memory of a VM that a domain does not translate to
 * @file: number of the file among the names in the VM's directory
 * @offset: in the file, in bytes
 * @length: bytes; 0 if there is no gap
 */
struct cpr_gap {
	u32 file;
	u64 offset;
	u64 length;
};

/**
 * struct cpr_window - a part of what cpr_probe() looks at
 * @start: first iova
 * @end: first iova after it
 * @next: where the next part starts; 0 if there is none
 */
struct cpr_window {
	u64 start;
	u64 end;
	u64 next;
};

void cpr_probe_window(const struct cpr_memory *m, u64 start, u64 length, u64 last,
		      struct cpr_window *w);
int cpr_probe_pages(struct iommu_domain *domain, const struct cpr_memory *m,
		    const struct cpr_window *w, struct cpr_dma_table *table);
int cpr_probe(struct iommu_domain *domain, const struct cpr_memory *m, bool full,
	      struct cpr_dma_table *table, struct cpr_gap *gap);

#endif /* CPR_PROBE_H */
