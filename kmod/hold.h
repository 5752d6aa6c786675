/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_HOLD_H
#define CPR_HOLD_H

#include "cpr_internal.h"

struct netlink_ext_ack;

int cpr_hold_init(struct cpr *c);
void cpr_hold_exit(void);
void cpr_hold_update(void);
int cpr_hold_release(const char *name, struct netlink_ext_ack *extack);
int cpr_hold_give_up(const char *address, struct netlink_ext_ack *extack);

#endif /* CPR_HOLD_H */
