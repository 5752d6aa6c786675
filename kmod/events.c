// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Events
 *
 * A notifier chain by which lower layers report a change of the region, of a VM or
 * of a device. netlink.c listens and sends the events to userspace.
 *
 * Locking: events are sent with cpr->lock held, so that listeners see them in the
 * order of the changes, and can read the object that has changed. The order is
 * cpr->lock -> the chain's lock.
 */
#include "events.h"

/**
 * cpr_events_register - call a notifier for each event
 * @c: the region
 * @nb: called with enum cpr_event_type and struct cpr_event
 *
 * Return: 0 or -EEXIST.
 */
int cpr_events_register(struct cpr *c, struct notifier_block *nb)
{
	return blocking_notifier_chain_register(&c->listeners, nb);
}

/**
 * cpr_events_unregister - undo cpr_events_register()
 * @c: the region
 * @nb: the notifier; not called any more when this returns
 */
void cpr_events_unregister(struct cpr *c, struct notifier_block *nb)
{
	blocking_notifier_chain_unregister(&c->listeners, nb);
}

static void events_send(enum cpr_event_type type, struct cpr_event event)
{
	lockdep_assert_held(&event.c->lock);

	blocking_notifier_call_chain(&event.c->listeners, type, &event);
}

/**
 * cpr_event_region - report that the region has changed
 * @c: the region
 */
void cpr_event_region(struct cpr *c)
{
	events_send(CPR_EVENT_REGION, (struct cpr_event){ .c = c });
}

/**
 * cpr_event_vm - report that a VM has changed its state
 * @c: the region
 * @dir: directory of the VM
 */
void cpr_event_vm(struct cpr *c, const struct cpr_node *dir)
{
	events_send(CPR_EVENT_VM, (struct cpr_event){ .c = c, .dir = dir });
}

/**
 * cpr_event_device - report that a device of a VM is now held, or no longer held
 * @c: the region
 * @dir: directory of the VM
 * @device: the device
 */
void cpr_event_device(struct cpr *c, const struct cpr_node *dir,
		      const struct cpr_device *device)
{
	events_send(CPR_EVENT_DEVICE,
		    (struct cpr_event){ .c = c, .dir = dir, .device = device });
}
