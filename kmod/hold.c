// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Holding the devices of VMs
 *
 * After a kexec, a device that was passed through to a VM would be taken by the
 * host's own driver as soon as that is loaded. So the module is loaded before, and owns
 * the IOMMU group of each device of a held VM: a native driver cannot bind. vfio-pci may,
 * and gets the group when the VM is being restored and the helper asks for the release.
 *
 * What is *certainly another device* than the recorded one is left alone: it may be the
 * host's own disk. *All else* is owned first, with all its DMA blocked, and compared
 * then. If the device, its group and its mappings are what they were, the recorded
 * mappings are put in place, and the device is held. If anything is in doubt, the group
 * stays owned and blocked: the device is quarantined, until the reason is gone or an
 * operator gives it up. All devices of a group are held, or none.
 *
 * A device is owned, too, where its serial number is found, if it is not at its address.
 * Virtual functions are not looked for in this way: they have the serial number of their
 * card. Where a driver has been faster, the device is owned once that driver lets go.
 *
 * Devices may appear late, one by one, as VFs and hot-plugged devices do. A group is owned
 * with the first device of a VM in it, and held when it is complete. When one of its
 * devices is removed, the others are quarantined.
 *
 * What an operator has given up is not owned again before the module is loaded again. The
 * image does not say so.
 *
 * This file looks for itself what there is to hold: cpr_hold_update() compares the
 * devices that are held with the snapshots of held VMs.
 *
 * Locking: a mutex of its own, hold_global.lock, protects what is held, and what wanted.c
 * and group.c have. The order is device lock -> PCI bus notifier -> hold_global.lock ->
 * lock of an IOMMU group, and hold_global.lock -> cpr->lock. The lock of a group is never
 * taken under cpr->lock: the IOMMU core allocates memory under it. Nor is that of a device
 * waited for under hold_global.lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/pci.h>

#include "group.h"
#include "hold.h"
#include "judge.h"
#include "pci.h"
#include "vm.h"
#include "wanted.h"

static bool hold_enabled = true;
module_param_named(hold, hold_enabled, bool, 0400);
MODULE_PARM_DESC(hold, "own the devices of held VMs until they are restored (on); off leaves them to the host's drivers");

static struct {
	struct cpr *c;
	struct mutex lock;	/* of the member below */
	struct list_head todo;	/* groups that have changed */
} hold_global = {
	.lock = __MUTEX_INITIALIZER(hold_global.lock),
	.todo = LIST_HEAD_INIT(hold_global.todo),
};

/* ---- groups that have changed ---- */

static void hold_mark(struct cpr_group *g)
{
	if (list_empty(&g->todo))
		list_add_tail(&g->todo, &hold_global.todo);
}

/* Look at all groups that have changed. */
static void hold_settle(void)
{
	struct cpr_group *g;

	lockdep_assert_held(&hold_global.lock);

	while ((g = list_first_entry_or_null(&hold_global.todo, struct cpr_group, todo))) {
		list_del_init(&g->todo);
		if (list_empty(&g->devices))
			cpr_group_free(g);
		else
			cpr_judge(hold_global.c, g);
	}
}

/* ---- finding devices ---- */

static void hold_remove(struct cpr_wanted *w)
{
	if (!w->pdev)
		return;
	list_del(&w->in_group);
	hold_mark(w->group);
	w->group = NULL;
	pci_dev_put(w->pdev);
	w->pdev = NULL;
	w->sure = false;
	*w->doubt = 0;
}

/* Own the group of a device at once. hold_settle() compares then. */
static bool hold_place(struct cpr_wanted *w, struct pci_dev *pdev)
{
	struct cpr_group *g = cpr_group_get(&pdev->dev);

	if (!g) {
		cpr_wanted_report(hold_global.c, w, CPR_DEVICE_HOLD_FAILED,
				  "no IOMMU translates for it; is the IOMMU on?");
		return false;
	}
	hold_remove(w);
	cpr_group_own(g);
	w->pdev = pci_dev_get(pdev);
	w->group = g;
	list_add_tail(&w->in_group, &g->devices);
	hold_mark(g);
	return true;
}

/* A device is at the address of one that is wanted. */
static void hold_meet(struct cpr_wanted *w, struct pci_dev *pdev)
{
	const struct cpr_catalog_device *was = &w->device->id;
	struct cpr_catalog_device is = { 0 };
	char reason[CPR_DEVICE_REASON_LEN];
	enum cpr_identity identity;

	if (w->pdev == pdev && !*w->doubt)
		return;
	cpr_pci_identify(pdev, &is);
	identity = cpr_identity_compare(was, &is, pci_device_is_present(pdev), reason);
	if (identity == CPR_IDENTITY_ANOTHER) {
		if (w->pdev == pdev)
			hold_remove(w);
		if (!w->pdev)
			cpr_wanted_report(hold_global.c, w, CPR_DEVICE_HOLD_CHANGED, "%s",
					  reason);
		return;
	}
	/* What was found by its serial number elsewhere is not here. */
	if (identity == CPR_IDENTITY_DOUBT && w->sure && w->pdev != pdev)
		return;
	if (w->pdev != pdev && !hold_place(w, pdev))
		return;
	strscpy(w->doubt, reason);
	w->sure = identity == CPR_IDENTITY_SAME ||
		  (is.has_serial && is.serial == was->serial);
}

static void hold_look_by_address(struct pci_dev *pdev)
{
	const struct cpr_pci at = cpr_pci_address(pdev);
	struct cpr_wanted *w = NULL;

	while ((w = cpr_wanted_at(&at, w)))
		hold_meet(w, pdev);
}

static void hold_look_by_serial(struct pci_dev *pdev)
{
	struct cpr_catalog_device is = { 0 };
	struct cpr_wanted *w = NULL;

	if (pdev->is_virtfn || !cpr_wanted_any_serial())
		return;
	cpr_pci_identify(pdev, &is);
	if (!is.has_serial)
		return;
	while ((w = cpr_wanted_with(&is, w)))
		if (hold_place(w, pdev))
			w->sure = true;
}

static void hold_look_everywhere(void (*look)(struct pci_dev *pdev))
{
	struct pci_dev *pdev = NULL;

	for_each_pci_dev(pdev)
		if (!cpr_group_is_leaving(pdev))
			look(pdev);
}

/* Is there a device with a serial number that was not found at its address? */
static bool hold_seeks_serial(void)
{
	struct cpr_wanted_vm *vm = NULL;
	const struct cpr_wanted *w;

	while ((vm = cpr_wanted_next(vm)))
		cpr_for_each_wanted(w, vm)
			if (vm->active && !w->released && !w->sure && w->device->id.has_serial)
				return true;
	return false;
}

/* Until it is found, if it is. */
static void hold_report_missing(void)
{
	struct cpr_wanted_vm *vm = NULL;
	const struct cpr_wanted *w;

	while ((vm = cpr_wanted_next(vm)))
		cpr_for_each_wanted(w, vm)
			if (vm->active && !w->released &&
			    w->device->hold == CPR_DEVICE_HOLD_NONE)
				cpr_wanted_report(hold_global.c, w, CPR_DEVICE_HOLD_MISSING,
						  "there is no device at its address");
}

static void hold_forget(struct cpr_wanted_vm *vm)
{
	struct cpr_wanted *w;

	cpr_for_each_wanted(w, vm) {
		hold_remove(w);
		cpr_wanted_none(hold_global.c, w);
	}
	cpr_wanted_forget(hold_global.c, vm);
}

/* What failed for a lack of memory may succeed now, and a device may answer again. */
static void hold_retry(void)
{
	struct cpr_wanted_vm *vm = NULL;
	struct cpr_wanted *w;

	while ((vm = cpr_wanted_next(vm)))
		cpr_for_each_wanted(w, vm) {
			if (*w->doubt)
				hold_meet(w, w->pdev);
			if (w->group && w->device->hold != CPR_DEVICE_HOLD_HELD)
				hold_mark(w->group);
		}
}

/**
 * cpr_hold_update - hold and release devices after the state of a VM has changed
 *
 * Release the devices of snapshots that no VM has any more, and hold the devices of
 * held VMs. Devices that cannot be held are reported.
 */
void cpr_hold_update(void)
{
	struct cpr_wanted_vm *vm;

	guard(mutex)(&hold_global.lock);

	if (!hold_enabled)
		return;
	while ((vm = cpr_wanted_stale(hold_global.c)))
		hold_forget(vm);
	if (cpr_wanted_renew(hold_global.c)) {
		hold_look_everywhere(hold_look_by_address);
		if (hold_seeks_serial())
			hold_look_everywhere(hold_look_by_serial);
	}
	hold_retry();
	hold_settle();
	hold_report_missing();
}

/* ---- releasing to VFIO ---- */

static int hold_check_driver(const struct cpr_device *d, struct netlink_ext_ack *extack)
{
	const struct cpr_pci *at = &d->id.address;
	char name[CPR_DEVICE_ADDRESS_MAX + 1];
	bool harmless = false;
	struct pci_dev *pdev;

	cpr_pci_name(at, name);
	if (d->hold != CPR_DEVICE_HOLD_HELD && d->hold != CPR_DEVICE_HOLD_NONE) {
		NL_SET_ERR_MSG_FMT(extack, "%s is not held; device-get and the kernel log say why",
				   name);
		return -EBUSY;
	}
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
 * if a device is not held or not bound to vfio-pci; -ENODEV.
 */
int cpr_hold_release(const char *name, struct netlink_ext_ack *extack)
{
	struct cpr_dma *dma __free(cpr_dma) = NULL;
	struct cpr_wanted *w;

	guard(mutex)(&hold_global.lock);

	scoped_guard(cpr, hold_global.c) {
		const struct cpr_node *dir = cpr_vm_in(hold_global.c, name,
						       BIT(CPR_VM_STATE_RESTORING), extack);

		if (IS_ERR(dir))
			return PTR_ERR(dir);
		if (!dir->vm->dma)
			return 0;
		dma = cpr_dma_get(dir->vm->dma);
	}
	for (u32 i = 0; i < dma->nr_devices; i++) {
		int err = hold_check_driver(&dma->devices[i], extack);

		if (err)
			return err;
	}
	if (!dma->wanted)
		return 0;
	dma->wanted->active = false;
	cpr_for_each_wanted(w, dma->wanted) {
		hold_remove(w);
		cpr_wanted_none(hold_global.c, w);
	}
	hold_settle();
	return 0;
}

/* ---- giving up a device ---- */

static bool hold_is_at(const struct cpr_wanted *w, const char *address)
{
	char name[CPR_DEVICE_ADDRESS_MAX + 1];

	cpr_pci_name(&w->device->id.address, name);
	return !strcmp(address, w->pdev ? pci_name(w->pdev) : name);
}

/* Find a device by where it is; one in quarantine, if two VMs have it. */
static struct cpr_wanted *hold_find(const char *address)
{
	struct cpr_wanted *w, *found = NULL;
	struct cpr_wanted_vm *vm = NULL;

	while ((vm = cpr_wanted_next(vm)))
		cpr_for_each_wanted(w, vm)
			if (hold_is_at(w, address) &&
			    (!found || w->device->hold == CPR_DEVICE_HOLD_QUARANTINED))
				found = w;
	return found;
}

static const char *const hold_not_quarantined[] = {
	[CPR_DEVICE_HOLD_NONE] = "is not held at all",
	[CPR_DEVICE_HOLD_HELD] = "is held, not quarantined; restore its VM, or delete it",
	[CPR_DEVICE_HOLD_MISSING] = "is missing",
	[CPR_DEVICE_HOLD_CHANGED] = "is another device, which the host can have",
	[CPR_DEVICE_HOLD_BUSY] = "is not quarantined: a driver of the host has it",
	[CPR_DEVICE_HOLD_FAILED] = "is not quarantined: no IOMMU isolates it",
	[CPR_DEVICE_HOLD_RELEASED] = "was released already",
};

static void hold_give_up_group(struct cpr_group *g)
{
	struct cpr_wanted *w, *next;

	list_for_each_entry_safe(w, next, &g->devices, in_group) {
		cpr_wanted_report(hold_global.c, w, CPR_DEVICE_HOLD_RELEASED,
				  "an operator has given it to the host");
		w->released = true;
		hold_remove(w);
	}
	hold_settle();
}

/**
 * cpr_hold_give_up - give a quarantined device, and its IOMMU group, to the host
 * @address: where it is, as sysfs prints it
 * @extack: reason of a refusal
 *
 * Return: 0; -ENOENT if no held VM has the device; -EBUSY if it is not quarantined.
 */
int cpr_hold_give_up(const char *address, struct netlink_ext_ack *extack)
{
	const struct cpr_wanted *w;

	guard(mutex)(&hold_global.lock);

	w = hold_find(address);
	if (!w) {
		NL_SET_ERR_MSG_FMT(extack, "no held VM has a device at %.15s", address);
		return -ENOENT;
	}
	if (w->device->hold != CPR_DEVICE_HOLD_QUARANTINED) {
		NL_SET_ERR_MSG_FMT(extack, "%.15s %s", address,
				   hold_not_quarantined[w->device->hold]);
		return -EBUSY;
	}
	hold_give_up_group(w->group);
	return 0;
}

/* ---- devices that are added and removed ---- */

/*
 * The notifier of the IOMMU core has been called before, so the device has its group;
 * no driver has been bound yet.
 */
static void hold_on_add(struct pci_dev *pdev)
{
	struct cpr_group *g;

	cpr_group_left(pdev);
	hold_look_by_address(pdev);
	hold_look_by_serial(pdev);
	g = cpr_group_find(&pdev->dev);
	if (g)
		hold_mark(g);
}

/* The device is still in its group, but is counted no more. */
static void hold_on_delete(struct pci_dev *pdev)
{
	const struct cpr_pci at = cpr_pci_address(pdev);
	struct cpr_group *g = cpr_group_find(&pdev->dev);
	struct cpr_wanted *w, *next;

	cpr_group_leaving(pdev);
	if (g) {
		hold_mark(g);
		list_for_each_entry_safe(w, next, &g->devices, in_group) {
			if (w->pdev != pdev)
				continue;
			hold_remove(w);
			cpr_wanted_report(hold_global.c, w, CPR_DEVICE_HOLD_MISSING,
					  "it was removed");
		}
	}
	/* There may have been another device. */
	for (w = NULL; (w = cpr_wanted_at(&at, w));)
		if (!w->pdev && w->device->hold != CPR_DEVICE_HOLD_MISSING)
			cpr_wanted_report(hold_global.c, w, CPR_DEVICE_HOLD_MISSING,
					  "there is no device at its address");
}

/* A driver has let go of a group that it kept from being owned. */
static void hold_on_unbound(struct pci_dev *pdev)
{
	struct cpr_group *g = cpr_group_find(&pdev->dev);

	if (g && !g->owned)
		hold_mark(g);
}

static int hold_on_bus_event(struct notifier_block *nb, unsigned long action, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);

	guard(mutex)(&hold_global.lock);

	switch (action) {
	case BUS_NOTIFY_ADD_DEVICE:
		hold_on_add(pdev);
		break;
	case BUS_NOTIFY_DEL_DEVICE:
		hold_on_delete(pdev);
		break;
	case BUS_NOTIFY_REMOVED_DEVICE:
		cpr_group_left(pdev);
		break;
	case BUS_NOTIFY_UNBOUND_DRIVER:
		hold_on_unbound(pdev);
		break;
	}
	hold_settle();
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
	struct cpr_wanted_vm *vm;

	if (hold_enabled)
		bus_unregister_notifier(&pci_bus_type, &hold_bus_notifier);
	guard(mutex)(&hold_global.lock);
	while ((vm = cpr_wanted_next(NULL)))
		hold_forget(vm);
	hold_settle();
	cpr_group_exit();
}
