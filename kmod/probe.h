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

int cpr_probe(struct iommu_domain *domain, const struct cpr_memory *m, bool full,
	      struct cpr_dma_table *table, struct cpr_gap *gap);

#endif /* CPR_PROBE_H */
