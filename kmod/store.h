/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_STORE_H
#define CPR_STORE_H

#include "cpr_internal.h"
#include "tree.h"

struct file;

int cpr_store_load(struct cpr *c, const struct cpr_catalog *cat);
void cpr_store_load_empty(struct cpr *c, const struct cpr_catalog *cat, struct cpr_node *root);
void cpr_store_forget(struct cpr *c);
int cpr_commit(struct cpr *c);
int cpr_commit_locked(struct cpr *c);
int cpr_commit_twice(struct cpr *c);
int cpr_commit_twice_locked(struct cpr *c);
void cpr_committer(struct work_struct *work);
int cpr_store_sync(struct cpr *c);
int cpr_store_fill(struct cpr *c, struct cpr_node *node, u32 first, u32 count);
int cpr_store_fsync(struct file *file, loff_t start, loff_t end, int datasync);

#endif /* CPR_STORE_H */
