// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Taking the files of a VM from their users
 *
 * Some steps in the life of a VM are refused while a file of the VM is mapped or open for
 * writing. The user may be a process that nobody knows of, because QEMU has passed a
 * descriptor to it; and it may have been hidden for that purpose. So a request can have all
 * files taken from their users:
 *
 *  1. The VM is closing: as in a sealed VM, nothing can be written to, renamed or created in
 *     it; besides, nothing can be mapped. All open files are revoked. Both in one section, so
 *     a descriptor that is opened again, for example through /proc, is of no use.
 *  2. Operations of the revoked files that have begun are waited for. Then all pages are
 *     unmapped.
 *  3. The step is taken, with its usual checks. Closing ends.
 *
 * What is left is a page that is pinned: who pins a page has got its address, for a device
 * or for io_uring, and no one can take that away. Pins that end by themselves, as those of
 * direct I/O, are waited for; new ones cannot be made. If a page stays pinned, the step is
 * refused.
 *
 * From then on read(), write(), mmap() and the like fail with EIO for the files that were
 * open, and each access to the old mappings gives SIGBUS. That stays so if the step is
 * refused. Who is permitted to can open the files anew when closing has ended.
 *
 * Locking: none is held between the three. The tree below the directory stays as it is,
 * because names of a closing VM cannot change, and the image stays, because the superblock
 * is kept active. Several requests may do this to a VM at the same time, so they are counted.
 * A user's memory is never accessed with an inode lock held, see file.c. So no user can
 * delay this by a page fault that does not end.
 */
#include <linux/delay.h>
#include <linux/fs.h>

#include "mapping.h"
#include "opens.h"
#include "revoke.h"
#include "vm.h"

#define REVOKE_LAST_WAIT_MS	512	/* for pins to end; each wait is twice the one before */

/* The next file below @dir after @at that has an inode. The caller puts the inode. */
static struct inode *revoke_next(struct cpr *c, struct cpr_node *dir, struct cpr_node **at)
{
	struct inode *inode = NULL;

	guard(cpr)(c);

	while (!inode && (*at = cpr_node_next_below(dir, *at)))
		if (S_ISREG((*at)->type))
			inode = cpr_node_grab_inode(c, *at);
	return inode;
}

static void revoke_file(struct inode *inode)
{
	/* Whoever gets the lock after this finds the file revoked. */
	inode_lock(inode);
	inode_unlock(inode);
	cpr_mapping_revoke(inode);
}

static void revoke_files(struct cpr *c, struct cpr_node *dir)
{
	struct cpr_node *at = dir;
	struct inode *inode;

	while ((inode = revoke_next(c, dir, &at))) {
		revoke_file(inode);
		iput(inode);
	}
}

/*
 * Return: the directory of the VM; NULL if cprfs is not mounted, so there are no users;
 * ERR_PTR if the state of the VM forbids the step.
 */
static struct cpr_node *revoke_begin(struct cpr *c, const struct cpr_vm_step *ask,
				     struct netlink_ext_ack *extack)
{
	struct cpr_node *dir, *node;

	guard(cpr)(c);

	dir = cpr_vm_for_step(c, ask, extack);
	if (IS_ERR(dir))
		return dir;
	/* A superblock that is being shut down has no open files either. */
	if (!c->sb || !atomic_inc_not_zero(&c->sb->s_active))
		return NULL;
	dir->closing++;
	for (node = dir; (node = cpr_node_next_below(dir, node)); )
		if (S_ISREG(node->type))
			cpr_opens_revoke(c, node);
	return dir;
}

static void revoke_end(struct cpr *c, struct cpr_node *dir)
{
	struct super_block *sb;

	scoped_guard(cpr, c) {
		dir->closing--;
		sb = c->sb;
	}
	deactivate_super(sb);
}

/**
 * cpr_revoke_step - take the files of a VM from their users, and take a step
 * @c: the region
 * @ask: the step and the VM
 * @extack: reason of a refusal
 *
 * Return: as cpr_vm_step(). If the state of the VM forbids the step, nothing was taken from
 * anybody.
 */
int cpr_revoke_step(struct cpr *c, const struct cpr_vm_step *ask,
		    struct netlink_ext_ack *extack)
{
	struct cpr_node *dir = revoke_begin(c, ask, extack);
	int err;

	if (IS_ERR(dir))
		return PTR_ERR(dir);
	if (!dir)
		return cpr_vm_step(c, ask, extack);
	revoke_files(c, dir);
	for (unsigned int ms = 1; ; ms *= 2) {
		err = cpr_vm_step(c, ask, extack);
		/* Only a page that is pinned keeps the VM busy now. */
		if (err != -EBUSY || ms > REVOKE_LAST_WAIT_MS || msleep_interruptible(ms))
			break;
	}
	revoke_end(c, dir);
	return err;
}
