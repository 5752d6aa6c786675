/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's command line for a rehearsal: the same machine, and nothing that the world
 * outside could notice. Pure.
 */
#ifndef CPR_REHEARSALARGS_H
#define CPR_REHEARSALARGS_H

#include "base/util.h"

/**
 * struct rehearsal_plan - what to start
 * @argv: arguments, without the program's name
 * @netless: only where there is no network but its own
 * @note: why there cannot be a rehearsal, or NULL
 */
struct rehearsal_plan {
	struct strv argv;
	bool netless;
	char *note;
};

/**
 * rehearsal_plan - what becomes of a command line
 * @argv: QEMU's arguments, as the manifest has them
 *
 * Guest memory becomes a private mapping of its file, which is opened for reading
 * only. What connects, listens or writes somewhere becomes something of the same name
 * that does not. Where the guest's devices could notice the difference, and for each
 * option that is not known, there is a note instead.
 */
void rehearsal_plan(const struct strv *argv, struct rehearsal_plan *plan);
void rehearsal_plan_free(struct rehearsal_plan *plan);
#define _cleanup_rehearsal_plan_ _cleanup_(rehearsal_plan_free)

/* Whether opening a block node of this kind once more is only reading, here. */
bool rehearsal_opens(const char *block_driver);

#endif
