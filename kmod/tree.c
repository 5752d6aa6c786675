// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The tree of names
 *
 * All directories and files of the region. The tree is in memory while the region
 * has an image, whether cprfs is mounted or not; store.c reads it from the catalog
 * and writes it back. Children are in a red-black tree by name, for lookups and for
 * the order of the catalog, and in an xarray by inode number, for readdir.
 *
 * Each name reserves its room in the catalog, so that a commit never finds the slot
 * too small.
 *
 * A node whose inode is in memory lives at least as long as the inode. Meanwhile
 * the inode has the attributes; when it is evicted, the node takes them over.
 *
 * Locking: cpr->lock, but for @attr, @inode and @dax of a node: cpr->inode_lock
 * protects these, because direct reclaim evicts inodes and must not take cpr->lock.
 * The order is cpr->lock -> cpr->inode_lock. A caller that holds a reference on the
 * inode may read @dax without either: mapping.c says when it changes.
 */
#include <linux/slab.h>

#include "tree.h"

static int tree_compare(const char *name, u16 len, const struct cpr_node *node)
{
	int cmp = memcmp(name, node->name, min(len, node->name_len));

	return cmp ?: (int)len - node->name_len;
}

/* ---- walking ---- */

/**
 * cpr_node_find - look up a name
 * @dir: a directory
 * @name: not NUL-terminated
 * @len: bytes of @name
 *
 * Return: the child or NULL.
 */
struct cpr_node *cpr_node_find(const struct cpr_node *dir, const char *name, u16 len)
{
	struct rb_node *rb = dir->children.rb_node;

	while (rb) {
		struct cpr_node *node = rb_entry(rb, struct cpr_node, rb);
		int cmp = tree_compare(name, len, node);

		if (!cmp)
			return node;
		rb = cmp < 0 ? rb->rb_left : rb->rb_right;
	}
	return NULL;
}

/**
 * cpr_node_next_below - walk everything below a directory
 * @dir: the directory
 * @node: a node below @dir; or @dir to begin
 *
 * There is no recursion, because a tree may be deep.
 *
 * Return: the node after @node, or NULL at the end.
 */
struct cpr_node *cpr_node_next_below(const struct cpr_node *dir, const struct cpr_node *node)
{
	struct rb_node *rb = rb_first(&node->children);

	while (!rb && node != dir) {
		rb = rb_next(&node->rb);
		node = node->parent;
	}
	return rb_entry_safe(rb, struct cpr_node, rb);
}

/**
 * cpr_node_vm_dir - find the directory of the root that a node is in
 * @node: a node that has a name
 *
 * Return: the directory, which may be @node itself; or NULL for the root and for
 * files directly in the root.
 */
struct cpr_node *cpr_node_vm_dir(struct cpr_node *node)
{
	while (node->parent && node->parent->parent != node->parent)
		node = node->parent;
	if (!node->parent || node->parent == node || !S_ISDIR(node->type))
		return NULL;
	return node;
}

/**
 * cpr_node_name - copy the name of a node as a string
 * @node: the node
 * @name: at least CPR_IMAGE_NAME_MAX + 1 bytes
 */
void cpr_node_name(const struct cpr_node *node, char *name)
{
	memcpy(name, node->name, node->name_len);
	name[node->name_len] = 0;
}

/* ---- nodes and their names ---- */

/**
 * cpr_node_alloc - allocate a node that is in no tree
 * @ino: inode number
 * @mode: type and permission bits
 * @name: not NUL-terminated
 * @len: bytes of @name
 *
 * Return: the node, or NULL without memory.
 */
struct cpr_node *cpr_node_alloc(u64 ino, umode_t mode, const char *name, u16 len)
{
	struct cpr_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	if (!node)
		return NULL;
	node->name = kmemdup(name, len, GFP_KERNEL);
	if (!node->name) {
		kfree(node);
		return NULL;
	}
	node->name_len = len;
	node->ino = ino;
	node->type = mode & S_IFMT;
	node->attr.mode = mode;
	node->children = RB_ROOT;
	xa_init(&node->by_ino);
	xa_init(&node->frames);
	INIT_LIST_HEAD(&node->queue);
	return node;
}

/**
 * cpr_node_free - free a node that is in no tree
 * @node: the node; the caller has taken care of its frames and its VM
 */
void cpr_node_free(struct cpr_node *node)
{
	xa_destroy(&node->by_ino);
	xa_destroy(&node->frames);
	kfree(node->name);
	kfree(node);
}

static void tree_link_name(struct cpr_node *dir, struct cpr_node *node)
{
	struct rb_node **at = &dir->children.rb_node, *above = NULL;

	while (*at) {
		above = *at;
		if (tree_compare(node->name, node->name_len,
				 rb_entry(above, struct cpr_node, rb)) < 0)
			at = &above->rb_left;
		else
			at = &above->rb_right;
	}
	rb_link_node(&node->rb, above, at);
	rb_insert_color(&node->rb, &dir->children);
	node->parent = dir;
	if (S_ISDIR(node->type))
		dir->subdirs++;
}

static void tree_unlink_name(struct cpr_node *node)
{
	struct cpr_node *dir = node->parent;

	rb_erase(&node->rb, &dir->children);
	if (S_ISDIR(node->type))
		dir->subdirs--;
	node->parent = NULL;
}

/**
 * cpr_node_link - put a node into a directory
 * @dir: a directory that does not have the name
 * @node: from cpr_node_alloc()
 *
 * Return: 0 or -ENOMEM.
 */
int cpr_node_link(struct cpr_node *dir, struct cpr_node *node)
{
	int err = xa_insert(&dir->by_ino, node->ino, node, GFP_KERNEL);

	if (!err)
		tree_link_name(dir, node);
	return err;
}

/**
 * cpr_node_new - add a name
 * @c: the region
 * @dir: a directory that does not have the name
 * @name: not NUL-terminated
 * @len: bytes of @name
 * @attr: its attributes; a commit may save them as soon as the lock is released
 *
 * Return: the node, or ERR_PTR of -ENOSPC or -ENOMEM.
 */
struct cpr_node *cpr_node_new(struct cpr *c, struct cpr_node *dir,
			      const char *name, u16 len, const struct cpr_attr *attr)
{
	struct cpr_node *node;
	int err;

	lockdep_assert_held(&c->lock);

	err = cpr_tree_reserve(c, cpr_catalog_node_size(len));
	if (err)
		return ERR_PTR(err);
	node = cpr_node_alloc(c->next_ino, attr->mode, name, len);
	if (!node) {
		err = -ENOMEM;
		goto err_unreserve;
	}
	node->attr = *attr;
	err = cpr_node_link(dir, node);
	if (err)
		goto err_free;
	c->next_ino++;
	cpr_dirty(c);
	return node;

err_free:
	cpr_node_free(node);
err_unreserve:
	cpr_tree_unreserve(c, cpr_catalog_node_size(len));
	return ERR_PTR(err);
}

static void tree_remove(struct cpr_node *node)
{
	xa_erase(&node->parent->by_ino, node->ino);
	tree_unlink_name(node);
}

/**
 * cpr_node_remove - remove a name
 * @c: the region
 * @node: the node; it is freed when its inode is evicted
 */
void cpr_node_remove(struct cpr *c, struct cpr_node *node)
{
	lockdep_assert_held(&c->lock);

	cpr_tree_unreserve(c, cpr_catalog_node_size(node->name_len));
	tree_remove(node);
	cpr_dirty(c);
}

/* Replace a reservation of @old bytes in the catalog by one of @new bytes. */
static int tree_change_reservation(struct cpr *c, u64 old, u64 new)
{
	if (new > old)
		return cpr_tree_reserve(c, new - old);
	cpr_tree_unreserve(c, old - new);
	return 0;
}

/**
 * cpr_node_rename - change a node's name, directory or both
 * @c: the region
 * @node: the node
 * @dir: its new directory; a node that has the name there is removed
 * @name: not NUL-terminated
 * @len: bytes of @name
 *
 * Return: 0, -ENOSPC or -ENOMEM; on an error nothing has changed.
 */
int cpr_node_rename(struct cpr *c, struct cpr_node *node, struct cpr_node *dir,
		    const char *name, u16 len)
{
	struct cpr_node *replaced = cpr_node_find(dir, name, len);
	u64 reserved = cpr_catalog_node_size(node->name_len);
	struct cpr_node *old_dir = node->parent;
	char *copy;
	int err;

	lockdep_assert_held(&c->lock);

	if (replaced)
		reserved += cpr_catalog_node_size(replaced->name_len);
	copy = kmemdup(name, len, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	if (dir != old_dir) {
		err = xa_insert(&dir->by_ino, node->ino, node, GFP_KERNEL);
		if (err)
			goto err_free;
	}
	err = tree_change_reservation(c, reserved, cpr_catalog_node_size(len));
	if (err)
		goto err_erase;
	/* Nothing below fails. */
	if (replaced)
		tree_remove(replaced);
	if (dir != old_dir)
		xa_erase(&old_dir->by_ino, node->ino);
	tree_unlink_name(node);
	kfree(node->name);
	node->name = copy;
	node->name_len = len;
	tree_link_name(dir, node);
	cpr_dirty(c);
	return 0;

err_erase:
	if (dir != old_dir)
		xa_erase(&dir->by_ino, node->ino);
err_free:
	kfree(copy);
	return err;
}

/* ---- inodes of nodes ---- */

static void tree_read_attr(const struct cpr_node *node, struct cpr_attr *attr)
{
	const struct inode *inode = node->inode;

	if (!inode) {
		*attr = node->attr;
		return;
	}
	attr->mode = inode->i_mode;
	attr->uid = inode->i_uid;
	attr->gid = inode->i_gid;
	attr->size = S_ISREG(inode->i_mode) ? i_size_read(inode) : 0;
	attr->atime = inode_get_atime(inode);
	attr->mtime = inode_get_mtime(inode);
	attr->ctime = inode_get_ctime(inode);
}

/**
 * cpr_node_set_inode - the inode of a node is in memory from now on
 * @c: the region
 * @node: the node
 * @inode: the inode, which has the node's attributes
 */
void cpr_node_set_inode(struct cpr *c, struct cpr_node *node, struct inode *inode)
{
	spin_lock(&c->inode_lock);
	node->inode = inode;
	spin_unlock(&c->inode_lock);
}

/**
 * cpr_node_clear_inode - the inode of a node is being evicted
 * @c: the region
 * @node: the node; it takes over the attributes of the inode
 *
 * Return: the inode behind the file's mappings, which is the caller's now, or NULL.
 */
struct inode *cpr_node_clear_inode(struct cpr *c, struct cpr_node *node)
{
	struct cpr_attr attr;

	spin_lock(&c->inode_lock);
	tree_read_attr(node, &attr);
	node->attr = attr;
	node->inode = NULL;
	spin_unlock(&c->inode_lock);
	return cpr_node_take_dax(c, node);
}

/**
 * cpr_node_grab_inode - get a reference on the inode of a node
 * @c: the region
 * @node: the node
 *
 * Return: the inode, or NULL if it is not in memory, or is being evicted.
 */
struct inode *cpr_node_grab_inode(struct cpr *c, struct cpr_node *node)
{
	struct inode *inode;

	spin_lock(&c->inode_lock);
	inode = node->inode ? igrab(node->inode) : NULL;
	spin_unlock(&c->inode_lock);
	return inode;
}

/**
 * cpr_node_set_dax - set the inode behind a file's mappings
 * @c: the region
 * @node: of the file, which has none yet
 * @dax: the inode; its reference is the node's now
 */
void cpr_node_set_dax(struct cpr *c, struct cpr_node *node, struct inode *dax)
{
	spin_lock(&c->inode_lock);
	node->dax = dax;
	spin_unlock(&c->inode_lock);
}

/**
 * cpr_node_take_dax - take the inode behind its mappings from a file
 * @c: the region
 * @node: of the file
 *
 * Return: the inode, which is the caller's now, or NULL.
 */
struct inode *cpr_node_take_dax(struct cpr *c, struct cpr_node *node)
{
	struct inode *dax;

	spin_lock(&c->inode_lock);
	dax = node->dax;
	node->dax = NULL;
	spin_unlock(&c->inode_lock);
	return dax;
}

/**
 * cpr_node_attr - read the attributes of a node
 * @c: the region
 * @node: the node
 * @attr: filled in, from the inode if it is in memory
 */
void cpr_node_attr(struct cpr *c, const struct cpr_node *node, struct cpr_attr *attr)
{
	spin_lock(&c->inode_lock);
	tree_read_attr(node, attr);
	spin_unlock(&c->inode_lock);
}

/**
 * cpr_node_memory_bytes - add up the sizes of a VM's memory files
 * @c: the region
 * @dir: directory of the VM
 */
u64 cpr_node_memory_bytes(struct cpr *c, const struct cpr_node *dir)
{
	const struct cpr_node *node;
	struct cpr_attr attr;
	u64 bytes = 0;

	lockdep_assert_held(&c->lock);

	cpr_for_each_child(node, dir) {
		if (!(node->flags & CPR_IMAGE_NODE_MEMORY))
			continue;
		cpr_node_attr(c, node, &attr);
		bytes += attr.size;
	}
	return bytes;
}

/**
 * cpr_node_mapped - is a file mapped?
 * @c: the region
 * @node: of the file
 */
bool cpr_node_mapped(struct cpr *c, struct cpr_node *node)
{
	bool mapped;

	spin_lock(&c->inode_lock);
	mapped = node->dax && mapping_mapped(node->dax->i_mapping);
	spin_unlock(&c->inode_lock);
	return mapped;
}

/**
 * cpr_node_open_for_write - is a file open for writing?
 * @c: the region
 * @node: of the file
 */
bool cpr_node_open_for_write(struct cpr *c, struct cpr_node *node)
{
	lockdep_assert_held(&c->lock);

	return node->writers;
}

/**
 * cpr_node_pinned - is a page of a file pinned?
 * @c: the region
 * @node: of the file, which is not mapped
 *
 * GUP and VFIO can write to a page that they pin although no mapping of it is left.
 */
bool cpr_node_pinned(struct cpr *c, struct cpr_node *node)
{
	unsigned long i;
	void *entry;

	lockdep_assert_held(&c->lock);

	xa_for_each(&node->frames, i, entry)
		if (cpr_region_frame_pinned(&c->region, xa_to_value(entry)))
			return true;
	return false;
}

/* ---- room in the catalog, and the whole tree ---- */

/**
 * cpr_tree_reserve - reserve room in the catalog
 * @c: the region
 * @bytes: of records
 *
 * Return: 0 or -ENOSPC.
 */
int cpr_tree_reserve(struct cpr *c, u64 bytes)
{
	u64 room = cpr_catalog_capacity(&c->geo);

	lockdep_assert_held(&c->lock);

	/* An image from another writer may use more than the capacity. */
	if (c->catalog_used > room || bytes > room - c->catalog_used)
		return -ENOSPC;
	c->catalog_used += bytes;
	return 0;
}

/**
 * cpr_tree_unreserve - undo cpr_tree_reserve()
 * @c: the region
 * @bytes: of records
 */
void cpr_tree_unreserve(struct cpr *c, u64 bytes)
{
	lockdep_assert_held(&c->lock);

	c->catalog_used -= bytes;
}

/**
 * cpr_tree_free - free all nodes
 * @c: the region; no inode is in memory, and no node has a VM
 */
void cpr_tree_free(struct cpr *c)
{
	LIST_HEAD(all);
	struct cpr_node *node, *child;
	unsigned long ino;

	lockdep_assert_held(&c->lock);

	if (!c->root)
		return;
	list_add(&c->root->queue, &all);
	while ((node = list_first_entry_or_null(&all, struct cpr_node, queue))) {
		list_del(&node->queue);
		xa_for_each(&node->by_ino, ino, child)
			list_add(&child->queue, &all);
		cpr_node_free(node);
	}
	c->root = NULL;
}
