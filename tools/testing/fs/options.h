/* SPDX-License-Identifier: GPL-2.0-only */
/**
 * DOC: Options of the testers
 *
 * A tester has options and one argument, the file or the directory to try. Each option is a
 * line of a table that says where its value goes.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>

/**
 * struct tester_option - an option, which has one of the places
 * @name: without the dashes; NULL ends the table
 * @number: for a number
 * @text: for a text
 * @flag: set to true; the option takes no value
 */
struct tester_option {
	const char *name;
	unsigned long *number;
	const char **text;
	bool *flag;
};

#define TESTER_OPTIONS	8

/* Returns the argument; exits with 2 if the command line is wrong. */
static inline const char *tester_options(int argc, char **argv, const struct tester_option *table)
{
	struct option options[TESTER_OPTIONS + 1] = { 0 };
	int c;

	for (int i = 0; i < TESTER_OPTIONS && table[i].name; i++)
		options[i] = (struct option){ table[i].name, !table[i].flag, NULL, i };
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			exit(2);
		if (table[c].number)
			*table[c].number = strtoul(optarg, NULL, 0);
		else if (table[c].text)
			*table[c].text = optarg;
		else
			*table[c].flag = true;
	}
	if (optind != argc - 1)
		exit(2);
	return argv[optind];
}

#endif /* OPTIONS_H */
