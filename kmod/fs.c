// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: cprfs
 *
 * The file system on the region. The module has one region, so there is one
 * superblock, however often cprfs is mounted. The tree of names exists whether cprfs
 * is mounted or not; mounting only gives it inodes.
 *
 * Locking: cpr->lock protects cpr->sb. Two operations of the superblock are reached
 * from direct reclaim and must not take cpr->lock. One is ->dirty_inode, by the last
 * iput() of an inode with lazytime. The other is ->evict_inode, when the inode cache
 * shrinks: such an inode has a name. An inode whose name is gone is evicted by its last
 * iput(), which is a task's own; only a removed directory may be put by reclaim, with
 * a negative dentry that was left in it, and a directory has no frames to free.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/statfs.h>

#include "events.h"
#include "fs.h"
#include "inode.h"
#include "mapping.h"
#include "scrub.h"
#include "space.h"
#include "store.h"

#define CPRFS_MAGIC	0x43505246	/* "CPRF" */

/* Set by cpr_fs_init(): the VFS passes no region to ->init_fs_context. */
static struct cpr *fs_region;

static struct cpr *fs_cpr(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static int fs_statfs(struct dentry *dentry, struct kstatfs *st)
{
	struct cpr *c = fs_cpr(dentry->d_sb);
	const u64 per_frame = CPR_IMAGE_FRAME_SIZE / PAGE_SIZE;

	guard(cpr)(c);

	st->f_type = CPRFS_MAGIC;
	st->f_bsize = PAGE_SIZE;
	st->f_blocks = cpr_frames_total(&c->frames) * per_frame;
	/* A file that needs space waits for frames that are freed or being scrubbed. */
	st->f_bfree = (cpr_frames_free(&c->frames) +
		       c->frames.count[CPR_FRAME_FREED] +
		       c->frames.count[CPR_FRAME_SCRUBBING]) * per_frame;
	/* For a directory that is promised none. */
	st->f_bavail = st->f_bfree - min_t(u64, st->f_bfree, c->promised * per_frame);
	st->f_ffree = cpr_room_names_free(c);
	st->f_files = st->f_ffree + c->catalog_used / cpr_catalog_node_size(1);
	st->f_namelen = CPR_IMAGE_NAME_MAX;
	memcpy(&st->f_fsid, c->geo.uuid, sizeof(st->f_fsid));
	return 0;
}

static int fs_sync(struct super_block *sb, int wait)
{
	return wait ? cpr_store_sync(fs_cpr(sb)) : 0;
}

/* There is no writeback of inodes: the next commit saves their attributes. */
static void fs_dirty_inode(struct inode *inode, int flags)
{
	cpr_dirty(inode_cpr(inode));
}

static void fs_evict_inode(struct inode *inode)
{
	struct cpr_node *node = inode_node(inode);
	struct cpr *c = inode_cpr(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	/* The inode behind a mapping has no node, nor has an inode that failed early. */
	if (!node)
		return;
	cpr_mapping_evict(c, node);
	if (node->parent)
		return;
	if (node->nr_frames) {
		scoped_guard(cpr, c)
			cpr_space_drop(c, node, 0, U32_MAX);
	}
	cpr_node_free(node);
}

static const struct super_operations fs_super_ops = {
	.statfs		= fs_statfs,
	.sync_fs	= fs_sync,
	.dirty_inode	= fs_dirty_inode,
	.evict_inode	= fs_evict_inode,
};

/* While cpr->sb is set, the region cannot be formatted. */
static int fs_claim_region(struct super_block *sb, struct fs_context *fc)
{
	struct cpr *c = fs_cpr(sb);

	guard(cpr)(c);

	if (!c->formatted) {
		errorf(fc, "cprfs: the region is not formatted; run 'cpr-helper format'");
		return -ENODATA;
	}
	c->sb = sb;
	return 0;
}

static int fs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *root;
	int err;

	err = fs_claim_region(sb, fc);
	if (err)
		return err;
	sb->s_op = &fs_super_ops;
	sb->s_magic = CPRFS_MAGIC;
	sb->s_maxbytes = min_t(loff_t, MAX_LFS_FILESIZE,
			       (loff_t)U32_MAX << CPR_IMAGE_FRAME_SHIFT);
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_time_gran = 1;
	sb->s_iflags |= SB_I_NODEV | SB_I_NOEXEC;

	root = cpr_inode_get(sb, fs_cpr(sb)->root);
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int fs_get_tree(struct fs_context *fc)
{
	int err = get_tree_single(fc, fs_fill_super);

	if (err)
		return err;
	scoped_guard(cpr, fs_region)
		cpr_event_region(fs_region);
	return 0;
}

static const struct fs_context_operations fs_context_ops = {
	.get_tree	= fs_get_tree,
};

static int fs_init_context(struct fs_context *fc)
{
	fc->ops = &fs_context_ops;
	fc->s_fs_info = fs_region;
	return 0;
}

static void fs_kill_sb(struct super_block *sb)
{
	struct cpr *c = fs_region;

	kill_anon_super(sb);
	scoped_guard(cpr, c) {
		/* Not so if the region was not formatted. */
		if (c->sb != sb)
			return;
		cpr_commit_locked(c);
		c->sb = NULL;
		/* Before the mount's reference on the module is dropped. */
		cpr_scrub_pins_locked(c);
		cpr_event_region(c);
	}
	cpr_scrub_kick(c);
}

static struct file_system_type fs_type = {
	.owner			= THIS_MODULE,
	.name			= "cprfs",
	.init_fs_context	= fs_init_context,
	.kill_sb		= fs_kill_sb,
};
MODULE_ALIAS_FS("cprfs");

/**
 * cpr_fs_init - offer the region to mount
 * @c: the region
 *
 * Return: 0 or a negative errno.
 */
int cpr_fs_init(struct cpr *c)
{
	fs_region = c;
	return register_filesystem(&fs_type);
}

/**
 * cpr_fs_exit - undo cpr_fs_init()
 */
void cpr_fs_exit(void)
{
	unregister_filesystem(&fs_type);
}
