/* SPDX-License-Identifier: GPL-2.0-only */
/* A command of cpr-helper: what the main program knows of it, and what all commands share. */
#ifndef CPR_CMD_H
#define CPR_CMD_H

#include "base/error.h"
#include "base/out.h"
#include "vm/vm.h"

#define CMD_MAX_OPTS 24
#define CMD_MAX_EXAMPLES 5

/**
 * struct opt - an option of a command
 * @name: without dashes
 * @arg: name of its argument in the help; NULL if it has none
 * @help: one line
 * @letter: short form; 0 if it has none
 */
struct opt {
	const char *name;
	const char *arg;
	const char *help;
	char letter;
};

struct args;

/**
 * struct cmd - a command
 * @name: as the user types it
 * @synopsis: follows the name in the help; its first word is the one that is missing if the
 *	user gives too few
 * @summary: one line for the list of commands
 * @opts: the last one has no name
 * @examples: what can follow "cpr-helper", up to NULL
 * @min_args, @max_args: number of words beside the options; -1: no limit
 * @rest: the words after "--" belong to another program, and are required
 * @dry_run: the command has --dry-run
 * @run: returns 0, or a negative errno with @err filled in
 */
struct cmd {
	const char *name;
	const char *synopsis;
	const char *summary;
	struct opt opts[CMD_MAX_OPTS];
	const char *examples[CMD_MAX_EXAMPLES];
	int min_args;
	int max_args;
	bool rest;
	bool dry_run;
	int (*run)(const struct args *args, struct err *err);
};

/**
 * struct args - a parsed command line
 * @cmd: the command
 * @values: of the options, in the order of cmd->opts; NULL if the option was not given, ""
 *	if it has no argument
 * @argv, @argc: the other words
 * @rest, @nrest: the words after "--"
 * @dry_run: --dry-run was given
 */
struct args {
	const struct cmd *cmd;
	const char *values[CMD_MAX_OPTS];
	char *const *argv;
	int argc;
	char *const *rest;
	int nrest;
	bool dry_run;
};

/* The value of an option, as in struct args; NULL if the command has no such option. */
const char *arg(const struct args *args, const char *name);

extern const struct cmd cmd_abort, cmd_adopt, cmd_delete, cmd_device, cmd_format, cmd_help,
	cmd_inspect, cmd_list, cmd_restore, cmd_room, cmd_run, cmd_save, cmd_show, cmd_update,
	cmd_validate;

/* Fail for a wrong command line: -EINVAL, exit status 2. */
int usage(const struct args *args, struct err *err, const char *why);

/* The same for the value that an option was given; @name is the option's, without dashes. */
int usage_value(const struct args *args, struct err *err, const char *name, const char *why);

/**
 * struct each - a command that takes NAME or --all
 * @verb: past participle for a VM when it is done ("saved")
 * @want: whether --all includes a VM
 * @one: do it to one VM, and fill in @result
 * @print: print @result as text
 * @check: for --dry-run: whether @one would succeed; changes nothing
 * @nothing: the error if --all includes no VM
 * @mount: mount cprfs first if it is not mounted
 */
struct each {
	const char *verb;
	bool (*want)(const struct cpr_vm *vm);
	int (*one)(struct vm *vm, const struct args *args, struct json_object *result,
		   struct err *err);
	void (*print)(const char *name, struct json_object *result);
	int (*check)(struct vm *vm, const struct args *args, struct err *err);
	const char *nothing;
	bool mount;
};

/**
 * for_each_vm - run a command for NAME, or for all VMs that it wants
 *
 * With --all, several VMs at the same time; a failure does not stop the others. Prints the
 * results: JSON in the order of the names, text as each VM is done.
 *
 * Returns: 0; with NAME the error of that VM; with --all an error with exit status 6 if some
 * VMs failed, 1 if all did, 3 if no VM is wanted.
 */
int for_each_vm(const struct each *each, const struct args *args, struct err *err);

/*
 * Get the VM that the first word names; the caller frees @genl and @info in any case. Returns:
 * 0; -EINVAL with exit status 2 for an invalid name; or the error of genl_open() or genl_vm().
 */
int arg_vm(const struct args *args, struct genl **genl, struct cpr_vm *info, struct err *err);

/* The size that an option gives, in bytes, MiB without a unit; @size is untouched without it. */
int arg_size(const struct args *args, const char *name, uint64_t *size, struct err *err);

/* The seconds that an option gives, or @otherwise; negative, with @err filled in, if invalid. */
double arg_seconds(const struct args *args, const char *name, double otherwise, struct err *err);

/* Of the commands after which a VM must have no users. */
#define REVOKE_OPTION { "revoke", NULL, "take the VM's files from users that prevent this" }

/* --jobs; 0, for the default, without it; negative, with @err filled in, if invalid. */
#define JOBS_OPTION { "jobs", "N", "how many VMs at the same time (all, up to 8 for each CPU)", 'j' }
int arg_jobs(const struct args *args, struct err *err);

#endif
