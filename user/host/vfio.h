/* SPDX-License-Identifier: GPL-2.0-only */
/* The open VFIO files of a QEMU process. */
#ifndef CPR_VFIO_H
#define CPR_VFIO_H

#include <sys/types.h>

#include "base/error.h"

/**
 * struct vfio_files - VFIO files of a process, duplicated into this one
 * @v: file descriptors of VFIO groups and devices, owned
 * @n: number of descriptors
 * @devices: number of devices that the process has open
 *
 * As long as a descriptor is open, VFIO keeps the device and its mappings: close them
 * soon with vfio_files_close().
 */
struct vfio_files {
	int *v;
	size_t n;
	size_t devices;
};

#define _cleanup_vfio_ _cleanup_(vfio_files_close)

/* Duplicate the files below /dev/vfio that a process has open. Returns: 0 or -errno. */
int vfio_files(pid_t pid, struct vfio_files *files, struct err *err);
void vfio_files_close(struct vfio_files *files);

/**
 * vfio_check_shared - check that no other process has an open VFIO file of a process
 * @pid: the process; it must not open, close or pass on any file meanwhile
 *
 * Such a process could change the mappings: by the container or the iommufd, or by closing
 * or detaching a device. This process is not looked at. A file descriptor that is on its way
 * through a socket is not found.
 *
 * Returns: 0; -EBUSY with exit status 5 if a process has one; -ENOSYS with exit status 4 if
 * the kernel cannot compare files; or another negative errno.
 */
int vfio_check_shared(pid_t pid, struct err *err);

#endif
