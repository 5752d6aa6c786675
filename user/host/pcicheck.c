// SPDX-License-Identifier: GPL-2.0-only
/* Whether PCI devices can be passed through to a guest; see pci_check(). */
#define _GNU_SOURCE
#include <errno.h>

#include "host/pci.h"

#define CLASS_BRIDGE "0x06"

/* Drivers that let the device do no DMA on behalf of the host. */
static const char *const harmless[] = { "vfio-pci", "pci-stub", "pcieport" };

static int pci_refuse(const char *address, const char *why, const char *remedy, struct err *err)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "device", .value = address,
		    .why = why, .remedy = remedy);
}

/* Unbinding the driver of a device with virtual functions removes these functions. */
static int pci_check_kind(const char *address, struct err *err)
{
	_cleanup_free_ char *class = pci_text(address, "class");
	_cleanup_free_ char *functions = pci_text(address, "sriov_numvfs");

	if (class && startswith(class, CLASS_BRIDGE))
		return pci_refuse(address, "it is a bridge", "give the guest a device behind it",
				  err);
	if (functions && !streq(functions, "0"))
		return pci_refuse(address, fmt("it has %s virtual functions, which would be "
					       "removed", functions),
				  "give the guest one of these, or write 0 to its sriov_numvfs",
				  err);
	return 0;
}

static int pci_check_member(const char *address, const char *member, const struct strv *addresses,
			    struct err *err)
{
	_cleanup_free_ char *driver = pci_driver(member);

	if (!driver || str_in(harmless, driver) || strv_has(addresses, member))
		return 0;
	return pci_refuse(address, fmt("%s is in the same IOMMU group, and bound to the host's "
				       "driver %s", member, driver),
			  "give the guest that device, too, or unbind it from its driver", err);
}

static int pci_check_group(const char *address, const struct strv *addresses, struct err *err)
{
	_cleanup_free_ char *group = pci_group(address);
	_cleanup_strv_ struct strv members = { 0 };
	int r = 0;

	if (!group)
		return pci_refuse(address, "it has no IOMMU group: its DMA could reach all of "
				  "memory",
				  "boot the host with intel_iommu=on or amd_iommu=on, and enable "
				  "the IOMMU in its firmware", err);
	pci_group_members(address, &members);
	for (size_t i = 0; r == 0 && i < members.n; i++)
		r = pci_check_member(address, members.v[i], addresses, err);
	return r;
}

static int pci_check_use(const char *address, struct err *err)
{
	_cleanup_free_ char *use = pci_host_use(address);

	if (!use)
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "device", .value = address,
		    .why = fmt("the host uses it: %s", use),
		    .remedy = "give the guest another device, or end the host's use of this one "
			      "first");
}

static int pci_check_device(const char *address, const struct strv *addresses, struct err *err)
{
	_cleanup_free_ char *dir = pci_dir(address);
	int r;

	if (!dir)
		return fail(err, -ENODEV, .exit = CPR_EXIT_NOTFOUND, .what = "device",
			    .value = address, .why = "there is no such PCI device",
			    .remedy = "'lspci -D' lists the devices");
	r = pci_check_kind(address, err);
	if (r == 0)
		r = pci_check_use(address, err);
	return r < 0 ? r : pci_check_group(address, addresses, err);
}

int pci_check(const struct strv *addresses, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < addresses->n; i++)
		r = pci_check_device(addresses->v[i], addresses, err);
	return r;
}
