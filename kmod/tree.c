// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The tree of names
 *
 * All directories and files of the region, in memory from the moment the module
 * has its region, mounted or not. The tree is read from the catalog once and
 * written back by commit.c. Children hang in a red-black tree by name, for
 * look-ups and for the order of the catalog, and in an xarray by inode number,
 * for readdir.
 *
 * Room in the catalog is reserved when a name comes and given back when it
 * goes, so that a commit never finds the slot too small.
 *
 * Locking: cpr->lock. A node whose inode is in memory lives as long as that.
 */
#include <linux/slab.h>

#include "cpr_internal.h"

static int compare(const char *name, u16 len, const struct cpr_node *node)
{
	int cmp = memcmp(name, node->name, min(len, node->name_len));

	return cmp ?: (int)len - node->name_len;
}

/**
 * cpr_node_find - look a name up
 * @dir: a directory
 * @name: not NUL-terminated
 * @len: its bytes
 *
 * Return: the child or NULL.
 */
struct cpr_node *cpr_node_find(struct cpr_node *dir, const char *name, u16 len)
{
	struct rb_node *rb = dir->children.rb_node;

	while (rb) {
		struct cpr_node *node = rb_entry(rb, struct cpr_node, rb);
		int cmp = compare(name, len, node);

		if (!cmp)
			return node;
		rb = cmp < 0 ? rb->rb_left : rb->rb_right;
	}
	return NULL;
}

static void link_name(struct cpr_node *dir, struct cpr_node *node)
{
	struct rb_node **at = &dir->children.rb_node, *above = NULL;

	while (*at) {
		above = *at;
		at = compare(node->name, node->name_len,
			     rb_entry(above, struct cpr_node, rb)) < 0 ?
			     &above->rb_left : &above->rb_right;
	}
	rb_link_node(&node->rb, above, at);
	rb_insert_color(&node->rb, &dir->children);
	node->parent = dir;
	if (S_ISDIR(node->mode))
		dir->subdirs++;
}

static void unlink_name(struct cpr_node *node)
{
	struct cpr_node *dir = node->parent;

	rb_erase(&node->rb, &dir->children);
	if (S_ISDIR(node->mode))
		dir->subdirs--;
	node->parent = NULL;
}

/* The caller knows that the name is not there. */
static int link_child(struct cpr_node *dir, struct cpr_node *node)
{
	int err = xa_insert(&dir->by_ino, node->ino, node, GFP_KERNEL);

	if (!err)
		link_name(dir, node);
	return err;
}

static struct cpr_node *alloc_node(u64 ino, umode_t mode, const char *name, u16 len)
{
	struct cpr_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	if (!node)
		return NULL;
	node->name = kmemdup(name ?: "", len + 1, GFP_KERNEL);
	if (!node->name) {
		kfree(node);
		return NULL;
	}
	node->name_len = len;
	node->ino = ino;
	node->mode = mode;
	node->children = RB_ROOT;
	xa_init(&node->by_ino);
	xa_init(&node->frames);
	INIT_LIST_HEAD(&node->queue);
	return node;
}

/**
 * cpr_node_free - free a node that is in no tree
 * @node: the node; its frames are somebody else's business
 */
void cpr_node_free(struct cpr_node *node)
{
	xa_destroy(&node->by_ino);
	xa_destroy(&node->frames);
	cpr_vm_free(node->vm);
	kfree(node->name);
	kfree(node);
}

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

	/* An image that was not written by us may have used more than there is. */
	if (c->catalog_used > room || bytes > room - c->catalog_used)
		return -ENOSPC;
	c->catalog_used += bytes;
	return 0;
}

/**
 * cpr_tree_unreserve - give room in the catalog back
 * @c: the region
 * @bytes: of records
 */
void cpr_tree_unreserve(struct cpr *c, u64 bytes)
{
	c->catalog_used -= bytes;
}

/**
 * cpr_node_new - add a name
 * @c: the region
 * @dir: a directory that does not have it
 * @name: not NUL-terminated
 * @len: its bytes
 * @mode: type and permissions
 *
 * Return: the node, or ERR_PTR of -ENOSPC or -ENOMEM.
 */
struct cpr_node *cpr_node_new(struct cpr *c, struct cpr_node *dir,
			      const char *name, u16 len, umode_t mode)
{
	struct cpr_node *node;
	int err;

	lockdep_assert_held(&c->lock);

	err = cpr_tree_reserve(c, cpr_catalog_node_size(len));
	if (err)
		return ERR_PTR(err);
	node = alloc_node(c->next_ino, mode, name, len);
	err = node ? link_child(dir, node) : -ENOMEM;
	if (err) {
		cpr_tree_unreserve(c, cpr_catalog_node_size(len));
		if (node)
			cpr_node_free(node);
		return ERR_PTR(err);
	}
	c->next_ino++;
	cpr_dirty(c);
	return node;
}

/**
 * cpr_node_remove - take a name away
 * @c: the region
 * @node: the node; it is freed with its inode
 */
void cpr_node_remove(struct cpr *c, struct cpr_node *node)
{
	lockdep_assert_held(&c->lock);

	cpr_tree_unreserve(c, cpr_catalog_node_size(node->name_len));
	xa_erase(&node->parent->by_ino, node->ino);
	unlink_name(node);
	cpr_dirty(c);
}

/**
 * cpr_node_rename - change a node's name, directory or both
 * @c: the region
 * @node: the node
 * @dir: its new directory; whatever has the name there is removed
 * @name: not NUL-terminated
 * @len: its bytes
 *
 * Return: 0, -ENOSPC or -ENOMEM; then nothing has changed.
 */
int cpr_node_rename(struct cpr *c, struct cpr_node *node, struct cpr_node *dir,
		    const char *name, u16 len)
{
	struct cpr_node *replaced = cpr_node_find(dir, name, len);
	u64 need = cpr_catalog_node_size(len);
	struct cpr_node *old_dir = node->parent;
	char *copy;
	int err;

	lockdep_assert_held(&c->lock);

	err = cpr_tree_reserve(c, need);
	if (err)
		return err;
	copy = kmemdup(name, len, GFP_KERNEL);
	err = copy ? 0 : -ENOMEM;
	if (!err && dir != old_dir)
		err = xa_insert(&dir->by_ino, node->ino, node, GFP_KERNEL);
	if (err) {
		kfree(copy);
		cpr_tree_unreserve(c, need);
		return err;
	}
	/* From here on nothing fails. */
	if (replaced)
		cpr_node_remove(c, replaced);
	cpr_tree_unreserve(c, cpr_catalog_node_size(node->name_len));
	if (dir != old_dir)
		xa_erase(&old_dir->by_ino, node->ino);
	unlink_name(node);
	kfree(node->name);
	node->name = copy;
	node->name_len = len;
	link_name(dir, node);
	cpr_dirty(c);
	return 0;
}

/**
 * cpr_node_pull - bring a node's attributes up to date
 * @node: the node; nothing to do if its inode is not in memory
 */
void cpr_node_pull(struct cpr_node *node)
{
	const struct inode *inode = node->inode;

	if (!inode)
		return;
	node->mode = inode->i_mode;
	node->uid = inode->i_uid;
	node->gid = inode->i_gid;
	node->size = S_ISREG(inode->i_mode) ? i_size_read(inode) : 0;
	node->atime = inode_get_atime(inode);
	node->mtime = inode_get_mtime(inode);
	node->ctime = inode_get_ctime(inode);
}

/**
 * cpr_node_vm_dir - the directory of the root that a node is in
 * @node: a node that has a name
 *
 * Return: the directory, perhaps @node itself, or NULL for the root and what
 * lies directly in it and is a file.
 */
struct cpr_node *cpr_node_vm_dir(struct cpr_node *node)
{
	while (node->parent && node->parent->parent != node->parent)
		node = node->parent;
	return node->parent && node->parent != node && S_ISDIR(node->mode) ?
		node : NULL;
}

/* ---- from and to nothing ---- */

static struct timespec64 from_time(struct cpr_time t)
{
	return (struct timespec64){ .tv_sec = t.sec, .tv_nsec = t.nsec };
}

static int load_frames(struct cpr *c, struct cpr_node *node,
		       const struct cpr_catalog_node *rec)
{
	for (u32 i = 0; i < rec->extents; i++) {
		struct cpr_extent e = cpr_catalog_extent(rec, i);

		for (u32 n = 0; n < e.count; n++) {
			int err = xa_err(xa_store(&node->frames, e.file_frame + n,
						  xa_mk_value(e.frame + n), GFP_KERNEL));

			if (err)
				return err;
		}
		cpr_frames_set(&c->frames, e.frame, e.count, CPR_FRAME_USED);
		node->nr_frames += e.count;
	}
	return 0;
}

static struct cpr_node *load_node(struct cpr *c, struct cpr_node **nodes,
				  const struct cpr_catalog_node *rec)
{
	struct cpr_node *node = alloc_node(rec->ino, rec->mode, rec->name,
					   rec->name_len);
	int err;

	if (!node)
		return ERR_PTR(-ENOMEM);
	node->uid = make_kuid(&init_user_ns, rec->uid);
	node->gid = make_kgid(&init_user_ns, rec->gid);
	node->size = rec->size;
	node->atime = from_time(rec->atime);
	node->mtime = from_time(rec->mtime);
	node->ctime = from_time(rec->ctime);
	node->flags = rec->flags;
	if (!c->root) {
		node->parent = node;
		c->root = node;
	} else {
		err = link_child(nodes[rec->parent], node);
		if (err) {
			cpr_node_free(node);
			return ERR_PTR(err);
		}
	}
	c->catalog_used += cpr_catalog_node_size(rec->name_len);
	err = load_frames(c, node, rec);
	/* Now it is in the tree: whoever frees that frees it. */
	return err ? ERR_PTR(err) : node;
}

/* What follows a VM's record and belongs to it. */
static bool next_of_vm(const struct cpr_catalog *cat, u64 *cursor,
		       struct cpr_catalog_entry *entry)
{
	return cpr_catalog_next(cat, cursor, entry) &&
	       (entry->type == CPR_IMAGE_REC_DMA || entry->type == CPR_IMAGE_REC_DEVICE);
}

static int load_table(struct cpr_dma_table *t, const struct cpr_catalog_dma *rec)
{
	int err = 0;

	for (u32 i = 0; i < rec->extents && !err; i++) {
		const struct cpr_dma_extent e = cpr_catalog_dma_extent(rec, i);

		err = cpr_dma_table_add(t, &e);
	}
	return err;
}

static int load_device(struct cpr_device *d, const struct cpr_catalog_device *rec)
{
	d->id = *rec;
	d->members = kvcalloc(rec->members ?: 1, sizeof(*d->members), GFP_KERNEL);
	if (!d->members)
		return -ENOMEM;
	for (u32 i = 0; i < rec->members; i++)
		d->members[i] = cpr_catalog_member(rec, i);
	return 0;
}

static int load_dma(const struct cpr_catalog *cat, u64 cursor, struct cpr_dma *dma)
{
	struct cpr_catalog_entry entry;
	int err = 0;

	while (!err && next_of_vm(cat, &cursor, &entry)) {
		if (entry.type == CPR_IMAGE_REC_DMA)
			err = load_table(&dma->tables[dma->nr_tables++], &entry.dma);
		else
			err = load_device(&dma->devices[dma->nr_devices++], &entry.device);
	}
	return err;
}

/* The snapshot of the VM whose record ends at @cursor, if it has one. */
static struct cpr_dma *load_snapshot(const struct cpr_catalog *cat, u64 cursor)
{
	struct cpr_catalog_entry entry;
	u32 tables = 0, devices = 0;
	struct cpr_dma *dma;
	u64 at = cursor;
	int err;

	while (next_of_vm(cat, &at, &entry))
		*(entry.type == CPR_IMAGE_REC_DMA ? &tables : &devices) += 1;
	if (!devices)
		return NULL;
	dma = cpr_dma_new(tables, devices);
	if (!dma)
		return ERR_PTR(-ENOMEM);
	err = load_dma(cat, cursor, dma);
	if (!err)
		return dma;
	cpr_dma_put(dma);
	return ERR_PTR(err);
}

static int load_vm(struct cpr *c, struct cpr_node **nodes, const struct cpr_catalog *cat,
		   u64 cursor, const struct cpr_catalog_vm *rec)
{
	struct cpr_dma *dma = load_snapshot(cat, cursor);
	struct cpr_vm *vm;

	if (IS_ERR(dma))
		return PTR_ERR(dma);
	vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	if (!vm) {
		cpr_dma_put(dma);
		return -ENOMEM;
	}
	vm->dma = dma;
	cpr_vm_load(nodes[rec->node], rec, vm);
	c->catalog_used += sizeof(struct cpr_image_vm) + cpr_dma_catalog_size(dma);
	return 0;
}

/**
 * cpr_tree_load - build the tree from the catalog
 * @c: the region, with its frames all free
 * @cat: the catalog in force, checked
 *
 * Return: 0 or -ENOMEM; then the tree is partial, see cpr_tree_free().
 */
int cpr_tree_load(struct cpr *c, const struct cpr_catalog *cat)
{
	struct cpr_node **nodes __free(kvfree) = NULL;
	struct cpr_catalog_entry entry;
	u64 cursor = 0;
	u32 n = 0;
	int err = 0;

	lockdep_assert_held(&c->lock);

	nodes = kvcalloc(cat->nodes, sizeof(*nodes), GFP_KERNEL);
	if (!nodes)
		return -ENOMEM;
	c->next_ino = cat->next_ino;
	c->catalog_used = 0;
	while (cpr_catalog_next(cat, &cursor, &entry)) {
		if (entry.type == CPR_IMAGE_REC_NODE) {
			nodes[n] = load_node(c, nodes, &entry.node);
			err = PTR_ERR_OR_ZERO(nodes[n++]);
		} else if (entry.type == CPR_IMAGE_REC_VM) {
			err = load_vm(c, nodes, cat, cursor, &entry.vm);
		}
		if (err)
			return err;
	}
	return 0;
}

/**
 * cpr_tree_free - forget the tree
 * @c: the region; no inode is in memory
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
