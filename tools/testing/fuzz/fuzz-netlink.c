// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random requests to the netlink family, in syzkaller's way.
 *
 * fuzz-netlink [--seed N] [--requests N] [--seconds N] [--processes N] [--device ADDRESS]
 *
 * What the family takes is described by tables made from its specification, see
 * netlink-spec.py. A request has the attributes of its operation, with values of the kind
 * that the attribute is for: names of VMs that exist, descriptors that are open, addresses
 * of devices. So VMs go through their states, and what a state allows is tried as well as
 * what it refuses. A quarter of the requests is damaged: wrong lengths and types, garbage
 * and nests in nests, attributes of others, cut off messages. Between the requests the
 * files of the VMs are made, opened, mapped, written and removed, the device is given to a
 * VM and taken away, and cprfs is unmounted, so that the region can be formatted.
 *
 * A process alone does the same for the same seed. Several race with each other.
 *
 * It prints KTAP: each operation has succeeded and has failed, each refusal of a request
 * that is not damaged has an explanation, and replies are as the specification says. All
 * else is looked at by netlink.sh.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <linux/cpr.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "fs/random.h"
#include "genl.h"
#include "selftests/cpr/iommu.h"

#define MNT		"/run/cpr"
#define FRAME		(2ul << 20)
#define PAGE		4096ul
#define BATCH		64
#define NR(_array)	(sizeof(_array) / sizeof((_array)[0]))

enum type { U8, U32, U64, FLAG, BINARY, STRING, NEST };

struct set;

struct attr {
	const char *name;
	int id;
	enum type type;
	unsigned int len;	/* the most, or what it must be if @exact; 0: not limited */
	bool exact, multi;
	unsigned int last;	/* of an enum */
	const struct set *nested;
};

struct set {
	const struct attr *attrs;
	unsigned int nr;
};

struct op {
	const char *name;
	int cmd;
	bool dump;
	const struct set *set;
	uint64_t takes;		/* attributes that a request may have */
};

#include "netlink-spec.h"

/* What all processes count. */
static struct {
	uint64_t requests, damaged, overruns;
	uint64_t succeeded[NR(ops)], failed[NR(ops)], unexplained[NR(ops)];
	uint64_t errors[256];
	uint64_t bad_replies;
	uint64_t busy_us;	/* with requests; the rest is for the files */
	char bad_reply[256], unexplained_one[256];
} *seen;

static struct {
	uint64_t seed, requests;
	unsigned int seconds, processes;
	const char *device;
} want = { .requests = 10000, .processes = 1 };

static uint64_t rng;
static int sock, family;
static uint64_t region_start, region_size;

static uint64_t below(uint64_t n)
{
	return random_below(&rng, n);
}

static bool one_in(unsigned int n)
{
	return !below(n);
}

/* ---- what there is: VMs, their files, what is open and mapped, a device ---- */

#define VMS	4
#define OPEN	4

static const char *const vm_names[] = {
	"vm0", "vm1", "vm2", "vm3",
	"none", "", ".", "..", "vm0/ram0", "file", "vm0 ", "\xff\xfe", "%s%n",
	"0123456789012345678901234567890123456789012345678901234567890123",
	"01234567890123456789012345678901234567890123456789012345678901234",
};

static const char *const file_names[] = {
	"ram0", "ram1", "state", "dir", "none", "", "..", "ram0/", "/",
};

static const char *const addresses[] = {
	"0000:00:1f.2", "0000:00:1f.3", "ffff:ff:1f.7", "0000:00:02.0.", "pci0000:00", "",
	"00:02.0",
};

static int fds[OPEN] = { -1, -1, -1, -1 };
static void *maps[OPEN];
static struct iommu iommu;
static void *device_maps;
static bool attached;
static unsigned int device_vm;	/* whose memory the device has */
static unsigned int focus;	/* the VM that most requests of a batch are for */

static const char *path_of(unsigned int vm, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), MNT "/vm%u/%s", vm, file);
	return path;
}

static void make_file(unsigned int vm, const char *name, off_t size)
{
	int fd = open(path_of(vm, name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	if (posix_fallocate(fd, 0, size))
		unlink(path_of(vm, name));
	close(fd);
}

static void make_files(unsigned int vm)
{
	mkdir(path_of(vm, ""), 0700);
	make_file(vm, "ram0", 2 * FRAME);
	/* A device reaches ram0 only. */
	if (vm & 1)
		make_file(vm, "ram1", PAGE);
	if (one_in(4))
		mkdir(path_of(vm, "dir"), 0700);
	make_file(vm, "state", 100);
	close(open(MNT "/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static void make_vm(void)
{
	make_files(below(VMS));
}

static void remove_vm(void)
{
	unsigned int vm = below(VMS);

	for (unsigned int i = 0; i < NR(file_names); i++)
		if (*file_names[i] && *file_names[i] != '.' && *file_names[i] != '/')
			unlink(path_of(vm, file_names[i]));
	rmdir(path_of(vm, "dir"));
	rmdir(path_of(vm, ""));
}

static const char *some_file(void)
{
	return path_of(below(VMS), file_names[below(3)]);
}

static void open_or_close(void)
{
	unsigned int i = below(OPEN);

	if (fds[i] >= 0)
		close(fds[i]);
	fds[i] = one_in(2) ? -1 : open(some_file(), (one_in(2) ? O_RDWR : O_RDONLY) | O_CLOEXEC);
}

static void map_or_unmap(void)
{
	unsigned int i = below(OPEN);
	int fd;

	if (maps[i])
		munmap(maps[i], FRAME);
	maps[i] = NULL;
	if (one_in(2))
		return;
	fd = open(some_file(), O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	maps[i] = mmap(NULL, FRAME, PROT_READ | PROT_WRITE,
		       one_in(4) ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	if (maps[i] == MAP_FAILED)
		maps[i] = NULL;
	else
		madvise(maps[i], PAGE, MADV_POPULATE_WRITE);
	close(fd);
}

static void change_file(void)
{
	static const char text[PAGE] = "changed";
	const char *path = some_file();
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	switch (below(4)) {
	case 0:
		(void)!pwrite(fd, text, sizeof(text), below(3 * FRAME));
		break;
	case 1:
		(void)!ftruncate(fd, below(2) ? 2 * FRAME : below(3 * FRAME));
		break;
	case 2:
		fallocate(fd, 0, 0, 2 * FRAME);
		break;
	default:
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, FRAME);
	}
	close(fd);
}

static void detach(void)
{
	if (!attached)
		return;
	iommu_close(&iommu);
	munmap(device_maps, 2 * FRAME);
	attached = false;
}

/* Give the device all of the memory of a VM, or a part of it. */
static void attach_or_detach(void)
{
	unsigned int vm = below(VMS / 2) * 2;
	int fd;

	if (attached || !want.device) {
		detach();
		return;
	}
	make_files(vm);
	fd = open(path_of(vm, "ram0"), O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	device_maps = mmap(NULL, 2 * FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (device_maps == MAP_FAILED)
		return;
	if (iommu_open_iommufd(&iommu, want.device) && iommu_open_type1(&iommu, want.device)) {
		munmap(device_maps, 2 * FRAME);
		return;
	}
	attached = true;
	device_vm = vm;
	iommu_map(&iommu, 0, device_maps, one_in(4) ? FRAME : 2 * FRAME);
}

static void remap_device(void)
{
	if (!attached)
		return;
	iommu_unmap(&iommu, 0, 2 * FRAME);
	if (one_in(2))
		iommu_map(&iommu, below(2) << 32, device_maps, 2 * FRAME);
	else
		iommu_map(&iommu, 0, device_maps, 2 * FRAME);
}

static void let_go(void)
{
	detach();
	for (unsigned int i = 0; i < OPEN; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		if (maps[i])
			munmap(maps[i], FRAME);
		fds[i] = -1;
		maps[i] = NULL;
	}
}

static void mount_or_unmount(void)
{
	if (one_in(2)) {
		let_go();
		while (!umount2(MNT, 0))
			;
	} else {
		mount("cprfs", MNT, "cprfs", 0, NULL);
	}
}

static void remount(void)
{
	mount("cprfs", MNT, "cprfs", 0, NULL);
}

static void sync_files(void)
{
	int fd = open(MNT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	fsync(fd);
	close(fd);
}

static const struct action {
	void (*fn)(void);
	unsigned int weight;
} actions[] = {
	{ make_vm, 24 }, { remove_vm, 6 }, { open_or_close, 12 }, { map_or_unmap, 12 },
	{ change_file, 6 }, { attach_or_detach, 8 }, { remap_device, 2 },
	{ mount_or_unmount, 4 }, { remount, 8 }, { sync_files, 2 },
};

static void act(void)
{
	unsigned int sum = 0, at;

	for (unsigned int i = 0; i < NR(actions); i++)
		sum += actions[i].weight;
	at = below(sum);
	for (unsigned int i = 0; i < NR(actions); at -= actions[i++].weight)
		if (at < actions[i].weight) {
			actions[i].fn();
			return;
		}
}

/* ---- values of attributes ---- */

static struct genl_buffer buffer;

static void put_random(const struct attr *a, unsigned int len)
{
	unsigned char value[4096];

	if (len > sizeof(value))
		len = sizeof(value);
	for (unsigned int i = 0; i < len; i++)
		value[i] = a->type == STRING ? 1 + below(255) : below(256);
	if (a->type == STRING && len)
		value[len - 1] = 0;
	genl_put(&buffer, a->id, value, len);
}

/* The first @good of a list are what there is, as a rule. */
static void put_word(const struct attr *a, const char *const *list, unsigned int good,
		     unsigned int nr)
{
	genl_put_string(&buffer, a->id, list[below(one_in(12) ? nr : good)]);
}

/* Most requests of a batch are for one VM, so that it takes some steps. */
static void put_vm_name(const struct attr *a)
{
	if (one_in(4))
		put_word(a, vm_names, VMS, NR(vm_names));
	else
		genl_put_string(&buffer, a->id, vm_names[focus]);
}

/* See make_files() for what a VM has. */
static void put_file_name(const struct attr *a)
{
	put_word(a, file_names, focus & 1 ? 2 : 1, NR(file_names));
}

static void put_address(const struct attr *a)
{
	if (want.device && !one_in(8))
		genl_put_string(&buffer, a->id, want.device);
	else
		put_word(a, addresses, NR(addresses), NR(addresses));
}

/* The first file of the device is the one that shows that the caller has it. */
static void put_fd(const struct attr *a)
{
	const int others[] = {
		fds[below(OPEN)], attached ? iommu.fds[1] : -1, sock, -1, below(64),
		below(UINT32_MAX),
	};

	if (attached && !one_in(6))
		genl_put_u32(&buffer, a->id, iommu.fds[0]);
	else
		genl_put_u32(&buffer, a->id, others[below(NR(others))]);
}

/* Near powers of two, and what the region has. */
static uint64_t number(void)
{
	const uint64_t known[] = {
		0, 1, UINT64_MAX, region_start, region_size, region_start + region_size,
		FRAME, 4 * FRAME, 1ull << 40,
	};

	switch (below(3)) {
	case 0:
		return known[below(NR(known))] + below(3) - 1;
	case 1:
		return (1ull << below(64)) + below(3) - 1;
	default:
		return random_next(&rng);
	}
}

static void put_start(const struct attr *a)
{
	genl_put_u64(&buffer, a->id, one_in(8) ? number() : region_start);
}

static void put_size(const struct attr *a)
{
	genl_put_u64(&buffer, a->id, one_in(8) ? number() : region_size);
}

/* A window is read page by page, which takes a second for some GiB. */
static void put_window_length(const struct attr *a)
{
	genl_put_u64(&buffer, a->id, one_in(500) ? number() : below(4) * FRAME + below(2));
}

static void put_room_bytes(const struct attr *a)
{
	genl_put_u64(&buffer, a->id, one_in(8) ? number() : below(8) * FRAME);
}

static void put_room_names(const struct attr *a)
{
	genl_put_u32(&buffer, a->id, one_in(8) ? number() : 1 + below(16));
}

/* What an attribute is for, where its type does not tell. */
static const struct resource {
	const char *name;
	void (*put)(const struct attr *a);
} resources[] = {
	{ "name", put_vm_name }, { "vm", put_vm_name }, { "memory-file", put_file_name },
	{ "device", put_address }, { "address", put_address }, { "group-member", put_address },
	{ "file", put_fd }, { "start", put_start }, { "size", put_size },
	{ "window-length", put_window_length },
	{ "room-bytes", put_room_bytes }, { "room-names", put_room_names },
};

static void put_set(const struct set *set, uint64_t among, unsigned int depth);

static void put_by_type(const struct attr *a, unsigned int depth)
{
	uint64_t n = a->last && !one_in(8) ? below(a->last + 1) : number();
	struct nlattr *nest;
	uint32_t at = buffer.len;

	switch (a->type) {
	case U8:
		genl_put(&buffer, a->id, &n, 1);
		break;
	case U32:
		genl_put_u32(&buffer, a->id, n);
		break;
	case U64:
		genl_put_u64(&buffer, a->id, n);
		break;
	case FLAG:
		genl_put(&buffer, a->id, NULL, 0);
		break;
	case BINARY:
		put_random(a, a->exact ? a->len : below(64));
		break;
	case STRING:
		put_random(a, 1 + below(a->len ? a->len + 1 : 32));
		break;
	case NEST:
		nest = genl_put(&buffer, a->id | NLA_F_NESTED, NULL, 0);
		if (depth < 16)
			put_set(a->nested, -1, depth + 1);
		nest->nla_len = buffer.len - at;
		break;
	}
}

static void put_attr(const struct attr *a, unsigned int depth)
{
	for (unsigned int i = 0; i < NR(resources); i++)
		if (!strcmp(resources[i].name, a->name)) {
			resources[i].put(a);
			return;
		}
	put_by_type(a, depth);
}

/* Flags are given so seldom; some make the request take long. */
static const struct {
	const char *name;
	unsigned int one_in;
} flags[] = { { "force", 2 }, { "full", 1000 }, { "revoke", 16 } };

static unsigned int flag_seldom(const struct attr *a)
{
	for (unsigned int i = 0; i < NR(flags); i++)
		if (!strcmp(flags[i].name, a->name))
			return flags[i].one_in;
	return 4;
}

/* How seldom an attribute is left out, or given, in a request that is not damaged. */
static bool wanted(const struct attr *a)
{
	if (a->type == FLAG)
		return one_in(flag_seldom(a));
	if (a->type == BINARY || !strncmp(a->name, "window", 6))
		return one_in(4);
	return !one_in(a->multi ? 4 : 64);
}

/* There is one device, and a request that names it twice is refused. */
static uint64_t how_many(const struct attr *a)
{
	unsigned int seldom = strcmp(a->name, "device") ? 2 : 8;

	return a->multi && one_in(seldom) ? 1 + below(3) : 1;
}

static void put_set(const struct set *set, uint64_t among, unsigned int depth)
{
	for (unsigned int i = 0; i < set->nr; i++) {
		const struct attr *a = &set->attrs[i];

		if (!(among & 1ull << a->id) || !wanted(a))
			continue;
		for (uint64_t n = how_many(a); n; n--)
			put_attr(a, depth);
	}
}

/* ---- damage ---- */

static bool room(unsigned int bytes)
{
	return buffer.len + bytes + 64 < GENL_ROOM;
}

static uint32_t attrs_at(void)
{
	return buffer.at + NLMSG_HDRLEN + GENL_HDRLEN;
}

static struct nlattr *some_attr(void)
{
	unsigned int at = attrs_at(), turn = below(8);
	struct nlattr *found = NULL;

	while (at + NLA_HDRLEN <= buffer.len) {
		struct nlattr *a = (void *)(buffer.b + at);

		found = a;
		if (!turn-- || a->nla_len < NLA_HDRLEN)
			break;
		at += NLA_ALIGN(a->nla_len);
	}
	return found;
}

static void damage_bits(const struct op *op)
{
	(void)op;
	for (uint64_t n = 1 + below(4); n && buffer.len > attrs_at(); n--)
		buffer.b[attrs_at() + below(buffer.len - attrs_at())] ^= 1 << below(8);
}

static void damage_length(const struct op *op)
{
	struct nlattr *a = some_attr();

	(void)op;
	if (a)
		a->nla_len = one_in(2) ? below(32) : one_in(2) ? a->nla_len + below(9) - 4 :
			     random_next(&rng);
}

static void damage_type(const struct op *op)
{
	struct nlattr *a = some_attr();

	(void)op;
	if (a)
		a->nla_type = one_in(2) ? below(32) | below(4) << 14 : random_next(&rng);
}

/* A value that is too short, too long or of another kind. */
static void damage_value(const struct op *op)
{
	const struct attr *a = &op->set->attrs[below(op->set->nr)];

	if (room(512))
		put_random(a, one_in(2) ? below(20) : below(512));
}

static void damage_stranger(const struct op *op)
{
	if (room(1024))
		put_attr(&op->set->attrs[below(op->set->nr)], 0);
}

static void damage_repeat(const struct op *op)
{
	const struct attr *a = &op->set->attrs[below(op->set->nr)];

	for (uint64_t n = below(one_in(16) ? 2000 : 40); n && room(512); n--)
		put_attr(a, 0);
}

static void damage_nest(const struct op *op)
{
	unsigned int depth = below(one_in(8) ? 500 : 8), at[500];

	if (!room(depth * NLA_HDRLEN + 64))
		return;
	for (unsigned int i = 0; i < depth; i++) {
		at[i] = buffer.len;
		genl_put(&buffer, below(32) | NLA_F_NESTED, NULL, 0);
	}
	damage_value(op);
	for (unsigned int i = 0; i < depth; i++)
		((struct nlattr *)(buffer.b + at[i]))->nla_len = buffer.len - at[i];
}

static void damage_garbage(const struct op *op)
{
	unsigned int len = below(64);

	(void)op;
	if (!room(len))
		return;
	for (unsigned int i = 0; i < len; i++)
		buffer.b[buffer.len + i] = below(256);
	buffer.len += NLMSG_ALIGN(len);
	genl_header(&buffer)->nlmsg_len = buffer.len - buffer.at;
}

static void damage_cut(const struct op *op)
{
	unsigned int len = buffer.len - buffer.at;

	(void)op;
	len -= below(one_in(2) ? 8 : len);
	if (len < NLMSG_HDRLEN)
		len = NLMSG_HDRLEN;
	genl_header(&buffer)->nlmsg_len = len;
	buffer.len = buffer.at + NLMSG_ALIGN(len);
}

static void (*const damages[])(const struct op *op) = {
	damage_bits, damage_length, damage_type, damage_value, damage_stranger, damage_repeat,
	damage_nest, damage_garbage, damage_cut,
};

/* The header; whose request this is cannot be said any more. */
static void damage_header(void)
{
	struct nlmsghdr *h = genl_header(&buffer);
	struct genlmsghdr *g = NLMSG_DATA(h);

	switch (below(4)) {
	case 0:
		g->cmd = below(256);
		break;
	case 1:
		g->version = below(256);
		break;
	case 2:
		g->reserved = below(65536);
		break;
	default:
		h->nlmsg_flags ^= one_in(2) ? NLM_F_DUMP : 1 << below(16);
	}
}

/* ---- requests and what comes back ---- */

struct request {
	int op;			/* -1 if the header is damaged */
	bool damaged;
};

static struct request batch[BATCH];
static unsigned int batch_nr;
static uint32_t batch_seq = 1;

static void add_request(void)
{
	struct request *r = &batch[batch_nr];
	const struct op *op = &ops[below(NR(ops))];

	r->op = op - ops;
	r->damaged = one_in(4);
	genl_begin(&buffer, family, op->cmd, NLM_F_ACK | (op->dump ? NLM_F_DUMP : 0),
		   batch_seq + batch_nr);
	put_set(op->set, op->takes, 0);
	for (uint64_t n = r->damaged ? 1 + below(2) : 0; n; n--)
		damages[below(NR(damages))](op);
	if (r->damaged && one_in(8) && genl_header(&buffer)->nlmsg_len >= NLMSG_HDRLEN + GENL_HDRLEN) {
		damage_header();
		r->op = -1;
	}
	batch_nr++;
}

static const struct attr *attr_of(const struct set *set, int id)
{
	for (unsigned int i = 0; i < set->nr; i++)
		if (set->attrs[i].id == id)
			return &set->attrs[i];
	return NULL;
}

static bool attrs_conform(const struct set *set, const unsigned char *at, size_t len);

static bool value_conforms(const struct attr *a, const struct nlattr *got)
{
	static const unsigned int sizes[] = { [U8] = 1, [U32] = 4, [U64] = 8, [FLAG] = 0 };
	const unsigned char *value = (const void *)(got + 1);
	unsigned int len = got->nla_len - NLA_HDRLEN;

	switch (a->type) {
	case STRING:
		return len && !value[len - 1] && (!a->len || len <= a->len + 1);
	case BINARY:
		return !a->exact || len == a->len;
	case NEST:
		return attrs_conform(a->nested, value, len);
	case U32:
		return len == 4 && (!a->last || *(const uint32_t *)value <= a->last);
	default:
		return len == sizes[a->type];
	}
}

static bool attrs_conform(const struct set *set, const unsigned char *at, size_t len)
{
	const unsigned char *end = at + len;

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *got = (const void *)at;
		int id = got->nla_type & NLA_TYPE_MASK;
		const struct attr *a = attr_of(set, id);

		if (got->nla_len < NLA_HDRLEN || got->nla_len > end - at)
			return false;
		/* 0 is padding, in front of 64-bit values. */
		if (id && (!a || !value_conforms(a, got)))
			return false;
		at += NLA_ALIGN(got->nla_len);
	}
	return at >= end;
}

static void check_reply(const struct nlmsghdr *h, int op)
{
	if (h->nlmsg_type == family && attrs_conform(ops[op].set, genl_attrs(h), genl_attrs_len(h)))
		return;
	seen->bad_replies++;
	snprintf(seen->bad_reply, sizeof(seen->bad_reply), "%s: a reply of type %u and %u bytes",
		 ops[op].name, h->nlmsg_type, h->nlmsg_len);
}

static bool is_explained(const struct nlmsghdr *h)
{
	size_t skip = NLMSG_HDRLEN + sizeof(struct nlmsgerr);

	return h->nlmsg_flags & NLM_F_ACK_TLVS && h->nlmsg_len > skip &&
	       genl_find((const char *)h + skip, h->nlmsg_len - skip, NLMSGERR_ATTR_MSG);
}

static void note_result(const struct nlmsghdr *h, const struct request *r, int err)
{
	__atomic_fetch_add(&seen->errors[-err & 255], 1, __ATOMIC_RELAXED);
	if (r->op < 0)
		return;
	__atomic_fetch_add(err ? &seen->failed[r->op] : &seen->succeeded[r->op], 1, __ATOMIC_RELAXED);
	/* The core has no words for a second dump on a socket. */
	if (!err || r->damaged || ops[r->op].dump || is_explained(h))
		return;
	__atomic_fetch_add(&seen->unexplained[r->op], 1, __ATOMIC_RELAXED);
	snprintf(seen->unexplained_one, sizeof(seen->unexplained_one), "%s: %s", ops[r->op].name,
		 strerror(-err));
}

static void read_message(const struct nlmsghdr *h)
{
	uint32_t nr = h->nlmsg_seq - batch_seq;

	if (nr >= batch_nr)
		return;
	if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE)
		note_result(h, &batch[nr], *(const int *)NLMSG_DATA(h));
	else if (batch[nr].op >= 0)
		check_reply(h, batch[nr].op);
}

static void read_replies(void)
{
	static unsigned char reply[GENL_ROOM] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = recv(sock, reply, sizeof(reply), MSG_DONTWAIT)) >= 0 || errno != EAGAIN) {
		if (n < 0 && errno == ENOBUFS)
			__atomic_fetch_add(&seen->overruns, 1, __ATOMIC_RELAXED);
		for (const struct nlmsghdr *h = (void *)reply; n > 0 && NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			read_message(h);
	}
}

/*
 * A VM that is taken from its users while a page stays pinned is waited for, a second at
 * most. A signal ends the wait.
 */
static void send_batch(void)
{
	const struct itimerval soon = { { 0, 20000 }, { 0, 20000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct timespec begin, end;
	uint64_t damaged = 0;

	for (unsigned int i = 0; i < batch_nr; i++)
		damaged += batch[i].damaged;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	setitimer(ITIMER_REAL, &soon, NULL);
	if (send(sock, buffer.b, buffer.len, 0) < 0 && errno != EINTR)
		batch_nr = 0;
	setitimer(ITIMER_REAL, &never, NULL);
	read_replies();
	clock_gettime(CLOCK_MONOTONIC, &end);
	__atomic_fetch_add(&seen->busy_us, (end.tv_sec - begin.tv_sec) * 1000000 +
			   (end.tv_nsec - begin.tv_nsec) / 1000, __ATOMIC_RELAXED);
	__atomic_fetch_add(&seen->requests, batch_nr, __ATOMIC_RELAXED);
	__atomic_fetch_add(&seen->damaged, damaged, __ATOMIC_RELAXED);
	batch_seq += BATCH;
	batch_nr = 0;
	buffer.len = 0;
}

/* ---- the run ---- */

static void note_signal(int sig)
{
	(void)sig;
}

static void note_region(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *start = genl_find(genl_attrs(h), genl_attrs_len(h), CPR_A_REGION_START);
	const struct nlattr *size = genl_find(genl_attrs(h), genl_attrs_len(h), CPR_A_REGION_SIZE);

	(void)arg;
	if (start && size) {
		memcpy(&region_start, start + 1, sizeof(region_start));
		memcpy(&region_size, size + 1, sizeof(region_size));
	}
}

static int connect_family(void)
{
	int most = 8 << 20;

	sock = genl_socket();
	if (sock < 0)
		return sock;
	setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &most, sizeof(most));
	setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &most, sizeof(most));
	family = genl_family(sock, CPR_FAMILY_NAME);
	if (family < 0)
		return family;
	buffer.len = 0;
	genl_begin(&buffer, family, CPR_CMD_REGION_GET, NLM_F_ACK, 2);
	return genl_ask(sock, &buffer, note_region, NULL);
}

static void run(unsigned int process, time_t end)
{
	uint64_t requests = want.requests / want.processes;

	rng = want.seed + process;
	if (process)
		want.device = NULL;
	if (connect_family() < 0)
		exit(1);
	buffer.len = 0;
	for (uint64_t n = 0; n < requests && (!want.seconds || time(NULL) < end); ) {
		uint64_t size = 1 + below(BATCH);

		if (one_in(2))
			act();
		focus = attached && !one_in(4) ? device_vm : below(VMS);
		for (uint64_t i = 0; i < size && room(4096); i++)
			add_request();
		n += batch_nr;
		send_batch();
	}
	let_go();
}

/* No device is quarantined here: see selftests, devices.sh. */
static bool never_succeeds(const char *op)
{
	return !strcmp(op, "device-release");
}

static int report(void)
{
	unsigned int short_of = 0, wordless = 0;

	printf("# seed %llu, %llu requests in %llu s, %llu of them damaged, %llu overruns\n",
	       (unsigned long long)want.seed, (unsigned long long)seen->requests,
	       (unsigned long long)seen->busy_us / 1000000,
	       (unsigned long long)seen->damaged, (unsigned long long)seen->overruns);
	for (unsigned int i = 0; i < NR(ops); i++) {
		printf("# %-18s %9llu succeeded %9llu failed\n", ops[i].name,
		       (unsigned long long)seen->succeeded[i], (unsigned long long)seen->failed[i]);
		short_of += (!seen->succeeded[i] && !never_succeeds(ops[i].name)) || !seen->failed[i];
		wordless += !!seen->unexplained[i];
	}
	for (int i = 1; i < 256; i++)
		if (seen->errors[i])
			printf("# %s: %llu\n", strerror(i), (unsigned long long)seen->errors[i]);
	printf("%sok 1 - each operation has succeeded and has failed\n", short_of ? "not " : "");
	if (wordless)
		printf("# %s\n", seen->unexplained_one);
	printf("%sok 2 - each refusal of an undamaged request has an explanation\n", wordless ? "not " : "");
	if (seen->bad_replies)
		printf("# %s\n", seen->bad_reply);
	printf("%sok 3 - replies are as the specification says\n", seen->bad_replies ? "not " : "");
	printf("1..3\n");
	return short_of || wordless || seen->bad_replies;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' }, { "requests", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 't' }, { "processes", required_argument, NULL, 'p' },
		{ "device", required_argument, NULL, 'd' }, { NULL, 0, NULL, 0 },
	};
	int c;

	want.seed = time(NULL);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			want.seed = strtoull(optarg, NULL, 0);
		else if (c == 'r')
			want.requests = strtoull(optarg, NULL, 0);
		else if (c == 't')
			want.seconds = strtoul(optarg, NULL, 0);
		else if (c == 'p')
			want.processes = strtoul(optarg, NULL, 0);
		else if (c == 'd')
			want.device = optarg;
		else
			exit(2);
	}
}

int main(int argc, char **argv)
{
	const struct sigaction on_alarm = { .sa_handler = note_signal };
	int status, failed = 0;
	time_t end;

	parse(argc, argv);
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return 1;
	sigaction(SIGALRM, &on_alarm, NULL);
	printf("# seed %llu\n", (unsigned long long)want.seed);
	fflush(stdout);
	end = time(NULL) + want.seconds;
	for (unsigned int i = 0; i < want.processes; i++)
		if (!fork()) {
			run(i, end);
			_exit(0);
		}
	while (wait(&status) > 0)
		failed |= status;
	if (failed) {
		printf("Bail out! A process ended with status %#x\n", failed);
		return 2;
	}
	return report();
}
