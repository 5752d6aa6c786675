/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's command line for a rehearsal: the same machine, with nothing that is visible
 * outside of QEMU.
 */
#ifndef CPR_REHEARSALARGS_H
#define CPR_REHEARSALARGS_H

#include "qemu/qemuopt.h"

/**
 * struct rehearsal_plan - what to start
 * @argv: arguments, without the program's name
 * @netless: QEMU must be started in a network namespace of its own
 * @note: why there cannot be a rehearsal, or NULL
 */
struct rehearsal_plan {
	struct strv argv;
	bool netless;
	char *note;
};

/**
 * rehearsal_plan - compose the command line of a rehearsal
 * @opts: QEMU's arguments, as in the manifest
 *
 * Guest memory becomes a private mapping of its file, which is opened read-only. Options
 * that connect, listen or write to the outside become inert ones of the same name. If the
 * guest's devices could notice the difference, or if an option is not known, @plan has a
 * note instead.
 */
void rehearsal_plan(const struct qemuopts *opts, struct rehearsal_plan *plan);
void rehearsal_plan_free(struct rehearsal_plan *plan);
#define _cleanup_rehearsal_plan_ _cleanup_(rehearsal_plan_free)

/* Whether a rehearsal only reads from a block node of this driver. */
bool rehearsal_opens(const char *block_driver);

/* For the table of options. */
qemuopt_rehearse_fn rehearsal_audiodev, rehearsal_chardev, rehearsal_device, rehearsal_drop,
		    rehearsal_fs, rehearsal_icount, rehearsal_keep, rehearsal_net,
		    rehearsal_netdev, rehearsal_none, rehearsal_object, rehearsal_serial,
		    rehearsal_set, rehearsal_usbdevice, rehearsal_vga;

#endif
