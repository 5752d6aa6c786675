// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM changes its state only by the steps that its state allows.
 *
 * The life of a VM as netlink shows it: which step leads to which state, what each state
 * forbids, and what is refused.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpr.h"
#include "ktap.h"

static const char *const memory[] = { "ram0", NULL };
static const char *const nothing[] = { "nope", NULL };

static void make_vm(void)
{
	CHECK(!mkdir(MNT "/vm", 0700));
	close(make_memory("vm/ram0", 2 * FRAME));
	close(make_file("vm/state", 10));
}

static void delete_vm(void)
{
	CHECK_EQ(nl_step(CPR_CMD_VM_UNPIN, "vm", NULL), 0);
	CHECK(!unlink(MNT "/vm/ram0"));
	unlink(MNT "/vm/state");
	CHECK(!rmdir(MNT "/vm"));
}

static void refused(int cmd, int err, const char *why)
{
	CHECK_EQ(nl_step(cmd, "vm", cmd == CPR_CMD_VM_PIN ? memory : NULL), err);
	if (!strstr(nl_said(), why)) {
		printf("# it said '%s', without '%s'\n", nl_said(), why);
		CHECK(!"the reason is given");
	}
}

static void step(int cmd, int state)
{
	CHECK_EQ(nl_step(cmd, "vm", cmd == CPR_CMD_VM_PIN ? memory : NULL), 0);
	CHECK_EQ(nl_state("vm", NULL, NULL), state);
}

static bool can_write(const char *path)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0)
		close(fd);
	else
		CHECK_EQ(errno, EBUSY);
	return fd >= 0;
}

static void memory_is_frozen(void)
{
	CHECK_ERR(truncate(MNT "/vm/ram0", FRAME), EBUSY);
	CHECK_ERR(truncate(MNT "/vm/ram0", 3 * FRAME), EBUSY);
	CHECK_ERR(unlink(MNT "/vm/ram0"), EBUSY);
	CHECK_ERR(rename(MNT "/vm/ram0", MNT "/vm/ram1"), EBUSY);
	CHECK_ERR(rename(MNT "/vm/state", MNT "/vm/ram0"), EBUSY);
	CHECK_ERR(rename(MNT "/vm", MNT "/other"), EBUSY);
	CHECK_EQ(open(MNT "/vm/ram0", O_WRONLY | O_TRUNC), -1);
	CHECK_EQ(errno, EBUSY);
}

static void rest_is_free(void)
{
	int fd = open(MNT "/vm/ram0", O_RDWR);

	CHECK(fd >= 0);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	CHECK_ERR(pwrite(fd, "x", 1, 2 * FRAME), EBUSY);
	CHECK_ERR(fallocate(fd, 0, 0, 3 * FRAME), EBUSY);
	CHECK_ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, FRAME), EBUSY);
	close(fd);
	close(make_file("vm/log", 5));
	CHECK(!rename(MNT "/vm/log", MNT "/vm/log.old"));
	CHECK(!unlink(MNT "/vm/log.old"));
	CHECK(can_write(MNT "/vm/state"));
}

static void all_is_frozen(void)
{
	memory_is_frozen();
	CHECK(!can_write(MNT "/vm/ram0"));
	CHECK(!can_write(MNT "/vm/state"));
	CHECK_ERR(unlink(MNT "/vm/state"), EBUSY);
	CHECK_ERR(mkdir(MNT "/vm/d", 0700), EBUSY);
	CHECK_EQ(make_file("vm/new", 0), -1);
	CHECK_EQ(errno, EBUSY);
	CHECK_ERR(chmod(MNT "/vm/state", 0644), EBUSY);
	CHECK_ERR(rmdir(MNT "/vm"), EBUSY);
}

TEST(a_whole_life)
{
	uint64_t bytes;
	int mapped;

	make_vm();
	CHECK_EQ(nl_state("vm", NULL, NULL), CPR_VM_STATE_DEFINED);
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	CHECK_EQ(nl_state("vm", &bytes, &mapped), CPR_VM_STATE_RUNNING);
	CHECK_EQ(bytes, 2 * FRAME);
	CHECK_EQ(mapped, 0);
	memory_is_frozen();
	rest_is_free();
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	memory_is_frozen();
	rest_is_free();
	/* Changed our minds: back, and again. */
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	step(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	all_is_frozen();
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	memory_is_frozen();
	rest_is_free();
	step(CPR_CMD_VM_UNCLAIM, CPR_VM_STATE_SEALED);
	all_is_frozen();
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	delete_vm();
	CHECK_EQ(nl_state("vm", NULL, NULL), -ENOENT);
}

TEST(steps_out_of_order_are_refused)
{
	make_vm();
	refused(CPR_CMD_VM_SAVE, -EBUSY, "the VM is defined");
	refused(CPR_CMD_VM_SEAL, -EBUSY, "the VM is defined");
	refused(CPR_CMD_VM_CLAIM, -EBUSY, "the VM is defined");
	refused(CPR_CMD_VM_UNCLAIM, -EBUSY, "the VM is defined");
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	refused(CPR_CMD_VM_PIN, -EBUSY, "the VM is running, so it cannot be pinned");
	refused(CPR_CMD_VM_SEAL, -EBUSY, "the VM is running");
	refused(CPR_CMD_VM_CLAIM, -EBUSY, "the VM is running");
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	refused(CPR_CMD_VM_SAVE, -EBUSY, "the VM is saved");
	refused(CPR_CMD_VM_CLAIM, -EBUSY, "the VM is saved");
	step(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	refused(CPR_CMD_VM_PIN, -EBUSY, "the VM is sealed");
	refused(CPR_CMD_VM_SAVE, -EBUSY, "the VM is sealed");
	refused(CPR_CMD_VM_UNCLAIM, -EBUSY, "the VM is sealed");
	delete_vm();
}

TEST(memory_with_holes_is_refused)
{
	int fd;

	CHECK(!mkdir(MNT "/vm", 0700));
	fd = make_file("vm/ram0", 3 * FRAME + 1);
	refused(CPR_CMD_VM_PIN, -EINVAL, "'ram0' lacks 4 frames of 2 MiB; fill it: fallocate");
	/* Frames beyond the end do not fill a hole. */
	CHECK(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 9 * FRAME));
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FRAME, FRAME));
	refused(CPR_CMD_VM_PIN, -EINVAL, "'ram0' lacks 1 frames");
	CHECK(!fallocate(fd, 0, FRAME, FRAME));
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	close(fd);
	delete_vm();
}

/* The kernel log would have a soft lockup if each hole were looked at. */
TEST(huge_memory_with_holes_is_refused)
{
	int fd;

	CHECK(!mkdir(MNT "/vm", 0700));
	fd = make_file("vm/ram0", 0xffffffffll * FRAME);
	refused(CPR_CMD_VM_PIN, -EINVAL, "'ram0' lacks 4294967295 frames");
	close(fd);
	CHECK(!unlink(MNT "/vm/ram0") && !rmdir(MNT "/vm"));
}

TEST(bad_requests_are_refused)
{
	const char *many[400];
	char name[80];

	for (int i = 0; i < 399; i++)
		many[i] = "ram0";
	many[399] = NULL;

	make_vm();
	CHECK_EQ(nl_step(CPR_CMD_VM_SAVE, NULL, NULL), -EINVAL);
	CHECK(strstr(nl_said(), "name must be given"));
	CHECK_EQ(nl_step(CPR_CMD_VM_SAVE, "nobody", NULL), -ENOENT);
	CHECK(strstr(nl_said(), "no VM 'nobody'"));
	CHECK_EQ(nl_step(CPR_CMD_VM_PIN, "vm", nothing), -ENOENT);
	CHECK(strstr(nl_said(), "'nope' is not a file"));
	CHECK_EQ(nl_state("vm", NULL, NULL), CPR_VM_STATE_DEFINED);
	CHECK_EQ(nl_step(CPR_CMD_VM_PIN, "vm", many), -E2BIG);
	CHECK(strstr(nl_said(), "too long together"));
	memset(name, 'n', 70);
	name[70] = 0;
	CHECK_EQ(nl_step(CPR_CMD_VM_SAVE, name, NULL), -EINVAL);
	close(make_file("file", 0));
	CHECK_EQ(nl_step(CPR_CMD_VM_PIN, "file", memory), -ENOENT);
	CHECK(!unlink(MNT "/file"));
	delete_vm();
}

/* A guest whose RAM is elsewhere: what it left here is kept all the same. */
TEST(a_vm_without_memory_has_a_life)
{
	uint64_t bytes = 1;

	make_vm();
	CHECK_EQ(nl_step(CPR_CMD_VM_PIN, "vm", NULL), 0);
	CHECK_EQ(nl_state("vm", &bytes, NULL), CPR_VM_STATE_RUNNING);
	CHECK_EQ(bytes, 0);
	CHECK(can_write(MNT "/vm/state"));
	CHECK_ERR(rename(MNT "/vm", MNT "/other"), EBUSY);
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	step(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	CHECK(!can_write(MNT "/vm/state"));
	CHECK_ERR(unlink(MNT "/vm/state"), EBUSY);
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	CHECK_EQ(nl_step(CPR_CMD_VM_PIN, "vm", NULL), 0);
	CHECK_EQ(nl_state("vm", &bytes, NULL), CPR_VM_STATE_RUNNING);
	CHECK_EQ(bytes, 0);
	delete_vm();
}

TEST(names_need_no_terminator)
{
	make_vm();
	CHECK_EQ(nl_pin_unterminated("vm", "ram0"), 0);
	CHECK_EQ(nl_state("vm", NULL, NULL), CPR_VM_STATE_RUNNING);
	delete_vm();
}

/* The first frame of the VM's memory, mapped and nothing else of it open. */
static char *map_memory(void)
{
	int fd = open(MNT "/vm/ram0", O_RDWR);
	char *p = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED);
	close(fd);
	return p;
}

TEST(sealing_waits_for_nobody)
{
	int fd, log;
	char *p;

	make_vm();
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	p = map_memory();
	*p = 1;
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	refused(CPR_CMD_VM_SEAL, -EBUSY, "still mapped");
	refused(CPR_CMD_VM_UNPIN, -EBUSY, "still mapped");
	munmap(p, FRAME);
	log = open(MNT "/vm/state", O_WRONLY);
	refused(CPR_CMD_VM_SEAL, -EBUSY, "open for writing");
	close(log);
	/* To have it open for reading, or mapped before it was opened so, is no harm. */
	fd = open(MNT "/vm/state", O_RDONLY);
	step(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	close(fd);
	delete_vm();
}

static bool is_sealed(void)
{
	return nl_step(CPR_CMD_VM_SEAL, "vm", NULL) == 0;
}

TEST(what_is_pinned_is_not_sealed)
{
	int ring;
	char *p;

	make_vm();
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	p = map_memory();
	ring = pin_longterm(p, FRAME);
	CHECK(ring >= 0);
	munmap(p, FRAME);
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	refused(CPR_CMD_VM_SEAL, -EBUSY, "still pinned");
	close(ring);
	CHECK(wait_until(30, is_sealed));
	CHECK_EQ(nl_state("vm", NULL, NULL), CPR_VM_STATE_SEALED);
	delete_vm();
}

/* ---- digests ---- */

static const unsigned char one[CPR_DIGEST_LEN] = { 1, [15] = 0xff };
static const unsigned char two[CPR_DIGEST_LEN] = { [7] = 2 };
static const unsigned char three[CPR_DIGEST_LEN] = { [15] = 3 };
static const unsigned char zeros[CPR_DIGEST_LEN];

static void to_saved(void)
{
	make_vm();
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
}

static bool same_digest(int has, const void *got, const void *want)
{
	return want ? has && !memcmp(got, want, CPR_DIGEST_LEN) : !has;
}

/* In the answer about one VM and in a dump alike; NULL for none. */
static void digests_are(const void *manifest, const void *ram)
{
	struct digests d;

	for (int dump = 0; dump < 2; dump++) {
		CHECK_EQ(nl_digests("vm", dump, &d), 0);
		CHECK(same_digest(d.has_manifest, d.manifest, manifest));
		CHECK(same_digest(d.has_ram, d.ram, ram));
	}
}

TEST(digests_last_while_it_is_sealed)
{
	to_saved();
	digests_are(NULL, NULL);
	CHECK_EQ(nl_step_with(CPR_CMD_VM_SEAL, "vm", one, two, 16), 0);
	digests_are(one, two);
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	digests_are(one, two);
	step(CPR_CMD_VM_UNCLAIM, CPR_VM_STATE_SEALED);
	digests_are(one, two);
	/* One for another, both, and none. */
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	CHECK_EQ(nl_step_with(CPR_CMD_VM_UNCLAIM, "vm", three, NULL, 16), 0);
	digests_are(three, two);
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	CHECK_EQ(nl_step_with(CPR_CMD_VM_UNCLAIM, "vm", NULL, one, 16), 0);
	digests_are(three, one);
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	digests_are(NULL, NULL);
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	digests_are(NULL, NULL);
	CHECK_EQ(nl_step_with(CPR_CMD_VM_SEAL, "vm", NULL, three, 16), 0);
	digests_are(NULL, three);
	CHECK_EQ(nl_step(CPR_CMD_VM_UNPIN, "vm", NULL), 0);
	digests_are(NULL, NULL);
	delete_vm();
}

TEST(a_seal_that_is_refused_leaves_no_digest)
{
	int log;

	to_saved();
	log = open(MNT "/vm/state", O_WRONLY);
	CHECK_EQ(nl_step_with(CPR_CMD_VM_SEAL, "vm", one, two, 16), -EBUSY);
	digests_are(NULL, NULL);
	close(log);
	CHECK_EQ(nl_step_with(CPR_CMD_VM_SEAL, "vm", one, NULL, 16), 0);
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	log = open(MNT "/vm/state", O_WRONLY);
	CHECK_EQ(nl_step_with(CPR_CMD_VM_UNCLAIM, "vm", two, three, 16), -EBUSY);
	digests_are(one, NULL);
	close(log);
	delete_vm();
}

TEST(what_is_no_digest_is_refused)
{
	static const unsigned char long_one[17] = { 1 };

	to_saved();
	CHECK_EQ(nl_step_with(CPR_CMD_VM_SEAL, "vm", zeros, NULL, 16), -EINVAL);
	CHECK(strstr(nl_said(), "a digest of zeros means none"));
	CHECK_EQ(nl_step_with(CPR_CMD_VM_SEAL, "vm", one, zeros, 16), -EINVAL);
	CHECK(strstr(nl_said(), "a digest of zeros means none"));
	CHECK_EQ(nl_step_with(CPR_CMD_VM_SEAL, "vm", one, NULL, 15), -ERANGE);
	CHECK(*nl_said());
	CHECK_EQ(nl_step_with(CPR_CMD_VM_SEAL, "vm", NULL, long_one, 17), -ERANGE);
	CHECK(*nl_said());
	CHECK_EQ(nl_state("vm", NULL, NULL), CPR_VM_STATE_SAVED);
	/* Other steps have no use for one. */
	CHECK_EQ(nl_step_with(CPR_CMD_VM_PIN, "vm", one, NULL, 16), -EINVAL);
	CHECK_EQ(nl_step_with(CPR_CMD_VM_SAVE, "vm", NULL, one, 16), -EINVAL);
	step(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	CHECK_EQ(nl_step_with(CPR_CMD_VM_CLAIM, "vm", one, NULL, 16), -EINVAL);
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	CHECK_EQ(nl_step_with(CPR_CMD_VM_UNCLAIM, "vm", NULL, zeros, 16), -EINVAL);
	CHECK(strstr(nl_said(), "a digest of zeros means none"));
	CHECK_EQ(nl_state("vm", NULL, NULL), CPR_VM_STATE_RESTORING);
	delete_vm();
}

TEST(a_deep_tree_is_no_trouble)
{
	int depth = 0;

	make_vm();
	CHECK(!chdir(MNT "/vm"));
	for (; depth < 3000; depth++)
		CHECK(!mkdir("d", 0700) && !chdir("d"));
	close(open("f", O_CREAT | O_WRONLY, 0600));
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	step(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	CHECK_EQ(nl_step(CPR_CMD_VM_UNPIN, "vm", NULL), 0);
	CHECK(!unlink("f"));
	for (; depth; depth--)
		CHECK(!chdir("..") && !rmdir("d"));
	CHECK(!chdir("/"));
	delete_vm();
}

TEST(what_is_sealed_can_be_read)
{
	int fd;
	char *p, c;

	make_vm();
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	step(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	fd = open(MNT "/vm/ram0", O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	p = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	p[0] = c + 1;
	CHECK_EQ(pread(fd, p + 1, 1, 0), 1);
	CHECK_EQ(p[1], c);
	munmap(p, FRAME);
	close(fd);
	delete_vm();
}

/* A page fault that reads would fill a hole of any other file. */
TEST(what_is_sealed_keeps_its_holes)
{
	struct stat st;
	pid_t pid;
	int fd, status;
	char *p, c;

	make_vm();
	close(make_file("vm/sparse", FRAME));
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	step(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	fd = open(MNT "/vm/sparse", O_RDONLY);
	CHECK(fd >= 0);
	p = mmap(NULL, FRAME, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		c = *(volatile char *)p;
		_exit(c);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGBUS);
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	CHECK_EQ(c, 0);
	CHECK(!fstat(fd, &st));
	CHECK_EQ(st.st_blocks, 0);
	munmap(p, FRAME);
	close(fd);
	CHECK_EQ(nl_step(CPR_CMD_VM_UNPIN, "vm", NULL), 0);
	CHECK(!unlink(MNT "/vm/sparse"));
	delete_vm();
}

TEST(every_step_is_committed)
{
	struct region before, after;

	make_vm();
	CHECK(!nl_region(&before));
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	CHECK(!nl_region(&after));
	CHECK(after.generation > before.generation);
	delete_vm();
}

TEST(a_dump_names_all_of_many)
{
	char path[64];
	int before = nl_count();

	CHECK(before >= 0);
	for (int i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), MNT "/vm%d", i);
		CHECK(!mkdir(path, 0700));
	}
	CHECK_EQ(nl_count(), before + 500);
	for (int i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), MNT "/vm%d", i);
		CHECK(!rmdir(path));
	}
}

static bool event_is_sent(void)
{
	return nl_event() == CPR_CMD_VM_NTF;
}

TEST(events_are_sent)
{
	CHECK_EQ(nl_listen(), 0);
	make_vm();
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	CHECK(wait_until(10, event_is_sent));
	delete_vm();
}

/* Make the memory file larger and smaller until the parent kills us. */
static void resize_for_ever(void)
{
	int fd = open(MNT "/vm/ram0", O_RDWR);

	for (;;) {
		if (ftruncate(fd, 2 * FRAME) && errno != EBUSY)
			_exit(1);
		if (fallocate(fd, 0, 0, 4 * FRAME) && errno != EBUSY)
			_exit(1);
	}
}

static off_t memory_size(void)
{
	struct stat st;

	CHECK(!stat(MNT "/vm/ram0", &st));
	return st.st_size;
}

TEST(a_resize_that_has_begun_does_not_change_a_pinned_file)
{
	off_t size = 0, later = 0;
	pid_t pid;

	make_vm();
	pid = fork();
	if (!pid)
		resize_for_ever();
	for (int i = 0; i < 300; i++) {
		CHECK_EQ(nl_step(CPR_CMD_VM_PIN, "vm", memory), 0);
		size = memory_size();
		usleep(2000);
		later = memory_size();
		CHECK_EQ(nl_step(CPR_CMD_VM_UNPIN, "vm", NULL), 0);
		if (size != later)
			break;
		usleep(100);
	}
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(later, size);
	delete_vm();
}

TEST(a_mounted_region_is_not_formatted)
{
	struct region r;

	CHECK(!nl_region(&r));
	CHECK_EQ(r.mounted, 1);
	CHECK_EQ(nl_format(r.start, r.size, NULL, 1), -EBUSY);
	CHECK(strstr(nl_said(), "mounted"));
	CHECK_EQ(nl_format(r.start, r.size / 2, NULL, 1), -EINVAL);
}

int main(void)
{
	return ktap_run();
}
