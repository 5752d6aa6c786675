// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The domain by which VFIO translates for a device
 *
 * A domain is VFIO's, which may destroy it when the device is closed, leaves its
 * container or is given another address space. All of this takes the lock of the
 * device's set; so while that is held, and the device is open, the domain stays.
 *
 * Who asks about a device must have it: among the files that are shown must be
 * that of its group, or that of the device itself as it is opened for iommufd.
 *
 * VFIO is looked for only now: without it this module loads all the same.
 *
 * Locking: the set's lock is taken outside of all of ours. It does not keep a
 * mapping in place: who unmaps meanwhile spoils his own answer.
 */
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/vfio.h>

#include "cpr_internal.h"

static int find_child(struct device *dev, void *data)
{
	struct device **found = data;

	if (!dev->class || strcmp(dev->class->name, "vfio-dev"))
		return 0;
	*found = get_device(dev);
	return 1;
}

static struct vfio_device *find_vfio(struct device *dev)
{
	struct device *child = NULL;

	device_for_each_child(dev, &child, find_child);
	return child ? container_of(child, struct vfio_device, device) : NULL;
}

static bool is_group_file(struct file *file, struct vfio_device *vdev)
{
	bool (*has_dev)(struct file *file, struct vfio_device *device) =
		symbol_get(vfio_file_has_dev);
	bool is = has_dev && has_dev(file, vdev);

	if (has_dev)
		symbol_put(vfio_file_has_dev);
	return is;
}

static bool is_device_file(struct file *file, struct vfio_device *vdev)
{
	bool (*is_valid)(struct file *file) = symbol_get(vfio_file_is_valid);
	struct inode *inode = file_inode(file);
	bool is = is_valid && is_valid(file) && S_ISCHR(inode->i_mode) &&
		  inode->i_rdev == vdev->device.devt;

	if (is_valid)
		symbol_put(vfio_file_is_valid);
	return is;
}

static bool has_file(const struct cpr_dma_request *ask, struct vfio_device *vdev)
{
	for (u32 i = 0; i < ask->nr_files; i++)
		if (is_group_file(ask->files[i], vdev) ||
		    is_device_file(ask->files[i], vdev))
			return true;
	return false;
}

static int check(struct device *dev, const struct cpr_dma_request *ask,
		 struct cpr_vfio *v, struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&v->vdev->dev_set->lock);

	if (!v->vdev->open_count || !has_file(ask, v->vdev)) {
		NL_SET_ERR_MSG_FMT(extack, "none of the given files is VFIO's of %s",
				   dev_name(dev));
		return -EPERM;
	}
	v->domain = iommu_get_domain_for_dev(dev);
	if (!v->domain || v->domain->type != IOMMU_DOMAIN_UNMANAGED) {
		NL_SET_ERR_MSG_FMT(extack, "VFIO has mapped nothing for %s", dev_name(dev));
		return -EINVAL;
	}
	return 0;
}

/**
 * cpr_vfio_get - keep the domain of a device
 * @dev: the device
 * @ask: who asks
 * @v: filled in; let go of it with cpr_vfio_put()
 * @extack: reason of a refusal
 *
 * Return: 0; -EOPNOTSUPP if no IOMMU translates for it, -EPERM if who asks does
 * not have it, -EINVAL if there is nothing to look at.
 */
int cpr_vfio_get(struct device *dev, const struct cpr_dma_request *ask, struct cpr_vfio *v,
		 struct netlink_ext_ack *extack)
{
	int err;

	if (!device_iommu_mapped(dev)) {
		NL_SET_ERR_MSG_FMT(extack, "no IOMMU translates for %s; is it on?",
				   dev_name(dev));
		return -EOPNOTSUPP;
	}
	v->vdev = find_vfio(dev);
	if (!v->vdev) {
		NL_SET_ERR_MSG_FMT(extack, "%s is not VFIO's", dev_name(dev));
		return -EPERM;
	}
	mutex_lock(&v->vdev->dev_set->lock);
	err = check(dev, ask, v, extack);
	if (err)
		cpr_vfio_put(v);
	return err;
}

/**
 * cpr_vfio_put - let go of a domain
 * @v: from cpr_vfio_get()
 */
void cpr_vfio_put(struct cpr_vfio *v)
{
	mutex_unlock(&v->vdev->dev_set->lock);
	put_device(&v->vdev->device);
}
