// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Inodes and names
 *
 * The tree as the VFS sees it. A new inode takes its attributes from the node; the
 * node gets them back when the inode is evicted. Memory of guests needs no hard
 * links, symbolic links or special files, so the VFS refuses these with EPERM.
 *
 * Locking: the VFS holds the inode locks of the directories; cpr->lock is taken inside
 * to read or change the tree. While a directory is locked, no name of it is removed,
 * so a node that was looked up stays. The section that changes names or attributes also
 * asks the VM, and changes the times: a commit has all of the change or nothing, and no
 * step of the VM comes in between.
 */
#include <linux/fs.h>

#include "dir.h"
#include "file.h"
#include "inode.h"
#include "opens.h"
#include "tree.h"
#include "vm.h"

static const struct inode_operations inode_file_iops;
static const struct inode_operations inode_dir_iops;

static void inode_from_node(struct inode *inode, struct cpr_node *node)
{
	const struct cpr_attr *attr = &node->attr;

	inode->i_mode = attr->mode;
	inode->i_uid = attr->uid;
	inode->i_gid = attr->gid;
	inode_set_atime_to_ts(inode, attr->atime);
	inode_set_mtime_to_ts(inode, attr->mtime);
	inode_set_ctime_to_ts(inode, attr->ctime);
	inode->i_private = node;
	if (S_ISDIR(node->type)) {
		set_nlink(inode, 2 + node->subdirs);
		inode->i_op = &inode_dir_iops;
		inode->i_fop = &cpr_dir_fops;
	} else {
		set_nlink(inode, 1);
		inode->i_size = attr->size;
		inode->i_op = &inode_file_iops;
		inode->i_fop = &cpr_file_fops;
	}
}

/**
 * cpr_inode_get - the inode of a node
 * @sb: cprfs
 * @node: a node whose directory is locked
 *
 * Return: the inode, referenced, or ERR_PTR of -ENOMEM.
 */
struct inode *cpr_inode_get(struct super_block *sb, struct cpr_node *node)
{
	struct inode *inode = iget_locked(sb, node->ino);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (inode_state_read_once(inode) & I_NEW) {
		struct cpr *c = inode_cpr(inode);

		scoped_guard(cpr, c) {
			inode_from_node(inode, node);
			cpr_node_set_inode(c, node, inode);
		}
		unlock_new_inode(inode);
	}
	return inode;
}

static struct dentry *inode_lookup(struct inode *dir, struct dentry *dentry,
				   unsigned int flags)
{
	struct inode *inode = NULL;
	struct cpr_node *node;

	if (dentry->d_name.len > CPR_IMAGE_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	scoped_guard(cpr, inode_cpr(dir))
		node = cpr_node_find(inode_node(dir), dentry->d_name.name,
				     dentry->d_name.len);
	if (node)
		inode = cpr_inode_get(dir->i_sb, node);
	return d_splice_alias(inode, dentry);
}

static void inode_changed_names(struct inode *dir)
{
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
}

/* As inode_init_owner(), but there is no inode yet. */
static struct cpr_attr inode_new_attr(struct mnt_idmap *idmap, struct inode *dir, umode_t mode)
{
	struct timespec64 now = current_time(dir);
	struct cpr_attr attr = {
		.mode = mode,
		.uid = mapped_fsuid(idmap, i_user_ns(dir)),
		.gid = mapped_fsgid(idmap, i_user_ns(dir)),
		.atime = now,
		.mtime = now,
		.ctime = now,
	};

	if (dir->i_mode & S_ISGID) {
		attr.gid = dir->i_gid;
		if (S_ISDIR(mode))
			attr.mode |= S_ISGID;
	}
	return attr;
}

/* @inode is new, and becomes that of the new node. On an error nothing has changed. */
static int inode_make_node(struct inode *dir, const struct qstr *name,
			   const struct cpr_attr *attr, struct inode *inode)
{
	struct cpr *c = inode_cpr(dir);
	struct cpr_node *node;
	int err;

	guard(cpr)(c);

	err = cpr_vm_may(inode_node(dir), CPR_ACT_WRITE);
	if (err)
		return err;
	node = cpr_node_new(c, inode_node(dir), name->name, name->len, attr);
	if (IS_ERR(node))
		return PTR_ERR(node);
	inode->i_ino = node->ino;
	inode_from_node(inode, node);
	cpr_node_set_inode(c, node, inode);
	inode_changed_names(dir);
	return 0;
}

/* The directory is locked, so nobody looks for the inode before it is hashed. */
static int inode_make(struct mnt_idmap *idmap, struct inode *dir,
		      struct dentry *dentry, umode_t mode)
{
	const struct cpr_attr attr = inode_new_attr(idmap, dir, mode);
	struct inode *inode = new_inode(dir->i_sb);
	int err;

	if (!inode)
		return -ENOMEM;
	err = inode_make_node(dir, &dentry->d_name, &attr, inode);
	if (err) {
		iput(inode);
		return err;
	}
	lockdep_annotate_inode_mutex_key(inode);
	insert_inode_hash(inode);
	if (S_ISDIR(mode))
		inc_nlink(dir);
	d_instantiate(dentry, inode);
	return 0;
}

static int inode_create(struct mnt_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode)
{
	return inode_make(idmap, dir, dentry, mode | S_IFREG);
}

static struct dentry *inode_mkdir(struct mnt_idmap *idmap, struct inode *dir,
				  struct dentry *dentry, umode_t mode)
{
	return ERR_PTR(inode_make(idmap, dir, dentry, mode | S_IFDIR));
}

static void inode_unlinked(struct inode *dir, struct inode *inode)
{
	if (S_ISDIR(inode->i_mode)) {
		drop_nlink(inode);
		drop_nlink(dir);
	}
	drop_nlink(inode);
	inode_changed_names(dir);
	inode_set_ctime_current(inode);
}

static int inode_unlink(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);
	struct cpr *c = inode_cpr(dir);
	int err;

	guard(cpr)(c);

	err = cpr_vm_may(inode_node(inode), CPR_ACT_REMOVE);
	if (!err && !RB_EMPTY_ROOT(&inode_node(inode)->children))
		err = -ENOTEMPTY;
	if (err)
		return err;
	cpr_node_remove(c, inode_node(inode));
	inode_unlinked(dir, inode);
	return 0;
}

static int inode_may_rename(struct inode *inode, struct inode *dir, struct inode *replaced)
{
	int err = cpr_vm_may(inode_node(inode), CPR_ACT_REMOVE);

	if (!err)
		err = cpr_vm_may(inode_node(dir), CPR_ACT_WRITE);
	if (!err && replaced)
		err = cpr_vm_may(inode_node(replaced), CPR_ACT_REMOVE);
	if (!err && replaced && !RB_EMPTY_ROOT(&inode_node(replaced)->children))
		err = -ENOTEMPTY;
	return err;
}

static int inode_rename(struct mnt_idmap *idmap, struct inode *old_dir,
			struct dentry *old_dentry, struct inode *new_dir,
			struct dentry *new_dentry, unsigned int flags)
{
	struct inode *inode = d_inode(old_dentry);
	struct inode *replaced = d_inode(new_dentry);
	struct cpr *c = inode_cpr(inode);
	int err;

	if (flags & ~RENAME_NOREPLACE)
		return -EINVAL;

	guard(cpr)(c);

	err = inode_may_rename(inode, new_dir, replaced);
	if (!err)
		err = cpr_node_rename(c, inode_node(inode), inode_node(new_dir),
				      new_dentry->d_name.name, new_dentry->d_name.len);
	if (err)
		return err;
	if (replaced)
		inode_unlinked(new_dir, replaced);
	if (S_ISDIR(inode->i_mode) && old_dir != new_dir) {
		drop_nlink(old_dir);
		inc_nlink(new_dir);
	}
	inode_changed_names(old_dir);
	inode_changed_names(new_dir);
	inode_set_ctime_current(inode);
	return 0;
}

static int inode_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			 struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	bool resize = attr->ia_valid & ATTR_SIZE && attr->ia_size != i_size_read(inode);
	int err;

	err = setattr_prepare(idmap, dentry, attr);
	if (!err && attr->ia_valid & ATTR_FILE && cpr_opens_revoked(attr->ia_file))
		err = -EIO;
	if (err)
		return err;
	if (resize) {
		err = cpr_file_resize(inode, attr->ia_size);
		if (err)
			return err;
	}

	guard(cpr)(inode_cpr(inode));

	err = cpr_vm_may(inode_node(inode), CPR_ACT_WRITE);
	if (err)
		return err;
	/* Truncation to the same size is a change, too. */
	if (attr->ia_valid & ATTR_SIZE)
		inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
	setattr_copy(idmap, inode, attr);
	mark_inode_dirty(inode);
	return 0;
}

static int inode_getattr(struct mnt_idmap *idmap, const struct path *path,
			 struct kstat *stat, u32 request_mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);

	generic_fillattr(idmap, request_mask, inode, stat);
	stat->blksize = CPR_IMAGE_FRAME_SIZE;
	stat->blocks = (u64)inode_node(inode)->nr_frames << (CPR_IMAGE_FRAME_SHIFT - 9);
	return 0;
}

static const struct inode_operations inode_file_iops = {
	.setattr	= inode_setattr,
	.getattr	= inode_getattr,
};

CPR_COMPAT_CREATE_OP(inode_create_op, inode_create)
CPR_COMPAT_MKDIR_OP(inode_mkdir_op, inode_mkdir)

static const struct inode_operations inode_dir_iops = {
	.lookup		= inode_lookup,
	.create		= inode_create_op,
	.mkdir		= inode_mkdir_op,
	.unlink		= inode_unlink,
	.rmdir		= inode_unlink,
	.rename		= inode_rename,
	.setattr	= inode_setattr,
	.getattr	= inode_getattr,
};
