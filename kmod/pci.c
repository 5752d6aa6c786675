// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: PCI devices, and how to know one again
 *
 * A device is known by its address and by what its configuration space says of
 * it; and by the other devices of its IOMMU group, from which nothing keeps it
 * apart.
 *
 * Locking: the IOMMU group's own.
 */
#include <linux/iommu.h>
#include <linux/netlink.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "cpr_internal.h"

/**
 * cpr_pci_name - a PCI address as sysfs spells it
 * @p: the address
 * @name: at least CPR_DEVICE_ADDRESS_MAX + 1 bytes
 */
void cpr_pci_name(const struct cpr_pci *p, char *name)
{
	snprintf(name, CPR_DEVICE_ADDRESS_MAX + 1, "%04x:%02x:%02x.%x", p->segment,
		 p->bus, PCI_SLOT(p->devfn), PCI_FUNC(p->devfn));
}

/**
 * cpr_pci_same - do two addresses name the same device?
 * @a: one
 * @b: the other
 */
bool cpr_pci_same(const struct cpr_pci *a, const struct cpr_pci *b)
{
	return a->segment == b->segment && a->bus == b->bus && a->devfn == b->devfn;
}

/**
 * cpr_pci_among - is a PCI address in a list?
 * @p: the address
 * @list: the list
 * @nr: entries in @list
 */
bool cpr_pci_among(const struct cpr_pci *p, const struct cpr_pci *list, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		if (cpr_pci_same(p, &list[i]))
			return true;
	return false;
}

/**
 * cpr_pci_identify - what tells a device from others
 * @pdev: the device
 * @id: filled in, but for its group and its table
 */
void cpr_pci_identify(struct pci_dev *pdev, struct cpr_catalog_device *id)
{
	id->address.segment = pci_domain_nr(pdev->bus);
	id->address.bus = pdev->bus->number;
	id->address.devfn = pdev->devfn;
	id->vendor = pdev->vendor;
	id->device = pdev->device;
	id->subsystem_vendor = pdev->subsystem_vendor;
	id->subsystem_device = pdev->subsystem_device;
	id->class = pdev->class << 8 | pdev->revision;
	id->serial = pci_get_dsn(pdev);
	id->has_serial = id->serial;
}

struct members {
	struct cpr_pci *v;
	u32 nr;
	u32 room;
};

static int count_member(struct device *dev, void *data)
{
	struct members *m = data;

	if (!dev_is_pci(dev))
		return -EOPNOTSUPP;
	if (m->v && m->nr < m->room) {
		struct pci_dev *pdev = to_pci_dev(dev);

		m->v[m->nr].segment = pci_domain_nr(pdev->bus);
		m->v[m->nr].bus = pdev->bus->number;
		m->v[m->nr].devfn = pdev->devfn;
	}
	m->nr++;
	return 0;
}

/**
 * cpr_group_members - the PCI devices of an IOMMU group
 * @group: the group
 * @nr: how many
 *
 * Return: their addresses, to be freed with kfree(); or ERR_PTR of -EOPNOTSUPP
 * if there is another device in it, -EAGAIN if it just changed, -ENOMEM.
 */
struct cpr_pci *cpr_group_members(struct iommu_group *group, u32 *nr)
{
	struct members m = { 0 };
	int err = iommu_group_for_each_dev(group, &m, count_member);

	if (err)
		return ERR_PTR(err);
	m.room = m.nr;
	m.nr = 0;
	m.v = kcalloc(m.room, sizeof(*m.v), GFP_KERNEL);
	if (!m.v)
		return ERR_PTR(-ENOMEM);
	err = iommu_group_for_each_dev(group, &m, count_member);
	if (!err && m.nr == m.room) {
		*nr = m.nr;
		return m.v;
	}
	kfree(m.v);
	return ERR_PTR(err ?: -EAGAIN);
}
