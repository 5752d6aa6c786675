/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_MAPPING_H
#define CPR_MAPPING_H

#include "cpr_internal.h"
#include "tree.h"

int cpr_mmap(struct file *file, struct vm_area_struct *vma);
void cpr_mapping_evict(struct cpr *c, struct cpr_node *node);
void cpr_mapping_revoke(struct inode *inode);
void cpr_mapping_unmap(struct inode *inode, loff_t start, loff_t len, bool even_private);

#endif /* CPR_MAPPING_H */
