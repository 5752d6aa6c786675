/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_OPENS_H
#define CPR_OPENS_H

#include <linux/fs.h>

#include "cpr_internal.h"
#include "tree.h"

int cpr_opens_add(struct file *file);
void cpr_opens_remove(struct file *file);
bool cpr_opens_revoked(const struct file *file);
void cpr_opens_revoke(struct cpr *c, struct cpr_node *node);

#endif /* CPR_OPENS_H */
