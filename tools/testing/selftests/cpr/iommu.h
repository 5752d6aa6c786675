/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device that VFIO has, and what it can reach: by a container of VFIO's type 1,
 * or by iommufd, whichever the kernel has.
 */
#ifndef CPR_TEST_IOMMU_H
#define CPR_TEST_IOMMU_H

#include <stddef.h>
#include <stdint.h>

struct iommu {
	const char *address;	/* of the device */
	int fds[2];		/* its files of VFIO */
	int space;		/* container, or iommufd */
	uint32_t ioas;		/* of iommufd; 0 by a container */
};

/* Open a device that vfio-pci has; 0 or -errno, -EOPNOTSUPP without this way. */
int iommu_open_type1(struct iommu *m, const char *address);
int iommu_open_iommufd(struct iommu *m, const char *address);
void iommu_close(struct iommu *m);

/* 0 or -errno. */
int iommu_map(struct iommu *m, uint64_t iova, void *at, size_t len);
int iommu_unmap(struct iommu *m, uint64_t iova, size_t len);

#endif
