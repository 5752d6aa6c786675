// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/paths.h"
#include "base/size.h"
#include "vm/manifest.h"
#include "handover/adopt.h"
#include "cmd/cmd.h"

static void adopt_print(struct json_object *result, bool dry_run)
{
	struct json_object *manifest = jget(result, "manifest");
	_cleanup_free_ char *dir = vm_path(jstr(result, "name"), NULL);

	say("%s: %s, pid %d, %s, %s of RAM, %s", jstr(result, "name"),
	    dry_run ? "would be adopted" : "adopted", (int)jint(result, "pid", 0),
	    jstr(manifest, "machine"), size_human(jint(result, "ram_bytes", 0)),
	    manifest_copied(manifest) ? "not in the region: each save copies it" :
	    fmt("in place in %s", dir));
}

static int run_adopt(const struct args *args, struct err *err)
{
	_cleanup_json_ struct json_object *result = json_object_new_object();
	struct adopt_opts opts = {
		.name = args->argv[0], .monitor = arg(args, "qmp"), .dry_run = args->dry_run,
	};
	int r;

	if (!opts.monitor)
		return usage(args, err, "--qmp SOCKET is missing");
	r = arg_size(args, "room", &opts.room, err);
	if (r == 0)
		r = adopt_vm(&opts, result, err);
	if (r < 0)
		return r;
	adopt_print(result, args->dry_run);
	if (out_json)
		out_object(json_object_get(result));
	return 0;
}

const struct cmd cmd_adopt = {
	.name = "adopt",
	.synopsis = "NAME --qmp SOCKET [--room SIZE]",
	.summary = "make a VM of a QEMU that another program has started",
	.opts = {
		{ "qmp", "SOCKET", "a QMP socket that this QEMU listens on" },
		{ "room", "SIZE", "part of the region for all of the VM (what it has and 64M)" },
	},
	.examples = { "adopt web1 --qmp /run/web1.qmp --dry-run" },
	.min_args = 1,
	.max_args = 1,
	.dry_run = true,
	.run = run_adopt,
};
