/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_IMAGE_H
#define CPR_IMAGE_H

#include "cpr_internal.h"

struct netlink_ext_ack;

int cpr_image_open(struct cpr *c);
void cpr_image_close(struct cpr *c);
int cpr_image_create(struct cpr *c, const char *label, bool force,
		     struct netlink_ext_ack *extack);

#endif /* CPR_IMAGE_H */
