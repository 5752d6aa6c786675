// SPDX-License-Identifier: GPL-2.0-only
/* RAM in the region does not make QEMU the OOM killer's choice. */
#include "ktap.h"
#include "vm/oom.h"

#define GIB (1ull << 30)

TEST(what_would_not_be_freed_does_not_count)
{
	/* One thousandth more than the share. */
	CHECK_EQ(oom_score_without(0, 16 * GIB, 64 * GIB), -251);
	CHECK_EQ(oom_score_without(100, 32 * GIB, 64 * GIB), -401);
	CHECK_EQ(oom_score_without(0, 1, 64 * GIB), -1);
}

TEST(a_score_has_a_minimum)
{
	CHECK_EQ(oom_score_without(0, 64 * GIB, 64 * GIB), OOM_SCORE_MIN);
	CHECK_EQ(oom_score_without(0, 1024 * GIB, 64 * GIB), OOM_SCORE_MIN);
	CHECK_EQ(oom_score_without(-900, 16 * GIB, 64 * GIB), OOM_SCORE_MIN);
	CHECK_EQ(oom_score_without(OOM_SCORE_MIN, GIB, 64 * GIB), OOM_SCORE_MIN);
	CHECK_EQ(oom_score_without(1000, UINT64_MAX, 1), 0);
}

int main(void)
{
	return ktap_run();
}
