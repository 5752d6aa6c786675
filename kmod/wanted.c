// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The devices that held VMs had
 *
 * Two tables, by address and by serial number, of the devices that are to be held. When
 * a PCI device appears, one look-up says whether it is anybody's, however many VMs there
 * are. What is found is reported here, too.
 *
 * The image is not trusted: mappings are put in place only if they lead to the VM's own
 * memory files, and are no more than these can need. That is checked once a VM, when it
 * becomes held. Its files do not change as long as it is.
 *
 * Locking: hold.c calls all functions here with its mutex held, which protects what this
 * file has. cpr->lock nests in it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hashtable.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "events.h"
#include "memory.h"
#include "pci.h"
#include "vm.h"
#include "wanted.h"

static DEFINE_HASHTABLE(wanted_by_address, 10);
static DEFINE_HASHTABLE(wanted_by_serial, 10);
static LIST_HEAD(wanted_vms);
static u32 wanted_serials;

/* The directory of the VM that has a snapshot, or NULL if no VM has it any more. */
static struct cpr_node *wanted_dir(struct cpr *c, u64 ino, const struct cpr_dma *dma)
{
	struct cpr_node *dir;

	lockdep_assert_held(&c->lock);

	dir = c->formatted ? xa_load(&c->root->by_ino, ino) : NULL;
	return dir && dir->vm && dir->vm->dma == dma ? dir : NULL;
}

/* ---- mappings ---- */

static void wanted_check_table(const struct cpr_dma_table *t,
			       const struct cpr_dma_owner *owner,
			       struct cpr_wanted_table *out)
{
	const struct cpr_dma_extent *foreign;

	out->fit = CPR_WANTED_EXCESS;
	if (!cpr_dma_table_fits(t, owner))
		return;
	foreign = cpr_dma_table_foreign(t, owner);
	out->fit = foreign ? CPR_WANTED_FOREIGN : CPR_WANTED_FITS;
	out->iova = foreign ? foreign->iova : 0;
}

/* If there is no memory for this, the devices stay blocked until it succeeds. */
static void wanted_check_tables(struct cpr *c, struct cpr_wanted_vm *vm)
{
	struct cpr_memory memory;

	if (vm->checked)
		return;
	scoped_guard(cpr, c) {
		const struct cpr_node *dir = wanted_dir(c, vm->ino, vm->dma);

		if (!dir || cpr_memory_get(c, dir, &memory))
			return;
	}
	for (u32 i = 0; i < vm->dma->nr_tables; i++)
		wanted_check_table(&vm->dma->tables[i], &memory.owner, &vm->tables[i]);
	cpr_memory_free(&memory);
	vm->checked = true;
}

/* ---- VMs ---- */

static void wanted_add_device(struct cpr_wanted_vm *vm, u32 i)
{
	struct cpr_wanted *w = &vm->devices[i];

	w->vm = vm;
	w->device = &vm->dma->devices[i];
	hash_add(wanted_by_address, &w->by_address, cpr_pci_key(&w->device->id.address));
	if (!w->device->id.has_serial)
		return;
	hash_add(wanted_by_serial, &w->by_serial, w->device->id.serial);
	wanted_serials++;
}

static void wanted_add(struct cpr *c, u64 ino, struct cpr_dma *dma)
{
	/* A few bytes must not be the reason why a guest's device goes to the host. */
	const gfp_t gfp = GFP_KERNEL | __GFP_NOFAIL;
	struct cpr_wanted_vm *vm = kvzalloc(struct_size(vm, devices, dma->nr_devices), gfp);

	vm->tables = kvcalloc(dma->nr_tables, sizeof(*vm->tables), gfp);
	vm->ino = ino;
	vm->dma = dma;
	list_add_tail(&vm->list, &wanted_vms);
	for (u32 i = 0; i < dma->nr_devices; i++)
		wanted_add_device(vm, i);
	scoped_guard(cpr, c)
		dma->wanted = vm;
}

/* Find the next VM, by inode number, that has become held, and reference its snapshot. */
static struct cpr_dma *wanted_next_held(struct cpr *c, unsigned long *ino)
{
	struct cpr_node *dir;

	guard(cpr)(c);

	if (!c->formatted)
		return NULL;
	while ((dir = xa_find_after(&c->root->by_ino, ino, ULONG_MAX, XA_PRESENT))) {
		struct cpr_dma *dma = dir->vm ? dir->vm->dma : NULL;

		if (dma && dir->vm->state == CPR_VM_STATE_HELD &&
		    !(dma->wanted && dma->wanted->active && dma->wanted->checked))
			return cpr_dma_get(dma);
	}
	return NULL;
}

/**
 * cpr_wanted_renew - take in the devices of VMs that have become held
 * @c: the region
 *
 * Return: whether there are any.
 */
bool cpr_wanted_renew(struct cpr *c)
{
	unsigned long ino = 0;
	struct cpr_dma *dma;
	bool any = false;

	while ((dma = wanted_next_held(c, &ino))) {
		if (dma->wanted)
			cpr_dma_put(dma);
		else
			wanted_add(c, ino, dma);
		any |= !dma->wanted->active;
		dma->wanted->active = true;
		wanted_check_tables(c, dma->wanted);
	}
	return any;
}

/**
 * cpr_wanted_next - walk over all VMs
 * @vm: the last one, or NULL
 */
struct cpr_wanted_vm *cpr_wanted_next(struct cpr_wanted_vm *vm)
{
	struct list_head *next = vm ? vm->list.next : wanted_vms.next;

	return next == &wanted_vms ? NULL : list_entry(next, struct cpr_wanted_vm, list);
}

/**
 * cpr_wanted_stale - find a VM whose snapshot no VM has any more
 * @c: the region
 */
struct cpr_wanted_vm *cpr_wanted_stale(struct cpr *c)
{
	struct cpr_wanted_vm *vm;

	guard(cpr)(c);

	list_for_each_entry(vm, &wanted_vms, list)
		if (!wanted_dir(c, vm->ino, vm->dma))
			return vm;
	return NULL;
}

/**
 * cpr_wanted_forget - forget a VM and its devices
 * @c: the region
 * @vm: the VM; none of its devices is in a group
 */
void cpr_wanted_forget(struct cpr *c, struct cpr_wanted_vm *vm)
{
	struct cpr_wanted *w;

	cpr_for_each_wanted(w, vm) {
		hash_del(&w->by_address);
		hash_del(&w->by_serial);
		wanted_serials -= w->device->id.has_serial;
	}
	list_del(&vm->list);
	scoped_guard(cpr, c)
		vm->dma->wanted = NULL;
	cpr_dma_put(vm->dma);
	kvfree(vm->tables);
	kvfree(vm);
}

/* ---- devices ---- */

static bool wanted_is_sought(const struct cpr_wanted *w)
{
	return w->vm->active && !w->released;
}

/**
 * cpr_wanted_at - find the devices that are sought at an address
 * @at: the address
 * @after: the last one, or NULL
 *
 * Two VMs may have recorded the same address.
 */
struct cpr_wanted *cpr_wanted_at(const struct cpr_pci *at, struct cpr_wanted *after)
{
	struct cpr_wanted *w;

	hash_for_each_possible(wanted_by_address, w, by_address, cpr_pci_key(at)) {
		if (!after && wanted_is_sought(w) && cpr_pci_same(&w->device->id.address, at))
			return w;
		if (w == after)
			after = NULL;
	}
	return NULL;
}

/**
 * cpr_wanted_any_serial - is there anything to look up by serial number?
 */
bool cpr_wanted_any_serial(void)
{
	return wanted_serials;
}

/**
 * cpr_wanted_with - find the devices that are sought and have moved to an address
 * @is: identity of a device
 * @after: the last one, or NULL
 *
 * A device that was found already, with this serial number or at its address, has not
 * moved.
 */
struct cpr_wanted *cpr_wanted_with(const struct cpr_catalog_device *is, struct cpr_wanted *after)
{
	struct cpr_wanted *w;

	hash_for_each_possible(wanted_by_serial, w, by_serial, is->serial) {
		if (!after && wanted_is_sought(w) && !w->sure &&
		    cpr_identity_moved(&w->device->id, is))
			return w;
		if (w == after)
			after = NULL;
	}
	return NULL;
}

/* ---- reports ---- */

static const char *const wanted_words[] = {
	[CPR_DEVICE_HOLD_HELD] = "held",
	[CPR_DEVICE_HOLD_MISSING] = "not held",
	[CPR_DEVICE_HOLD_CHANGED] = "not held",
	[CPR_DEVICE_HOLD_QUARANTINED] = "quarantined",
	[CPR_DEVICE_HOLD_BUSY] = "not held",
	[CPR_DEVICE_HOLD_FAILED] = "not held",
	[CPR_DEVICE_HOLD_RELEASED] = "released",
};

static void wanted_log(struct cpr *c, const struct cpr_node *dir, const struct cpr_device *d)
{
	const struct cpr_pci *at = d->moved ? &d->found : &d->id.address;
	char name[CPR_DEVICE_ADDRESS_MAX + 1], is[CPR_DEVICE_ADDRESS_MAX + 1];

	cpr_pci_name(&d->id.address, name);
	cpr_pci_name(at, is);
	if (d->hold == CPR_DEVICE_HOLD_HELD)
		pr_info("VM '%.*s': %s is held\n", dir->name_len, dir->name, name);
	else if (d->hold == CPR_DEVICE_HOLD_QUARANTINED)
		pr_warn("VM '%.*s': %s is quarantined: %s; 'cpr-helper device release %s' gives it to the host\n",
			dir->name_len, dir->name, name, d->reason, is);
	else
		pr_warn("VM '%.*s': %s is %s: %s\n", dir->name_len, dir->name, name,
			wanted_words[d->hold], d->reason);
	cpr_event_device(c, dir, d);
}

/* Record where and what a device is, and report that if it is new. */
static void wanted_set(struct cpr *c, const struct cpr_wanted *w, enum cpr_device_hold hold,
		       const char *reason)
{
	const struct cpr_pci nowhere = { 0 };
	const struct cpr_pci at = w->pdev ? cpr_pci_address(w->pdev) : nowhere;
	struct cpr_device *d = w->device;
	const struct cpr_node *dir;

	guard(cpr)(c);

	d->moved = w->pdev && !cpr_pci_same(&at, &d->id.address);
	d->found = d->moved ? at : nowhere;
	if (d->hold == hold && !strcmp(d->reason, reason))
		return;
	d->hold = hold;
	strscpy(d->reason, reason);
	dir = wanted_dir(c, w->vm->ino, w->vm->dma);
	if (dir && hold != CPR_DEVICE_HOLD_NONE)
		wanted_log(c, dir, d);
}

/**
 * cpr_wanted_report - report what a device is
 * @c: the region
 * @w: the device
 * @hold: as in struct cpr_device
 * @fmt: reason, as in struct cpr_device
 */
void cpr_wanted_report(struct cpr *c, const struct cpr_wanted *w, enum cpr_device_hold hold,
		       const char *fmt, ...)
{
	char reason[CPR_DEVICE_REASON_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	wanted_set(c, w, hold, reason);
}

/**
 * cpr_wanted_none - a device is not held any more, and need not be
 * @c: the region
 * @w: the device
 */
void cpr_wanted_none(struct cpr *c, const struct cpr_wanted *w)
{
	wanted_set(c, w, CPR_DEVICE_HOLD_NONE, "");
}
