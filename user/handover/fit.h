/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a state fits the QEMU that has to load it. An upgrade may have replaced the binary
 * that the guest's QEMU was started from, so the binary on disk is queried for its version,
 * machine types, devices and state descriptions.
 */
#ifndef CPR_FIT_H
#define CPR_FIT_H

#include "base/error.h"

/**
 * struct fit - the answers of a QEMU
 * @binary: its path
 * @version: as in the reply of query-version ("10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)")
 * @known: output of -dump-vmstate for the VM's machine type
 */
struct fit {
	char *binary;
	char *version;
	struct json_object *known;
};

#define _cleanup_fit_ _cleanup_(fit_free)

/**
 * fit_query - query a QEMU binary
 * @fit: free it with fit_free() in any case
 * @binary: its path
 * @manifest: of the VM, with its machine type and the devices in QEMU's arguments
 *
 * Changes nothing, and takes some seconds at most. Returns: 0; a refusal with exit status 4
 * if this QEMU is too old, or lacks the machine type or one of the devices; -EINTR on a
 * signal.
 */
int fit_query(struct fit *fit, const char *binary, struct json_object *manifest,
	      struct err *err);
void fit_free(struct fit *fit);

/**
 * fit_check - compare a state with the answers of a QEMU
 * @state: path of a state file that statefile_check() has accepted
 *
 * Returns: 0; a refusal with exit status 4 that names the first device that does not fit.
 * State that -dump-vmstate does not describe passes, see vmstate.h.
 */
int fit_check(const struct fit *fit, const char *state, struct err *err);

#endif
