/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_TREE_H
#define CPR_TREE_H

#include <linux/fs.h>
#include <linux/rbtree.h>
#include <linux/xarray.h>

#include "cpr_internal.h"
#include "room.h"

struct cpr_vm;

/**
 * struct cpr_attr - attributes of a directory or file
 * @mode: type and permission bits
 * @uid: owner
 * @gid: group
 * @size: bytes; 0 for a directory
 * @atime: last access
 * @mtime: last modification
 * @ctime: last change
 */
struct cpr_attr {
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
	loff_t size;
	struct timespec64 atime;
	struct timespec64 mtime;
	struct timespec64 ctime;
};

/**
 * struct cpr_node - a directory or file, whether its inode is in memory or not
 * @rb: in @parent's children, by name
 * @children: of a directory, by name
 * @by_ino: children of a directory, by inode number
 * @parent: directory; the root is its own parent; NULL without a name
 * @queue: used while the whole tree is walked
 * @index: number of the node's record in the catalog that is being written
 * @ino: inode number
 * @type: S_IFDIR or S_IFREG; constant
 * @subdirs: directories among the children
 * @flags: enum cpr_image_node_flags
 * @attr: attributes while no inode is in memory, see cpr_node_attr()
 * @inode: the inode in memory, or NULL
 * @dax: the inode behind the file's mappings, see mapping.c; NULL before the first
 * @epoch: number of times that the file was taken from its users, see opens.c
 * @writers: number of open files that can write, see opens.c
 * @closing: number of requests that are taking the files of this VM's directory from their
 *	users, see revoke.c
 * @frames: frame of each frame of the file, as xarray values
 * @nr_frames: entries in @frames
 * @charged: frames that count in @room: @nr_frames, and those that are being added
 * @room: room in which the file's frames count, or the names in the directory
 * @tail_unknown: a crash may have left data beyond the end of the file, see file.c;
 *	changes with the inode locked
 * @vm: record of the VM, if the node is the directory of a handover unit
 * @name_len: bytes of @name
 * @name: not NUL-terminated
 */
struct cpr_node {
	struct rb_node rb;
	struct rb_root children;
	struct xarray by_ino;
	struct cpr_node *parent;
	struct list_head queue;
	u32 index;
	u64 ino;
	umode_t type;
	u32 subdirs;
	u16 flags;
	struct cpr_attr attr;
	struct inode *inode;
	struct inode *dax;
	unsigned long epoch;
	unsigned int writers;
	unsigned int closing;
	struct xarray frames;
	u32 nr_frames;
	u32 charged;
	struct cpr_room *room;
	bool tail_unknown;
	struct cpr_vm *vm;
	u16 name_len;
	char *name;
};

static inline struct cpr *inode_cpr(const struct inode *inode)
{
	return inode->i_sb->s_fs_info;
}

static inline struct cpr_node *inode_node(const struct inode *inode)
{
	return inode->i_private;
}

static inline struct cpr_node *cpr_node_first(const struct cpr_node *dir)
{
	return rb_entry_safe(rb_first(&dir->children), struct cpr_node, rb);
}

static inline struct cpr_node *cpr_node_next(const struct cpr_node *node)
{
	return rb_entry_safe(rb_next(&node->rb), struct cpr_node, rb);
}

#define cpr_for_each_child(_node, _dir) \
	for (_node = cpr_node_first(_dir); _node; _node = cpr_node_next(_node))

struct cpr_node *cpr_node_find(const struct cpr_node *dir, const char *name, u16 len);
struct cpr_node *cpr_node_next_below(const struct cpr_node *dir, const struct cpr_node *node);
struct cpr_node *cpr_node_vm_dir(struct cpr_node *node);
void cpr_node_name(const struct cpr_node *node, char *name);

struct cpr_node *cpr_root_alloc(void);
struct cpr_node *cpr_node_alloc(u64 ino, umode_t mode, const char *name, u16 len);
void cpr_node_free(struct cpr_node *node);
int cpr_node_link(struct cpr *c, struct cpr_node *dir, struct cpr_node *node);
bool cpr_node_has_room(const struct cpr_node *node);
void cpr_node_charge(struct cpr *c, struct cpr_node *node, s32 frames);
struct cpr_node *cpr_node_new(struct cpr *c, struct cpr_node *dir,
			      const char *name, u16 len, const struct cpr_attr *attr);
void cpr_node_remove(struct cpr *c, struct cpr_node *node);
int cpr_node_rename(struct cpr *c, struct cpr_node *node, struct cpr_node *dir,
		    const char *name, u16 len);

void cpr_node_set_inode(struct cpr *c, struct cpr_node *node, struct inode *inode);
struct inode *cpr_node_clear_inode(struct cpr *c, struct cpr_node *node);
struct inode *cpr_node_grab_inode(struct cpr *c, struct cpr_node *node);
void cpr_node_set_dax(struct cpr *c, struct cpr_node *node, struct inode *dax);
struct inode *cpr_node_take_dax(struct cpr *c, struct cpr_node *node);
void cpr_node_attr(struct cpr *c, const struct cpr_node *node, struct cpr_attr *attr);
u64 cpr_node_memory_bytes(struct cpr *c, const struct cpr_node *dir);
bool cpr_node_mapped(struct cpr *c, struct cpr_node *node);
bool cpr_node_open_for_write(struct cpr *c, struct cpr_node *node);
bool cpr_node_pinned(struct cpr *c, struct cpr_node *node);

void cpr_tree_free(struct cpr *c);

#endif /* CPR_TREE_H */
