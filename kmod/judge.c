// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Held, or quarantined?
 *
 * The module owns the IOMMU group already when it is judged, so time does not matter, and
 * neither does a lack of memory: whatever goes wrong is a doubt, and leaves the group
 * blocked. A group has one domain, so all devices in it are judged together: a doubt about
 * one of them is one about all.
 *
 * A group with other members than it had is a doubt in both directions. One that has grown
 * isolates the guest from less than before. One that has shrunk may isolate it better, or
 * may be waiting for a device that is yet to appear, and that shall not be the host's.
 *
 * Locking: hold.c calls this with its mutex held.
 */
#include <linux/pci.h>
#include <linux/slab.h>

#include "group.h"
#include "judge.h"
#include "pci.h"
#include "wanted.h"

/* ---- reasons for a quarantine ---- */

/**
 * struct judge_members - members of the IOMMU group that is looked at
 * @v: their addresses, or ERR_PTR
 * @nr: number of members
 */
struct judge_members {
	struct cpr_pci *v;
	u32 nr;
};

__printf(2, 3)
static bool judge_doubt(char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, CPR_DEVICE_REASON_LEN, fmt, ap);
	va_end(ap);
	return true;
}

static bool judge_doubts_device(const struct cpr_wanted *w, char *reason)
{
	const struct cpr_pci at = cpr_pci_address(w->pdev);

	if (*w->doubt)
		return judge_doubt(reason, "%s", w->doubt);
	if (cpr_pci_same(&at, &w->device->id.address))
		return false;
	return judge_doubt(reason, "it was found at %s, by its serial number",
			   pci_name(w->pdev));
}

static bool judge_doubts_table(const struct cpr_wanted *w, char *reason)
{
	const struct cpr_wanted_table *t = &w->vm->tables[w->device->id.dma];

	switch (t->fit) {
	case CPR_WANTED_FITS:
		return false;
	case CPR_WANTED_EXCESS:
		return judge_doubt(reason,
				  "the image has more mappings than the VM's memory can need");
	case CPR_WANTED_FOREIGN:
		return judge_doubt(reason,
				  "the image leads iova %#llx to memory that is not the VM's",
				  t->iova);
	default:
		return judge_doubt(reason, "no memory to check its mappings");
	}
}

/* Members that the VM had must be those devices, not just be at their addresses. */
static bool judge_doubts_members(const struct cpr_wanted *w, const struct judge_members *m,
				 char *reason)
{
	const struct cpr_wanted *other;
	char name[CPR_DEVICE_ADDRESS_MAX + 1];

	if (IS_ERR(m->v))
		return judge_doubt(reason, "the members of its IOMMU group cannot be listed: %pe",
				  m->v);
	if (!cpr_identity_same_group(w->device->members, w->device->id.members, m->v, m->nr,
				     reason))
		return true;
	cpr_for_each_wanted(other, w->vm) {
		if (other->group == w->group ||
		    !cpr_pci_among(&other->device->id.address, m->v, m->nr))
			continue;
		cpr_pci_name(&other->device->id.address, name);
		return judge_doubt(reason, "%s, of its IOMMU group, is another device than it was",
				  name);
	}
	return false;
}

/* An IOMMU group has one domain. */
static bool judge_doubts_others(const struct cpr_wanted *w, char *reason)
{
	const struct cpr_wanted *other;

	list_for_each_entry(other, &w->group->devices, in_group) {
		if (other->vm != w->vm)
			return judge_doubt(reason, "another VM has it, or a device of its IOMMU group");
		if (other->device->id.dma != w->device->id.dma)
			return judge_doubt(reason, "%s, of its IOMMU group, has other mappings",
					   pci_name(other->pdev));
	}
	return false;
}

static bool judge_doubts(const struct cpr_wanted *w, const struct judge_members *m, char *reason)
{
	return judge_doubts_device(w, reason) || judge_doubts_members(w, m, reason) ||
	       judge_doubts_others(w, reason) || judge_doubts_table(w, reason);
}

/* ---- looking at a group ---- */

static void judge_report_all(struct cpr *c, const struct cpr_group *g, enum cpr_device_hold hold,
			     const char *reason)
{
	const struct cpr_wanted *w;

	list_for_each_entry(w, &g->devices, in_group)
		cpr_wanted_report(c, w, hold, "%s", reason);
}

static void judge_report_unowned(struct cpr *c, const struct cpr_group *g, int err)
{
	char reason[CPR_DEVICE_REASON_LEN], driver[80];

	if (err == -EPERM || err == -EBUSY) {
		cpr_group_driver(g, driver, sizeof(driver));
		snprintf(reason, sizeof(reason), "%s uses its IOMMU group: %pe", driver,
			 ERR_PTR(err));
		judge_report_all(c, g, CPR_DEVICE_HOLD_BUSY, reason);
	} else {
		snprintf(reason, sizeof(reason), "its IOMMU group cannot be owned: %pe",
			 ERR_PTR(err));
		judge_report_all(c, g, CPR_DEVICE_HOLD_FAILED, reason);
	}
}

/* Report the reason of each device, or that another device has one. */
static void judge_report_doubts(struct cpr *c, const struct cpr_group *g,
				const struct judge_members *m,
				const struct cpr_wanted *doubtful)
{
	char reason[CPR_DEVICE_REASON_LEN];
	const struct cpr_wanted *w;

	list_for_each_entry(w, &g->devices, in_group) {
		if (!judge_doubts(w, m, reason))
			judge_doubt(reason, "%s, of its IOMMU group, is quarantined",
				    pci_name(doubtful->pdev));
		cpr_wanted_report(c, w, CPR_DEVICE_HOLD_QUARANTINED, "%s", reason);
	}
}

static const struct cpr_wanted *judge_first_doubt(const struct cpr_group *g,
						  const struct judge_members *m)
{
	char reason[CPR_DEVICE_REASON_LEN];
	const struct cpr_wanted *w;

	list_for_each_entry(w, &g->devices, in_group)
		if (judge_doubts(w, m, reason))
			return w;
	return NULL;
}

static void judge_map(struct cpr *c, struct cpr_group *g)
{
	const struct cpr_wanted *w = list_first_entry(&g->devices, struct cpr_wanted, in_group);
	char reason[CPR_DEVICE_REASON_LEN];
	int err = 0;

	if (!g->domain)
		err = cpr_group_map(g, &w->pdev->dev, &w->vm->dma->tables[w->device->id.dma]);
	if (!err) {
		judge_report_all(c, g, CPR_DEVICE_HOLD_HELD, "");
		return;
	}
	snprintf(reason, sizeof(reason), "its mappings could not be set up: %pe", ERR_PTR(err));
	judge_report_all(c, g, CPR_DEVICE_HOLD_QUARANTINED, reason);
}

/**
 * cpr_judge - own a group, and hold its devices or keep them in quarantine
 * @c: the region
 * @g: the group; it has devices
 */
void cpr_judge(struct cpr *c, struct cpr_group *g)
{
	const struct cpr_wanted *doubtful;
	struct judge_members m;
	int err = cpr_group_own(g);

	if (err) {
		judge_report_unowned(c, g, err);
		return;
	}
	m.v = cpr_group_members(g, &m.nr);
	doubtful = judge_first_doubt(g, &m);
	if (doubtful) {
		cpr_group_block(g);
		judge_report_doubts(c, g, &m, doubtful);
	} else {
		judge_map(c, g);
	}
	if (!IS_ERR(m.v))
		kfree(m.v);
}
