/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_MEMORY_H
#define CPR_MEMORY_H

#include "cpr_internal.h"
#include "dma_table.h"
#include "tree.h"

/**
 * struct cpr_memory - where the memory of a VM is
 * @runs: runs of the memory files: iova is the offset in the file, class the number
 *	of the file among the names in the directory
 * @frames: bitmap of the frames
 * @bytes: sum of the sizes of the files
 * @geo: geometry of the region
 * @owner: the same memory, for cpr_dma_owned()
 */
struct cpr_memory {
	struct cpr_dma_table runs;
	unsigned long *frames;
	u64 bytes;
	struct cpr_geometry geo;
	struct cpr_dma_owner owner;
};

int cpr_memory_get(struct cpr *c, const struct cpr_node *dir, struct cpr_memory *m);
void cpr_memory_free(struct cpr_memory *m);

#endif /* CPR_MEMORY_H */
