// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The netlink family
 *
 * Policy and operation table come from Documentation/netlink/specs/cpr.yaml;
 * here are the operations. Whatever is refused says why in the extended
 * acknowledgment. Changes of a VM's state, and of the region as a whole, are
 * told to the multicast group.
 *
 * Locking: the operations take cpr->lock; notifications of VMs are sent with it
 * held, so that they come in the order of what happened.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/file.h>
#include <net/genetlink.h>

#include "cpr_internal.h"
#include "netlink_gen.h"

static_assert(CPR_DIGEST_LEN == CPR_IMAGE_DIGEST_LEN);

/* ---- messages ---- */

static int put_frames(struct sk_buff *skb, const struct cpr *c)
{
	const u32 *count = c->frames.count;

	return nla_put_u32(skb, CPR_A_REGION_FRAME_SIZE, CPR_IMAGE_FRAME_SIZE) ?:
	       nla_put_u32(skb, CPR_A_REGION_FRAMES, cpr_frames_total(&c->frames)) ?:
	       nla_put_u32(skb, CPR_A_REGION_FRAMES_CLEAN, count[CPR_FRAME_CLEAN]) ?:
	       nla_put_u32(skb, CPR_A_REGION_FRAMES_DIRTY,
			   count[CPR_FRAME_DIRTY] + count[CPR_FRAME_SCRUBBING] +
			   count[CPR_FRAME_FREED]) ?:
	       nla_put_u32(skb, CPR_A_REGION_FRAMES_BUSY, count[CPR_FRAME_BUSY]);
}

static int put_image(struct sk_buff *skb, const struct cpr *c)
{
	return nla_put(skb, CPR_A_REGION_UUID, sizeof(c->geo.uuid), c->geo.uuid) ?:
	       nla_put_string(skb, CPR_A_REGION_LABEL, c->geo.label) ?:
	       nla_put_u32(skb, CPR_A_REGION_VERSION,
			   c->geo.major << 16 | c->geo.minor) ?:
	       nla_put_u64_64bit(skb, CPR_A_REGION_GENERATION, c->generation, 0) ?:
	       put_frames(skb, c);
}

/* Where the region lies is as secret as /proc/iomem. */
static int put_region(struct sk_buff *skb, const struct cpr *c, bool privileged)
{
	int err = 0;

	if (privileged)
		err = nla_put_u64_64bit(skb, CPR_A_REGION_START, c->region.start, 0);
	err = err ?:
	      nla_put_u64_64bit(skb, CPR_A_REGION_SIZE, c->region.size, 0) ?:
	      nla_put_u8(skb, CPR_A_REGION_FORMATTED, c->formatted) ?:
	      nla_put_u8(skb, CPR_A_REGION_MOUNTED, !!c->sb);
	if (!err && c->formatted)
		err = put_image(skb, c);
	return err;
}

static int put_memory_files(struct sk_buff *skb, const struct cpr_node *dir)
{
	char name[CPR_IMAGE_NAME_MAX + 1];

	for (struct rb_node *rb = rb_first(&dir->children); rb; rb = rb_next(rb)) {
		const struct cpr_node *node = rb_entry(rb, struct cpr_node, rb);
		int err;

		if (!(node->flags & CPR_IMAGE_NODE_MEMORY))
			continue;
		memcpy(name, node->name, node->name_len);
		name[node->name_len] = 0;
		err = nla_put_string(skb, CPR_A_VM_MEMORY_FILE, name);
		if (err)
			return err;
	}
	return 0;
}

static int put_report(struct sk_buff *skb, const struct cpr_dma_report *r)
{
	return nla_put_u32(skb, CPR_A_VM_DEVICES, r->devices) ?:
	       nla_put_u32(skb, CPR_A_VM_DMA_EXTENTS, r->extents) ?:
	       nla_put_u64_64bit(skb, CPR_A_VM_DMA_BYTES, r->bytes, 0);
}

static int put_snapshot(struct sk_buff *skb, const struct cpr_dma *dma)
{
	struct cpr_dma_report report;

	if (!dma)
		return 0;
	cpr_dma_sum(dma, &report);
	return put_report(skb, &report);
}

static int put_digests(struct sk_buff *skb, const struct cpr_digests *d)
{
	int err = 0;

	if (d->flags & CPR_IMAGE_VM_MANIFEST_DIGEST)
		err = nla_put(skb, CPR_A_VM_MANIFEST_DIGEST, sizeof(d->manifest), d->manifest);
	if (!err && d->flags & CPR_IMAGE_VM_RAM_DIGEST)
		err = nla_put(skb, CPR_A_VM_RAM_DIGEST, sizeof(d->ram), d->ram);
	return err;
}

static int put_vm(struct sk_buff *skb, const struct cpr_node *dir)
{
	char name[CPR_IMAGE_NAME_MAX + 1];
	int err;

	memcpy(name, dir->name, dir->name_len);
	name[dir->name_len] = 0;
	err = nla_put_string(skb, CPR_A_VM_NAME, name) ?:
	      nla_put_u32(skb, CPR_A_VM_STATE, cpr_vm_state(dir)) ?:
	      put_memory_files(skb, dir) ?:
	      nla_put_u64_64bit(skb, CPR_A_VM_MEMORY_BYTES, cpr_vm_memory_bytes(dir), 0) ?:
	      nla_put_u8(skb, CPR_A_VM_MAPPED, cpr_vm_mapped(&cpr, dir));
	if (err || !dir->vm)
		return err;
	return nla_put_u64_64bit(skb, CPR_A_VM_SINCE, dir->vm->since.tv_sec, 0) ?:
	       nla_put_string(skb, CPR_A_VM_KERNEL, dir->vm->kernel) ?:
	       put_digests(skb, &dir->vm->digests) ?:
	       put_snapshot(skb, dir->vm->dma);
}

static int put_identity(struct sk_buff *skb, const struct cpr_catalog_device *id)
{
	return nla_put_u32(skb, CPR_A_DEVICE_VENDOR, id->device << 16 | id->vendor) ?:
	       nla_put_u32(skb, CPR_A_DEVICE_SUBSYSTEM,
			   id->subsystem_device << 16 | id->subsystem_vendor) ?:
	       nla_put_u32(skb, CPR_A_DEVICE_CLASS, id->class) ?:
	       (id->has_serial ? nla_put_u64_64bit(skb, CPR_A_DEVICE_SERIAL, id->serial, 0) : 0) ?:
	       nla_put_u32(skb, CPR_A_DEVICE_DOMAIN, id->dma);
}

static int put_pci(struct sk_buff *skb, int attr, const struct cpr_pci *pci)
{
	char name[CPR_DEVICE_ADDRESS_MAX + 1];

	cpr_pci_name(pci, name);
	return nla_put_string(skb, attr, name);
}

static int put_device_sum(struct sk_buff *skb, const struct cpr_dma_table *t)
{
	struct cpr_dma_sum sum;

	cpr_dma_table_sum(t, &sum);
	return nla_put_u32(skb, CPR_A_DEVICE_EXTENTS, sum.extents[CPR_IMAGE_DMA_REGION]) ?:
	       nla_put_u64_64bit(skb, CPR_A_DEVICE_BYTES, sum.bytes[CPR_IMAGE_DMA_REGION], 0) ?:
	       nla_put_u64_64bit(skb, CPR_A_DEVICE_MMIO_BYTES, sum.bytes[CPR_IMAGE_DMA_MMIO], 0) ?:
	       nla_put_u64_64bit(skb, CPR_A_DEVICE_RAM_BYTES, sum.bytes[CPR_IMAGE_DMA_RAM], 0);
}

static int put_vm_device(struct sk_buff *skb, const struct cpr_node *dir,
			 const struct cpr_device *d)
{
	char name[CPR_IMAGE_NAME_MAX + 1];
	int err;

	memcpy(name, dir->name, dir->name_len);
	name[dir->name_len] = 0;
	err = nla_put_string(skb, CPR_A_DEVICE_VM, name) ?:
	      put_pci(skb, CPR_A_DEVICE_ADDRESS, &d->id.address) ?:
	      put_identity(skb, &d->id) ?:
	      put_device_sum(skb, &dir->vm->dma->tables[d->id.dma]) ?:
	      nla_put_u32(skb, CPR_A_DEVICE_HOLD, d->hold);
	for (u32 i = 0; i < d->id.members && !err; i++)
		err = put_pci(skb, CPR_A_DEVICE_GROUP_MEMBER, &d->members[i]);
	return err ?: *d->reason ? nla_put_string(skb, CPR_A_DEVICE_REASON, d->reason) : 0;
}

/* Close the message if it was filled, or take back what there is of it. */
static int finish(struct sk_buff *skb, void *header, int err)
{
	if (err)
		genlmsg_cancel(skb, header);
	else
		genlmsg_end(skb, header);
	return err;
}

/* ---- operations ---- */

int cpr_nl_region_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	bool privileged = netlink_capable(skb, CAP_NET_ADMIN);
	struct sk_buff *reply = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *header;
	int err;

	if (!reply)
		return -ENOMEM;
	header = genlmsg_put_reply(reply, info, &cpr_nl_family, 0, CPR_CMD_REGION_GET);
	err = header ? 0 : -EMSGSIZE;
	if (!err) {
		guard(cpr)(&cpr);
		err = finish(reply, header, put_region(reply, &cpr, privileged));
	}
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	return genlmsg_reply(reply, info);
}

int cpr_nl_region_format_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *label = info->attrs[CPR_A_REGION_LABEL];
	int err;

	if (GENL_REQ_ATTR_CHECK(info, CPR_A_REGION_START) ||
	    GENL_REQ_ATTR_CHECK(info, CPR_A_REGION_SIZE)) {
		NL_SET_ERR_MSG(info->extack, "start and size of the region must be given");
		return -EINVAL;
	}
	if (nla_get_u64(info->attrs[CPR_A_REGION_START]) != cpr.region.start ||
	    nla_get_u64(info->attrs[CPR_A_REGION_SIZE]) != cpr.region.size) {
		NL_SET_ERR_MSG(info->extack, "start and size are not those of the region that the module owns");
		return -EINVAL;
	}
	err = cpr_image_create(&cpr, label ? nla_data(label) : "",
			       info->attrs[CPR_A_REGION_FORCE], info->extack);
	if (!err)
		cpr_netlink_notify_region(&cpr);
	return err;
}

static const char *name_of(struct genl_info *info)
{
	if (info->attrs[CPR_A_VM_NAME])
		return nla_data(info->attrs[CPR_A_VM_NAME]);
	NL_SET_ERR_MSG(info->extack, "the VM's name must be given");
	return NULL;
}

static int fill_vm_reply(struct sk_buff *reply, struct genl_info *info,
			 const char *name)
{
	struct cpr_node *dir;
	void *header;

	guard(cpr)(&cpr);

	dir = cpr_vm_find(&cpr, name);
	if (!dir) {
		NL_SET_ERR_MSG_FMT(info->extack, "no VM '%.40s' in the region", name);
		return -ENOENT;
	}
	header = genlmsg_put_reply(reply, info, &cpr_nl_family, 0, CPR_CMD_VM_GET);
	return header ? finish(reply, header, put_vm(reply, dir)) : -EMSGSIZE;
}

int cpr_nl_vm_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	const char *name = name_of(info);
	struct sk_buff *reply;
	int err;

	if (!name)
		return -EINVAL;
	reply = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	err = fill_vm_reply(reply, info, name);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	return genlmsg_reply(reply, info);
}

static int dump_vm(struct sk_buff *skb, struct netlink_callback *cb,
		   const struct cpr_node *dir)
{
	void *header = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				   &cpr_nl_family, NLM_F_MULTI, CPR_CMD_VM_GET);

	return header ? finish(skb, header, put_vm(skb, dir)) : -EMSGSIZE;
}

/* The position is an inode number, as for readdir. */
int cpr_nl_vm_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	unsigned long ino = cb->args[0];
	struct cpr_node *dir;

	guard(cpr)(&cpr);

	if (!cpr.formatted)
		return 0;
	xa_for_each_start(&cpr.root->by_ino, ino, dir, cb->args[0]) {
		int err = S_ISDIR(dir->mode) ? dump_vm(skb, cb, dir) : 0;

		if (err)
			return skb->len ?: err;
		cb->args[0] = ino + 1;
	}
	return skb->len;
}

static int step(struct genl_info *info, struct cpr_vm_step *ask)
{
	ask->cmd = info->genlhdr->cmd;
	ask->name = name_of(info);
	return ask->name ? cpr_vm_step(&cpr, ask, info->extack) : -EINVAL;
}

static int read_digest(struct genl_info *info, int type, u16 flag, u8 *digest, u16 *flags)
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

static int step_with_digests(struct genl_info *info)
{
	struct cpr_vm_step ask = {};
	struct cpr_digests *d = &ask.digests;
	int err;

	err = read_digest(info, CPR_A_VM_MANIFEST_DIGEST, CPR_IMAGE_VM_MANIFEST_DIGEST,
			  d->manifest, &d->flags) ?:
	      read_digest(info, CPR_A_VM_RAM_DIGEST, CPR_IMAGE_VM_RAM_DIGEST,
			  d->ram, &d->flags);
	return err ?: step(info, &ask);
}

static void free_names(char **names, unsigned int nr)
{
	while (nr--)
		kfree(names[nr]);
	kvfree(names);
}

/* The names in a request, which need not be terminated there. */
static char **copy_names(struct genl_info *info, int type, unsigned int *nr)
{
	unsigned int max = 0;
	struct nlattr *attr;
	char **names;
	int rem;

	nlmsg_for_each_attr_type(attr, type, info->nlhdr, GENL_HDRLEN, rem)
		max++;
	*nr = 0;
	names = kvcalloc(max ?: 1, sizeof(*names), GFP_KERNEL);
	if (!names)
		return NULL;
	nlmsg_for_each_attr_type(attr, type, info->nlhdr, GENL_HDRLEN, rem) {
		names[*nr] = nla_strdup(attr, GFP_KERNEL);
		if (!names[*nr]) {
			free_names(names, *nr);
			return NULL;
		}
		++*nr;
	}
	return names;
}

int cpr_nl_vm_pin_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct cpr_vm_step ask = {};
	char **names = copy_names(info, CPR_A_VM_MEMORY_FILE, &ask.nr_files);
	int err;

	if (!names)
		return -ENOMEM;
	ask.files = (const char *const *)names;
	err = step(info, &ask);
	free_names(names, ask.nr_files);
	return err;
}

int cpr_nl_vm_save_doit(struct sk_buff *skb, struct genl_info *info)
{
	return step(info, &(struct cpr_vm_step){});
}

int cpr_nl_vm_seal_doit(struct sk_buff *skb, struct genl_info *info)
{
	return step_with_digests(info);
}

int cpr_nl_vm_claim_doit(struct sk_buff *skb, struct genl_info *info)
{
	return step(info, &(struct cpr_vm_step){});
}

int cpr_nl_vm_unclaim_doit(struct sk_buff *skb, struct genl_info *info)
{
	return step_with_digests(info);
}

int cpr_nl_vm_unpin_doit(struct sk_buff *skb, struct genl_info *info)
{
	return step(info, &(struct cpr_vm_step){});
}

/* ---- devices ---- */

static void put_files(struct file **files, u32 nr)
{
	while (nr--)
		fput(files[nr]);
	kvfree(files);
}

/* The caller's files, which stay open while the request lasts. */
static struct file **get_files(struct genl_info *info, u32 *nr)
{
	struct nlattr *attr;
	struct file **files;
	u32 max = 0;
	int rem;

	nlmsg_for_each_attr_type(attr, CPR_A_VM_FILE, info->nlhdr, GENL_HDRLEN, rem)
		max++;
	*nr = 0;
	files = kvcalloc(max ?: 1, sizeof(*files), GFP_KERNEL);
	if (!files)
		return ERR_PTR(-ENOMEM);
	nlmsg_for_each_attr_type(attr, CPR_A_VM_FILE, info->nlhdr, GENL_HDRLEN, rem) {
		files[*nr] = fget(nla_get_u32(attr));
		if (!files[*nr]) {
			NL_SET_ERR_MSG_FMT(info->extack, "file descriptor %u is not open",
					   nla_get_u32(attr));
			put_files(files, *nr);
			return ERR_PTR(-EBADF);
		}
		++*nr;
	}
	return files;
}

static int put_difference(struct sk_buff *skb, const struct cpr_pci *device,
			  const struct cpr_dma_diff *diff)
{
	struct nlattr *nest = nla_nest_start(skb, CPR_A_VM_DIFFERENCE);
	int err;

	if (!nest)
		return -EMSGSIZE;
	err = put_pci(skb, CPR_A_DIFFERENCE_DEVICE, device) ?:
	      nla_put_u32(skb, CPR_A_DIFFERENCE_KIND, diff->kind) ?:
	      nla_put_u64_64bit(skb, CPR_A_DIFFERENCE_IOVA, diff->iova, 0) ?:
	      nla_put_u64_64bit(skb, CPR_A_DIFFERENCE_LENGTH, diff->length, 0);
	if (!err && diff->expected)
		err = nla_put_u64_64bit(skb, CPR_A_DIFFERENCE_EXPECTED, diff->expected, 0);
	if (!err && diff->found)
		err = nla_put_u64_64bit(skb, CPR_A_DIFFERENCE_FOUND, diff->found, 0);
	if (err)
		nla_nest_cancel(skb, nest);
	else
		nla_nest_end(skb, nest);
	return err;
}

static int put_differences(struct sk_buff *skb, const struct cpr_dma_report *r)
{
	u32 shown = min_t(u32, r->differences, ARRAY_SIZE(r->first));
	int err = nla_put_u32(skb, CPR_A_VM_DIFFERENCES, r->differences);

	for (u32 i = 0; i < shown && !err; i++)
		err = put_difference(skb, &r->first[i].device, &r->first[i].diff);
	return err;
}

static int reply_report(struct genl_info *info, const char *name,
			const struct cpr_dma_report *report, bool verify)
{
	struct sk_buff *reply = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *header;
	int err;

	if (!reply)
		return -ENOMEM;
	header = genlmsg_put_reply(reply, info, &cpr_nl_family, 0, info->genlhdr->cmd);
	err = header ? nla_put_string(reply, CPR_A_VM_NAME, name) ?:
		       put_report(reply, report) : -EMSGSIZE;
	if (!err && verify)
		err = put_differences(reply, report);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	genlmsg_end(reply, header);
	return genlmsg_reply(reply, info);
}

typedef int (*dma_fn)(struct cpr *c, const struct cpr_dma_request *ask,
		      struct cpr_dma_report *report, struct netlink_ext_ack *extack);

static int ask_dma(struct genl_info *info, dma_fn fn, const char *const *devices, u32 nr)
{
	struct cpr_dma_report *report __free(kfree) = kzalloc(sizeof(*report), GFP_KERNEL);
	struct cpr_dma_request ask = {
		.name = name_of(info),
		.devices = devices,
		.nr_devices = nr,
		.full = info->attrs[CPR_A_VM_FULL],
	};
	struct file **files;
	int err;

	if (!ask.name)
		return -EINVAL;
	if (!report)
		return -ENOMEM;
	files = get_files(info, &ask.nr_files);
	if (IS_ERR(files))
		return PTR_ERR(files);
	ask.files = files;
	err = fn(&cpr, &ask, report, info->extack);
	put_files(files, ask.nr_files);
	return err ?: reply_report(info, ask.name, report, fn == cpr_dma_verify);
}

int cpr_nl_vm_snapshot_doit(struct sk_buff *skb, struct genl_info *info)
{
	unsigned int nr;
	char **names = copy_names(info, CPR_A_VM_DEVICE, &nr);
	int err = -EINVAL;

	if (!names)
		return -ENOMEM;
	if (nr)
		err = ask_dma(info, cpr_dma_snapshot, (const char *const *)names, nr);
	else
		NL_SET_ERR_MSG(info->extack, "no device is named");
	free_names(names, nr);
	return err;
}

int cpr_nl_vm_verify_doit(struct sk_buff *skb, struct genl_info *info)
{
	return ask_dma(info, cpr_dma_verify, NULL, 0);
}

int cpr_nl_vm_release_doit(struct sk_buff *skb, struct genl_info *info)
{
	const char *name = name_of(info);

	return name ? cpr_hold_release(&cpr, name, info->extack) : -EINVAL;
}

static int dump_device(struct sk_buff *skb, struct netlink_callback *cb,
		       const struct cpr_node *dir, const struct cpr_device *d)
{
	void *header = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				   &cpr_nl_family, NLM_F_MULTI, CPR_CMD_DEVICE_GET);

	return header ? finish(skb, header, put_vm_device(skb, dir, d)) : -EMSGSIZE;
}

/* The position is a VM's inode number, and that of a device of it. */
int cpr_nl_device_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	unsigned long ino = cb->args[0];
	struct cpr_node *dir;

	guard(cpr)(&cpr);

	if (!cpr.formatted)
		return 0;
	xa_for_each_start(&cpr.root->by_ino, ino, dir, cb->args[0]) {
		const struct cpr_dma *dma = dir->vm ? dir->vm->dma : NULL;

		if (ino != cb->args[0])
			cb->args[1] = 0;
		cb->args[0] = ino;
		for (; dma && cb->args[1] < dma->nr_devices; cb->args[1]++) {
			int err = dump_device(skb, cb, dir, &dma->devices[cb->args[1]]);

			if (err)
				return skb->len ?: err;
		}
	}
	/* Beyond the last: what is left is nothing. */
	cb->args[0] = ULONG_MAX;
	return skb->len;
}

/* ---- notifications ---- */

static void notify(u8 cmd, const struct cpr_node *dir)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *header;

	/* A watcher that misses one sees the state when it asks. */
	if (!skb)
		return;
	header = genlmsg_put(skb, 0, 0, &cpr_nl_family, 0, cmd);
	if (!header || finish(skb, header, dir ? put_vm(skb, dir) :
						 put_region(skb, &cpr, false))) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_multicast(&cpr_nl_family, skb, 0, CPR_NLGRP_MONITOR, GFP_KERNEL);
}

/**
 * cpr_netlink_notify_region - tell that the region has changed
 * @c: the region
 */
void cpr_netlink_notify_region(struct cpr *c)
{
	guard(cpr)(c);

	notify(CPR_CMD_REGION_NTF, NULL);
}

/**
 * cpr_netlink_notify_vm - tell that a VM has changed its state
 * @c: the region
 * @dir: directory of the VM
 */
void cpr_netlink_notify_vm(struct cpr *c, const struct cpr_node *dir)
{
	lockdep_assert_held(&c->lock);

	notify(CPR_CMD_VM_NTF, dir);
}

/**
 * cpr_netlink_notify_device - tell that somebody else has a device now
 * @c: the region
 * @dir: directory of its VM
 * @d: the device
 */
void cpr_netlink_notify_device(struct cpr *c, const struct cpr_node *dir,
			       const struct cpr_device *d)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *header;

	lockdep_assert_held(&c->lock);

	if (!skb)
		return;
	header = genlmsg_put(skb, 0, 0, &cpr_nl_family, 0, CPR_CMD_DEVICE_NTF);
	if (!header || finish(skb, header, put_vm_device(skb, dir, d))) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_multicast(&cpr_nl_family, skb, 0, CPR_NLGRP_MONITOR, GFP_KERNEL);
}

int cpr_netlink_init(void)
{
	return genl_register_family(&cpr_nl_family);
}

void cpr_netlink_exit(void)
{
	genl_unregister_family(&cpr_nl_family);
}
