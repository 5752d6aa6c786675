/* SPDX-License-Identifier: GPL-2.0-only */
/* Load the next kernel and switch to it by kexec. */
#ifndef CPR_KEXEC_H
#define CPR_KEXEC_H

#include "host/kernel.h"

/*
 * Check that this process may load a kernel. Returns: 0; -EPERM with exit status 1
 * without root; -ENOSYS or -EPERM with exit status 4 if the kernel has no kexec or it is
 * disabled, or limited to less than an update may need.
 */
int kexec_allowed(struct err *err);

/*
 * Whether kernel.kexec_load_limit_reboot allows an update. Unloading counts as loading does.
 * NULL: the kernel has no limit, as before 6.3.
 */
bool kexec_limit_allows(const char *limit);

/*
 * Load a kernel with kexec_file_load(2), which never uses the region for it. Returns: 0
 * or a negative errno.
 */
int kexec_load(const struct kernel *k, const char *cmdline, struct err *err);

/* Unload the loaded kernel. */
void kexec_unload(void);

/* Whether a kernel is loaded that kexec_load() of this or another process has loaded. */
bool kexec_left(void);

/* Whether systemd is shutting the host down, for a kexec or otherwise. */
bool kexec_under_way(void);

/**
 * kexec_jump - switch to the loaded kernel
 *
 * With systemd it requests 'systemctl kexec' and returns: 0 if systemd accepted the
 * request. Without systemd it returns only on failure. Returns a negative errno then.
 */
int kexec_jump(struct err *err);

#endif
