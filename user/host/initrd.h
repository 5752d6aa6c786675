/* SPDX-License-Identifier: GPL-2.0-only */
/* The content of an initramfs. */
#ifndef CPR_INITRD_H
#define CPR_INITRD_H

#include "base/error.h"

/**
 * initrd_has_module - check whether an initramfs contains the module cpr_handover
 * @path: path of the initramfs
 *
 * Returns: 1 or 0; -ENOENT if neither lsinitramfs nor lsinitrd is installed; -EBADMSG if
 * the tool did not understand the file; or another negative errno.
 */
int initrd_has_module(const char *path);

/**
 * initrd_check_format - check that the next kernel can unpack an initrd
 *
 * It must be a regular file that begins with an archive or a compressed one: the kernel boots
 * with what it can unpack, and a file without the module's load is found too late.
 *
 * Returns: 0; or a negative errno with exit status 4.
 */
int initrd_check_format(const char *path, struct err *err);

#endif
