/* SPDX-License-Identifier: GPL-2.0-only */
/* Kernels that load signed code only: which ones do, and which keys they know. */
#ifndef CPR_SIGNING_H
#define CPR_SIGNING_H

#include "host/kernel.h"

/**
 * signing_cause - find out what makes a kernel load signed modules only
 * @config: its configuration, as in /boot/config-VERSION; NULL if that is not known: then
 *	what may be built in counts as built in
 * @line: its command line
 * @secure_boot: whether the firmware booted the host with Secure Boot
 *
 * Returns: the option or setting, which the caller frees; NULL if there is none.
 */
char *signing_cause(const char *config, const char *line, bool secure_boot);

/* The same for an installed kernel, on this host. */
char *signing_demand(const char *version, const char *line);

/**
 * signing_kernel_cause - find out what makes a kernel load signed kernels only, by kexec
 * @config: its configuration; NULL if that is not known
 * @lockdown: what it says in /sys/kernel/security/lockdown ("none [integrity] ..."); NULL if
 *	it says nothing
 * @secure_boot: as above
 *
 * Returns: the option or setting, which the caller frees; NULL if there is none.
 */
char *signing_kernel_cause(const char *config, const char *lockdown, bool secure_boot);

/* Whether a kernel's image has a signature of its own (PE), or its file one of IMA. */
bool signing_has_signature(const char *image);

/*
 * Check that the running kernel does not refuse the image for want of a signature. Whether it
 * accepts the one that there is, only loading tells. Returns: 0, or -ENOKEY with exit status 4.
 */
int signing_check_kernel(const struct kernel *k, struct err *err);

/*
 * Whether the running kernel has a key of this name. A key of the firmware, of a machine
 * owner too, is also known to the next kernel; one that is built in need not be.
 */
bool signing_knows_key(const char *signer);

#endif
