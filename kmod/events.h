/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_EVENTS_H
#define CPR_EVENTS_H

#include "cpr_internal.h"

struct cpr_device;

/**
 * enum cpr_event_type - what has changed
 * @CPR_EVENT_REGION: formatted, mounted, unmounted, or all frames are scrubbed, or a memory
 *	error
 * @CPR_EVENT_VM: the state of a VM, or the number of its bad pages
 * @CPR_EVENT_DEVICE: whether a device of a VM is held
 */
enum cpr_event_type {
	CPR_EVENT_REGION,
	CPR_EVENT_VM,
	CPR_EVENT_DEVICE,
};

/**
 * struct cpr_event - data of a notifier call
 * @c: the region
 * @dir: directory of the VM; NULL for CPR_EVENT_REGION
 * @device: the device; for CPR_EVENT_DEVICE only
 */
struct cpr_event {
	struct cpr *c;
	const struct cpr_node *dir;
	const struct cpr_device *device;
};

int cpr_events_register(struct cpr *c, struct notifier_block *nb);
void cpr_events_unregister(struct cpr *c, struct notifier_block *nb);
void cpr_event_region(struct cpr *c);
void cpr_event_vm(struct cpr *c, const struct cpr_node *dir);
void cpr_event_device(struct cpr *c, const struct cpr_node *dir,
		      const struct cpr_device *device);

#endif /* CPR_EVENTS_H */
