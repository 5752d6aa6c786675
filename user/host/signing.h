/* SPDX-License-Identifier: GPL-2.0-only */
/* Kernels that load signed code only: which ones do, and which keys they know. */
#ifndef CPR_SIGNING_H
#define CPR_SIGNING_H

#include <stdbool.h>

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

/*
 * Whether the running kernel has a key of this name. A key of the firmware, of a machine
 * owner too, is also known to the next kernel; one that is built in need not be.
 */
bool signing_knows_key(const char *signer);

#endif
