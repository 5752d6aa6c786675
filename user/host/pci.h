/* SPDX-License-Identifier: GPL-2.0-only */
/* PCI devices that a guest is given: which they are, who uses them, who drives them. */
#ifndef CPR_PCI_H
#define CPR_PCI_H

#include "base/error.h"
#include "base/pci_address.h"

/* Before /sys, /proc and /dev, with symbolic links resolved: "" but in a test. */
extern const char *pci_root;

/* Canonical sysfs directory, or NULL if there is no such device; the caller frees it. */
char *pci_dir(const char *address);

/* A small file of that directory as text, or NULL; the caller frees it. */
char *pci_text(const char *address, const char *file);

/* Names, NULL without one; the caller frees them. */
char *pci_driver(const char *address);
char *pci_group(const char *address);

/* Addresses in its IOMMU group, itself among them; none without a group. */
void pci_members(const char *address, struct strv *members);

/* "8086:10d3", or NULL; the caller frees it. */
char *pci_model(const char *address);

/**
 * pci_use - what of the host is lost when the device is taken from it
 *
 * Looks at what is mounted or swapped to on a disk of it, through device-mapper,
 * md and NVMe multipath, at disks that something else has, and at its network
 * interfaces that are up.
 *
 * Returns: words like "'/boot' is mounted from it", which the caller frees; NULL
 * if it is not used.
 */
char *pci_use(const char *address);

/**
 * pci_check - whether the devices can be given to one guest
 *
 * Changes nothing. Returns: 0; -ENODEV (exit 3) for one that is not there;
 * -EOPNOTSUPP (exit 4) without an IOMMU, for what VFIO cannot take, or if a
 * group has members that a driver of the host uses; -EBUSY (exit 5) if the host
 * uses one.
 */
int pci_check(const struct strv *addresses, struct err *err);

/**
 * pci_bind_vfio - take a device from its driver and give it to vfio-pci
 *
 * Returns: 0 also if vfio-pci has it already. After a failure the driver that it
 * had was asked to take it again.
 */
int pci_bind_vfio(const char *address, struct err *err);

/**
 * pci_give_back - take a device from vfio-pci again
 * @driven: a driver of the host had it; otherwise it stays without one
 *
 * Returns: 0 also if it is not there, or a driver of the host has it; -EBUSY
 * (exit 5) if some process uses it.
 */
int pci_give_back(const char *address, bool driven, struct err *err);

/* Write to a file of sysfs. Returns: 0 or -errno. */
int pci_put(const char *path, const char *text);

#endif
