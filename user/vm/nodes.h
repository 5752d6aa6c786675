/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device nodes that a QEMU opens by itself, for a QEMU that does not run as root. Those of one
 * passed-through device become its user's; those that all guests share are the operator's to
 * open.
 */
#ifndef CPR_NODES_H
#define CPR_NODES_H

#include "qemu/qemuopt.h"

/**
 * nodes_check - check that the user can open the shared nodes that a command line needs
 *
 * Returns: 0, or -EACCES with exit status 4 for the first that he cannot: /dev/kvm,
 * /dev/vfio/vfio or /dev/iommu.
 */
int nodes_check(struct json_object *user, const struct qemuopts *opts, struct err *err);

/*
 * Make the nodes of devices that are bound to vfio-pci the user's, and root's again: without a
 * user they stay as they are. Return 0 or -errno.
 */
int nodes_give(struct json_object *user, const struct strv *addresses, struct err *err);
int nodes_take_back(struct json_object *user, const struct strv *addresses, struct err *err);

#endif
