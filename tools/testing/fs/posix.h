/* SPDX-License-Identifier: GPL-2.0-only */
/**
 * DOC: Checks of what POSIX and Linux promise
 *
 *	CASE(name) { ... CHECK(condition) ... }
 *	int main(int argc, char **argv) { return posix_main(argc, argv); }
 *
 * A case begins as root, with umask 0, in a new empty directory of mode 0755 below the one
 * that the program's argument names; paths are relative. The behaviours are those that
 * pjdfstest lists, and some of Linux. All must pass on tmpfs, the peer, and on cprfs. The
 * program probes which optional features there are, and WITHOUT() skips a case.
 */
#ifndef POSIX_H
#define POSIX_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ktap.h"

#define SOMEONE		65533
#define ANOTHER		65532

static bool can_link, can_symlink, can_fifo;
static char posix_top[PATH_MAX];

static int posix_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type;
	return at->level ? remove(path) : 0;
}

/* Be a user with one group. */
static inline void be(uid_t uid, gid_t gid)
{
	CHECK(!seteuid(0) && !setgroups(1, &gid) && !setegid(gid) && !seteuid(uid));
}

static inline void be_root(void)
{
	be(0, 0);
}

static void posix_begin(void)
{
	be_root();
	umask(0);
	CHECK(!chdir(posix_top));
	CHECK(!nftw(".", posix_remove, 20, FTW_DEPTH | FTW_PHYS));
	CHECK(!mkdir("case", 0755) && !chdir("case"));
}

#define CASE(_name)							\
	static void case_##_name(void);					\
	TEST(_name)							\
	{								\
		posix_begin();						\
		case_##_name();						\
	}								\
	static void case_##_name(void)

#define WITHOUT(_feature, _why)						\
	do {								\
		if (!(_feature))					\
			SKIP("not here: " _why);			\
	} while (0)

static inline void make(const char *name, mode_t mode)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, mode);

	CHECK(fd >= 0);
	close(fd);
}

static inline void make_with(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static inline struct stat stat_of(const char *name)
{
	struct stat st;

	CHECK(!lstat(name, &st));
	return st;
}

/* The permission bits of a file. */
static inline mode_t mode_of(const char *name)
{
	return stat_of(name).st_mode & 07777;
}

/* Open and close a file; 0 or -1. */
static inline int try_open(const char *name, int flags)
{
	int fd = open(name, flags, 0644);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int posix_probe(void)
{
	if (setjmp(ktap_out))
		return -1;
	posix_begin();
	make("f", 0600);
	can_link = !link("f", "l");
	can_symlink = !symlink("f", "s");
	can_fifo = !mkfifo("p", 0600);
	return 0;
}

static inline int posix_main(int argc, char **argv)
{
	if (argc != 2 || !realpath(argv[1], posix_top)) {
		fprintf(stderr, "usage: %s DIR\n", argv[0]);
		return 2;
	}
	return posix_probe() ? 2 : ktap_run();
}

#endif /* POSIX_H */
