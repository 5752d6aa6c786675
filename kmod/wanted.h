/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_WANTED_H
#define CPR_WANTED_H

#include "cpr_internal.h"
#include "record.h"

struct cpr_group;
struct pci_dev;

/**
 * struct cpr_wanted - a device that a held VM had
 * @by_address: in the table by recorded address
 * @by_serial: in the table by serial number, if the device has one
 * @vm: the VM
 * @device: the device in the VM's snapshot
 * @group: the IOMMU group that the device was found in; NULL if it was not found
 * @in_group: in the group's list
 * @pdev: the device that was found; referenced; NULL if none
 * @doubt: why @pdev may be another device; "" if it is the same
 * @sure: @pdev is the same, or has at least the serial number
 * @released: an operator has given the device to the host
 */
struct cpr_wanted {
	struct hlist_node by_address;
	struct hlist_node by_serial;
	struct cpr_wanted_vm *vm;
	struct cpr_device *device;
	struct cpr_group *group;
	struct list_head in_group;
	struct pci_dev *pdev;
	char doubt[CPR_DEVICE_REASON_LEN];
	bool sure;
	bool released;
};

/**
 * enum cpr_wanted_fit - can the mappings of a table be put in place?
 * @CPR_WANTED_UNCHECKED: there was no memory to look
 * @CPR_WANTED_FITS: yes
 * @CPR_WANTED_EXCESS: no, they are more than the VM's memory can need
 * @CPR_WANTED_FOREIGN: no, one leads to memory that is not the VM's
 */
enum cpr_wanted_fit {
	CPR_WANTED_UNCHECKED,
	CPR_WANTED_FITS,
	CPR_WANTED_EXCESS,
	CPR_WANTED_FOREIGN,
};

/**
 * struct cpr_wanted_table - what is known about a table of a snapshot
 * @fit: can it be put in place?
 * @iova: of the mapping that is CPR_WANTED_FOREIGN
 */
struct cpr_wanted_table {
	enum cpr_wanted_fit fit;
	u64 iova;
};

/**
 * struct cpr_wanted_vm - a held VM with a snapshot
 * @list: in the list of all
 * @ino: inode number of the VM's directory
 * @dma: the snapshot; referenced
 * @active: the devices are to be held: VFIO has not been given them yet
 * @checked: @tables are
 * @tables: as many as @dma has
 * @devices: as many as @dma has
 */
struct cpr_wanted_vm {
	struct list_head list;
	u64 ino;
	struct cpr_dma *dma;
	bool active;
	bool checked;
	struct cpr_wanted_table *tables;
	struct cpr_wanted devices[];
};

#define cpr_for_each_wanted(_w, _vm)						\
	for ((_w) = (_vm)->devices; (_w) < (_vm)->devices + (_vm)->dma->nr_devices; (_w)++)

struct cpr_wanted_vm *cpr_wanted_next(struct cpr_wanted_vm *vm);
struct cpr_wanted_vm *cpr_wanted_stale(struct cpr *c);
bool cpr_wanted_renew(struct cpr *c);
void cpr_wanted_forget(struct cpr *c, struct cpr_wanted_vm *vm);
struct cpr_wanted *cpr_wanted_at(const struct cpr_pci *at, struct cpr_wanted *after);
bool cpr_wanted_any_serial(void);
struct cpr_wanted *cpr_wanted_with(const struct cpr_catalog_device *is, struct cpr_wanted *after);

__printf(4, 5)
void cpr_wanted_report(struct cpr *c, const struct cpr_wanted *w, enum cpr_device_hold hold,
		       const char *fmt, ...);
void cpr_wanted_none(struct cpr *c, const struct cpr_wanted *w);

#endif /* CPR_WANTED_H */
