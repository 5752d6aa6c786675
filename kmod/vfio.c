// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The IOMMU domain that VFIO uses for a device
 *
 * The domain belongs to VFIO, which may free it when the device is closed, leaves
 * its container or gets another address space. VFIO takes the lock of the device set
 * for each of these. So the domain stays while that lock is held and the device is
 * open.
 *
 * A process may ask about a device only if it has the device: one of the files that
 * it passes must be the VFIO group of the device, or the device's own file as opened
 * for iommufd.
 *
 * VFIO is optional for this module, so its two functions are looked up by
 * symbol_get(). And VFIO exports no way to get from a struct device to its struct
 * vfio_device; the only trace is the child of class "vfio-dev" that VFIO registers.
 * The references on the functions keep VFIO loaded until cpr_vfio_put(), because
 * the last reference on the child runs VFIO's release function.
 *
 * Locking: the lock of the device set is taken before cpr->lock. It does not keep
 * mappings in place, and nothing does that a module could take: the process that asks
 * must see that nothing unmaps memory of the domain meanwhile.
 */
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/vfio.h>

#include "vfio.h"

static int vfio_match_child(struct device *dev, void *data)
{
	struct device **found = data;

	if (!dev->class || strcmp(dev->class->name, "vfio-dev"))
		return 0;
	*found = get_device(dev);
	return 1;
}

static struct vfio_device *vfio_find(struct device *dev)
{
	struct device *child = NULL;

	device_for_each_child(dev, &child, vfio_match_child);
	return child ? container_of(child, struct vfio_device, device) : NULL;
}

static bool vfio_is_group_file(const struct cpr_vfio *v, struct file *file)
{
	return v->has_dev && v->has_dev(file, v->vdev);
}

static bool vfio_is_device_file(const struct cpr_vfio *v, struct file *file)
{
	struct inode *inode = file_inode(file);

	return v->is_valid(file) && S_ISCHR(inode->i_mode) &&
	       inode->i_rdev == v->vdev->device.devt;
}

static bool vfio_has_file(const struct cpr_vfio *v, struct file *const *files, u32 nr_files)
{
	for (u32 i = 0; i < nr_files; i++)
		if (vfio_is_group_file(v, files[i]) || vfio_is_device_file(v, files[i]))
			return true;
	return false;
}

static void vfio_put_symbols(struct cpr_vfio *v)
{
	if (v->has_dev)
		symbol_put(vfio_file_has_dev);
	if (v->is_valid)
		symbol_put(vfio_file_is_valid);
}

static int vfio_check(struct device *dev, struct file *const *files, u32 nr_files,
		      struct cpr_vfio *v, struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&v->vdev->dev_set->lock);

	if (!v->vdev->open_count || !vfio_has_file(v, files, nr_files)) {
		NL_SET_ERR_MSG_FMT(extack, "none of the given files is a VFIO file of %s",
				   dev_name(dev));
		return -EPERM;
	}
	v->domain = iommu_get_domain_for_dev(dev);
	if (!v->domain || v->domain->type != IOMMU_DOMAIN_UNMANAGED) {
		NL_SET_ERR_MSG_FMT(extack, "VFIO has no mappings for %s", dev_name(dev));
		return -EINVAL;
	}
	return 0;
}

/**
 * cpr_vfio_get - get the IOMMU domain of a device and keep it
 * @dev: the device
 * @files: files of the process that asks
 * @nr_files: entries in @files
 * @v: filled in; the caller releases it with cpr_vfio_put()
 * @extack: reason of a refusal
 *
 * Return: 0; -EOPNOTSUPP if no IOMMU translates for the device; -EPERM if the
 * process does not have the device; -EINVAL if the device has no domain of VFIO.
 */
int cpr_vfio_get(struct device *dev, struct file *const *files, u32 nr_files,
		 struct cpr_vfio *v, struct netlink_ext_ack *extack)
{
	int err;

	if (!device_iommu_mapped(dev)) {
		NL_SET_ERR_MSG_FMT(extack, "no IOMMU translates for %s; is the IOMMU on?",
				   dev_name(dev));
		return -EOPNOTSUPP;
	}
	v->has_dev = symbol_get(vfio_file_has_dev);
	v->is_valid = symbol_get(vfio_file_is_valid);
	v->vdev = v->is_valid ? vfio_find(dev) : NULL;
	if (!v->vdev) {
		vfio_put_symbols(v);
		NL_SET_ERR_MSG_FMT(extack, "%s is not bound to a driver of VFIO", dev_name(dev));
		return -EPERM;
	}
	mutex_lock(&v->vdev->dev_set->lock);
	err = vfio_check(dev, files, nr_files, v, extack);
	if (err)
		cpr_vfio_put(v);
	return err;
}

/**
 * cpr_vfio_put - release a domain
 * @v: from cpr_vfio_get()
 */
void cpr_vfio_put(struct cpr_vfio *v)
{
	mutex_unlock(&v->vdev->dev_set->lock);
	put_device(&v->vdev->device);
	vfio_put_symbols(v);
}
