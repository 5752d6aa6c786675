/* SPDX-License-Identifier: GPL-2.0-only */
/* The PCI devices that QEMU's command line passes through. */
#ifndef CPR_PCIARGS_H
#define CPR_PCIARGS_H

#include "qemu/qemuopt.h"

/**
 * pciargs_devices - the devices that a command line passes through
 * @opts: options that refuse_options() has accepted
 * @addresses: in the order of the command line, as pci_address() spells them
 *
 * Returns: 0, or -EOPNOTSUPP with exit status 4 for what is no PCI device.
 */
int pciargs_devices(const struct qemuopts *opts, struct strv *addresses, struct err *err);

/**
 * pciargs_shared_iommufd - an iommufd object that two or more passed-through devices use
 *
 * QEMU before 10.1 adds the object's container once for each device to the list of
 * migration notifiers. Added twice, the container makes the list a circle, and QEMU loops
 * in it for ever at "migrate".
 *
 * Returns: the object's id, or NULL.
 */
const char *pciargs_shared_iommufd(const struct qemuopts *opts);

/* Whether the guest has an IOMMU, and so decides itself what its devices reach. */
bool pciargs_has_viommu(const struct qemuopts *opts);

#endif
