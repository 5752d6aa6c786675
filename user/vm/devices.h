/* SPDX-License-Identifier: GPL-2.0-only */
/* The passed-through devices of a VM: who may have them, and who has them. */
#ifndef CPR_DEVICES_H
#define CPR_DEVICES_H

#include "vm/vm.h"

bool has_devices(const struct vm *vm);

/**
 * devices_check_owners - see that no other VM has a device, or one of its group
 *
 * A VM has its devices until it is deleted. Returns: 0, or -EBUSY (exit 5).
 */
int devices_check_owners(struct genl *genl, const struct strv *addresses, struct err *err);

/**
 * devices_take - give devices to vfio-pci
 * @taken: array, to which each is added as the manifest has it
 *
 * After a failure @taken has those that were taken before it.
 */
int devices_bind(const struct strv *addresses, struct json_object *taken, struct err *err);

/**
 * devices_give_back - give them back to the host
 * @devices: as the manifest has them; may be NULL
 *
 * One that vfio-pci had before stays there. Says what stays against its will.
 */
void devices_unbind(struct json_object *devices);

/**
 * devices_ready - see that each is the one it was, and give it to vfio-pci
 *
 * Whatever happens later, vfio-pci keeps it: the host's drivers must not come
 * near a device of a VM. Returns: 0, also without devices; a refusal with exit
 * status 5 if the host uses one, 3 or 4 if the guest cannot be given one again.
 */
int devices_ready(struct vm *vm, struct err *err);

/*
 * [{"address", "model", "group", "hold", "reason", ...}] of those that the manifest
 * or the module knows; @manifest may be NULL. The caller owns it.
 */
struct json_object *devices_json(struct genl *genl, const char *vm, struct json_object *manifest);

#endif
