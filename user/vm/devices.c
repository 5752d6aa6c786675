// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/out.h"
#include "base/paths.h"
#include "host/pci.h"
#include "vm/devices.h"
#include "vm/manifest.h"
#include "vm/nodes.h"

bool vm_has_devices(const struct vm *vm)
{
	struct json_object *devices = jget(vm->manifest, "devices");

	return devices && json_object_array_length(devices) > 0;
}

static int device_owned(const char *address, const char *owner, const char *theirs, struct err *err)
{
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "device", .value = address,
		    .why = streq(address, theirs) ? fmt("VM '%s' has it", owner) :
		    fmt("VM '%s' has %s, of the same IOMMU group", owner, theirs),
		    .remedy = fmt("'cpr-helper delete %s' returns its devices to the host", owner));
}

static int device_check_owner(const char *owner, const struct strv *theirs,
			      const struct strv *addresses, struct err *err)
{
	for (size_t i = 0; i < addresses->n; i++) {
		_cleanup_strv_ struct strv members = { 0 };

		pci_group_members(addresses->v[i], &members);
		for (size_t k = 0; k < theirs->n; k++)
			if (streq(theirs->v[k], addresses->v[i]) ||
			    strv_has(&members, theirs->v[k]))
				return device_owned(addresses->v[i], owner, theirs->v[k], err);
	}
	return 0;
}

/* A VM's devices by its manifest, and by the module's snapshot if the manifest is damaged. */
static void devices_of_vm(const char *vm, const struct cpr_devices *snapshots, struct strv *theirs)
{
	_cleanup_json_ struct json_object *manifest = NULL;
	_cleanup_free_ char *dir = vm_path(vm, NULL);

	if (manifest_read(dir, &manifest, NULL) == 0)
		manifest_devices(manifest, theirs);
	for (size_t i = 0; i < snapshots->n; i++)
		if (streq(snapshots->v[i].vm, vm))
			strv_push(theirs, snapshots->v[i].address);
}

int devices_check_owners(struct genl *genl, const struct strv *addresses, struct err *err)
{
	_cleanup_devices_ struct cpr_devices snapshots = { 0 };
	_cleanup_strv_ struct strv vms = { 0 };
	int r = 0;

	if (!addresses->n)
		return 0;
	r = vm_names(genl, NULL, &vms, err);
	if (r == 0)
		r = genl_devices(genl, NULL, &snapshots, err);
	for (size_t i = 0; r == 0 && i < vms.n; i++) {
		_cleanup_strv_ struct strv theirs = { 0 };

		devices_of_vm(vms.v[i], &snapshots, &theirs);
		r = device_check_owner(vms.v[i], &theirs, addresses, err);
	}
	return r;
}

int devices_bind(const struct strv *addresses, struct json_object *user,
		 struct json_object *taken, struct err *err)
{
	for (size_t i = 0; i < addresses->n; i++) {
		const char *address = addresses->v[i];
		_cleanup_free_ char *driver = pci_driver(address), *group = pci_group(address);
		struct json_object *device;
		int r = pci_bind_vfio(address, err);

		if (r < 0)
			return r;
		device = json_object_new_object();
		jset_str(device, "address", address);
		if (driver)
			jset_str(device, "driver", driver);
		jset_str(device, "group", group);
		json_object_array_add(taken, device);
	}
	return nodes_give(user, addresses, err);
}

/* Nodes of devices that stay with vfio-pci; the others are gone with it. */
static void devices_take_nodes(struct json_object *devices, struct json_object *user)
{
	_cleanup_strv_ struct strv addresses = { 0 };
	_cleanup_err_ struct err why = { 0 };

	for (size_t i = 0; devices && i < json_object_array_length(devices); i++)
		strv_push(&addresses, jstr(json_object_array_get_idx(devices, i), "address"));
	if (nodes_take_back(user, &addresses, &why) < 0)
		note("%s '%s': %s", why.what, why.value, why.why);
}

void devices_unbind(struct json_object *devices, struct json_object *user)
{
	devices_take_nodes(devices, user);
	for (size_t i = 0; devices && i < json_object_array_length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		const char *address = jstr(device, "address"), *driver = jstr(device, "driver");
		_cleanup_err_ struct err why = { 0 };

		if (driver && streq(driver, "vfio-pci"))
			continue;
		if (pci_unbind_vfio(address, driver, &why) < 0)
			note("device '%s': it stays bound to vfio-pci: %s", address, why.why);
	}
}

/*
 * Holds that prevent a device from being passed through again. CPR_DEVICE_HOLD_BUSY counts
 * only once the device is bound to vfio-pci: before that a host driver may be bound.
 */
static const struct {
	enum cpr_device_hold hold;
	enum cpr_exit exit;
	const char *why, *remedy;
} obstacles[] = {
	{ CPR_DEVICE_HOLD_MISSING, CPR_EXIT_REFUSED, "it is missing", "put it back into its slot" },
	{ CPR_DEVICE_HOLD_CHANGED, CPR_EXIT_REFUSED, "another device is in its slot",
	  "put the saved device back" },
	{ CPR_DEVICE_HOLD_QUARANTINED, CPR_EXIT_REFUSED, "it may be another device than it was",
	  "remove the reason: put the saved device back into its slot, or boot with the previous "
	  "kernel, its options and firmware settings" },
	{ CPR_DEVICE_HOLD_RELEASED, CPR_EXIT_REFUSED, "'device release' gave it to the host",
	  "take it from the host's driver and load cpr_handover again" },
	{ CPR_DEVICE_HOLD_FAILED, CPR_EXIT_REFUSED, "its IOMMU group could not be owned",
	  "find the reason with 'dmesg'" },
	{ CPR_DEVICE_HOLD_BUSY, CPR_EXIT_BUSY, "a host driver is bound to it, or to its group",
	  "unbind it from that driver" },
};

static int device_check_hold(const struct cpr_device *device, bool bound, struct err *err)
{
	if (device->hold == CPR_DEVICE_HOLD_BUSY && !bound)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(obstacles); i++)
		if (device->hold == obstacles[i].hold)
			return fail(err, -ENODEV, .exit = obstacles[i].exit, .what = "device",
				    .value = device->address, .why = *device->reason ?
				    fmt("it is %s: %s", cpr_hold_name(device->hold),
					device->reason) :
				    obstacles[i].why,
				    .remedy = fmt("%s, then restore the VM; its memory is untouched",
						  obstacles[i].remedy));
	return 0;
}

static int devices_check_holds(struct vm *vm, bool bound, struct err *err)
{
	_cleanup_devices_ struct cpr_devices devices = { 0 };
	int r = genl_devices(vm->genl, vm->name, &devices, err);

	for (size_t i = 0; r == 0 && i < devices.n; i++)
		r = device_check_hold(&devices.v[i], bound, err);
	return r;
}

int devices_ready(struct vm *vm, struct err *err)
{
	_cleanup_strv_ struct strv addresses = { 0 };
	int r;

	if (!vm_has_devices(vm))
		return 0;
	manifest_devices(vm->manifest, &addresses);
	r = devices_check_holds(vm, false, err);
	if (r == 0)
		r = pci_check(&addresses, err);
	for (size_t i = 0; r == 0 && i < addresses.n; i++)
		r = pci_bind_vfio(addresses.v[i], err);
	if (r == 0)
		r = nodes_give(jget(vm->manifest, "user"), &addresses, err);
	return r < 0 ? r : devices_check_holds(vm, true, err);
}

static const char *device_place(const struct cpr_device *device)
{
	return *device->found ? device->found : device->address;
}

/* The module gives up a whole group. */
static void devices_list_group(const struct cpr_devices *all, const char *address,
			       struct json_object *out)
{
	_cleanup_strv_ struct strv members = { 0 };

	pci_group_members(address, &members);
	for (size_t i = 0; i < all->n; i++) {
		const char *place = device_place(&all->v[i]);
		struct json_object *device;

		if (all->v[i].hold != CPR_DEVICE_HOLD_QUARANTINED ||
		    !(streq(place, address) || strv_has(&members, place)))
			continue;
		device = json_object_new_object();
		jset_str(device, "vm", all->v[i].vm);
		jset_str(device, "address", place);
		json_object_array_add(out, device);
	}
}

/* A device in quarantine, if two VMs have it. */
static const struct cpr_device *device_find(const struct cpr_devices *all, const char *address)
{
	const struct cpr_device *found = NULL;

	for (size_t i = 0; i < all->n; i++)
		if (streq(device_place(&all->v[i]), address) &&
		    (!found || all->v[i].hold == CPR_DEVICE_HOLD_QUARANTINED))
			found = &all->v[i];
	return found;
}

int devices_check_release(struct genl *genl, const char *address,
			  struct json_object *released, struct err *err)
{
	_cleanup_devices_ struct cpr_devices all = { 0 };
	const struct cpr_device *device;
	int r = genl_devices(genl, NULL, &all, err);

	if (r < 0)
		return r;
	device = device_find(&all, address);
	if (!device)
		return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "device",
			    .value = address, .why = "no held VM has it",
			    .remedy = "'cpr-helper list' shows VMs with quarantined devices");
	if (device->hold != CPR_DEVICE_HOLD_QUARANTINED)
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "device",
			    .value = address, .why =
			    fmt("it is not quarantined, but %s", cpr_hold_name(device->hold)),
			    .remedy = device->hold == CPR_DEVICE_HOLD_HELD ?
			    fmt("restore VM '%s', or delete it", device->vm) : NULL);
	devices_list_group(&all, address, released);
	return 0;
}

/* The host's drivers were refused before. */
static void devices_probe(const char *address)
{
	_cleanup_strv_ struct strv members = { 0 };

	pci_group_members(address, &members);
	for (size_t i = 0; i < members.n; i++) {
		_cleanup_err_ struct err why = { 0 };

		if (pci_unbind_vfio(members.v[i], true, &why) < 0)
			note("device '%s': no driver of the host was bound: %s", members.v[i],
			     why.why);
	}
}

int devices_release(struct genl *genl, const char *address, struct json_object *released,
		    struct err *err)
{
	int r = devices_check_release(genl, address, released, err);

	if (r == 0)
		r = genl_device_release(genl, address, err);
	if (r == 0)
		devices_probe(address);
	return r;
}

static void device_add_snapshot(struct json_object *obj, const struct cpr_device *device)
{
	jset_str(obj, "model", fmt("%04x:%04x", device->vendor & 0xffff, device->vendor >> 16));
	jset_str(obj, "hold", cpr_hold_name(device->hold));
	jset_str(obj, "reason", *device->reason ? device->reason : NULL);
	jset_str(obj, "found", *device->found ? device->found : NULL);
	jset_int(obj, "extents", device->extents);
	jset_int(obj, "bytes", device->bytes);
	jset(obj, "members", manifest_strings(&device->group));
}

/* A device as in sysfs, and as in the snapshot if that has it. */
static struct json_object *snapshot_device_json(const char *address,
						const struct cpr_devices *snapshot)
{
	struct json_object *obj = json_object_new_object();
	_cleanup_free_ char *model = pci_model(address), *group = pci_group(address);
	_cleanup_free_ char *driver = pci_driver(address);

	jset_str(obj, "address", address);
	jset_str(obj, "model", model);
	jset_str(obj, "group", group);
	jset_str(obj, "driver", driver);
	jset_str(obj, "hold", cpr_hold_name(CPR_DEVICE_HOLD_NONE));
	for (size_t i = 0; i < snapshot->n; i++)
		if (streq(snapshot->v[i].address, address))
			device_add_snapshot(obj, &snapshot->v[i]);
	return obj;
}

struct json_object *devices_json(struct genl *genl, const char *vm, struct json_object *manifest)
{
	_cleanup_devices_ struct cpr_devices snapshot = { 0 };
	struct json_object *array = json_object_new_array();
	_cleanup_strv_ struct strv addresses = { 0 };

	genl_devices(genl, vm, &snapshot, NULL);
	manifest_devices(manifest, &addresses);
	for (size_t i = 0; i < snapshot.n; i++)
		if (!strv_has(&addresses, snapshot.v[i].address))
			strv_push(&addresses, snapshot.v[i].address);
	for (size_t i = 0; i < addresses.n; i++)
		json_object_array_add(array, snapshot_device_json(addresses.v[i], &snapshot));
	return array;
}
