// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening, reading, writing and truncating a file do what POSIX says, also after its removal.
 *
 * DOC: Opening, reading, writing, truncating
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include "posix.h"

static char buf[64 << 10];

static int open_rw(const char *name)
{
	int fd = open(name, O_CREAT | O_RDWR, 0644);

	CHECK(fd >= 0);
	return fd;
}

static bool is_zero(const char *at, size_t n)
{
	while (n--)
		if (at[n])
			return false;
	return true;
}

/* ---- open ---- */

CASE(o_creat_makes_a_file_once)
{
	int fd;

	CHECK_ERR(open("f", O_RDONLY), ENOENT);
	fd = open("f", O_CREAT | O_RDONLY, 0);
	CHECK(fd >= 0);
	/* The mode applies to later opens. */
	CHECK_EQ(mode_of("f"), 0);
	close(fd);
	CHECK(!try_open("f", O_CREAT | O_WRONLY));
	CHECK_EQ(mode_of("f"), 0);
	CHECK_ERR(open("f", O_CREAT | O_EXCL | O_RDONLY, 0600), EEXIST);
}

CASE(o_creat_obeys_the_umask)
{
	umask(027);
	make("f", 0777);
	CHECK(!mkdir("d", 0777));
	umask(0);
	CHECK_EQ(mode_of("f"), 0750);
	CHECK_EQ(mode_of("d"), 0750);
	make("g", 07777);
	CHECK_EQ(mode_of("g"), 07777);
	CHECK(!mkdir("e", 01777));
	CHECK_EQ(mode_of("e"), 01777);
}

CASE(o_trunc_empties_and_keeps_the_inode)
{
	ino_t ino;

	make_with("f", "text");
	ino = stat_of("f").st_ino;
	CHECK(!try_open("f", O_WRONLY | O_TRUNC));
	CHECK_EQ(stat_of("f").st_size, 0);
	CHECK_EQ(stat_of("f").st_ino, ino);
}

CASE(o_append_writes_at_the_end_wherever_one_is)
{
	int fd, other;

	make_with("f", "one");
	fd = open("f", O_WRONLY | O_APPEND);
	other = open("f", O_RDWR | O_APPEND);
	CHECK(fd >= 0 && other >= 0);
	CHECK_EQ(write(other, "two", 3), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(write(fd, "three", 5), 5);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 11);
	/* Linux: so does pwrite. */
	CHECK_EQ(pwrite(fd, "!", 1, 0), 1);
	CHECK_EQ(pread(other, buf, 20, 0), 12);
	CHECK(!memcmp(buf, "onetwothree!", 12));
	close(fd);
	close(other);
}

CASE(o_directory_and_directories)
{
	make("f", 0600);
	CHECK(!mkdir("d", 0700));
	CHECK_ERR(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_ERR(open("d", O_WRONLY), EISDIR);
	CHECK_ERR(open("d", O_RDWR), EISDIR);
	CHECK_ERR(open("d", O_RDONLY | O_TRUNC), EISDIR);
	CHECK_ERR(open("d", O_RDONLY | O_CREAT, 0600), EISDIR);
	CHECK(!try_open("d", O_RDONLY | O_DIRECTORY));
	CHECK_ERR(truncate("d", 0), EISDIR);
}

CASE(o_nofollow_and_links)
{
	WITHOUT(can_symlink, "symbolic links");
	make("f", 0600);
	CHECK(!symlink("f", "s"));
	CHECK_ERR(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK(!try_open("s", O_RDONLY));
	CHECK_ERR(open("s", O_CREAT | O_EXCL | O_RDONLY, 0600), EEXIST);
}

CASE(o_path_gives_no_access)
{
	int fd;
	struct stat st;

	make("f", 0);
	be(SOMEONE, SOMEONE);
	fd = open("f", O_PATH);
	CHECK(fd >= 0 && !fstat(fd, &st));
	CHECK_ERR(read(fd, buf, 1), EBADF);
	CHECK_ERR(fchmod(fd, 0777), EBADF);
	close(fd);
}

CASE(access_modes_are_kept)
{
	int fd;

	make_with("f", "text");
	fd = open("f", O_RDONLY);
	CHECK_ERR(write(fd, "x", 1), EBADF);
	CHECK_ERR(ftruncate(fd, 0), EINVAL);
	CHECK_ERR(fallocate(fd, 0, 0, 1), EBADF);
	close(fd);
	fd = open("f", O_WRONLY);
	CHECK_ERR(read(fd, buf, 1), EBADF);
	CHECK(mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
	close(fd);
	fd = open("f", O_RDONLY);
	CHECK(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
	close(fd);
}

CASE(o_tmpfile_has_no_name_or_is_refused)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	struct stat st;

	if (fd < 0) {
		CHECK_EQ(errno, EOPNOTSUPP);
		return;
	}
	CHECK(!fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	close(fd);
}

/* ---- the length ---- */

CASE(truncate_sets_the_length)
{
	int fd = open_rw("f");

	CHECK_EQ(write(fd, "0123456789", 10), 10);
	CHECK(!truncate("f", 4));
	CHECK_EQ(stat_of("f").st_size, 4);
	CHECK(!ftruncate(fd, 4 << 20));
	CHECK_EQ(stat_of("f").st_size, 4 << 20);
	memset(buf, 1, sizeof(buf));
	CHECK_EQ(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	CHECK(!memcmp(buf, "0123", 4) && is_zero(buf + 4, sizeof(buf) - 4));
	CHECK_EQ(pread(fd, buf, sizeof(buf), (4 << 20) - 100), 100);
	/* The position stays where it is. */
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK(!ftruncate(fd, 0));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_EQ(stat_of("f").st_size, 11);
	close(fd);
}

CASE(truncate_refuses_what_is_no_length)
{
	int fd = open_rw("f");

	CHECK_ERR(truncate("f", -1), EINVAL);
	CHECK_ERR(ftruncate(fd, -1), EINVAL);
	CHECK_ERR(truncate("f", LLONG_MIN), EINVAL);
	CHECK_EQ(stat_of("f").st_size, 0);
	close(fd);
}

static void limit_file_size(rlim_t to)
{
	CHECK(!setrlimit(RLIMIT_FSIZE, &(struct rlimit){ to, RLIM_INFINITY }));
}

CASE(rlimit_fsize_is_efbig)
{
	int fd = open_rw("f"), past, grown, wrote, rest;

	signal(SIGXFSZ, SIG_IGN);
	limit_file_size(10);
	past = ftruncate(fd, 11) ? errno : 0;
	wrote = pwrite(fd, "0123456789ABCDEF", 16, 0);
	rest = pwrite(fd, "x", 1, 10) < 0 ? errno : 0;
	grown = fallocate(fd, 0, 0, 100) ? errno : 0;
	limit_file_size(RLIM_INFINITY);
	CHECK_EQ(past, EFBIG);
	CHECK_EQ(wrote, 10);
	CHECK_EQ(rest, EFBIG);
	CHECK_EQ(grown, EFBIG);
	CHECK_EQ(stat_of("f").st_size, 10);
	close(fd);
}

CASE(fallocate_checks_its_range)
{
	int fd = open_rw("f");

	CHECK_ERR(fallocate(fd, 0, -1, 10), EINVAL);
	CHECK_ERR(fallocate(fd, 0, 0, 0), EINVAL);
	CHECK_ERR(fallocate(fd, 0, 0, -1), EINVAL);
	CHECK_ERR(fallocate(fd, 0, LLONG_MAX - 1, 10), EFBIG);
	CHECK_ERR(fallocate(fd, 0x02, 0, 10), EOPNOTSUPP);
	CHECK_EQ(stat_of("f").st_size, 0);
	CHECK(!fallocate(fd, 1, 0, 100));
	CHECK_EQ(stat_of("f").st_size, 0);
	CHECK(stat_of("f").st_blocks > 0);
	CHECK(!fallocate(fd, 0, 50, 50));
	CHECK_EQ(stat_of("f").st_size, 100);
	CHECK(!fallocate(fd, 3, 0, 4 << 20));
	CHECK_EQ(stat_of("f").st_size, 100);
	close(fd);
}

/* ---- reading and writing ---- */

CASE(reads_and_writes_move_the_position)
{
	int fd = open_rw("f");

	CHECK_EQ(write(fd, "0123456789", 10), 10);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_EQ(read(fd, buf, 10), 0);
	CHECK_EQ(lseek(fd, -4, SEEK_END), 6);
	CHECK_EQ(read(fd, buf, 10), 4);
	CHECK(!memcmp(buf, "6789", 4));
	CHECK_EQ(pread(fd, buf, 3, 1), 3);
	CHECK_EQ(pwrite(fd, "ab", 2, 20), 2);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_EQ(pread(fd, buf, 100, 8), 14);
	CHECK(!memcmp(buf, "89\0\0\0\0\0\0\0\0\0\0ab", 14));
	CHECK_EQ(write(fd, "", 0), 0);
	CHECK_EQ(stat_of("f").st_size, 22);
	close(fd);
}

CASE(seeks_outside_are_refused)
{
	int fd = open_rw("f");

	CHECK_EQ(write(fd, "0123456789", 10), 10);
	CHECK_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERR(lseek(fd, -11, SEEK_CUR), EINVAL);
	CHECK_ERR(lseek(fd, 0, 77), EINVAL);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_EQ(lseek(fd, 100, SEEK_END), 110);
	CHECK_EQ(read(fd, buf, 1), 0);
	CHECK_EQ(stat_of("f").st_size, 10);
	CHECK_ERR(pread(fd, buf, 1, -1), EINVAL);
	CHECK_ERR(pwrite(fd, buf, 1, -1), EINVAL);
	CHECK_ERR(lseek(fd, 10, SEEK_DATA), ENXIO);
	CHECK_ERR(lseek(fd, 10, SEEK_HOLE), ENXIO);
	CHECK_ERR(lseek(fd, -1, SEEK_DATA), ENXIO);
	CHECK_EQ(lseek(fd, 3, SEEK_DATA), 3);
	CHECK_EQ(lseek(fd, 3, SEEK_HOLE), 10);
	close(fd);
}

CASE(bad_buffers_are_efault)
{
	void *volatile nowhere = (void *)8;
	int fd = open_rw("f");

	CHECK_EQ(write(fd, "text", 4), 4);
	CHECK_ERR(pread(fd, nowhere, 4, 0), EFAULT);
	CHECK_ERR(pwrite(fd, nowhere, 4, 0), EFAULT);
	CHECK_EQ(pread(fd, buf, 10, 0), 4);
	CHECK(!memcmp(buf, "text", 4));
	close(fd);
}

/* A write may be short or fail; the file is not longer than what was written. */
CASE(a_buffer_that_ends_is_written_to_its_end)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open_rw("f");
	ssize_t n;

	CHECK(pages != MAP_FAILED && !munmap(pages + 4096, 4096));
	memset(pages, 'p', 4096);
	n = pwrite(fd, pages, 8192, 0);
	CHECK(n == 4096 || (n == -1 && errno == EFAULT));
	CHECK_EQ(stat_of("f").st_size, n < 0 ? 0 : n);
	CHECK(!ftruncate(fd, 0) && !ftruncate(fd, 8192));
	memset(pages, 1, 4096);
	n = pread(fd, pages, 8192, 0);
	CHECK(n == 4096 && is_zero(pages, 4096));
	munmap(pages, 4096);
	close(fd);
}

CASE(vectors_are_one_write)
{
	struct iovec iov[3] = { { "ab", 2 }, { NULL, 0 }, { "cde", 3 } };
	struct iovec into[2] = { { buf, 1 }, { buf + 10, 10 } };
	volatile int too_few = -1, too_many = IOV_MAX + 1;
	int fd = open_rw("f");

	CHECK_EQ(writev(fd, iov, 3), 5);
	CHECK_EQ(preadv(fd, into, 2, 1), 4);
	CHECK(buf[0] == 'b' && !memcmp(buf + 10, "cde", 3));
	CHECK_ERR(writev(fd, iov, too_few), EINVAL);
	CHECK_ERR(writev(fd, iov, too_many), EINVAL);
	iov[0].iov_len = -1;
	CHECK_ERR(writev(fd, iov, 3), EINVAL);
	close(fd);
}

CASE(sendfile_and_splice_move_bytes)
{
	int from = open_rw("f"), to = open_rw("g"), ends[2];
	off_t at = 2;

	CHECK_EQ(write(from, "0123456789", 10), 10);
	CHECK_EQ(sendfile(to, from, &at, 5), 5);
	CHECK_EQ(at, 7);
	CHECK(!pipe(ends));
	CHECK_EQ(splice(from, &at, ends[1], NULL, 100, 0), 3);
	CHECK_EQ(splice(ends[0], NULL, to, NULL, 3, 0), 3);
	CHECK_EQ(pread(to, buf, 100, 0), 8);
	CHECK(!memcmp(buf, "23456789", 8));
	close(ends[0]);
	close(ends[1]);
	close(from);
	close(to);
}

CASE(o_sync_and_o_direct_write_all_the_same)
{
	void *page = aligned_alloc(4096, 4096);
	int fd;

	memset(page, 'd', 4096);
	fd = open("f", O_CREAT | O_RDWR | O_SYNC, 0600);
	CHECK_EQ(write(fd, page, 4096), 4096);
	close(fd);
	fd = open("f", O_RDWR | O_DIRECT | O_DSYNC);
	if (fd >= 0) {
		CHECK_EQ(pwrite(fd, page, 4096, 8192), 4096);
		close(fd);
	}
	CHECK_EQ(stat_of("f").st_size, fd < 0 ? 4096 : 12288);
	free(page);
}

/* ---- open files without a name ---- */

CASE(a_removed_file_lives_while_it_is_open)
{
	int fd = open_rw("f");
	struct stat st;

	CHECK_EQ(write(fd, "text", 4), 4);
	CHECK(!unlink("f"));
	CHECK(!fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_size, 4);
	CHECK_EQ(pwrite(fd, "more", 4, 4), 4);
	CHECK_EQ(pread(fd, buf, 100, 0), 8);
	CHECK(!ftruncate(fd, 2) && !fchmod(fd, 0600) && !fsync(fd));
	make_with("f", "another");
	CHECK_EQ(pread(fd, buf, 100, 0), 2);
	CHECK_EQ(stat_of("f").st_size, 7);
	close(fd);
}

CASE(a_removed_file_lives_while_it_is_mapped)
{
	int fd = open_rw("f");
	char *map;

	CHECK_EQ(write(fd, "text", 4), 4);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED && !close(fd) && !unlink("f"));
	CHECK(!memcmp(map, "text", 5));
	memcpy(map, "TEXT", 4);
	CHECK(!memcmp(map, "TEXT", 5));
	CHECK(!munmap(map, 4096));
}

CASE(the_space_of_a_removed_file_comes_back)
{
	struct statvfs before, during, after;
	int fd = open_rw("f");

	CHECK(!statvfs(".", &before));
	CHECK(!fallocate(fd, 0, 0, 8 << 20) && !unlink("f"));
	CHECK(!statvfs(".", &during));
	close(fd);
	CHECK(!statvfs(".", &after));
	CHECK(during.f_bfree < before.f_bfree);
	CHECK_EQ(after.f_bfree, before.f_bfree);
}

/* ---- mappings ---- */

CASE(mappings_and_files_are_the_same_bytes)
{
	int fd = open_rw("f");
	char *map, *private;

	CHECK_EQ(write(fd, "text", 4), 4);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED && private != MAP_FAILED);
	map[0] = 'n';
	CHECK_EQ(pread(fd, buf, 10, 0), 4);
	CHECK(!memcmp(buf, "next", 4));
	CHECK_EQ(pwrite(fd, "N", 1, 0), 1);
	CHECK(map[0] == 'N' && private[0] == 'N');
	private[0] = 'P';
	CHECK(map[0] == 'N' && !msync(map, 4096, MS_SYNC));
	CHECK_EQ(pread(fd, buf, 1, 0), 1);
	CHECK_EQ(buf[0], 'N');
	munmap(map, 4096);
	munmap(private, 4096);
	close(fd);
}

CASE(locks_exclude_each_other)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open_rw("f"), other = open_rw("f");

	CHECK(!flock(fd, LOCK_EX));
	CHECK_ERR(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK(!flock(fd, LOCK_UN) && !flock(other, LOCK_EX | LOCK_NB));
	CHECK(!fcntl(fd, F_OFD_SETLK, &lock));
	CHECK_ERR(fcntl(other, F_OFD_SETLK, &lock), EAGAIN);
	close(fd);
	CHECK(!fcntl(other, F_OFD_SETLK, &lock));
	close(other);
}

int main(int argc, char **argv)
{
	return posix_main(argc, argv);
}
