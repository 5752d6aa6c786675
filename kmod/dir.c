// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Reading directories
 *
 * A position in a directory is the inode number of the next entry, plus the two dots.
 * Inode numbers are never reused, so a position stays valid while entries are added
 * and removed.
 *
 * Locking: cpr->lock while the next entry is looked up; not while the entry is copied
 * to the user, whose buffer may be in a file of cprfs.
 */
#include <linux/fs.h>

#include "dir.h"
#include "store.h"
#include "tree.h"

#define DOTS	2

struct dir_entry {
	unsigned long ino;
	unsigned int type;
	u16 len;
	char name[CPR_IMAGE_NAME_MAX];
};

static bool dir_next_entry(struct cpr *c, struct cpr_node *dir, struct dir_entry *e)
{
	struct cpr_node *node;

	guard(cpr)(c);

	node = xa_find(&dir->by_ino, &e->ino, ULONG_MAX, XA_PRESENT);
	if (!node)
		return false;
	e->type = S_DT(node->type);
	e->len = node->name_len;
	memcpy(e->name, node->name, node->name_len);
	return true;
}

static int dir_iterate(struct file *file, struct dir_context *ctx)
{
	struct inode *inode = file_inode(file);
	struct dir_entry e;

	if (!dir_emit_dots(file, ctx))
		return 0;
	for (;;) {
		e.ino = ctx->pos - DOTS;
		if (!dir_next_entry(inode_cpr(inode), inode_node(inode), &e))
			return 0;
		if (!dir_emit(ctx, e.name, e.len, e.ino, e.type))
			return 0;
		ctx->pos = (loff_t)e.ino + 1 + DOTS;
	}
}

const struct file_operations cpr_dir_fops = {
	.owner		= THIS_MODULE,
	.llseek		= generic_file_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= dir_iterate,
	.fsync		= cpr_store_fsync,
};
