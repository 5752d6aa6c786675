/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_SPACE_H
#define CPR_SPACE_H

#include "cpr_internal.h"
#include "tree.h"

u32 cpr_space_holes(struct cpr_node *node, u32 first, u32 count);
int cpr_space_fill(struct cpr *c, struct cpr_node *node, u32 first, u32 count);
void cpr_space_drop(struct cpr *c, struct cpr_node *node, u32 first, u32 last);

#endif /* CPR_SPACE_H */
