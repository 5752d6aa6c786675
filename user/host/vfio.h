/* SPDX-License-Identifier: GPL-2.0-only */
/* The files by which a QEMU has its passed-through devices. */
#ifndef CPR_VFIO_H
#define CPR_VFIO_H

#include <sys/types.h>

#include "base/error.h"

/**
 * struct vfio_files - duplicates, in this process
 * @v: file descriptors of VFIO groups and devices
 * @n: how many
 * @devices: how many devices the process has open
 *
 * As long as one is open, VFIO keeps the device and its mappings: close them
 * soon, with vfio_files_close().
 */
struct vfio_files {
	int *v;
	size_t n;
	size_t devices;
};

#define _cleanup_vfio_ _cleanup_(vfio_files_close)

/* Duplicate what a process has open below /dev/vfio. Returns: 0 or -errno. */
int vfio_files(pid_t pid, struct vfio_files *files, struct err *err);
void vfio_files_close(struct vfio_files *files);

#endif
