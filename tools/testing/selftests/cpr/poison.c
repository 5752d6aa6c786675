// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page with a memory error hurts its owner only, and its frame is never used again.
 *
 * poison: the tests, with errors that the kernel simulates, by MADV_HWPOISON, by
 * hard_offline_page and by hwpoison-inject. No test can undo an error, so each takes frames
 * from the region for good.
 *
 * "poison file NAME" makes a file of two frames with an error in page 5; "poison has-error
 * NAME" succeeds if that page, and no other of the file, has an error. "poison page N" makes
 * page N of the region fail.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpr.h"
#include "ktap.h"

#define HARD_OFFLINE	"/sys/devices/system/memory/hard_offline_page"
#define INJECT		"/sys/kernel/debug/hwpoison/corrupt-pfn"
#define UNPOISON	"/sys/kernel/debug/hwpoison/unpoison-pfn"
#define BAD		5	/* the page that fails */

static char buf[FRAME];

/* ---- SIGBUS ---- */

static sigjmp_buf out;
static siginfo_t last;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	last = *info;
	siglongjmp(out, 1);
}

static void catch_sigbus(void)
{
	const struct sigaction act = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	sigaction(SIGBUS, &act, NULL);
}

/* Does an access raise the SIGBUS of a memory error, for this page alone? */
static bool is_poison(volatile char *p, bool write)
{
	memset(&last, 0, sizeof(last));
	if (!sigsetjmp(out, 1)) {
		if (write)
			*p = 1;
		else
			(void)*p;
		return false;
	}
	if (last.si_code == BUS_MCEERR_AR && last.si_addr_lsb == 12 &&
	    ((unsigned long)last.si_addr & ~(PAGE - 1)) == ((unsigned long)p & ~(PAGE - 1)))
		return true;
	printf("# SIGBUS with code %d, address %p, lsb %d at %p\n", last.si_code, last.si_addr,
	       last.si_addr_lsb, (void *)p);
	return false;
}

/* ---- errors ---- */

static int write_number(const char *path, unsigned long n)
{
	int fd = open(path, O_WRONLY), err = 0;
	char text[32];

	if (fd < 0)
		return -errno;
	snprintf(text, sizeof(text), "%#lx", n);
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static unsigned long pfn_of(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &entry, sizeof(entry), (unsigned long)p / PAGE * sizeof(entry)),
		 sizeof(entry));
	close(fd);
	CHECK(entry >> 63);
	return entry & ((1ull << 55) - 1);
}

static struct region region(void)
{
	struct region r;

	CHECK_EQ(nl_region(&r), 0);
	return r;
}

static char *map_file(const char *name, size_t len, int *fd)
{
	char *p;

	*fd = make_file(name, len);
	CHECK(*fd >= 0);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	CHECK(p != MAP_FAILED);
	pattern_fill(p, len, 7);
	return p;
}

/* A file whose page BAD has an error, mapped nowhere. Returns a descriptor of it. */
static int bad_file(const char *name, size_t len)
{
	int fd;
	char *p = map_file(name, len, &fd);

	CHECK_EQ(madvise(p + BAD * PAGE, PAGE, MADV_HWPOISON), 0);
	munmap(p, len);
	return fd;
}

/* A file of two frames that is mapped nowhere; returns the page frame number of page BAD. */
static unsigned long unmapped_file(const char *name, int *fd)
{
	char *p = map_file(name, 2 * FRAME, fd);
	unsigned long pfn = pfn_of(p + BAD * PAGE);

	munmap(p, 2 * FRAME);
	return pfn;
}

static bool is_settled(void)
{
	struct region r = region();

	return !r.dirty && !r.busy;
}

/* The freed frame with the error is BAD, and no other frame is lost. */
static void check_frame_is_bad(const struct region *before)
{
	sync();
	CHECK(wait_until(20, is_settled));
	CHECK_EQ(region().bad, before->bad + 1);
	CHECK_EQ(region().clean, before->clean + before->dirty - 1);
}

/* ---- tests ---- */

TEST(the_page_alone_is_lost_to_its_owner)
{
	struct region before = region();
	char *p, *q;
	int fd;

	p = map_file("f", 2 * FRAME, &fd);
	CHECK_EQ(madvise(p + BAD * PAGE, PAGE, MADV_HWPOISON), 0);
	CHECK(is_poison(p + BAD * PAGE, false));
	CHECK(is_poison(p + BAD * PAGE + 17, true));
	pattern_fill(buf, FRAME, 7);
	CHECK(!memcmp(p, buf, BAD * PAGE));
	CHECK(!memcmp(p + (BAD + 1) * PAGE, buf + (BAD + 1) * PAGE, FRAME - (BAD + 1) * PAGE));
	p[(BAD - 1) * PAGE] = 1;
	p[(BAD + 1) * PAGE] = 1;
	p[FRAME] = 1;
	q = mmap(NULL, 2 * FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(is_poison(q + BAD * PAGE, false));
	CHECK(is_poison(q + BAD * PAGE, true));
	q[(BAD - 1) * PAGE] = 2;
	CHECK_EQ(p[(BAD - 1) * PAGE], 1);
	munmap(p, 2 * FRAME);
	munmap(q, 2 * FRAME);
	CHECK_EQ(region().bad_pages, before.bad_pages + 1);
	close(fd);
	CHECK(!unlink(MNT "/f"));
	check_frame_is_bad(&before);
}

TEST(read_and_write_fail_at_the_page)
{
	struct region before = region();
	int fd = bad_file("f", 2 * FRAME);

	CHECK_EQ(pread(fd, buf, FRAME, 0), BAD * PAGE);
	CHECK_ERR(pread(fd, buf, 1, (BAD + 1) * PAGE - 1), EIO);
	CHECK_ERR(pread(fd, buf, FRAME, BAD * PAGE), EIO);
	CHECK_EQ(pread(fd, buf, 2 * PAGE, (BAD + 1) * PAGE), 2 * PAGE);
	CHECK_EQ(pwrite(fd, buf, 2 * PAGE, (BAD - 1) * PAGE), PAGE);
	CHECK_ERR(pwrite(fd, buf, 1, BAD * PAGE), EIO);
	CHECK_EQ(pwrite(fd, buf, PAGE, (BAD + 1) * PAGE), PAGE);
	close(fd);
	CHECK(!unlink(MNT "/f"));
	check_frame_is_bad(&before);
}

TEST(truncation_zeroes_around_the_page)
{
	struct region before = region();
	int fd = bad_file("f", FRAME);

	CHECK(!ftruncate(fd, 100));
	CHECK(!ftruncate(fd, FRAME));
	CHECK_EQ(pread(fd, buf, FRAME, 100), BAD * PAGE - 100);
	CHECK(all_zero(buf, BAD * PAGE - 100));
	CHECK_EQ(pread(fd, buf, FRAME, (BAD + 1) * PAGE), FRAME - (BAD + 1) * PAGE);
	CHECK(all_zero(buf, FRAME - (BAD + 1) * PAGE));
	CHECK_ERR(pread(fd, buf, 1, BAD * PAGE), EIO);
	close(fd);
	CHECK(!unlink(MNT "/f"));
	check_frame_is_bad(&before);
}

TEST(a_page_that_nobody_maps)
{
	struct region before = region();
	unsigned long pfn;
	char *p;
	int fd;

	pfn = unmapped_file("f", &fd);
	CHECK_EQ(write_number(HARD_OFFLINE, pfn * PAGE), 0);
	CHECK_ERR(pread(fd, buf, 1, BAD * PAGE), EIO);
	p = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(is_poison(p + BAD * PAGE, true));
	p[0] = 1;
	/* A second error in the same frame, and the same error once more. */
	CHECK_EQ(write_number(HARD_OFFLINE, pfn * PAGE), 0);
	CHECK_EQ(region().bad_pages, before.bad_pages + 1);
	CHECK_EQ(write_number(HARD_OFFLINE, (pfn + 9) * PAGE), 0);
	CHECK_EQ(region().bad_pages, before.bad_pages + 2);
	CHECK(is_poison(p + (BAD + 9) * PAGE, false));
	p[PAGE] = 1;
	munmap(p, FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
	check_frame_is_bad(&before);
}

TEST(a_frame_that_no_file_has)
{
	struct region before, after;
	unsigned long pfn;
	int fd, n = 0;

	pfn = unmapped_file("f", &fd);
	close(fd);
	CHECK(!unlink(MNT "/f"));
	sync();
	CHECK(wait_until(20, is_settled));
	before = region();
	CHECK_EQ(write_number(HARD_OFFLINE, pfn * PAGE), 0);
	after = region();
	CHECK_EQ(after.bad, before.bad + 1);
	CHECK_EQ(after.clean, before.clean - 1);
	/* Take all that is free: the bad frame is not among it. */
	fd = make_file("all", 0);
	while (!fallocate(fd, 0, n * FRAME, FRAME))
		n++;
	CHECK_EQ(errno, ENOSPC);
	CHECK_EQ(n, after.clean);
	for (int i = 0; i < n; i++) {
		char *p = mmap(NULL, FRAME, PROT_READ, MAP_SHARED, fd, i * FRAME);

		CHECK(p != MAP_FAILED);
		(void)*(volatile char *)p;
		CHECK(pfn_of(p) / 512 != pfn / 512);
		munmap(p, FRAME);
	}
	close(fd);
	CHECK(!unlink(MNT "/all"));
	sync();
	CHECK(wait_until(20, is_settled));
	CHECK_EQ(region().bad, after.bad);
}

TEST(a_frame_that_is_pinned)
{
	struct region before = region();
	unsigned long pfn;
	int fd, pin;
	char *p;

	p = map_file("f", FRAME, &fd);
	pfn = pfn_of(p + BAD * PAGE);
	pin = pin_longterm(p, FRAME);
	CHECK(pin >= 0);
	CHECK_EQ(write_number(HARD_OFFLINE, pfn * PAGE), 0);
	CHECK(is_poison(p + BAD * PAGE, false));
	CHECK(pin_longterm(p, FRAME) < 0);
	munmap(p, FRAME);
	close(fd);
	CHECK(!unlink(MNT "/f"));
	sync();
	CHECK_EQ(region().busy, 1);
	CHECK_EQ(region().bad, before.bad);
	close(pin);
	check_frame_is_bad(&before);
}

TEST(hwpoison_inject_and_unpoison)
{
	struct region before = region();
	unsigned long pfn;
	int fd, err;

	pfn = unmapped_file("f", &fd);
	err = write_number(INJECT, pfn);
	if (err == -ENOENT) {
		close(fd);
		unlink(MNT "/f");
		SKIP("this kernel has no hwpoison-inject");
	}
	CHECK_EQ(err, 0);
	CHECK_ERR(pread(fd, buf, 1, BAD * PAGE), EIO);
	CHECK_EQ(write_number(UNPOISON, pfn), -EIO);
	CHECK_ERR(pread(fd, buf, 1, BAD * PAGE), EIO);
	close(fd);
	CHECK(!unlink(MNT "/f"));
	check_frame_is_bad(&before);
}

TEST(the_vm_and_the_monitor_are_told)
{
	struct region before = region();
	bool vm = false, whole = false;
	unsigned long pfn;
	int fd, cmd;

	CHECK(!mkdir(MNT "/vm", 0700));
	pfn = unmapped_file("vm/ram", &fd);
	CHECK_EQ(nl_bad_pages("vm"), 0);
	CHECK_EQ(nl_listen(), 0);
	CHECK_EQ(write_number(HARD_OFFLINE, pfn * PAGE), 0);
	CHECK_EQ(nl_bad_pages("vm"), 1);
	while ((cmd = nl_event()) != -EAGAIN) {
		vm |= cmd == CPR_CMD_VM_NTF;
		whole |= cmd == CPR_CMD_REGION_NTF;
	}
	CHECK(vm && whole);
	close(fd);
	CHECK(!unlink(MNT "/vm/ram"));
	CHECK_EQ(nl_bad_pages("vm"), 0);
	CHECK(!rmdir(MNT "/vm"));
	check_frame_is_bad(&before);
}

/* Touch pages until a memory error is seen in each of the first @errors of them. */
static void touch_until(volatile char *p, int errors)
{
	static volatile int seen;

	for (seen = 0; seen < errors;) {
		int now = 0;

		for (int i = 0; i < 64; i++)
			if (is_poison(p + i * PAGE, i & 1))
				now++;
		seen = now;
	}
	_exit(0);
}

/* Errors while another process maps the frame, and others write, read and free. */
TEST(errors_race_with_all_that_touches_a_frame)
{
	struct region before = region();
	unsigned long pfn;
	int fd, status;
	pid_t pid[3];
	char *p;

	p = map_file("f", FRAME, &fd);
	pfn = pfn_of(p);
	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		if (i == 0)
			touch_until(p, 64);
		for (;;) {
			pread(fd, buf, FRAME, 0);
			pwrite(fd, buf, PAGE, 100 * PAGE);
			if (i == 1)
				continue;
			close(make_file("g", FRAME));
			fallocate(open(MNT "/g", O_RDWR | O_CLOEXEC), 0, 0, FRAME);
			unlink(MNT "/g");
			closefrom(fd + 1);
		}
	}
	for (int i = 0; i < 64; i++)
		CHECK_EQ(write_number(HARD_OFFLINE, (pfn + i) * PAGE), 0);
	CHECK_EQ(waitpid(pid[0], &status, 0), pid[0]);
	CHECK_EQ(status, 0);
	for (int i = 1; i < 3; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], &status, 0);
	}
	munmap(p, FRAME);
	close(fd);
	unlink(MNT "/g");
	CHECK(!unlink(MNT "/f"));
	CHECK_EQ(region().bad_pages, before.bad_pages + 64);
	check_frame_is_bad(&before);
}

/* ---- for scripts ---- */

static int make_file_with_error(const char *name)
{
	unsigned long pfn;
	int fd;

	pfn = unmapped_file(name, &fd);
	return !!write_number(HARD_OFFLINE, pfn * PAGE);
}

static int check_file_with_error(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), MNT "/%s", name);
	fd = open(path, O_RDONLY);
	return !(fd >= 0 && pread(fd, buf, FRAME, 0) == BAD * PAGE &&
		 pread(fd, buf, FRAME, BAD * PAGE) == -1 && errno == EIO &&
		 pread(fd, buf, FRAME - (BAD + 1) * PAGE, (BAD + 1) * PAGE) ==
		 (ssize_t)(FRAME - (BAD + 1) * PAGE) &&
		 pread(fd, buf, FRAME, FRAME) == FRAME);
}

static int fail_page(unsigned long page)
{
	struct region r;

	return nl_region(&r) || write_number(HARD_OFFLINE, r.start + page * PAGE);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "file"))
		return make_file_with_error(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "has-error"))
		return check_file_with_error(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "page"))
		return fail_page(strtoul(argv[2], NULL, 0));
	catch_sigbus();
	return ktap_run();
}
