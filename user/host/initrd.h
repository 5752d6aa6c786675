/* SPDX-License-Identifier: GPL-2.0-only */
/* What is in an initramfs. */
#ifndef CPR_INITRD_H
#define CPR_INITRD_H

#include "base/error.h"

/**
 * initrd_has_module - whether an initramfs has cpr_handover
 *
 * Returns: 1 or 0; -ENOENT if no tool is here that could tell, or another error
 * if that did not understand the file.
 */
int initrd_has_module(const char *path);

#endif
