// SPDX-License-Identifier: GPL-2.0-only
/* cpr-helper: VMs survive a host kernel update. Options, commands, exit status. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "base/faultpoint.h"
#include "base/interrupt.h"
#include "cmd/cmd.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

static const struct cmd *const commands[] = {
	&cmd_format, &cmd_inspect, &cmd_run, &cmd_adopt, &cmd_list, &cmd_show, &cmd_save, &cmd_abort,
	&cmd_update, &cmd_restore, &cmd_delete, &cmd_validate,
};

/* Values above all letters. */
enum { OPT_JSON = 256, OPT_DRY_RUN, OPT_HELP, OPT_VERSION, OPT_VERBOSE, OPT_FAULTS, OPT_OWN };

static const struct option globals[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
#ifdef CPR_FAULTS
	{ "fault-points", no_argument, NULL, OPT_FAULTS },
#endif
	{ 0 },
};

#define HELP_COLUMNS 79
#define HELP_LEFT 18	/* width of the column with the options */

static const char global_help[] =
	"  --json             print JSON, of version 1\n"
	"  -v, --verbose      print more details\n"
	"  -h, --help         print this help\n";

static void print_help(void)
{
	printf("Usage: cpr-helper [--json] [-v] COMMAND [ARGUMENT...]\n\n"
	       "VMs survive a host kernel update: their memory stays where it is.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	printf("\nOptions:\n%s  --version          print the version\n\n"
	       "'cpr-helper COMMAND --help' shows more. Exit status: 0 done, 1 failed, 2 wrong\n"
	       "usage, 3 not found or nothing to do, 4 refused before anything was changed,\n"
	       "5 busy or in another state, 6 partly done.\n", global_help);
}

/* Wrapped at the width of a terminal, before a "[". */
static void print_synopsis(const struct cmd *cmd)
{
	int indent = printf("Usage: cpr-helper %s", cmd->name), column = indent;

	for (const char *part = cmd->synopsis, *next; *part; part = next) {
		next = strstr(part, " [");
		next = next ? next + 1 : part + strlen(part);
		if (column + 1 + (next - part) > HELP_COLUMNS)
			column = printf("\n%*s", indent, "") - 1;
		column += printf(" %.*s", (int)(next - part) - (*next != '\0'), part);
	}
	putchar('\n');
}

/* An option that does not fit into its column has its help on the next line. */
static void print_opt(const struct opt *o)
{
	const char *letter = o->letter ? fmt("-%c, ", o->letter) : "";
	const char *left = fmt("%s--%s%s%s", letter, o->name, o->arg ? " " : "",
			       o->arg ? o->arg : "");

	if (strlen(left) > HELP_LEFT)
		printf("  %s\n  %*s %s\n", left, HELP_LEFT, "", o->help);
	else
		printf("  %-*s %s\n", HELP_LEFT, left, o->help);
}

static void print_cmd_help(const struct cmd *cmd)
{
	print_synopsis(cmd);
	printf("\n%c%s.\n\nOptions:\n", cmd->summary[0] - 'a' + 'A', cmd->summary + 1);
	for (const struct opt *o = cmd->opts; o->name; o++)
		print_opt(o);
	if (cmd->dry_run)
		printf("  --dry-run          only print what would be done\n");
	fputs(global_help, stdout);
}

/* @letters: the short options, with room for two bytes each. */
static void make_options(const struct cmd *cmd, struct option *out, char *letters)
{
	size_t n = 0;

	letters = stpcpy(letters, ":vh");
	for (size_t i = 0; globals[i].name; i++)
		if (globals[i].val != OPT_VERSION && globals[i].val != OPT_FAULTS &&
		    (globals[i].val != OPT_DRY_RUN || cmd->dry_run))
			out[n++] = globals[i];
	for (size_t i = 0; cmd->opts[i].name; i++) {
		const struct opt *o = &cmd->opts[i];

		out[n++] = (struct option){ o->name, o->arg ? required_argument : no_argument, NULL,
					    OPT_OWN + i };
		if (o->letter)
			letters = stpcpy(letters, (char[]){ o->letter, o->arg ? ':' : '\0', '\0' });
	}
}

/* Index of the command's option that getopt has found, or -1. */
static int own_option(const struct cmd *cmd, int c)
{
	if (c >= OPT_OWN && c < OPT_OWN + CMD_MAX_OPTS)
		return c - OPT_OWN;
	for (int i = 0; cmd->opts[i].name; i++)
		if (cmd->opts[i].letter && cmd->opts[i].letter == c)
			return i;
	return -1;
}

/* Cut the words after "--" off the command line. */
static int split_rest(struct args *args, int *argc, char **argv, struct err *err)
{
	for (int i = 1; i < *argc; i++)
		if (streq(argv[i], "--")) {
			args->rest = argv + i + 1;
			args->nrest = *argc - i - 1;
			*argc = i;
			return args->nrest ? 0 : usage(args, err, "nothing follows the --", NULL);
		}
	return usage(args, err, "the -- before QEMU's command line is missing", NULL);
}

static int wrong_option(const struct args *args, char **argv, int opt, struct err *err)
{
	const char *word = argv[optind - 1];

	if (opt == ':')
		return usage(args, err, "the option needs a value", word);
	return usage(args, err, "there is no such option",
		     optopt > ' ' && optopt < OPT_JSON ? fmt("-%c", optopt) : word);
}

static int count_words(const struct args *args, struct err *err)
{
	if (args->argc < args->cmd->min_args)
		return usage(args, err, fmt("%.*s is missing", (int)strcspn(args->cmd->synopsis, " |"),
					    args->cmd->synopsis), NULL);
	if (args->cmd->max_args >= 0 && args->argc > args->cmd->max_args)
		return usage(args, err, "too many words", args->argv[args->cmd->max_args]);
	return 0;
}

/* Returns: 0, 1 if the user wants the help, or an error. */
static int parse_command(struct args *args, int argc, char **argv, struct err *err)
{
	struct option options[ARRAY_SIZE(globals) + CMD_MAX_OPTS] = { 0 };
	char letters[4 + 2 * CMD_MAX_OPTS];
	bool help = false;
	int c, r;

	make_options(args->cmd, options, letters);
	for (int i = 1; i < argc && !streq(argv[i], "--"); i++)
		help |= streq(argv[i], "--help") || streq(argv[i], "-h");
	if (help)
		return 1;
	r = args->cmd->rest ? split_rest(args, &argc, argv, err) : 0;
	if (r < 0)
		return r;
	optind = 0;
	while ((c = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (c == OPT_JSON)
			out_json = true;
		else if (c == OPT_DRY_RUN)
			args->dry_run = true;
		else if (c == OPT_VERBOSE || c == 'v')
			out_verbose = true;
		else if (own_option(args->cmd, c) >= 0)
			args->values[own_option(args->cmd, c)] = optarg ? optarg : "";
		else
			return wrong_option(args, argv, c, err);
	}
	args->argv = argv + optind;
	args->argc = argc - optind;
	return count_words(args, err);
}

/*
 * The options before the command. Returns: the index of the command, 0 if there is nothing
 * left to do, or an error.
 */
static int parse_globals(int argc, char **argv, struct err *err)
{
	int c;

	while ((c = getopt_long(argc, argv, "+:vh", globals, NULL)) != -1) {
		if (c == OPT_JSON)
			out_json = true;
		else if (c == OPT_VERBOSE || c == 'v')
			out_verbose = true;
		else if (c == OPT_VERSION)
			puts("cpr-helper " VERSION);
		else if (c == OPT_HELP || c == 'h')
			print_help();
#ifdef CPR_FAULTS
		else if (c == OPT_FAULTS)
			faultpoint_list();
#endif
		else
			return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "option",
				    .value = argv[optind - 1],
				    .why = "there is no such option before the command",
				    .remedy = "'cpr-helper --help'");
		if (c == OPT_VERSION || c == OPT_HELP || c == 'h' || c == OPT_FAULTS)
			return 0;
	}
	if (optind < argc)
		return optind;
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "command", .why = "none given",
		    .remedy = "'cpr-helper --help'");
}

static const struct cmd *find_command(const char *name, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (streq(commands[i]->name, name))
			return commands[i];
	fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "command", .value = name,
	     .why = "there is no such command", .remedy = "'cpr-helper --help' lists them");
	return NULL;
}

static int run_command(int argc, char **argv, struct err *err)
{
	struct args args = { 0 };
	int r = parse_globals(argc, argv, err);

	if (r <= 0)
		return r;
	args.cmd = find_command(argv[r], err);
	if (!args.cmd)
		return -EINVAL;
	r = parse_command(&args, argc - r, argv + r, err);
	if (r > 0) {
		print_cmd_help(args.cmd);
		return 0;
	}
	return r < 0 ? r : args.cmd->run(&args, err);
}

/* Known before the options are parsed, so that an error about them is printed as JSON. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && !streq(argv[i], "--"); i++)
		if (streq(argv[i], "--json"))
			return true;
	return false;
}

static void print_error(const struct err *err, bool printed)
{
	struct json_object *out;

	err_print(err, NULL);
	if (!out_json || printed)
		return;
	out = json_object_new_object();
	jset(out, "error", err_json(err));
	out_object(out);
}

int main(int argc, char **argv)
{
	_cleanup_err_ struct err err = { 0 };

	opterr = 0;
	out_json = wants_json(argc, argv);
	interrupt_init();
	if (faultpoint_init(&err) == 0 && run_command(argc, argv, &err) >= 0 && fflush(stdout) == 0)
		return CPR_EXIT_OK;
	if (!err.set)
		fail(&err, -EIO, .what = "output", .why = "cannot be written");
	print_error(&err, out_printed);
	return err.exit;
}
