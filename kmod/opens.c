// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Open files
 *
 * A file can be taken from all its users, see revoke.c. Nobody can close the descriptors of
 * a process from outside. So each open file keeps the epoch that its node had at the open,
 * and its operations ask whether that is still the epoch of the node. Descriptors that were
 * inherited or passed to another process are the same open file.
 *
 * The node counts the open files that can write. The i_writecount of the inode does not
 * serve: it also counts those that were revoked.
 *
 * Locking: cpr->lock. cpr_opens_revoked() needs no lock, but its answer lasts only as long
 * as the caller holds a lock that cpr_revoke_step() takes after the epoch has changed: the
 * inode lock, shared or not, or cpr->lock.
 */
#include "opens.h"
#include "vm.h"

static void *opens_epoch(const struct cpr_node *node)
{
	return (void *)READ_ONCE(node->epoch);
}

/**
 * cpr_opens_add - a file is being opened
 * @file: the file
 *
 * Return: 0; -EBUSY if its VM forbids writing.
 */
int cpr_opens_add(struct file *file)
{
	struct cpr_node *node = inode_node(file_inode(file));
	bool write = file->f_mode & FMODE_WRITE;
	int err;

	guard(cpr)(inode_cpr(file_inode(file)));

	err = write ? cpr_vm_may(node, CPR_ACT_WRITE) : 0;
	if (err)
		return err;
	file->private_data = opens_epoch(node);
	node->writers += write;
	return 0;
}

/**
 * cpr_opens_remove - an open file is being closed
 * @file: the file
 */
void cpr_opens_remove(struct file *file)
{
	struct cpr_node *node = inode_node(file_inode(file));

	if (!(file->f_mode & FMODE_WRITE))
		return;

	guard(cpr)(inode_cpr(file_inode(file)));

	if (!cpr_opens_revoked(file))
		node->writers--;
}

/**
 * cpr_opens_revoked - was a file taken from its users since this open?
 * @file: the open file
 */
bool cpr_opens_revoked(const struct file *file)
{
	return file->private_data != opens_epoch(inode_node(file_inode(file)));
}

/**
 * cpr_opens_revoke - take a file from those who have it open
 * @c: the region
 * @node: of the file
 *
 * Operations that have begun may still be under way.
 */
void cpr_opens_revoke(struct cpr *c, struct cpr_node *node)
{
	lockdep_assert_held(&c->lock);

	WRITE_ONCE(node->epoch, node->epoch + 1);
	node->writers = 0;
}
