/* SPDX-License-Identifier: GPL-2.0-only */
/* The commands: what the main program needs of them, and the main program's services to them. */
#ifndef CPR_CMD_H
#define CPR_CMD_H

#include "base/error.h"
#include "base/out.h"
#include "vm/vm.h"

#define CMD_MAX_OPTS 16

/**
 * struct opt - an option of a command
 * @name: without dashes
 * @arg: what its argument is called in the help; NULL if it takes none
 * @help: one line
 * @letter: short form; 0 without
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
 * @name: as it is typed
 * @synopsis: what follows the name; its first word is what must not be missing
 * @summary: one line, for the list of commands
 * @opts: ended by one without a name
 * @min_args, @max_args: how many words it takes beside its options; -1: no limit
 * @rest: words after "--" belong to another program, and there must be some
 * @dry_run: it takes --dry-run
 * @run: returns 0, or a negative errno with @err filled in
 */
struct cmd {
	const char *name;
	const char *synopsis;
	const char *summary;
	struct opt opts[CMD_MAX_OPTS];
	int min_args;
	int max_args;
	bool rest;
	bool dry_run;
	int (*run)(const struct args *args, struct err *err);
};

/**
 * struct args - a command line that was understood
 * @values: of the options, in the order of cmd->opts; NULL if not given, "" if
 *	given without argument
 * @argv: the other words
 * @rest: words after "--"
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

/* Value of an option of the command; see struct args. */
const char *arg(const struct args *args, const char *name);

extern const struct cmd cmd_abort, cmd_adopt, cmd_delete, cmd_format, cmd_inspect, cmd_list,
	cmd_restore, cmd_run, cmd_save, cmd_show, cmd_update, cmd_validate;

/* A wrong command line: -EINVAL, exit status 2. */
int usage(const struct args *args, struct err *err, const char *why, const char *value);

/* The NAME or --all of a command; with --all several VMs at the same time. */
struct each {
	const char *verb;	/* "saved": what was done to a VM */
	bool (*want)(const struct cpr_vm *vm);
	int (*one)(struct vm *vm, const struct args *args, struct json_object *result,
		   struct err *err);
	/* text for @result, on stdout */
	void (*print)(const char *name, struct json_object *result);
	/* for --dry-run: whether @one would do it; changes nothing */
	int (*check)(struct vm *vm, const struct args *args, struct err *err);
	const char *nothing;	/* with --all, when no VM is wanted */
	bool mount;		/* mount cprfs if nobody has yet */
};

/**
 * for_each_vm - do something to NAME, or to all VMs that want it
 *
 * One failure does not stop the others. Prints the results, in the order of names.
 *
 * Returns: 0; with NAME that VM's error; with --all exit status 6 if some
 * failed and some did not, 1 if all did, 3 if there was none.
 */
int for_each_vm(const struct each *each, const struct args *args, struct err *err);

/* Seconds of --timeout, or @otherwise; negative (with @err) if it is no number. */
double arg_timeout(const struct args *args, double otherwise, struct err *err);

/* How many VMs at the same time: --jobs; negative (with @err) if it is none. */
#define JOBS_OPTION { "jobs", "N", "how many VMs at the same time (one for each CPU)", 'j' }
int arg_jobs(const struct args *args, struct err *err);

#endif
