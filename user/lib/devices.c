// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>

#include "devices.h"
#include "manifest.h"
#include "out.h"
#include "pci.h"
#include "size.h"
#include "vfio.h"

#define TOLD 3			/* differences in a message */

bool has_devices(const struct vm *vm)
{
	struct json_object *devices = jget(vm->manifest, "devices");

	return devices && json_object_array_length(devices) > 0;
}

static const struct { enum cpr_device_hold hold; const char *why, *remedy; } holds[] = {
	{ CPR_DEVICE_HOLD_MISSING, "it is not there", "put it back into its slot" },
	{ CPR_DEVICE_HOLD_CHANGED, "another device is in its place", "put the old one back" },
	{ CPR_DEVICE_HOLD_GROUP, "its IOMMU group has other members than it had",
	  "boot with the kernel options and the firmware settings of before" },
	{ CPR_DEVICE_HOLD_FAILED, "the IOMMU could not be set up for it", "'dmesg' tells why" },
	{ CPR_DEVICE_HOLD_BUSY, "a driver of the host has it, or its group",
	  "unbind it from that driver" },
};

static int check_hold(const struct cpr_device *device, bool bound, struct err *err)
{
	bool busy = device->hold == CPR_DEVICE_HOLD_BUSY;

	if (busy && !bound)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(holds); i++)
		if (device->hold == holds[i].hold)
			return fail(err, busy ? -EBUSY : -ENODEV,
				    .exit = busy ? CPR_EXIT_BUSY : CPR_EXIT_REFUSED,
				    .what = "device", .value = device->address,
				    .why = *device->reason ? fmt("kernel: %s", device->reason) :
				    holds[i].why,
				    .remedy = fmt("%s, then restore it again", holds[i].remedy));
	return 0;
}

/* @bound: they should be with vfio-pci by now */
static int check_holds(struct vm *vm, bool bound, struct err *err)
{
	_cleanup_devices_ struct cpr_devices devices = { 0 };
	int r = genl_devices(vm->genl, vm->name, &devices, err);

	for (size_t i = 0; r == 0 && i < devices.n; i++)
		r = check_hold(&devices.v[i], bound, err);
	return r;
}

/* What is another device, or is used by the host, is not touched. */
int devices_ready(struct vm *vm, struct err *err)
{
	_cleanup_strv_ struct strv addresses = { 0 };
	int r;

	if (!has_devices(vm))
		return 0;
	manifest_devices(vm->manifest, &addresses);
	r = check_holds(vm, false, err);
	if (r == 0)
		r = pci_check(&addresses, err);
	for (size_t i = 0; r == 0 && i < addresses.n; i++)
		r = pci_bind_vfio(addresses.v[i], err);
	return r < 0 ? r : check_holds(vm, true, err);
}

int devices_snapshot(struct vm *vm, struct err *err)
{
	_cleanup_vfio_ struct vfio_files files = { 0 };
	_cleanup_strv_ struct strv addresses = { 0 };
	struct cpr_dma dma = { 0 };
	int r = vfio_files(vm->qemu.pid, &files, err);

	if (r < 0)
		return r;
	manifest_devices(vm->manifest, &addresses);
	r = genl_snapshot(vm->genl, vm->name, &addresses, files.v, files.n, &dma, err);
	if (r == 0)
		detail("%s: snapshot of %u devices, %u extents, %s", vm->name, dma.devices,
		       dma.extents, size_human(dma.bytes));
	return r;
}

static void record(struct vm *vm, const struct cpr_verdict *verdict)
{
	struct json_object *verified = json_object_new_object();
	_cleanup_err_ struct err why = { 0 };

	jset_int(verified, "time", time(NULL));
	jset_str(verified, "kernel", kernel_release());
	jset_int(verified, "extents", verdict->dma.extents);
	jset_int(verified, "bytes", verdict->dma.bytes);
	jset_int(verified, "differences", verdict->differences);
	jset(vm->manifest, "verified", verified);
	if (vm_manifest_save(vm, &why) < 0)
		note("VM '%s': %s: %s", vm->name, why.what, why.why);
}

static const char *place(bool is, uint64_t at)
{
	return is ? fmt("%#llx", (unsigned long long)at) : "nowhere";
}

static int differs(const struct cpr_verdict *verdict, struct err *err)
{
	_cleanup_strv_ struct strv told = { 0 };
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < verdict->n && i < TOLD; i++) {
		const struct cpr_difference *d = &verdict->v[i];

		strv_pushf(&told, "%s: %#llx+%s is %s, it led to %s and leads to %s", d->device,
			   (unsigned long long)d->iova, size_exact(d->length),
			   cpr_difference_name(d->kind), place(d->led, d->expected),
			   place(d->leads, d->found));
	}
	text = strv_join(&told, "; ");
	return fail(err, -EIO, .what = "device mappings",
		    .value = fmt("%u differences", verdict->differences),
		    .why = told.n ? fmt("%s", text) : "the module does not tell which",
		    .remedy = "the guest has not run, and can be restored under the kernel and "
			      "QEMU that it was saved with");
}

/* A device that nobody looked at is as bad as one that reaches the wrong memory. */
static int judge(struct vm *vm, const struct cpr_verdict *verdict, struct err *err)
{
	size_t n = json_object_array_length(jget(vm->manifest, "devices"));

	if (verdict->differences)
		return differs(verdict, err);
	if (verdict->dma.devices != n)
		return fail(err, -EIO, .what = "device mappings",
			    .value = fmt("%u devices", verdict->dma.devices),
			    .why = fmt("the VM has %zu, and all must have been checked", n));
	return 0;
}

int devices_verify(struct vm *vm, struct err *err)
{
	_cleanup_verdict_ struct cpr_verdict verdict = { 0 };
	_cleanup_vfio_ struct vfio_files files = { 0 };
	int r = vfio_files(vm->qemu.pid, &files, err);

	if (r == 0)
		r = genl_verify(vm->genl, vm->name, files.v, files.n, &verdict, err);
	if (r < 0)
		return r;
	record(vm, &verdict);
	return judge(vm, &verdict, err);
}

static void add_snapshot(struct json_object *obj, const struct cpr_device *device)
{
	jset_str(obj, "model", fmt("%04x:%04x", device->vendor & 0xffff, device->vendor >> 16));
	jset_str(obj, "hold", cpr_hold_name(device->hold));
	jset_str(obj, "reason", *device->reason ? device->reason : NULL);
	jset_int(obj, "extents", device->extents);
	jset_int(obj, "bytes", device->bytes);
	jset(obj, "group", manifest_strings(&device->group));
}

static struct json_object *device_json(const char *address, const struct cpr_devices *snapshot)
{
	struct json_object *obj = json_object_new_object();
	_cleanup_free_ char *model = pci_model(address);

	jset_str(obj, "address", address);
	jset_str(obj, "model", model);
	jset_str(obj, "hold", cpr_hold_name(CPR_DEVICE_HOLD_NONE));
	for (size_t i = 0; i < snapshot->n; i++)
		if (streq(snapshot->v[i].address, address))
			add_snapshot(obj, &snapshot->v[i]);
	return obj;
}

struct json_object *devices_json(struct genl *genl, const char *vm, struct json_object *manifest)
{
	_cleanup_devices_ struct cpr_devices snapshot = { 0 };
	struct json_object *array = json_object_new_array();
	_cleanup_strv_ struct strv addresses = { 0 };

	manifest_devices(manifest, &addresses);
	if (addresses.n)
		genl_devices(genl, vm, &snapshot, NULL);
	for (size_t i = 0; i < addresses.n; i++)
		json_object_array_add(array, device_json(addresses.v[i], &snapshot));
	return array;
}
