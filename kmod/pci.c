// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Identity of PCI devices
 *
 * A device is identified by its address, by identifiers in its configuration
 * space, and by the other devices of its IOMMU group: the IOMMU cannot isolate the
 * device from those. Here they are read; identity.c compares them.
 *
 * Locking: that of the IOMMU group, which the IOMMU core takes.
 */
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "pci.h"

/**
 * cpr_pci_address - the address of a device
 * @pdev: the device
 */
struct cpr_pci cpr_pci_address(struct pci_dev *pdev)
{
	return (struct cpr_pci){
		.segment = pci_domain_nr(pdev->bus),
		.bus = pdev->bus->number,
		.devfn = pdev->devfn,
	};
}

/**
 * cpr_pci_identify - read the identity of a device
 * @pdev: the device
 * @id: filled in, except for @id->members and @id->dma
 */
void cpr_pci_identify(struct pci_dev *pdev, struct cpr_catalog_device *id)
{
	id->address = cpr_pci_address(pdev);
	id->vendor = pdev->vendor;
	id->device = pdev->device;
	id->subsystem_vendor = pdev->subsystem_vendor;
	id->subsystem_device = pdev->subsystem_device;
	id->class = pdev->class << 8 | pdev->revision;
	id->serial = pci_get_dsn(pdev);
	/* All ones are what a device that does not answer reads as. */
	id->has_serial = id->serial && id->serial != U64_MAX;
	if (!id->has_serial)
		id->serial = 0;
}

struct pci_members {
	struct cpr_pci *v;
	u32 nr;
	u32 room;
};

/* Without an array, count only. */
static int pci_add_member(struct device *dev, void *data)
{
	struct pci_members *m = data;

	if (!dev_is_pci(dev))
		return -EOPNOTSUPP;
	if (m->v && m->nr < m->room)
		m->v[m->nr] = cpr_pci_address(to_pci_dev(dev));
	m->nr++;
	return 0;
}

/**
 * cpr_pci_group_members - list the PCI devices of an IOMMU group
 * @group: the group
 * @nr: number of devices
 *
 * Return: their addresses, to be freed with kfree(); or ERR_PTR of -EOPNOTSUPP if
 * the group has a device that is not PCI, -EAGAIN if the group has changed
 * meanwhile, -ENOMEM.
 */
struct cpr_pci *cpr_pci_group_members(struct iommu_group *group, u32 *nr)
{
	struct pci_members m = { 0 };
	int err = iommu_group_for_each_dev(group, &m, pci_add_member);

	if (err)
		return ERR_PTR(err);
	m.room = m.nr;
	m.nr = 0;
	m.v = kcalloc(m.room, sizeof(*m.v), GFP_KERNEL);
	if (!m.v)
		return ERR_PTR(-ENOMEM);
	err = iommu_group_for_each_dev(group, &m, pci_add_member);
	if (!err && m.nr == m.room) {
		*nr = m.nr;
		return m.v;
	}
	kfree(m.v);
	return ERR_PTR(err ?: -EAGAIN);
}
