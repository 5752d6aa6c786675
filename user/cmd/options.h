/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words of a command line: options, their values, and the rest.
 *
 * As by getopt_long(3), with one difference: the name of an option must be given in full. An
 * abbreviation that is unique today means another option, or none, in the next version, and
 * must not be taken for "--force".
 */
#ifndef CPR_OPTIONS_H
#define CPR_OPTIONS_H

#include "cmd/cmd.h"

#define OPTION_SETS 3

/**
 * struct option_set - options, and what was given
 * @opts: the last one has no name
 * @values: in the order of @opts: the value, "" if the option takes none, or NULL if it was
 *	not given
 */
struct option_set {
	const struct opt *opts;
	const char **values;
};

/**
 * struct words - a command line to parse
 * @command: its name, for errors; NULL for the words before the command
 * @sets: the options that there are; unused ones have no @opts
 * @argv, @argc: the words; then those that are no options
 * @first: end at the first word that is no option
 */
struct words {
	const char *command;
	struct option_set sets[OPTION_SETS];
	char **argv;
	int argc;
	bool first;
};

/* Returns: 0; or -EINVAL with exit status 2. */
int options_parse(struct words *w, struct err *err);

#endif
