// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "cpr.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

void pattern_fill(void *buf, size_t len, unsigned int seed)
{
	uint32_t *p = buf, x = seed * 2654435761u + 1;

	for (size_t i = 0; i < len / sizeof(*p); i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		p[i] = x;
	}
}

int pattern_is(const void *buf, size_t len, unsigned int seed)
{
	void *want = malloc(len);
	int same;

	pattern_fill(want, len, seed);
	same = !memcmp(buf, want, len);
	free(want);
	return same;
}

int all_zero(const void *buf, size_t len)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++) {
		if (!p[i])
			continue;
		printf("# byte %zu of %zu is %#x\n", i, len, p[i]);
		return 0;
	}
	return 1;
}

int make_file(const char *name, off_t size)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), MNT "/%s", name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd >= 0 && ftruncate(fd, size)) {
		close(fd);
		return -1;
	}
	return fd;
}

int make_memory(const char *name, off_t size)
{
	int fd = make_file(name, 0);

	if (fd >= 0 && posix_fallocate(fd, 0, size)) {
		close(fd);
		return -1;
	}
	return fd;
}

int pin_longterm(void *at, size_t len)
{
	struct io_uring_params params = { 0 };
	struct iovec iov = { at, len };
	int ring = syscall(SYS_io_uring_setup, 1, &params);

	if (ring < 0)
		return -errno;
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1)) {
		close(ring);
		return -errno;
	}
	return ring;
}

/* ---- netlink ---- */

static struct nl_sock *sock;
static int family;
static char said[256];

static int error_of(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	struct nlmsghdr *h = (struct nlmsghdr *)err - 1;
	int skip = sizeof(*err);
	struct nlattr *a;
	int rem;

	(void)from;
	*(int *)arg = err->error;
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return NL_STOP;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += err->msg.nlmsg_len - sizeof(err->msg);
	a = (struct nlattr *)((char *)err + NLMSG_ALIGN(skip));
	rem = h->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(skip);
	for (; nla_ok(a, rem); a = nla_next(a, &rem))
		if (nla_type(a) == NLMSGERR_ATTR_MSG)
			snprintf(said, sizeof(said), "%s", nla_get_string(a));
	return NL_STOP;
}

/* An acknowledgment, or the end of a dump; that may be an error. */
static int done_of(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	int *err = arg;

	*err = 0;
	if (h->nlmsg_type == NLMSG_DONE && nlmsg_datalen(h) >= (int)sizeof(*err))
		memcpy(err, nlmsg_data(h), sizeof(*err));
	return NL_STOP;
}

static int open_family(void)
{
	int on = 1;

	if (sock)
		return 0;
	sock = nl_socket_alloc();
	if (!sock || genl_connect(sock))
		return -ENOTCONN;
	family = genl_ctrl_resolve(sock, CPR_FAMILY_NAME);
	if (family < 0)
		return -ENOENT;
	setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	return 0;
}

void nl_reset(void)
{
	nl_socket_free(sock);
	sock = NULL;
}

static struct nl_msg *message(int cmd, int flags)
{
	struct nl_msg *msg;

	if (open_family())
		return NULL;
	said[0] = 0;
	msg = nlmsg_alloc();
	genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, flags, cmd, 1);
	return msg;
}

static int transact(struct nl_msg *msg, nl_recvmsg_msg_cb_t fn, void *arg)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int err = 1, ret;

	if (!msg)
		return -ENOTCONN;
	nl_cb_err(cb, NL_CB_CUSTOM, error_of, &err);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, done_of, &err);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, done_of, &err);
	if (fn)
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, fn, arg);
	ret = nl_send_auto(sock, msg);
	while (ret >= 0 && err > 0)
		ret = nl_recvmsgs(sock, cb);
	nlmsg_free(msg);
	nl_cb_put(cb);
	return err > 0 ? -EIO : err;
}

static struct nlattr **attributes(struct nl_msg *msg, int max)
{
	static struct nlattr *tb[64];

	genlmsg_parse(nlmsg_hdr(msg), 0, tb, max, NULL);
	return tb;
}

static int read_region(struct nl_msg *msg, void *arg)
{
	struct nlattr **tb = attributes(msg, CPR_A_REGION_MAX);
	struct region *r = arg;

#define U(_bits, _name) (tb[CPR_A_REGION_##_name] ? nla_get_u##_bits(tb[CPR_A_REGION_##_name]) : 0)
	r->start = U(64, START);
	r->size = U(64, SIZE);
	r->generation = U(64, GENERATION);
	r->frames = U(32, FRAMES);
	r->clean = U(32, FRAMES_CLEAN);
	r->dirty = U(32, FRAMES_DIRTY);
	r->busy = U(32, FRAMES_BUSY);
	r->bad = U(32, FRAMES_BAD);
	r->bad_pages = U(64, BAD_PAGES);
	r->version = U(32, VERSION);
	r->formatted = U(8, FORMATTED);
	r->mounted = U(8, MOUNTED);
#undef U
	if (tb[CPR_A_REGION_LABEL])
		snprintf(r->label, sizeof(r->label), "%s",
			 nla_get_string(tb[CPR_A_REGION_LABEL]));
	return NL_OK;
}

int nl_region(struct region *r)
{
	memset(r, 0, sizeof(*r));
	return transact(message(CPR_CMD_REGION_GET, 0), read_region, r);
}

int nl_format(uint64_t start, uint64_t size, const char *label, int force)
{
	struct nl_msg *msg = message(CPR_CMD_REGION_FORMAT, 0);

	if (!msg)
		return -ENOTCONN;
	nla_put_u64(msg, CPR_A_REGION_START, start);
	nla_put_u64(msg, CPR_A_REGION_SIZE, size);
	if (label)
		nla_put_string(msg, CPR_A_REGION_LABEL, label);
	if (force)
		nla_put_flag(msg, CPR_A_REGION_FORCE);
	return transact(msg, NULL, NULL);
}

int nl_step(int cmd, const char *vm, const char *const *files)
{
	struct nl_msg *msg = message(cmd, 0);

	if (!msg)
		return -ENOTCONN;
	if (vm)
		nla_put_string(msg, CPR_A_VM_NAME, vm);
	for (; files && *files; files++)
		nla_put_string(msg, CPR_A_VM_MEMORY_FILE, *files);
	return transact(msg, NULL, NULL);
}

int nl_revoke(int cmd, const char *vm)
{
	struct nl_msg *msg = message(cmd, 0);

	if (!msg)
		return -ENOTCONN;
	nla_put_string(msg, CPR_A_VM_NAME, vm);
	nla_put_flag(msg, CPR_A_VM_REVOKE);
	return transact(msg, NULL, NULL);
}

int nl_step_with(int cmd, const char *vm, const void *manifest, const void *ram, int len)
{
	struct nl_msg *msg = message(cmd, 0);

	if (!msg)
		return -ENOTCONN;
	nla_put_string(msg, CPR_A_VM_NAME, vm);
	if (manifest)
		nla_put(msg, CPR_A_VM_MANIFEST_DIGEST, len, manifest);
	if (ram)
		nla_put(msg, CPR_A_VM_RAM_DIGEST, len, ram);
	return transact(msg, NULL, NULL);
}

int nl_pin_unterminated(const char *vm, const char *file)
{
	struct nl_msg *msg = message(CPR_CMD_VM_PIN, 0);

	if (!msg)
		return -ENOTCONN;
	nla_put_string(msg, CPR_A_VM_NAME, vm);
	nla_put(msg, CPR_A_VM_MEMORY_FILE, strlen(file), file);
	return transact(msg, NULL, NULL);
}

struct vm_answer {
	int state, mapped, bad_pages;
	uint64_t bytes;
	struct room room;
};

static int read_vm(struct nl_msg *msg, void *arg)
{
	struct nlattr **tb = attributes(msg, CPR_A_VM_MAX);
	struct vm_answer *a = arg;

	a->state = nla_get_u32(tb[CPR_A_VM_STATE]);
	a->bytes = nla_get_u64(tb[CPR_A_VM_MEMORY_BYTES]);
	a->mapped = nla_get_u8(tb[CPR_A_VM_MAPPED]);
	a->bad_pages = tb[CPR_A_VM_BAD_PAGES] ? nla_get_u64(tb[CPR_A_VM_BAD_PAGES]) : 0;
	a->room = (struct room){
		.bytes = tb[CPR_A_VM_ROOM_BYTES] ? nla_get_u64(tb[CPR_A_VM_ROOM_BYTES]) : 0,
		.names = tb[CPR_A_VM_ROOM_NAMES] ? nla_get_u32(tb[CPR_A_VM_ROOM_NAMES]) : 0,
		.used_bytes = nla_get_u64(tb[CPR_A_VM_USED_BYTES]),
		.used_names = nla_get_u32(tb[CPR_A_VM_USED_NAMES]),
	};
	return NL_OK;
}

static int get_vm(const char *vm, struct vm_answer *a)
{
	struct nl_msg *msg = message(CPR_CMD_VM_GET, 0);

	if (!msg)
		return -ENOTCONN;
	nla_put_string(msg, CPR_A_VM_NAME, vm);
	return transact(msg, read_vm, a);
}

int nl_state(const char *vm, uint64_t *bytes, int *mapped)
{
	struct vm_answer a = { 0 };
	int err = get_vm(vm, &a);

	if (bytes)
		*bytes = a.bytes;
	if (mapped)
		*mapped = a.mapped;
	return err ? err : a.state;
}

int nl_bad_pages(const char *vm)
{
	struct vm_answer a = { 0 };
	int err = get_vm(vm, &a);

	return err ? err : a.bad_pages;
}

static int ask_room(const char *vm, const uint64_t *bytes, const uint32_t *names)
{
	struct nl_msg *msg = message(CPR_CMD_VM_ROOM, 0);

	if (!msg)
		return -ENOTCONN;
	nla_put_string(msg, CPR_A_VM_NAME, vm);
	if (bytes)
		nla_put_u64(msg, CPR_A_VM_ROOM_BYTES, *bytes);
	if (names)
		nla_put_u32(msg, CPR_A_VM_ROOM_NAMES, *names);
	return transact(msg, NULL, NULL);
}

int nl_room(const char *vm, uint64_t bytes, uint32_t names)
{
	return ask_room(vm, names ? &bytes : NULL, names ? &names : NULL);
}

int nl_room_bytes_only(const char *vm, uint64_t bytes)
{
	return ask_room(vm, &bytes, NULL);
}

int nl_room_of(const char *vm, struct room *r)
{
	struct vm_answer a = { 0 };
	int err = get_vm(vm, &a);

	*r = a.room;
	return err;
}

struct digests_of {
	const char *vm;
	struct digests *d;
};

static int read_digests(struct nl_msg *msg, void *arg)
{
	struct nlattr **tb = attributes(msg, CPR_A_VM_MAX), *a;
	struct digests_of *of = arg;

	if (strcmp(nla_get_string(tb[CPR_A_VM_NAME]), of->vm))
		return NL_OK;
	a = tb[CPR_A_VM_MANIFEST_DIGEST];
	of->d->has_manifest = a && nla_len(a) == CPR_DIGEST_LEN;
	if (of->d->has_manifest)
		memcpy(of->d->manifest, nla_data(a), CPR_DIGEST_LEN);
	a = tb[CPR_A_VM_RAM_DIGEST];
	of->d->has_ram = a && nla_len(a) == CPR_DIGEST_LEN;
	if (of->d->has_ram)
		memcpy(of->d->ram, nla_data(a), CPR_DIGEST_LEN);
	return NL_OK;
}

int nl_digests(const char *vm, int dump, struct digests *d)
{
	struct nl_msg *msg = message(CPR_CMD_VM_GET, dump ? NLM_F_DUMP : 0);
	struct digests_of of = { vm, d };

	memset(d, 0, sizeof(*d));
	if (!msg)
		return -ENOTCONN;
	if (!dump)
		nla_put_string(msg, CPR_A_VM_NAME, vm);
	return transact(msg, read_digests, &of);
}

static int count_one(struct nl_msg *msg, void *arg)
{
	(void)msg;
	++*(int *)arg;
	return NL_OK;
}

int nl_count(void)
{
	int n = 0, err;

	err = transact(message(CPR_CMD_VM_GET, NLM_F_DUMP), count_one, &n);
	return err ? err : n;
}

static struct difference read_difference(struct nlattr *nest)
{
	struct nlattr *tb[CPR_A_DIFFERENCE_MAX + 1];

	nla_parse_nested(tb, CPR_A_DIFFERENCE_MAX, nest, NULL);
	return (struct difference){
		.kind = nla_get_u32(tb[CPR_A_DIFFERENCE_KIND]),
		.iova = nla_get_u64(tb[CPR_A_DIFFERENCE_IOVA]),
		.length = nla_get_u64(tb[CPR_A_DIFFERENCE_LENGTH]),
	};
}

static int read_reach(struct nl_msg *msg, void *arg)
{
	struct genlmsghdr *h = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr **tb = attributes(msg, CPR_A_VM_MAX), *a;
	struct reach *r = arg;
	int rem;

	r->devices = nla_get_u32(tb[CPR_A_VM_DEVICES]);
	r->extents = nla_get_u32(tb[CPR_A_VM_DMA_EXTENTS]);
	r->bytes = nla_get_u64(tb[CPR_A_VM_DMA_BYTES]);
	if (tb[CPR_A_VM_WINDOW_NEXT])
		r->next = nla_get_u64(tb[CPR_A_VM_WINDOW_NEXT]);
	if (tb[CPR_A_VM_DIFFERENCES])
		r->differences = nla_get_u32(tb[CPR_A_VM_DIFFERENCES]);
	nla_for_each_attr(a, genlmsg_attrdata(h, 0), genlmsg_attrlen(h, 0), rem)
		if (nla_type(a) == CPR_A_VM_DIFFERENCE && r->shown < 8)
			r->first[r->shown++] = read_difference(a);
	return NL_OK;
}

static struct nl_msg *look(int cmd, const char *vm, const int *files, int full)
{
	struct nl_msg *msg = message(cmd, 0);

	if (!msg)
		return NULL;
	nla_put_string(msg, CPR_A_VM_NAME, vm);
	for (int i = 0; i < 2; i++)
		if (files[i] >= 0)
			nla_put_u32(msg, CPR_A_VM_FILE, files[i]);
	if (full)
		nla_put_flag(msg, CPR_A_VM_FULL);
	return msg;
}

static int see(struct nl_msg *msg, struct reach *r)
{
	memset(r, 0, sizeof(*r));
	return msg ? transact(msg, read_reach, r) : -ENOTCONN;
}

int nl_snapshot(const char *vm, const char *const *devices, const int *files, int full,
		struct reach *r)
{
	struct nl_msg *msg = look(CPR_CMD_VM_SNAPSHOT, vm, files, full);

	for (; msg && devices && *devices; devices++)
		nla_put_string(msg, CPR_A_VM_DEVICE, *devices);
	return see(msg, r);
}

int nl_verify(const char *vm, const int *files, int full, struct reach *r)
{
	return see(look(CPR_CMD_VM_VERIFY, vm, files, full), r);
}

int nl_verify_part(const char *vm, const int *files, uint64_t start, uint64_t length,
		   struct reach *r)
{
	struct nl_msg *msg = look(CPR_CMD_VM_VERIFY, vm, files, 0);

	if (msg) {
		nla_put_u64(msg, CPR_A_VM_WINDOW_START, start);
		nla_put_u64(msg, CPR_A_VM_WINDOW_LENGTH, length);
	}
	return see(msg, r);
}

struct device_walk {
	void (*fn)(const struct device *d);
};

static int read_device(struct nl_msg *msg, void *arg)
{
	struct nlattr **tb = attributes(msg, CPR_A_DEVICE_MAX);
	const struct device_walk *walk = arg;
	const struct device d = {
		.vm = nla_get_string(tb[CPR_A_DEVICE_VM]),
		.address = nla_get_string(tb[CPR_A_DEVICE_ADDRESS]),
		.hold = nla_get_u32(tb[CPR_A_DEVICE_HOLD]),
		.extents = nla_get_u32(tb[CPR_A_DEVICE_EXTENTS]),
		.bytes = nla_get_u64(tb[CPR_A_DEVICE_BYTES]),
		.reason = tb[CPR_A_DEVICE_REASON] ?
			  nla_get_string(tb[CPR_A_DEVICE_REASON]) : "",
		.found = tb[CPR_A_DEVICE_FOUND] ? nla_get_string(tb[CPR_A_DEVICE_FOUND]) : NULL,
	};

	walk->fn(&d);
	return NL_OK;
}

int nl_devices(void (*fn)(const struct device *d))
{
	struct device_walk walk = { fn };

	return transact(message(CPR_CMD_DEVICE_GET, NLM_F_DUMP), read_device, &walk);
}

int nl_device_release(const char *address)
{
	struct nl_msg *msg = message(CPR_CMD_DEVICE_RELEASE, 0);

	if (msg && address)
		nla_put_string(msg, CPR_A_DEVICE_ADDRESS, address);
	return transact(msg, NULL, NULL);
}

static struct nl_sock *events;

int nl_listen(void)
{
	events = nl_socket_alloc();
	nl_socket_disable_seq_check(events);
	if (genl_connect(events))
		return -ENOTCONN;
	nl_socket_set_nonblocking(events);
	return nl_socket_add_membership(events,
		genl_ctrl_resolve_grp(events, CPR_FAMILY_NAME, CPR_MCGRP_MONITOR));
}

static int take_command(struct nl_msg *msg, void *arg)
{
	*(int *)arg = genlmsg_hdr(nlmsg_hdr(msg))->cmd;
	return NL_STOP;
}

int nl_event(void)
{
	int cmd = -EAGAIN;

	nl_socket_modify_cb(events, NL_CB_VALID, NL_CB_CUSTOM, take_command, &cmd);
	nl_recvmsgs_default(events);
	return cmd;
}

const char *nl_said(void)
{
	return said;
}

bool wait_until(unsigned int seconds, bool (*holds)(void))
{
	const char *scale = getenv("CPR_SCALE");
	time_t end = time(NULL) + seconds * (scale ? atoi(scale) : 1);

	while (!holds()) {
		if (time(NULL) > end)
			return false;
		usleep(20000);
	}
	return true;
}

static bool is_clean(void)
{
	struct region r;

	return !nl_region(&r) && !r.dirty;
}

void wait_clean(void)
{
	if (wait_until(100, is_clean))
		return;
	printf("Bail out! Frames stay dirty\n");
	exit(1);
}
