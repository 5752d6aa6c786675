/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_GROUP_H
#define CPR_GROUP_H

#include <linux/list.h>
#include <linux/types.h>

#include "dma_table.h"

struct device;
struct iommu_domain;
struct iommu_group;
struct pci_dev;

/**
 * struct cpr_group - an IOMMU group with a device of a held VM
 * @by_id: in the table of all
 * @iommu: the group; referenced
 * @owned: the module owns the group, so that no native driver can bind to its devices
 * @domain: with the mappings of a VM, attached to the group; NULL: all DMA is blocked, if
 *	@owned
 * @devices: those of held VMs, see wanted.h
 * @todo: in the list of groups that hold.c must look at
 */
struct cpr_group {
	struct hlist_node by_id;
	struct iommu_group *iommu;
	bool owned;
	struct iommu_domain *domain;
	struct list_head devices;
	struct list_head todo;
};

struct cpr_group *cpr_group_find(struct device *dev);
struct cpr_group *cpr_group_get(struct device *dev);
void cpr_group_free(struct cpr_group *g);

int cpr_group_own(struct cpr_group *g);
int cpr_group_map(struct cpr_group *g, struct device *dev, const struct cpr_dma_table *t);
void cpr_group_block(struct cpr_group *g);

struct cpr_pci *cpr_group_members(const struct cpr_group *g, u32 *nr);
void cpr_group_driver(const struct cpr_group *g, char *name, size_t size);

void cpr_group_leaving(struct pci_dev *pdev);
void cpr_group_left(struct pci_dev *pdev);
bool cpr_group_is_leaving(struct pci_dev *pdev);
void cpr_group_exit(void);

#endif /* CPR_GROUP_H */
