// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Tables of what a device can reach
 *
 * How such a table is built, whose memory it leads to, whether it reaches all of
 * a range, and what differs between two of them. Where the translations come
 * from is the business of dma.c; the file is pure C.
 *
 * Addresses and lengths are in bytes. An extent leads to consecutive physical
 * addresses of one class.
 *
 * Locking: none; a table belongs to who has it.
 */
#include "dma_table.h"

#define FIRST_ROOM 16u

/* How often a device may reach the same memory, and in how many pieces a small VM. */
#define MAX_ALIASES 4u
#define FEW_EXTENTS 1024u

static u64 end_of(const struct cpr_dma_extent *e)
{
	return e->iova + e->length;
}

/* ---- building ---- */

static int grow(struct cpr_dma_table *t)
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

static bool continues(const struct cpr_dma_extent *last, const struct cpr_dma_extent *e)
{
	return last->class == e->class && end_of(last) == e->iova &&
	       last->phys + last->length == e->phys;
}

/**
 * cpr_dma_table_add - add an extent
 * @t: the table; all zeros when it is empty
 * @e: above all that is in it; merged with the last if it continues that
 *
 * Return: 0, -ENOMEM or -E2BIG.
 */
int cpr_dma_table_add(struct cpr_dma_table *t, const struct cpr_dma_extent *e)
{
	int err = 0;

	if (t->nr && continues(&t->extents[t->nr - 1], e)) {
		t->extents[t->nr - 1].length += e->length;
		return 0;
	}
	if (t->nr == t->room)
		err = grow(t);
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
 * cpr_dma_table_sum - add a table up
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

/* ---- whose memory ---- */

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
 * cpr_dma_owned - is a range all the VM's memory?
 * @owner: the VM
 * @phys: physical address in the region
 * @length: bytes, more than none
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
 * cpr_dma_table_fits - is a table no larger than one of such a VM can be?
 * @t: the table
 * @owner: the VM
 *
 * Only what leads to the region counts. What it costs to look at such a table and
 * to map it is in proportion to the VM's memory.
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
 * cpr_dma_table_foreign - what leads to memory of the region that is not the VM's
 * @t: the table
 * @owner: the VM
 *
 * Return: the first such extent, or NULL.
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

/* Walks a table in step with another. */
struct cursor {
	const struct cpr_dma_extent *at;
	const struct cpr_dma_extent *end;
};

static struct cursor cursor_of(const struct cpr_dma_table *t)
{
	return (struct cursor){ t->extents, t->extents + t->nr };
}

/* The next address at which the table changes, at or after @iova. */
static u64 next_change(struct cursor *c, u64 iova)
{
	while (c->at < c->end && end_of(c->at) <= iova)
		c->at++;
	if (c->at == c->end)
		return U64_MAX;
	return c->at->iova > iova ? c->at->iova : end_of(c->at);
}

/* The extent at @iova, to which next_change() has moved on, or NULL. */
static const struct cpr_dma_extent *extent_at(const struct cursor *c, u64 iova)
{
	return c->at < c->end && c->at->iova <= iova ? c->at : NULL;
}

static u64 phys_at(const struct cpr_dma_extent *e, u64 iova)
{
	return e->phys + (iova - e->iova);
}

static bool is_region(const struct cpr_dma_extent *e)
{
	return e && e->class == CPR_IMAGE_DMA_REGION;
}

/* Fills in what is wrong with @diff's range, if anything is. */
static bool judge(const struct cpr_dma_extent *before, const struct cpr_dma_extent *now,
		  const struct cpr_dma_owner *owner, struct cpr_dma_diff *diff)
{
	diff->expected = is_region(before) ? phys_at(before, diff->iova) : 0;
	diff->found = now ? phys_at(now, diff->iova) : 0;

	if (is_region(now) && !cpr_dma_owned(owner, diff->found, diff->length))
		diff->kind = CPR_DIFFERENCE_KIND_FOREIGN;
	else if (is_region(before) && !now)
		diff->kind = CPR_DIFFERENCE_KIND_MISSING;
	else if (is_region(before) && diff->found != diff->expected)
		diff->kind = CPR_DIFFERENCE_KIND_MOVED;
	else if (!is_region(before) && is_region(now))
		diff->kind = CPR_DIFFERENCE_KIND_EXTRA;
	else
		return false;
	return true;
}

/**
 * cpr_dma_compare - what differs between two tables
 * @before: what was
 * @now: what is
 * @owner: the VM
 * @report: called for each range that differs, in ascending order
 * @data: for @report
 *
 * Only what leads, or led, to the region is compared; and nothing may lead to
 * memory of the region that is not the VM's, whether it did before or not.
 *
 * Return: how many ranges differ.
 */
u32 cpr_dma_compare(const struct cpr_dma_table *before, const struct cpr_dma_table *now,
		    const struct cpr_dma_owner *owner,
		    void (*report)(void *data, const struct cpr_dma_diff *diff), void *data)
{
	struct cursor b = cursor_of(before), n = cursor_of(now);
	struct cpr_dma_diff diff = { 0 };
	u64 iova = 0, next;
	u32 count = 0;

	for (; (next = min(next_change(&b, iova), next_change(&n, iova))) != U64_MAX;
	     iova = next) {
		diff.iova = iova;
		diff.length = next - iova;
		if (!judge(extent_at(&b, iova), extent_at(&n, iova), owner, &diff))
			continue;
		report(data, &diff);
		count++;
	}
	return count;
}

/* ---- coverage ---- */

static int compare_phys(const void *a, const void *b)
{
	const struct cpr_dma_extent *x = a, *y = b;

	return x->phys < y->phys ? -1 : x->phys > y->phys;
}

/* Ranges that touch or overlap become one. */
static void merge_phys(struct cpr_dma_table *t)
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
 * cpr_dma_reached - memory of the region that a table leads to
 * @t: the table
 * @reached: filled in: in ascending order of phys, not overlapping; iova means
 *	nothing. The caller frees it
 *
 * Return: 0, -ENOMEM or -E2BIG.
 */
int cpr_dma_reached(const struct cpr_dma_table *t, struct cpr_dma_table *reached)
{
	memset(reached, 0, sizeof(*reached));
	for (u32 i = 0; i < t->nr; i++) {
		int err = 0;

		if (is_region(&t->extents[i]))
			err = cpr_dma_table_add(reached, &t->extents[i]);
		if (err) {
			cpr_dma_table_free(reached);
			return err;
		}
	}
	if (reached->nr)
		sort(reached->extents, reached->nr, sizeof(*reached->extents),
		     compare_phys, NULL);
	merge_phys(reached);
	return 0;
}

/* The first range that ends after @phys. */
static u32 first_after(const struct cpr_dma_table *reached, u64 phys)
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
 * cpr_dma_gap - the first part of a range that is not reached
 * @reached: from cpr_dma_reached()
 * @phys: where the range begins
 * @end: where it ends
 * @gap: where the part begins
 *
 * Return: bytes of the part, 0 if there is none.
 */
u64 cpr_dma_gap(const struct cpr_dma_table *reached, u64 phys, u64 end, u64 *gap)
{
	for (u32 i = first_after(reached, phys); phys < end; i++) {
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
