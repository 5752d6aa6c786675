/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_REVOKE_H
#define CPR_REVOKE_H

#include "cpr_internal.h"

struct cpr_vm_step;
struct netlink_ext_ack;

int cpr_revoke_step(struct cpr *c, const struct cpr_vm_step *ask,
		    struct netlink_ext_ack *extack);

#endif /* CPR_REVOKE_H */
