/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_PCI_H
#define CPR_PCI_H

#include "identity.h"

struct iommu_group;
struct pci_dev;

struct cpr_pci cpr_pci_address(struct pci_dev *pdev);
void cpr_pci_identify(struct pci_dev *pdev, struct cpr_catalog_device *id);
struct cpr_pci *cpr_pci_group_members(struct iommu_group *group, u32 *nr);

#endif /* CPR_PCI_H */
