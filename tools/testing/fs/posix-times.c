// SPDX-License-Identifier: GPL-2.0-only
/*
 * The times of files say when they were read, written and changed.
 *
 * DOC: Times
 *
 * Before each call a case waits until the clock of file systems has advanced, which it does
 * by ticks. So a time that the call sets is later than all times from before.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "posix.h"

static long long nanoseconds(struct timespec t)
{
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static long long now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return nanoseconds(t);
}

/* The times of a file; a later call sets times that are later. */
static struct stat before_of(const char *name)
{
	long long start = now(CLOCK_REALTIME_COARSE);

	while (now(CLOCK_REALTIME_COARSE) == start)
		;
	return stat_of(name);
}

enum { ATIME = 1, MTIME = 2, CTIME = 4 };

static int newer(const char *name, const struct stat *before)
{
	struct stat st = stat_of(name);

	return (nanoseconds(st.st_atim) > nanoseconds(before->st_atim) ? ATIME : 0) |
	       (nanoseconds(st.st_mtim) > nanoseconds(before->st_mtim) ? MTIME : 0) |
	       (nanoseconds(st.st_ctim) > nanoseconds(before->st_ctim) ? CTIME : 0);
}

/* Check that @_call sets exactly these times. */
#define SETS(_name, _times, _call)					\
	do {								\
		struct stat before_ = before_of(_name);			\
									\
		CHECK(_call);						\
		CHECK_EQ(newer(_name, &before_), _times);		\
	} while (0)

CASE(what_is_new_has_the_present_time)
{
	struct stat st;
	long long start = now(CLOCK_REALTIME_COARSE);

	make("f", 0600);
	st = stat_of("f");
	CHECK(nanoseconds(st.st_mtim) >= start && nanoseconds(st.st_mtim) <= now(CLOCK_REALTIME));
	CHECK_EQ(nanoseconds(st.st_mtim), nanoseconds(st.st_ctim));
	CHECK_EQ(nanoseconds(st.st_mtim), nanoseconds(st.st_atim));
	CHECK(!mkdir("d", 0700));
	CHECK(nanoseconds(stat_of("d").st_ctim) >= start);
}

CASE(names_change_their_directory)
{
	SETS(".", MTIME | CTIME, !try_open("f", O_CREAT | O_WRONLY));
	SETS(".", 0, !try_open("f", O_CREAT | O_WRONLY));
	SETS(".", MTIME | CTIME, !mkdir("d", 0700));
	SETS(".", 0, mkdir("d", 0700) && unlink("x"));
	SETS(".", MTIME | CTIME, !rename("f", "g"));
	SETS(".", MTIME | CTIME, !rename("g", "d/g"));
	SETS("d", MTIME | CTIME, !rename("d/g", "f"));
	SETS("d", 0, !chmod("f", 0640));
	SETS(".", MTIME | CTIME, !unlink("f"));
	SETS(".", MTIME | CTIME, !rmdir("d"));
}

CASE(rename_changes_both_directories_and_what_it_moves)
{
	struct stat a, b, f;

	CHECK(!mkdir("a", 0700) && !mkdir("b", 0700));
	make("a/f", 0600);
	a = before_of("a");
	b = stat_of("b");
	f = stat_of("a/f");
	CHECK(!rename("a/f", "b/f"));
	CHECK_EQ(newer("a", &a), MTIME | CTIME);
	CHECK_EQ(newer("b", &b), MTIME | CTIME);
	CHECK_EQ(newer("b/f", &f), CTIME);
}

CASE(removing_a_name_changes_the_file)
{
	struct stat before, after;
	int fd;

	make("f", 0600);
	fd = open("f", O_RDONLY);
	before = before_of("f");
	CHECK(!unlink("f") && !fstat(fd, &after));
	CHECK(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
	CHECK_EQ(nanoseconds(after.st_mtim), nanoseconds(before.st_mtim));
	close(fd);
	make("g", 0600);
	make("f", 0600);
	fd = open("f", O_RDONLY);
	before = before_of("f");
	CHECK(!rename("g", "f") && !fstat(fd, &after));
	CHECK(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
	close(fd);
}

CASE(writing_sets_mtime_and_ctime)
{
	int fd;

	make_with("f", "text");
	fd = open("f", O_RDWR);
	SETS("f", MTIME | CTIME, write(fd, "x", 1) == 1);
	SETS("f", MTIME | CTIME, pwrite(fd, "x", 1, 100) == 1);
	SETS("f", 0, !write(fd, "", 0));
	SETS("f", MTIME | CTIME, !ftruncate(fd, 10));
	SETS("f", MTIME | CTIME, !ftruncate(fd, 1000));
	SETS("f", MTIME | CTIME, !truncate("f", 500));
	SETS("f", MTIME | CTIME, !ftruncate(fd, 500));
	SETS("f", MTIME | CTIME, !try_open("f", O_WRONLY | O_TRUNC));
	SETS("f", MTIME | CTIME, !try_open("f", O_WRONLY | O_TRUNC));
	SETS("f", MTIME | CTIME, !fallocate(fd, 0, 0, 100));
	SETS("f", MTIME | CTIME, !fallocate(fd, 3, 0, 50));
	SETS("f", 0, !fsync(fd) && lseek(fd, 0, SEEK_SET) == 0);
	SETS("f", 0, ftruncate(fd, -1) == -1);
	close(fd);
}

CASE(a_truncate_to_the_same_length_by_path_sets_ctime)
{
	make_with("f", "text");
	SETS("f", MTIME | CTIME, !truncate("f", 4));
}

CASE(writing_to_a_mapping_sets_mtime)
{
	char *map;
	int fd;

	make_with("f", "text");
	fd = open("f", O_RDWR);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED && !close(fd));
	SETS("f", MTIME | CTIME, (map[0] = 'n'));
	munmap(map, 4096);
	fd = open("f", O_RDWR);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED && !close(fd));
	SETS("f", 0, (map[0] = 'n'));
	munmap(map, 4096);
}

CASE(reading_sets_atime)
{
	char c;
	int fd;

	make_with("f", "text");
	fd = open("f", O_RDONLY);
	/* relatime: the first read after a change. */
	before_of("f");
	CHECK(!chmod("f", 0600));
	SETS("f", ATIME, read(fd, &c, 1) == 1);
	close(fd);
	CHECK(!chmod("f", 0644));
	fd = open("f", O_RDONLY | O_NOATIME);
	SETS("f", 0, read(fd, &c, 1) == 1);
	close(fd);
}

CASE(changes_of_attributes_set_ctime)
{
	static const struct timespec keep[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };

	make("f", 0600);
	CHECK(!mkdir("d", 0700));
	SETS("f", CTIME, !chmod("f", 0640));
	SETS("d", CTIME, !chmod("d", 0750));
	SETS("f", CTIME, !chown("f", 1, 1));
	SETS("f", CTIME, !chown("f", 1, 1));
	SETS("f", 0, !utimensat(AT_FDCWD, "f", keep, 0));
	be(SOMEONE, SOMEONE);
	SETS("f", 0, chmod("f", 0600) == -1);
	SETS("f", 0, chown("f", 2, 2) == -1);
}

/* ---- utimensat ---- */

CASE(utimensat_sets_what_it_says)
{
	struct timespec t[2] = { { 1000000001, 123456789 }, { -5, 987654321 } };
	struct stat st;

	make("f", 0600);
	st = before_of("f");
	CHECK(!utimensat(AT_FDCWD, "f", t, 0));
	CHECK_EQ(newer("f", &st), CTIME);
	st = stat_of("f");
	CHECK_EQ(nanoseconds(st.st_atim), 1000000001123456789ll);
	CHECK_EQ(nanoseconds(st.st_mtim), -5 * 1000000000ll + 987654321);
	t[0].tv_nsec = UTIME_OMIT;
	t[1].tv_nsec = UTIME_NOW;
	CHECK(!utimensat(AT_FDCWD, "f", t, 0));
	CHECK_EQ(nanoseconds(stat_of("f").st_atim), 1000000001123456789ll);
	CHECK(nanoseconds(stat_of("f").st_mtim) > nanoseconds(st.st_ctim) - 1000000000);
	t[0].tv_nsec = 1000000000;
	CHECK_ERR(utimensat(AT_FDCWD, "f", t, 0), EINVAL);
	t[0].tv_nsec = -1;
	CHECK_ERR(utimensat(AT_FDCWD, "f", t, 0), EINVAL);
	CHECK_ERR(utimensat(AT_FDCWD, "f", NULL, 0x7f0000), EINVAL);
}

CASE(times_of_far_years_are_kept)
{
	struct timespec t[2] = { { 0x100000000, 1 }, { 253402300799, 999999999 } };
	struct stat st;

	make("f", 0600);
	CHECK(!utimensat(AT_FDCWD, "f", t, 0));
	st = stat_of("f");
	CHECK_EQ(st.st_atim.tv_sec, 0x100000000);
	CHECK_EQ(st.st_mtim.tv_sec, 253402300799);
	CHECK_EQ(st.st_mtim.tv_nsec, 999999999);
}

CASE(utimensat_by_others)
{
	struct timespec t[2] = { { 1, 1 }, { 2, 2 } };

	make("f", 0666);
	CHECK(!chown("f", SOMEONE, SOMEONE));
	be(ANOTHER, ANOTHER);
	/* Who may write may set the present time, and no other. */
	CHECK(!utimensat(AT_FDCWD, "f", NULL, 0));
	CHECK_ERR(utimensat(AT_FDCWD, "f", t, 0), EPERM);
	be_root();
	CHECK(!chmod("f", 0444));
	be(ANOTHER, ANOTHER);
	CHECK_ERR(utimensat(AT_FDCWD, "f", NULL, 0), EACCES);
	be(SOMEONE, SOMEONE);
	CHECK(!utimensat(AT_FDCWD, "f", NULL, 0) && !utimensat(AT_FDCWD, "f", t, 0));
}

int main(int argc, char **argv)
{
	return posix_main(argc, argv);
}
