/* SPDX-License-Identifier: GPL-2.0-only */
/* The options of save, which update has as well. */
#ifndef CPR_SAVEOPTS_H
#define CPR_SAVEOPTS_H

#include "handover/save.h"
#include "cmd/cmd.h"

/**
 * save_options - read the options of a save from the command line
 * @opts: free it with save_options_free(); options that the command lacks are left out
 *
 * Returns: 0; -EINVAL with exit status 2; -ENOENT with exit status 3 if --qemu names no
 * program.
 */
int save_options(const struct args *args, struct save_opts *opts, struct err *err);
void save_options_free(struct save_opts *opts);
#define _cleanup_save_opts_ _cleanup_(save_options_free)

#endif
