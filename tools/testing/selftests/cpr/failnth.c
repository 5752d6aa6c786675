// SPDX-License-Identifier: GPL-2.0-only
/*
 * An operation that finds no memory fails, and has changed nothing.
 *
 * failnth [ADDRESS] - for each operation, let its first allocation in the kernel fail, then
 * its second, and so on, until the operation is done before the next one fails (fail-nth).
 * Each time it either succeeds all the same, or returns an error; then everything that can
 * be seen of the region is as before, and the operation succeeds when there is memory again.
 * Whether memory leaks is told by kmemleak afterwards. ADDRESS is a device that vfio-pci has.
 *
 * failnth ADDRESS NAME - only the operations whose names begin with NAME.
 *
 * failnth load FILE PARAMETERS - the same for loading the module.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpr.h"
#include "genl.h"
#include "iommu.h"
#include "ktap.h"

#define VM	"fail"
#define RAM	(2 * FRAME)
#define MOST	4000	/* allocations of an operation */

static const char *address;
static char *page;
static char *big;

/* ---- fail-nth ---- */

static int fail_nth = -1;

static void fail_open(void)
{
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

static void fail_set(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	CHECK_EQ(pwrite(fail_nth, text, len, 0), len);
}

/* Allocations that are still to succeed before one fails; 0 if one has failed. */
static unsigned int fail_left(void)
{
	char text[16] = "";

	CHECK(pread(fail_nth, text, sizeof(text) - 1, 0) > 0);
	return atoi(text);
}

/* ---- what can be seen ---- */

struct view {
	size_t len;
	char text[32768];
};

__attribute__((format(printf, 2, 3)))
static void note(struct view *v, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	v->len += vsnprintf(v->text + v->len, sizeof(v->text) - v->len, format, ap);
	va_end(ap);
	CHECK(v->len < sizeof(v->text));
}

/* A few bytes of each page tell which page of which file it is. */
static uint64_t content(const char *path, off_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t sum = 0, words[8];

	CHECK(fd >= 0);
	for (off_t at = 0; at < size; at += 64 * PAGE) {
		ssize_t n = pread(fd, words, sizeof(words), at);

		for (ssize_t i = 0; i < n / 8; i++)
			sum = (sum ^ words[i]) * 0x100000001b3ull;
	}
	close(fd);
	return sum;
}

static void note_tree(struct view *v, const char *dir)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, alphasort);

	CHECK(n >= 0);
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		char path[512];
		struct stat st;

		if (!strcmp(name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		CHECK(!lstat(path, &st));
		note(v, "%s ino %lu mode %o links %lu owner %u size %ld blocks %ld mtime %ld.%09ld ctime %ld.%09ld",
		     path, st.st_ino, st.st_mode, st.st_nlink, st.st_uid,
		     S_ISREG(st.st_mode) ? (long)st.st_size : 0, (long)st.st_blocks,
		     st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
		if (S_ISREG(st.st_mode))
			note(v, " content %lx", content(path, st.st_size));
		note(v, "\n");
		if (S_ISDIR(st.st_mode) && strcmp(name, "."))
			note_tree(v, path);
		free(list[i]);
	}
	free(list);
}

static int netlink = -1, family;
static struct genl_buffer message;

static void begin_message(int cmd, int flags)
{
	static uint32_t seq = 100;

	message.len = 0;
	genl_begin(&message, family, cmd, flags | NLM_F_ACK, ++seq);
}

static void note_message(const struct nlmsghdr *h, void *arg)
{
	const unsigned char *at = genl_attrs(h);
	struct view *v = arg;

	note(v, "message");
	for (size_t i = 0; i < genl_attrs_len(h); i++)
		note(v, " %02x", at[i]);
	note(v, "\n");
}

static void note_dump(struct view *v, int cmd)
{
	begin_message(cmd, NLM_F_DUMP);
	CHECK_EQ(genl_ask(netlink, &message, note_message, v), 0);
}

static bool is_settled(void)
{
	struct region r;

	return !nl_region(&r) && !r.dirty;
}

static bool is_mounted(void)
{
	struct region r;

	CHECK_EQ(nl_region(&r), 0);
	return r.mounted;
}

static void mount_it(void)
{
	if (!is_mounted())
		CHECK(!mount("cprfs", MNT, "cprfs", 0, NULL));
}

static void unmount_it(void)
{
	if (is_mounted())
		CHECK(!umount(MNT));
}

static void commit(void)
{
	int fd = open(MNT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(!syncfs(fd));
	close(fd);
}

/* Without what changes by itself: the number of the commit, and how many frames are zeroed. */
static void look(struct view *v)
{
	bool mounted = is_mounted();
	struct region r;

	v->len = 0;
	mount_it();
	commit();
	CHECK(wait_until(60, is_settled));
	note_tree(v, MNT);
	if (!mounted)
		unmount_it();
	CHECK_EQ(nl_region(&r), 0);
	note(v, "label %s frames %u free %u bad %u mounted %d\n", r.label, r.frames,
	     r.clean + r.dirty + r.busy, r.bad, r.mounted);
	note_dump(v, CPR_CMD_VM_GET);
	note_dump(v, CPR_CMD_DEVICE_GET);
}

/* The first line that differs. */
static void print_difference(const struct view *a, const struct view *b)
{
	size_t i = 0, line = 0;

	for (; i < a->len && i < b->len && a->text[i] == b->text[i]; i++)
		if (a->text[i] == '\n')
			line = i + 1;
	printf("#   before: %.*s\n", (int)strcspn(a->text + line, "\n"), a->text + line);
	printf("#   after:  %.*s\n", (int)strcspn(b->text + line, "\n"), b->text + line);
}

/* ---- the operations ---- */

enum { WITH_FILES = 1, WITH_DIGESTS = 2, WITH_REVOKE = 4, WITH_DEVICE = 8, WITH_WINDOW = 16,
       WITH_VFIO = 32, IS_NETLINK = 64, WITHOUT_NAME = 128, IS_DUMP = 256 };

struct op {
	const char *name;
	int (*run)(const struct op *op);	/* 0 or -errno */
	int cmd, flags;		/* of a request */
	int state;		/* of the VM before; -1: it does not matter */
	void (*begin)(void);	/* makes what @run needs */
	void (*end)(void);	/* removes what @run has made */
};

static int fds[4] = { -1, -1, -1, -1 };
static char *map;
static struct iommu iommu;
static bool attached;

static int result(long ret)
{
	return ret < 0 ? -errno : 0;
}

/* Requests. The message is made before, so that only the kernel allocates. */

static void make_format(void)
{
	struct region r;

	CHECK_EQ(nl_region(&r), 0);
	begin_message(CPR_CMD_REGION_FORMAT, 0);
	genl_put_u64(&message, CPR_A_REGION_START, r.start);
	genl_put_u64(&message, CPR_A_REGION_SIZE, r.size);
	genl_put_string(&message, CPR_A_REGION_LABEL, "again");
	genl_put(&message, CPR_A_REGION_FORCE, NULL, 0);
}

static void make_request(const struct op *op)
{
	static const unsigned char digest[CPR_DIGEST_LEN] = { 1, 2, 3 };

	if (op->cmd == CPR_CMD_REGION_FORMAT) {
		make_format();
		return;
	}
	begin_message(op->cmd, op->flags & IS_DUMP ? NLM_F_DUMP : 0);
	if (!(op->flags & (IS_DUMP | WITHOUT_NAME)))
		genl_put_string(&message, CPR_A_VM_NAME, VM);
	if (op->flags & WITH_FILES) {
		genl_put_string(&message, CPR_A_VM_MEMORY_FILE, "ram0");
		genl_put_string(&message, CPR_A_VM_MEMORY_FILE, "ram1");
	}
	if (op->flags & WITH_DIGESTS) {
		genl_put(&message, CPR_A_VM_MANIFEST_DIGEST, digest, sizeof(digest));
		genl_put(&message, CPR_A_VM_RAM_DIGEST, digest, sizeof(digest));
	}
	if (op->flags & WITH_DEVICE)
		genl_put_string(&message, CPR_A_VM_DEVICE, address);
	for (int i = 0; op->flags & WITH_VFIO && i < 2; i++)
		if (iommu.fds[i] >= 0)
			genl_put_u32(&message, CPR_A_VM_FILE, iommu.fds[i]);
	if (op->flags & WITH_WINDOW) {
		genl_put_u64(&message, CPR_A_VM_WINDOW_START, 0);
		genl_put_u64(&message, CPR_A_VM_WINDOW_LENGTH, RAM);
	}
	if (op->flags & WITH_REVOKE)
		genl_put(&message, CPR_A_VM_REVOKE, NULL, 0);
}

static int request(const struct op *op)
{
	(void)op;
	return genl_ask(netlink, &message, NULL, NULL);
}

/* ---- VMs ---- */

static void make(const char *name, off_t size)
{
	int fd = make_memory(name, size);

	CHECK(fd >= 0);
	close(fd);
}

static void make_world(void)
{
	mount_it();
	mkdir(MNT "/" VM, 0700);
	mkdir(MNT "/d", 0700);
	mkdir(MNT "/d/e", 0700);
	if (nl_state(VM, NULL, NULL) == CPR_VM_STATE_DEFINED) {
		make(VM "/ram0", RAM);
		make(VM "/ram1", FRAME);
	}
	make("d/f", 100);
	make("d/g", FRAME + 100);
	commit();
}

static void step(int cmd)
{
	static const char *const memory[] = { "ram0", NULL };
	int err = nl_step(cmd, VM, cmd == CPR_CMD_VM_PIN ? memory : NULL);

	CHECK_MSG(!err, "command %d: %s (%s)", cmd, strerror(-err), nl_said());
}

static void to_state(int state)
{
	static const int steps[] = { CPR_CMD_VM_PIN, CPR_CMD_VM_SAVE, CPR_CMD_VM_SEAL,
				     CPR_CMD_VM_CLAIM };
	static const int reached[] = { CPR_VM_STATE_RUNNING, CPR_VM_STATE_SAVED,
				       CPR_VM_STATE_SEALED, CPR_VM_STATE_RESTORING };

	mount_it();
	step(CPR_CMD_VM_UNPIN);
	for (int i = 0; i < 4 && state != CPR_VM_STATE_DEFINED; i++) {
		step(steps[i]);
		if (reached[i] == state)
			break;
	}
	CHECK_EQ(nl_state(VM, NULL, NULL), state);
}

static void close_all(void)
{
	for (int i = 0; i < 4; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
	if (map)
		munmap(map, RAM);
	map = NULL;
}

/* A hidden user of the VM, for revocation. */
static void hide_user(void)
{
	fds[0] = open(MNT "/" VM "/state", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fds[0] >= 0);
	CHECK(!ftruncate(fds[0], PAGE));
	map = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	CHECK(map != MAP_FAILED);
	map[0] = 1;
}

/* ---- a device ---- */

static void attach(void)
{
	int fd, err;

	if (!address)
		SKIP("no device is given");
	fd = open(MNT "/" VM "/ram0", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	map = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	CHECK(map != MAP_FAILED);
	err = iommu_open_iommufd(&iommu, address);
	if (err)
		err = iommu_open_type1(&iommu, address);
	CHECK_EQ(err, 0);
	attached = true;
	CHECK_EQ(iommu_map(&iommu, 0, map, RAM), 0);
}

static void detach(void)
{
	iommu_close(&iommu);
	attached = false;
	iommu.fds[0] = iommu.fds[1] = -1;
	close_all();
}

static void take_snapshot(void)
{
	const char *const devices[] = { address, NULL };
	struct reach reach;
	int err = nl_snapshot(VM, devices, iommu.fds, 0, &reach);

	CHECK_MSG(!err, "%s: %s", strerror(-err), nl_said());
}

static void attach_and_take_snapshot(void)
{
	attach();
	take_snapshot();
}

/* As after a kexec, but that nothing is held. */
static void claim_with_snapshot(void)
{
	attach_and_take_snapshot();
	step(CPR_CMD_VM_SAVE);
	detach();
	step(CPR_CMD_VM_SEAL);
	step(CPR_CMD_VM_CLAIM);
}

/* ---- files ---- */

#define FILE_OP(_name, _call)						\
	static int _name(const struct op *op)				\
	{								\
		(void)op;						\
		return result(_call);					\
	}

#define OPEN(_path, _flags) (fds[0] = open(MNT _path, (_flags) | O_CLOEXEC, 0600))

FILE_OP(do_mount, mount("cprfs", MNT, "cprfs", 0, NULL))
FILE_OP(do_unmount, umount(MNT))
FILE_OP(do_open, OPEN("/d/f", O_RDWR))
FILE_OP(do_create, OPEN("/d/new", O_RDWR | O_CREAT | O_EXCL))
FILE_OP(do_mknod, mknod(MNT "/d/new", S_IFREG | 0600, 0))
FILE_OP(do_mkdir, mkdir(MNT "/d/new", 0700))
FILE_OP(do_rmdir, rmdir(MNT "/d/new"))
FILE_OP(do_unlink, unlink(MNT "/d/new"))
FILE_OP(do_rename, rename(MNT "/d/f", MNT "/d/new"))
FILE_OP(do_move, rename(MNT "/d/f", MNT "/d/e/f"))
FILE_OP(do_replace, rename(MNT "/d/f", MNT "/d/g"))
FILE_OP(do_grow, truncate(MNT "/d/f", 5 * FRAME))
FILE_OP(do_shrink, truncate(MNT "/d/g", 10))
FILE_OP(do_chmod, chmod(MNT "/d/f", 0640))
FILE_OP(do_fallocate, fallocate(fds[0], 0, 0, 3 * FRAME))
FILE_OP(do_punch, fallocate(fds[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, FRAME))
FILE_OP(do_write, pwrite(fds[0], big, PAGE, 100))
FILE_OP(do_write_new, pwrite(fds[0], big, 2 * FRAME, FRAME / 2))
FILE_OP(do_read, pread(fds[0], big, FRAME, 0))
FILE_OP(do_write_direct, pwrite(fds[1], page, PAGE, 0))
FILE_OP(do_stat, access(MNT "/d/e", F_OK))
FILE_OP(do_sendfile, sendfile(fds[1], fds[0], (off_t[]){ 0 }, 64 * PAGE))
FILE_OP(do_populate, madvise(map, FRAME, MADV_POPULATE_WRITE))

static int do_readdir(const struct op *op)
{
	(void)op;
	return result(syscall(SYS_getdents64, fds[0], big, 4096));
}

static int do_statfs(const struct op *op)
{
	struct statfs st;

	(void)op;
	return result(statfs(MNT, &st));
}

static int do_mmap(const struct op *op)
{
	char *p = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);

	(void)op;
	if (p == MAP_FAILED)
		return -errno;
	map = p;
	return 0;
}

/* A page fault that finds no memory is repeated by the kernel, so it never fails. */
static int do_fault(const struct op *op)
{
	(void)op;
	*(volatile char *)map = 7;
	return 0;
}

static int do_fault_read(const struct op *op)
{
	(void)op;
	return *(volatile char *)map - *(volatile char *)map;
}

/* ---- what they need, and leave ---- */

static void begin_file(void)
{
	make("d/f", 100);
	fds[0] = open(MNT "/d/f", O_RDWR | O_CLOEXEC);
	CHECK(fds[0] >= 0);
	CHECK_EQ(pwrite(fds[0], big, 100, 0), 100);
}

static void begin_hole(void)
{
	fds[0] = make_file("d/f", RAM);
	CHECK(fds[0] >= 0);
}

static void begin_two_frames(void)
{
	make("d/g", FRAME + 100);
	fds[0] = open(MNT "/d/g", O_RDWR | O_CLOEXEC);
	CHECK_EQ(pwrite(fds[0], big, FRAME, 0), FRAME);
}

static void begin_direct(void)
{
	begin_file();
	fds[1] = open(MNT "/d/f", O_RDWR | O_DIRECT | O_CLOEXEC);
	CHECK(fds[1] >= 0);
}

static void begin_sendfile(void)
{
	begin_two_frames();
	fds[1] = memfd_create("to", MFD_CLOEXEC);
	CHECK(fds[1] >= 0);
}

static void begin_synchronous(void)
{
	make("d/f", 100);
	fds[0] = open(MNT "/d/f", O_RDWR | O_SYNC | O_CLOEXEC);
	CHECK(fds[0] >= 0);
}

static void begin_dir(void)
{
	fds[0] = open(MNT "/d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fds[0] >= 0);
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	CHECK_EQ(write(fd, "2", 1), 1);
	close(fd);
}

static void begin_map(void)
{
	begin_hole();
	map = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	CHECK(map != MAP_FAILED);
}

static void begin_map_private(void)
{
	begin_two_frames();
	map = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[0], 0);
	CHECK(map != MAP_FAILED);
}

static void begin_new_file(void)
{
	make("d/new", 100);
}

static void begin_new_dir(void)
{
	CHECK(!mkdir(MNT "/d/new", 0700));
}

static void end_new(void)
{
	close_all();
	unlink(MNT "/d/new");
	rmdir(MNT "/d/new");
	unlink(MNT "/d/e/f");
	make_world();
}

static void end_format(void)
{
	make_world();
}

#define REQUEST(_name, _cmd, _flags, _state, ...)			\
	{								\
		.name = _name, .run = request, .cmd = CPR_CMD_##_cmd,	\
		.flags = IS_NETLINK | (_flags), .state = _state, ##__VA_ARGS__ \
	}
#define FILES(_name, _run, ...)						\
	{ .name = _name, .run = _run, .state = -1, ##__VA_ARGS__ }
#define IN(_state) CPR_VM_STATE_##_state

static const struct op ops[] = {
	REQUEST("region-get", REGION_GET, WITHOUT_NAME, -1),
	REQUEST("vm-get", VM_GET, 0, IN(SEALED)),
	REQUEST("vm-get, all", VM_GET, IS_DUMP, IN(SEALED)),
	REQUEST("device-get, all", DEVICE_GET, IS_DUMP, IN(RUNNING), .begin = attach_and_take_snapshot, .end = detach),
	REQUEST("vm-pin", VM_PIN, WITH_FILES, IN(DEFINED)),
	REQUEST("vm-pin, saved", VM_PIN, 0, IN(SAVED)),
	REQUEST("vm-pin, restoring", VM_PIN, 0, IN(RESTORING)),
	REQUEST("vm-save", VM_SAVE, 0, IN(RUNNING)),
	REQUEST("vm-seal", VM_SEAL, WITH_DIGESTS, IN(SAVED)),
	REQUEST("vm-seal, revoke", VM_SEAL, WITH_REVOKE, IN(SAVED), .begin = hide_user, .end = close_all),
	REQUEST("vm-claim", VM_CLAIM, 0, IN(SEALED)),
	REQUEST("vm-unclaim", VM_UNCLAIM, WITH_DIGESTS, IN(RESTORING)),
	REQUEST("vm-unclaim, revoke", VM_UNCLAIM, WITH_REVOKE, IN(RESTORING), .begin = hide_user, .end = close_all),
	REQUEST("vm-unpin", VM_UNPIN, 0, IN(SEALED)),
	REQUEST("vm-unpin, revoke", VM_UNPIN, WITH_REVOKE, IN(RUNNING), .begin = hide_user, .end = close_all),
	REQUEST("vm-snapshot", VM_SNAPSHOT, WITH_DEVICE | WITH_VFIO, IN(RUNNING), .begin = attach, .end = detach),
	REQUEST("vm-snapshot, the second", VM_SNAPSHOT, WITH_DEVICE | WITH_VFIO, IN(RUNNING), .begin = attach_and_take_snapshot, .end = detach),
	REQUEST("vm-verify", VM_VERIFY, WITH_VFIO, IN(RUNNING), .begin = attach_and_take_snapshot, .end = detach),
	REQUEST("vm-verify, a part", VM_VERIFY, WITH_VFIO | WITH_WINDOW, IN(RUNNING), .begin = attach_and_take_snapshot, .end = detach),
	REQUEST("vm-release", VM_RELEASE, 0, IN(RUNNING), .begin = claim_with_snapshot),
	REQUEST("vm-unpin, with a snapshot", VM_UNPIN, 0, IN(RUNNING), .begin = claim_with_snapshot),
	REQUEST("region-format", REGION_FORMAT, 0, -1, .begin = unmount_it, .end = end_format),
	FILES("mount", do_mount, .begin = unmount_it),
	FILES("unmount", do_unmount, .begin = mount_it, .end = mount_it),
	FILES("open", do_open, .begin = drop_caches, .end = close_all),
	FILES("create", do_create, .end = end_new),
	FILES("mknod", do_mknod, .end = end_new),
	FILES("mkdir", do_mkdir, .end = end_new),
	FILES("unlink", do_unlink, .begin = begin_new_file),
	FILES("rmdir", do_rmdir, .begin = begin_new_dir),
	FILES("rename", do_rename, .end = end_new),
	FILES("rename, to another directory", do_move, .end = end_new),
	FILES("rename, over another file", do_replace, .end = end_new),
	FILES("truncate, up", do_grow, .begin = begin_file, .end = close_all),
	FILES("truncate, down", do_shrink, .begin = begin_two_frames, .end = close_all),
	FILES("chmod", do_chmod),
	FILES("fallocate", do_fallocate, .begin = begin_hole, .end = close_all),
	FILES("fallocate, a hole", do_punch, .begin = begin_two_frames, .end = close_all),
	FILES("write", do_write, .begin = begin_file, .end = close_all),
	FILES("write, to holes", do_write_new, .begin = begin_hole, .end = close_all),
	FILES("write, direct", do_write_direct, .begin = begin_direct, .end = close_all),
	FILES("read", do_read, .begin = begin_two_frames, .end = close_all),
	FILES("sendfile", do_sendfile, .begin = begin_sendfile, .end = close_all),
	FILES("write, synchronous", do_write, .begin = begin_synchronous, .end = close_all),
	FILES("look up", do_stat, .begin = drop_caches),
	FILES("readdir", do_readdir, .begin = begin_dir, .end = close_all),
	FILES("statfs", do_statfs),
	FILES("mmap", do_mmap, .begin = begin_hole, .end = close_all),
	FILES("page fault, write", do_fault, .begin = begin_map, .end = close_all),
	FILES("page fault, private write", do_fault, .begin = begin_map_private, .end = close_all),
	FILES("page fault, read", do_fault_read, .begin = begin_map, .end = close_all),
	FILES("MADV_POPULATE_WRITE", do_populate, .begin = begin_map, .end = close_all),
};

/* ---- one operation ---- */

static struct view before, after;

/* Looking uses the message, too. */
static void ready(const struct op *op)
{
	if (op->flags & IS_NETLINK)
		make_request(op);
}

static void begin_op(const struct op *op)
{
	mount_it();
	if (op->state >= 0)
		to_state(op->state);
	if (op->begin)
		op->begin();
	look(&before);
	ready(op);
}

static void end_op(const struct op *op)
{
	if (op->end)
		op->end();
	if (op->state >= 0)
		to_state(CPR_VM_STATE_DEFINED);
}

static int run_failing(const struct op *op, unsigned int n, unsigned int *left)
{
	int err;

	fail_set(n);
	err = op->run(op);
	*left = fail_left();
	fail_set(0);
	return err;
}

static bool is_for_memory(int err)
{
	return err == -ENOMEM || err == -ENOBUFS;
}

/*
 * Of a request whose acknowledgment found no memory nobody knows whether it was done;
 * that is so for all of netlink.
 */
static bool check_unchanged(const struct op *op, unsigned int n, int err)
{
	look(&after);
	if (before.len == after.len && !memcmp(before.text, after.text, before.len))
		return true;
	if (op->flags & IS_NETLINK && err == -ENOBUFS)
		return false;
	printf("# %s: allocation %u: it said %s, and has changed:\n", op->name, n, strerror(-err));
	print_difference(&before, &after);
	longjmp(ktap_out, KTAP_FAIL);
}

/* Returns whether the operation failed, and then succeeded. */
static bool fail_and_repeat(const struct op *op, unsigned int n, unsigned int *left)
{
	int err = run_failing(op, n, left);

	if (!err)
		return false;
	CHECK_MSG(!*left && is_for_memory(err), "allocation %u: %s", n, strerror(-err));
	if (!check_unchanged(op, n, err))
		return true;
	ready(op);
	err = op->run(op);
	CHECK_MSG(!err, "allocation %u: then, with memory: %s", n, strerror(-err));
	return true;
}

static void sweep(const struct op *op)
{
	unsigned int n, left = 0, errors = 0;

	for (n = 1; !left; n++) {
		CHECK(n < MOST);
		begin_op(op);
		errors += fail_and_repeat(op, n, &left);
		end_op(op);
	}
	printf("# %s: %u allocations, %u of them must succeed\n", op->name, n - 2, errors);
}

static const struct op *chosen[sizeof(ops) / sizeof(*ops)], **turn = chosen;

static void next_op(void)
{
	if (attached)
		detach();
	close_all();
	sweep(*turn++);
}

/* ---- the module ---- */

static const char *module_file, *module_parameters;

static int load(void)
{
	int fd = open(module_file, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? -1 : syscall(SYS_finit_module, fd, module_parameters, 0);

	err = err ? -errno : 0;
	close(fd);
	return err;
}

static int unload(void)
{
	return result(syscall(SYS_delete_module, "cpr_handover", O_NONBLOCK));
}

static bool is_gone(void)
{
	return !unload() || errno == ENOENT;
}

static bool is_claimed(void)
{
	char line[256];
	bool found = false;
	FILE *f = fopen("/proc/iomem", "re");

	while (fgets(line, sizeof(line), f))
		found |= !!strstr(line, "cpr_handover");
	fclose(f);
	return found;
}

/* Allocations of the loader, before the module's own code runs: it refuses these at once. */
static unsigned int loader_allocations(void)
{
	const char *parameters = module_parameters;
	unsigned int left;

	module_parameters = "region=refused";
	fail_set(1000000);
	CHECK_EQ(load(), -EINVAL);
	left = fail_left();
	fail_set(0);
	module_parameters = parameters;
	return 1000000 - left;
}

static void sweep_load(void)
{
	unsigned int first = loader_allocations(), left = 0, n, errors = 0;
	int err;

	first = first > 40 ? first - 40 : 1;
	for (n = first; !left; n++) {
		CHECK(n < first + MOST);
		fail_set(n);
		err = load();
		left = fail_left();
		fail_set(0);
		if (err) {
			CHECK_MSG(!left && is_for_memory(err), "allocation %u: %s", n, strerror(-err));
			CHECK_MSG(!is_claimed(), "allocation %u: the region is still claimed", n);
			errors++;
			err = load();
			CHECK_MSG(!err, "allocation %u: then, with memory: %s", n, strerror(-err));
		}
		CHECK(wait_until(30, is_gone));
	}
	printf("# loading: allocations %u to %u, %u errors\n", first, n - 2, errors);
}

int main(int argc, char **argv)
{
	static struct ktap_test tests[sizeof(ops) / sizeof(*ops)];

	setvbuf(stdout, NULL, _IOLBF, 0);
	fail_open();
	if (fail_nth < 0) {
		printf("1..0 # SKIP this kernel cannot inject faults\n");
		return 0;
	}
	page = mmap(NULL, 2 * FRAME, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	big = mmap(NULL, 2 * FRAME, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	pattern_fill(big, 2 * FRAME, 5);
	if (argc == 4 && !strcmp(argv[1], "load")) {
		module_file = argv[2];
		module_parameters = argv[3];
		tests[0] = (struct ktap_test){ "load", sweep_load, NULL };
		ktap_first = &tests[0];
		return ktap_run();
	}
	address = argc > 1 ? argv[1] : NULL;
	netlink = genl_socket();
	family = netlink < 0 ? netlink : genl_family(netlink, CPR_FAMILY_NAME);
	if (family < 0 || mlockall(MCL_CURRENT)) {
		printf("Bail out! No family\n");
		return 2;
	}
	iommu.fds[0] = iommu.fds[1] = -1;
	make_world();
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		if (argc > 2 && strncmp(ops[i].name, argv[2], strlen(argv[2])))
			continue;
		tests[i] = (struct ktap_test){ ops[i].name, next_op, NULL };
		*ktap_last = &tests[i];
		ktap_last = &tests[i].next;
		*turn++ = &ops[i];
	}
	turn = chosen;
	return ktap_run();
}
