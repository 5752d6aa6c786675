/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The QEMU that is to load a guest's state, as it is on disk now: an upgrade may have
 * replaced it under a guest that runs. What it is, and whether the state fits it, is
 * asked of it itself, with all of its words, before anything is given up.
 */
#ifndef CPR_FIT_H
#define CPR_FIT_H

#include "base/error.h"

/**
 * struct fit - a QEMU that may load a state
 * @binary: its path
 * @version: as query-version tells it ("10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)")
 * @known: its -dump-vmstate for the machine type
 */
struct fit {
	char *binary;
	char *version;
	struct json_object *known;
};

#define _cleanup_fit_ _cleanup_(fit_free)

/**
 * fit_learn - ask a QEMU what it knows
 * @binary: its path
 * @manifest: of the VM: its machine type, and the devices on QEMU's command line
 *
 * Changes nothing, and takes no longer than some seconds. Returns: 0; a refusal with
 * exit status 4 if this QEMU is too old, or does not know the machine type or one of
 * the devices; -EINTR on a signal. Free it with fit_free() in any case.
 */
int fit_query(struct fit *fit, const char *binary, struct json_object *manifest,
	      struct err *err);
void fit_free(struct fit *fit);

/**
 * fit_check - hold a state against it
 * @state: path of a state file that statefile_check() has accepted
 *
 * Returns: 0, or a refusal with exit status 4 that names the first device that does
 * not fit. What QEMU does not tell beforehand is let pass, see vmstate.h.
 */
int fit_check(const struct fit *fit, const char *state, struct err *err);

#endif
