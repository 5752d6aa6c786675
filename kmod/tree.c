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
 * too small. Names and frames count in a room, see room.c: each directory of the root has
 * one, and everything below it shares that; so does a file that lost its name. The names of
 * the root itself, and its files, count in the root's.
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
 * cpr_root_alloc - allocate the root of an empty tree, with all that linking it takes
 *
 * Return: the directory, for cpr_node_link(), which cannot fail then; NULL without memory.
 */
struct cpr_node *cpr_root_alloc(void)
{
	struct cpr_node *root = cpr_node_alloc(CPR_IMAGE_ROOT_INO, S_IFDIR, "", 0);

	if (!root)
		return NULL;
	root->room = cpr_room_new();
	if (root->room)
		return root;
	cpr_node_free(root);
	return NULL;
}

/**
 * cpr_node_free - free a node that is in no tree
 * @node: the node; the caller has taken care of its frames and its VM
 */
void cpr_node_free(struct cpr_node *node)
{
	xa_destroy(&node->by_ino);
	xa_destroy(&node->frames);
	cpr_room_put(node->room);
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

/* ---- what counts in which room ---- */

static bool tree_is_root(const struct cpr_node *node)
{
	return node->parent == node;
}

/**
 * cpr_node_has_room - does a node have a room of its own?
 * @node: a node that has a name
 */
bool cpr_node_has_room(const struct cpr_node *node)
{
	return S_ISDIR(node->type) && tree_is_root(node->parent) && !tree_is_root(node);
}

static struct cpr_room_use tree_name_use(u16 len)
{
	return (struct cpr_room_use){ .names = 1, .bytes = cpr_catalog_node_size(len) };
}

static struct cpr_room_use tree_negative(struct cpr_room_use use)
{
	return (struct cpr_room_use){ -use.frames, -use.names, -use.bytes };
}

/* What a node has in its room, but for its own name. */
static struct cpr_room_use tree_content_use(const struct cpr_node *node)
{
	struct cpr_room_use use = { .frames = node->charged };

	for (const struct cpr_node *at = node; (at = cpr_node_next_below(node, at));) {
		use.frames += at->charged;
		use.names++;
		use.bytes += cpr_catalog_node_size(at->name_len);
	}
	return use;
}

/* Get a reference on the room that a node has in a directory, or a new room. */
static struct cpr_room *tree_get_room(struct cpr_node *dir, const struct cpr_node *node)
{
	if (!S_ISDIR(node->type) || !tree_is_root(dir))
		return cpr_room_get(dir->room);
	return node->parent == dir ? cpr_room_get(node->room) : cpr_room_new();
}

static void tree_set_room(struct cpr_node *node, struct cpr_room *room)
{
	cpr_room_put(node->room);
	node->room = room;
}

/* Takes over a reference on the room. */
static void tree_set_room_below(struct cpr_node *node, struct cpr_room *room)
{
	for (struct cpr_node *at = node; (at = cpr_node_next_below(node, at));)
		tree_set_room(at, cpr_room_get(room));
	tree_set_room(node, room);
}

/**
 * cpr_node_charge - more or fewer frames of a file count in its room
 * @c: the region
 * @node: of the file
 * @frames: number of frames
 */
void cpr_node_charge(struct cpr *c, struct cpr_node *node, s32 frames)
{
	lockdep_assert_held(&c->lock);

	node->charged += frames;
	cpr_room_add(c, node->room, (struct cpr_room_use){ .frames = frames });
}

/* ---- changing names ---- */

/* Put a node into a directory; whoever calls this has the name counted. */
static int tree_link(struct cpr_node *dir, struct cpr_node *node)
{
	int err;

	node->room = tree_get_room(dir, node);
	if (!node->room)
		return -ENOMEM;
	err = xa_insert(&dir->by_ino, node->ino, node, GFP_KERNEL);
	if (!err)
		tree_link_name(dir, node);
	return err;
}

/**
 * cpr_node_link - put a node into a directory, as it is in the catalog
 * @c: the region
 * @dir: a directory that does not have the name; NULL for the root
 * @node: from cpr_node_alloc(), without frames
 *
 * Return: 0 or -ENOMEM.
 */
int cpr_node_link(struct cpr *c, struct cpr_node *dir, struct cpr_node *node)
{
	int err;

	lockdep_assert_held(&c->lock);

	if (dir) {
		err = tree_link(dir, node);
	} else {
		node->parent = node;
		if (!node->room)
			node->room = cpr_room_new();
		err = node->room ? 0 : -ENOMEM;
	}
	if (!err)
		cpr_room_add(c, node->parent->room, tree_name_use(node->name_len));
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
 * Return: the node, or ERR_PTR of -ENOSPC, -EDQUOT or -ENOMEM.
 */
struct cpr_node *cpr_node_new(struct cpr *c, struct cpr_node *dir,
			      const char *name, u16 len, const struct cpr_attr *attr)
{
	const struct cpr_room_change change = { dir->room, tree_name_use(len) };
	struct cpr_node *node;
	int err;

	lockdep_assert_held(&c->lock);

	err = cpr_room_change(c, &change, 1);
	if (err)
		return ERR_PTR(err);
	node = cpr_node_alloc(c->next_ino, attr->mode, name, len);
	if (!node) {
		err = -ENOMEM;
		goto err_return;
	}
	node->attr = *attr;
	err = tree_link(dir, node);
	if (err)
		goto err_free;
	c->next_ino++;
	cpr_dirty(c);
	return node;

err_free:
	cpr_node_free(node);
err_return:
	cpr_room_add(c, dir->room, tree_negative(change.by));
	return ERR_PTR(err);
}

/* The name does not count any more. */
static void tree_remove(struct cpr *c, struct cpr_node *node)
{
	/* Who has files of the directory open still has them in the room. */
	if (cpr_node_has_room(node))
		cpr_room_limit(c, node->room, (struct cpr_room_limit){});
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

	cpr_room_add(c, node->parent->room, tree_negative(tree_name_use(node->name_len)));
	tree_remove(c, node);
	cpr_dirty(c);
}

/* Names and content of a node move to other rooms, or not at all. */
static int tree_count_rename(struct cpr *c, const struct cpr_node *node,
			     const struct cpr_node *replaced, struct cpr_room *dir_room,
			     struct cpr_room *room, u16 len)
{
	struct cpr_room_change changes[5] = {
		{ node->parent->room, tree_negative(tree_name_use(node->name_len)) },
		{ dir_room, tree_name_use(len) },
	};
	unsigned int nr = 2;

	if (replaced)
		changes[nr++] = (struct cpr_room_change){
			dir_room, tree_negative(tree_name_use(replaced->name_len)),
		};
	if (room != node->room) {
		const struct cpr_room_use use = tree_content_use(node);

		changes[nr++] = (struct cpr_room_change){ node->room, tree_negative(use) };
		changes[nr++] = (struct cpr_room_change){ room, use };
	}
	return cpr_room_change(c, changes, nr);
}

/**
 * cpr_node_rename - change a node's name, directory or both
 * @c: the region
 * @node: the node
 * @dir: its new directory; a node that has the name there is removed
 * @name: not NUL-terminated
 * @len: bytes of @name
 *
 * What a node has counts in the room of its new directory. A directory with a room of its
 * own cannot become one without.
 *
 * Return: 0, -EXDEV, -ENOSPC, -EDQUOT or -ENOMEM; on an error nothing has changed.
 */
int cpr_node_rename(struct cpr *c, struct cpr_node *node, struct cpr_node *dir,
		    const char *name, u16 len)
{
	struct cpr_node *replaced = cpr_node_find(dir, name, len), *old_dir = node->parent;
	struct cpr_room *room;
	char *copy;
	int err;

	lockdep_assert_held(&c->lock);

	if (dir != old_dir && cpr_node_has_room(node) && node->room->limit.names)
		return -EXDEV;
	copy = kmemdup(name, len, GFP_KERNEL);
	room = tree_get_room(dir, node);
	if (!copy || !room) {
		err = -ENOMEM;
		goto err_free;
	}
	if (dir != old_dir) {
		err = xa_insert(&dir->by_ino, node->ino, node, GFP_KERNEL);
		if (err)
			goto err_free;
	}
	err = tree_count_rename(c, node, replaced, dir->room, room, len);
	if (err)
		goto err_erase;
	/* Nothing below fails. */
	if (replaced)
		tree_remove(c, replaced);
	if (dir != old_dir)
		xa_erase(&old_dir->by_ino, node->ino);
	tree_unlink_name(node);
	kfree(node->name);
	node->name = copy;
	node->name_len = len;
	tree_link_name(dir, node);
	if (room != node->room)
		tree_set_room_below(node, room);
	else
		cpr_room_put(room);
	cpr_dirty(c);
	return 0;

err_erase:
	if (dir != old_dir)
		xa_erase(&dir->by_ino, node->ino);
err_free:
	cpr_room_put(room);
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

/* ---- the whole tree ---- */

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
	cpr_room_forget(c);
}
