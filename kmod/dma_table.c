// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Tables of what a device can reach
 *
 * How a table is built, whether it leads only to the memory of one VM, whether it
 * leads to all of that memory, and how two tables differ. probe.c reads tables from
 * the IOMMU. The file is pure C.
 *
 * Addresses and lengths are in bytes. An extent leads to consecutive physical
 * addresses of one class.
 *
 * Locking: none here; a table belongs to its caller.
 */
#include "dma_table.h"

#define FIRST_ROOM 16u

/*
 * Limits for a table: how often a device may reach the same memory, and how many
 * extents even the table of a small VM may have.
 */
#define MAX_ALIASES 4u
#define FEW_EXTENTS 1024u

static u64 dma_extent_end(const struct cpr_dma_extent *e)
{
	return e->iova + e->length;
}

/* ---- building ---- */

static int dma_table_grow(struct cpr_dma_table *t)
{
	u32 room = t->room ? 2 * t->room : FIRST_ROOM;
	struct cpr_dma_extent *bigger;

	if (room < t->room)
		return -E2BIG;
	bigger = cpr_port_zalloc((size_t)room * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	if (t->nr)
		memcpy(bigger, t->extents, t->nr * sizeof(*bigger));
	cpr_port_free(t->extents);
	t->extents = bigger;
	t->room = room;
	return 0;
}

static bool dma_extent_continues(const struct cpr_dma_extent *last, const struct cpr_dma_extent *e)
{
	return last->class == e->class && dma_extent_end(last) == e->iova &&
	       last->phys + last->length == e->phys;
}

/**
 * cpr_dma_table_add - add an extent
 * @t: the table; all zeros means empty
 * @e: above all extents in @t; merged with the last extent if it continues that
 *
 * Return: 0, -ENOMEM or -E2BIG.
 */
int cpr_dma_table_add(struct cpr_dma_table *t, const struct cpr_dma_extent *e)
{
	int err = 0;

	if (t->nr && dma_extent_continues(&t->extents[t->nr - 1], e)) {
		t->extents[t->nr - 1].length += e->length;
		return 0;
	}
	if (t->nr == t->room)
		err = dma_table_grow(t);
	if (!err)
		t->extents[t->nr++] = *e;
	return err;
}

/**
 * cpr_dma_table_free - free the extents
 * @t: the table; empty afterwards
 */
void cpr_dma_table_free(struct cpr_dma_table *t)
{
	cpr_port_free(t->extents);
	memset(t, 0, sizeof(*t));
}

/**
 * cpr_dma_table_sum - add up a table
 * @t: the table
 * @sum: filled in
 */
void cpr_dma_table_sum(const struct cpr_dma_table *t, struct cpr_dma_sum *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (u32 i = 0; i < t->nr; i++) {
		sum->extents[t->extents[i].class]++;
		sum->bytes[t->extents[i].class] += t->extents[i].length;
	}
}

/* ---- memory of the VM ---- */

/**
 * cpr_dma_in_region - does an address lie in the region?
 * @geo: of the region
 * @phys: physical address
 */
bool cpr_dma_in_region(const struct cpr_geometry *geo, u64 phys)
{
	return phys >= geo->start && phys - geo->start < geo->size;
}

/**
 * cpr_dma_owned - does all of a range belong to the VM?
 * @owner: memory of the VM
 * @phys: physical address in the region
 * @length: bytes, at least one
 */
bool cpr_dma_owned(const struct cpr_dma_owner *owner, u64 phys, u64 length)
{
	u64 first = (phys - owner->geo->start) >> CPR_IMAGE_FRAME_SHIFT;
	u64 last = (phys - owner->geo->start + length - 1) >> CPR_IMAGE_FRAME_SHIFT;

	if (last >= owner->geo->frames)
		return false;
	for (u64 frame = first; frame <= last; frame++)
		if (!test_bit(frame, owner->frames))
			return false;
	return true;
}

/**
 * cpr_dma_table_fits - is a table small enough for the VM?
 * @t: the table
 * @owner: memory of the VM
 *
 * Only extents that lead to the region count. The limit keeps the cost of reading and
 * mapping a table in proportion to the VM's memory.
 */
bool cpr_dma_table_fits(const struct cpr_dma_table *t, const struct cpr_dma_owner *owner)
{
	u64 extents = FEW_EXTENTS + MAX_ALIASES * (owner->bytes >> CPR_IMAGE_FRAME_SHIFT);
	u64 bytes = MAX_ALIASES * owner->bytes;

	for (u32 i = 0; i < t->nr; i++) {
		const struct cpr_dma_extent *e = &t->extents[i];

		if (e->class != CPR_IMAGE_DMA_REGION)
			continue;
		if (!extents || e->length > bytes)
			return false;
		extents--;
		bytes -= e->length;
	}
	return true;
}

/**
 * cpr_dma_table_foreign - find an extent that leads to memory of another VM
 * @t: the table
 * @owner: memory of the VM
 *
 * Return: the first extent that leads into the region, but not to the VM's memory; or
 * NULL.
 */
const struct cpr_dma_extent *cpr_dma_table_foreign(const struct cpr_dma_table *t,
						   const struct cpr_dma_owner *owner)
{
	for (u32 i = 0; i < t->nr; i++) {
		const struct cpr_dma_extent *e = &t->extents[i];

		if (e->class == CPR_IMAGE_DMA_REGION &&
		    !cpr_dma_owned(owner, e->phys, e->length))
			return e;
	}
	return NULL;
}

/* ---- comparing ---- */

/* A position in a table that is walked in step with another table. */
struct dma_cursor {
	const struct cpr_dma_extent *at;
	const struct cpr_dma_extent *end;
};

static struct dma_cursor dma_cursor_of(const struct cpr_dma_table *t)
{
	return (struct dma_cursor){ t->extents, t->extents + t->nr };
}

/* The next address at which the table changes, at or after @iova. */
static u64 dma_next_change(struct dma_cursor *c, u64 iova)
{
	while (c->at < c->end && dma_extent_end(c->at) <= iova)
		c->at++;
	if (c->at == c->end)
		return U64_MAX;
	return c->at->iova > iova ? c->at->iova : dma_extent_end(c->at);
}

/* The extent at @iova or NULL; dma_next_change() has moved the cursor there. */
static const struct cpr_dma_extent *dma_extent_at(const struct dma_cursor *c, u64 iova)
{
	return c->at < c->end && c->at->iova <= iova ? c->at : NULL;
}

static u64 dma_extent_phys(const struct cpr_dma_extent *e, u64 iova)
{
	return e->phys + (iova - e->iova);
}

static bool dma_is_region(const struct cpr_dma_extent *e)
{
	return e && e->class == CPR_IMAGE_DMA_REGION;
}

/* Does the range of @diff differ? Then fill in how. */
static bool dma_judge(const struct cpr_dma_extent *before, const struct cpr_dma_extent *now,
		      const struct cpr_dma_owner *owner, struct cpr_dma_diff *diff)
{
	diff->expected = dma_is_region(before) ? dma_extent_phys(before, diff->iova) : 0;
	diff->found = now ? dma_extent_phys(now, diff->iova) : 0;

	if (dma_is_region(now) && !cpr_dma_owned(owner, diff->found, diff->length))
		diff->kind = CPR_DIFFERENCE_KIND_FOREIGN;
	else if (dma_is_region(before) && !now)
		diff->kind = CPR_DIFFERENCE_KIND_MISSING;
	else if (dma_is_region(before) && diff->found != diff->expected)
		diff->kind = CPR_DIFFERENCE_KIND_MOVED;
	else if (!dma_is_region(before) && dma_is_region(now))
		diff->kind = CPR_DIFFERENCE_KIND_EXTRA;
	else
		return false;
	return true;
}

/**
 * cpr_dma_compare - what differs between two tables
 * @before: the recorded table
 * @now: the current table
 * @owner: memory of the VM
 * @report: called for each range that differs, in ascending order
 * @data: for @report
 *
 * Only extents that lead to the region, before or now, are compared. An extent that
 * now leads to memory of another VM is a difference, even if it did so before.
 *
 * Return: number of ranges that differ.
 */
u32 cpr_dma_compare(const struct cpr_dma_table *before, const struct cpr_dma_table *now,
		    const struct cpr_dma_owner *owner,
		    void (*report)(void *data, const struct cpr_dma_diff *diff), void *data)
{
	struct dma_cursor b = dma_cursor_of(before), n = dma_cursor_of(now);
	struct cpr_dma_diff diff = { 0 };
	u64 iova = 0, next;
	u32 count = 0;

	for (; (next = min(dma_next_change(&b, iova), dma_next_change(&n, iova))) != U64_MAX;
	     iova = next) {
		diff.iova = iova;
		diff.length = next - iova;
		if (!dma_judge(dma_extent_at(&b, iova), dma_extent_at(&n, iova), owner, &diff))
			continue;
		report(data, &diff);
		count++;
	}
	return count;
}

/**
 * cpr_dma_table_clip - copy the part of a table that is in a range of iova
 * @t: the table
 * @start: of the range
 * @end: of the range, exclusive
 * @part: filled in; the caller frees it
 *
 * Return: 0, -ENOMEM or -E2BIG.
 */
int cpr_dma_table_clip(const struct cpr_dma_table *t, u64 start, u64 end,
		       struct cpr_dma_table *part)
{
	memset(part, 0, sizeof(*part));
	for (u32 i = 0; i < t->nr && t->extents[i].iova < end; i++) {
		struct cpr_dma_extent e = t->extents[i];
		u64 before = e.iova < start ? min(start - e.iova, e.length) : 0;
		int err;

		e.iova += before;
		e.phys += before;
		e.length = min(e.length - before, end - e.iova);
		if (!e.length)
			continue;
		err = cpr_dma_table_add(part, &e);
		if (err) {
			cpr_dma_table_free(part);
			return err;
		}
	}
	return 0;
}

/* ---- coverage ---- */

static int dma_compare_phys(const void *a, const void *b)
{
	const struct cpr_dma_extent *x = a, *y = b;

	return x->phys < y->phys ? -1 : x->phys > y->phys;
}

/* Merge ranges that touch or overlap. */
static void dma_merge_phys(struct cpr_dma_table *t)
{
	u32 n = 0;

	for (u32 i = 1; i < t->nr; i++) {
		struct cpr_dma_extent *last = &t->extents[n], *e = &t->extents[i];
		u64 end = last->phys + last->length;

		if (e->phys > end)
			t->extents[++n] = *e;
		else if (e->phys + e->length > end)
			last->length = e->phys + e->length - last->phys;
	}
	if (t->nr)
		t->nr = n + 1;
}

/**
 * cpr_dma_reached - list the memory of the region that a table leads to
 * @t: the table
 * @reached: filled in: in ascending order of phys, not overlapping; iova is unused.
 *	The caller frees it
 *
 * Return: 0, -ENOMEM or -E2BIG.
 */
int cpr_dma_reached(const struct cpr_dma_table *t, struct cpr_dma_table *reached)
{
	memset(reached, 0, sizeof(*reached));
	for (u32 i = 0; i < t->nr; i++) {
		int err = 0;

		if (dma_is_region(&t->extents[i]))
			err = cpr_dma_table_add(reached, &t->extents[i]);
		if (err) {
			cpr_dma_table_free(reached);
			return err;
		}
	}
	if (reached->nr)
		sort(reached->extents, reached->nr, sizeof(*reached->extents),
		     dma_compare_phys, NULL);
	dma_merge_phys(reached);
	return 0;
}

/* The number of the first range that ends after @phys. */
static u32 dma_first_after(const struct cpr_dma_table *reached, u64 phys)
{
	u32 low = 0, high = reached->nr;

	while (low < high) {
		u32 middle = low + (high - low) / 2;
		const struct cpr_dma_extent *e = &reached->extents[middle];

		if (e->phys + e->length <= phys)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/**
 * cpr_dma_gap - find the first part of a range that is not reached
 * @reached: from cpr_dma_reached()
 * @phys: start of the range
 * @end: end of the range, exclusive
 * @gap: start of the part
 *
 * Return: bytes of the part; 0 if all of the range is reached.
 */
u64 cpr_dma_gap(const struct cpr_dma_table *reached, u64 phys, u64 end, u64 *gap)
{
	for (u32 i = dma_first_after(reached, phys); phys < end; i++) {
		const struct cpr_dma_extent *e = &reached->extents[i];

		*gap = phys;
		if (i == reached->nr || e->phys >= end)
			return end - phys;
		if (e->phys > phys)
			return e->phys - phys;
		phys = e->phys + e->length;
	}
	return 0;
}
