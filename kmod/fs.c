// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: cprfs
 *
 * The file system on the region. There is one region, so there is one
 * superblock, however often it is mounted. The names are in tree.c whether
 * cprfs is mounted or not; mounting only gives them inodes.
 *
 * Locking: the superblock comes and goes under cpr->lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/statfs.h>

#include "cpr_internal.h"

static struct cpr *sb_cpr(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static int cpr_statfs(struct dentry *dentry, struct kstatfs *st)
{
	struct cpr *c = sb_cpr(dentry->d_sb);
	const u64 per_frame = CPR_IMAGE_FRAME_SIZE / PAGE_SIZE;

	guard(cpr)(c);

	st->f_type = CPRFS_MAGIC;
	st->f_bsize = PAGE_SIZE;
	st->f_blocks = cpr_frames_total(&c->frames) * per_frame;
	/* Frames on their way to be free are had by whoever waits for them. */
	st->f_bfree = (cpr_frames_free(&c->frames) +
		       c->frames.count[CPR_FRAME_FREED] +
		       c->frames.count[CPR_FRAME_SCRUBBING]) * per_frame;
	st->f_bavail = st->f_bfree;
	st->f_ffree = (cpr_catalog_capacity(&c->geo) - c->catalog_used) /
		      cpr_catalog_node_size(CPR_IMAGE_NAME_MAX);
	st->f_files = st->f_ffree + c->catalog_used / cpr_catalog_node_size(1);
	st->f_namelen = CPR_IMAGE_NAME_MAX;
	memcpy(&st->f_fsid, c->geo.uuid, sizeof(st->f_fsid));
	return 0;
}

static int cpr_sync_fs(struct super_block *sb, int wait)
{
	return cpr_commit(sb_cpr(sb));
}

/* Times and the like: there is no writeback, the catalog takes it all. */
static void cpr_dirty_inode(struct inode *inode, int flags)
{
	struct cpr *c = sb_cpr(inode->i_sb);

	guard(cpr)(c);
	cpr_dirty(c);
}

static void cpr_evict_inode(struct inode *inode)
{
	struct cpr *c = sb_cpr(inode->i_sb);
	struct cpr_node *node = cpr_node(inode);
	bool gone;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	/* Neither the inode behind a mapping nor one that never came to life. */
	if (!node)
		return;
	cpr_mapping_evict(c, node);
	scoped_guard(cpr, c) {
		cpr_node_pull(node);
		node->inode = NULL;
		gone = !node->parent;
	}
	if (!gone)
		return;
	cpr_space_drop(c, node, 0, U32_MAX);
	cpr_node_free(node);
}

static const struct super_operations cpr_super_ops = {
	.statfs		= cpr_statfs,
	.sync_fs	= cpr_sync_fs,
	.dirty_inode	= cpr_dirty_inode,
	.evict_inode	= cpr_evict_inode,
};

/* Once it is claimed for a superblock, the region cannot be formatted. */
static int claim_region(struct super_block *sb, struct fs_context *fc)
{
	guard(cpr)(&cpr);

	if (!cpr.formatted) {
		errorf(fc, "cprfs: the region is not formatted; run 'cpr-helper format'");
		return -ENODATA;
	}
	cpr.sb = sb;
	return 0;
}

static int fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *root;
	int err;

	err = claim_region(sb, fc);
	if (err)
		return err;
	sb->s_fs_info = &cpr;
	sb->s_op = &cpr_super_ops;
	sb->s_magic = CPRFS_MAGIC;
	sb->s_maxbytes = min_t(loff_t, MAX_LFS_FILESIZE,
			       (loff_t)U32_MAX << CPR_IMAGE_FRAME_SHIFT);
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_time_gran = 1;
	sb->s_iflags |= SB_I_NODEV | SB_I_NOEXEC;

	root = cpr_inode_get(sb, cpr.root);
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int get_tree(struct fs_context *fc)
{
	int err = get_tree_single(fc, fill_super);

	if (!err)
		cpr_netlink_notify_region(&cpr);
	return err;
}

static const struct fs_context_operations context_ops = {
	.get_tree	= get_tree,
};

static int init_fs_context(struct fs_context *fc)
{
	fc->ops = &context_ops;
	return 0;
}

static void kill_sb(struct super_block *sb)
{
	kill_anon_super(sb);
	scoped_guard(cpr, &cpr) {
		if (cpr.sb != sb)
			return;
		cpr_commit_locked(&cpr);
		cpr.sb = NULL;
		/* Before the module's reference goes that the mount had. */
		cpr_scrub_pins_locked(&cpr);
	}
	cpr_netlink_notify_region(&cpr);
	cpr_scrub_kick(&cpr);
}

struct file_system_type cprfs_type = {
	.owner			= THIS_MODULE,
	.name			= "cprfs",
	.init_fs_context	= init_fs_context,
	.kill_sb		= kill_sb,
};
MODULE_ALIAS_FS("cprfs");
