/* SPDX-License-Identifier: GPL-2.0-only */
/* The next kernel's files; the running kernel's release. */
#ifndef CPR_KERNEL_H
#define CPR_KERNEL_H

#include "base/error.h"

/**
 * struct kernel - a kernel to boot
 * @version: kernel release, as in /lib/modules; not owned
 * @image: path of the bzImage, owned
 * @initrd: path of the initramfs, owned
 */
struct kernel {
	const char *version;
	char *image;
	char *initrd;
};

void kernel_free(struct kernel *k);

/**
 * kernel_find - find the image and the initramfs of a kernel
 * @k: @version must be set; sets @image and @initrd where they are NULL
 *
 * Returns: 0, or -ENOENT with exit status 3 if a file is missing.
 */
int kernel_find(struct kernel *k, struct err *err);

/* The release of the running kernel, "unknown" if uname(2) fails. Static buffer. */
const char *kernel_release(void);

#endif
