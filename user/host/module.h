/* SPDX-License-Identifier: GPL-2.0-only */
/* The module cpr_handover of the next kernel: is it there, and will that kernel load it? */
#ifndef CPR_MODULE_H
#define CPR_MODULE_H

#include "host/kernel.h"

/*
 * Check that the kernel has the module cpr_handover, built for its release, and that the
 * configuration of modprobe does not keep it away. Returns: 0; with exit status 4 -ENOENT if
 * the kernel has none, -ENOEXEC if the module is for another release, or -EINVAL.
 */
int module_check(const struct kernel *k, struct err *err);

/**
 * module_check_signature - check that the kernel will accept the module's signature
 * @line: command line of that kernel
 * @untrusted: also if the running kernel does not know the key of the signature
 *
 * Returns: 0, also if the kernel loads modules without a signature; or -ENOKEY with exit
 * status 4.
 */
int module_check_signature(const struct kernel *k, const char *line, bool untrusted,
			   struct err *err);

#endif
