// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: IOMMU groups that the module owns
 *
 * The module owns a group as VFIO does (iommu_group_claim_dma_owner()): all DMA of its
 * devices is blocked, and no native driver can bind to any of them. vfio-pci may bind,
 * because it does not use DMA by itself. A device that arrives in an owned group is
 * blocked before any driver sees it. Instead of being blocked, the group can get a domain
 * with the mappings of a VM.
 *
 * The IOMMU core removes a device from its group only after the notifiers were told that
 * the device is about to be removed, and a group must not be owned any more when its last
 * device is. So this file keeps the addresses of devices that are being removed, and does
 * not count them as members.
 *
 * Locking: hold.c calls all functions here with its mutex held. The IOMMU core takes the
 * lock of the group.
 */
#include <linux/hashtable.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "group.h"
#include "pci.h"

static DEFINE_HASHTABLE(group_table, 8);
static DEFINE_XARRAY(group_leaving);

static struct cpr_group *group_lookup(const struct iommu_group *iommu, int id)
{
	struct cpr_group *g;

	hash_for_each_possible(group_table, g, by_id, id)
		if (g->iommu == iommu)
			return g;
	return NULL;
}

/**
 * cpr_group_find - the group of a device, if it is known
 * @dev: the device
 *
 * Return: the group, or NULL.
 */
struct cpr_group *cpr_group_find(struct device *dev)
{
	struct iommu_group *iommu = iommu_group_get(dev);
	struct cpr_group *g;

	if (!iommu)
		return NULL;
	g = group_lookup(iommu, iommu_group_id(iommu));
	iommu_group_put(iommu);
	return g;
}

/**
 * cpr_group_get - the group of a device
 * @dev: the device
 *
 * Return: the group, which may be new; or NULL if no IOMMU translates for @dev.
 */
struct cpr_group *cpr_group_get(struct device *dev)
{
	struct iommu_group *iommu = iommu_group_get(dev);
	struct cpr_group *g;

	if (!iommu)
		return NULL;
	g = group_lookup(iommu, iommu_group_id(iommu));
	if (g) {
		iommu_group_put(iommu);
		return g;
	}
	/* A few bytes must not be the reason why a guest's device goes to the host. */
	g = kzalloc(sizeof(*g), GFP_KERNEL | __GFP_NOFAIL);
	g->iommu = iommu;
	INIT_LIST_HEAD(&g->devices);
	INIT_LIST_HEAD(&g->todo);
	hash_add(group_table, &g->by_id, iommu_group_id(iommu));
	return g;
}

/**
 * cpr_group_free - release a group
 * @g: the group; it has no devices
 */
void cpr_group_free(struct cpr_group *g)
{
	cpr_group_block(g);
	if (g->owned)
		iommu_group_release_dma_owner(g->iommu);
	hash_del(&g->by_id);
	list_del(&g->todo);
	iommu_group_put(g->iommu);
	kfree(g);
}

/**
 * cpr_group_own - own a group, and block all its DMA
 * @g: the group
 *
 * Return: 0, also if the module owns it already; -EPERM or -EBUSY if a driver uses a
 * device of the group; or another negative errno.
 */
int cpr_group_own(struct cpr_group *g)
{
	int err;

	if (g->owned)
		return 0;
	err = iommu_group_claim_dma_owner(g->iommu, g);
	g->owned = !err;
	return err;
}

static int group_map_table(struct iommu_domain *domain, const struct cpr_dma_table *t)
{
	int err = 0;

	for (u32 i = 0; i < t->nr && !err; i++) {
		const struct cpr_dma_extent *e = &t->extents[i];

		if (e->class == CPR_IMAGE_DMA_REGION)
			err = iommu_map(domain, e->iova, e->phys, e->length,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	}
	return err;
}

/**
 * cpr_group_map - let the devices of a group reach what a table says
 * @g: the group, owned and blocked
 * @dev: a device of the group
 * @t: the table
 *
 * Return: 0 or a negative errno; then the group stays blocked.
 */
int cpr_group_map(struct cpr_group *g, struct device *dev, const struct cpr_dma_table *t)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);
	int err;

	if (IS_ERR(domain))
		return PTR_ERR(domain);
	err = group_map_table(domain, t);
	if (!err)
		err = iommu_attach_group(domain, g->iommu);
	if (err)
		iommu_domain_free(domain);
	else
		g->domain = domain;
	return err;
}

/**
 * cpr_group_block - undo cpr_group_map()
 * @g: the group
 */
void cpr_group_block(struct cpr_group *g)
{
	if (!g->domain)
		return;
	/* The domain of an owner that has none is the blocking one. */
	iommu_detach_group(g->domain, g->iommu);
	iommu_domain_free(g->domain);
	g->domain = NULL;
}

/* ---- members ---- */

/**
 * cpr_group_members - list the members of a group that are not about to be removed
 * @g: the group
 * @nr: number of members
 *
 * Return: as cpr_pci_group_members().
 */
struct cpr_pci *cpr_group_members(const struct cpr_group *g, u32 *nr)
{
	struct cpr_pci *v = cpr_pci_group_members(g->iommu, nr);
	u32 kept = 0;

	if (IS_ERR(v))
		return v;
	for (u32 i = 0; i < *nr; i++)
		if (!xa_load(&group_leaving, cpr_pci_key(&v[i])))
			v[kept++] = v[i];
	*nr = kept;
	return v;
}

struct group_driver {
	char *name;
	size_t size;
};

/* The lock of the device keeps the driver; who has it may wait for the caller. */
static int group_name_driver(struct device *dev, void *data)
{
	const struct group_driver *d = data;
	bool found = false;

	if (!device_trylock(dev))
		return 0;
	if (dev->driver && !(dev_is_pci(dev) &&
			     to_pci_driver(dev->driver)->driver_managed_dma)) {
		snprintf(d->name, d->size, "driver '%s' of %s", dev->driver->name,
			 dev_name(dev));
		found = true;
	}
	device_unlock(dev);
	return found;
}

/**
 * cpr_group_driver - who uses a group that cannot be owned?
 * @g: the group
 * @name: filled in
 * @size: bytes
 */
void cpr_group_driver(const struct cpr_group *g, char *name, size_t size)
{
	struct group_driver d = { .name = name, .size = size };

	strscpy(name, "another driver", size);
	iommu_group_for_each_dev(g->iommu, &d, group_name_driver);
}

/**
 * cpr_group_leaving - a device is about to be removed
 * @pdev: the device
 */
void cpr_group_leaving(struct pci_dev *pdev)
{
	const struct cpr_pci at = cpr_pci_address(pdev);

	xa_store(&group_leaving, cpr_pci_key(&at), xa_mk_value(1), GFP_KERNEL | __GFP_NOFAIL);
}

/**
 * cpr_group_left - a device was removed, or one has appeared at its address
 * @pdev: the device
 */
void cpr_group_left(struct pci_dev *pdev)
{
	const struct cpr_pci at = cpr_pci_address(pdev);

	xa_erase(&group_leaving, cpr_pci_key(&at));
}

/**
 * cpr_group_is_leaving - is a device about to be removed?
 * @pdev: the device
 */
bool cpr_group_is_leaving(struct pci_dev *pdev)
{
	const struct cpr_pci at = cpr_pci_address(pdev);

	return xa_load(&group_leaving, cpr_pci_key(&at));
}

/**
 * cpr_group_exit - forget the devices that are being removed
 */
void cpr_group_exit(void)
{
	xa_destroy(&group_leaving);
}
