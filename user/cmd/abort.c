// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "vm/lock.h"
#include "handover/abort.h"
#include "cmd/cmd.h"
#include "cmd/print.h"

static int abort_one(struct vm *vm, const struct args *args, struct json_object *result,
		     struct err *err)
{
	vm->revoke = arg(args, "revoke");
	return abort_vm(vm, result, err);
}

static int abort_dry_run(struct vm *vm, const struct args *args, struct err *err)
{
	(void)args;
	return abort_check(vm, err);
}

/* An update that was killed may have left only the loaded kernel: that is no error. */
static int abort_all(const struct each *each, const struct args *args, struct err *err)
{
	bool unloaded = abort_unload_kernel();
	struct json_object *out;
	int r;

	if (unloaded)
		say("the next kernel is unloaded");
	r = for_each_vm(each, args, err);
	if (r != -ENOENT || err->exit != CPR_EXIT_NOTFOUND || !unloaded)
		return r;
	err_clear(err);
	if (out_json) {
		out = json_object_new_object();
		jset(out, "vms", json_object_new_array());
		out_object(out);
	}
	return 0;
}

static int run_abort(const struct args *args, struct err *err)
{
	static const struct each each = {
		.want = abort_wanted, .one = abort_one, .print = print_aborted,
		.check = abort_dry_run, .nothing = "no VM is saved",
		.verb = "aborted",
	};
	int r, host = args->dry_run ? -1 : host_lock(false, err);

	if (host < 0 && !args->dry_run)
		return host;
	r = arg(args, "all") && !args->dry_run ? abort_all(&each, args, err) :
	    for_each_vm(&each, args, err);
	if (host >= 0)
		close(host);
	return r;
}

const struct cmd cmd_abort = {
	.name = "abort",
	.synopsis = "NAME|--all [--revoke] [--jobs N]",
	.summary = "roll back a save, also an interrupted one: the guest runs on",
	.opts = {
		{ "all", NULL, "every VM with something to roll back, and the loaded kernel" },
		REVOKE_OPTION,
		JOBS_OPTION,
	},
	.examples = {
		"abort web1",
		"abort --all",
	},
	.max_args = 1,
	.dry_run = true,
	.run = run_abort,
};
