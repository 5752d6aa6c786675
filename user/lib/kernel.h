/* SPDX-License-Identifier: GPL-2.0-only */
/* The next kernel: its files, its module, loading it and jumping to it. */
#ifndef CPR_KERNEL_H
#define CPR_KERNEL_H

#include "error.h"

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

/**
 * initrd_has_module - whether an initramfs has cpr_handover
 *
 * Returns: 1 or 0; -ENOENT if no tool is here that could tell, or another error
 * if that did not understand the file.
 */
int initrd_has_module(const char *path);

/* Whether the firmware's own map calls the range persistent memory. */
bool firmware_persistent(uint64_t start, uint64_t size);

/* Whether this process may load a kernel at all; else exit status 1 or 4. */
int kexec_allowed(struct err *err);

/* Load it with kexec_file_load(2), which never puts it into the region. */
int kexec_load(const struct kernel *k, const char *cmdline, struct err *err);

/* Forget the loaded kernel. */
void kexec_unload(void);

/* Whether one is loaded that kexec_load() has loaded, perhaps in another process. */
bool kexec_left(void);

/* Whether the host goes down, or to another kernel, already. */
bool kexec_under_way(void);

/**
 * kexec_jump - leave this kernel
 *
 * Returns: 0 if systemd has taken the job, else an error: there is no return
 * from a jump that succeeds.
 */
int kexec_jump(struct err *err);

#endif
