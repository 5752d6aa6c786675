/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stands in the way of a save, found out while the guest runs: nothing of it or
 * on disk is changed by looking, and in QEMU only what a killed save has left there.
 */
#ifndef CPR_SAVABLE_H
#define CPR_SAVABLE_H

#include "handover/proof.h"
#include "cmd/cmd.h"

/**
 * struct savable - what a save needs to know beforehand
 * @runstate: of the guest; "postmigrate": of one that was paused, saved and aborted
 * @previous: QEMU's settings that a save changes, as their owner made them
 * @disks: as disks_inspect() makes it
 * @copy: where RAM goes in copy mode
 * @proof: what the state will be held against; without a deadline
 */
struct savable {
	char *runstate;
	struct json_object *previous;
	struct json_object *disks;
	struct copy_plan copy;
	struct proof proof;
};

void savable_free(struct savable *s);
#define _cleanup_savable_ _cleanup_(savable_free)

/**
 * savable_learn - see that a VM can be saved
 * @vm: gets its manifest and its QEMU; "target" is set in that manifest, in memory only
 *
 * Returns: 0; or an error that says what is in the way, mostly with exit status 4 or 5.
 */
int savable_learn(struct vm *vm, const struct save_opts *opts, struct savable *s,
		  struct err *err);

/**
 * save_options - what the command line says of saving
 * @opts: end with save_options_free(); options that the command lacks are not set
 *
 * Returns: 0; -EINVAL (exit 2), or -ENOENT (exit 3) if --qemu is no program.
 */
int save_options(const struct args *args, struct save_opts *opts, struct err *err);
void save_options_free(struct save_opts *opts);
#define _cleanup_save_opts_ _cleanup_(save_options_free)

#endif
