// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include <linux/netlink.h>

#include "base/out.h"
#include "vm/genl.h"

#define REPLY_TIMEOUT_S 60	/* a commit of a large catalog takes long */

struct genl {
	struct nl_sock *sk;
	int family;
};

/* A request: the handler for its replies, and its result. */
struct genl_transaction {
	int (*reply)(struct nl_msg *msg, void *data);
	void *data;
	int error;		/* -errno of the kernel */
	char message[256];	/* message of the extended acknowledgement; "" without one */
	bool done;
};

void genl_close(struct genl *genl)
{
	if (!genl)
		return;
	nl_socket_free(genl->sk);
	free(genl);
}

/* The family exists in the initial network namespace only. */
static int genl_no_family(struct err *err)
{
	if (access("/sys/module/cpr_handover", F_OK) == 0)
		return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "module",
			    .value = "cpr_handover", .why = "loaded, but it has no netlink family "
			    "in this network namespace",
			    .remedy = "run it in the network namespace of the host, not in a "
				      "container");
	return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "module",
		    .value = "cpr_handover", .why = "not loaded",
		    .remedy = "'modprobe cpr_handover', with 'region=SIZE!START' (as in memmap=) "
			      "the first time; if it fails, 'dmesg' shows the reason");
}

/* libnl does not support extended acknowledgements: request them from the kernel here. */
static void genl_enable_extack(struct nl_sock *sk)
{
	const struct timeval tv = { .tv_sec = REPLY_TIMEOUT_S };
	int one = 1, fd = nl_socket_get_fd(sk);

	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

struct genl *genl_open(struct err *err)
{
	struct genl *genl = xcalloc(1, sizeof(*genl));

	genl->sk = nl_socket_alloc();
	if (!genl->sk || genl_connect(genl->sk) < 0) {
		fail(err, -EIO, .what = "generic netlink", .why = "cannot connect");
		genl_close(genl);
		return NULL;
	}
	genl_enable_extack(genl->sk);
	genl->family = genl_ctrl_resolve(genl->sk, CPR_FAMILY_NAME);
	if (genl->family < 0) {
		genl_no_family(err);
		genl_close(genl);
		return NULL;
	}
	nl_socket_disable_auto_ack(genl->sk);
	return genl;
}

/*
 * The attributes of an acknowledgement follow the payload of the request, which the
 * kernel includes unless it sets NLM_F_CAPPED.
 */
static void read_extack(struct nlmsghdr *hdr, struct genl_transaction *t)
{
	struct nlmsgerr *ack = nlmsg_data(hdr);
	size_t skip = sizeof(*ack);
	struct nlattr *pos;
	int rem;

	if (!(hdr->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(hdr->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(ack->msg.nlmsg_len) - sizeof(ack->msg);
	if ((size_t)nlmsg_datalen(hdr) < skip)
		return;
	pos = (struct nlattr *)((char *)ack + skip);
	rem = nlmsg_datalen(hdr) - skip;
	for (; nla_ok(pos, rem); pos = nla_next(pos, &rem))
		if (nla_type(pos) == NLMSGERR_ATTR_MSG)
			nla_strlcpy(t->message, pos, sizeof(t->message));
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *ack, void *arg)
{
	struct genl_transaction *t = arg;

	(void)from;
	t->error = ack->error;
	t->done = true;
	read_extack((struct nlmsghdr *)ack - 1, t);
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct genl_transaction *t = arg;

	(void)msg;
	t->done = true;
	return NL_STOP;
}

/* NLMSG_DONE of a dump has the error code in its payload. */
static int on_finish(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *hdr = nlmsg_hdr(msg);
	struct genl_transaction *t = arg;

	if (nlmsg_datalen(hdr) >= (int)sizeof(int))
		t->error = *(int *)nlmsg_data(hdr);
	t->done = true;
	return NL_STOP;
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct genl_transaction *t = arg;

	if (!t->reply || t->reply(msg, t->data) < 0)
		return NL_SKIP;
	return NL_OK;
}

static int genl_exchange(struct genl *genl, struct nl_msg *msg, struct genl_transaction *t)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int r;

	if (!cb)
		return -ENOMEM;
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, t);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, t);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, t);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, t);
	r = nl_send_auto(genl->sk, msg);
	while (r >= 0 && !t->done)
		r = nl_recvmsgs(genl->sk, cb);
	nl_cb_put(cb);
	if (t->done)
		return t->error;
	return r == -NLE_AGAIN ? -ETIMEDOUT : -EIO;
}

static struct nl_msg *genl_request(struct genl *genl, int cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc_size(32768);

	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, genl->family, 0,
				 NLM_F_REQUEST | NLM_F_ACK | flags, cmd, CPR_FAMILY_VERSION)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static const struct { int code; enum cpr_exit exit; } exits[] = {
	{ -ENOENT, CPR_EXIT_NOTFOUND },
	{ -EBUSY, CPR_EXIT_BUSY },
};

static enum cpr_exit genl_exit(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(exits); i++)
		if (exits[i].code == code)
			return exits[i].exit;
	return CPR_EXIT_FAILED;
}

/* Send @msg, which the function frees, and wait. @what and @value are for errors. */
static int genl_run(struct genl *genl, struct nl_msg *msg, struct genl_transaction *t,
		    const char *what, const char *value, struct err *err)
{
	int r;

	if (!msg)
		return fail(err, -ENOMEM, .what = what, .value = value);
	r = genl_exchange(genl, msg, t);
	nlmsg_free(msg);
	if (r == 0)
		return 0;
	if (r == -EPERM)
		return fail(err, r, .what = what, .value = value, .why = "needs root",
			    .remedy = "run it with sudo, and not in a container");
	return fail(err, r, .exit = genl_exit(r), .what = what, .value = value,
		    .why = *t->message ? fmt("kernel: %s", t->message) : strerror(-r),
		    .remedy = r == -ENOENT && streq(what, "VM") ?
		    "'cpr-helper list' lists the VMs" : NULL);
}

static uint64_t u64_or_0(struct nlattr *a)
{
	return a && nla_len(a) >= 8 ? nla_get_u64(a) : 0;
}

static uint32_t u32_or_0(struct nlattr *a)
{
	return a && nla_len(a) >= 4 ? nla_get_u32(a) : 0;
}

static uint8_t u8_or_0(struct nlattr *a)
{
	return a && nla_len(a) >= 1 ? nla_get_u8(a) : 0;
}

static void nla_copy_string(char *dst, struct nlattr *a, size_t size)
{
	if (a)
		nla_strlcpy(dst, a, size);
}

static int on_region(struct nl_msg *msg, void *data)
{
	struct nlattr *a[CPR_A_REGION_MAX + 1];
	struct cpr_region *region = data;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, a, CPR_A_REGION_MAX, NULL) < 0)
		return -EPROTO;
	*region = (struct cpr_region){
		.start = u64_or_0(a[CPR_A_REGION_START]),
		.size = u64_or_0(a[CPR_A_REGION_SIZE]),
		.formatted = u8_or_0(a[CPR_A_REGION_FORMATTED]),
		.mounted = u8_or_0(a[CPR_A_REGION_MOUNTED]),
		.version = u32_or_0(a[CPR_A_REGION_VERSION]),
		.generation = u64_or_0(a[CPR_A_REGION_GENERATION]),
		.frame_size = u32_or_0(a[CPR_A_REGION_FRAME_SIZE]),
		.frames = u32_or_0(a[CPR_A_REGION_FRAMES]),
		.clean = u32_or_0(a[CPR_A_REGION_FRAMES_CLEAN]),
		.dirty = u32_or_0(a[CPR_A_REGION_FRAMES_DIRTY]),
		.busy = u32_or_0(a[CPR_A_REGION_FRAMES_BUSY]),
	};
	nla_copy_string(region->label, a[CPR_A_REGION_LABEL], sizeof(region->label));
	if (a[CPR_A_REGION_UUID] && nla_len(a[CPR_A_REGION_UUID]) == sizeof(region->uuid))
		memcpy(region->uuid, nla_data(a[CPR_A_REGION_UUID]), sizeof(region->uuid));
	return 0;
}

int genl_region(struct genl *genl, struct cpr_region *region, struct err *err)
{
	struct genl_transaction t = { .reply = on_region, .data = region };

	*region = (struct cpr_region){ 0 };
	return genl_run(genl, genl_request(genl, CPR_CMD_REGION_GET, 0), &t, "region", NULL, err);
}

int genl_format(struct genl *genl, const struct cpr_region *region, const char *label, bool force,
		struct err *err)
{
	struct nl_msg *msg = genl_request(genl, CPR_CMD_REGION_FORMAT, 0);
	struct genl_transaction t = { 0 };

	if (msg) {
		nla_put_u64(msg, CPR_A_REGION_START, region->start);
		nla_put_u64(msg, CPR_A_REGION_SIZE, region->size);
		if (label)
			nla_put_string(msg, CPR_A_REGION_LABEL, label);
		if (force)
			nla_put_flag(msg, CPR_A_REGION_FORCE);
	}
	return genl_run(genl, msg, &t, "format", NULL, err);
}

/* Append all attributes of @type, which are strings. */
static void read_strings(struct nl_msg *msg, int type, struct strv *strings)
{
	struct genlmsghdr *hdr = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr *pos;
	char text[256];
	int rem;

	nla_for_each_attr(pos, genlmsg_attrdata(hdr, 0), genlmsg_attrlen(hdr, 0), rem)
		if (nla_type(pos) == type) {
			nla_strlcpy(text, pos, sizeof(text));
			strv_push(strings, text);
		}
}

static struct cpr_dma read_dma(struct nlattr **a)
{
	return (struct cpr_dma){
		.devices = u32_or_0(a[CPR_A_VM_DEVICES]),
		.extents = u32_or_0(a[CPR_A_VM_DMA_EXTENTS]),
		.bytes = u64_or_0(a[CPR_A_VM_DMA_BYTES]),
	};
}

static bool read_digest(struct nlattr *a, uint8_t *digest)
{
	if (!a || nla_len(a) != CPR_DIGEST_LEN)
		return false;
	memcpy(digest, nla_data(a), CPR_DIGEST_LEN);
	return true;
}

static int on_vm(struct nl_msg *msg, void *data)
{
	struct nlattr *a[CPR_A_VM_MAX + 1];
	struct cpr_vms *vms = data;
	struct cpr_vm *vm;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, a, CPR_A_VM_MAX, NULL) < 0)
		return -EPROTO;
	vms->v = xrealloc(vms->v, vms->n + 1, sizeof(*vms->v));
	vm = &vms->v[vms->n++];
	*vm = (struct cpr_vm){
		.state = u32_or_0(a[CPR_A_VM_STATE]),
		.memory = u64_or_0(a[CPR_A_VM_MEMORY_BYTES]),
		.mapped = u8_or_0(a[CPR_A_VM_MAPPED]),
		.since = u64_or_0(a[CPR_A_VM_SINCE]),
		.dma = read_dma(a),
		.bad_pages = u64_or_0(a[CPR_A_VM_BAD_PAGES]),
		.room = {
			.bytes = u64_or_0(a[CPR_A_VM_ROOM_BYTES]),
			.names = u32_or_0(a[CPR_A_VM_ROOM_NAMES]),
		},
		.used = {
			.bytes = u64_or_0(a[CPR_A_VM_USED_BYTES]),
			.names = u32_or_0(a[CPR_A_VM_USED_NAMES]),
		},
	};
	nla_copy_string(vm->name, a[CPR_A_VM_NAME], sizeof(vm->name));
	nla_copy_string(vm->kernel, a[CPR_A_VM_KERNEL], sizeof(vm->kernel));
	vm->digests.has_manifest = read_digest(a[CPR_A_VM_MANIFEST_DIGEST], vm->digests.manifest);
	vm->digests.has_ram = read_digest(a[CPR_A_VM_RAM_DIGEST], vm->digests.ram);
	read_strings(msg, CPR_A_VM_MEMORY_FILE, &vm->files);
	return 0;
}

int genl_vm(struct genl *genl, const char *name, struct cpr_vm *vm, struct err *err)
{
	struct nl_msg *msg = genl_request(genl, CPR_CMD_VM_GET, 0);
	_cleanup_vms_ struct cpr_vms vms = { 0 };
	struct genl_transaction t = { .reply = on_vm, .data = &vms };
	int r;

	*vm = (struct cpr_vm){ 0 };
	if (msg)
		nla_put_string(msg, CPR_A_VM_NAME, name);
	r = genl_run(genl, msg, &t, "VM", name, err);
	if (r == 0 && vms.n != 1)
		return fail(err, -EPROTO, .what = "VM", .value = name,
			    .why = "the module did not answer");
	if (r == 0) {
		*vm = vms.v[0];
		vms.n = 0;
	}
	return r;
}

static int genl_by_name(const void *a, const void *b)
{
	return strcmp(((const struct cpr_vm *)a)->name, ((const struct cpr_vm *)b)->name);
}

int genl_vms(struct genl *genl, struct cpr_vms *vms, struct err *err)
{
	struct genl_transaction t = { .reply = on_vm, .data = vms };
	int r;

	*vms = (struct cpr_vms){ 0 };
	r = genl_run(genl, genl_request(genl, CPR_CMD_VM_GET, NLM_F_DUMP), &t, "list of VMs", NULL,
		     err);
	if (r < 0)
		cpr_vms_free(vms);
	else if (vms->n)
		qsort(vms->v, vms->n, sizeof(*vms->v), genl_by_name);
	return r;
}

int genl_vm_do(struct genl *genl, int cmd, const char *name, const struct strv *files,
	       struct err *err)
{
	struct nl_msg *msg = genl_request(genl, cmd, 0);
	struct genl_transaction t = { 0 };

	if (msg) {
		nla_put_string(msg, CPR_A_VM_NAME, name);
		for (size_t i = 0; files && i < files->n; i++)
			nla_put_string(msg, CPR_A_VM_MEMORY_FILE, files->v[i]);
	}
	detail("module: VM command %d for '%s'", cmd, name);
	return genl_run(genl, msg, &t, "VM", name, err);
}

int genl_vm_seal(struct genl *genl, int cmd, const char *name, const struct vm_digests *digests,
		 bool revoke, struct err *err)
{
	struct nl_msg *msg = genl_request(genl, cmd, 0);
	struct genl_transaction t = { 0 };

	if (msg) {
		nla_put_string(msg, CPR_A_VM_NAME, name);
		if (digests->has_manifest)
			nla_put(msg, CPR_A_VM_MANIFEST_DIGEST, CPR_DIGEST_LEN, digests->manifest);
		if (digests->has_ram)
			nla_put(msg, CPR_A_VM_RAM_DIGEST, CPR_DIGEST_LEN, digests->ram);
		if (revoke)
			nla_put_flag(msg, CPR_A_VM_REVOKE);
	}
	detail("module: VM command %d for '%s'%s", cmd, name, revoke ? ", revoking" : "");
	return genl_run(genl, msg, &t, "VM", name, err);
}

int genl_vm_unpin(struct genl *genl, const char *name, bool revoke, struct err *err)
{
	return genl_vm_seal(genl, CPR_CMD_VM_UNPIN, name, &(struct vm_digests){ 0 }, revoke, err);
}

int genl_vm_room(struct genl *genl, const char *name, const struct cpr_room *room,
		 struct err *err)
{
	struct nl_msg *msg = genl_request(genl, CPR_CMD_VM_ROOM, 0);
	struct genl_transaction t = { 0 };

	if (msg) {
		nla_put_string(msg, CPR_A_VM_NAME, name);
		if (room->names) {
			nla_put_u64(msg, CPR_A_VM_ROOM_BYTES, room->bytes);
			nla_put_u32(msg, CPR_A_VM_ROOM_NAMES, room->names);
		}
	}
	return genl_run(genl, msg, &t, "room of VM", name, err);
}

static void genl_put_scan(struct nl_msg *msg, const struct cpr_scan *scan)
{
	for (size_t i = 0; i < scan->nfds; i++)
		nla_put_u32(msg, CPR_A_VM_FILE, scan->fds[i]);
	if (scan->full)
		nla_put_flag(msg, CPR_A_VM_FULL);
}

static int on_snapshot(struct nl_msg *msg, void *data)
{
	struct nlattr *a[CPR_A_VM_MAX + 1];
	struct cpr_dma *dma = data;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, a, CPR_A_VM_MAX, NULL) < 0)
		return -EPROTO;
	*dma = read_dma(a);
	return 0;
}

int genl_snapshot(struct genl *genl, const char *name, const struct strv *devices,
		  const struct cpr_scan *scan, struct cpr_dma *dma, struct err *err)
{
	struct nl_msg *msg = genl_request(genl, CPR_CMD_VM_SNAPSHOT, 0);
	struct cpr_dma unused;
	struct genl_transaction t = { .reply = on_snapshot, .data = dma ? dma : &unused };

	if (msg) {
		nla_put_string(msg, CPR_A_VM_NAME, name);
		for (size_t i = 0; i < devices->n; i++)
			nla_put_string(msg, CPR_A_VM_DEVICE, devices->v[i]);
		genl_put_scan(msg, scan);
	}
	return genl_run(genl, msg, &t, "snapshot of the devices of VM", name, err);
}

static int read_difference(struct nlattr *nest, struct cpr_difference *d)
{
	struct nlattr *a[CPR_A_DIFFERENCE_MAX + 1];

	if (nla_parse_nested(a, CPR_A_DIFFERENCE_MAX, nest, NULL) < 0)
		return -EPROTO;
	*d = (struct cpr_difference){
		.kind = u32_or_0(a[CPR_A_DIFFERENCE_KIND]),
		.iova = u64_or_0(a[CPR_A_DIFFERENCE_IOVA]),
		.length = u64_or_0(a[CPR_A_DIFFERENCE_LENGTH]),
		.expected = u64_or_0(a[CPR_A_DIFFERENCE_EXPECTED]),
		.found = u64_or_0(a[CPR_A_DIFFERENCE_FOUND]),
		.led = a[CPR_A_DIFFERENCE_EXPECTED],
		.leads = a[CPR_A_DIFFERENCE_FOUND],
	};
	nla_copy_string(d->device, a[CPR_A_DIFFERENCE_DEVICE], sizeof(d->device));
	return 0;
}

static void read_differences(struct nl_msg *msg, struct cpr_verdict *verdict)
{
	struct genlmsghdr *hdr = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr *pos;
	int rem;

	nla_for_each_attr(pos, genlmsg_attrdata(hdr, 0), genlmsg_attrlen(hdr, 0), rem) {
		if (nla_type(pos) != CPR_A_VM_DIFFERENCE)
			continue;
		verdict->v = xrealloc(verdict->v, verdict->n + 1, sizeof(*verdict->v));
		if (read_difference(pos, &verdict->v[verdict->n]) == 0)
			verdict->n++;
	}
}

/* @counted: the reply has a number of differences; without one the check did not succeed. */
struct verify_reply {
	struct cpr_verdict *verdict;
	bool counted;
};

static int on_verify(struct nl_msg *msg, void *data)
{
	struct nlattr *a[CPR_A_VM_MAX + 1];
	struct verify_reply *reply = data;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, a, CPR_A_VM_MAX, NULL) < 0)
		return -EPROTO;
	reply->counted = a[CPR_A_VM_DIFFERENCES] && nla_len(a[CPR_A_VM_DIFFERENCES]) >= 4;
	reply->verdict->dma = read_dma(a);
	reply->verdict->next = u64_or_0(a[CPR_A_VM_WINDOW_NEXT]);
	reply->verdict->differences = u32_or_0(a[CPR_A_VM_DIFFERENCES]);
	read_differences(msg, reply->verdict);
	return 0;
}

int genl_verify(struct genl *genl, const char *name, const struct cpr_scan *scan,
		struct cpr_verdict *verdict, struct err *err)
{
	struct nl_msg *msg = genl_request(genl, CPR_CMD_VM_VERIFY, 0);
	struct verify_reply reply = { .verdict = verdict };
	struct genl_transaction t = { .reply = on_verify, .data = &reply };
	int r;

	*verdict = (struct cpr_verdict){ 0 };
	if (msg) {
		nla_put_string(msg, CPR_A_VM_NAME, name);
		genl_put_scan(msg, scan);
		if (scan->length) {
			nla_put_u64(msg, CPR_A_VM_WINDOW_START, scan->start);
			nla_put_u64(msg, CPR_A_VM_WINDOW_LENGTH, scan->length);
		}
	}
	r = genl_run(genl, msg, &t, "check of the devices of VM", name, err);
	if (r == 0 && !reply.counted)
		r = fail(err, -EPROTO, .what = "check of the devices of VM", .value = name,
			 .why = "the module did not answer");
	if (r < 0)
		cpr_verdict_free(verdict);
	return r;
}

/* Collects the devices of the VM @vm, or of all VMs if @vm is NULL. */
struct device_list {
	const char *vm;
	struct cpr_devices *devices;
};

static int on_device(struct nl_msg *msg, void *data)
{
	struct nlattr *a[CPR_A_DEVICE_MAX + 1];
	struct device_list *list = data;
	struct cpr_device device = { 0 };

	if (genlmsg_parse(nlmsg_hdr(msg), 0, a, CPR_A_DEVICE_MAX, NULL) < 0)
		return -EPROTO;
	nla_copy_string(device.vm, a[CPR_A_DEVICE_VM], sizeof(device.vm));
	if (list->vm && !streq(list->vm, device.vm))
		return 0;
	nla_copy_string(device.address, a[CPR_A_DEVICE_ADDRESS], sizeof(device.address));
	nla_copy_string(device.found, a[CPR_A_DEVICE_FOUND], sizeof(device.found));
	nla_copy_string(device.reason, a[CPR_A_DEVICE_REASON], sizeof(device.reason));
	device.vendor = u32_or_0(a[CPR_A_DEVICE_VENDOR]);
	device.extents = u32_or_0(a[CPR_A_DEVICE_EXTENTS]);
	device.bytes = u64_or_0(a[CPR_A_DEVICE_BYTES]);
	device.hold = u32_or_0(a[CPR_A_DEVICE_HOLD]);
	read_strings(msg, CPR_A_DEVICE_GROUP_MEMBER, &device.group);
	list->devices->v = xrealloc(list->devices->v, list->devices->n + 1,
				    sizeof(*list->devices->v));
	list->devices->v[list->devices->n++] = device;
	return 0;
}

int genl_devices(struct genl *genl, const char *vm, struct cpr_devices *devices, struct err *err)
{
	struct device_list list = { .vm = vm, .devices = devices };
	struct genl_transaction t = { .reply = on_device, .data = &list };
	int r;

	*devices = (struct cpr_devices){ 0 };
	r = genl_run(genl, genl_request(genl, CPR_CMD_DEVICE_GET, NLM_F_DUMP), &t,
		     "list of devices", NULL, err);
	if (r < 0)
		cpr_devices_free(devices);
	return r;
}

int genl_device_release(struct genl *genl, const char *address, struct err *err)
{
	struct nl_msg *msg = genl_request(genl, CPR_CMD_DEVICE_RELEASE, 0);
	struct genl_transaction t = { 0 };

	if (msg)
		nla_put_string(msg, CPR_A_DEVICE_ADDRESS, address);
	return genl_run(genl, msg, &t, "device", address, err);
}
