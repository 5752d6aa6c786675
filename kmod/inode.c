// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Inodes and names
 *
 * The VFS' view of the tree: an inode takes its attributes from the node when
 * it comes to life and gives them back when it is committed or evicted. Hard
 * links, symbolic links and special files have no use for guests' memory and
 * are refused with EPERM, as the VFS does for a file system without them.
 *
 * Locking: the VFS holds the directories' inode locks; cpr->lock is taken
 * inside for whatever touches the tree. A name cannot go while its directory is
 * locked, so a node that was looked up stays.
 */
#include <linux/fs.h>

#include "cpr_internal.h"

static void init_inode(struct inode *inode, struct cpr_node *node)
{
	inode->i_mode = node->mode;
	inode->i_uid = node->uid;
	inode->i_gid = node->gid;
	inode_set_atime_to_ts(inode, node->atime);
	inode_set_mtime_to_ts(inode, node->mtime);
	inode_set_ctime_to_ts(inode, node->ctime);
	inode->i_private = node;
	if (S_ISDIR(node->mode)) {
		set_nlink(inode, 2 + node->subdirs);
		inode->i_op = &cpr_dir_iops;
		inode->i_fop = &cpr_dir_fops;
	} else {
		set_nlink(inode, 1);
		inode->i_size = node->size;
		inode->i_op = &cpr_file_iops;
		inode->i_fop = &cpr_file_fops;
	}
	node->inode = inode;
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
		scoped_guard(cpr, inode_cpr(inode))
			init_inode(inode, node);
		unlock_new_inode(inode);
	}
	return inode;
}

static struct dentry *cpr_lookup(struct inode *dir, struct dentry *dentry,
				 unsigned int flags)
{
	struct inode *inode = NULL;
	struct cpr_node *node;

	if (dentry->d_name.len > CPR_IMAGE_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	scoped_guard(cpr, inode_cpr(dir))
		node = cpr_node_find(cpr_node(dir), dentry->d_name.name,
				     dentry->d_name.len);
	if (node)
		inode = cpr_inode_get(dir->i_sb, node);
	return d_splice_alias(inode, dentry);
}

static struct cpr_node *make_node(struct inode *dir, const struct qstr *name,
				  umode_t mode)
{
	struct cpr *c = inode_cpr(dir);
	int err;

	guard(cpr)(c);

	err = cpr_vm_may(cpr_node(dir), CPR_ACT_WRITE);
	if (err)
		return ERR_PTR(err);
	return cpr_node_new(c, cpr_node(dir), name->name, name->len, mode);
}

static int make(struct mnt_idmap *idmap, struct inode *dir,
		struct dentry *dentry, umode_t mode)
{
	struct cpr *c = inode_cpr(dir);
	struct cpr_node *node;
	struct inode *inode;

	node = make_node(dir, &dentry->d_name, mode);
	if (IS_ERR(node))
		return PTR_ERR(node);
	inode = cpr_inode_get(dir->i_sb, node);
	if (IS_ERR(inode)) {
		scoped_guard(cpr, c)
			cpr_node_remove(c, node);
		cpr_node_free(node);
		return PTR_ERR(inode);
	}
	inode_init_owner(idmap, inode, dir, mode);
	simple_inode_init_ts(inode);
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
	if (S_ISDIR(mode))
		inc_nlink(dir);
	d_instantiate(dentry, inode);
	return 0;
}

static int cpr_create(struct mnt_idmap *idmap, struct inode *dir,
		      struct dentry *dentry, umode_t mode)
{
	return make(idmap, dir, dentry, mode | S_IFREG);
}

static struct dentry *cpr_mkdir(struct mnt_idmap *idmap, struct inode *dir,
				struct dentry *dentry, umode_t mode)
{
	return ERR_PTR(make(idmap, dir, dentry, mode | S_IFDIR));
}

static void unlinked(struct inode *dir, struct inode *inode)
{
	if (S_ISDIR(inode->i_mode)) {
		drop_nlink(inode);
		drop_nlink(dir);
	}
	drop_nlink(inode);
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
	inode_set_ctime_current(inode);
}

static int cpr_unlink(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);
	struct cpr *c = inode_cpr(dir);
	int err;

	scoped_guard(cpr, c) {
		err = cpr_vm_may(cpr_node(inode), CPR_ACT_REMOVE);
		if (!err && !RB_EMPTY_ROOT(&cpr_node(inode)->children))
			err = -ENOTEMPTY;
		if (err)
			return err;
		cpr_node_remove(c, cpr_node(inode));
	}
	unlinked(dir, inode);
	return 0;
}

static int may_rename(struct inode *inode, struct inode *dir, struct inode *replaced)
{
	int err = cpr_vm_may(cpr_node(inode), CPR_ACT_REMOVE);

	if (!err)
		err = cpr_vm_may(cpr_node(dir), CPR_ACT_WRITE);
	if (!err && replaced)
		err = cpr_vm_may(cpr_node(replaced), CPR_ACT_REMOVE);
	if (!err && replaced && !RB_EMPTY_ROOT(&cpr_node(replaced)->children))
		err = -ENOTEMPTY;
	return err;
}

static int cpr_rename(struct mnt_idmap *idmap, struct inode *old_dir,
		      struct dentry *old_dentry, struct inode *new_dir,
		      struct dentry *new_dentry, unsigned int flags)
{
	struct inode *inode = d_inode(old_dentry);
	struct inode *replaced = d_inode(new_dentry);
	struct cpr *c = inode_cpr(inode);
	int err;

	if (flags & ~RENAME_NOREPLACE)
		return -EINVAL;
	scoped_guard(cpr, c) {
		err = may_rename(inode, new_dir, replaced);
		if (!err)
			err = cpr_node_rename(c, cpr_node(inode), cpr_node(new_dir),
					      new_dentry->d_name.name,
					      new_dentry->d_name.len);
		if (err)
			return err;
	}
	if (replaced)
		unlinked(new_dir, replaced);
	if (S_ISDIR(inode->i_mode) && old_dir != new_dir) {
		drop_nlink(old_dir);
		inc_nlink(new_dir);
	}
	inode_set_mtime_to_ts(old_dir, inode_set_ctime_current(old_dir));
	inode_set_mtime_to_ts(new_dir, inode_set_ctime_current(new_dir));
	inode_set_ctime_current(inode);
	return 0;
}

static int cpr_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		       struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	bool resize = attr->ia_valid & ATTR_SIZE && attr->ia_size != i_size_read(inode);
	int err;

	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	scoped_guard(cpr, inode_cpr(inode)) {
		err = cpr_vm_may(cpr_node(inode),
				 resize ? CPR_ACT_RESIZE : CPR_ACT_WRITE);
		if (err)
			return err;
	}
	if (resize) {
		err = cpr_file_resize(inode, attr->ia_size);
		if (err)
			return err;
	}
	setattr_copy(idmap, inode, attr);
	mark_inode_dirty(inode);
	return 0;
}

static int cpr_getattr(struct mnt_idmap *idmap, const struct path *path,
		       struct kstat *stat, u32 request_mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);

	generic_fillattr(idmap, request_mask, inode, stat);
	stat->blksize = CPR_IMAGE_FRAME_SIZE;
	stat->blocks = (u64)cpr_node(inode)->nr_frames << (CPR_IMAGE_FRAME_SHIFT - 9);
	return 0;
}

const struct inode_operations cpr_file_iops = {
	.setattr	= cpr_setattr,
	.getattr	= cpr_getattr,
};

CPR_COMPAT_CREATE_OP(cpr_create_op, cpr_create)
CPR_COMPAT_MKDIR_OP(cpr_mkdir_op, cpr_mkdir)

const struct inode_operations cpr_dir_iops = {
	.lookup		= cpr_lookup,
	.create		= cpr_create_op,
	.mkdir		= cpr_mkdir_op,
	.unlink		= cpr_unlink,
	.rmdir		= cpr_unlink,
	.rename		= cpr_rename,
	.setattr	= cpr_setattr,
	.getattr	= cpr_getattr,
};
