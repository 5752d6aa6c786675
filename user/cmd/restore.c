// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "vm/lock.h"
#include "handover/restore.h"
#include "cmd/cmd.h"
#include "cmd/print.h"

/* run_restore() has checked that --timeout is a number. */
static struct restore_opts restore_options(const struct args *args)
{
	return (struct restore_opts){
		.timeout = arg_timeout(args, RESTORE_TIMEOUT_S, NULL),
		.force_disks = arg(args, "force"), .of_several = arg(args, "all"),
		.full = arg(args, "full"),
	};
}

static int restore_one(struct vm *vm, const struct args *args, struct json_object *result,
		       struct err *err)
{
	struct restore_opts opts = restore_options(args);

	vm->revoke = arg(args, "revoke");
	return restore_vm(vm, &opts, result, err);
}

static int restore_dry_run(struct vm *vm, const struct args *args, struct err *err)
{
	struct restore_opts opts = restore_options(args);

	return restore_check(vm, &opts, err);
}

static int run_restore(const struct args *args, struct err *err)
{
	static const struct each each = {
		.want = restore_wanted, .one = restore_one, .print = print_restored,
		.check = restore_dry_run, .nothing = "no VM is sealed or held",
		.verb = "restored", .mount = true,
	};

	int r, host = args->dry_run ? -1 : host_lock(false, err);

	if (host < 0 && !args->dry_run)
		return host;
	r = for_each_vm(&each, args, err);
	if (host >= 0)
		close(host);
	return r;
}

const struct cmd cmd_restore = {
	.name = "restore",
	.synopsis = "NAME|--all [--timeout SECONDS] [--full] [--force DISK,...] [--revoke] "
		    "[--jobs N]",
	.summary = "resume a saved guest, under this kernel",
	.opts = {
		{ "all", NULL, "every VM that is sealed or held" },
		{ "timeout", "SECONDS", "for QEMU to load the state (120)" },
		{ "full", NULL, "verify every page that the devices can reach" },
		{ "force", "DISK,...", "these disks may have changed since the save" },
		REVOKE_OPTION,
		JOBS_OPTION,
	},
	.max_args = 1,
	.dry_run = true,
	.run = run_restore,
};
