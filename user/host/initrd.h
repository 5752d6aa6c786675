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

#endif
