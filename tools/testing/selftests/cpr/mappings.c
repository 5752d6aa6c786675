// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is mapped or pinned stays that of its file, whatever becomes of the file.
 *
 * Mapped files: what is mapped, in pages of which size, who may pin it, and what happens when
 * the file is truncated or removed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpr.h"
#include "ktap.h"

#define SCRATCH "/var/tmp/cpr-scratch"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

static char buf[FRAME];

static char *map(int fd, size_t len, int prot, int flags, off_t at)
{
	char *p = mmap(NULL, len, prot, flags, fd, at);

	CHECK(p != MAP_FAILED);
	return p;
}

static char *map_shared(int fd, size_t len)
{
	return map(fd, len, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
}

static long faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

/* The signal that touching a byte raises, or 0. */
static int signal_of_touch(volatile char *p)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		*p = 1;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static bool gives_sigbus(volatile char *p)
{
	return signal_of_touch(p) == SIGBUS;
}

static void write_thp(const char *mode)
{
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY);

	CHECK(fd >= 0 && write(fd, mode, strlen(mode)) > 0);
	close(fd);
}

static long faults_to_touch(size_t len)
{
	int fd = make_file("f", len);
	char *p = map_shared(fd, len);
	long before = faults(), n;

	for (size_t i = 0; i < len; i += PAGE)
		p[i] = 1;
	n = faults() - before;
	munmap(p, len);
	close(fd);
	unlink(MNT "/f");
	return n;
}

TEST(two_megabytes_a_fault)
{
	CHECK(faults_to_touch(32 * FRAME) <= 2 * 32);
}

TEST(two_megabytes_a_fault_without_thp)
{
	write_thp("never");
	CHECK(faults_to_touch(32 * FRAME) <= 2 * 32);
	write_thp("madvise");
}

TEST(mapping_and_file_are_one)
{
	int fd = make_file("f", 4 * FRAME);
	char *p = map_shared(fd, 4 * FRAME);

	pattern_fill(p + FRAME, FRAME, 3);
	CHECK_EQ(pread(fd, buf, FRAME, FRAME), FRAME);
	CHECK(pattern_is(buf, FRAME, 3));
	pattern_fill(buf, FRAME, 4);
	CHECK_EQ(pwrite(fd, buf, FRAME, 2 * FRAME), FRAME);
	CHECK(pattern_is(p + 2 * FRAME, FRAME, 4));
	CHECK(all_zero(p, FRAME));
	CHECK(!msync(p, 4 * FRAME, MS_SYNC));
	munmap(p, 4 * FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

TEST(odd_mappings_are_served_page_by_page)
{
	int fd = make_file("f", 4 * FRAME);
	char *p = map(fd, 2 * FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, PAGE);
	char *whole = map_shared(fd, 4 * FRAME);

	pattern_fill(p, 2 * FRAME, 5);
	CHECK(pattern_is(whole + PAGE, 2 * FRAME, 5));
	/* Cut a hole into an entry of 2 MiB. */
	whole[3 * FRAME] = 1;
	CHECK(!munmap(whole + 3 * FRAME + PAGE, PAGE));
	CHECK_EQ(whole[3 * FRAME], 1);
	whole[3 * FRAME + 2 * PAGE] = 2;
	CHECK_EQ(pread(fd, buf, 1, 3 * FRAME + 2 * PAGE), 1);
	CHECK_EQ(buf[0], 2);
	/* Change the protection of a part, move a part. */
	CHECK(!mprotect(whole, PAGE, PROT_READ));
	CHECK(!mprotect(whole, PAGE, PROT_READ | PROT_WRITE));
	whole[0] = 9;
	p = mremap(p, 2 * FRAME, 2 * FRAME, MREMAP_MAYMOVE);
	CHECK(pattern_is(p, 2 * FRAME, 5));
	munmap(p, 2 * FRAME);
	munmap(whole, 4 * FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

TEST(private_mappings_leave_the_file_alone)
{
	int fd = make_file("f", 2 * FRAME);
	char *p, *q;

	pattern_fill(buf, FRAME, 6);
	CHECK_EQ(pwrite(fd, buf, FRAME, 0), FRAME);
	p = map(fd, 2 * FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	q = map(fd, 2 * FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	/* One page that was read before, one that was not. */
	CHECK(pattern_is(p, FRAME, 6));
	p[PAGE] ^= 1;
	q[2 * PAGE] ^= 1;
	q[FRAME + 5] = 5;
	CHECK_EQ(pread(fd, buf, FRAME, 0), FRAME);
	CHECK(pattern_is(buf, FRAME, 6));
	CHECK_EQ(pread(fd, buf, FRAME, FRAME), FRAME);
	CHECK(all_zero(buf, FRAME));
	/* The rest still shows the file. */
	pattern_fill(buf, FRAME, 7);
	CHECK_EQ(pwrite(fd, buf, FRAME, 0), FRAME);
	CHECK(!memcmp(p, buf, PAGE) && !memcmp(q + PAGE, buf + PAGE, PAGE));
	CHECK(memcmp(p + PAGE, buf + PAGE, PAGE));
	munmap(p, 2 * FRAME);
	munmap(q, 2 * FRAME);
	close(fd);
	/* From a file that may only be read, too. */
	CHECK(!chmod(MNT "/f", 0400));
	fd = open(MNT "/f", O_RDONLY);
	p = map(fd, FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	p[0] ^= 1;
	CHECK(mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EACCES);
	munmap(p, FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

/* Bytes of memory of its own that a mapping has, by /proc/self/smaps. */
static long anonymous(const char *at)
{
	unsigned long begin, end, bytes = 0;
	bool found = false;
	char line[256];
	FILE *f = fopen("/proc/self/smaps", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx", &begin, &end) == 2)
			found = begin == (unsigned long)at;
		if (found && sscanf(line, "Anonymous: %lu kB", &bytes) == 1)
			break;
	}
	fclose(f);
	CHECK(found);
	return bytes << 10;
}

static uint32_t free_frames(void)
{
	struct region r;

	CHECK(!nl_region(&r));
	return r.clean + r.dirty;
}

#define MEMORY	(8 * FRAME)

/* What a rehearsal does: the memory of another's VM, mapped private and written to. */
static void rehearse(int flags, char *shared)
{
	uint32_t before = free_frames();
	int fd = open(MNT "/vm/ram0", flags);
	char *p;

	CHECK(fd >= 0);
	p = map(fd, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	close(fd);
	CHECK(pattern_is(p, MEMORY, 11));
	CHECK_EQ(anonymous(p), 0);
	/* A page that shows the file, the first touch of a frame, and by the kernel. */
	p[0] ^= 1;
	p[FRAME + 5 * PAGE] ^= 1;
	fd = open("/dev/zero", O_RDONLY);
	CHECK_EQ(read(fd, p + 3 * FRAME, 2 * PAGE), 2 * PAGE);
	close(fd);
	CHECK_EQ(anonymous(p), 4 * PAGE);
	CHECK(all_zero(p + 3 * FRAME, 2 * PAGE));
	CHECK(!memcmp(p + 3 * FRAME + 2 * PAGE, shared + 3 * FRAME + 2 * PAGE, PAGE));
	CHECK(pattern_is(shared, MEMORY, 11));
	/* It goes on showing what it has no copy of. */
	shared[5 * FRAME] ^= 1;
	CHECK_EQ(p[5 * FRAME], shared[5 * FRAME]);
	shared[5 * FRAME] ^= 1;
	CHECK_EQ(free_frames(), before);
	CHECK_EQ(nl_state("vm", NULL, NULL) == CPR_VM_STATE_SAVED &&
		 nl_step(CPR_CMD_VM_SEAL, "vm", NULL) != -EBUSY, 0);
	munmap(p, MEMORY);
	CHECK_EQ(free_frames(), before);
}

static void memory_is_untouched(void)
{
	char *all = malloc(MEMORY);
	int fd = open(MNT "/vm/ram0", O_RDONLY);

	CHECK_EQ(pread(fd, all, MEMORY, 0), MEMORY);
	close(fd);
	CHECK(pattern_is(all, MEMORY, 11));
	free(all);
}

TEST(private_mappings_of_a_vm_s_memory)
{
	static const char *const memory[] = { "ram0", NULL };
	char *shared, *left;
	int fd;

	CHECK(!mkdir(MNT "/vm", 0700));
	fd = make_file("vm/ram0", MEMORY);
	CHECK(!fallocate(fd, 0, 0, MEMORY));
	shared = map_shared(fd, MEMORY);
	pattern_fill(shared, MEMORY, 11);
	CHECK_EQ(nl_step(CPR_CMD_VM_PIN, "vm", memory), 0);
	rehearse(O_RDWR, shared);
	rehearse(O_RDONLY, shared);
	CHECK_EQ(nl_step(CPR_CMD_VM_SAVE, "vm", NULL), 0);
	rehearse(O_RDWR, shared);
	rehearse(O_RDONLY, shared);
	memory_is_untouched();
	/* One that is left behind keeps the VM from being sealed, written to or not. */
	left = map(fd, FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	close(fd);
	munmap(shared, MEMORY);
	CHECK_EQ(nl_step(CPR_CMD_VM_SEAL, "vm", NULL), -EBUSY);
	CHECK(strstr(nl_said(), "still mapped"));
	left[0] ^= 1;
	CHECK_EQ(nl_step(CPR_CMD_VM_SEAL, "vm", NULL), -EBUSY);
	CHECK(strstr(nl_said(), "still mapped"));
	munmap(left, FRAME);
	CHECK_EQ(nl_step(CPR_CMD_VM_SEAL, "vm", NULL), 0);
	memory_is_untouched();
	CHECK_EQ(nl_step(CPR_CMD_VM_UNPIN, "vm", NULL), 0);
	CHECK(!unlink(MNT "/vm/ram0") && !rmdir(MNT "/vm"));
}

TEST(fork_shares_and_copies)
{
	int fd = make_file("f", FRAME), status;
	char *shared = map_shared(fd, FRAME);
	char *private = map(fd, FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	pid_t pid;

	private[0] = 1;
	pid = fork();
	if (!pid) {
		shared[PAGE] = 2;
		private[0] = 3;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(shared[PAGE], 2);
	CHECK_EQ(private[0], 1);
	CHECK_EQ(shared[0], 0);
	munmap(shared, FRAME);
	munmap(private, FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

TEST(truncated_mappings_give_sigbus)
{
	int fd = make_file("f", 3 * FRAME);
	char *p = map_shared(fd, 3 * FRAME);

	memset(p, 1, 3 * FRAME);
	CHECK(!gives_sigbus(p + 2 * FRAME));
	CHECK(!ftruncate(fd, FRAME + 5 * PAGE));
	CHECK(!gives_sigbus(p + FRAME + 4 * PAGE));
	CHECK(gives_sigbus(p + FRAME + 5 * PAGE));
	CHECK(gives_sigbus(p + 2 * FRAME));
	CHECK(!ftruncate(fd, 3 * FRAME));
	CHECK(all_zero(p + FRAME + 5 * PAGE, 2 * FRAME - 5 * PAGE));
	munmap(p, 3 * FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

TEST(what_is_written_behind_the_end_is_gone)
{
	int fd = make_file("f", 100);
	char *p = map_shared(fd, PAGE);

	memset(p, 1, PAGE);
	CHECK(!ftruncate(fd, PAGE));
	CHECK(p[99] == 1 && all_zero(p + 100, PAGE - 100));
	munmap(p, PAGE);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

TEST(punched_mappings_read_zeros)
{
	int fd = make_file("f", 3 * FRAME);
	char *p = map_shared(fd, 3 * FRAME);

	memset(p, 1, 3 * FRAME);
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FRAME, FRAME));
	CHECK(all_zero(p + FRAME, FRAME));
	CHECK(p[0] == 1 && p[2 * FRAME] == 1);
	p[FRAME] = 4;
	CHECK_EQ(pread(fd, buf, 1, FRAME), 1);
	CHECK_EQ(buf[0], 4);
	munmap(p, 3 * FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

TEST(a_mapping_outlives_its_name)
{
	struct region before, after;
	int fd = make_file("f", 2 * FRAME);
	char *p = map_shared(fd, 2 * FRAME);

	memset(p, 8, 2 * FRAME);
	sync();
	wait_clean();
	CHECK(!nl_region(&before));
	close(fd);
	CHECK(!unlink(MNT "/f"));
	sync();
	CHECK(p[0] == 8 && p[2 * FRAME - 1] == 8);
	CHECK_ERR(umount2(MNT, 0), EBUSY);
	munmap(p, 2 * FRAME);
	sync();
	wait_clean();
	CHECK(!nl_region(&after));
	CHECK_EQ(after.clean, before.clean + 2);
}

TEST(o_direct_from_and_to_a_mapping)
{
	int fd = make_file("f", 2 * FRAME);
	int disk = open(SCRATCH, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	char *p = map_shared(fd, 2 * FRAME);

	CHECK(disk >= 0);
	pattern_fill(p, FRAME, 9);
	CHECK_EQ(pwrite(disk, p, FRAME, 0), FRAME);
	CHECK_EQ(pread(disk, p + FRAME, FRAME, 0), FRAME);
	CHECK(pattern_is(p + FRAME, FRAME, 9));
	CHECK_EQ(pread(fd, buf, FRAME, FRAME), FRAME);
	CHECK(pattern_is(buf, FRAME, 9));
	munmap(p, 2 * FRAME);
	close(disk);
	close(fd);
	CHECK(!unlink(SCRATCH) && !unlink(MNT "/f"));
}

TEST(another_process_reads_a_mapping)
{
	int fd = make_file("f", FRAME);
	char *p = map_shared(fd, FRAME);
	struct iovec mine = { buf, FRAME }, its = { p, FRAME };

	pattern_fill(p, FRAME, 10);
	CHECK_EQ(process_vm_readv(getpid(), &mine, 1, &its, 1, 0), FRAME);
	CHECK(pattern_is(buf, FRAME, 10));
	munmap(p, FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

static int pin(void *at, size_t len)
{
	int ring = pin_longterm(at, len);

	if (ring == -ENOSYS)
		SKIP("no io_uring on this kernel");
	CHECK(ring >= 0);
	return ring;
}

static uint32_t busy_frames(void)
{
	struct region r;

	sync();
	CHECK(!nl_region(&r));
	return r.busy;
}

static bool no_frame_is_busy(void)
{
	return busy_frames() == 0;
}

TEST(pinned_frames_are_not_reused)
{
	struct region r;
	int fd = make_file("f", 2 * FRAME), ring;
	char *p = map_shared(fd, 2 * FRAME);

	memset(p, 0x5a, 2 * FRAME);
	CHECK_EQ(busy_frames(), 0);
	ring = pin(p, FRAME);
	munmap(p, 2 * FRAME);
	CHECK(!ftruncate(fd, 0));
	CHECK_EQ(busy_frames(), 1);
	/* All that is free does not contain it. */
	wait_clean();
	CHECK(!nl_region(&r));
	CHECK(!fallocate(fd, 0, 0, r.clean * FRAME));
	CHECK_ERR(fallocate(fd, 0, r.clean * FRAME, FRAME), ENOSPC);
	CHECK(!ftruncate(fd, 0));
	close(fd);
	CHECK(!unlink(MNT "/f"));
	close(ring);
	CHECK(wait_until(30, no_frame_is_busy));
}

TEST(pins_keep_working_while_the_file_is_there)
{
	int fd = make_file("f", FRAME), ring;
	char *p = map_shared(fd, FRAME);

	ring = pin(p, FRAME);
	memset(p, 3, FRAME);
	munmap(p, FRAME);
	CHECK_EQ(pread(fd, buf, 1, FRAME - 1), 1);
	CHECK_EQ(buf[0], 3);
	close(ring);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

/* ---- who maps a file ---- */

/* The line of /proc/self/maps for a mapping: inode and path. */
static void maps_line(const char *at, struct stat *st, char *path)
{
	unsigned long begin, ino;
	unsigned int maj, min;
	bool found = false;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");

	CHECK(f);
	while (!found && fgets(line, sizeof(line), f)) {
		*path = 0;
		found = sscanf(line, "%lx-%*x %*s %*x %x:%x %lu %255[^\n]", &begin, &maj, &min,
			       &ino, path) >= 4 && begin == (unsigned long)at;
	}
	fclose(f);
	CHECK(found);
	st->st_dev = makedev(maj, min);
	st->st_ino = ino;
}

TEST(proc_tells_which_file_is_mapped)
{
	char path[256], link[64], target[256] = "";
	int fd = make_file("f", FRAME);
	char *p = map_shared(fd, FRAME);
	struct stat st, mapped;

	CHECK(!fstat(fd, &st));
	close(fd);
	maps_line(p, &mapped, path);
	CHECK_EQ(mapped.st_dev, st.st_dev);
	CHECK_EQ(mapped.st_ino, st.st_ino);
	CHECK_STR(path, MNT "/f");
	snprintf(link, sizeof(link), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
		 (unsigned long)p + FRAME);
	CHECK(readlink(link, target, sizeof(target) - 1) > 0);
	CHECK_STR(target, MNT "/f");
	CHECK(!mkdir(MNT "/d", 0700) && !rename(MNT "/f", MNT "/d/g"));
	maps_line(p, &mapped, path);
	CHECK_STR(path, MNT "/d/g");
	CHECK(!unlink(MNT "/d/g") && !rmdir(MNT "/d"));
	maps_line(p, &mapped, path);
	CHECK_EQ(mapped.st_ino, st.st_ino);
	CHECK_STR(path, MNT "/d/g (deleted)");
	munmap(p, FRAME);
}

static int remount(unsigned long flags)
{
	return mount(NULL, MNT, NULL, MS_REMOUNT | flags, NULL);
}

TEST(a_writable_mapping_keeps_the_mount_writable)
{
	int fd = make_file("f", FRAME);
	char *p = map_shared(fd, FRAME);

	close(fd);
	p[0] = 1;
	CHECK_ERR(remount(MS_RDONLY), EBUSY);
	CHECK_ERR(remount(MS_RDONLY | MS_BIND), EBUSY);
	munmap(p, FRAME);
	fd = open(MNT "/f", O_RDONLY);
	p = map(fd, FRAME, PROT_READ, MAP_SHARED, 0);
	close(fd);
	CHECK(!remount(MS_RDONLY));
	CHECK_EQ(p[0], 1);
	CHECK_ERR(open(MNT "/f", O_RDWR), EROFS);
	CHECK(!remount(0));
	munmap(p, FRAME);
	CHECK(!unlink(MNT "/f"));
}

/* ---- entries that are neither empty nor present ---- */

/* What was run in a child, so that a store that never ends is a failure and no more. */
static void ends_well(void (*fn)(int fd), int fd)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(60);
		fn(fd);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_MSG(WIFEXITED(status), "signal %d ended the child", WTERMSIG(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
}

/* In a child, where there is no way out to a test. */
#define MUST(_cond)							\
	do {								\
		if (_cond)						\
			break;						\
		printf("# %s:%d: %s does not hold (errno: %s)\n", __FILE__, __LINE__, \
		       #_cond, strerror(errno));			\
		_exit(1);						\
	} while (0)

static int open_userfaultfd(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api)) {
		close(uffd);
		return -1;
	}
	return uffd;
}

static int protect(int uffd, void *at, size_t len, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = { (unsigned long)at, len },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
}

static int watch(char *at, size_t len)
{
	struct uffdio_register reg = {
		.range = { (unsigned long)at, len },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int uffd = open_userfaultfd();

	MUST(uffd >= 0);
	MUST(!ioctl(uffd, UFFDIO_REGISTER, &reg));
	return uffd;
}

/* Pages that were written to since they were protected. */
static long written(char *at, size_t len)
{
	static struct page_region found[4096];
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_CHECK_WPASYNC,
		.start = (unsigned long)at,
		.end = (unsigned long)at + len,
		.vec = (unsigned long)found,
		.vec_len = 4096,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY), n;
	long pages = 0;

	n = ioctl(fd, PAGEMAP_SCAN, &scan);
	MUST(n >= 0);
	close(fd);
	for (int i = 0; i < n; i++)
		pages += (found[i].end - found[i].start) / PAGE;
	return pages;
}

static void write_protected(int fd)
{
	char *p = mmap(NULL, 3 * FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	volatile char *v = p;
	int uffd, from;
	char c;

	/* The first frame has an entry, the second has none, and of the third a part is mapped. */
	v[0] = 1;
	v[2 * FRAME] = 1;
	MUST(!munmap(p + 3 * FRAME - PAGE, PAGE));
	uffd = watch(p, 3 * FRAME - PAGE);
	MUST(!protect(uffd, p, 3 * FRAME - PAGE, true));
	MUST(written(p, 3 * FRAME - PAGE) == 0);
	/* Reading changes no more than a file's contents do. */
	MUST(v[PAGE] == 0 && v[FRAME] == 0 && v[2 * FRAME] == 1);
	MUST(written(p, 3 * FRAME - PAGE) == 0);
	v[0] = 2;
	v[2 * PAGE] = 3;
	v[FRAME] = 4;
	v[FRAME + PAGE] = 5;
	v[2 * FRAME] = 6;
	MUST(written(p, 3 * FRAME - PAGE) == 5);
	/* The kernel stores, from this file and from another. */
	MUST(pread(fd, p + 10 * PAGE, PAGE, FRAME) == PAGE);
	from = open("/dev/zero", O_RDONLY);
	MUST(read(from, p + FRAME + 10 * PAGE, PAGE) == PAGE);
	MUST(written(p, 3 * FRAME - PAGE) == 7);
	MUST(v[10 * PAGE] == 4);
	MUST(pread(fd, &c, 1, 2 * PAGE) == 1 && c == 3);
	MUST(pread(fd, &c, 1, FRAME + PAGE) == 1 && c == 5);
	/* Once more, and then nobody watches. */
	MUST(!protect(uffd, p, 3 * FRAME - PAGE, true));
	v[2 * PAGE] = 7;
	MUST(written(p, 3 * FRAME - PAGE) == 1);
	close(uffd);
	v[0] = 8;
	v[FRAME] = 9;
	v[FRAME + 20 * PAGE] = 10;
	MUST(pread(fd, &c, 1, FRAME + 20 * PAGE) == 1 && c == 10);
}

static void write_protected_private(int fd)
{
	char *p = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	volatile char *v = p;
	int uffd = watch(p, FRAME);
	char c;

	MUST(!protect(uffd, p, FRAME, true));
	MUST(v[0] == 0 && v[PAGE] == 0);
	v[0] = 1;
	v[2 * PAGE] = 2;
	MUST(v[0] == 1 && v[PAGE] == 0 && v[2 * PAGE] == 2);
	MUST(pread(fd, &c, 1, 2 * PAGE) == 1 && c == 0);
}

/* Truncation finds the pages that were mapped where markers were. */
static void write_protected_truncated(int fd)
{
	char *p = mmap(NULL, 2 * FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	volatile char *v = p;
	int uffd = watch(p, 2 * FRAME);

	MUST(!protect(uffd, p, 2 * FRAME, true));
	v[0] = 1;
	v[FRAME] = 2;
	MUST(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * FRAME));
	MUST(v[0] == 0 && v[FRAME] == 0);
	v[0] = 3;
	MUST(v[0] == 3);
}

static void with_userfaultfd(void (*fn)(int fd))
{
	int fd, uffd = open_userfaultfd();

	if (uffd < 0)
		SKIP("no userfaultfd on this kernel");
	close(uffd);
	/* First on tmpfs, which is right. */
	fd = memfd_create("f", MFD_CLOEXEC);
	CHECK(!ftruncate(fd, 3 * FRAME));
	ends_well(fn, fd);
	close(fd);
	fd = make_file("f", 3 * FRAME);
	ends_well(fn, fd);
	close(fd);
	CHECK(!unlink(MNT "/f"));
	CHECK(wait_until(30, no_frame_is_busy));
}

TEST(a_write_protected_page_can_be_stored_to)
{
	with_userfaultfd(write_protected);
}

TEST(a_write_protected_private_page_can_be_stored_to)
{
	with_userfaultfd(write_protected_private);
}

TEST(a_write_protected_page_can_be_truncated)
{
	with_userfaultfd(write_protected_truncated);
}

static volatile bool racing;
static char *race_at;
static int race_fd, race_uffd;

static void *race_protect(void *arg)
{
	for (int i = 0; racing; i++)
		protect(race_uffd, race_at, FRAME, i % 3);
	return arg;
}

static void *race_store(void *arg)
{
	for (size_t i = 0; racing; i += PAGE)
		((volatile char *)race_at)[i % FRAME] = 1;
	return arg;
}

static void *race_zap(void *arg)
{
	while (racing)
		madvise(race_at, FRAME, MADV_DONTNEED);
	return arg;
}

static void *race_punch(void *arg)
{
	while (racing)
		fallocate(race_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, FRAME);
	return arg;
}

/* Whatever comes between a page fault and its insertion: the kernel does not complain. */
static void race(int fd)
{
	static void *(*const all[])(void *) = {
		race_protect, race_store, race_store, race_zap, race_punch,
	};
	const struct timespec while_racing = { 3, 0 };
	pthread_t threads[sizeof(all) / sizeof(*all)];

	race_fd = fd;
	race_at = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	race_uffd = watch(race_at, FRAME);
	racing = true;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		MUST(!pthread_create(&threads[i], NULL, all[i], NULL));
	nanosleep(&while_racing, NULL);
	racing = false;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		MUST(!pthread_join(threads[i], NULL));
	/* No page that has left the file is still mapped. */
	memset(race_at, 1, FRAME);
	MUST(pread(fd, buf, FRAME, 0) == FRAME);
	MUST(!memcmp(race_at, buf, FRAME));
}

TEST(write_protection_races_with_stores)
{
	with_userfaultfd(race);
}

TEST(guard_regions_guard)
{
	int fd = make_file("f", 2 * FRAME);
	char *p = map_shared(fd, 2 * FRAME);

	p[0] = 1;
	if (madvise(p + PAGE, PAGE, MADV_GUARD_INSTALL)) {
		munmap(p, 2 * FRAME);
		close(fd);
		unlink(MNT "/f");
		SKIP("no guard regions in files on this kernel");
	}
	CHECK(!madvise(p + FRAME, PAGE, MADV_GUARD_INSTALL));
	CHECK_EQ(signal_of_touch(p + PAGE), SIGSEGV);
	CHECK_EQ(signal_of_touch(p + FRAME), SIGSEGV);
	CHECK_EQ(signal_of_touch(p + FRAME + PAGE), 0);
	CHECK_EQ(p[0], 1);
	CHECK(!madvise(p, 2 * FRAME, MADV_GUARD_REMOVE));
	p[PAGE] = 2;
	p[FRAME] = 3;
	CHECK_EQ(pread(fd, buf, 1, FRAME), 1);
	CHECK_EQ(buf[0], 3);
	munmap(p, 2 * FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

/* A guest of one instruction each: write a byte, read it back, halt. */
TEST(kvm_runs_from_a_mapping)
{
	static const unsigned char code[] = {
		0xb0, 0x42,		/* mov $0x42, %al */
		0xa2, 0x00, 0x20,	/* mov %al, 0x2000 */
		0xf4,			/* hlt */
	};
	int fd = make_file("f", FRAME), kvm = open("/dev/kvm", O_RDWR), vm, cpu;
	char *p = map_shared(fd, FRAME);
	struct kvm_userspace_memory_region slot = {
		.memory_size = FRAME,
		.userspace_addr = (unsigned long)p,
	};
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;

	if (kvm < 0)
		SKIP("no /dev/kvm");
	memcpy(p + 0x1000, code, sizeof(code));
	/* Closing a ring of an earlier test leaves work that interrupts this. */
	do {
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
	} while (vm < 0 && errno == EINTR);
	CHECK(vm >= 0);
	CHECK(!ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot));
	cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		   MAP_SHARED, cpu, 0);
	CHECK(run != MAP_FAILED);
	CHECK(!ioctl(cpu, KVM_GET_SREGS, &sregs));
	sregs.cs.base = sregs.cs.selector = 0;
	CHECK(!ioctl(cpu, KVM_SET_SREGS, &sregs));
	CHECK(!ioctl(cpu, KVM_SET_REGS, &regs));
	CHECK(!ioctl(cpu, KVM_RUN, 0));
	CHECK_EQ(run->exit_reason, KVM_EXIT_HLT);
	CHECK_EQ(pread(fd, buf, 1, 0x2000), 1);
	CHECK_EQ(buf[0], 0x42);
	munmap(run, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	close(cpu);
	close(vm);
	close(kvm);
	munmap(p, FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

TEST(a_full_region_gives_sigbus)
{
	int fd = make_file("f", 1ul << 40);
	struct region r;
	char *p = map_shared(fd, 1ul << 40);

	sync();
	wait_clean();
	CHECK(!nl_region(&r));
	CHECK(!fallocate(fd, 0, 0, r.clean * FRAME));
	CHECK(!gives_sigbus(p));
	CHECK(gives_sigbus(p + r.clean * FRAME));
	munmap(p, 1ul << 40);
	close(fd);
	CHECK(!unlink(MNT "/f"));
}

int main(void)
{
	return ktap_run();
}
