// SPDX-License-Identifier: GPL-2.0-only
/* cpr-helper: VMs survive a host kernel update. The command line, and the exit status. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/faultpoint.h"
#include "base/interrupt.h"
#include "cmd/help.h"
#include "cmd/options.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

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
	out_json |= values[COMMON_JSON] != NULL;
	out_verbose |= values[COMMON_VERBOSE] != NULL;
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
	const char *common[COMMON_OPTS] = { 0 }, *dry_run = NULL;
	struct words words = {
		.command = args->cmd->name, .argv = argv, .sets = {
			{ args->cmd->opts, args->values }, { common_opts, common },
			{ args->cmd->dry_run ? dry_run_opts : NULL, &dry_run },
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
	args->dry_run = dry_run;
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
	const char *common[COMMON_OPTS] = { 0 }, *own[MAIN_OPTS] = { 0 };
	int r;

	words->sets[0] = (struct option_set){ common_opts, common };
	words->sets[1] = (struct option_set){ main_opts, own };
	r = options_parse(words, err);
	if (r < 0)
		return r;
	use_common(common);
	if (common[COMMON_HELP])
		help_print();
	else if (own[MAIN_VERSION])
		puts("cpr-helper " VERSION);
#ifdef CPR_FAULTS
	else if (own[MAIN_FAULT_POINTS])
		faultpoint_list();
#endif
	if (common[COMMON_HELP] || own[MAIN_VERSION] || own[MAIN_FAULT_POINTS])
		return 0;
	if (words->argc)
		return 1;
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "command", .why = "none given",
		    .remedy = "'cpr-helper --help'");
}

static int run_command(int argc, char **argv, struct err *err)
{
	struct words words = { .argv = argv + 1, .argc = argc - 1, .first = true };
	struct args args = { 0 };
	int r = parse_globals(&words, err);

	if (r <= 0)
		return r;
	args.cmd = command_find(words.argv[0], err);
	if (!args.cmd)
		return -EINVAL;
	r = parse_command(&args, words.argc - 1, words.argv + 1, err);
	if (r > 0) {
		help_print_command(args.cmd);
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
