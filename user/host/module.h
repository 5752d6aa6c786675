/* SPDX-License-Identifier: GPL-2.0-only */
/* The module cpr_handover of the next kernel: is it there, and will that kernel load it? */
#ifndef CPR_MODULE_H
#define CPR_MODULE_H

#include "host/kernel.h"

/**
 * module_check - check that the next kernel will load the module cpr_handover
 * @line: command line of that kernel
 * @untrusted: also if the running kernel does not know the key of its signature
 *
 * The kernel must have it, built for its release; the configuration of modprobe must not keep
 * it away; and if the kernel loads signed modules only, its signature must be trusted.
 *
 * Returns: 0; with exit status 4 -ENOENT if the kernel has none, -ENOEXEC if the module is for
 * another release, -EINVAL if it is kept away, or -ENOKEY for its signature.
 */
int module_check(const struct kernel *k, const char *line, bool untrusted, struct err *err);

#endif
