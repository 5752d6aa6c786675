// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Bad pages
 *
 * A table of the pages of 4 KiB that have memory errors. The table has a fixed size, so
 * that recording an error needs no memory and a commit always has room for the table.
 * A page never leaves the table: the table belongs to the memory, not to its owner.
 *
 * Locking: none here; the module calls with cpr->lock held.
 */
#include "bad.h"

static u64 bad_end(const struct cpr_bad_run *run)
{
	return run->page + run->count;
}

/* The first run that ends at @page or later; a run that ends there can be extended. */
static u32 bad_position(const struct cpr_bad *bad, u64 page)
{
	u32 low = 0, high = bad->nr;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (bad_end(&bad->run[middle]) < page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Replace @nr runs at @at by @run. */
static void bad_replace(struct cpr_bad *bad, u32 at, u32 nr, const struct cpr_bad_run *run)
{
	memmove(&bad->run[at + 1], &bad->run[at + nr],
		(bad->nr - at - nr) * sizeof(bad->run[0]));
	bad->run[at] = *run;
	bad->nr = bad->nr + 1 - nr;
}

/**
 * cpr_bad_add - add pages
 * @bad: the table
 * @page: the first page
 * @count: number of pages
 *
 * Return: 0, also if the pages are in the table already; -ENOSPC if the table is full.
 */
int cpr_bad_add(struct cpr_bad *bad, u64 page, u64 count)
{
	u32 at = bad_position(bad, page), last = at;
	struct cpr_bad_run all = { page, count };

	while (last < bad->nr && bad->run[last].page <= page + count)
		last++;
	if (last == at && bad->nr == CPR_IMAGE_BAD_MAX)
		return -ENOSPC;
	if (last > at) {
		all.page = min(page, bad->run[at].page);
		all.count = max(page + count, bad_end(&bad->run[last - 1])) - all.page;
	}
	bad_replace(bad, at, last - at, &all);
	return 0;
}

/**
 * cpr_bad_find - find the first bad page of a range
 * @bad: the table
 * @page: first page of the range
 * @count: number of pages
 * @first: set to the page that was found
 *
 * Return: false if there is none.
 */
bool cpr_bad_find(const struct cpr_bad *bad, u64 page, u64 count, u64 *first)
{
	u32 at = bad_position(bad, page + 1);

	if (at == bad->nr || bad->run[at].page >= page + count)
		return false;
	*first = max(page, bad->run[at].page);
	return true;
}

/**
 * cpr_bad_count - number of bad pages in a range
 * @bad: the table
 * @page: first page of the range
 * @count: number of pages
 */
u64 cpr_bad_count(const struct cpr_bad *bad, u64 page, u64 count)
{
	u64 n = 0, end = page + count;

	for (u32 i = bad_position(bad, page + 1); i < bad->nr && bad->run[i].page < end; i++)
		n += min(end, bad_end(&bad->run[i])) - max(page, bad->run[i].page);
	return n;
}
