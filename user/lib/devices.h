/* SPDX-License-Identifier: GPL-2.0-only */
/* The passed-through devices of a VM on their way from one kernel to the next. */
#ifndef CPR_DEVICES_H
#define CPR_DEVICES_H

#include "vm.h"

/* These look at vm->manifest, and the last two at vm->qemu. */
bool has_devices(const struct vm *vm);

/**
 * devices_ready - see that each is the one it was, and that vfio-pci has it
 *
 * Returns: 0, also for a VM without devices; a refusal with exit status 5 if the
 * host uses one, 4 if one cannot be given to the guest again, with the reason.
 */
int devices_ready(struct vm *vm, struct err *err);

/* Have the module record what they can reach. */
int devices_snapshot(struct vm *vm, struct err *err);

/**
 * devices_verify - have the module compare that with what they reach now
 *
 * The verdict goes to the manifest in any case. Returns: 0 only if nothing
 * differs; -EIO with the first ranges that do.
 */
int devices_verify(struct vm *vm, struct err *err);

/* [{"address", "model", "hold", "reason", "extents", "bytes", "group"}]; the caller owns it. */
struct json_object *devices_json(struct genl *genl, const char *vm, struct json_object *manifest);

#endif
