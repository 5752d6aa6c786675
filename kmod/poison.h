/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_POISON_H
#define CPR_POISON_H

#include "cpr_internal.h"
#include "tree.h"

struct iov_iter;

int cpr_poison_failed(struct cpr_region *r, u64 page);
void cpr_poison_apply(struct cpr *c);
u64 cpr_poison_pages(const struct cpr *c, const struct cpr_node *dir);
size_t cpr_poison_sound(struct cpr *c, u32 frame, size_t at, size_t len);
void cpr_poison_zero(struct cpr *c, u32 frame, size_t at, size_t len);
ssize_t cpr_poison_read(struct cpr *c, u32 frame, size_t at, size_t len, struct iov_iter *to);
ssize_t cpr_poison_write(struct cpr *c, u32 frame, size_t at, size_t len,
			 struct iov_iter *from);

#endif /* CPR_POISON_H */
