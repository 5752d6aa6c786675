/* SPDX-License-Identifier: GPL-2.0-only */
/* The PCI devices that QEMU's command line passes through. */
#ifndef CPR_PCIARGS_H
#define CPR_PCIARGS_H

#include "base/error.h"

/**
 * pci_devices - the devices that a command line passes through
 * @argv: QEMU's arguments without the program's name
 * @addresses: in the order of the command line, as pci_address() spells them
 *
 * Pure: nothing here looks at the machine. Returns: 0, or -EOPNOTSUPP with exit
 * status 4 for what is no PCI device or cannot be found again after a kexec.
 */
int pci_devices(const struct strv *argv, struct strv *addresses, struct err *err);

/**
 * pci_shared_iommufd - an iommufd object by which two or more devices are passed through
 *
 * QEMU before 10.1 enters the object's container once for each device into the list
 * of those to be told of a migration. Entered twice, that list is a circle, and QEMU
 * runs in it for ever at "migrate".
 *
 * Returns: its id, which the caller frees, or NULL.
 */
char *pci_shared_iommufd(const struct strv *argv);

#endif
