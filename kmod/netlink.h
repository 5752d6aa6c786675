/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_NETLINK_H
#define CPR_NETLINK_H

#include "cpr_internal.h"

int cpr_netlink_init(struct cpr *c);
void cpr_netlink_exit(void);

#endif /* CPR_NETLINK_H */
