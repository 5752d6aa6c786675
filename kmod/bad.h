/* SPDX-License-Identifier: GPL-2.0-only */
/* The pages of a region that have memory errors. Pure C. */
#ifndef CPR_BAD_H
#define CPR_BAD_H

#include "port.h"
#include <linux/cpr_image.h>

#define CPR_PAGES_PER_FRAME	(CPR_IMAGE_FRAME_SIZE / CPR_IMAGE_BLOCK_SIZE)

/**
 * struct cpr_bad_run - pages that follow each other
 * @page: the first page, counted from the start of the region
 * @count: number of pages
 */
struct cpr_bad_run {
	u64 page;
	u64 count;
};

/**
 * struct cpr_bad - all bad pages of a region
 * @nr: runs in use
 * @run: in ascending order; they neither overlap nor touch each other
 */
struct cpr_bad {
	u32 nr;
	struct cpr_bad_run run[CPR_IMAGE_BAD_MAX];
};

int cpr_bad_add(struct cpr_bad *bad, u64 page, u64 count);
bool cpr_bad_find(const struct cpr_bad *bad, u64 page, u64 count, u64 *first);
u64 cpr_bad_count(const struct cpr_bad *bad, u64 page, u64 count);

#endif /* CPR_BAD_H */
