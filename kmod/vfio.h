/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_VFIO_H
#define CPR_VFIO_H

#include <linux/types.h>

struct device;
struct file;
struct iommu_domain;
struct netlink_ext_ack;
struct vfio_device;

/**
 * struct cpr_vfio - a device that VFIO has open
 * @vdev: VFIO's object, whose device set is locked
 * @domain: IOMMU domain of the device
 * @has_dev: VFIO's function, referenced; NULL in a VFIO without groups
 * @is_valid: VFIO's function, referenced
 */
struct cpr_vfio {
	struct vfio_device *vdev;
	struct iommu_domain *domain;
	bool (*has_dev)(struct file *file, struct vfio_device *vdev);
	bool (*is_valid)(struct file *file);
};

int cpr_vfio_get(struct device *dev, struct file *const *files, u32 nr_files,
		 struct cpr_vfio *v, struct netlink_ext_ack *extack);
void cpr_vfio_put(struct cpr_vfio *v);

#endif /* CPR_VFIO_H */
