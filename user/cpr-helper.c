// SPDX-License-Identifier: GPL-2.0-only
/* cpr-helper: VMs survive a host kernel update. Options, commands, exit status. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/faultpoint.h"
#include "base/interrupt.h"
#include "cmd/cmd.h"
#include "cmd/options.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

static const struct cmd *const commands[] = {
	&cmd_format, &cmd_inspect, &cmd_run, &cmd_adopt, &cmd_list, &cmd_show, &cmd_save, &cmd_abort,
	&cmd_update, &cmd_restore, &cmd_delete, &cmd_validate,
};

/* Options that all commands have. */
enum { JSON, VERBOSE, HELP };

static const struct opt common_opts[] = {
	[JSON] = { "json", NULL, "print the result as JSON, in version 1 of its form" },
	[VERBOSE] = { "verbose", NULL, "print more details", 'v' },
	[HELP] = { "help", NULL, "print this help", 'h' },
	{ 0 },
};

/* Options before the command. */
enum { SHOW_VERSION, FAULT_POINTS };

static const struct opt main_opts[] = {
	[SHOW_VERSION] = { "version", NULL, "print the version" },
#ifdef CPR_FAULTS
	[FAULT_POINTS] = { "fault-points", NULL, "print the names of the fault points" },
#endif
	{ 0 },
};

static const struct opt dry_run_opts[] = {
	{ .name = "dry-run", .help = "only print what would be done" },
	{ 0 },
};

#define HELP_COLUMNS 79
#define HELP_LEFT 18	/* width of the column with the options */

/* An option that does not fit into its column has its help on the next line. */
static void print_opts(const struct opt *opts)
{
	for (const struct opt *o = opts; o->name; o++) {
		const char *letter = o->letter ? fmt("-%c, ", o->letter) : "";
		const char *left = fmt("%s--%s%s%s", letter, o->name, o->arg ? " " : "",
				       o->arg ? o->arg : "");

		if (strlen(left) > HELP_LEFT)
			printf("  %s\n  %*s %s\n", left, HELP_LEFT, "", o->help);
		else
			printf("  %-*s %s\n", HELP_LEFT, left, o->help);
	}
}

static void print_help(void)
{
	printf("Usage: cpr-helper [--json] [-v] COMMAND [ARGUMENT...]\n\n"
	       "VMs survive a host kernel update: their memory stays where it is.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	printf("\nOptions:\n");
	print_opts(common_opts);
	print_opts(main_opts);
	printf("\n'cpr-helper COMMAND --help' shows more. Exit status: 0 done, 1 failed, 2 wrong\n"
	       "usage, 3 not found or nothing to do, 4 refused before anything was changed,\n"
	       "5 busy or in another state, 6 partly done.\n");
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

static void print_cmd_help(const struct cmd *cmd)
{
	print_synopsis(cmd);
	printf("\n%c%s.\n\nOptions:\n", cmd->summary[0] - 'a' + 'A', cmd->summary + 1);
	print_opts(cmd->opts);
	if (cmd->dry_run)
		print_opts(dry_run_opts);
	print_opts(common_opts);
}

/* Cut the words after "--" off the command line. */
static int split_rest(struct args *args, int *argc, char **argv, struct err *err)
{
	for (int i = 0; i < *argc; i++)
		if (streq(argv[i], "--")) {
			args->rest = argv + i + 1;
			args->nrest = *argc - i - 1;
			*argc = i;
			return args->nrest ? 0 : usage(args, err, "nothing follows the --");
		}
	return usage(args, err, "the -- before QEMU's command line is missing");
}

/* The first word of the synopsis is the one that the command cannot do without. */
static int count_words(const struct args *args, struct err *err)
{
	const struct cmd *cmd = args->cmd;
	const char *word = fmt("%.*s", (int)strcspn(cmd->synopsis, " |["), cmd->synopsis);

	if (args->argc < cmd->min_args)
		return usage(args, err, fmt("%s is missing", word));
	if (cmd->max_args < 0 || args->argc <= cmd->max_args)
		return 0;
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = fmt("%s: word", cmd->name),
		    .value = args->argv[cmd->max_args], .why = cmd->max_args ?
		    "the command takes one word beside its options" :
		    "the command takes nothing but options",
		    .remedy = fmt("'cpr-helper %s --help'", cmd->name));
}

static void use_common(const char *const *values)
{
	out_json |= values[JSON] != NULL;
	out_verbose |= values[VERBOSE] != NULL;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc && !streq(argv[i], "--"); i++)
		if (streq(argv[i], "--help") || streq(argv[i], "-h"))
			return true;
	return false;
}

/* @argv: the words after the command. Returns: 0, 1 if the user wants the help, or an error. */
static int parse_command(struct args *args, int argc, char **argv, struct err *err)
{
	const char *common[ARRAY_SIZE(common_opts)] = { 0 }, *dry[ARRAY_SIZE(dry_run_opts)] = { 0 };
	struct words words = {
		.command = args->cmd->name, .argv = argv, .sets = {
			{ args->cmd->opts, args->values }, { common_opts, common },
			{ args->cmd->dry_run ? dry_run_opts : NULL, dry },
		},
	};
	int r;

	if (wants_help(argc, argv))
		return 1;
	r = args->cmd->rest ? split_rest(args, &argc, argv, err) : 0;
	words.argc = argc;
	if (r == 0)
		r = options_parse(&words, err);
	if (r < 0)
		return r;
	use_common(common);
	args->dry_run = dry[0];
	args->argv = words.argv;
	args->argc = words.argc;
	return count_words(args, err);
}

/*
 * The options before the command. Returns: 1, with @words->argv at the command, 0 if there is
 * nothing left to do, or an error.
 */
static int parse_globals(struct words *words, struct err *err)
{
	const char *common[ARRAY_SIZE(common_opts)] = { 0 }, *own[FAULT_POINTS + 1] = { 0 };
	int r;

	words->sets[0] = (struct option_set){ common_opts, common };
	words->sets[1] = (struct option_set){ main_opts, own };
	r = options_parse(words, err);
	if (r < 0)
		return r;
	use_common(common);
	if (common[HELP])
		print_help();
	else if (own[SHOW_VERSION])
		puts("cpr-helper " VERSION);
#ifdef CPR_FAULTS
	else if (own[FAULT_POINTS])
		faultpoint_list();
#endif
	if (common[HELP] || own[SHOW_VERSION] || own[FAULT_POINTS])
		return 0;
	if (words->argc)
		return 1;
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
	struct words words = { .argv = argv + 1, .argc = argc - 1, .first = true };
	struct args args = { 0 };
	int r = parse_globals(&words, err);

	if (r <= 0)
		return r;
	args.cmd = find_command(words.argv[0], err);
	if (!args.cmd)
		return -EINVAL;
	r = parse_command(&args, words.argc - 1, words.argv + 1, err);
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

	out_json = wants_json(argc, argv);
	interrupt_init();
	if (faultpoint_init(&err) == 0 && run_command(argc, argv, &err) >= 0 && fflush(stdout) == 0)
		return CPR_EXIT_OK;
	if (!err.set)
		fail(&err, -EIO, .what = "output", .why = "cannot be written");
	print_error(&err, out_printed);
	return err.exit;
}
