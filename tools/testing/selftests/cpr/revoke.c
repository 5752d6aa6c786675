// SPDX-License-Identifier: GPL-2.0-only
/*
 * No user of a VM's files can keep the VM from being sealed.
 *
 * A step with "revoke" takes the files from whoever has them open or mapped, whatever they
 * do meanwhile; for ever from them, and from nobody who comes later. Only a page that stays
 * pinned is a reason to refuse.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpr.h"
#include "ktap.h"

#define SCRATCH	"/var/tmp/cpr-scratch"
#define MEMORY	(4 * FRAME)

static const char *const memory[] = { "ram0", NULL };
static char buf[FRAME];

/* A VM in the state before it is sealed. */
static void make_vm(void)
{
	int fd;

	CHECK(!mkdir(MNT "/vm", 0700));
	fd = make_memory("vm/ram0", MEMORY);
	for (size_t i = 0; i < MEMORY; i += FRAME) {
		pattern_fill(buf, FRAME, i / FRAME);
		CHECK_EQ(pwrite(fd, buf, FRAME, i), FRAME);
	}
	close(fd);
	close(make_file("vm/state", 10));
	CHECK_EQ(nl_step(CPR_CMD_VM_PIN, "vm", memory), 0);
	CHECK_EQ(nl_step(CPR_CMD_VM_SAVE, "vm", NULL), 0);
}

static void delete_vm(void)
{
	CHECK_EQ(nl_step(CPR_CMD_VM_UNPIN, "vm", NULL), 0);
	CHECK(!unlink(MNT "/vm/ram0") && !unlink(MNT "/vm/state") && !rmdir(MNT "/vm"));
}

static void step(int cmd, int state)
{
	CHECK_MSG(!nl_step(cmd, "vm", NULL), "it is refused: %s", nl_said());
	CHECK_EQ(nl_state("vm", NULL, NULL), state);
}

static void forced(int cmd, int state)
{
	CHECK_MSG(!nl_revoke(cmd, "vm"), "it is refused: %s", nl_said());
	CHECK_EQ(nl_state("vm", NULL, NULL), state);
}

static void refused(int err, const char *why)
{
	CHECK_EQ(err, -EBUSY);
	CHECK_MSG(strstr(nl_said(), why), "it said '%s', without '%s'", nl_said(), why);
}

static void memory_is_untouched(void)
{
	int fd = open(MNT "/vm/ram0", O_RDONLY);

	for (size_t i = 0; i < MEMORY; i += FRAME) {
		CHECK_EQ(pread(fd, buf, FRAME, i), FRAME);
		CHECK(pattern_is(buf, FRAME, i / FRAME));
	}
	close(fd);
}

static int open_memory(int flags)
{
	int fd = open(MNT "/vm/ram0", flags);

	CHECK(fd >= 0);
	return fd;
}

static char *map(int fd, int prot, int flags)
{
	char *p = mmap(NULL, MEMORY, prot, flags, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static char *map_writable(int fd)
{
	return map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static int signal_of(void (*fn)(volatile char *p), volatile char *p)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		fn(p);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void store(volatile char *p)
{
	*p = 1;
}

static void load(volatile char *p)
{
	(void)*p;
}

/* Pages that were mapped, and pages that were not. */
static void mapping_is_revoked(char *p, bool writable)
{
	for (size_t i = 0; i < MEMORY; i += FRAME / 2) {
		CHECK_EQ(signal_of(load, p + i), SIGBUS);
		if (writable)
			CHECK_EQ(signal_of(store, p + i), SIGBUS);
	}
}

static void file_is_revoked(int fd)
{
	struct stat st;

	CHECK_ERR(pread(fd, buf, PAGE, 0), EIO);
	CHECK(mmap(NULL, FRAME, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EIO);
	CHECK(mmap(NULL, FRAME, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EIO);
	CHECK(!fstat(fd, &st));
	CHECK_EQ(st.st_size, MEMORY);
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return;
	CHECK_ERR(pwrite(fd, buf, PAGE, 0), EIO);
	CHECK_ERR(ftruncate(fd, MEMORY), EIO);
	CHECK_ERR(ftruncate(fd, 0), EIO);
	CHECK_ERR(fallocate(fd, 0, 0, MEMORY), EIO);
}

TEST(a_writable_mapping_is_revoked)
{
	int fd;
	char *p, *q;

	make_vm();
	fd = open_memory(O_RDWR);
	p = map_writable(fd);
	q = map(fd, PROT_READ, MAP_SHARED);
	load(p);
	load(q + FRAME);
	refused(nl_step(CPR_CMD_VM_SEAL, "vm", NULL), "still mapped");
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	mapping_is_revoked(p, true);
	mapping_is_revoked(q, false);
	file_is_revoked(fd);
	CHECK_ERR(open(MNT "/vm/ram0", O_RDWR), EBUSY);
	memory_is_untouched();
	munmap(p, MEMORY);
	munmap(q, MEMORY);
	close(fd);
	delete_vm();
}

TEST(an_open_file_is_revoked)
{
	int fd, log;

	make_vm();
	fd = open_memory(O_RDWR);
	log = open(MNT "/vm/state", O_WRONLY | O_APPEND);
	refused(nl_step(CPR_CMD_VM_SEAL, "vm", NULL), "open for writing");
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	file_is_revoked(fd);
	CHECK_ERR(write(log, "x", 1), EIO);
	memory_is_untouched();
	close(fd);
	close(log);
	delete_vm();
}

TEST(readers_are_revoked)
{
	int fd;
	char *p;

	make_vm();
	fd = open_memory(O_RDONLY);
	p = map(fd, PROT_READ, MAP_SHARED);
	load(p);
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	mapping_is_revoked(p, false);
	file_is_revoked(fd);
	munmap(p, MEMORY);
	close(fd);
	delete_vm();
}

TEST(private_copies_are_revoked)
{
	char *p;
	int fd;

	make_vm();
	fd = open_memory(O_RDONLY);
	p = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	store(p);
	load(p + FRAME);
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	mapping_is_revoked(p, true);
	memory_is_untouched();
	munmap(p, MEMORY);
	close(fd);
	delete_vm();
}

/* ---- files that were passed on ---- */

static void send_file(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	CHECK_EQ(sendmsg(sock, &msg, 0), 1);
}

static int receive_file(int sock)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd;

	CHECK_EQ(recvmsg(sock, &msg, 0), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

TEST(a_file_under_way_in_a_socket_is_revoked)
{
	int sock[2], fd;

	make_vm();
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	fd = open_memory(O_RDWR);
	send_file(sock[0], fd);
	close(fd);
	refused(nl_step(CPR_CMD_VM_SEAL, "vm", NULL), "open for writing");
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	fd = receive_file(sock[1]);
	file_is_revoked(fd);
	memory_is_untouched();
	close(fd);
	close(sock[0]);
	close(sock[1]);
	delete_vm();
}

TEST(a_file_is_opened_again_only_by_who_may)
{
	char path[64];
	int fd, again;

	make_vm();
	fd = open_memory(O_RDWR);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	CHECK_ERR(open(path, O_RDWR), EBUSY);
	again = open(path, O_RDONLY);
	CHECK_EQ(pread(again, buf, FRAME, 0), FRAME);
	CHECK(pattern_is(buf, FRAME, 0));
	close(again);
	close(fd);
	delete_vm();
}

/* A child that inherits the descriptor and the mapping, and uses them once it is told to. */
TEST(what_a_child_inherited_is_revoked)
{
	int fd, go[2], status;
	char *p, byte;
	pid_t pid;

	make_vm();
	CHECK(!pipe(go));
	fd = open_memory(O_RDWR);
	p = map_writable(fd);
	load(p);
	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		close(go[1]);
		if (read(go[0], &byte, 1) || pwrite(fd, "x", 1, 0) >= 0 || errno != EIO)
			_exit(1);
		store(p);
		_exit(0);
	}
	munmap(p, MEMORY);
	close(fd);
	close(go[0]);
	refused(nl_step(CPR_CMD_VM_SEAL, "vm", NULL), "still mapped");
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	close(go[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGBUS);
	memory_is_untouched();
	delete_vm();
}

/* ---- pages that are pinned ---- */

static bool is_sealed(void)
{
	return nl_revoke(CPR_CMD_VM_SEAL, "vm") == 0;
}

TEST(a_pinned_page_is_refused)
{
	int fd, again, ring;
	char *p;

	make_vm();
	fd = open_memory(O_RDWR);
	p = map_writable(fd);
	ring = pin_longterm(p, FRAME);
	CHECK(ring >= 0);
	refused(nl_revoke(CPR_CMD_VM_SEAL, "vm"), "still pinned");
	CHECK_EQ(nl_state("vm", NULL, NULL), CPR_VM_STATE_SAVED);
	/* They are revoked, and others are not. */
	file_is_revoked(fd);
	CHECK_EQ(signal_of(store, p), SIGBUS);
	again = open_memory(O_RDWR);
	CHECK_EQ(pread(again, buf, FRAME, 0), FRAME);
	CHECK_EQ(pwrite(again, buf, FRAME, 0), FRAME);
	close(again);
	close(ring);
	CHECK(wait_until(30, is_sealed));
	memory_is_untouched();
	munmap(p, MEMORY);
	close(fd);
	delete_vm();
}

static volatile bool racing;

/* Direct I/O pins the pages of the mapping for a moment, again and again. */
static void *race_direct(void *arg)
{
	int disk = open(SCRATCH, O_RDONLY | O_DIRECT);

	while (racing)
		pread(disk, arg, FRAME, 0);
	close(disk);
	return NULL;
}

static void *race_open(void *arg)
{
	while (racing) {
		int fd = open(MNT "/vm/ram0", O_RDWR), again;
		char path[64];

		if (fd < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		again = open(path, O_RDWR);
		pread(fd, (char *)arg + FRAME, PAGE, 0);
		close(fd);
		close(again);
	}
	return NULL;
}

static void *race_map(void *arg)
{
	while (racing) {
		int fd = open(MNT "/vm/ram0", O_RDONLY);
		char *p = mmap(NULL, MEMORY, PROT_READ, MAP_SHARED, fd, 0);

		close(fd);
		if (p == MAP_FAILED)
			continue;
		madvise(p, MEMORY, MADV_POPULATE_READ);
		munmap(p, MEMORY);
	}
	return arg;
}

static void *race_read(void *arg)
{
	int fd = open(MNT "/vm/ram0", O_RDONLY);

	while (racing)
		pread(fd, (char *)arg + 2 * FRAME, FRAME, 0);
	close(fd);
	return NULL;
}

/* In a child, whose threads end without a signal: only system calls access the mapping. */
static void race(void)
{
	static void *(*const all[])(void *) = { race_direct, race_open, race_map, race_map, race_read };
	static char own[3 * FRAME];
	int fd = open(MNT "/vm/ram0", O_RDWR);
	char *p = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pthread_t thread;

	racing = true;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (pthread_create(&thread, NULL, all[i], all[i] == race_direct ? p : own))
			_exit(1);
	for (;;)
		pause();
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

TEST(nobody_wins_a_race_against_it)
{
	int fd = open(SCRATCH, O_RDWR | O_CREAT | O_TRUNC, 0600);
	pid_t pid;

	CHECK_EQ(write(fd, buf, FRAME), FRAME);
	CHECK(!fsync(fd));
	close(fd);
	for (int round = 0; round < 5; round++) {
		make_vm();
		pid = fork();
		if (!pid)
			race();
		pause_ms(200);
		forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		delete_vm();
	}
	CHECK(!unlink(SCRATCH));
}

/* ---- page faults that do not end ---- */

struct stuck {
	int fd, uffd;
	char *page;
	bool reads;
	volatile bool ended;
	ssize_t result;
	int error;
};

/* A page that is missing until stuck_release(). */
static bool stuck_make(struct stuck *s, int fd, bool reads)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	*s = (struct stuck){ .fd = fd, .reads = reads };
	s->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (s->uffd < 0)
		return false;
	reg.range.start = (unsigned long)s->page;
	reg.range.len = PAGE;
	CHECK(!ioctl(s->uffd, UFFDIO_API, &api) && !ioctl(s->uffd, UFFDIO_REGISTER, &reg));
	return true;
}

static void *stuck_run(void *arg)
{
	struct stuck *s = arg;

	s->result = s->reads ? pread(s->fd, s->page, PAGE, 0) : pwrite(s->fd, s->page, PAGE, 0);
	s->error = errno;
	s->ended = true;
	return NULL;
}

static void stuck_in_page_fault(bool reads)
{
	struct stuck s;
	pthread_t thread;
	int fd;

	make_vm();
	fd = open_memory(O_RDWR);
	if (!stuck_make(&s, fd, reads)) {
		close(fd);
		delete_vm();
		SKIP("no userfaultfd on this kernel");
	}
	CHECK(!pthread_create(&thread, NULL, stuck_run, &s));
	pause_ms(500);
	CHECK(!s.ended);
	/* Another user is not kept waiting, nor is the seal. */
	alarm(120);
	CHECK_EQ(pwrite(fd, "", 0, 0), 0);
	CHECK_EQ(pread(fd, buf, 1, FRAME), 1);
	CHECK_EQ(pwrite(fd, buf, 1, FRAME), 1);
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	alarm(0);
	CHECK(!s.ended);
	close(s.uffd);
	CHECK(!pthread_join(thread, NULL));
	CHECK_EQ(s.result, -1);
	CHECK_EQ(s.error, EIO);
	munmap(s.page, PAGE);
	memory_is_untouched();
	close(fd);
	delete_vm();
}

TEST(a_writer_in_a_page_fault_delays_nobody)
{
	stuck_in_page_fault(false);
}

TEST(a_reader_in_a_page_fault_delays_nobody)
{
	stuck_in_page_fault(true);
}

/* ---- a guest that runs ---- */

struct guest {
	int kvm, vm, cpu;
	struct kvm_run *run;
	int error;
};

/* A guest that increments a byte of the second page, for ever. */
static bool guest_make(struct guest *g, char *at)
{
	static const unsigned char code[] = {
		0xfe, 0x06, 0x00, 0x20,		/* incb 0x2000 */
		0xeb, 0xfa,			/* jmp to it */
	};
	struct kvm_userspace_memory_region slot = {
		.memory_size = FRAME,
		.userspace_addr = (unsigned long)at,
	};
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	struct kvm_sregs sregs;

	g->kvm = open("/dev/kvm", O_RDWR);
	if (g->kvm < 0)
		return false;
	memcpy(at + 0x1000, code, sizeof(code));
	do {
		g->vm = ioctl(g->kvm, KVM_CREATE_VM, 0);
	} while (g->vm < 0 && errno == EINTR);
	CHECK(!ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &slot));
	g->cpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	g->run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g->cpu, 0);
	CHECK(g->run != MAP_FAILED);
	CHECK(!ioctl(g->cpu, KVM_GET_SREGS, &sregs));
	sregs.cs.base = sregs.cs.selector = 0;
	CHECK(!ioctl(g->cpu, KVM_SET_SREGS, &sregs) && !ioctl(g->cpu, KVM_SET_REGS, &regs));
	return true;
}

static void *guest_run(void *arg)
{
	struct guest *g = arg;

	while (!ioctl(g->cpu, KVM_RUN, 0) || errno == EINTR)
		if (g->run->exit_reason != KVM_EXIT_INTR)
			return NULL;
	g->error = errno;
	return NULL;
}

TEST(a_guest_that_runs_is_revoked)
{
	struct guest g = { 0 };
	pthread_t thread;
	char *p, before, after;
	int fd;

	make_vm();
	fd = open_memory(O_RDWR);
	p = map_writable(fd);
	if (!guest_make(&g, p)) {
		munmap(p, MEMORY);
		close(fd);
		delete_vm();
		SKIP("no /dev/kvm");
	}
	CHECK(!pthread_create(&thread, NULL, guest_run, &g));
	pause_ms(100);
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	close(fd);
	fd = open_memory(O_RDONLY);
	CHECK_EQ(pread(fd, &before, 1, 0x2000), 1);
	CHECK(!pthread_join(thread, NULL));
	CHECK_EQ(g.error, EFAULT);
	CHECK_EQ(pread(fd, &after, 1, 0x2000), 1);
	CHECK_EQ(before, after);
	munmap(g.run, PAGE);
	close(g.cpu);
	close(g.vm);
	close(g.kvm);
	munmap(p, MEMORY);
	close(fd);
	delete_vm();
}

/* ---- what comes after ---- */

TEST(new_users_work_and_old_ones_stay_revoked)
{
	int old, new;
	char *p, *q;

	make_vm();
	old = open_memory(O_RDWR);
	p = map_writable(old);
	load(p);
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	new = open_memory(O_RDWR);
	q = map_writable(new);
	CHECK(pattern_is(q, FRAME, 0));
	q[FRAME + 1] ^= 1;
	CHECK_EQ(pread(new, buf, 2, FRAME), 2);
	CHECK_EQ(buf[1], q[FRAME + 1]);
	q[FRAME + 1] ^= 1;
	mapping_is_revoked(p, true);
	file_is_revoked(old);
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	mapping_is_revoked(p, true);
	file_is_revoked(old);
	step(CPR_CMD_VM_SAVE, CPR_VM_STATE_SAVED);
	/* The new users count, the old ones do not. */
	refused(nl_step(CPR_CMD_VM_SEAL, "vm", NULL), "still mapped");
	munmap(q, MEMORY);
	refused(nl_step(CPR_CMD_VM_SEAL, "vm", NULL), "open for writing");
	close(new);
	step(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	memory_is_untouched();
	munmap(p, MEMORY);
	close(old);
	/* Nor do they when they go. */
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	new = open_memory(O_RDWR);
	refused(nl_step(CPR_CMD_VM_UNCLAIM, "vm", NULL), "open for writing");
	close(new);
	step(CPR_CMD_VM_UNCLAIM, CPR_VM_STATE_SEALED);
	delete_vm();
}

TEST(a_step_of_another_state_revokes_nothing)
{
	int fd;
	char *p;

	make_vm();
	step(CPR_CMD_VM_PIN, CPR_VM_STATE_RUNNING);
	fd = open_memory(O_RDWR);
	p = map_writable(fd);
	refused(nl_revoke(CPR_CMD_VM_SEAL, "vm"), "the VM is running");
	refused(nl_revoke(CPR_CMD_VM_UNCLAIM, "vm"), "the VM is running");
	CHECK_EQ(nl_revoke(CPR_CMD_VM_SEAL, "nobody"), -ENOENT);
	CHECK_EQ(pread(fd, buf, FRAME, 0), FRAME);
	CHECK_EQ(signal_of(load, p), 0);
	/* Nor can a step that minds no users. */
	CHECK_EQ(nl_revoke(CPR_CMD_VM_SAVE, "vm"), -EINVAL);
	munmap(p, MEMORY);
	close(fd);
	delete_vm();
}

TEST(unclaim_and_unpin_revoke)
{
	int fd, other;
	char *p;

	make_vm();
	step(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	fd = open_memory(O_RDWR);
	p = map_writable(fd);
	refused(nl_step(CPR_CMD_VM_UNCLAIM, "vm", NULL), "still mapped");
	forced(CPR_CMD_VM_UNCLAIM, CPR_VM_STATE_SEALED);
	mapping_is_revoked(p, true);
	munmap(p, MEMORY);
	other = open_memory(O_RDONLY);
	p = map(other, PROT_READ, MAP_SHARED);
	refused(nl_step(CPR_CMD_VM_UNPIN, "vm", NULL), "still mapped");
	forced(CPR_CMD_VM_UNPIN, CPR_VM_STATE_DEFINED);
	mapping_is_revoked(p, false);
	file_is_revoked(fd);
	file_is_revoked(other);
	munmap(p, MEMORY);
	close(fd);
	close(other);
	/* A directory that is no VM yet as well. */
	fd = open_memory(O_RDWR);
	forced(CPR_CMD_VM_UNPIN, CPR_VM_STATE_DEFINED);
	file_is_revoked(fd);
	close(fd);
	delete_vm();
}

/* The users of a file system that is not mounted any more, and none. */
TEST(without_a_mount)
{
	int fd;

	make_vm();
	fd = open_memory(O_RDWR);
	CHECK(!umount2(MNT, MNT_DETACH));
	refused(nl_step(CPR_CMD_VM_SEAL, "vm", NULL), "open for writing");
	forced(CPR_CMD_VM_SEAL, CPR_VM_STATE_SEALED);
	file_is_revoked(fd);
	close(fd);
	step(CPR_CMD_VM_CLAIM, CPR_VM_STATE_RESTORING);
	forced(CPR_CMD_VM_UNCLAIM, CPR_VM_STATE_SEALED);
	CHECK(!mount("cprfs", MNT, "cprfs", 0, NULL));
	memory_is_untouched();
	delete_vm();
}

int main(void)
{
	return ktap_run();
}
