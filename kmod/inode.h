/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_INODE_H
#define CPR_INODE_H

#include <linux/fs.h>

struct cpr_node;

struct inode *cpr_inode_get(struct super_block *sb, struct cpr_node *node);

#endif /* CPR_INODE_H */
