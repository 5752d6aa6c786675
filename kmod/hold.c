// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Holding the devices of VMs
 *
 * After a kexec, a device that was passed through to a VM would be taken by the
 * host's own driver as soon as that is loaded. So the module is loaded before, owns
 * the IOMMU group of each device of a held VM and sets up the recorded mappings of
 * the VM's memory: a native driver cannot bind, and DMA reaches only that memory.
 * vfio-pci may bind, because it does not use DMA by itself. It gets the group when
 * the VM is being restored and the helper asks for the release.
 *
 * A device is not held, but reported, if it is missing, if another device is at its
 * address, or if its IOMMU group has other members than it had. Devices may appear
 * late, as VFs and hot-plugged devices do. So whenever a PCI device appears, the
 * module tries again to hold those that it does not hold. It releases a device that
 * is removed.
 *
 * The mappings come from the image, which is not trusted: they must lead to the
 * VM's own memory files.
 *
 * This file looks for itself what there is to hold: cpr_hold_update() compares the
 * devices that are held with the snapshots of held VMs.
 *
 * Locking: a mutex of its own, hold_global.lock, protects what is held. The order is
 * PCI bus notifier -> hold_global.lock -> lock of an IOMMU group, and
 * hold_global.lock -> cpr->lock. The lock of a group is never taken under cpr->lock:
 * the IOMMU core allocates memory under it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "events.h"
#include "hold.h"
#include "memory.h"
#include "pci.h"
#include "vm.h"

static bool hold_enabled = true;
module_param_named(hold, hold_enabled, bool, 0400);
MODULE_PARM_DESC(hold, "own the devices of held VMs until they are restored (on); off leaves them to the host's drivers");

/**
 * struct hold_entry - a device that is held
 * @list: in hold_global.entries
 * @ino: inode number of the VM's directory
 * @dma: the snapshot with @device; referenced; the owner in the IOMMU core's eyes
 * @device: the device
 * @group: IOMMU group of the device; NULL if another entry of the same snapshot
 *	owns the group
 * @domain: attached to @group
 */
struct hold_entry {
	struct list_head list;
	u64 ino;
	struct cpr_dma *dma;
	struct cpr_device *device;
	struct iommu_group *group;
	struct iommu_domain *domain;
};

static struct {
	struct cpr *c;
	struct mutex lock;	/* of the members below */
	struct list_head entries;
} hold_global = {
	.lock = __MUTEX_INITIALIZER(hold_global.lock),
	.entries = LIST_HEAD_INIT(hold_global.entries),
};

/**
 * struct hold_vm - a held VM, as it was under cpr->lock
 * @ino: inode number of its directory
 * @dma: its snapshot, referenced
 * @memory: its memory
 */
struct hold_vm {
	u64 ino;
	struct cpr_dma *dma;
	struct cpr_memory memory;
};

/**
 * struct hold_result - result of an attempt to hold a device
 * @hold: as in struct cpr_device
 * @reason: as in struct cpr_device
 */
struct hold_result {
	enum cpr_device_hold hold;
	char reason[sizeof_field(struct cpr_device, reason)];
};

static const struct hold_result hold_none = { .hold = CPR_DEVICE_HOLD_NONE };

__printf(3, 4)
static bool hold_refuse(struct hold_result *res, enum cpr_device_hold hold,
			const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(res->reason, sizeof(res->reason), fmt, ap);
	va_end(ap);
	res->hold = hold;
	return false;
}

/* The directory of the VM that has a snapshot, or NULL if no VM has it any more. */
static struct cpr_node *hold_dir(struct cpr *c, u64 ino, const struct cpr_dma *dma)
{
	struct cpr_node *dir;

	lockdep_assert_held(&c->lock);

	dir = c->formatted ? xa_load(&c->root->by_ino, ino) : NULL;
	return dir && dir->vm && dir->vm->dma == dma ? dir : NULL;
}

static void hold_report(struct cpr *c, const struct cpr_node *dir,
			const struct cpr_device *d)
{
	char name[CPR_DEVICE_ADDRESS_MAX + 1];

	cpr_pci_name(&d->id.address, name);
	if (d->hold == CPR_DEVICE_HOLD_HELD)
		pr_info("VM '%.*s': %s is held\n", dir->name_len, dir->name, name);
	else
		pr_warn("VM '%.*s': %s is not held: %s\n", dir->name_len, dir->name, name,
			d->reason);
	cpr_event_device(c, dir, d);
}

/* Record the result, and report it if it is new. */
static void hold_set(u64 ino, const struct cpr_dma *dma, struct cpr_device *d,
		     const struct hold_result *res)
{
	struct cpr *c = hold_global.c;
	const struct cpr_node *dir;

	lockdep_assert_held(&hold_global.lock);
	guard(cpr)(c);

	if (d->hold == res->hold && !strcmp(d->reason, res->reason))
		return;
	d->hold = res->hold;
	strscpy(d->reason, res->reason);
	dir = hold_dir(c, ino, dma);
	if (dir && d->hold != CPR_DEVICE_HOLD_NONE)
		hold_report(c, dir, d);
}

/* ---- is it the recorded device? ---- */

static bool hold_is_same_device(const struct cpr_device *d, struct pci_dev *pdev,
				struct hold_result *res)
{
	const struct cpr_catalog_device *was = &d->id;
	struct cpr_catalog_device is = { 0 };

	cpr_pci_identify(pdev, &is);
	if (is.vendor != was->vendor || is.device != was->device ||
	    is.subsystem_vendor != was->subsystem_vendor ||
	    is.subsystem_device != was->subsystem_device || is.class != was->class)
		return hold_refuse(res, CPR_DEVICE_HOLD_CHANGED,
				   "it was %04x:%04x (%04x:%04x, class %08x), and is %04x:%04x (%04x:%04x, class %08x)",
				   was->vendor, was->device, was->subsystem_vendor,
				   was->subsystem_device, was->class, is.vendor, is.device,
				   is.subsystem_vendor, is.subsystem_device, is.class);
	if (is.has_serial != was->has_serial || is.serial != was->serial)
		return hold_refuse(res, CPR_DEVICE_HOLD_CHANGED,
				   "its serial number was %016llx, and is %016llx",
				   was->serial, is.serial);
	return true;
}

/* The first address of @a that is not in @b, or NULL. */
static const struct cpr_pci *hold_first_missing(const struct cpr_pci *a, u32 nr_a,
						const struct cpr_pci *b, u32 nr_b)
{
	for (u32 i = 0; i < nr_a; i++)
		if (!cpr_pci_among(&a[i], b, nr_b))
			return &a[i];
	return NULL;
}

static bool hold_is_same_group(const struct cpr_device *d, struct iommu_group *group,
			       struct hold_result *res)
{
	const struct cpr_pci *added, *removed;
	char name[CPR_DEVICE_ADDRESS_MAX + 1];
	struct cpr_pci *members;
	u32 nr;

	members = cpr_pci_group_members(group, &nr);
	if (IS_ERR(members))
		return hold_refuse(res, CPR_DEVICE_HOLD_GROUP,
				   "the members of its IOMMU group cannot be listed: %pe",
				   members);
	added = hold_first_missing(members, nr, d->members, d->id.members);
	removed = hold_first_missing(d->members, d->id.members, members, nr);
	if (added) {
		cpr_pci_name(added, name);
		hold_refuse(res, CPR_DEVICE_HOLD_GROUP,
			    "%s is in its IOMMU group, and was not", name);
	} else if (removed) {
		cpr_pci_name(removed, name);
		hold_refuse(res, CPR_DEVICE_HOLD_GROUP,
			    "%s was in its IOMMU group, and is not", name);
	}
	kfree(members);
	return !added && !removed;
}

/* ---- holding ---- */

static int hold_map_table(struct iommu_domain *domain, const struct cpr_dma_table *t)
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

/* Attach a domain with the mappings of a table to a group that the module owns. */
static struct iommu_domain *hold_attach(struct iommu_group *group, struct device *dev,
					const struct cpr_dma_table *t)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);
	int err;

	if (IS_ERR(domain))
		return domain;
	err = hold_map_table(domain, t);
	if (!err)
		err = iommu_attach_group(domain, group);
	if (!err)
		return domain;
	iommu_domain_free(domain);
	return ERR_PTR(err);
}

static bool hold_own(struct hold_entry *e, struct device *dev, struct iommu_group *group,
		     struct hold_result *res)
{
	struct iommu_domain *domain;
	int err = iommu_group_claim_dma_owner(group, e->dma);

	if (err)
		return hold_refuse(res, CPR_DEVICE_HOLD_BUSY,
				   "driver '%s' uses it or its IOMMU group: %pe",
				   dev->driver ? dev->driver->name : "(another)",
				   ERR_PTR(err));
	domain = hold_attach(group, dev, &e->dma->tables[e->device->id.dma]);
	if (!IS_ERR(domain)) {
		e->group = iommu_group_ref_get(group);
		e->domain = domain;
		return true;
	}
	iommu_group_release_dma_owner(group);
	return hold_refuse(res, CPR_DEVICE_HOLD_FAILED,
			   "its mappings could not be set up: %pe", domain);
}

/* Does another device of the VM hold the group already, with the same mappings? */
static bool hold_is_owned(const struct hold_entry *e, const struct iommu_group *group)
{
	const struct hold_entry *other;

	list_for_each_entry(other, &hold_global.entries, list)
		if (other->dma == e->dma && other->group == group &&
		    other->device->id.dma == e->device->id.dma)
			return true;
	return false;
}

static bool hold_pci(struct hold_entry *e, struct pci_dev *pdev, struct hold_result *res)
{
	struct iommu_group *group;
	bool held;

	if (!hold_is_same_device(e->device, pdev, res))
		return false;
	group = iommu_group_get(&pdev->dev);
	if (!group)
		return hold_refuse(res, CPR_DEVICE_HOLD_FAILED,
				   "no IOMMU translates for it; is the IOMMU on?");
	held = hold_is_same_group(e->device, group, res) &&
	       (hold_is_owned(e, group) || hold_own(e, &pdev->dev, group, res));
	iommu_group_put(group);
	return held;
}

static bool hold_device(struct hold_entry *e, const struct cpr_dma_owner *owner,
			struct hold_result *res)
{
	const struct cpr_dma_table *t = &e->dma->tables[e->device->id.dma];
	const struct cpr_pci *at = &e->device->id.address;
	const struct cpr_dma_extent *foreign;
	struct pci_dev *pdev;
	bool held;

	if (!cpr_dma_table_fits(t, owner))
		return hold_refuse(res, CPR_DEVICE_HOLD_FAILED,
				   "the image has more mappings than the VM's memory can need");
	foreign = cpr_dma_table_foreign(t, owner);
	if (foreign)
		return hold_refuse(res, CPR_DEVICE_HOLD_FAILED,
				   "the image leads iova %#llx to memory that is not the VM's",
				   foreign->iova);
	pdev = pci_get_domain_bus_and_slot(at->segment, at->bus, at->devfn);
	if (!pdev)
		return hold_refuse(res, CPR_DEVICE_HOLD_MISSING,
				   "there is no device at its address");
	held = hold_pci(e, pdev, res);
	pci_dev_put(pdev);
	return held;
}

static void hold_vm_device(const struct hold_vm *vm, struct cpr_device *d)
{
	struct hold_result res = { .hold = CPR_DEVICE_HOLD_HELD };
	struct hold_entry *e = kzalloc(sizeof(*e), GFP_KERNEL);

	if (!e) {
		hold_refuse(&res, CPR_DEVICE_HOLD_FAILED, "no memory");
		hold_set(vm->ino, vm->dma, d, &res);
		return;
	}
	e->ino = vm->ino;
	e->dma = vm->dma;
	e->device = d;
	if (hold_device(e, &vm->memory.owner, &res)) {
		cpr_dma_get(e->dma);
		list_add_tail(&e->list, &hold_global.entries);
	} else {
		kfree(e);
	}
	hold_set(vm->ino, vm->dma, d, &res);
}

static bool hold_wants(const struct cpr_node *dir)
{
	const struct cpr_dma *dma = dir->vm ? dir->vm->dma : NULL;

	if (!dma || dir->vm->state != CPR_VM_STATE_HELD)
		return false;
	for (u32 i = 0; i < dma->nr_devices; i++)
		if (dma->devices[i].hold != CPR_DEVICE_HOLD_HELD)
			return true;
	return false;
}

/* Find the next held VM, by inode number, with a device that is not held. */
static bool hold_next_vm(struct hold_vm *vm)
{
	struct cpr *c = hold_global.c;
	unsigned long ino = vm->ino;
	struct cpr_node *dir;

	guard(cpr)(c);

	if (!c->formatted)
		return false;
	while ((dir = xa_find_after(&c->root->by_ino, &ino, ULONG_MAX, XA_PRESENT))) {
		if (!hold_wants(dir))
			continue;
		if (cpr_memory_get(c, dir, &vm->memory)) {
			pr_err("VM '%.*s': no memory to hold its devices\n",
			       dir->name_len, dir->name);
			continue;
		}
		vm->ino = ino;
		vm->dma = cpr_dma_get(dir->vm->dma);
		return true;
	}
	return false;
}

static void hold_all(void)
{
	struct hold_vm vm = { .ino = 0 };

	lockdep_assert_held(&hold_global.lock);

	while (hold_next_vm(&vm)) {
		for (u32 i = 0; i < vm.dma->nr_devices; i++)
			if (vm.dma->devices[i].hold != CPR_DEVICE_HOLD_HELD)
				hold_vm_device(&vm, &vm.dma->devices[i]);
		cpr_memory_free(&vm.memory);
		cpr_dma_put(vm.dma);
	}
}

/* ---- releasing ---- */

static void hold_release(struct hold_entry *e, const struct hold_result *res)
{
	lockdep_assert_held(&hold_global.lock);

	list_del(&e->list);
	if (e->group) {
		iommu_detach_group(e->domain, e->group);
		iommu_domain_free(e->domain);
		iommu_group_release_dma_owner(e->group);
		iommu_group_put(e->group);
	}
	hold_set(e->ino, e->dma, e->device, res);
	cpr_dma_put(e->dma);
	kfree(e);
}

static bool hold_is_stale(const struct hold_entry *e)
{
	guard(cpr)(hold_global.c);

	return !hold_dir(hold_global.c, e->ino, e->dma);
}

/**
 * cpr_hold_update - hold and release devices after the state of a VM has changed
 *
 * Release the devices of snapshots that no VM has any more, and hold the devices of
 * held VMs. Devices that cannot be held are reported.
 */
void cpr_hold_update(void)
{
	struct hold_entry *e, *next;

	guard(mutex)(&hold_global.lock);

	if (!hold_enabled)
		return;
	list_for_each_entry_safe(e, next, &hold_global.entries, list)
		if (hold_is_stale(e))
			hold_release(e, &hold_none);
	hold_all();
}

static int hold_check_driver(const struct cpr_device *d, struct netlink_ext_ack *extack)
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
	 * While vfio-pci has the device, no native driver can take it after the
	 * release. A task that has locked the device may be adding VFs and wait for
	 * our bus notifier, so do not wait for the lock.
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
 * cpr_hold_release - release the devices of a VM that is being restored to VFIO
 * @name: of the VM
 * @extack: reason of a refusal
 *
 * Return: 0; -ENOENT or -EBUSY if the VM does not exist or is not being restored, or
 * if a device is not bound to vfio-pci; -ENODEV.
 */
int cpr_hold_release(const char *name, struct netlink_ext_ack *extack)
{
	struct cpr_dma *dma __free(cpr_dma) = NULL;
	struct hold_entry *e, *next;
	u64 ino;

	guard(mutex)(&hold_global.lock);

	scoped_guard(cpr, hold_global.c) {
		const struct cpr_node *dir = cpr_vm_in(hold_global.c, name,
						       BIT(CPR_VM_STATE_RESTORING), extack);

		if (IS_ERR(dir))
			return PTR_ERR(dir);
		if (!dir->vm->dma)
			return 0;
		dma = cpr_dma_get(dir->vm->dma);
		ino = dir->ino;
	}
	for (u32 i = 0; i < dma->nr_devices; i++) {
		int err = hold_check_driver(&dma->devices[i], extack);

		if (err)
			return err;
	}
	list_for_each_entry_safe(e, next, &hold_global.entries, list)
		if (e->dma == dma)
			hold_release(e, &hold_none);
	for (u32 i = 0; i < dma->nr_devices; i++)
		hold_set(ino, dma, &dma->devices[i], &hold_none);
	return 0;
}

/* ---- devices that are added and removed ---- */

/* Release all of the group: a group must not be owned when its last device is removed. */
static void hold_removed(const struct cpr_pci *gone)
{
	struct hold_entry *e, *next;

	lockdep_assert_held(&hold_global.lock);

	list_for_each_entry_safe(e, next, &hold_global.entries, list) {
		const struct cpr_device *d = e->device;
		struct hold_result res;

		if (!cpr_pci_among(gone, d->members, d->id.members))
			continue;
		if (cpr_pci_same(&d->id.address, gone))
			hold_refuse(&res, CPR_DEVICE_HOLD_MISSING, "it was removed");
		else
			hold_refuse(&res, CPR_DEVICE_HOLD_GROUP,
				    "a device of its IOMMU group was removed");
		hold_release(e, &res);
	}
}

/*
 * The notifier of the IOMMU core has been called before, so the device has its group;
 * no driver has been bound yet.
 */
static int hold_on_bus_event(struct notifier_block *nb, unsigned long action, void *data)
{
	guard(mutex)(&hold_global.lock);

	if (action == BUS_NOTIFY_ADD_DEVICE) {
		hold_all();
	} else if (action == BUS_NOTIFY_DEL_DEVICE) {
		const struct cpr_pci gone = cpr_pci_address(to_pci_dev(data));

		hold_removed(&gone);
	}
	return NOTIFY_DONE;
}

static struct notifier_block hold_bus_notifier = {
	.notifier_call = hold_on_bus_event,
};

/**
 * cpr_hold_init - hold the devices of all held VMs from now on
 * @c: the region, with its image open
 *
 * Return: 0 or a negative errno.
 */
int cpr_hold_init(struct cpr *c)
{
	int err;

	hold_global.c = c;
	if (!hold_enabled)
		return 0;
	err = bus_register_notifier(&pci_bus_type, &hold_bus_notifier);
	if (err)
		return err;
	cpr_hold_update();
	return 0;
}

/**
 * cpr_hold_exit - release all devices
 */
void cpr_hold_exit(void)
{
	struct hold_entry *e, *next;

	if (hold_enabled)
		bus_unregister_notifier(&pci_bus_type, &hold_bus_notifier);
	guard(mutex)(&hold_global.lock);
	list_for_each_entry_safe(e, next, &hold_global.entries, list)
		hold_release(e, &hold_none);
}
