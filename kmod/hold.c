// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Who has a VM's devices in the next kernel
 *
 * A device that was passed through would be taken by the host's own driver as
 * soon as that loads. So the module, up before, owns the IOMMU group of every
 * device of a held VM and puts the recorded mappings to the VM's memory in
 * place: a native driver cannot bind, and DMA reaches that memory only. vfio-pci
 * may bind, for it does not use DMA by itself; it gets the group when the VM is
 * being restored and the helper asks for the release.
 *
 * A device that is missing, or is another one, or whose group has other members
 * than it had, is not held but reported. Devices may come late - VFs do, and
 * what is hot-plugged - so whenever a PCI device appears, those that are not
 * held are tried again; one that goes is let go of.
 *
 * What is mapped comes from the image, which is not believed: it must lie in
 * the VM's own memory files.
 *
 * Locking: cpr->lock; the group's own lock and the bus's are taken below it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/pci.h>

#include "cpr_internal.h"

static bool hold = true;
module_param(hold, bool, 0444);
MODULE_PARM_DESC(hold, "own the devices of held VMs until they are restored (on); off leaves them to the host's drivers");

/* ---- not held, and why ---- */

__printf(3, 4)
static bool not_held(struct cpr_device *d, enum cpr_device_hold hold, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->reason, sizeof(d->reason), fmt, ap);
	va_end(ap);
	d->hold = hold;
	return false;
}

static bool is_same_device(struct cpr_device *d, struct pci_dev *pdev)
{
	struct cpr_catalog_device is = { 0 };

	cpr_pci_identify(pdev, &is);
	if (is.vendor != d->id.vendor || is.device != d->id.device ||
	    is.subsystem_vendor != d->id.subsystem_vendor ||
	    is.subsystem_device != d->id.subsystem_device || is.class != d->id.class)
		return not_held(d, CPR_DEVICE_HOLD_CHANGED,
				"it was %04x:%04x (%04x:%04x, class %08x), and is %04x:%04x (%04x:%04x, class %08x)",
				d->id.vendor, d->id.device, d->id.subsystem_vendor,
				d->id.subsystem_device, d->id.class, is.vendor, is.device,
				is.subsystem_vendor, is.subsystem_device, is.class);
	if (is.has_serial != d->id.has_serial || is.serial != d->id.serial)
		return not_held(d, CPR_DEVICE_HOLD_CHANGED,
				"its serial number was %016llx, and is %016llx",
				d->id.serial, is.serial);
	return true;
}

/* The first address of @a that is not among @b. */
static const struct cpr_pci *not_among(const struct cpr_pci *a, u32 nr_a,
				       const struct cpr_pci *b, u32 nr_b)
{
	for (u32 i = 0; i < nr_a; i++)
		if (!cpr_pci_among(&a[i], b, nr_b))
			return &a[i];
	return NULL;
}

static bool is_same_group(struct cpr_device *d, struct iommu_group *group)
{
	const struct cpr_pci *strange, *lacks;
	char name[CPR_DEVICE_ADDRESS_MAX + 1];
	struct cpr_pci *members;
	u32 nr;

	members = cpr_group_members(group, &nr);
	if (IS_ERR(members))
		return not_held(d, CPR_DEVICE_HOLD_GROUP,
				"the members of its IOMMU group cannot be told: %pe", members);
	strange = not_among(members, nr, d->members, d->id.members);
	lacks = not_among(d->members, d->id.members, members, nr);
	if (strange || lacks)
		cpr_pci_name(strange ?: lacks, name);
	kfree(members);
	if (strange)
		return not_held(d, CPR_DEVICE_HOLD_GROUP,
				"%s is in its IOMMU group, and was not", name);
	if (lacks)
		return not_held(d, CPR_DEVICE_HOLD_GROUP,
				"%s was in its IOMMU group, and is not", name);
	return true;
}

/* ---- holding ---- */

static int map_table(struct iommu_domain *domain, const struct cpr_dma_table *t)
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

/* A domain that leads where the table does, for a group that we own. */
static struct iommu_domain *attach(struct iommu_group *group, struct device *dev,
				   const struct cpr_dma_table *t)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);
	int err;

	if (IS_ERR(domain))
		return domain;
	err = map_table(domain, t);
	if (!err)
		err = iommu_attach_group(domain, group);
	if (!err)
		return domain;
	iommu_domain_free(domain);
	return ERR_PTR(err);
}

static bool own(struct cpr_dma *dma, struct cpr_device *d, struct device *dev,
		struct iommu_group *group)
{
	struct iommu_domain *domain;
	int err = iommu_group_claim_dma_owner(group, dma);

	if (err)
		return not_held(d, CPR_DEVICE_HOLD_BUSY,
				"driver '%s' has it or its IOMMU group: %pe",
				dev->driver ? dev->driver->name : "(another)", ERR_PTR(err));
	domain = attach(group, dev, &dma->tables[d->id.dma]);
	if (!IS_ERR(domain)) {
		d->group = iommu_group_ref_get(group);
		d->domain = domain;
		return true;
	}
	iommu_group_release_dma_owner(group);
	return not_held(d, CPR_DEVICE_HOLD_FAILED, "its mappings could not be set up: %pe",
			domain);
}

/* Another device of the VM in the same group is held already, with the same mappings. */
static bool is_owned(const struct cpr_dma *dma, const struct cpr_device *d,
		     const struct iommu_group *group)
{
	for (u32 i = 0; i < dma->nr_devices; i++)
		if (dma->devices[i].group == group && dma->devices[i].id.dma == d->id.dma)
			return true;
	return false;
}

static bool hold_pci(struct cpr_dma *dma, struct cpr_device *d, struct pci_dev *pdev)
{
	struct iommu_group *group;
	bool held;

	if (!is_same_device(d, pdev))
		return false;
	group = iommu_group_get(&pdev->dev);
	if (!group)
		return not_held(d, CPR_DEVICE_HOLD_FAILED,
				"no IOMMU translates for it; is it on?");
	held = is_same_group(d, group) &&
	       (is_owned(dma, d, group) || own(dma, d, &pdev->dev, group));
	iommu_group_put(group);
	return held;
}

static bool hold_device(struct cpr_dma *dma, struct cpr_device *d,
			const struct cpr_dma_owner *owner)
{
	const struct cpr_pci *at = &d->id.address;
	const struct cpr_dma_table *t = &dma->tables[d->id.dma];
	const struct cpr_dma_extent *foreign;
	struct pci_dev *pdev;
	bool held;

	if (!cpr_dma_table_fits(t, owner))
		return not_held(d, CPR_DEVICE_HOLD_FAILED,
				"the image has more mappings than the VM's memory can need");
	foreign = cpr_dma_table_foreign(t, owner);
	if (foreign)
		return not_held(d, CPR_DEVICE_HOLD_FAILED,
				"the image leads iova %#llx to memory that is not the VM's",
				foreign->iova);
	pdev = pci_get_domain_bus_and_slot(at->segment, at->bus, at->devfn);
	if (!pdev)
		return not_held(d, CPR_DEVICE_HOLD_MISSING, "there is no device at its address");
	held = hold_pci(dma, d, pdev);
	pci_dev_put(pdev);
	return held;
}

static void report(struct cpr *c, const struct cpr_node *dir, const struct cpr_device *d)
{
	char name[CPR_DEVICE_ADDRESS_MAX + 1];

	cpr_pci_name(&d->id.address, name);
	if (d->hold == CPR_DEVICE_HOLD_HELD)
		pr_info("VM '%.*s': %s is held\n", dir->name_len, dir->name, name);
	else
		pr_warn("VM '%.*s': %s is not held: %s\n", dir->name_len, dir->name, name,
			d->reason);
	cpr_netlink_notify_device(c, dir, d);
}

/**
 * cpr_hold_vm - hold the devices of a VM, those that are not yet
 * @c: the region
 * @dir: directory of the VM
 *
 * Nothing is done unless the VM is held. What cannot be is reported.
 */
void cpr_hold_vm(struct cpr *c, struct cpr_node *dir)
{
	struct cpr_dma *dma = dir->vm ? dir->vm->dma : NULL;
	struct cpr_memory m;

	lockdep_assert_held(&c->lock);

	if (!hold || !dma || dir->vm->state != CPR_VM_STATE_HELD)
		return;
	if (cpr_memory_get(c, dir, &m)) {
		pr_err("VM '%.*s': no memory to hold its devices\n", dir->name_len, dir->name);
		return;
	}
	for (u32 i = 0; i < dma->nr_devices; i++) {
		struct cpr_device *d = &dma->devices[i];
		struct cpr_device before = *d;

		if (d->hold == CPR_DEVICE_HOLD_HELD)
			continue;
		if (hold_device(dma, d, &m.owner)) {
			d->hold = CPR_DEVICE_HOLD_HELD;
			d->reason[0] = 0;
		}
		if (d->hold != before.hold || strcmp(d->reason, before.reason))
			report(c, dir, d);
	}
	cpr_memory_free(&m);
}

/* ---- letting go ---- */

static void let_go(struct cpr_device *d)
{
	d->hold = CPR_DEVICE_HOLD_NONE;
	if (!d->group)
		return;
	iommu_detach_group(d->domain, d->group);
	iommu_domain_free(d->domain);
	iommu_group_release_dma_owner(d->group);
	iommu_group_put(d->group);
	d->group = NULL;
	d->domain = NULL;
}

/**
 * cpr_hold_drop - let go of the devices of a VM
 * @dma: its snapshot, or NULL
 */
void cpr_hold_drop(struct cpr_dma *dma)
{
	for (u32 i = 0; dma && i < dma->nr_devices; i++)
		let_go(&dma->devices[i]);
}

static int check_driver(const struct cpr_device *d, struct netlink_ext_ack *extack)
{
	const struct cpr_pci *at = &d->id.address;
	char name[CPR_DEVICE_ADDRESS_MAX + 1];
	bool harmless = false;
	struct pci_dev *pdev;

	cpr_pci_name(at, name);
	pdev = pci_get_domain_bus_and_slot(at->segment, at->bus, at->devfn);
	if (!pdev) {
		NL_SET_ERR_MSG_FMT(extack, "there is no PCI device %s", name);
		return -ENODEV;
	}
	/*
	 * Bound to such a driver, it is no native one's when we let go. Who has the
	 * device locked may be about to add VFs, and wait for us to look at them.
	 */
	if (device_trylock(&pdev->dev)) {
		harmless = pdev->driver && pdev->driver->driver_managed_dma;
		device_unlock(&pdev->dev);
	}
	pci_dev_put(pdev);
	if (harmless)
		return 0;
	NL_SET_ERR_MSG_FMT(extack, "%s is not bound to vfio-pci, or it is being bound", name);
	return -EBUSY;
}

/**
 * cpr_hold_release - give the devices of a VM that is being restored to VFIO
 * @c: the region
 * @name: of the VM
 * @extack: reason of a refusal
 *
 * Return: 0; -ENOENT, -EBUSY for a VM that is not there or not restoring, or a
 * device that is not bound to vfio-pci; -ENODEV.
 */
int cpr_hold_release(struct cpr *c, const char *name, struct netlink_ext_ack *extack)
{
	struct cpr_node *dir;
	struct cpr_dma *dma;

	guard(cpr)(c);

	dir = cpr_vm_in(c, name, BIT(CPR_VM_STATE_RESTORING), extack);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	dma = dir->vm->dma;
	for (u32 i = 0; dma && i < dma->nr_devices; i++) {
		int err = check_driver(&dma->devices[i], extack);

		if (err)
			return err;
	}
	cpr_hold_drop(dma);
	return 0;
}

/* ---- devices that come and go ---- */

static void device_came(struct cpr *c)
{
	for (struct rb_node *rb = rb_first(&c->root->children); rb; rb = rb_next(rb))
		cpr_hold_vm(c, rb_entry(rb, struct cpr_node, rb));
}

/* All of a group is let go: a group must not be owned when its last device goes. */
static void vm_device_goes(struct cpr *c, struct cpr_node *dir, struct pci_dev *pdev)
{
	struct cpr_dma *dma = dir->vm ? dir->vm->dma : NULL;
	struct cpr_catalog_device gone = { 0 };

	cpr_pci_identify(pdev, &gone);
	for (u32 i = 0; dma && i < dma->nr_devices; i++) {
		struct cpr_device *d = &dma->devices[i];

		if (d->hold != CPR_DEVICE_HOLD_HELD ||
		    !cpr_pci_among(&gone.address, d->members, d->id.members))
			continue;
		let_go(d);
		if (cpr_pci_same(&d->id.address, &gone.address))
			not_held(d, CPR_DEVICE_HOLD_MISSING, "it was removed");
		else
			not_held(d, CPR_DEVICE_HOLD_GROUP,
				 "a device of its IOMMU group was removed");
		report(c, dir, d);
	}
}

static void device_goes(struct cpr *c, struct pci_dev *pdev)
{
	for (struct rb_node *rb = rb_first(&c->root->children); rb; rb = rb_next(rb))
		vm_device_goes(c, rb_entry(rb, struct cpr_node, rb), pdev);
}

/* The IOMMU's own notifier came first: the group is there, the driver is not yet. */
static int on_bus_event(struct notifier_block *nb, unsigned long action, void *data)
{
	guard(cpr)(&cpr);

	if (!cpr.formatted)
		return NOTIFY_DONE;
	if (action == BUS_NOTIFY_ADD_DEVICE)
		device_came(&cpr);
	else if (action == BUS_NOTIFY_DEL_DEVICE)
		device_goes(&cpr, to_pci_dev(data));
	return NOTIFY_DONE;
}

static struct notifier_block bus_notifier = {
	.notifier_call = on_bus_event,
};

/**
 * cpr_hold_init - hold the devices of all held VMs, from now on
 * @c: the region, its image open
 *
 * Return: 0 or a negative errno.
 */
int cpr_hold_init(struct cpr *c)
{
	int err;

	if (!hold)
		return 0;
	err = bus_register_notifier(&pci_bus_type, &bus_notifier);
	if (err)
		return err;
	guard(cpr)(c);
	if (c->formatted)
		device_came(c);
	return 0;
}

/**
 * cpr_hold_exit - no more
 *
 * What is held is let go of with its VM.
 */
void cpr_hold_exit(void)
{
	if (hold)
		bus_unregister_notifier(&pci_bus_type, &bus_notifier);
}
