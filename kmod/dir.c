// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Reading directories
 *
 * A position in a directory is the inode number of the next entry, behind the
 * two dots. Numbers are never used twice, so a position stays true whatever
 * comes and goes.
 *
 * Locking: cpr->lock while an entry is looked for, not while it is handed to
 * the user, whose buffer may lie in a file of ours.
 */
#include <linux/fs.h>

#include "cpr_internal.h"

#define DOTS	2

struct entry {
	unsigned long ino;
	unsigned int type;
	u16 len;
	char name[CPR_IMAGE_NAME_MAX];
};

static bool next_entry(struct cpr *c, struct cpr_node *dir, struct entry *e)
{
	struct cpr_node *node;

	guard(cpr)(c);

	node = xa_find(&dir->by_ino, &e->ino, ULONG_MAX, XA_PRESENT);
	if (!node)
		return false;
	e->type = S_DT(node->mode);
	e->len = node->name_len;
	memcpy(e->name, node->name, node->name_len);
	return true;
}

static int cpr_readdir(struct file *file, struct dir_context *ctx)
{
	struct inode *inode = file_inode(file);
	struct entry e;

	if (!dir_emit_dots(file, ctx))
		return 0;
	for (;;) {
		e.ino = ctx->pos - DOTS;
		if (!next_entry(inode_cpr(inode), cpr_node(inode), &e))
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
	.iterate_shared	= cpr_readdir,
	.fsync		= cpr_file_fsync,
};
