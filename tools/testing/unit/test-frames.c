// SPDX-License-Identifier: GPL-2.0-only
/*
 * No frame belongs to two files.
 *
 * The allocator's policy: clean frames come before dirty ones, large files get whole GiBs,
 * and small files leave these alone.
 */
#include "frames.h"
#include "ktap.h"

static struct cpr_geometry geo;
static struct cpr_frames f;
static struct cpr_run run;

static void fresh(u64 start, u64 size)
{
	struct cpr_reason why;

	CHECK_EQ(cpr_image_layout(&geo, start, size, &why), 0);
	CHECK_EQ(cpr_frames_init(&f, &geo), 0);
}

static void all_clean(void)
{
	cpr_frames_set(&f, geo.first_frame, geo.frames - geo.first_frame, CPR_FRAME_CLEAN);
}

TEST(a_fresh_region_is_all_dirty)
{
	fresh(4ull << 30, 1ull << 30);
	CHECK_EQ(cpr_frames_total(&f), 507);
	CHECK_EQ(cpr_frames_free(&f), 507);
	CHECK_EQ(f.count[CPR_FRAME_DIRTY], 507);
	CHECK(cpr_frames_take(&f, 0, 1, &run));
	CHECK(run.dirty);
	CHECK_EQ(cpr_frames_free(&f), 506);
	cpr_frames_exit(&f);
}

TEST(clean_frames_come_first)
{
	fresh(4ull << 30, 1ull << 30);
	cpr_frames_set(&f, 100, 3, CPR_FRAME_CLEAN);
	CHECK(cpr_frames_take(&f, 0, 2, &run));
	CHECK(!run.dirty);
	CHECK_EQ(run.frame, 101);
	CHECK_EQ(run.count, 2);
	/* A run is of one kind: one clean frame is left, then dirty ones. */
	CHECK(cpr_frames_take(&f, 2, 5, &run));
	CHECK(!run.dirty);
	CHECK_EQ(run.count, 1);
	CHECK(cpr_frames_take(&f, 3, 4, &run));
	CHECK(run.dirty);
	cpr_frames_exit(&f);
}

TEST(small_files_come_from_the_top)
{
	fresh(4ull << 30, 4ull << 30);
	all_clean();
	CHECK(cpr_frames_take(&f, 0, 1, &run));
	CHECK_EQ(run.frame, geo.frames - 1);
	CHECK(cpr_frames_take(&f, 0, 10, &run));
	CHECK_EQ(run.frame, geo.frames - 11);
	cpr_frames_exit(&f);
}

static void test_gib_alignment(u64 start, u32 expect)
{
	fresh(start, 4ull << 30);
	all_clean();
	CHECK(cpr_frames_take(&f, 0, 600, &run));
	CHECK_EQ(run.count, 512);
	CHECK_EQ(run.frame, expect);
	CHECK_EQ((start + ((u64)run.frame << 21)) % SZ_1G, 0);
	/* The rest of the file is small, and comes from the top. */
	CHECK(cpr_frames_take(&f, 512, 88, &run));
	CHECK_EQ(run.frame, geo.frames - 88);
	cpr_frames_exit(&f);
}

TEST(large_files_get_whole_gibs)
{
	test_gib_alignment(4ull << 30, 512);
	test_gib_alignment((4ull << 30) + (256ull << 20), 384);
	test_gib_alignment((4ull << 30) + (1022ull << 20), 513);
}

TEST(a_dirty_gib_comes_before_clean_scraps)
{
	fresh(4ull << 30, 4ull << 30);
	cpr_frames_set(&f, 600, 20, CPR_FRAME_CLEAN);
	CHECK(cpr_frames_take(&f, 0, 512, &run));
	CHECK(run.dirty);
	CHECK_EQ(run.frame, 1024);
	CHECK_EQ(run.count, 512);
	cpr_frames_exit(&f);
}

TEST(a_fragmented_region)
{
	fresh(4ull << 30, 1ull << 30);
	all_clean();
	for (u32 i = geo.first_frame; i < geo.frames; i += 2)
		cpr_frames_set(&f, i, 1, CPR_FRAME_USED);
	CHECK(cpr_frames_take(&f, 0, 100, &run));
	CHECK_EQ(run.count, 1);
	cpr_frames_set(&f, 50, 7, CPR_FRAME_CLEAN);
	CHECK(cpr_frames_take(&f, 0, 100, &run));
	CHECK(run.count >= 7);
	cpr_frames_exit(&f);
}

TEST(a_full_region)
{
	u32 n = 0;

	fresh(4ull << 30, 64ull << 20);
	while (cpr_frames_take(&f, n, 5, &run))
		n += run.count;
	CHECK_EQ(n, cpr_frames_total(&f));
	CHECK_EQ(cpr_frames_free(&f), 0);
	CHECK(!cpr_frames_take(&f, 0, 1, &run));
	cpr_frames_exit(&f);
}

TEST(twenty_thousand_random_steps)
{
	static u8 owned[4096];
	u32 x = 7, held = 0;

	fresh((4ull << 30) + (64 << 20), 3ull << 30);
	memset(owned, 0, sizeof(owned));
	for (int step = 0; step < 20000; step++) {
		u32 sum = 0;

		x = x * 1664525 + 1013904223;
		if (x >> 31) {
			u32 want = 1 + (x >> 8) % 700;

			if (!cpr_frames_take(&f, (x >> 20) % 2000, want, &run))
				continue;
			CHECK(run.count && run.count <= want);
			CHECK(run.frame >= geo.first_frame && run.frame + run.count <= geo.frames);
			for (u32 i = run.frame; i < run.frame + run.count; i++) {
				CHECK(!owned[i]);
				owned[i] = 1;
			}
			held += run.count;
		} else {
			u32 i = geo.first_frame + (x >> 8) % (geo.frames - geo.first_frame);
			u32 n = 0;

			while (i + n < geo.frames && owned[i + n] && n < 64)
				owned[i + n++] = 0;
			cpr_frames_set(&f, i, n, x & 64 ? CPR_FRAME_CLEAN : CPR_FRAME_DIRTY);
			held -= n;
		}
		for (int s = 0; s < CPR_FRAME_STATES; s++)
			sum += f.count[s];
		CHECK_EQ(sum, geo.frames);
		CHECK_EQ(f.count[CPR_FRAME_USED], held);
	}
	cpr_frames_exit(&f);
}

TEST(finding_frames_by_state)
{
	u32 at = 0;

	fresh(4ull << 30, 64ull << 20);
	CHECK(!cpr_frames_find(&f, CPR_FRAME_BUSY, &at));
	cpr_frames_set(&f, 20, 1, CPR_FRAME_BUSY);
	cpr_frames_set(&f, geo.frames - 1, 1, CPR_FRAME_BUSY);
	CHECK(cpr_frames_find(&f, CPR_FRAME_BUSY, &at));
	CHECK_EQ(at, 20);
	at++;
	CHECK(cpr_frames_find(&f, CPR_FRAME_BUSY, &at));
	CHECK_EQ(at, geo.frames - 1);
	at++;
	CHECK(!cpr_frames_find(&f, CPR_FRAME_BUSY, &at));
	cpr_frames_exit(&f);
}

/* The frames of one state, and what a failed frame becomes in each. */
TEST(a_frame_that_has_failed_is_never_free)
{
	static const u8 free[] = { CPR_FRAME_DIRTY, CPR_FRAME_SCRUBBING, CPR_FRAME_CLEAN };
	u32 taken = 0;

	fresh(4ull << 30, 1ull << 30);
	all_clean();
	/* In use, freed, pinned: it stays what it is, until it would be free. */
	cpr_frames_set(&f, 100, 4, CPR_FRAME_USED);
	cpr_frames_fail(&f, 101);
	CHECK(cpr_frames_failed(&f, 101) && !cpr_frames_failed(&f, 100));
	CHECK_EQ(f.state[101], CPR_FRAME_USED);
	for (int i = 0; i < 3; i++) {
		cpr_frames_set(&f, 100, 4, CPR_FRAME_FREED);
		CHECK_EQ(f.count[CPR_FRAME_FREED], 4);
		cpr_frames_set(&f, 100, 4, CPR_FRAME_BUSY);
		CHECK_EQ(f.count[CPR_FRAME_BUSY], 4);
		cpr_frames_set(&f, 100, 4, free[i]);
		CHECK_EQ(f.state[101], CPR_FRAME_BAD);
		CHECK_EQ(f.state[102], free[i]);
		CHECK_EQ(f.count[CPR_FRAME_BAD], 1);
	}
	/* Free: at once; but not while it is being scrubbed. */
	cpr_frames_fail(&f, 200);
	CHECK_EQ(f.state[200], CPR_FRAME_BAD);
	cpr_frames_set(&f, 201, 1, CPR_FRAME_SCRUBBING);
	cpr_frames_fail(&f, 201);
	CHECK_EQ(f.state[201], CPR_FRAME_SCRUBBING);
	cpr_frames_set(&f, 201, 1, CPR_FRAME_CLEAN);
	CHECK_EQ(f.state[201], CPR_FRAME_BAD);
	/* Tables stay tables. */
	cpr_frames_fail(&f, 0);
	CHECK_EQ(f.state[0], CPR_FRAME_TABLE);
	CHECK_EQ(f.count[CPR_FRAME_BAD], 3);
	CHECK_EQ(cpr_frames_free(&f), 507 - 3);
	while (cpr_frames_take(&f, taken, 64, &run)) {
		for (u32 i = run.frame; i < run.frame + run.count; i++)
			CHECK(!cpr_frames_failed(&f, i));
		taken += run.count;
	}
	CHECK_EQ(taken, 507 - 3);
	cpr_frames_exit(&f);
}

int main(void)
{
	return ktap_run();
}
