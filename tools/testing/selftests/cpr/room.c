// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM gets what it was promised, and no more, whatever the owners of other directories do.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpr.h"
#include "ktap.h"

#define NOBODY	65534
#define LONGEST	255

static const char *const memory[] = { "ram0", NULL };

static void make_dir(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), MNT "/%s", name);
	CHECK(!mkdir(path, 0700));
}

/* The directory and what is in it, one level deep. */
static void remove_dir(const char *name)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), MNT "/%s", name);
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (unlinkat(dirfd(d), e->d_name, 0))
			unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	if (d)
		closedir(d);
	rmdir(path);
}

/* What an earlier test left, if it failed. */
static void clear(void)
{
	nl_step(CPR_CMD_VM_UNPIN, "vm", NULL);
	remove_dir("vm/d");
	remove_dir("vm");
	remove_dir("evil");
	remove_dir("new");
}

static void set_room(const char *vm, unsigned int frames, unsigned int names)
{
	CHECK_MSG(nl_room(vm, frames * FRAME, names) == 0, "refused: %s", nl_said());
}

static void begin(unsigned int frames, unsigned int names)
{
	clear();
	make_dir("vm");
	set_room("vm", frames, names);
}

static void refused(int got, int err, const char *why)
{
	CHECK_EQ(got, err);
	CHECK_MSG(strstr(nl_said(), why), "it said '%s', without '%s'", nl_said(), why);
}

static void uses(const char *vm, unsigned int frames, unsigned int names)
{
	struct room r;

	CHECK_EQ(nl_room_of(vm, &r), 0);
	CHECK_EQ(r.used_bytes, frames * FRAME);
	CHECK_EQ(r.used_names, names);
}

static unsigned int free_frames(void)
{
	struct statvfs st;

	CHECK(!statvfs(MNT, &st));
	return st.f_bfree * st.f_frsize / FRAME;
}

static unsigned int available_frames(void)
{
	struct statvfs st;

	CHECK(!statvfs(MNT, &st));
	return st.f_bavail * st.f_frsize / FRAME;
}

static sigjmp_buf faulted;

static void on_bus_error(int sig)
{
	(void)sig;
	siglongjmp(faulted, 1);
}

static bool can_store(volatile char *p)
{
	bool can = false;

	signal(SIGBUS, on_bus_error);
	if (!sigsetjmp(faulted, 1)) {
		*p = 1;
		can = true;
	}
	signal(SIGBUS, SIG_DFL);
	return can;
}

/* ---- a limit ---- */

TEST(a_room_limits_frames)
{
	int fd, other;
	char *p;

	begin(4, 8);
	fd = make_file("vm/a", 0);
	other = make_file("vm/b", 0);
	CHECK_ERR(fallocate(fd, 0, 0, 5 * FRAME), EDQUOT);
	uses("vm", 0, 2);
	CHECK(!fallocate(fd, 0, 0, 3 * FRAME));
	CHECK_EQ(pwrite(other, "x", 1, 0), 1);
	CHECK_ERR(pwrite(other, "x", 1, FRAME), EDQUOT);
	CHECK_ERR(fallocate(fd, FALLOC_FL_KEEP_SIZE, 3 * FRAME, 1), EDQUOT);
	uses("vm", 4, 2);
	/* What is there can be written. */
	CHECK_EQ(pwrite(fd, "x", 1, 2 * FRAME), 1);
	/* A size takes nothing; the first access does. */
	CHECK(!ftruncate(other, 2 * FRAME));
	p = mmap(NULL, 2 * FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	CHECK(p != MAP_FAILED);
	CHECK(can_store(p));
	CHECK(!can_store(p + FRAME));
	CHECK(!ftruncate(fd, 2 * FRAME));
	CHECK(can_store(p + FRAME));
	uses("vm", 4, 2);
	munmap(p, 2 * FRAME);
	close(fd);
	close(other);
	clear();
}

TEST(a_room_limits_names)
{
	begin(4, 3);
	close(make_file("vm/a", 0));
	CHECK(!mkdir(MNT "/vm/d", 0700));
	close(make_file("vm/d/b", 0));
	CHECK_ERR(open(MNT "/vm/c", O_CREAT | O_WRONLY, 0600), EDQUOT);
	CHECK_ERR(mkdir(MNT "/vm/d/c", 0700), EDQUOT);
	uses("vm", 0, 3);
	close(make_file("new", 0));
	CHECK_ERR(rename(MNT "/new", MNT "/vm/c"), EDQUOT);
	CHECK(!access(MNT "/new", F_OK));
	/* In the place of another, and within. */
	CHECK(!rename(MNT "/vm/a", MNT "/vm/d/a"));
	CHECK(!rename(MNT "/new", MNT "/vm/d/a"));
	uses("vm", 0, 3);
	CHECK(!unlink(MNT "/vm/d/a"));
	uses("vm", 0, 2);
	CHECK(!mkdir(MNT "/vm/c", 0700));
	clear();
}

/* ---- who evades it ---- */

TEST(a_file_without_a_name_counts)
{
	int fd, other;

	begin(2, 2);
	fd = make_file("vm/a", 0);
	CHECK(!fallocate(fd, 0, 0, 2 * FRAME));
	CHECK(!unlink(MNT "/vm/a"));
	uses("vm", 2, 0);
	other = make_file("vm/b", 0);
	CHECK_ERR(pwrite(other, "x", 1, 0), EDQUOT);
	CHECK_ERR(fallocate(fd, 0, 0, 3 * FRAME), EDQUOT);
	close(fd);
	CHECK_EQ(pwrite(other, "x", 1, 0), 1);
	uses("vm", 1, 1);
	close(other);
	clear();
}

static int limited;

static bool can_write(void)
{
	return pwrite(limited, "x", 1, FRAME) == 1;
}

/* A pinned page keeps a whole frame from everybody, whether the file has it or not. */
TEST(a_pinned_frame_counts)
{
	int pin;
	char *p;

	begin(2, 2);
	limited = make_memory("vm/a", 2 * FRAME);
	p = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, limited, 0);
	CHECK(p != MAP_FAILED);
	pin = pin_longterm(p, PAGE);
	if (pin == -ENOSYS)
		SKIP("this kernel has no io_uring");
	CHECK(pin >= 0);
	munmap(p, FRAME);
	CHECK(!fallocate(limited, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * FRAME));
	uses("vm", 1, 1);
	CHECK_EQ(pwrite(limited, "x", 1, 0), 1);
	CHECK(!can_write());
	CHECK(!fsync(limited));
	CHECK(!can_write());
	/* The file is gone, and the directory gives its promise back. */
	close(pin);
	CHECK(wait_until(30, can_write));
	uses("vm", 2, 1);
	close(limited);
	clear();
}

TEST(what_moves_to_another_room_counts_there)
{
	int fd;

	begin(2, 4);
	make_dir("evil");
	fd = make_file("evil/a", 0);
	CHECK(!fallocate(fd, 0, 0, 3 * FRAME));
	CHECK_ERR(rename(MNT "/evil/a", MNT "/vm/a"), EDQUOT);
	uses("evil", 3, 1);
	uses("vm", 0, 0);
	CHECK(!ftruncate(fd, 2 * FRAME));
	CHECK(!mkdir(MNT "/evil/d", 0700));
	CHECK(!rename(MNT "/evil/a", MNT "/evil/d/a"));
	CHECK(!rename(MNT "/evil/d", MNT "/vm/d"));
	uses("evil", 0, 0);
	uses("vm", 2, 2);
	CHECK_ERR(pwrite(fd, "x", 1, 2 * FRAME), EDQUOT);
	CHECK(!rename(MNT "/vm/d", MNT "/new"));
	uses("vm", 0, 0);
	uses("new", 2, 1);
	CHECK_EQ(pwrite(fd, "x", 1, 2 * FRAME), 1);
	/* A promise is one directory's. */
	CHECK_ERR(rename(MNT "/vm", MNT "/evil/vm"), EXDEV);
	CHECK(!rename(MNT "/vm", MNT "/other") && !rename(MNT "/other", MNT "/vm"));
	close(fd);
	clear();
}

/* ---- a promise ---- */

/* An unprivileged user takes all frames, then all names, that he can get in his directory. */
static void take_everything(void)
{
	static const char *const formats[] = { MNT "/evil/%0255d", MNT "/evil/%d" };
	char path[LONGEST + 64];
	int fd = open(MNT "/evil/f", O_RDWR | O_CREAT, 0600);

	for (unsigned int i = 0; pwrite(fd, "x", 1, i * FRAME) == 1; i++)
		;
	if (errno != ENOSPC)
		_exit(1);
	for (int f = 0; f < 2; f++)
		for (int i = 0;; i++) {
			snprintf(path, sizeof(path), formats[f], i);
			if (mkdir(path, 0700))
				break;
		}
	if (errno != ENOSPC)
		_exit(2);
	_exit(0);
}

static void let_nobody_take_everything(void)
{
	int status;
	pid_t pid;

	make_dir("evil");
	CHECK(!chown(MNT "/evil", NOBODY, NOBODY));
	pid = fork();
	if (!pid) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(3);
		take_everything();
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void fill_room(unsigned int frames, unsigned int names)
{
	char path[LONGEST + 64];

	close(make_memory("vm/ram0", frames * FRAME));
	for (unsigned int i = 1; i < names; i++) {
		snprintf(path, sizeof(path), MNT "/vm/%0*u", LONGEST, i);
		CHECK(!mkdir(path, 0700));
	}
	uses("vm", frames, names);
}

TEST(a_promise_is_kept)
{
	begin(20, 100);
	let_nobody_take_everything();
	CHECK_EQ(available_frames(), 0);
	CHECK_EQ(free_frames(), 20);
	fill_room(20, 100);
	CHECK_EQ(free_frames(), 0);
	/* The records of VMs have their own part of the catalog. */
	CHECK_EQ(nl_step(CPR_CMD_VM_PIN, "vm", memory), 0);
	CHECK_EQ(nl_step(CPR_CMD_VM_UNPIN, "vm", NULL), 0);
	clear();
}

/* What a VM gives back stays its own. */
TEST(a_promise_lasts)
{
	begin(20, 100);
	fill_room(20, 100);
	remove_dir("vm");
	CHECK_EQ(nl_room_of("vm", &(struct room){ 0 }), -ENOENT);
	begin(20, 100);
	fill_room(20, 100);
	for (unsigned int i = 1; i < 100; i++) {
		char path[LONGEST + 64];

		snprintf(path, sizeof(path), MNT "/vm/%0*u", LONGEST, i);
		CHECK(!rmdir(path));
	}
	CHECK(!unlink(MNT "/vm/ram0"));
	let_nobody_take_everything();
	fill_room(20, 100);
	clear();
}

TEST(only_what_is_free_is_promised)
{
	unsigned int all = free_frames();

	begin(20, 100);
	make_dir("new");
	refused(nl_room("new", (all - 19) * FRAME, 10), -ENOSPC, "20 promised to others");
	set_room("new", all - 20, 10);
	CHECK_EQ(available_frames(), 0);
	refused(nl_room("new", ~0ull, 10), -ENOSPC, "promised");
	refused(nl_room("new", FRAME, 65535), -ENOSPC, "the catalog has room for");
	close(make_memory("new/a", 3 * FRAME));
	refused(nl_room("new", 2 * FRAME, 10), -EDQUOT, "it uses 3 frames of 2 MiB and 1 names");
	set_room("new", 3, 1);
	CHECK_EQ(available_frames(), all - 23);
	/* Without a room neither limit nor promise. */
	CHECK_EQ(nl_room("new", 0, 0), 0);
	CHECK_EQ(available_frames(), all - 23);
	close(make_file("new/b", 0));
	clear();
	CHECK_EQ(available_frames(), free_frames());
}

TEST(bad_requests_are_refused)
{
	struct room r;

	begin(4, 8);
	CHECK_EQ(nl_room("none", FRAME, 1), -ENOENT);
	CHECK_EQ(nl_room("vm", FRAME, 65536), -ERANGE);
	refused(nl_room_bytes_only("vm", FRAME), -EINVAL, "both bytes and names");
	CHECK_EQ(nl_room_of("vm", &r), 0);
	CHECK_EQ(r.bytes, 4 * FRAME);
	CHECK_EQ(r.names, 8);
	CHECK_EQ(nl_room("vm", FRAME + 1, 8), 0);
	CHECK_EQ(nl_room_of("vm", &r), 0);
	CHECK_EQ(r.bytes, 2 * FRAME);
	clear();
}

int main(void)
{
	return ktap_run();
}
