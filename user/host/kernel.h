/* SPDX-License-Identifier: GPL-2.0-only */
/* The running and the next kernel: files, module, the firmware's memory map. */
#ifndef CPR_KERNEL_H
#define CPR_KERNEL_H

#include "base/error.h"

/**
 * struct kernel - a kernel to boot
 * @version: release, as in /lib/modules
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
 * kernel_find - find the files of a kernel
 * @k: with @version set; @image and @initrd are looked for if they are NULL
 *
 * Returns: 0, or -ENOENT with exit status 3.
 */
int kernel_find(struct kernel *k, struct err *err);

/* Whether the kernel has a cpr_handover that it will load; else exit status 4. */
int kernel_check_module(const struct kernel *k, struct err *err);

/* Whether the firmware's own map calls the range persistent memory. */
bool firmware_persistent(uint64_t start, uint64_t size);

/* The release of the running kernel. */
const char *kernel_release(void);

#endif
