/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Disks that another process, or the kernel, serves to the guest: they are no block devices of
 * QEMU, whose lists of disks lack them.
 */
#ifndef CPR_SERVED_H
#define CPR_SERVED_H

#include <json-c/json.h>

/*
 * Add the served disks among the devices in QEMU's arguments to @disks, as {"name",
 * "unchecked": driver}.
 */
void served_disks(struct json_object *manifest, struct json_object *disks);

#endif
