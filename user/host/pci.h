/* SPDX-License-Identifier: GPL-2.0-only */
/* PCI devices for passthrough: their attributes, their use by the host, their driver. */
#ifndef CPR_PCI_H
#define CPR_PCI_H

#include "base/error.h"
#include "base/pci_address.h"

/* Prefix of /sys, /proc and /dev without symbolic links; "" except in tests. */
extern const char *pci_root;

/* Canonical sysfs directory; NULL if there is no such device. Caller frees. */
char *pci_dir(const char *address);

/* Text of an attribute file in that directory, at most 4 KiB; NULL on error. Caller frees. */
char *pci_text(const char *address, const char *file);

/* Last component of the target of a symbolic link in it; NULL if there is none. Caller frees. */
char *pci_link_name(const char *address, const char *link);

/* Name of its network interface; NULL if it has none. Caller frees. */
char *pci_interface(const char *address);

/* Name of the driver, number of the IOMMU group; NULL if there is none. Caller frees. */
char *pci_driver(const char *address);
char *pci_group(const char *address);

/* Add the addresses of all devices in its IOMMU group, including its own, if it has one. */
void pci_group_members(const char *address, struct strv *members);

/* Vendor and device id, "8086:10d3"; NULL on error. Caller frees. */
char *pci_model(const char *address);

/**
 * pci_host_use - find out how the host uses a device
 *
 * Checks for mounts and swap on disks of the device (also through device-mapper, md and
 * NVMe multipath), for disks that are opened exclusively, and for network interfaces
 * that are up.
 *
 * Returns: a sentence like "'/boot' is mounted from it", which the caller frees; NULL if
 * the host does not use the device.
 */
char *pci_host_use(const char *address);

/**
 * pci_check - check whether devices can be passed through to one guest
 *
 * Changes nothing. Returns: 0; -ENODEV (exit status 3) if a device does not exist;
 * -EOPNOTSUPP (exit status 4) without an IOMMU, for bridges and devices with virtual
 * functions, or if a host driver is bound to another member of a device's IOMMU group;
 * -EBUSY (exit status 5) if the host uses a device.
 */
int pci_check(const struct strv *addresses, struct err *err);

/**
 * pci_bind_vfio - unbind a device from its driver and bind it to vfio-pci
 *
 * On failure it has the kernel probe the device again, so that the previous driver binds.
 * Returns: 0, also if the device is bound to vfio-pci already; or a negative errno.
 */
int pci_bind_vfio(const char *address, struct err *err);

/**
 * pci_unbind_vfio - unbind a device from vfio-pci
 * @driven: let a host driver bind to the device; otherwise the device stays unbound
 *
 * Returns: 0, also if the device does not exist or is bound to a host driver; -EBUSY
 * (exit status 5) if a process uses the device; or another negative errno.
 */
int pci_unbind_vfio(const char *address, bool driven, struct err *err);

/* Write to a sysfs file. Tests substitute this function. Returns: 0 or -errno. */
int pci_write(const char *path, const char *text);

#endif
