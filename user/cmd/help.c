// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/similar.h"
#include "cmd/help.h"

#define COLUMNS 79
#define LEFT 18		/* width of the column with the options */

static const struct cmd *const commands[] = {
	&cmd_format, &cmd_inspect, &cmd_run, &cmd_adopt, &cmd_list, &cmd_show, &cmd_room, &cmd_save,
	&cmd_abort, &cmd_update, &cmd_restore, &cmd_delete, &cmd_device, &cmd_validate, &cmd_help,
};

/* What other programs, and earlier versions of this one, call a command. */
static const struct { const char *name, *here; } elsewhere[] = {
	{ "kexec", "update" }, { "upgrade", "update" }, { "start", "run" }, { "create", "run" },
	{ "ls", "list" }, { "status", "show" }, { "info", "show" }, { "rm", "delete" },
	{ "remove", "delete" }, { "destroy", "delete" }, { "rollback", "abort" },
	{ "resume", "restore" }, { "load", "restore" }, { "suspend", "save" }, { "fsck", "inspect" },
	{ "check", "validate" },
};

const struct opt common_opts[] = {
	[COMMON_JSON] = { "json", NULL, "print the result as JSON, in version 1 of its form" },
	[COMMON_VERBOSE] = { "verbose", NULL, "print more details", 'v' },
	[COMMON_HELP] = { "help", NULL, "print this help", 'h' },
	{ 0 },
};

const struct opt main_opts[] = {
	[MAIN_VERSION] = { "version", NULL, "print the version" },
#ifdef CPR_FAULTS
	[MAIN_FAULT_POINTS] = { "fault-points", NULL, "print the names of the fault points" },
#endif
	{ 0 },
};

const struct opt dry_run_opts[] = {
	{ .name = "dry-run", .help = "only print what would be done" },
	{ 0 },
};

static const char *command_meant(const char *name)
{
	_cleanup_strv_ struct strv names = { 0 };
	const char *meant;

	for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++)
		if (streq(elsewhere[i].name, name))
			return elsewhere[i].here;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		strv_push(&names, commands[i]->name);
	meant = similar(name, &names);
	return meant ? fmt("%s", meant) : NULL;
}

const struct cmd *command_find(const char *name, struct err *err)
{
	const char *meant;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (streq(commands[i]->name, name))
			return commands[i];
	meant = command_meant(name);
	fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "command", .value = name,
	     .why = "there is no such command", .remedy = meant ? fmt("did you mean %s?", meant) :
	     "'cpr-helper help' lists them");
	return NULL;
}

/* An option that does not fit into its column has its help on the next line. */
static void print_opts(const struct opt *opts)
{
	for (const struct opt *o = opts; o->name; o++) {
		const char *letter = o->letter ? fmt("-%c, ", o->letter) : "";
		const char *left = fmt("%s--%s%s%s", letter, o->name, o->arg ? " " : "",
				       o->arg ? o->arg : "");

		if (strlen(left) > LEFT)
			printf("  %s\n  %*s %s\n", left, LEFT, "", o->help);
		else
			printf("  %-*s %s\n", LEFT, left, o->help);
	}
}

void help_print(void)
{
	printf("Usage: cpr-helper [--json] [-v] COMMAND [ARGUMENT...]\n\n"
	       "VMs survive a host kernel update: their memory stays where it is.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	printf("\nOptions:\n");
	print_opts(common_opts);
	print_opts(main_opts);
	printf("\nExamples:\n"
	       "  cpr-helper run web1 --ram 4G -- qemu-system-x86_64 -M q35,accel=kvm\n"
	       "  cpr-helper update --kernel 7.3.4+deb13-amd64 --dry-run\n"
	       "  cpr-helper restore --all\n\n"
	       "'cpr-helper help COMMAND' shows more. Exit status: 0 done, 1 failed, 2 wrong\n"
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
		if (column + 1 + (next - part) > COLUMNS)
			column = printf("\n%*s", indent, "") - 1;
		column += printf(" %.*s", (int)(next - part) - (*next != '\0'), part);
	}
	putchar('\n');
}

void help_print_command(const struct cmd *cmd)
{
	print_synopsis(cmd);
	printf("\n%c%s.\n\nOptions:\n", cmd->summary[0] - 'a' + 'A', cmd->summary + 1);
	print_opts(cmd->opts);
	if (cmd->dry_run)
		print_opts(dry_run_opts);
	print_opts(common_opts);
	printf("\nExample%s:\n", cmd->examples[1] ? "s" : "");
	for (const char *const *example = cmd->examples; *example; example++)
		printf("  cpr-helper %s\n", *example);
}

static int run_help(const struct args *args, struct err *err)
{
	const struct cmd *cmd = args->argc ? command_find(args->argv[0], err) : NULL;

	if (cmd)
		help_print_command(cmd);
	else if (!args->argc)
		help_print();
	return args->argc && !cmd ? -EINVAL : 0;
}

const struct cmd cmd_help = {
	.name = "help",
	.synopsis = "[COMMAND]",
	.summary = "print this help, or that of a command",
	.examples = { "help", "help update" },
	.max_args = 1,
	.run = run_help,
};
