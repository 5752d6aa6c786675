// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page with a memory error is found by every question that concerns the page.
 *
 * The table of bad pages against a bitmap of them, and what a full table does.
 */
#include <stdbool.h>

#include "bad.h"
#include "ktap.h"

#define PAGES	600

static struct cpr_bad bad;
static bool map[PAGES];

static void is_in_order(void)
{
	for (u32 i = 0; i < bad.nr; i++) {
		CHECK(bad.run[i].count);
		CHECK(!i || bad.run[i].page > bad.run[i - 1].page + bad.run[i - 1].count);
	}
}

static void is_like_the_map(u64 page, u64 count)
{
	u64 first = 0, want = 0, n = 0;

	for (u64 i = page; i < page + count && i < PAGES; i++) {
		if (map[i] && !n++)
			want = i;
	}
	CHECK_EQ(cpr_bad_count(&bad, page, count), n);
	CHECK_EQ(cpr_bad_find(&bad, page, count, &first), !!n);
	CHECK_EQ(first, want);
}

static void add(u64 page, u64 count)
{
	CHECK_EQ(cpr_bad_add(&bad, page, count), 0);
	for (u64 i = page; i < page + count; i++)
		map[i] = true;
	is_in_order();
}

static void none(void)
{
	memset(&bad, 0, sizeof(bad));
	memset(map, 0, sizeof(map));
}

TEST(pages_that_touch_are_one_run)
{
	none();
	is_like_the_map(0, PAGES);
	add(7, 1);
	add(9, 1);
	CHECK_EQ(bad.nr, 2);
	add(8, 1);
	CHECK_EQ(bad.nr, 1);
	add(8, 1);
	add(6, 5);
	CHECK_EQ(bad.nr, 1);
	CHECK(bad.run[0].page == 6 && bad.run[0].count == 5);
	add(0, 1);
	add(20, 3);
	add(0, 30);
	CHECK_EQ(bad.nr, 1);
	is_like_the_map(0, PAGES);
}

TEST(random_pages_are_found)
{
	srand(13);
	for (int round = 0; round < 200; round++) {
		none();
		for (int i = 0; i < 60; i++) {
			add(rand() % 500, 1 + rand() % (round % 20 + 1));
			for (int j = 0; j < 10; j++)
				is_like_the_map(rand() % PAGES, 1 + rand() % 40);
		}
		is_like_the_map(0, UINT64_MAX);
	}
}

TEST(a_full_table_takes_what_touches_a_run)
{
	u64 first;

	none();
	for (u64 i = 0; i < CPR_IMAGE_BAD_MAX; i++)
		CHECK_EQ(cpr_bad_add(&bad, 2 * i, 1), 0);
	CHECK_EQ(cpr_bad_add(&bad, 4 * CPR_IMAGE_BAD_MAX, 1), -ENOSPC);
	CHECK(!cpr_bad_find(&bad, 4 * CPR_IMAGE_BAD_MAX, 1, &first));
	CHECK_EQ(cpr_bad_add(&bad, 8, 1), 0);
	CHECK_EQ(bad.nr, CPR_IMAGE_BAD_MAX);
	CHECK_EQ(cpr_bad_add(&bad, 2 * CPR_IMAGE_BAD_MAX - 1, 1), 0);
	CHECK_EQ(bad.nr, CPR_IMAGE_BAD_MAX);
	CHECK_EQ(cpr_bad_add(&bad, 9, 1), 0);
	CHECK_EQ(bad.nr, CPR_IMAGE_BAD_MAX - 1);
	CHECK_EQ(cpr_bad_add(&bad, 4 * CPR_IMAGE_BAD_MAX, 1), 0);
	is_in_order();
}

int main(void)
{
	return ktap_run();
}
