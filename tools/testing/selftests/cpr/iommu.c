// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "iommu.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The last part of what a link of the device leads to. */
static int link_of(const char *address, const char *name, char *to, size_t len)
{
	char path[128], target[512];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	snprintf(to, len, "%s", strrchr(target, '/') + 1);
	return 0;
}

static int open_group(struct iommu *m)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char group[64], path[128];

	if (link_of(m->address, "iommu_group", group, sizeof(group)))
		return -ENODEV;
	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	m->fds[0] = open(path, O_RDWR);
	if (m->fds[0] < 0)
		return -errno;
	if (ioctl(m->fds[0], VFIO_GROUP_GET_STATUS, &status) ||
	    !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return -EBUSY;
	return 0;
}

int iommu_open_type1(struct iommu *m, const char *address)
{
	int err;

	*m = (struct iommu){ .address = address, .fds = { -1, -1 } };
	m->space = open("/dev/vfio/vfio", O_RDWR);
	if (m->space < 0)
		return -EOPNOTSUPP;
	err = open_group(m);
	if (!err && (ioctl(m->fds[0], VFIO_GROUP_SET_CONTAINER, &m->space) ||
		     ioctl(m->space, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)))
		err = -errno;
	if (!err) {
		m->fds[1] = ioctl(m->fds[0], VFIO_GROUP_GET_DEVICE_FD, address);
		err = m->fds[1] < 0 ? -errno : 0;
	}
	if (err)
		iommu_close(m);
	return err;
}

static int open_device(struct iommu *m)
{
	char path[512];
	struct dirent *e;
	int fd = -ENODEV;
	DIR *d;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", m->address);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", e->d_name);
		fd = open(path, O_RDWR);
	}
	if (d)
		closedir(d);
	return fd;
}

static int attach(struct iommu *m)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = m->space };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct vfio_device_attach_iommufd_pt pt = { .argsz = sizeof(pt) };

	if (ioctl(m->fds[0], VFIO_DEVICE_BIND_IOMMUFD, &bind) ||
	    ioctl(m->space, IOMMU_IOAS_ALLOC, &alloc))
		return -errno;
	m->ioas = alloc.out_ioas_id;
	pt.pt_id = m->ioas;
	return ioctl(m->fds[0], VFIO_DEVICE_ATTACH_IOMMUFD_PT, &pt) ? -errno : 0;
}

int iommu_open_iommufd(struct iommu *m, const char *address)
{
	int err;

	*m = (struct iommu){ .address = address, .fds = { -1, -1 } };
	m->space = open("/dev/iommu", O_RDWR);
	if (m->space < 0)
		return -EOPNOTSUPP;
	m->fds[0] = open_device(m);
	err = m->fds[0] < 0 ? -EOPNOTSUPP : attach(m);
	if (err)
		iommu_close(m);
	return err;
}

void iommu_close(struct iommu *m)
{
	for (int i = 1; i >= 0; i--)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	close(m->space);
}

int iommu_map(struct iommu *m, uint64_t iova, void *at, size_t len)
{
	struct vfio_iommu_type1_dma_map type1 = {
		.argsz = sizeof(type1), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)at, .iova = iova, .size = len,
	};
	struct iommu_ioas_map ioas = {
		.size = sizeof(ioas), .ioas_id = m->ioas,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.user_va = (uintptr_t)at, .iova = iova, .length = len,
	};
	int err = m->ioas ? ioctl(m->space, IOMMU_IOAS_MAP, &ioas) :
			    ioctl(m->space, VFIO_IOMMU_MAP_DMA, &type1);

	return err ? -errno : 0;
}

int iommu_unmap(struct iommu *m, uint64_t iova, size_t len)
{
	struct vfio_iommu_type1_dma_unmap type1 = {
		.argsz = sizeof(type1), .iova = iova, .size = len,
	};
	struct iommu_ioas_unmap ioas = {
		.size = sizeof(ioas), .ioas_id = m->ioas, .iova = iova, .length = len,
	};
	int err = m->ioas ? ioctl(m->space, IOMMU_IOAS_UNMAP, &ioas) :
			    ioctl(m->space, VFIO_IOMMU_UNMAP_DMA, &type1);

	return err ? -errno : 0;
}
