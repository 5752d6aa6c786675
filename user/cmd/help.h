/* SPDX-License-Identifier: GPL-2.0-only */
/* The help of cpr-helper and of its commands. */
#ifndef CPR_HELP_H
#define CPR_HELP_H

#include "cmd/cmd.h"

/* Options that all commands have. */
enum { COMMON_JSON, COMMON_VERBOSE, COMMON_HELP, COMMON_OPTS };

/* Options before the command, beside the common ones. */
enum { MAIN_VERSION, MAIN_FAULT_POINTS, MAIN_OPTS };

extern const struct opt common_opts[], main_opts[], dry_run_opts[];

/* NULL, with @err filled in, if there is no such command. */
const struct cmd *command_find(const char *name, struct err *err);

void help_print(void);
void help_print_command(const struct cmd *cmd);

#endif
