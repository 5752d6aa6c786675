// SPDX-License-Identifier: GPL-2.0-only
/* Whether PCI devices can be given to a guest; see pci_check(). */
#define _GNU_SOURCE
#include <errno.h>

#include "host/pci.h"

#define CLASS_BRIDGE "0x06"

/* Drivers by which the host makes no DMA. */
static const char *const harmless[] = { "vfio-pci", "pci-stub", "pcieport" };

static int unable(const char *address, const char *why, const char *remedy, struct err *err)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "device", .value = address,
		    .why = why, .remedy = remedy);
}

/* Taking the driver from a device with virtual functions takes these, too. */
static int check_kind(const char *address, struct err *err)
{
	_cleanup_free_ char *class = pci_text(address, "class");
	_cleanup_free_ char *functions = pci_text(address, "sriov_numvfs");

	if (class && startswith(class, CLASS_BRIDGE))
		return unable(address, "it is a bridge", "give the guest a device behind it", err);
	if (functions && !streq(functions, "0"))
		return unable(address, fmt("it has %s virtual functions, which would go", functions),
			      "give the guest one of those, or write 0 to its sriov_numvfs", err);
	return 0;
}

static bool is_harmless(const char *driver)
{
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (streq(driver, harmless[i]))
			return true;
	return false;
}

static int check_member(const char *address, const char *member, const struct strv *addresses,
			struct err *err)
{
	_cleanup_free_ char *driver = pci_driver(member);

	if (!driver || is_harmless(driver) || strv_has(addresses, member))
		return 0;
	return unable(address, fmt("%s is in the same IOMMU group, and the host's driver %s has it",
				   member, driver),
		      "give the guest that one, too, or unbind it from its driver", err);
}

static int check_group(const char *address, const struct strv *addresses, struct err *err)
{
	_cleanup_free_ char *group = pci_group(address);
	_cleanup_strv_ struct strv members = { 0 };
	int r = 0;

	if (!group)
		return unable(address, "it has no IOMMU group: nothing would keep its DMA to the guest",
			      "boot the host with intel_iommu=on or amd_iommu=on, and turn the "
			      "IOMMU on in its firmware", err);
	pci_members(address, &members);
	for (size_t i = 0; r == 0 && i < members.n; i++)
		r = check_member(address, members.v[i], addresses, err);
	return r;
}

static int check_use(const char *address, struct err *err)
{
	_cleanup_free_ char *use = pci_use(address);

	if (!use)
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "device", .value = address,
		    .why = fmt("the host uses it: %s", use),
		    .remedy = "give the guest another device, or let the host do without this one "
			      "first");
}

static int check_device(const char *address, const struct strv *addresses, struct err *err)
{
	_cleanup_free_ char *dir = pci_dir(address);
	int r;

	if (!dir)
		return fail(err, -ENODEV, .exit = CPR_EXIT_NOTFOUND, .what = "device",
			    .value = address, .why = "there is no such PCI device",
			    .remedy = "'lspci -D' shows those that there are");
	r = check_kind(address, err);
	if (r == 0)
		r = check_use(address, err);
	return r < 0 ? r : check_group(address, addresses, err);
}

int pci_check(const struct strv *addresses, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < addresses->n; i++)
		r = check_device(addresses->v[i], addresses, err);
	return r;
}
