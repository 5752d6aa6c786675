// SPDX-License-Identifier: GPL-2.0-only
/*
 * No byte that a device reaches outside of its VM's memory goes unnoticed.
 *
 * Extents that continue each other are one, and comparing two tables says of every page
 * what comparing that page alone says.
 */
#include <stdlib.h>

/* So that memory can run out. */
static void *calloc_or_not(size_t n, size_t size);
#define calloc calloc_or_not
#include "../../../kmod/dma_table.c"
#undef calloc
#include "ktap.h"

#define PAGE	4096ull
#define FRAME	((u64)CPR_IMAGE_FRAME_SIZE)
#define START	(4ull << 30)
#define SIZE	(128ull << 20)
#define END	(START + SIZE)
#define FRAMES	64u	/* a whole long: one bit more is out of bounds */

#define REGION	CPR_IMAGE_DMA_REGION
#define MMIO	CPR_IMAGE_DMA_MMIO
#define RAM	CPR_IMAGE_DMA_RAM

static int allocations_left = -1;	/* negative: any number */

static void *calloc_or_not(size_t n, size_t size)
{
	if (!allocations_left)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	return calloc(n, size);
}

static const struct cpr_geometry geo = {
	.start = START, .size = SIZE, .frames = FRAMES, .first_frame = 3,
};

static unsigned long owned_frames[BITS_TO_LONGS(FRAMES)];
static const struct cpr_dma_owner owner = { .geo = &geo, .frames = owned_frames };
static struct cpr_dma_table before, now, reached;

static u64 frame(u32 n)
{
	return START + n * FRAME;
}

static void own(u32 first, u32 last)
{
	for (u32 i = first; i <= last; i++)
		__set_bit(i, owned_frames);
}

/* Empty tables; frames 4 to 7 and 10 are the VM's. */
static void fresh(void)
{
	cpr_dma_table_free(&before);
	cpr_dma_table_free(&now);
	cpr_dma_table_free(&reached);
	memset(owned_frames, 0, sizeof(owned_frames));
	own(4, 7);
	own(10, 10);
}

static int add(struct cpr_dma_table *t, u64 iova, u64 phys, u64 length, u32 class)
{
	return cpr_dma_table_add(t, &(struct cpr_dma_extent){ iova, phys, length, class });
}

#define ADD(_t, ...) CHECK_EQ(add(&(_t), __VA_ARGS__), 0)

static void clip_is(u64 start, u64 end, u32 nr, u64 iova, u64 phys, u64 length)
{
	struct cpr_dma_table part;

	CHECK_EQ(cpr_dma_table_clip(&before, start, end, &part), 0);
	CHECK_EQ(part.nr, nr);
	if (nr) {
		CHECK_EQ(part.extents[0].iova, iova);
		CHECK_EQ(part.extents[0].phys, phys);
		CHECK_EQ(part.extents[0].length, length);
		CHECK_EQ(part.extents[0].class, REGION);
	}
	cpr_dma_table_free(&part);
}

/* ---- building ---- */

TEST(extents_that_continue_are_one)
{
	fresh();
	ADD(now, 0, frame(4), PAGE, REGION);
	ADD(now, PAGE, frame(4) + PAGE, 3 * PAGE, REGION);
	CHECK_EQ(now.nr, 1);
	CHECK_EQ(now.extents[0].length, 4 * PAGE);
	CHECK_EQ(now.extents[0].iova, 0);
	CHECK_EQ(now.extents[0].phys, frame(4));
	/* A hole in one of the two address spaces, and another class. */
	ADD(now, 5 * PAGE, frame(4) + 4 * PAGE, PAGE, REGION);
	CHECK_EQ(now.nr, 2);
	ADD(now, 6 * PAGE, frame(4) + 6 * PAGE, PAGE, REGION);
	CHECK_EQ(now.nr, 3);
	ADD(now, 7 * PAGE, frame(4) + 6 * PAGE, PAGE, REGION);
	CHECK_EQ(now.nr, 4);
	ADD(now, 8 * PAGE, frame(4) + 7 * PAGE, PAGE, RAM);
	CHECK_EQ(now.nr, 5);
	CHECK_EQ(now.extents[4].class, RAM);
	CHECK_EQ(now.extents[4].length, PAGE);
}

TEST(a_table_grows)
{
	fresh();
	for (u64 i = 0; i < 1000; i++)
		ADD(now, 2 * i * PAGE, i * PAGE, PAGE, RAM);
	CHECK_EQ(now.nr, 1000);
	CHECK_EQ(now.room, 1024);
	for (u64 i = 0; i < 1000; i++)
		CHECK(now.extents[i].iova == 2 * i * PAGE && now.extents[i].phys == i * PAGE &&
		      now.extents[i].length == PAGE && now.extents[i].class == RAM);
	cpr_dma_table_free(&now);
	CHECK(!now.nr && !now.room && !now.extents);
}

TEST(a_table_that_cannot_grow)
{
	fresh();
	allocations_left = 0;
	CHECK_EQ(add(&now, 0, 0, PAGE, RAM), -ENOMEM);
	CHECK_EQ(now.nr, 0);
	allocations_left = 1;
	for (u64 i = 0; i < 16; i++)
		ADD(now, 2 * i * PAGE, i * PAGE, PAGE, RAM);
	CHECK_EQ(add(&now, 40 * PAGE, 0, PAGE, RAM), -ENOMEM);
	allocations_left = -1;
	/* What was there is there, and what continues needs no room. */
	CHECK_EQ(now.nr, 16);
	CHECK_EQ(now.extents[15].iova, 30 * PAGE);
	ADD(now, 31 * PAGE, 16 * PAGE, PAGE, RAM);
	CHECK_EQ(now.nr, 16);
	CHECK_EQ(now.extents[15].length, 2 * PAGE);
	/* No more than can be counted. */
	now.nr = now.room = 1u << 31;
	CHECK_EQ(dma_table_grow(&now), -E2BIG);
	now.nr = now.room = 16;
}

TEST(a_part_of_a_table)
{
	fresh();
	clip_is(0, ~0ull, 0, 0, 0, 0);
	ADD(before, FRAME, frame(4), 2 * FRAME, REGION);
	ADD(before, 8 * FRAME, frame(7), FRAME, REGION);
	clip_is(0, ~0ull, 2, FRAME, frame(4), 2 * FRAME);
	clip_is(0, FRAME, 0, 0, 0, 0);
	clip_is(0, FRAME + PAGE, 1, FRAME, frame(4), PAGE);
	clip_is(2 * FRAME, 2 * FRAME + PAGE, 1, 2 * FRAME, frame(5), PAGE);
	clip_is(2 * FRAME, 9 * FRAME, 2, 2 * FRAME, frame(5), FRAME);
	clip_is(3 * FRAME, 8 * FRAME, 0, 0, 0, 0);
	clip_is(9 * FRAME - PAGE, ~0ull, 1, 9 * FRAME - PAGE, frame(8) - PAGE, PAGE);
	clip_is(9 * FRAME, ~0ull, 0, 0, 0, 0);
	allocations_left = 0;
	CHECK_EQ(cpr_dma_table_clip(&before, 0, ~0ull, &now), -ENOMEM);
	allocations_left = -1;
	fresh();
}

TEST(a_sum)
{
	struct cpr_dma_sum sum;

	fresh();
	cpr_dma_table_sum(&now, &sum);
	for (u32 class = 0; class <= RAM; class++)
		CHECK(!sum.extents[class] && !sum.bytes[class]);
	ADD(now, 0, frame(4), 2 * FRAME, REGION);
	ADD(now, 3 * FRAME, 0xfe000000, PAGE, MMIO);
	ADD(now, 4 * FRAME, frame(6), FRAME, REGION);
	ADD(now, 5 * FRAME, 1 << 30, 3 * PAGE, RAM);
	ADD(now, 6 * FRAME, 1 << 30, 5 * PAGE, RAM);
	ADD(now, 7 * FRAME, 2u << 30, 7ull << 40, RAM);
	cpr_dma_table_sum(&now, &sum);
	CHECK_EQ(sum.extents[REGION], 2);
	CHECK_EQ(sum.bytes[REGION], 3 * FRAME);
	CHECK_EQ(sum.extents[MMIO], 1);
	CHECK_EQ(sum.bytes[MMIO], PAGE);
	CHECK_EQ(sum.extents[RAM], 3);
	CHECK_EQ(sum.bytes[RAM], 8 * PAGE + (7ull << 40));
}

/* ---- whose memory ---- */

TEST(what_is_in_the_region)
{
	CHECK(!cpr_dma_in_region(&geo, 0));
	CHECK(!cpr_dma_in_region(&geo, START - 1));
	CHECK(cpr_dma_in_region(&geo, START));
	CHECK(cpr_dma_in_region(&geo, END - 1));
	CHECK(!cpr_dma_in_region(&geo, END));
	CHECK(!cpr_dma_in_region(&geo, U64_MAX));
}

TEST(what_is_owned)
{
	fresh();
	CHECK(cpr_dma_owned(&owner, frame(4), 4 * FRAME));
	CHECK(cpr_dma_owned(&owner, frame(4), PAGE));
	CHECK(cpr_dma_owned(&owner, frame(8) - PAGE, PAGE));
	CHECK(cpr_dma_owned(&owner, frame(5) - PAGE, 2 * PAGE));
	CHECK(cpr_dma_owned(&owner, frame(10), FRAME));
	/* A page too far, at either end; and a hole. */
	CHECK(!cpr_dma_owned(&owner, frame(4) - PAGE, PAGE));
	CHECK(!cpr_dma_owned(&owner, frame(4) - PAGE, 2 * PAGE));
	CHECK(!cpr_dma_owned(&owner, frame(8) - PAGE, 2 * PAGE));
	CHECK(!cpr_dma_owned(&owner, frame(4), 4 * FRAME + PAGE));
	CHECK(!cpr_dma_owned(&owner, frame(8), PAGE));
	CHECK(!cpr_dma_owned(&owner, frame(6), 5 * FRAME));
	CHECK(!cpr_dma_owned(&owner, START, PAGE));
}

TEST(what_is_owned_at_the_end_of_the_region)
{
	fresh();
	own(62, 63);
	CHECK(cpr_dma_owned(&owner, END - PAGE, PAGE));
	CHECK(cpr_dma_owned(&owner, frame(62), 2 * FRAME));
	CHECK(!cpr_dma_owned(&owner, END - PAGE, 2 * PAGE));
	CHECK(!cpr_dma_owned(&owner, frame(62), 1ull << 50));
	CHECK(!cpr_dma_owned(&owner, END, PAGE));
}

TEST(the_first_that_is_foreign)
{
	fresh();
	CHECK(!cpr_dma_table_foreign(&now, &owner));
	ADD(now, 0, frame(4), 4 * FRAME, REGION);
	/* What does not lead to the region is nobody's business here. */
	ADD(now, 5 * FRAME, 0xfe000000, PAGE, MMIO);
	ADD(now, 6 * FRAME, 1 << 30, PAGE, RAM);
	CHECK(!cpr_dma_table_foreign(&now, &owner));
	ADD(now, 7 * FRAME, frame(10), FRAME + PAGE, REGION);
	ADD(now, 9 * FRAME, frame(8), PAGE, REGION);
	CHECK(cpr_dma_table_foreign(&now, &owner) == &now.extents[3]);
}

/* ---- comparing ---- */

static struct cpr_dma_diff diffs[256];
static u32 nr_diffs;

static void note_diff(void *data, const struct cpr_dma_diff *diff)
{
	CHECK(data == &nr_diffs && nr_diffs < 256);
	diffs[nr_diffs++] = *diff;
}

static u32 compare(void)
{
	u32 n;

	nr_diffs = 0;
	n = cpr_dma_compare(&before, &now, &owner, note_diff, &nr_diffs);
	CHECK_EQ(n, nr_diffs);
	return n;
}

static void diff_is(u32 i, u32 kind, u64 iova, u64 length, u64 expected, u64 found)
{
	const struct cpr_dma_diff *d = &diffs[i];

	CHECK_EQ(d->kind, kind);
	CHECK_EQ(d->iova, iova);
	CHECK_EQ(d->length, length);
	CHECK_EQ(d->expected, expected);
	CHECK_EQ(d->found, found);
}

#define MISSING	CPR_DIFFERENCE_KIND_MISSING
#define MOVED	CPR_DIFFERENCE_KIND_MOVED
#define EXTRA	CPR_DIFFERENCE_KIND_EXTRA
#define FOREIGN	CPR_DIFFERENCE_KIND_FOREIGN

TEST(the_same)
{
	fresh();
	CHECK_EQ(compare(), 0);
	for (int i = 0; i < 2; i++) {
		struct cpr_dma_table *t = i ? &now : &before;

		ADD(*t, 0, frame(4), 2 * FRAME, REGION);
		ADD(*t, 2 * FRAME, 0xfe000000, PAGE, MMIO);
		ADD(*t, 3 * FRAME, frame(6), FRAME, REGION);
		ADD(*t, -2 * PAGE, frame(6), PAGE, REGION);
	}
	CHECK_EQ(compare(), 0);
}

/* Cut in other places, as another kernel may report it. */
TEST(the_same_in_other_pieces)
{
	fresh();
	ADD(before, 0, frame(4), 4 * FRAME, REGION);
	ADD(now, 0, frame(4), 4 * FRAME, REGION);
	ADD(now, 4 * FRAME, frame(4), 2 * FRAME, REGION);
	/* By hand, since adding would merge them. */
	now.extents[0].length = FRAME + PAGE;
	now.extents[1] = (struct cpr_dma_extent){
		FRAME + PAGE, frame(5) + PAGE, 3 * FRAME - PAGE, REGION };
	CHECK_EQ(compare(), 0);
}

TEST(what_is_missing)
{
	fresh();
	ADD(before, FRAME, frame(4), 3 * FRAME, REGION);
	CHECK_EQ(compare(), 1);
	diff_is(0, MISSING, FRAME, 3 * FRAME, frame(4), 0);
	/* In the middle; at both ends. */
	ADD(now, FRAME, frame(4), FRAME, REGION);
	ADD(now, 3 * FRAME, frame(6), FRAME, REGION);
	CHECK_EQ(compare(), 1);
	diff_is(0, MISSING, 2 * FRAME, FRAME, frame(5), 0);
	cpr_dma_table_free(&now);
	ADD(now, FRAME + PAGE, frame(4) + PAGE, 3 * FRAME - 2 * PAGE, REGION);
	CHECK_EQ(compare(), 2);
	diff_is(0, MISSING, FRAME, PAGE, frame(4), 0);
	diff_is(1, MISSING, 4 * FRAME - PAGE, PAGE, frame(7) - PAGE, 0);
}

TEST(what_has_moved)
{
	fresh();
	ADD(before, 0, frame(4), 2 * FRAME, REGION);
	ADD(now, 0, frame(5), 2 * FRAME, REGION);
	CHECK_EQ(compare(), 1);
	diff_is(0, MOVED, 0, 2 * FRAME, frame(4), frame(5));
	/* One page of many, and the others as they were. */
	cpr_dma_table_free(&now);
	ADD(now, 0, frame(4), FRAME, REGION);
	ADD(now, FRAME, frame(4), PAGE, REGION);
	ADD(now, FRAME + PAGE, frame(5) + PAGE, FRAME - PAGE, REGION);
	CHECK_EQ(compare(), 1);
	diff_is(0, MOVED, FRAME, PAGE, frame(5), frame(4));
	/* Out of the region. */
	cpr_dma_table_free(&now);
	ADD(now, 0, 1 << 30, 2 * FRAME, RAM);
	CHECK_EQ(compare(), 1);
	diff_is(0, MOVED, 0, 2 * FRAME, frame(4), 1 << 30);
}

TEST(what_is_extra)
{
	fresh();
	ADD(before, FRAME, frame(5), FRAME, REGION);
	ADD(before, 3 * FRAME, 0xfe000000, PAGE, MMIO);
	ADD(now, 0, frame(4), 3 * FRAME, REGION);
	ADD(now, 3 * FRAME, frame(10), PAGE, REGION);
	CHECK_EQ(compare(), 3);
	diff_is(0, EXTRA, 0, FRAME, 0, frame(4));
	diff_is(1, EXTRA, 2 * FRAME, FRAME, 0, frame(6));
	diff_is(2, EXTRA, 3 * FRAME, PAGE, 0, frame(10));
}

TEST(what_is_foreign)
{
	fresh();
	ADD(before, 0, frame(4), FRAME, REGION);
	ADD(before, FRAME, frame(8), PAGE, REGION);
	/* Foreign is worse than moved, extra, and as it was. */
	ADD(now, 0, frame(9), FRAME, REGION);
	ADD(now, FRAME, frame(8), PAGE, REGION);
	ADD(now, 2 * FRAME, frame(11), PAGE, REGION);
	ADD(now, 3 * FRAME, frame(8) - PAGE, 2 * PAGE, REGION);
	ADD(now, 4 * FRAME, frame(0), PAGE, REGION);
	CHECK_EQ(compare(), 5);
	diff_is(0, FOREIGN, 0, FRAME, frame(4), frame(9));
	diff_is(1, FOREIGN, FRAME, PAGE, frame(8), frame(8));
	diff_is(2, FOREIGN, 2 * FRAME, PAGE, 0, frame(11));
	diff_is(3, FOREIGN, 3 * FRAME, 2 * PAGE, 0, frame(8) - PAGE);
	diff_is(4, FOREIGN, 4 * FRAME, PAGE, 0, frame(0));
}

TEST(what_is_outside_of_the_region_may_change)
{
	fresh();
	ADD(before, 0, 0xfe000000, PAGE, MMIO);
	ADD(before, FRAME, 1 << 30, PAGE, RAM);
	ADD(before, 2 * FRAME, frame(4), PAGE, REGION);
	ADD(now, 0, 0xfd000000, 2 * PAGE, MMIO);
	ADD(now, 2 * FRAME, frame(4), PAGE, REGION);
	ADD(now, 3 * FRAME, 1 << 30, PAGE, RAM);
	CHECK_EQ(compare(), 0);
}

TEST(extents_that_overlap_in_part)
{
	fresh();
	ADD(before, 0, frame(4), 2 * FRAME, REGION);
	ADD(before, 2 * FRAME, frame(10), FRAME, REGION);
	ADD(now, FRAME, frame(5), FRAME + PAGE, REGION);
	ADD(now, 2 * FRAME + 4 * PAGE, frame(10) + 4 * PAGE, FRAME, REGION);
	CHECK_EQ(compare(), 4);
	diff_is(0, MISSING, 0, FRAME, frame(4), 0);
	diff_is(1, MOVED, 2 * FRAME, PAGE, frame(10), frame(6));
	diff_is(2, MISSING, 2 * FRAME + PAGE, 3 * PAGE, frame(10) + PAGE, 0);
	/* Frame 11 begins where the old extent ends. */
	diff_is(3, FOREIGN, 3 * FRAME, 4 * PAGE, 0, frame(11));
}

TEST(the_highest_addresses)
{
	fresh();
	ADD(before, -2 * PAGE, frame(4), PAGE, REGION);
	ADD(now, -3 * PAGE, frame(4), 2 * PAGE, REGION);
	CHECK_EQ(compare(), 2);
	diff_is(0, EXTRA, -3 * PAGE, PAGE, 0, frame(4));
	diff_is(1, MOVED, -2 * PAGE, PAGE, frame(4), frame(4) + PAGE);
}

/* ---- coverage ---- */

static void reach(void)
{
	cpr_dma_table_free(&reached);
	CHECK_EQ(cpr_dma_reached(&now, &reached), 0);
}

static void range_is(u32 i, u64 phys, u64 length)
{
	CHECK(i < reached.nr);
	CHECK_EQ(reached.extents[i].phys, phys);
	CHECK_EQ(reached.extents[i].length, length);
}

TEST(what_is_reached)
{
	fresh();
	reach();
	CHECK_EQ(reached.nr, 0);
	ADD(now, 0, 1 << 30, FRAME, RAM);
	reach();
	CHECK_EQ(reached.nr, 0);
	/* In no order, touching, twice, one in another, overlapping; and alone. */
	ADD(now, 2 * FRAME, frame(6), FRAME, REGION);
	ADD(now, 4 * FRAME, frame(4), FRAME, REGION);
	ADD(now, 6 * FRAME, frame(5), FRAME, REGION);
	ADD(now, 8 * FRAME, frame(5), FRAME, REGION);
	ADD(now, 10 * FRAME, frame(5) + PAGE, PAGE, REGION);
	ADD(now, 12 * FRAME, frame(6) + PAGE, FRAME, REGION);
	ADD(now, 14 * FRAME, frame(10), PAGE, REGION);
	ADD(now, 16 * FRAME, 0xfe000000, PAGE, MMIO);
	reach();
	CHECK_EQ(reached.nr, 2);
	range_is(0, frame(4), 3 * FRAME + PAGE);
	range_is(1, frame(10), PAGE);
}

/* A PC shows the first of its RAM a second time, below 1 MiB. */
TEST(memory_that_is_reached_twice)
{
	fresh();
	ADD(now, 0, frame(4), 0xa0000, REGION);
	ADD(now, 0xc0000, frame(4) + 0xc0000, 3 * FRAME - 0xc0000, REGION);
	ADD(now, 1ull << 32, frame(4), 0x20000, REGION);
	reach();
	CHECK_EQ(reached.nr, 2);
	range_is(0, frame(4), 0xa0000);
	range_is(1, frame(4) + 0xc0000, 3 * FRAME - 0xc0000);
	ADD(now, 1ull << 33, frame(4) + 0x90000, 0x40000, REGION);
	reach();
	CHECK_EQ(reached.nr, 1);
	range_is(0, frame(4), 3 * FRAME);
}

TEST(no_memory_for_what_is_reached)
{
	fresh();
	for (u64 i = 0; i < 20; i++)
		ADD(now, 2 * i * PAGE, frame(4) + 2 * i * PAGE, PAGE, REGION);
	for (int n = 0; n < 2; n++) {
		allocations_left = n;
		CHECK_EQ(cpr_dma_reached(&now, &reached), -ENOMEM);
		CHECK(!reached.extents && !reached.nr);
	}
	allocations_left = -1;
	reach();
	CHECK_EQ(reached.nr, 20);
}

static void gap_is(u64 phys, u64 end, u64 gap, u64 length)
{
	u64 at = 0;

	CHECK_EQ(cpr_dma_gap(&reached, phys, end, &at), length);
	if (length)
		CHECK_EQ(at, gap);
}

TEST(gaps)
{
	fresh();
	gap_is(frame(4), frame(8), frame(4), 4 * FRAME);
	gap_is(frame(4), frame(4), 0, 0);
	ADD(now, 0, frame(5), FRAME, REGION);
	ADD(now, 2 * FRAME, frame(7), FRAME, REGION);
	ADD(now, 4 * FRAME, frame(8) + PAGE, FRAME - PAGE, REGION);
	reach();
	CHECK_EQ(reached.nr, 3);
	/* None, though the range begins and ends inside of an extent. */
	gap_is(frame(5), frame(6), 0, 0);
	gap_is(frame(5) + PAGE, frame(6) - PAGE, 0, 0);
	gap_is(frame(7), frame(8), 0, 0);
	/* At the start, in the middle, at the end; all of it. */
	gap_is(frame(4), frame(6), frame(4), FRAME);
	gap_is(frame(5) - PAGE, frame(6), frame(5) - PAGE, PAGE);
	gap_is(frame(5), frame(8), frame(6), FRAME);
	gap_is(frame(5) + PAGE, frame(7), frame(6), FRAME);
	gap_is(frame(7), frame(9), frame(8), PAGE);
	gap_is(frame(8) + PAGE, frame(10), frame(9), FRAME);
	gap_is(frame(6), frame(7), frame(6), FRAME);
	gap_is(frame(6) + PAGE, frame(7) - PAGE, frame(6) + PAGE, FRAME - 2 * PAGE);
	gap_is(frame(9), frame(12), frame(9), 3 * FRAME);
	/* Of several the first. */
	gap_is(frame(4), frame(12), frame(4), FRAME);
	gap_is(frame(7) + PAGE, frame(12), frame(8), PAGE);
}

/* ---- random tables against a look at every page ---- */

#define IOVA_PAGES	96u
#define REGION_PAGES	(SIZE / PAGE)

/* What a page of I/O virtual addresses leads to; class 0: nowhere. */
struct page {
	u64 phys;
	u32 class;
};

static struct page was[IOVA_PAGES], is[IOVA_PAGES];
static u32 random_state;

static u32 rnd(u32 below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (u64)random_state * below >> 32;
}

/* Often at an edge: of a frame, of the region. */
static u64 random_phys(void)
{
	u64 frame_at = frame(rnd(2) ? rnd(8) : FRAMES - 1 - rnd(8));

	switch (rnd(8)) {
	case 0:
		return START - (1 + rnd(4)) * PAGE;
	case 1:
		return END + rnd(4) * PAGE;
	case 2:
		return (1ull << 30) + rnd(32) * PAGE;
	case 3:
		return frame_at + rnd(512) * PAGE;
	default:
		return frame_at + (rnd(2) ? 512 - 1 - rnd(6) : rnd(6)) * PAGE;
	}
}

static u32 class_of(u64 phys)
{
	return phys >= START && phys < END ? REGION : phys < START ? RAM : MMIO;
}

static void random_run(struct page *pages)
{
	u32 at = rnd(IOVA_PAGES), n = 1 + rnd(12);
	bool hole = !rnd(4);
	u64 phys = random_phys();

	for (; n-- && at < IOVA_PAGES; at++, phys += PAGE)
		pages[at] = hole ? (struct page){ 0 } : (struct page){ phys, class_of(phys) };
}

static void make_table(struct cpr_dma_table *t, const struct page *pages)
{
	for (u32 i = 0; i < IOVA_PAGES; i++)
		if (pages[i].class)
			ADD(*t, i * PAGE, pages[i].phys, PAGE, pages[i].class);
}

static void random_pair(void)
{
	fresh();
	memset(owned_frames, 0, sizeof(owned_frames));
	for (u32 i = geo.first_frame; i < FRAMES; i++)
		if (rnd(8))
			own(i, i);
	memset(was, 0, sizeof(was));
	for (u32 n = rnd(12); n; n--)
		random_run(was);
	memcpy(is, was, sizeof(is));
	for (u32 n = rnd(5); n; n--)
		random_run(is);
	make_table(&before, was);
	make_table(&now, is);
}

static bool goes_on(const struct page *pages, u32 i)
{
	const struct page *p = &pages[i], *last = p - 1;

	return p->class == last->class && (!p->class || p->phys == last->phys + PAGE);
}

static bool page_is_foreign(const struct page *p)
{
	return p->class == REGION &&
	       !test_bit((p->phys - START) / FRAME, owned_frames);
}

/* 0: nothing is wrong; else 1 + the kind. */
static u32 verdict(u32 i)
{
	if (page_is_foreign(&is[i]))
		return 1 + FOREIGN;
	if (was[i].class != REGION)
		return is[i].class == REGION ? 1 + EXTRA : 0;
	if (!is[i].class)
		return 1 + MISSING;
	return is[i].phys == was[i].phys ? 0 : 1 + MOVED;
}

/* A range is as bad as the worst of it: some pages may be foreign, others not. */
static u32 worst(u32 first, u32 end)
{
	u32 bad = verdict(first);

	for (u32 i = first; i < end; i++)
		if (verdict(i) == 1 + FOREIGN)
			bad = 1 + FOREIGN;
	return bad;
}

static void check_compare(void)
{
	u32 seen = 0, end;

	compare();
	for (u32 first = 0; first < IOVA_PAGES; first = end) {
		u32 bad;

		for (end = first + 1; end < IOVA_PAGES; end++)
			if (!goes_on(was, end) || !goes_on(is, end))
				break;
		bad = worst(first, end);
		if (!bad)
			continue;
		CHECK(seen < nr_diffs);
		diff_is(seen++, bad - 1, first * PAGE, (end - first) * PAGE,
			was[first].class == REGION ? was[first].phys : 0, is[first].phys);
	}
	CHECK_EQ(nr_diffs, seen);
}

static void check_table(void)
{
	u32 extents[4] = { 0 }, pages[4] = { 0 };
	struct cpr_dma_sum sum;
	bool foreign = false;

	for (u32 i = 0; i < IOVA_PAGES; i++) {
		u32 class = is[i].class;

		pages[class]++;
		if (!i || !goes_on(is, i))
			extents[class]++;
		foreign = foreign || page_is_foreign(&is[i]);
	}
	cpr_dma_table_sum(&now, &sum);
	for (u32 class = REGION; class <= RAM; class++) {
		CHECK_EQ(sum.extents[class], extents[class]);
		CHECK_EQ(sum.bytes[class], pages[class] * PAGE);
	}
	CHECK_EQ(cpr_dma_table_foreign(&now, &owner) != NULL, foreign);
}

static bool reached_pages[REGION_PAGES + 1];

static void check_reached(void)
{
	u64 bytes = 0, pages = 0;

	memset(reached_pages, 0, sizeof(reached_pages));
	for (u32 i = 0; i < IOVA_PAGES; i++)
		if (is[i].class == REGION)
			reached_pages[(is[i].phys - START) / PAGE] = true;
	for (u32 i = 0; i < REGION_PAGES; i++)
		pages += reached_pages[i];
	reach();
	for (u32 i = 0; i < reached.nr; i++) {
		const struct cpr_dma_extent *e = &reached.extents[i];

		/* Apart from each other. */
		CHECK(!i || e->phys > e[-1].phys + e[-1].length);
		CHECK(reached_pages[(e->phys - START) / PAGE]);
		bytes += e->length;
	}
	CHECK_EQ(bytes, pages * PAGE);
}

static void check_gap(u32 first, u32 end)
{
	u32 at = first, to;

	while (at < end && reached_pages[at])
		at++;
	for (to = at; to < end && !reached_pages[to];)
		to++;
	gap_is(START + first * PAGE, START + end * PAGE, START + at * PAGE, (to - at) * PAGE);
}

TEST(five_thousand_random_pairs)
{
	u32 same = 0, kinds[4] = { 0 };

	random_state = 1;
	for (u32 n = 0; n < 5000; n++) {
		random_pair();
		check_table();
		check_compare();
		check_reached();
		same += !nr_diffs;
		for (u32 i = 0; i < nr_diffs; i++)
			kinds[diffs[i].kind]++;
		for (u32 i = 0; i < 20; i++) {
			u32 first = (random_phys() - START) / PAGE % REGION_PAGES;
			u32 length = rnd(rnd(2) ? 16 : REGION_PAGES);

			check_gap(first, min(first + length, (u32)REGION_PAGES));
		}
	}
	/* It has come to all that it is for. */
	CHECK(same > 500 && same < 4500);
	for (u32 kind = 0; kind < 4; kind++)
		CHECK_MSG(kinds[kind] > 500, "kind %u was there %u times", kind, kinds[kind]);
	fresh();
}

int main(void)
{
	return ktap_run();
}
