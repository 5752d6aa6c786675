/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether a PCI device is the recorded one. Pure C. */
#ifndef CPR_IDENTITY_H
#define CPR_IDENTITY_H

#include "catalog.h"
#include <linux/cpr.h>

/* Room for the reason why a device is not held. */
#define CPR_DEVICE_REASON_LEN	128

/**
 * enum cpr_identity - is a device the recorded one?
 * @CPR_IDENTITY_SAME: nothing differs
 * @CPR_IDENTITY_DOUBT: it may be
 * @CPR_IDENTITY_ANOTHER: certainly not
 */
enum cpr_identity {
	CPR_IDENTITY_SAME,
	CPR_IDENTITY_DOUBT,
	CPR_IDENTITY_ANOTHER,
};

void cpr_pci_name(const struct cpr_pci *p, char *name);
bool cpr_pci_same(const struct cpr_pci *a, const struct cpr_pci *b);
bool cpr_pci_among(const struct cpr_pci *p, const struct cpr_pci *list, u32 nr);

enum cpr_identity cpr_identity_compare(const struct cpr_catalog_device *was,
				       const struct cpr_catalog_device *is, bool answers,
				       char *reason);
bool cpr_identity_moved(const struct cpr_catalog_device *was,
			const struct cpr_catalog_device *is);
bool cpr_identity_same_group(const struct cpr_pci *was, u32 nr_was,
			     const struct cpr_pci *is, u32 nr_is, char *reason);

#endif /* CPR_IDENTITY_H */
