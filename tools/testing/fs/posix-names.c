// SPDX-License-Identifier: GPL-2.0-only
/*
 * A call on a path that cannot be followed fails with the error for its reason, and does nothing.
 *
 * DOC: The errors of names
 *
 * A condition that is the same for all calls on a path is tried with all of them.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>

#include "posix.h"

/* ---- all calls on a path ---- */

static int use_stat(const char *p) { struct stat st; return stat(p, &st); }
static int use_lstat(const char *p) { struct stat st; return lstat(p, &st); }
static int use_open(const char *p) { return try_open(p, O_RDONLY); }
static int use_truncate(const char *p) { return truncate(p, 0); }
static int use_chmod(const char *p) { return chmod(p, 0600); }
static int use_chown(const char *p) { return chown(p, 1, 1); }
static int use_lchown(const char *p) { return lchown(p, 1, 1); }
static int use_unlink(const char *p) { return unlink(p); }
static int use_rmdir(const char *p) { return rmdir(p); }
static int use_rename(const char *p) { return rename(p, "to"); }
static int use_utimens(const char *p) { return utimensat(AT_FDCWD, p, NULL, 0); }
static int use_access(const char *p) { return access(p, F_OK); }
static int use_chdir(const char *p) { return chdir(p); }
static int use_link(const char *p) { return link(p, "to"); }
static int use_readlink(const char *p) { char to[8]; return readlink(p, to, sizeof(to)) < 0 ? -1 : 0; }

static int new_open(const char *p) { return try_open(p, O_CREAT | O_EXCL | O_WRONLY); }
static int new_mkdir(const char *p) { return mkdir(p, 0700); }
static int new_rename(const char *p) { return rename("from", p); }
static int new_rename_dir(const char *p) { return rename("dir", p); }
static int new_link(const char *p) { return link("from", p); }
static int new_symlink(const char *p) { return symlink("from", p); }
static int new_fifo(const char *p) { return mkfifo(p, 0600); }

struct call {
	const char *name;
	int (*fn)(const char *path);
};

/* Calls on an existing name, and calls that create a name. */
static const struct call users[] = {
	{ "stat", use_stat }, { "lstat", use_lstat }, { "open", use_open },
	{ "truncate", use_truncate }, { "chmod", use_chmod }, { "chown", use_chown },
	{ "lchown", use_lchown }, { "unlink", use_unlink }, { "rmdir", use_rmdir },
	{ "rename", use_rename }, { "utimensat", use_utimens }, { "access", use_access },
	{ "chdir", use_chdir }, { "link", use_link }, { "readlink", use_readlink }, { }
};
static const struct call makers[] = {
	{ "open O_CREAT", new_open }, { "mkdir", new_mkdir }, { "rename to", new_rename },
	{ "rename of a directory to", new_rename_dir }, { "link to", new_link },
	{ "symlink", new_symlink }, { "mkfifo", new_fifo }, { }
};

static void all_fail(const struct call *call, const char *path, int want)
{
	for (; call->name; call++) {
		errno = 0;
		CHECK_MSG(call->fn(path) == -1 && errno == want, "%s: %s, not %s", call->name,
			  strerrorname_np(errno), strerrorname_np(want));
	}
}

static void all_calls_fail(const char *path, int want)
{
	all_fail(users, path, want);
	all_fail(makers, path, want);
}

static void make_sources(void)
{
	make("from", 0600);
	CHECK(!mkdir("dir", 0700));
}

/* ---- conditions ---- */

CASE(a_name_has_at_most_255_bytes)
{
	char name[257];

	make_sources();
	memset(name, 'n', sizeof(name));
	name[255] = 0;
	make(name, 0600);
	CHECK(!rename(name, "short") && !rename("short", name) && !unlink(name));
	CHECK(!mkdir(name, 0700) && !rmdir(name));
	name[255] = 'n';
	name[256] = 0;
	all_calls_fail(name, ENAMETOOLONG);
	memcpy(name, "dir/", 4);
	all_fail(users, name, ENOENT);
}

CASE(a_path_has_at_most_4095_bytes)
{
	static char path[PATH_MAX + 1];

	make_sources();
	memset(path, '/', PATH_MAX);
	path[0] = '.';
	memcpy(path + PATH_MAX - 5, "from", 5);
	CHECK(!access(path, F_OK));
	memcpy(path + PATH_MAX - 4, "from", 5);
	all_calls_fail(path, ENAMETOOLONG);
}

CASE(a_path_through_a_file_is_enotdir)
{
	make_sources();
	make("f", 0600);
	all_calls_fail("f/x", ENOTDIR);
	all_calls_fail("f/x/y", ENOTDIR);
	all_fail(users, "from/", ENOTDIR);
}

CASE(a_path_through_nothing_is_enoent)
{
	make_sources();
	all_calls_fail("nothing/x", ENOENT);
	all_calls_fail("", ENOENT);
	all_fail(users, "nothing", ENOENT);
}

CASE(a_bad_address_is_efault)
{
	make_sources();
	all_calls_fail((const char *)8, EFAULT);
}

CASE(a_loop_of_links_is_eloop)
{
	WITHOUT(can_symlink, "symbolic links");
	make_sources();
	CHECK(!symlink("a", "b") && !symlink("b", "a"));
	all_calls_fail("a/x", ELOOP);
	CHECK_ERR(use_open("a"), ELOOP);
	CHECK_ERR(use_stat("a"), ELOOP);
	CHECK_ERR(use_chmod("a"), ELOOP);
	CHECK_ERR(try_open("a", O_RDONLY | O_NOFOLLOW), ELOOP);
}

CASE(a_name_that_is_there_is_not_made_again)
{
	make_sources();
	make("f", 0600);
	CHECK(!mkdir("d", 0700));
	for (const char *name = "f"; name; name = *name == 'f' ? "d" : NULL) {
		CHECK_ERR(new_open(name), EEXIST);
		CHECK_ERR(new_mkdir(name), EEXIST);
		CHECK_ERR(new_link(name), EEXIST);
		CHECK_ERR(new_symlink(name), EEXIST);
		CHECK_ERR(new_fifo(name), EEXIST);
	}
	CHECK_ERR(mkdir(".", 0700), EEXIST);
	CHECK_ERR(mkdir("..", 0700), EEXIST);
}

CASE(what_is_not_supported_is_eperm)
{
	make_sources();
	if (!can_link)
		CHECK_ERR(new_link("l"), EPERM);
	if (!can_symlink)
		CHECK_ERR(new_symlink("l"), EPERM);
	if (!can_fifo)
		CHECK_ERR(new_fifo("l"), EPERM);
	CHECK_ERR(link("dir", "l"), EPERM);
	CHECK_ERR(access("l", F_OK), ENOENT);
}

/* ---- unlink and rmdir ---- */

CASE(unlink_is_for_files_and_rmdir_for_directories)
{
	make_sources();
	CHECK_ERR(unlink("dir"), EISDIR);
	CHECK_ERR(rmdir("from"), ENOTDIR);
	CHECK_ERR(unlinkat(AT_FDCWD, "from", AT_REMOVEDIR), ENOTDIR);
	CHECK_ERR(unlinkat(AT_FDCWD, "from", 1), EINVAL);
	CHECK(!unlink("from") && !rmdir("dir"));
	CHECK_ERR(unlink("from"), ENOENT);
	CHECK_ERR(rmdir("dir"), ENOENT);
}

CASE(rmdir_needs_an_empty_directory)
{
	CHECK(!mkdir("d", 0700) && !mkdir("d/e", 0700));
	CHECK_ERR(rmdir("d"), ENOTEMPTY);
	CHECK(!rmdir("d/e"));
	make("d/f", 0600);
	CHECK_ERR(rmdir("d"), ENOTEMPTY);
	CHECK(!unlink("d/f"));
	CHECK_ERR(rmdir("d/."), EINVAL);
	CHECK_ERR(rmdir("d/.."), ENOTEMPTY);
	CHECK_ERR(rmdir("."), EINVAL);
	CHECK(!rmdir("d/"));
}

CASE(nothing_is_made_in_a_directory_that_is_gone)
{
	int dir;

	CHECK(!mkdir("d", 0700));
	dir = open("d", O_RDONLY | O_DIRECTORY);
	CHECK(dir >= 0 && !rmdir("d"));
	CHECK_ERR(openat(dir, "f", O_CREAT | O_WRONLY, 0600), ENOENT);
	CHECK_ERR(mkdirat(dir, "e", 0700), ENOENT);
	make("f", 0600);
	CHECK_ERR(renameat(AT_FDCWD, "f", dir, "f"), ENOENT);
	close(dir);
}

/* ---- rename ---- */

CASE(rename_replaces_only_its_like)
{
	make_sources();
	make("f", 0600);
	CHECK(!mkdir("empty", 0700) && !mkdir("full", 0700));
	make("full/f", 0600);
	CHECK_ERR(rename("dir", "f"), ENOTDIR);
	CHECK_ERR(rename("f", "dir"), EISDIR);
	CHECK_ERR(rename("dir", "full"), ENOTEMPTY);
	CHECK_ERR(rename("full/f", "full"), ENOTEMPTY);
	CHECK(!rename("full", "empty"));
	CHECK(!access("empty/f", F_OK));
	CHECK_ERR(access("full", F_OK), ENOENT);
	CHECK(!rename("from", "f"));
	CHECK_ERR(access("from", F_OK), ENOENT);
	CHECK(!rename("f", "f"));
	CHECK(!access("f", F_OK));
}

CASE(rename_keeps_the_inode)
{
	ino_t ino;

	make_with("f", "text");
	ino = stat_of("f").st_ino;
	CHECK(!mkdir("d", 0700) && !rename("f", "d/a-longer-name"));
	CHECK_EQ(stat_of("d/a-longer-name").st_ino, ino);
	CHECK_EQ(stat_of("d/a-longer-name").st_size, 4);
}

CASE(rename_into_itself_is_einval)
{
	CHECK(!mkdir("d", 0700) && !mkdir("d/e", 0700));
	CHECK_ERR(rename("d", "d/x"), EINVAL);
	CHECK_ERR(rename("d", "d/e"), EINVAL);
	CHECK_ERR(rename("d", "d/e/x"), EINVAL);
	CHECK_ERR(rename("d/.", "x"), EBUSY);
	CHECK_ERR(rename("d/..", "x"), EBUSY);
	CHECK_ERR(rename("d", "."), EBUSY);
}

CASE(rename_moves_the_two_dots)
{
	CHECK(!mkdir("a", 0700) && !mkdir("b", 0700) && !mkdir("a/d", 0700));
	CHECK_EQ(stat_of("a").st_nlink, 3);
	CHECK(!rename("a/d", "b/d"));
	CHECK_EQ(stat_of("a").st_nlink, 2);
	CHECK_EQ(stat_of("b").st_nlink, 3);
	CHECK_EQ(stat_of("b/d/..").st_ino, stat_of("b").st_ino);
	CHECK(!mkdir("a/d", 0700) && !rename("a/d", "b/d"));
	CHECK_EQ(stat_of("a").st_nlink, 2);
	CHECK_EQ(stat_of("b").st_nlink, 3);
}

CASE(rename_with_noreplace_replaces_nothing)
{
	make_sources();
	make("f", 0600);
	CHECK_ERR(renameat2(AT_FDCWD, "from", AT_FDCWD, "f", RENAME_NOREPLACE), EEXIST);
	CHECK_ERR(renameat2(AT_FDCWD, "from", AT_FDCWD, "from", RENAME_NOREPLACE), EEXIST);
	CHECK_ERR(renameat2(AT_FDCWD, "nothing", AT_FDCWD, "f", RENAME_NOREPLACE), ENOENT);
	CHECK(!renameat2(AT_FDCWD, "from", AT_FDCWD, "new", RENAME_NOREPLACE));
	CHECK_ERR(renameat2(AT_FDCWD, "new", AT_FDCWD, "f", RENAME_NOREPLACE | RENAME_EXCHANGE),
		  EINVAL);
	CHECK_ERR(renameat2(AT_FDCWD, "new", AT_FDCWD, "f", 1 << 10), EINVAL);
}

CASE(rename_with_exchange_exchanges_or_is_einval)
{
	int got;

	make_with("a", "aaa");
	CHECK(!mkdir("b", 0700));
	CHECK_ERR(renameat2(AT_FDCWD, "a", AT_FDCWD, "nothing", RENAME_EXCHANGE), ENOENT);
	got = renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE);
	if (got)
		CHECK_EQ(errno, EINVAL);
	CHECK_EQ(stat_of(got ? "a" : "b").st_size, 3);
	CHECK(S_ISDIR(stat_of(got ? "b" : "a").st_mode));
}

CASE(rename_over_an_open_file_leaves_it_to_who_has_it)
{
	char text[8];
	int fd;

	make_with("a", "new");
	make_with("b", "older");
	fd = open("b", O_RDONLY);
	CHECK(!rename("a", "b"));
	CHECK_EQ(read(fd, text, sizeof(text)), 5);
	close(fd);
	CHECK_EQ(stat_of("b").st_size, 3);
}

/* ---- links, where there are some ---- */

CASE(links_are_counted)
{
	WITHOUT(can_link, "hard links");
	make("f", 0600);
	CHECK(!link("f", "g"));
	CHECK_EQ(stat_of("f").st_nlink, 2);
	CHECK_EQ(stat_of("f").st_ino, stat_of("g").st_ino);
	CHECK(!rename("f", "g"));
	CHECK_EQ(stat_of("f").st_nlink, 2);
	CHECK(!unlink("f"));
	CHECK_EQ(stat_of("g").st_nlink, 1);
}

int main(int argc, char **argv)
{
	return posix_main(argc, argv);
}
