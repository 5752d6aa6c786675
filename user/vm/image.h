/* SPDX-License-Identifier: GPL-2.0-only */
/* An image of a region outside of the module: a file or a block device. */
#ifndef CPR_IMAGE_FILE_H
#define CPR_IMAGE_FILE_H

#include "base/error.h"

/**
 * struct image - a mapped image
 * @path: path of the file or device, not owned
 * @base: address of the mapping; NULL if not mapped
 * @size: bytes
 */
struct image {
	const char *path;
	void *base;
	uint64_t size;
};

/*
 * Map an image. With @write a block device must not be in use. Returns: 0; -ENOENT with
 * exit status 3; -EBUSY with exit status 5; -ENODATA if the file is empty; or another
 * negative errno.
 */
int image_open(const char *path, bool write, struct image *img, struct err *err);

/* Sync and unmap the image. Returns: 0 or -errno. */
int image_close(struct image *img);

/* Get the physical address of /dev/pmemN from sysfs. False if @path is no such device. */
bool image_device_start(const char *path, uint64_t *start);

#endif
