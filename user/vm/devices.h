/* SPDX-License-Identifier: GPL-2.0-only */
/* The passed-through devices of a VM: their owner and their driver. */
#ifndef CPR_DEVICES_H
#define CPR_DEVICES_H

#include "vm/vm.h"

/* Whether the manifest of a VM names passed-through devices. */
bool vm_has_devices(const struct vm *vm);

/**
 * devices_check_owners - check that no VM owns a device, or another of its IOMMU group
 *
 * A VM owns its devices until it is deleted. Returns: 0; -EBUSY with exit status 5; or
 * the error of genl_vms() or genl_devices().
 */
int devices_check_owners(struct genl *genl, const struct strv *addresses, struct err *err);

/**
 * devices_bind - bind devices to vfio-pci, for the QEMU of a user
 * @user: see account.h
 * @taken: array to which the function adds each bound device, in the manifest's format
 *
 * Returns: 0 or a negative errno. After a failure @taken has the devices bound until then.
 */
int devices_bind(const struct strv *addresses, struct json_object *user,
		 struct json_object *taken, struct err *err);

/**
 * devices_unbind - unbind devices from vfio-pci, so that host drivers bind again
 * @devices: the devices in the manifest's format; may be NULL
 * @user: whose they were
 *
 * A device that was bound to vfio-pci before the VM was created stays bound. Prints a
 * note for each device that could not be unbound.
 */
void devices_unbind(struct json_object *devices, struct json_object *user);

/**
 * devices_ready - check that the devices are those of the snapshot, and bind them to vfio-pci
 *
 * They stay bound to vfio-pci, also after a later failure: no host driver may bind to a
 * device of a VM. Returns: 0, also for a VM without devices; an error with exit status 5
 * if the host uses a device, with 3 or 4 if a device cannot be passed through again.
 */
int devices_ready(struct vm *vm, struct err *err);

/**
 * devices_release - give a quarantined device, and its IOMMU group, to the host
 * @address: where it is now
 * @released: array to which the function adds {"vm", "address"} of each device of a VM in
 *	the group
 *
 * Has the host's drivers probe all devices of the group. Prints a note for each that could
 * not be. Returns: 0; -ENOENT (exit status 3) if no held VM has the device; -EBUSY (exit
 * status 5) if it is not quarantined; or another negative errno.
 */
int devices_release(struct genl *genl, const char *address, struct json_object *released,
		    struct err *err);

/* The same checks and the same array, but nothing is changed. */
int devices_check_release(struct genl *genl, const char *address,
			  struct json_object *released, struct err *err);

/*
 * [{"address", "model", "group", "hold", "reason", "found", ...}] of the devices in the manifest and
 * in the module's snapshot; @manifest may be NULL. The caller owns the array.
 */
struct json_object *devices_json(struct genl *genl, const char *vm, struct json_object *manifest);

#endif
