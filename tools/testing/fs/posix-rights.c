// SPDX-License-Identifier: GPL-2.0-only
/*
 * A user may do with a file what its mode, its owner and its directory allow, and nothing else.
 *
 * DOC: Rights: modes, owners, sticky and set-id bits
 */
#define _GNU_SOURCE
#include "posix.h"

/* A directory of someone's in which all may write. */
static void make_common(const char *name, mode_t mode)
{
	CHECK(!mkdir(name, 0700) && !chmod(name, mode) && !chown(name, SOMEONE, SOMEONE));
}

static void make_owned(const char *name, mode_t mode, uid_t uid)
{
	make(name, mode);
	CHECK(!chown(name, uid, uid) && !chmod(name, mode));
}

/* ---- who may open ---- */

CASE(the_mode_says_who_may_open)
{
	static const struct { uid_t uid; mode_t shift; } users[] = {
		{ SOMEONE, 6 }, { ANOTHER, 0 }
	};

	make_owned("f", 0, SOMEONE);
	for (int u = 0; u < 2; u++) {
		for (mode_t bits = 0; bits < 8; bits++) {
			be_root();
			CHECK(!chmod("f", bits << users[u].shift));
			be(users[u].uid, users[u].uid);
			CHECK_EQ(try_open("f", O_RDONLY), bits & 4 ? 0 : -1);
			CHECK_EQ(try_open("f", O_WRONLY), bits & 2 ? 0 : -1);
			CHECK_EQ(try_open("f", O_RDWR), (bits & 6) == 6 ? 0 : -1);
			CHECK(bits & 2 || truncate("f", 0) == -1);
			CHECK(!(bits & 2) || !truncate("f", 0));
		}
	}
}

CASE(the_group_comes_before_the_others)
{
	make("f", 0604);
	CHECK(!chown("f", SOMEONE, ANOTHER));
	be(ANOTHER, ANOTHER);
	CHECK_ERR(try_open("f", O_RDONLY), EACCES);
	be(ANOTHER, SOMEONE);
	CHECK(!try_open("f", O_RDONLY));
	be_root();
	CHECK(!chmod("f", 0066));
	be(SOMEONE, ANOTHER);
	CHECK_ERR(try_open("f", O_RDONLY), EACCES);
}

CASE(a_directory_without_x_leads_nowhere)
{
	make_common("d", 0777);
	make_owned("d/f", 0666, SOMEONE);
	CHECK(!chmod("d", 0666));
	be(SOMEONE, SOMEONE);
	CHECK_ERR(try_open("d/f", O_RDONLY), EACCES);
	CHECK_ERR(truncate("d/f", 0), EACCES);
	CHECK_ERR(chmod("d/f", 0600), EACCES);
	CHECK_ERR(unlink("d/f"), EACCES);
	CHECK_ERR(mkdir("d/e", 0700), EACCES);
	CHECK_ERR(rename("d/f", "d/g"), EACCES);
	CHECK_ERR(chdir("d"), EACCES);
	/* Its names can be read. */
	CHECK(!try_open("d", O_RDONLY | O_DIRECTORY));
}

CASE(a_directory_without_w_keeps_its_names)
{
	make_common("d", 0777);
	make_owned("d/f", 0666, SOMEONE);
	CHECK(!mkdir("d/e", 0777) && !chmod("d", 0555));
	be(SOMEONE, SOMEONE);
	CHECK_ERR(try_open("d/new", O_CREAT | O_WRONLY), EACCES);
	CHECK(!try_open("d/f", O_CREAT | O_WRONLY));
	CHECK_ERR(mkdir("d/new", 0700), EACCES);
	CHECK_ERR(unlink("d/f"), EACCES);
	CHECK_ERR(rmdir("d/e"), EACCES);
	CHECK_ERR(rename("d/f", "d/new"), EACCES);
	CHECK_ERR(rename("d/f", "d/e/new"), EACCES);
	CHECK_ERR(mkfifo("d/new", 0600), EACCES);
}

CASE(a_directory_without_r_hides_its_names)
{
	make_common("d", 0777);
	make_owned("d/f", 0666, SOMEONE);
	CHECK(!chmod("d", 0333));
	be(SOMEONE, SOMEONE);
	CHECK_ERR(open("d", O_RDONLY | O_DIRECTORY), EACCES);
	CHECK(!try_open("d/f", O_RDONLY));
}

/* ---- owners ---- */

CASE(what_is_new_belongs_to_who_made_it)
{
	make_common("d", 0777);
	be(ANOTHER, ANOTHER);
	make("d/f", 0600);
	CHECK(!mkdir("d/e", 0700));
	CHECK_EQ(stat_of("d/f").st_uid, ANOTHER);
	CHECK_EQ(stat_of("d/f").st_gid, ANOTHER);
	CHECK_EQ(stat_of("d/e").st_uid, ANOTHER);
}

CASE(a_set_gid_directory_hands_down_its_group)
{
	make_common("d", 02777);
	be(ANOTHER, ANOTHER);
	make("d/f", 0600);
	CHECK(!mkdir("d/e", 0700));
	CHECK_EQ(stat_of("d/f").st_gid, SOMEONE);
	CHECK_EQ(stat_of("d/e").st_gid, SOMEONE);
	CHECK_EQ(mode_of("d/e"), 02700);
	/* Not set-gid: the maker is not of the group. */
	make("d/g", 02770);
	CHECK_EQ(mode_of("d/g") & 02000, 0);
}

CASE(chmod_is_for_the_owner)
{
	make_owned("f", 0644, SOMEONE);
	be(ANOTHER, ANOTHER);
	CHECK_ERR(chmod("f", 0666), EPERM);
	be(SOMEONE, SOMEONE);
	CHECK(!chmod("f", 0600));
	be_root();
	CHECK(!chmod("f", 07777));
	CHECK_EQ(mode_of("f"), 07777);
}

CASE(chmod_by_an_outsider_clears_set_gid)
{
	make_owned("f", 0755, SOMEONE);
	CHECK(!chown("f", SOMEONE, ANOTHER));
	be(SOMEONE, SOMEONE);
	CHECK(!chmod("f", 02755));
	CHECK_EQ(mode_of("f"), 0755);
	be(SOMEONE, ANOTHER);
	CHECK(!chmod("f", 02755));
	CHECK_EQ(mode_of("f"), 02755);
}

CASE(chown_is_for_root)
{
	gid_t both[2] = { SOMEONE, ANOTHER };

	make_owned("f", 0644, SOMEONE);
	be(SOMEONE, SOMEONE);
	CHECK_ERR(chown("f", ANOTHER, -1), EPERM);
	CHECK_ERR(chown("f", -1, ANOTHER), EPERM);
	CHECK(!chown("f", SOMEONE, SOMEONE) && !chown("f", -1, -1));
	/* The owner may give it to another group of his. */
	be_root();
	CHECK(!setgroups(2, both) && !setegid(SOMEONE) && !seteuid(SOMEONE));
	CHECK(!chown("f", -1, ANOTHER));
	CHECK_EQ(stat_of("f").st_gid, ANOTHER);
	be(ANOTHER, ANOTHER);
	CHECK_ERR(chown("f", ANOTHER, ANOTHER), EPERM);
	CHECK_ERR(chown("f", -1, SOMEONE), EPERM);
	be_root();
	CHECK(!chown("f", 1, 2));
	CHECK_EQ(stat_of("f").st_uid, 1);
	CHECK_EQ(stat_of("f").st_gid, 2);
}

CASE(chown_clears_set_id_bits)
{
	make_owned("f", 06555, SOMEONE);
	CHECK(!chown("f", SOMEONE, ANOTHER));
	CHECK_EQ(mode_of("f"), 0555);
	CHECK(!chmod("f", 06555));
	be(SOMEONE, ANOTHER);
	CHECK(!chown("f", -1, ANOTHER));
	CHECK_EQ(mode_of("f"), 0555);
	be_root();
	/* Without x for the group, set-gid is a lock. */
	CHECK(!chmod("f", 06745) && !chown("f", ANOTHER, -1));
	CHECK_EQ(mode_of("f"), 02745);
	make_common("d", 06777);
	CHECK(!chown("d", ANOTHER, ANOTHER));
	CHECK_EQ(mode_of("d"), 06777);
}

CASE(writing_clears_set_id_bits)
{
	int fd;

	make_owned("f", 06777, ANOTHER);
	be(SOMEONE, SOMEONE);
	fd = open("f", O_RDWR);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_EQ(mode_of("f"), 0777);
	be_root();
	CHECK(!chmod("f", 06777));
	be(SOMEONE, SOMEONE);
	CHECK(!ftruncate(fd, 100));
	CHECK_EQ(mode_of("f"), 0777);
	be_root();
	CHECK(!chmod("f", 06777));
	be(SOMEONE, SOMEONE);
	CHECK(!truncate("f", 0));
	CHECK_EQ(mode_of("f"), 0777);
	be_root();
	CHECK(!chmod("f", 06777));
	be(SOMEONE, SOMEONE);
	CHECK(!fallocate(fd, 0, 0, 100));
	CHECK_EQ(mode_of("f"), 0777);
	/* Not by reading, and not by root. */
	be_root();
	CHECK(!chmod("f", 06777));
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	be(SOMEONE, SOMEONE);
	CHECK_EQ(pread(fd, &(char){ 0 }, 1, 0), 1);
	CHECK_EQ(mode_of("f"), 06777);
	close(fd);
}

/* ---- the sticky bit ---- */

CASE(a_sticky_directory_keeps_the_names_of_others)
{
	CHECK(!mkdir("d", 0700) && !chmod("d", 01777));
	make_owned("d/f", 0666, SOMEONE);
	make_owned("d/own", 0666, ANOTHER);
	CHECK(!mkdir("d/e", 0777) && !chown("d/e", SOMEONE, SOMEONE));
	be(ANOTHER, ANOTHER);
	CHECK_ERR(unlink("d/f"), EPERM);
	CHECK_ERR(rmdir("d/e"), EPERM);
	CHECK_ERR(rename("d/f", "d/g"), EPERM);
	CHECK_ERR(rename("d/own", "d/f"), EPERM);
	CHECK(!rename("d/own", "d/owned") && !unlink("d/owned"));
	be(SOMEONE, SOMEONE);
	CHECK(!unlink("d/f") && !rmdir("d/e"));
}

CASE(the_owner_of_a_sticky_directory_may_remove)
{
	make_common("d", 01777);
	make_owned("d/f", 0600, ANOTHER);
	be(SOMEONE, SOMEONE);
	CHECK(!rename("d/f", "d/g") && !unlink("d/g"));
}

CASE(a_directory_of_another_is_moved_only_by_who_may_write_it)
{
	make_common("a", 0777);
	make_common("b", 0777);
	CHECK(!mkdir("a/d", 0755));
	be(SOMEONE, SOMEONE);
	/* A move to another directory changes its "..", which needs write permission. */
	CHECK_ERR(rename("a/d", "b/d"), EACCES);
	CHECK(!rename("a/d", "a/e"));
}

int main(int argc, char **argv)
{
	return posix_main(argc, argv);
}
