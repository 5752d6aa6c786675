// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "vm/lock.h"
#include "handover/restore.h"
#include "cmd/cmd.h"
#include "cmd/print.h"

/*
 * The disks that --force lists for this VM, or NULL. QEMU gives disks the same names in all
 * VMs, so --all takes VM:DISK. Caller frees.
 */
static char *restore_forced(const struct args *args, const char *vm)
{
	const char *force = arg(args, "force"), *prefix = fmt("%s:", vm);
	_cleanup_strv_ struct strv mine = { 0 };
	_cleanup_free_ char *copy = NULL;
	char *next, *word;

	if (!force || !arg(args, "all"))
		return force ? xstrdup(force) : NULL;
	next = copy = xstrdup(force);
	while ((word = strsep(&next, ",")))
		if (startswith(word, prefix))
			strv_push(&mine, word + strlen(prefix));
	return mine.n ? strv_join(&mine, ",") : NULL;
}

static int restore_check_force_word(const struct args *args, const struct strv *names,
				    char *word, struct err *err)
{
	char *colon = strchr(word, ':');

	if (!colon || colon == word || *word == '/' || !colon[1])
		return usage_value(args, err, "force", "with --all, disks are listed as VM:DISK, "
				   "because VMs have disks of the same name");
	*colon = '\0';
	if (strv_has(names, word))
		return 0;
	return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "--force", .value = word,
		    .why = "no VM of this name is sealed or held", .remedy = "'cpr-helper list'");
}

/* A disk that a VM does not have is found by restorable_check(). */
static int restore_check_force(const struct args *args, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	_cleanup_genl_ struct genl *genl = NULL;
	_cleanup_free_ char *copy = NULL;
	char *next, *word;
	int r;

	if (!arg(args, "force") || !arg(args, "all"))
		return 0;
	genl = genl_open(err);
	r = genl ? vm_names(genl, restore_wanted, &names, err) : -ENOENT;
	next = copy = xstrdup(arg(args, "force"));
	while (r == 0 && (word = strsep(&next, ",")))
		r = restore_check_force_word(args, &names, word, err);
	return r;
}

/* run_restore() has checked that --timeout is a number. */
static struct restore_opts restore_options(const struct args *args, const char *forced,
					   struct replace *replace)
{
	return (struct restore_opts){
		.replace = replace,
		.timeout = arg_seconds(args, "timeout", RESTORE_TIMEOUT_S, NULL),
		.forced = forced, .full = arg(args, "full"),
	};
}

static int restore_one(struct vm *vm, const struct args *args, struct json_object *result,
		       struct err *err)
{
	_cleanup_free_ char *forced = restore_forced(args, vm->name);
	_cleanup_free_ char *qemu = arg(args, "qemu") ? qemu_find_binary(arg(args, "qemu")) : NULL;
	_cleanup_(replace_free) struct replace replace = {
		.qemu = qemu, .paths = arg(args, "replace"),
	};
	struct restore_opts opts = restore_options(args, forced, &replace);

	vm->revoke = arg(args, "revoke");
	return restore_vm(vm, &opts, result, err);
}

static int restore_dry_run(struct vm *vm, const struct args *args, struct err *err)
{
	_cleanup_free_ char *forced = restore_forced(args, vm->name);
	_cleanup_free_ char *qemu = arg(args, "qemu") ? qemu_find_binary(arg(args, "qemu")) : NULL;
	_cleanup_(replace_free) struct replace replace = {
		.qemu = qemu, .paths = arg(args, "replace"),
	};
	struct restore_opts opts = restore_options(args, forced, &replace);

	return restore_check(vm, &opts, err);
}

static int restore_check_replace(const struct args *args, struct err *err)
{
	const char *qemu = arg(args, "qemu"), *paths = arg(args, "replace");
	_cleanup_free_ char *found = qemu ? qemu_find_binary(qemu) : NULL;

	if (qemu && !found)
		return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "QEMU binary",
			    .value = qemu, .why = "there is no such program",
			    .remedy = "give the path of one that is installed");
	if (paths && arg(args, "all"))
		return usage(args, err, "--replace is for one VM, not for --all");
	return paths ? replace_check(paths, err) : 0;
}

static int run_restore(const struct args *args, struct err *err)
{
	static const struct each each = {
		.want = restore_wanted, .one = restore_one, .print = print_restored,
		.check = restore_dry_run, .nothing = "no VM is sealed or held",
		.verb = "restored", .mount = true,
	};
	int host, r = restore_check_replace(args, err);

	if (r == 0)
		r = restore_check_force(args, err);
	if (r < 0)
		return r;
	host = args->dry_run ? -1 : host_lock(false, err);
	if (host < 0 && !args->dry_run)
		return host;
	r = for_each_vm(&each, args, err);
	if (host >= 0)
		close(host);
	return r;
}

const struct cmd cmd_restore = {
	.name = "restore",
	.synopsis = "NAME|--all [--timeout SECONDS] [--full] [--force [VM:]DISK,...] "
		    "[--qemu BINARY] [--replace OLD=NEW,...] [--revoke] [--jobs N]",
	.summary = "resume a saved guest, under this kernel",
	.opts = {
		{ "all", NULL, "every VM that is sealed or held" },
		{ "timeout", "SECONDS", "for QEMU to load the state (120)" },
		{ "full", NULL, "verify every page that the devices can reach" },
		{ "force", "DISK,...", "these may have changed since the save (--all: VM:DISK)" },
		{ "qemu", "BINARY", "start this QEMU, not the one that the VM was saved for" },
		{ "replace", "OLD=NEW,...", "a file or directory of the VM is elsewhere" },
		REVOKE_OPTION,
		JOBS_OPTION,
	},
	.examples = {
		"restore --all",
		"restore web1 --full",
		"restore web1 --force virtio0",
	},
	.max_args = 1,
	.dry_run = true,
	.run = run_restore,
};
