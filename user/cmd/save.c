// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "cmd/print.h"
#include "cmd/saveopts.h"

static int save_one(struct vm *vm, const struct args *args, struct json_object *result,
		    struct err *err)
{
	_cleanup_save_opts_ struct save_opts opts;
	int r = save_options(args, &opts, err);

	return r < 0 ? r : save_vm(vm, &opts, result, err);
}

static int save_dry_run(struct vm *vm, const struct args *args, struct err *err)
{
	_cleanup_save_opts_ struct save_opts opts;
	int r = save_options(args, &opts, err);

	return r < 0 ? r : save_check(vm, &opts, NULL, err);
}

static int run_save(const struct args *args, struct err *err)
{
	static const struct each each = {
		.want = save_wanted, .one = save_one, .print = print_saved,
		.check = save_dry_run, .nothing = "no VM is running", .verb = "saved",
	};
	_cleanup_save_opts_ struct save_opts opts;
	int r = save_options(args, &opts, err);

	return r < 0 ? r : for_each_vm(&each, args, err);
}

const struct cmd cmd_save = {
	.name = "save",
	.synopsis = "NAME|--all [--qemu BINARY] [--rehearse|--no-rehearse] [--timeout SECONDS] "
		    "[--full] [--digest-ram] [--no-kexec] [--to PATH | --uri exec:CMD --restore-uri exec:CMD] "
		    "[--jobs N]",
	.summary = "stop a guest and save its state; abort rolls it back",
	.opts = {
		{ "all", NULL, "every VM that is running" },
		{ "timeout", "SECONDS", "for the save; then the guest runs on (120)" },
		{ "full", NULL, "record every page that the devices can reach" },
		{ "digest-ram", NULL, "make a digest of the guest's memory, for restore to compare" },
		{ "no-kexec", NULL, "files that a kexec loses are no reason not to save" },
		{ "qemu", "BINARY", "the QEMU that will load the state (the one it runs in)" },
		{ "rehearse", NULL, "refuse a guest whose load cannot be rehearsed" },
		{ "no-rehearse", NULL, "do not rehearse the load" },
		{ "to", "PATH", "copy mode: a file on a disk, or a directory for NAME.state" },
		{ "uri", "exec:CMD", "copy mode: a command that takes the state, unchecked" },
		{ "restore-uri", "exec:CMD", "with --uri: the command that returns the state" },
		JOBS_OPTION,
	},
	.examples = {
		"save web1 --dry-run",
		"save --all --jobs 4",
		"save web1 --qemu /usr/bin/qemu-system-x86_64",
		"save big --to /var/tmp",
	},
	.max_args = 1,
	.dry_run = true,
	.run = run_save,
};
