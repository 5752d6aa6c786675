// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/paths.h"
#include "base/size.h"
#include "vm/manifest.h"
#include "handover/start.h"
#include "cmd/cmd.h"

#define MAX_SIZES 64

static int run_parse_sizes(const struct args *args, uint64_t *sizes, size_t *n, struct err *err)
{
	const char *text = arg(args, "ram");
	_cleanup_free_ char *copy = text ? xstrdup(text) : NULL;
	char *next = copy, *item;

	for (*n = 0; next && (item = strsep(&next, ",")); (*n)++)
		if (*n == MAX_SIZES || size_parse(item, MIB, &sizes[*n]) < 0 || !sizes[*n])
			return usage_value(args, err, "ram", "no size like 512M or 4G, nor a list "
					   "of them");
	return 0;
}

static int run_parse_mode(const struct args *args, bool *copy, struct err *err)
{
	const char *mode = arg(args, "ram-mode");

	*copy = mode && streq(mode, RAM_MODE_COPY);
	if (!mode || *copy || streq(mode, "region"))
		return 0;
	return usage_value(args, err, "ram-mode", "neither region nor copy");
}

static void run_print(struct json_object *result)
{
	struct json_object *manifest = jget(result, "manifest");

	say("%s: %s, pid %d, %s, %s of RAM%s", jstr(result, "name"), jstr(result, "runstate"),
	    (int)jint(result, "pid", 0), jstr(manifest, "machine"),
	    size_human(jint(result, "ram_bytes", 0)),
	    manifest_copied(manifest) ? ", which a save copies" : "");
}

static void run_print_plan(const char *vm, struct json_object *result)
{
	struct json_object *devices = jget(result, "devices"), *memory = jget(result, "memory");
	const char *user = jstr(jget(result, "user"), "name");

	for (size_t i = 0; i < json_object_array_length(devices); i++)
		say("give %s to vfio-pci",
		    json_object_get_string(json_object_array_get_idx(devices, i)));
	for (size_t i = 0; i < json_object_array_length(memory); i++) {
		struct json_object *file = json_object_array_get_idx(memory, i);
		_cleanup_free_ char *path = vm_path(vm, jstr(file, "file"));

		say("create %s, %s", path, size_exact(jint(file, "size", 0)));
	}
	say("start%s %s %s", user ? fmt(" as user '%s'", user) : "", jstr(result, "binary"),
	    show_argv(jget(result, "argv")));
}

static int run_run(const struct args *args, struct err *err)
{
	_cleanup_json_ struct json_object *result = json_object_new_object();
	_cleanup_strv_ struct strv argv = { 0 };
	uint64_t sizes[MAX_SIZES];
	struct start_opts opts = {
		.name = args->argv[0], .sizes = sizes, .user = arg(args, "user"),
		.agent = arg(args, "agent"),
		.qemu = args->rest[0], .argv = &argv, .dry_run = args->dry_run,
	};
	int r = run_parse_sizes(args, sizes, &opts.nsizes, err);

	if (r == 0)
		r = run_parse_mode(args, &opts.copy, err);
	if (r == 0)
		r = arg_size(args, "room", &opts.room, err);
	for (int i = 1; i < args->nrest; i++)
		strv_push(&argv, args->rest[i]);
	if (r == 0)
		r = start_vm(&opts, result, err);
	if (r < 0)
		return r;
	if (out_json)
		out_object(json_object_get(result));
	else if (args->dry_run)
		run_print_plan(opts.name, result);
	else
		run_print(result);
	return 0;
}

const struct cmd cmd_run = {
	.name = "run",
	.synopsis = "NAME [--ram SIZE[,SIZE...]] [--ram-mode MODE] [--room SIZE] [--user USER] "
		    "[--agent] -- QEMU ARGUMENT...",
	.summary = "start a VM with its RAM in the handover region",
	.opts = {
		{ "ram", "SIZE[,SIZE...]", "size of the RAM (512M, 4G); a list: one for each "
		  "NUMA node" },
		{ "ram-mode", "MODE", "region (the default), or copy: each save copies the RAM" },
		{ "room", "SIZE", "part of the region for all of the VM (RAM and 64M)" },
		{ "user", "USER", "start QEMU as this user (cpr-qemu if there is one, or root)" },
		{ "agent", NULL, "add a channel for the guest agent" },
	},
	.examples = {
		"run web1 --ram 4G --agent -- qemu-system-x86_64 -M q35,accel=kvm",
		"run web2 --ram 4G --user vms -- qemu-system-x86_64 -M q35,accel=kvm",
		"run big --ram-mode copy -- qemu-system-x86_64 -m 64G",
	},
	.min_args = 1,
	.max_args = 1,
	.rest = true,
	.dry_run = true,
	.run = run_run,
};
