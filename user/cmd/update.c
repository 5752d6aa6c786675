// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "vm/manifest.h"
#include "handover/pause.h"
#include "handover/update.h"
#include "cmd/print.h"
#include "cmd/saveopts.h"

static void update_print_step(enum update_step step, const char *vm, struct json_object *result)
{
	switch (step) {
	case UPDATE_ABORTED:
		print_aborted(vm, result);
		break;
	case UPDATE_SHUT_DOWN:
		say("%s: its guest has powered off", vm);
		break;
	case UPDATE_SAVED:
		print_saved(vm, result);
		break;
	case UPDATE_SEALED:
		say("%s: sealed", vm);
		break;
	case UPDATE_RESTORED:
		print_restored(vm, result);
		break;
	}
}

/* The steps of each VM, and of the host. */
static void update_print_steps(const struct plan *plan)
{
	const char *release = plan->kernel.version, *qemu = plan->opts->save.qemu;
	const char *last = release ? "quit QEMU, seal" : "quit QEMU, seal, restore in the new QEMU";

	if (release) {
		say("load %s with %s by kexec_file_load", plan->kernel.image, plan->kernel.initrd);
		say("command line: %s", plan->cmdline);
	}
	for (size_t i = 0; i < plan->shutdown.n; i++)
		say("%s: shut its guest down", plan->shutdown.v[i]);
	for (size_t i = 0; i < plan->names.n; i++)
		say("%s: %s%s", plan->names.v[i], plan_is_saved(plan, &plan->vms[i]) ? "" :
		    qemu ? fmt("save for %s, ", qemu) : "save, ", last);
	if (release)
		say("jump to %s", release);
}

static void update_print_expected(struct json_object *expected)
{
	_cleanup_strv_ struct strv words = { 0 };

	json_object_object_foreach(expected, name, ms)
		if (ms)
			strv_pushf(&words, "%s %s", name, pause_duration(json_object_get_int64(ms)));
	if (words.n)
		say("pauses by the last handover: %s", show_joined(&words, ", "));
}

static void update_print_plan(const struct plan *plan, struct json_object *result)
{
	struct json_object *out, *expected = jget(result, "expected_pause_ms");

	update_print_steps(plan);
	update_print_expected(expected);
	if (!out_json)
		return;
	out = json_object_new_object();
	jset_str(out, "kernel", plan->kernel.version);
	jset_str(out, "image", plan->kernel.image);
	jset_str(out, "initrd", plan->kernel.initrd);
	jset_str(out, "command_line", plan->cmdline);
	jset_str(out, "warning", plan->warning);
	jset_str(out, "qemu", plan->opts->save.qemu);
	jset(out, "vms", manifest_strings(&plan->names));
	jset(out, "expected_pause_ms", json_object_get(expected));
	jset(out, "left_out", json_object_get(plan->left_out));
	out_object(out);
}

/* The state of each VM after the update; nothing if the host jumps. */
static void update_print(struct json_object *result, int code, const struct err *err)
{
	struct json_object *vms = jget(result, "vms");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i);
		const char *runstate = jstr(jget(vm, "qemu"), "status");
		const char *where = !runstate || !jget(vm, "updated") ? "" :
				    jbool(vm, "updated", false) ? " in the new QEMU" :
				    " in the QEMU that it had";

		say("%s: %s%s%s%s", jstr(vm, "name"), jstr(vm, "state"),
		    runstate ? ", its guest is " : "", runstate ? runstate : "", where);
	}
	if (!out_json)
		return;
	if (code < 0)
		jset(result, "error", err_json(err));
	out_object(json_object_get(result));
}

static int update_check_args(const struct args *args, struct err *err)
{
	static const char *const of_kernel[] = {
		"image", "initrd", "append", "command-line", "force", "no-vms", "shutdown",
	};
	/* The command line carries the region, which nothing else is known of. */
	static const char *const of_vms[] = {
		"qemu", "append", "command-line", "digest-ram", "no-rehearse", "exclude", "revoke",
		"shutdown",
	};
	const char *kernel = arg(args, "kernel");

	if (!arg(args, "kernel") && !arg(args, "qemu"))
		return usage(args, err, "--kernel VERSION or --qemu BINARY is missing");
	if (kernel && (!*kernel || *kernel == '.' || strchr(kernel, '/')))
		return usage_value(args, err, "kernel", "no release of a kernel, as in /lib/modules");
	for (size_t i = 0; !arg(args, "kernel") && i < ARRAY_SIZE(of_kernel); i++)
		if (arg(args, of_kernel[i]))
			return usage(args, err, fmt("--%s needs --kernel VERSION", of_kernel[i]));
	for (size_t i = 0; arg(args, "no-vms") && i < ARRAY_SIZE(of_vms); i++)
		if (arg(args, of_vms[i]))
			return usage(args, err, fmt("--%s does not go with --no-vms", of_vms[i]));
	return 0;
}

static int update_options(const struct args *args, struct plan_opts *opts, struct err *err)
{
	int jobs = arg_jobs(args, err), r;

	*opts = (struct plan_opts){
		.kernel = arg(args, "kernel"), .image = arg(args, "image"),
		.initrd = arg(args, "initrd"), .append = arg(args, "append"),
		.command_line = arg(args, "command-line"), .force = arg(args, "force"),
		.revoke = arg(args, "revoke"), .exclude = arg(args, "exclude"),
		.shutdown = arg(args, "shutdown"),
		.no_vms = arg(args, "no-vms"), .jobs = jobs, .dry_run = args->dry_run,
	};
	if (jobs < 0)
		return jobs;
	r = save_options(args, &opts->save, err);
	opts->save.no_kexec = !opts->kernel || opts->force;
	return r;
}

static int update_run(const struct plan_opts *opts, struct err *err)
{
	_cleanup_json_ struct json_object *result = json_object_new_object();
	_cleanup_(plan_free) struct plan plan = PLAN_NONE;
	int r = plan_make(&plan, opts, err);

	if (r < 0)
		return r;
	if (plan.warning)
		note("%s", plan.warning);
	r = update_vms(&plan, update_print_step, result, err);
	if (r == 0 && opts->dry_run)
		update_print_plan(&plan, result);
	else
		update_print(result, r, err);
	return r;
}

static int run_update(const struct args *args, struct err *err)
{
	struct plan_opts opts = { 0 };
	int r = update_check_args(args, err);

	if (r == 0)
		r = update_options(args, &opts, err);
	if (r == 0)
		r = update_run(&opts, err);
	save_options_free(&opts.save);
	return r;
}

const struct cmd cmd_update = {
	.name = "update",
	.synopsis = "[--kernel VERSION] [--qemu BINARY] [OPTION...]",
	.summary = "take all VMs to another kernel, or another QEMU, or both",
	.opts = {
		{ "kernel", "VERSION", "release of the next kernel, as in /lib/modules" },
		{ "qemu", "BINARY", "the QEMU that loads the guests (the one of each)" },
		{ "image", "FILE", "the kernel's image, if it is not in the usual place" },
		{ "initrd", "FILE", "its initrd, if it is not /boot/initrd.img-VERSION" },
		{ "append", "WORDS", "add to the command line" },
		{ "command-line", "LINE", "instead of the running kernel's command line" },
		{ "timeout", "SECONDS", "to save a VM; if one takes longer all run on (120)" },
		{ "max-pause", "SECONDS", "let all run on if a guest would stand still for longer" },
		JOBS_OPTION,
		{ "digest-ram", NULL, "make digests of the guests' memory, for restore to compare" },
		{ "no-rehearse", NULL, "do not rehearse the loads" },
		{ "force", NULL, "despite an unfit initrd, an unknown key or lost files" },
		{ "no-vms", NULL, "the module does not load here: go back to where it does" },
		{ "exclude", "NAME,...", "leave these VMs in the QEMU that they have" },
		{ "shutdown", "NAME,...", "have these guests power off, instead of taking them along" },
		REVOKE_OPTION,
	},
	.examples = {
		"update --kernel 7.3.4+deb13-amd64 --dry-run",
		"update --kernel 7.3.4+deb13-amd64 --append quiet",
		"update --qemu /usr/bin/qemu-system-x86_64",
	},
	.max_args = 0,
	.dry_run = true,
	.run = run_update,
};
