/* SPDX-License-Identifier: GPL-2.0-only */
/* Load the next kernel, and jump to it. */
#ifndef CPR_KEXEC_H
#define CPR_KEXEC_H

#include "host/kernel.h"

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
