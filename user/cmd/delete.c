// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "handover/delete.h"
#include "cmd/cmd.h"

static void delete_print(const char *name)
{
	struct json_object *out;

	say("%s: deleted", name);
	if (!out_json)
		return;
	out = json_object_new_object();
	jset_str(out, "deleted", name);
	out_object(out);
}

static int run_delete(const struct args *args, struct err *err)
{
	_cleanup_genl_ struct genl *genl = NULL;
	_cleanup_vm_ struct vm vm = { .lock = -1, .qemu = QEMU_NONE };
	bool force = arg(args, "force");
	int r = vm_name_check(args->argv[0], err);

	if (r < 0)
		return r;
	genl = genl_open(err);
	if (!genl)
		return -ENOENT;
	r = vm_open(genl, args->argv[0], &vm, err);
	vm.revoke = arg(args, "revoke");
	if (r == 0)
		r = args->dry_run ? delete_check(&vm, force, err) : delete_vm(&vm, force, err);
	if (r < 0)
		return r;
	if (args->dry_run)
		say("%s: %s, would be deleted", vm.name, cpr_state_name(vm.info.state));
	else
		delete_print(vm.name);
	return 0;
}

const struct cmd cmd_delete = {
	.name = "delete",
	.synopsis = "NAME [--force] [--revoke]",
	.summary = "delete a VM and its memory",
	.opts = {
		{ "force", NULL, "also if a saved guest is lost" },
		REVOKE_OPTION,
	},
	.examples = {
		"delete web1",
		"delete web1 --force",
	},
	.min_args = 1,
	.max_args = 1,
	.dry_run = true,
	.run = run_delete,
};
