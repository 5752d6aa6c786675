// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "vm/image.h"

static int image_size(int fd, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode)) {
		*size = st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return -ENOTBLK;
	return ioctl(fd, BLKGETSIZE64, size) < 0 ? -errno : 0;
}

static int image_failed(int code, const char *path, struct err *err)
{
	return fail(err, code, .exit = code == -ENOENT ? CPR_EXIT_NOTFOUND :
		    code == -EBUSY ? CPR_EXIT_BUSY : CPR_EXIT_FAILED,
		    .what = "cannot open", .value = path,
		    .why = code == -ENOTBLK ? "neither a file nor a block device" :
		    strerror(-code),
		    .remedy = code == -EACCES ? "run it with sudo" :
		    code == -EBUSY ? "unmount the device, or end the program that uses it" :
		    "name a copy of a region, or /dev/pmemN");
}

int image_open(const char *path, bool write, struct image *img, struct err *err)
{
	/* O_EXCL without O_CREAT: fails with EBUSY for a block device that is in use. */
	_cleanup_close_ int fd = open(path, (write ? O_RDWR | O_EXCL : O_RDONLY) | O_CLOEXEC |
				      O_NONBLOCK);
	int r = fd < 0 ? -errno : image_size(fd, &img->size);

	img->path = path;
	img->base = NULL;
	if (r < 0)
		return image_failed(r, path, err);
	if (!img->size)
		return fail(err, -ENODATA, .what = "image", .value = path, .why = "it is empty");
	img->base = mmap(NULL, img->size, PROT_READ | (write ? PROT_WRITE : 0),
			 write ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	if (img->base != MAP_FAILED)
		return 0;
	img->base = NULL;
	return image_failed(-errno, path, err);
}

int image_close(struct image *img)
{
	int r = 0;

	if (!img->base)
		return 0;
	if (msync(img->base, img->size, MS_SYNC) < 0)
		r = -errno;
	munmap(img->base, img->size);
	img->base = NULL;
	return r;
}

bool image_device_start(const char *path, uint64_t *start)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *attr = NULL, *text = NULL;

	if (!startswith(path, "/dev/"))
		return false;
	attr = xasprintf("/sys/class/block/%s/device/resource", slash + 1);
	text = read_text(attr, 64);
	*start = text ? strtoull(text, NULL, 0) : 0;
	return *start != 0;
}
