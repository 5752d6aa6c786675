/* SPDX-License-Identifier: GPL-2.0-only */
/* PCI devices that a guest is given: which they are, and who else uses them. */
#ifndef CPR_PCI_H
#define CPR_PCI_H

#include "error.h"

#define PCI_ADDRESS_SIZE 16

/* Before /sys and /proc: "" but in a test. */
extern const char *pci_root;

/**
 * pci_address - the address as sysfs spells it, "0000:41:00.0"
 * @text: with or without a domain, in any case
 *
 * Returns: false if @text is no PCI address.
 */
bool pci_address(const char *text, char address[PCI_ADDRESS_SIZE]);

/**
 * pci_devices - the devices that a command line passes through
 * @argv: QEMU's arguments without the program's name
 * @addresses: in the order of the command line, as pci_address() spells them
 *
 * Pure: nothing here looks at the machine. Returns: 0, or -EOPNOTSUPP with exit
 * status 4 for what is no PCI device or cannot be found again after a kexec.
 */
int pci_devices(const struct strv *argv, struct strv *addresses, struct err *err);

/* Whose name follows; the caller frees it; NULL without one. */
char *pci_driver(const char *address);
char *pci_group(const char *address);

/* "8086:10d3", or NULL; the caller frees it. */
char *pci_model(const char *address);

/* Canonical sysfs directory, or NULL if there is no such device; the caller frees it. */
char *pci_dir(const char *address);

/**
 * pci_use - what of the host is lost when the device is taken from it
 * @address: of the device
 *
 * Looks at what is mounted or swapped to on a disk of it, through device-mapper,
 * md and NVMe multipath, and at its network interfaces that are up.
 *
 * Returns: words like "'/boot' is mounted from it", which the caller frees; NULL
 * if it is not used.
 */
char *pci_use(const char *address);

/**
 * pci_check - whether the devices can be given to one guest
 *
 * Changes nothing. Returns: 0; -ENODEV (exit 3) for one that is not there;
 * -EOPNOTSUPP (exit 4) without an IOMMU, or if a group holds more than these;
 * -EBUSY (exit 5) if the host uses one.
 */
int pci_check(const struct strv *addresses, struct err *err);

/**
 * pci_bind_vfio - take a device from its driver and give it to vfio-pci
 *
 * Returns: 0 also if vfio-pci has it already. After a failure its former driver
 * was asked to take it again.
 */
int pci_bind_vfio(const char *address, struct err *err);

/* Take it from vfio-pci and let the host's drivers have it, unless it is in use. */
int pci_give_back(const char *address, struct err *err);

#endif
