/* SPDX-License-Identifier: GPL-2.0-only */
/* An image of a region that no module owns: a file, or a block device. */
#ifndef CPR_IMAGE_FILE_H
#define CPR_IMAGE_FILE_H

#include "base/error.h"

/**
 * struct image - a mapped image
 * @path: not owned
 * @base: where it is mapped
 * @size: bytes
 */
struct image {
	const char *path;
	void *base;
	uint64_t size;
};

/* Map it. Of a device that is written to, this must be the only user. */
int image_open(const char *path, bool write, struct image *img, struct err *err);

/* Unmap; if it was written, make it durable. Returns 0 or -errno. */
int image_close(struct image *img);

/* The physical address of /dev/pmemN, which sysfs knows. False if it is none. */
bool image_device_start(const char *path, uint64_t *start);

#endif
