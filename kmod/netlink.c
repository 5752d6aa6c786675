// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The netlink family
 *
 * The operations of the family. Policy and operation tables are generated from
 * Documentation/netlink/specs/cpr.yaml. The extended acknowledgment of each refusal
 * gives the reason. Events are sent to the multicast group.
 *
 * Whoever uses the family can destroy every guest, or read where guests are, what
 * devices they have and digests of their memory. So each operation and the group need
 * CAP_SYS_ADMIN in the initial user namespace, and the family exists in the initial
 * network namespace only: a container has the first only if it owns the host anyway.
 *
 * Locking: operations take cpr->lock. Events are sent with it held, see events.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/file.h>
#include <net/genetlink.h>

#include "dma.h"
#include "events.h"
#include "hold.h"
#include "image.h"
#include "netlink.h"
#include "netlink_gen.h"
#include "pci.h"
#include "poison.h"
#include "revoke.h"
#include "vm.h"

static_assert(CPR_DIGEST_LEN == CPR_IMAGE_DIGEST_LEN);

/* Set by cpr_netlink_init(): generic netlink passes no region to the operations. */
static struct cpr *nl_region;

/* ---- who may ---- */

static int nl_check_caller(const struct sk_buff *skb, struct netlink_ext_ack *extack)
{
	/* The process that opened the socket needs the capability as well. */
	if (netlink_capable(skb, CAP_SYS_ADMIN))
		return 0;
	NL_SET_ERR_MSG(extack, "this needs CAP_SYS_ADMIN in the initial user namespace; run it as root of the host");
	return -EPERM;
}

int cpr_nl_pre_do(const struct genl_split_ops *ops, struct sk_buff *skb,
		  struct genl_info *info)
{
	return nl_check_caller(skb, info->extack);
}

int cpr_nl_pre_dump(struct netlink_callback *cb)
{
	return nl_check_caller(cb->skb, cb->extack);
}

/* ---- attributes: the region ---- */

static int nl_put_frames(struct sk_buff *skb, const struct cpr *c)
{
	const u32 *count = c->frames.count;
	u32 dirty = count[CPR_FRAME_DIRTY] + count[CPR_FRAME_SCRUBBING] +
		    count[CPR_FRAME_FREED];

	if (nla_put_u32(skb, CPR_A_REGION_FRAME_SIZE, CPR_IMAGE_FRAME_SIZE) ||
	    nla_put_u32(skb, CPR_A_REGION_FRAMES, cpr_frames_total(&c->frames)) ||
	    nla_put_u32(skb, CPR_A_REGION_FRAMES_CLEAN, count[CPR_FRAME_CLEAN]) ||
	    nla_put_u32(skb, CPR_A_REGION_FRAMES_DIRTY, dirty) ||
	    nla_put_u32(skb, CPR_A_REGION_FRAMES_BUSY, count[CPR_FRAME_BUSY]) ||
	    nla_put_u32(skb, CPR_A_REGION_FRAMES_BAD, count[CPR_FRAME_BAD]) ||
	    nla_put_u64_64bit(skb, CPR_A_REGION_BAD_PAGES,
			      cpr_bad_count(&c->bad, 0, U64_MAX), 0))
		return -EMSGSIZE;
	return 0;
}

static int nl_put_image(struct sk_buff *skb, const struct cpr *c)
{
	if (nla_put(skb, CPR_A_REGION_UUID, sizeof(c->geo.uuid), c->geo.uuid) ||
	    nla_put_string(skb, CPR_A_REGION_LABEL, c->geo.label) ||
	    nla_put_u32(skb, CPR_A_REGION_VERSION, c->geo.major << 16 | c->geo.minor) ||
	    nla_put_u64_64bit(skb, CPR_A_REGION_GENERATION, c->generation, 0))
		return -EMSGSIZE;
	return nl_put_frames(skb, c);
}

static int nl_put_region(struct sk_buff *skb, const struct cpr *c)
{
	if (nla_put_u64_64bit(skb, CPR_A_REGION_START, c->region.start, 0) ||
	    nla_put_u64_64bit(skb, CPR_A_REGION_SIZE, c->region.size, 0) ||
	    nla_put_u8(skb, CPR_A_REGION_FORMATTED, c->formatted) ||
	    nla_put_u8(skb, CPR_A_REGION_MOUNTED, !!c->sb))
		return -EMSGSIZE;
	return c->formatted ? nl_put_image(skb, c) : 0;
}

/* ---- attributes: a VM ---- */

static int nl_put_name(struct sk_buff *skb, int attr, const struct cpr_node *node)
{
	char name[CPR_IMAGE_NAME_MAX + 1];

	cpr_node_name(node, name);
	return nla_put_string(skb, attr, name);
}

static int nl_put_memory_files(struct sk_buff *skb, const struct cpr_node *dir)
{
	const struct cpr_node *node;

	cpr_for_each_child(node, dir)
		if (node->flags & CPR_IMAGE_NODE_MEMORY &&
		    nl_put_name(skb, CPR_A_VM_MEMORY_FILE, node))
			return -EMSGSIZE;
	return 0;
}

static int nl_put_report(struct sk_buff *skb, const struct cpr_dma_report *r)
{
	if (nla_put_u32(skb, CPR_A_VM_DEVICES, r->devices) ||
	    nla_put_u32(skb, CPR_A_VM_DMA_EXTENTS, r->extents) ||
	    nla_put_u64_64bit(skb, CPR_A_VM_DMA_BYTES, r->bytes, 0))
		return -EMSGSIZE;
	return 0;
}

static int nl_put_digests(struct sk_buff *skb, const struct cpr_digests *d)
{
	if (d->flags & CPR_IMAGE_VM_MANIFEST_DIGEST &&
	    nla_put(skb, CPR_A_VM_MANIFEST_DIGEST, sizeof(d->manifest), d->manifest))
		return -EMSGSIZE;
	if (d->flags & CPR_IMAGE_VM_RAM_DIGEST &&
	    nla_put(skb, CPR_A_VM_RAM_DIGEST, sizeof(d->ram), d->ram))
		return -EMSGSIZE;
	return 0;
}

static int nl_put_record(struct sk_buff *skb, const struct cpr_vm *vm)
{
	struct cpr_dma_report report;

	if (nla_put_u64_64bit(skb, CPR_A_VM_SINCE, vm->since.tv_sec, 0) ||
	    nla_put_string(skb, CPR_A_VM_KERNEL, vm->kernel) ||
	    nl_put_digests(skb, &vm->digests))
		return -EMSGSIZE;
	if (!vm->dma)
		return 0;
	cpr_dma_sum(vm->dma, &report);
	return nl_put_report(skb, &report);
}

static int nl_put_room(struct sk_buff *skb, const struct cpr_room *room)
{
	const u64 frame = CPR_IMAGE_FRAME_SIZE;

	if (nla_put_u64_64bit(skb, CPR_A_VM_USED_BYTES, room->use.frames * frame, 0) ||
	    nla_put_u32(skb, CPR_A_VM_USED_NAMES, room->use.names))
		return -EMSGSIZE;
	if (room->limit.names &&
	    (nla_put_u64_64bit(skb, CPR_A_VM_ROOM_BYTES, room->limit.frames * frame, 0) ||
	     nla_put_u32(skb, CPR_A_VM_ROOM_NAMES, room->limit.names)))
		return -EMSGSIZE;
	return 0;
}

static int nl_put_vm(struct sk_buff *skb, struct cpr *c, const struct cpr_node *dir)
{
	u64 bytes = cpr_node_memory_bytes(c, dir);

	if (nl_put_name(skb, CPR_A_VM_NAME, dir) ||
	    nla_put_u32(skb, CPR_A_VM_STATE, cpr_vm_state(dir)) ||
	    nl_put_memory_files(skb, dir) ||
	    nla_put_u64_64bit(skb, CPR_A_VM_MEMORY_BYTES, bytes, 0) ||
	    nla_put_u8(skb, CPR_A_VM_MAPPED, cpr_vm_mapped(c, dir)) ||
	    nla_put_u64_64bit(skb, CPR_A_VM_BAD_PAGES, cpr_poison_pages(c, dir), 0) ||
	    nl_put_room(skb, dir->room))
		return -EMSGSIZE;
	return dir->vm ? nl_put_record(skb, dir->vm) : 0;
}

/* ---- attributes: a device of a VM ---- */

static int nl_put_pci(struct sk_buff *skb, int attr, const struct cpr_pci *pci)
{
	char name[CPR_DEVICE_ADDRESS_MAX + 1];

	cpr_pci_name(pci, name);
	return nla_put_string(skb, attr, name);
}

static int nl_put_identity(struct sk_buff *skb, const struct cpr_catalog_device *id)
{
	if (nl_put_pci(skb, CPR_A_DEVICE_ADDRESS, &id->address) ||
	    nla_put_u32(skb, CPR_A_DEVICE_VENDOR, id->device << 16 | id->vendor) ||
	    nla_put_u32(skb, CPR_A_DEVICE_SUBSYSTEM,
			id->subsystem_device << 16 | id->subsystem_vendor) ||
	    nla_put_u32(skb, CPR_A_DEVICE_CLASS, id->class))
		return -EMSGSIZE;
	if (id->has_serial && nla_put_u64_64bit(skb, CPR_A_DEVICE_SERIAL, id->serial, 0))
		return -EMSGSIZE;
	return nla_put_u32(skb, CPR_A_DEVICE_DOMAIN, id->dma);
}

static int nl_put_table(struct sk_buff *skb, const struct cpr_dma_table *t)
{
	struct cpr_dma_sum sum;

	cpr_dma_table_sum(t, &sum);
	if (nla_put_u32(skb, CPR_A_DEVICE_EXTENTS, sum.extents[CPR_IMAGE_DMA_REGION]) ||
	    nla_put_u64_64bit(skb, CPR_A_DEVICE_BYTES, sum.bytes[CPR_IMAGE_DMA_REGION], 0) ||
	    nla_put_u64_64bit(skb, CPR_A_DEVICE_MMIO_BYTES, sum.bytes[CPR_IMAGE_DMA_MMIO], 0) ||
	    nla_put_u64_64bit(skb, CPR_A_DEVICE_RAM_BYTES, sum.bytes[CPR_IMAGE_DMA_RAM], 0))
		return -EMSGSIZE;
	return 0;
}

static int nl_put_device(struct sk_buff *skb, const struct cpr_node *dir,
			 const struct cpr_device *d)
{
	if (nl_put_name(skb, CPR_A_DEVICE_VM, dir) ||
	    nl_put_identity(skb, &d->id) ||
	    nl_put_table(skb, &dir->vm->dma->tables[d->id.dma]) ||
	    nla_put_u32(skb, CPR_A_DEVICE_HOLD, d->hold))
		return -EMSGSIZE;
	for (u32 i = 0; i < d->id.members; i++)
		if (nl_put_pci(skb, CPR_A_DEVICE_GROUP_MEMBER, &d->members[i]))
			return -EMSGSIZE;
	if (d->moved && nl_put_pci(skb, CPR_A_DEVICE_FOUND, &d->found))
		return -EMSGSIZE;
	return *d->reason ? nla_put_string(skb, CPR_A_DEVICE_REASON, d->reason) : 0;
}

/* ---- messages ---- */

/* Complete the message; or, on an error, remove what there is of it. */
static int nl_finish(struct sk_buff *skb, void *header, int err)
{
	if (err)
		genlmsg_cancel(skb, header);
	else
		genlmsg_end(skb, header);
	return err;
}

/* Send the reply; or, on an error, free it. */
static int nl_reply(struct sk_buff *reply, struct genl_info *info, int err)
{
	if (!err)
		return genlmsg_reply(reply, info);
	nlmsg_free(reply);
	return err;
}

/* Get the name of the VM in a request. */
static const char *nl_vm_name(struct genl_info *info)
{
	if (info->attrs[CPR_A_VM_NAME])
		return nla_data(info->attrs[CPR_A_VM_NAME]);
	NL_SET_ERR_MSG(info->extack, "the VM's name must be given");
	return NULL;
}

/* ---- operations: the region ---- */

static int nl_fill_region(struct sk_buff *reply, struct genl_info *info)
{
	void *header = genlmsg_put_reply(reply, info, &cpr_nl_family, 0, CPR_CMD_REGION_GET);

	if (!header)
		return -EMSGSIZE;
	guard(cpr)(nl_region);
	return nl_finish(reply, header, nl_put_region(reply, nl_region));
}

int cpr_nl_region_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);

	if (!reply)
		return -ENOMEM;
	return nl_reply(reply, info, nl_fill_region(reply, info));
}

int cpr_nl_region_format_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *label = info->attrs[CPR_A_REGION_LABEL];
	struct cpr *c = nl_region;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, CPR_A_REGION_START) ||
	    GENL_REQ_ATTR_CHECK(info, CPR_A_REGION_SIZE)) {
		NL_SET_ERR_MSG(info->extack, "start and size of the region must be given");
		return -EINVAL;
	}
	if (nla_get_u64(info->attrs[CPR_A_REGION_START]) != c->region.start ||
	    nla_get_u64(info->attrs[CPR_A_REGION_SIZE]) != c->region.size) {
		NL_SET_ERR_MSG(info->extack, "start and size are not those of the region that the module owns");
		return -EINVAL;
	}
	err = cpr_image_create(c, label ? nla_data(label) : "",
			       info->attrs[CPR_A_REGION_FORCE], info->extack);
	cpr_hold_update();
	return err;
}

/* ---- operations: VMs ---- */

static int nl_fill_vm(struct sk_buff *reply, struct genl_info *info, const char *name)
{
	struct cpr_node *dir;
	void *header;

	guard(cpr)(nl_region);

	dir = cpr_vm_find(nl_region, name, info->extack);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	header = genlmsg_put_reply(reply, info, &cpr_nl_family, 0, CPR_CMD_VM_GET);
	if (!header)
		return -EMSGSIZE;
	return nl_finish(reply, header, nl_put_vm(reply, nl_region, dir));
}

int cpr_nl_vm_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	const char *name = nl_vm_name(info);
	struct sk_buff *reply;

	if (!name)
		return -EINVAL;
	reply = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	return nl_reply(reply, info, nl_fill_vm(reply, info, name));
}

static int nl_dump_vm(struct sk_buff *skb, struct netlink_callback *cb,
		      const struct cpr_node *dir)
{
	void *header = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				   &cpr_nl_family, NLM_F_MULTI, CPR_CMD_VM_GET);

	if (!header)
		return -EMSGSIZE;
	return nl_finish(skb, header, nl_put_vm(skb, nl_region, dir));
}

/* The position in the dump is an inode number, as for readdir. */
int cpr_nl_vm_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	unsigned long ino = cb->args[0];
	struct cpr *c = nl_region;
	struct cpr_node *dir;

	guard(cpr)(c);

	if (!c->formatted)
		return 0;
	xa_for_each_start(&c->root->by_ino, ino, dir, cb->args[0]) {
		int err = S_ISDIR(dir->type) ? nl_dump_vm(skb, cb, dir) : 0;

		if (err)
			return skb->len ?: err;
		cb->args[0] = ino + 1;
	}
	return skb->len;
}

/* A step may change what is to be held. The reply is sent when that is done. */
static int nl_step(struct genl_info *info, struct cpr_vm_step *ask)
{
	int err;

	ask->cmd = info->genlhdr->cmd;
	ask->name = nl_vm_name(info);
	if (!ask->name)
		return -EINVAL;
	err = ask->revoke ? cpr_revoke_step(nl_region, ask, info->extack) :
			    cpr_vm_step(nl_region, ask, info->extack);
	if (!err)
		cpr_hold_update();
	return err;
}

static int nl_get_digest(struct genl_info *info, int type, u16 flag, u8 *digest, u16 *flags)
{
	const struct nlattr *attr = info->attrs[type];

	if (!attr)
		return 0;
	nla_memcpy(digest, attr, CPR_IMAGE_DIGEST_LEN);
	if (!memchr_inv(digest, 0, CPR_IMAGE_DIGEST_LEN)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "a digest of zeros means none; leave it out");
		return -EINVAL;
	}
	*flags |= flag;
	return 0;
}

static int nl_step_with_digests(struct genl_info *info)
{
	struct cpr_vm_step ask = { .revoke = info->attrs[CPR_A_VM_REVOKE] };
	struct cpr_digests *d = &ask.digests;
	int err;

	err = nl_get_digest(info, CPR_A_VM_MANIFEST_DIGEST, CPR_IMAGE_VM_MANIFEST_DIGEST,
			    d->manifest, &d->flags);
	if (!err)
		err = nl_get_digest(info, CPR_A_VM_RAM_DIGEST, CPR_IMAGE_VM_RAM_DIGEST,
				    d->ram, &d->flags);
	if (!err)
		err = nl_step(info, &ask);
	return err;
}

static unsigned int nl_count(struct genl_info *info, int type)
{
	unsigned int nr = 0;
	struct nlattr *attr;
	int rem;

	nlmsg_for_each_attr_type(attr, type, info->nlhdr, GENL_HDRLEN, rem)
		nr++;
	return nr;
}

static void nl_free_names(char **names, unsigned int nr)
{
	while (nr--)
		kfree(names[nr]);
	kvfree(names);
}

/* Copy the names in a request, which may lack the terminating NUL. */
static char **nl_copy_names(struct genl_info *info, int type, unsigned int *nr)
{
	struct nlattr *attr;
	char **names;
	int rem;

	*nr = 0;
	names = kvcalloc(nl_count(info, type), sizeof(*names), GFP_KERNEL);
	if (!names)
		return NULL;
	nlmsg_for_each_attr_type(attr, type, info->nlhdr, GENL_HDRLEN, rem) {
		names[*nr] = nla_strdup(attr, GFP_KERNEL);
		if (!names[*nr]) {
			nl_free_names(names, *nr);
			return NULL;
		}
		++*nr;
	}
	return names;
}

int cpr_nl_vm_pin_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct cpr_vm_step ask = {};
	char **names = nl_copy_names(info, CPR_A_VM_MEMORY_FILE, &ask.nr_files);
	int err;

	if (!names)
		return -ENOMEM;
	ask.files = (const char *const *)names;
	err = nl_step(info, &ask);
	nl_free_names(names, ask.nr_files);
	return err;
}

int cpr_nl_vm_save_doit(struct sk_buff *skb, struct genl_info *info)
{
	return nl_step(info, &(struct cpr_vm_step){});
}

int cpr_nl_vm_seal_doit(struct sk_buff *skb, struct genl_info *info)
{
	return nl_step_with_digests(info);
}

int cpr_nl_vm_claim_doit(struct sk_buff *skb, struct genl_info *info)
{
	return nl_step(info, &(struct cpr_vm_step){});
}

int cpr_nl_vm_unclaim_doit(struct sk_buff *skb, struct genl_info *info)
{
	return nl_step_with_digests(info);
}

int cpr_nl_vm_unpin_doit(struct sk_buff *skb, struct genl_info *info)
{
	return nl_step(info, &(struct cpr_vm_step){
		.revoke = info->attrs[CPR_A_VM_REVOKE],
	});
}

/* More frames than a region can have are more than can be promised, too. */
static u32 nl_frames(u64 bytes)
{
	u64 frames = (bytes >> CPR_IMAGE_FRAME_SHIFT) + !!(bytes % CPR_IMAGE_FRAME_SIZE);

	return min_t(u64, frames, CPR_IMAGE_MAX_FRAMES);
}

int cpr_nl_vm_room_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *bytes = info->attrs[CPR_A_VM_ROOM_BYTES];
	const struct nlattr *names = info->attrs[CPR_A_VM_ROOM_NAMES];
	const char *name = nl_vm_name(info);
	struct cpr_room_limit limit = {};

	if (!name)
		return -EINVAL;
	if (!bytes != !names) {
		NL_SET_ERR_MSG(info->extack, "a room needs both bytes and names");
		return -EINVAL;
	}
	if (bytes) {
		limit.frames = nl_frames(nla_get_u64(bytes));
		limit.names = nla_get_u32(names);
	}
	return cpr_vm_set_room(nl_region, name, limit, info->extack);
}

/* ---- operations: snapshots ---- */

static void nl_put_files(struct file **files, u32 nr)
{
	while (nr--)
		fput(files[nr]);
	kvfree(files);
}

/* Get the caller's files, which stay open during the request. */
static struct file **nl_get_files(struct genl_info *info, u32 *nr)
{
	struct nlattr *attr;
	struct file **files;
	int rem;

	*nr = 0;
	files = kvcalloc(nl_count(info, CPR_A_VM_FILE), sizeof(*files), GFP_KERNEL);
	if (!files)
		return ERR_PTR(-ENOMEM);
	nlmsg_for_each_attr_type(attr, CPR_A_VM_FILE, info->nlhdr, GENL_HDRLEN, rem) {
		files[*nr] = fget(nla_get_u32(attr));
		if (!files[*nr]) {
			NL_SET_ERR_MSG_FMT(info->extack, "file descriptor %u is not open",
					   nla_get_u32(attr));
			nl_put_files(files, *nr);
			return ERR_PTR(-EBADF);
		}
		++*nr;
	}
	return files;
}

static int nl_put_difference(struct sk_buff *skb, const struct cpr_pci *device,
			     const struct cpr_dma_diff *diff)
{
	struct nlattr *nest = nla_nest_start(skb, CPR_A_VM_DIFFERENCE);

	if (!nest)
		return -EMSGSIZE;
	if (nl_put_pci(skb, CPR_A_DIFFERENCE_DEVICE, device) ||
	    nla_put_u32(skb, CPR_A_DIFFERENCE_KIND, diff->kind) ||
	    nla_put_u64_64bit(skb, CPR_A_DIFFERENCE_IOVA, diff->iova, 0) ||
	    nla_put_u64_64bit(skb, CPR_A_DIFFERENCE_LENGTH, diff->length, 0) ||
	    (diff->expected &&
	     nla_put_u64_64bit(skb, CPR_A_DIFFERENCE_EXPECTED, diff->expected, 0)) ||
	    (diff->found &&
	     nla_put_u64_64bit(skb, CPR_A_DIFFERENCE_FOUND, diff->found, 0))) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

static int nl_put_differences(struct sk_buff *skb, const struct cpr_dma_report *r)
{
	u32 shown = min_t(u32, r->differences, ARRAY_SIZE(r->first));

	if (nla_put_u32(skb, CPR_A_VM_DIFFERENCES, r->differences))
		return -EMSGSIZE;
	for (u32 i = 0; i < shown; i++)
		if (nl_put_difference(skb, &r->first[i].device, &r->first[i].diff))
			return -EMSGSIZE;
	return 0;
}

typedef int (*nl_dma_fn)(struct cpr *c, const struct cpr_dma_request *ask,
			 struct cpr_dma_report *report, struct netlink_ext_ack *extack);

/* Carry out a request with the caller's files. */
static int nl_ask_dma(struct genl_info *info, struct cpr_dma_request *ask,
		      nl_dma_fn fn, struct cpr_dma_report *report)
{
	struct file **files;
	int err;

	ask->name = nl_vm_name(info);
	if (!ask->name)
		return -EINVAL;
	ask->full = info->attrs[CPR_A_VM_FULL];
	files = nl_get_files(info, &ask->nr_files);
	if (IS_ERR(files))
		return PTR_ERR(files);
	ask->files = files;
	err = fn(nl_region, ask, report, info->extack);
	nl_put_files(files, ask->nr_files);
	return err;
}

typedef int (*nl_put_fn)(struct sk_buff *skb, const struct cpr_dma_report *r);

static int nl_fill_dma(struct sk_buff *reply, struct genl_info *info, const char *name,
		       const struct cpr_dma_report *report, nl_put_fn put)
{
	void *header = genlmsg_put_reply(reply, info, &cpr_nl_family, 0, info->genlhdr->cmd);

	if (!header || nla_put_string(reply, CPR_A_VM_NAME, name))
		return -EMSGSIZE;
	return nl_finish(reply, header, put(reply, report));
}

/* The reply is allocated first: what is done must not be reported as failed. */
static int nl_do_dma(struct genl_info *info, struct cpr_dma_request *ask, nl_dma_fn fn,
		     struct cpr_dma_report *report, nl_put_fn put)
{
	struct sk_buff *reply = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	int err;

	if (!reply)
		return -ENOMEM;
	err = nl_ask_dma(info, ask, fn, report);
	if (!err)
		err = nl_fill_dma(reply, info, ask->name, report, put);
	return nl_reply(reply, info, err);
}

int cpr_nl_vm_snapshot_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct cpr_dma_report *report __free(kfree) = kzalloc(sizeof(*report), GFP_KERNEL);
	struct cpr_dma_request ask = {};
	char **names;
	int err = -EINVAL;

	if (!report)
		return -ENOMEM;
	names = nl_copy_names(info, CPR_A_VM_DEVICE, &ask.nr_devices);
	if (!names)
		return -ENOMEM;
	ask.devices = (const char *const *)names;
	if (ask.nr_devices)
		err = nl_do_dma(info, &ask, cpr_dma_snapshot, report, nl_put_report);
	else
		NL_SET_ERR_MSG(info->extack, "no device is named");
	nl_free_names(names, ask.nr_devices);
	return err;
}

static int nl_put_verified(struct sk_buff *skb, const struct cpr_dma_report *r)
{
	if (nl_put_report(skb, r) ||
	    (r->next && nla_put_u64_64bit(skb, CPR_A_VM_WINDOW_NEXT, r->next, 0)))
		return -EMSGSIZE;
	return nl_put_differences(skb, r);
}

static u64 nl_u64(struct genl_info *info, int attr)
{
	return info->attrs[attr] ? nla_get_u64(info->attrs[attr]) : 0;
}

int cpr_nl_vm_verify_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct cpr_dma_report *report __free(kfree) = kzalloc(sizeof(*report), GFP_KERNEL);
	struct cpr_dma_request ask = {
		.start = nl_u64(info, CPR_A_VM_WINDOW_START),
		.length = nl_u64(info, CPR_A_VM_WINDOW_LENGTH),
	};

	if (!report)
		return -ENOMEM;
	return nl_do_dma(info, &ask, cpr_dma_verify, report, nl_put_verified);
}

/* ---- operations: devices ---- */

int cpr_nl_vm_release_doit(struct sk_buff *skb, struct genl_info *info)
{
	const char *name = nl_vm_name(info);

	return name ? cpr_hold_release(name, info->extack) : -EINVAL;
}

int cpr_nl_device_release_doit(struct sk_buff *skb, struct genl_info *info)
{
	char address[CPR_DEVICE_ADDRESS_MAX + 1];

	if (GENL_REQ_ATTR_CHECK(info, CPR_A_DEVICE_ADDRESS)) {
		NL_SET_ERR_MSG(info->extack, "the address of the device must be given");
		return -EINVAL;
	}
	nla_strscpy(address, info->attrs[CPR_A_DEVICE_ADDRESS], sizeof(address));
	return cpr_hold_give_up(address, info->extack);
}

static int nl_dump_device(struct sk_buff *skb, struct netlink_callback *cb,
			  const struct cpr_node *dir, const struct cpr_device *d)
{
	void *header = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				   &cpr_nl_family, NLM_F_MULTI, CPR_CMD_DEVICE_GET);

	if (!header)
		return -EMSGSIZE;
	return nl_finish(skb, header, nl_put_device(skb, dir, d));
}

/* The position in the dump is the inode number of a VM and the number of its device. */
int cpr_nl_device_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	unsigned long ino = cb->args[0];
	struct cpr *c = nl_region;
	struct cpr_node *dir;

	guard(cpr)(c);

	if (!c->formatted)
		return 0;
	xa_for_each_start(&c->root->by_ino, ino, dir, cb->args[0]) {
		const struct cpr_dma *dma = dir->vm ? dir->vm->dma : NULL;

		if (ino != cb->args[0])
			cb->args[1] = 0;
		cb->args[0] = ino;
		for (; dma && cb->args[1] < dma->nr_devices; cb->args[1]++) {
			int err = nl_dump_device(skb, cb, dir, &dma->devices[cb->args[1]]);

			if (err)
				return skb->len ?: err;
		}
	}
	/* The next call finds nothing after this position, which ends the dump. */
	cb->args[0] = ULONG_MAX;
	return skb->len;
}

/* ---- events ---- */

static const u8 nl_event_cmds[] = {
	[CPR_EVENT_REGION]	= CPR_CMD_REGION_NTF,
	[CPR_EVENT_VM]		= CPR_CMD_VM_NTF,
	[CPR_EVENT_DEVICE]	= CPR_CMD_DEVICE_NTF,
};

static int nl_put_event(struct sk_buff *skb, enum cpr_event_type type,
			const struct cpr_event *event)
{
	switch (type) {
	case CPR_EVENT_REGION:
		return nl_put_region(skb, event->c);
	case CPR_EVENT_VM:
		return nl_put_vm(skb, event->c, event->dir);
	case CPR_EVENT_DEVICE:
		return nl_put_device(skb, event->dir, event->device);
	}
	return -EINVAL;
}

/* If a notification is lost, the listener sees the new state at its next request. */
static int nl_on_event(struct notifier_block *nb, unsigned long type, void *data)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *header;

	if (!skb)
		return NOTIFY_DONE;
	header = genlmsg_put(skb, 0, 0, &cpr_nl_family, 0, nl_event_cmds[type]);
	if (header && !nl_finish(skb, header, nl_put_event(skb, type, data)))
		genlmsg_multicast(&cpr_nl_family, skb, 0, CPR_NLGRP_MONITOR, GFP_KERNEL);
	else
		nlmsg_free(skb);
	return NOTIFY_DONE;
}

static struct notifier_block nl_listener = {
	.notifier_call = nl_on_event,
};

/* The generator of netlink_gen.c has no way to state the flags of a group. */
static const struct genl_multicast_group nl_groups[] = {
	[CPR_NLGRP_MONITOR] = {
		.name	= CPR_MCGRP_MONITOR,
		.flags	= GENL_MCAST_CAP_SYS_ADMIN,
	},
};

/**
 * cpr_netlink_init - offer the region by netlink
 * @c: the region
 *
 * Return: 0 or a negative errno.
 */
int cpr_netlink_init(struct cpr *c)
{
	int err;

	nl_region = c;
	/* Nor has it one to keep a family out of other network namespaces. */
	cpr_nl_family.netnsok = false;
	cpr_nl_family.mcgrps = nl_groups;
	err = genl_register_family(&cpr_nl_family);
	if (err)
		return err;
	err = cpr_events_register(c, &nl_listener);
	if (err)
		genl_unregister_family(&cpr_nl_family);
	return err;
}

/**
 * cpr_netlink_exit - undo cpr_netlink_init()
 */
void cpr_netlink_exit(void)
{
	cpr_events_unregister(nl_region, &nl_listener);
	genl_unregister_family(&cpr_nl_family);
}
