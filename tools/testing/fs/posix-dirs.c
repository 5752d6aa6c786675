// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that reads a directory sees each name that stays there exactly once.
 *
 * DOC: Reading directories
 */
#define _GNU_SOURCE
#include <sys/syscall.h>

#include "posix.h"

#define MANY	1000

static void make_many(int n)
{
	char name[16];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		make(name, 0600);
	}
}

/* The number in a name of make_many(), or -1. */
static int number(const struct dirent *e)
{
	return e->d_name[0] == 'n' ? atoi(e->d_name + 1) : -1;
}

CASE(every_name_is_there_once)
{
	int seen[MANY] = { 0 }, dots = 0;
	DIR *d;

	make_many(MANY);
	d = opendir(".");
	for (struct dirent *e; (e = readdir(d));) {
		if (number(e) < 0)
			dots++;
		else
			seen[number(e)]++;
	}
	closedir(d);
	CHECK_EQ(dots, 2);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(seen[i], 1);
}

CASE(entries_agree_with_stat)
{
	DIR *d;

	make("f", 0600);
	CHECK(!mkdir("d", 0700));
	if (can_symlink)
		CHECK(!symlink("f", "s"));
	if (can_fifo)
		CHECK(!mkfifo("p", 0600));
	d = opendir(".");
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st = stat_of(e->d_name);

		CHECK_EQ(e->d_ino, st.st_ino);
		CHECK_EQ(e->d_type, IFTODT(st.st_mode));
	}
	closedir(d);
}

CASE(a_position_leads_back_to_the_same_name)
{
	static long at[MANY + 3];
	static char name[MANY + 3][16];
	int n = 0;
	DIR *d;

	make_many(MANY);
	d = opendir(".");
	for (struct dirent *e; at[n] = telldir(d), (e = readdir(d)); n++)
		strcpy(name[n], e->d_name);
	CHECK_EQ(n, MANY + 2);
	for (int i = n - 1; i >= 0; i -= 7) {
		seekdir(d, at[i]);
		CHECK_EQ(telldir(d), at[i]);
		CHECK_STR(readdir(d)->d_name, name[i]);
	}
	seekdir(d, at[n]);
	CHECK(!readdir(d));
	rewinddir(d);
	CHECK_STR(readdir(d)->d_name, name[0]);
	closedir(d);
}

CASE(a_position_outlives_the_name_before)
{
	char kept[16];
	struct dirent *e;
	long at;
	DIR *d;

	make_many(10);
	d = opendir(".");
	do {
		e = readdir(d);
	} while (number(e) < 0);
	at = telldir(d);
	CHECK(!unlink(e->d_name));
	e = readdir(d);
	strcpy(kept, e->d_name);
	seekdir(d, at);
	CHECK_STR(readdir(d)->d_name, kept);
	closedir(d);
}

CASE(names_that_stay_are_seen_while_others_come_and_go)
{
	int seen[MANY] = { 0 }, n = 0;
	char name[16];
	DIR *d;

	make_many(MANY);
	d = opendir(".");
	for (struct dirent *e; (e = readdir(d));) {
		if (number(e) >= 0)
			seen[number(e)]++;
		/* The even ones stay. */
		snprintf(name, sizeof(name), "n%d", n * 2 + 1);
		if (n * 2 + 1 < MANY)
			CHECK(!unlink(name));
		snprintf(name, sizeof(name), "other%d", n);
		if (n < MANY / 2)
			make(name, 0600);
		n++;
		CHECK(n < 4 * MANY);
	}
	closedir(d);
	for (int i = 0; i < MANY; i++)
		CHECK(i % 2 ? seen[i] <= 1 : seen[i] == 1);
}

CASE(all_can_be_removed_while_reading)
{
	DIR *d;

	make_many(MANY);
	d = opendir(".");
	for (struct dirent *e; (e = readdir(d));)
		if (number(e) >= 0)
			CHECK(!unlink(e->d_name));
	closedir(d);
	CHECK(!chdir("..") && !rmdir("case"));
}

CASE(a_rewound_directory_has_the_new_names)
{
	bool seen = false;
	DIR *d = opendir(".");

	while (readdir(d))
		;
	make("n1", 0600);
	rewinddir(d);
	for (struct dirent *e; (e = readdir(d));)
		seen |= number(e) == 1;
	closedir(d);
	CHECK(seen);
}

CASE(a_removed_directory_is_empty)
{
	struct stat st;
	DIR *d;

	CHECK(!mkdir("d", 0700));
	d = opendir("d");
	CHECK(!rmdir("d") && !fstat(dirfd(d), &st));
	CHECK_EQ(st.st_nlink, 0);
	for (struct dirent *e; (e = readdir(d));)
		CHECK(e->d_name[0] == '.');
	closedir(d);
}

CASE(who_is_in_a_removed_directory_has_no_path)
{
	char path[PATH_MAX];

	CHECK(!mkdir("d", 0700) && !chdir("d") && !rmdir("../d"));
	CHECK(!getcwd(path, sizeof(path)) && errno == ENOENT);
	CHECK_ERR(open("f", O_CREAT | O_WRONLY, 0600), ENOENT);
	CHECK(!chdir(".."));
	CHECK_ERR(access("d", F_OK), ENOENT);
}

CASE(a_directory_is_not_read_as_a_file)
{
	char buf[4096];
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	CHECK_ERR(read(fd, buf, sizeof(buf)), EISDIR);
	CHECK_ERR(write(fd, buf, 1), EBADF);
	CHECK_ERR(ftruncate(fd, 0), EINVAL);
	CHECK_ERR(fallocate(fd, 0, 0, 1), EBADF);
	CHECK_ERR(syscall(SYS_getdents64, fd, buf, 4), EINVAL);
	CHECK(!fsync(fd) && !fdatasync(fd) && !syncfs(fd));
	close(fd);
	make("f", 0600);
	fd = open("f", O_RDONLY);
	CHECK_ERR(syscall(SYS_getdents64, fd, buf, sizeof(buf)), ENOTDIR);
	close(fd);
}

CASE(links_of_a_directory_count_its_directories)
{
	CHECK_EQ(stat_of(".").st_nlink, 2);
	make("f", 0600);
	CHECK(!mkdir("d", 0700) && !mkdir("e", 0700));
	CHECK_EQ(stat_of(".").st_nlink, 4);
	CHECK(!rename("d", "e"));
	CHECK_EQ(stat_of(".").st_nlink, 3);
	CHECK(!rmdir("e") && !unlink("f"));
	CHECK_EQ(stat_of(".").st_nlink, 2);
}

int main(int argc, char **argv)
{
	return posix_main(argc, argv);
}
