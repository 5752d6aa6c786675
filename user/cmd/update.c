// SPDX-License-Identifier: GPL-2.0-only
/*
 * update: everything that can be found out is found out first, and the next
 * kernel is loaded, before any guest is stopped. Then all guests are saved, at the
 * same time. Only when all are does the first QEMU quit; until then every failure
 * means that nothing happened. After it, what was sealed is restored where it was.
 *
 * What is done is in the region: the module's state of each VM, and its manifest.
 * So an update that was killed is undone by abort, or carried on by another one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"
#include "lib/cmdline.h"
#include "lib/cprfs.h"
#include "lib/crew.h"
#include "lib/devices.h"
#include "lib/fault.h"
#include "lib/interrupt.h"
#include "lib/kernel.h"
#include "lib/manifest.h"
#include "lib/pause.h"

/**
 * struct update - what is about to be done
 * @kernel: to jump to; without a version only QEMU is exchanged
 * @qemu: path of the QEMU that is to load the guests; NULL: the one of each
 * @names, @vms: that go along, in the order of their names. Locked for as long as
 *	this lasts; processes that work on one inherit that
 * @results: what is told of each, objects
 * @stays: which of them stays saved if this fails: it was before
 * @host: lock that keeps other VMs from coming to life
 */
struct update {
	struct genl *genl;
	struct cpr_region region;
	struct kernel kernel;
	char *cmdline;
	char *warning;
	char *qemu;
	struct strv names;
	struct vm *vms;
	struct json_object **results;
	bool *stays;
	int host;
	unsigned int jobs;
	struct save_opts save;
};

static void update_free(struct update *u)
{
	for (size_t i = 0; i < u->names.n; i++) {
		vm_close(&u->vms[i]);
		json_object_put(u->results[i]);
	}
	strv_free(&u->names);
	free(u->vms);
	free(u->results);
	free(u->stays);
	kernel_free(&u->kernel);
	free(u->cmdline);
	free(u->warning);
	free(u->qemu);
	genl_close(u->genl);
	if (u->host >= 0)
		close(u->host);
}

static int check_region(struct update *u, struct err *err)
{
	int r = genl_region(u->genl, &u->region, err);

	if (r < 0)
		return r;
	if (!u->region.have_start)
		return fail(err, -EPERM, .what = "region", .why = "needs root",
			    .remedy = "run it with sudo");
	if (!u->region.formatted)
		return fail(err, -ENODEV, .exit = CPR_EXIT_REFUSED, .what = "handover region",
			    .why = "it is not formatted", .remedy = "'cpr-helper format'");
	return 0;
}

static int compose(struct update *u, const struct args *args, struct err *err)
{
	_cleanup_free_ char *current = read_text("/proc/cmdline", 65536);
	struct cmdline_request req = {
		.current = current, .base = arg(args, "command-line"), .append = arg(args, "append"),
		.start = u->region.start, .size = u->region.size,
		.firmware = firmware_persistent(u->region.start, u->region.size),
	};

	if (!current)
		return fail(err, -errno, .what = "cannot read", .value = "/proc/cmdline");
	return cmdline_compose(&req, &u->cmdline, &u->warning, err);
}

static int stays_behind(const struct cpr_vm *info, const char *why, struct err *err)
{
	return fail(err, -EBUSY, .exit = CPR_EXIT_REFUSED, .what = "VM", .value = info->name,
		    .why = why, .remedy = fmt("shut it down or delete it first "
					      "('cpr-helper show %s')", info->name));
}

/* 1 if the VM goes along, 0 if it needs nothing, or a refusal. */
static int classify(const struct update *u, const struct cpr_vm *info, struct err *err)
{
	struct qemu q;

	switch (info->state) {
	case CPR_VM_STATE_RUNNING:
	case CPR_VM_STATE_SAVED:
	case CPR_VM_STATE_RESTORING:
		return 1;
	case CPR_VM_STATE_SEALED:
		return !u->kernel.version;
	case CPR_VM_STATE_DEFINED:
		if (qemu_attach(info->name, QEMU_ATTACH_S, &q, NULL) < 0 && !info->mapped)
			return 0;
		qemu_release(&q);
		return stays_behind(info, "its QEMU runs, but it is not pinned", err);
	case CPR_VM_STATE_LOST:
		note("VM '%s': it is lost; its memory stays until it is deleted", info->name);
		return 0;
	default:
		return 0;
	}
}

/* QEMU's monitor has one client at a time, and the next is another process. */
static int check_vm(struct vm *vm, struct err *err)
{
	int r = vm_manifest(vm, err);

	if (r == 0 && vm->info.state == CPR_VM_STATE_RUNNING)
		r = vm_attach(vm, err);
	qemu_release(&vm->qemu);
	return r;
}

static int take_vm(struct update *u, const struct cpr_vm *info, struct err *err)
{
	size_t i = u->names.n;
	int r = classify(u, info, err);

	if (r <= 0)
		return r;
	u->vms = xrealloc(u->vms, i + 1, sizeof(*u->vms));
	u->results = xrealloc(u->results, i + 1, sizeof(*u->results));
	u->stays = xrealloc(u->stays, i + 1, sizeof(*u->stays));
	strv_push(&u->names, info->name);
	u->results[i] = json_object_new_object();
	r = vm_open(u->genl, info->name, &u->vms[i], err);
	if (r == 0)
		r = check_vm(&u->vms[i], err);
	u->stays[i] = u->vms[i].info.state == CPR_VM_STATE_SAVED;
	return r;
}

static int take_vms(struct update *u, struct err *err)
{
	_cleanup_vms_ struct cpr_vms all = { 0 };
	int r = genl_vms(u->genl, &all, err);

	for (size_t i = 0; r == 0 && i < all.n; i++)
		r = take_vm(u, &all.v[i], err);
	if (r < 0 || u->names.n || u->kernel.version)
		return r;
	return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "update",
		    .why = "no VM runs or is saved");
}

static const struct vm *one_with_devices(const struct update *u)
{
	for (size_t i = 0; i < u->names.n; i++)
		if (has_devices(&u->vms[i]))
			return &u->vms[i];
	return NULL;
}

/*
 * Loaded later than in the initramfs, the module finds devices that drivers of
 * the host have taken. That is nothing to VMs without any.
 */
static int check_initrd(const struct update *u, bool force, struct err *err)
{
	const struct vm *vm = one_with_devices(u);
	const char *initrd = u->kernel.initrd;
	int has = vm && !force ? initrd_has_module(initrd) : 1;

	if (has == 0)
		return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "initrd", .value = initrd,
			    .why = fmt("it does not have cpr_handover: drivers of the host may take "
				       "the devices of VM '%s' before the module holds them", vm->name),
			    .remedy = fmt("'update-initramfs -u -k %s' or 'dracut --force --kver %s'; "
					  "--force to go without it", u->kernel.version,
					  u->kernel.version));
	if (has < 0)
		note("it is not known whether %s has cpr_handover: %s", initrd, has == -ENOENT ?
		     "there is neither lsinitramfs nor lsinitrd" : "it cannot be listed");
	return 0;
}

static int prepare_kernel(struct update *u, const struct args *args, struct err *err)
{
	int r = kernel_find(&u->kernel, err);

	if (r == 0)
		r = kernel_check_module(&u->kernel, err);
	return r < 0 ? r : compose(u, args, err);
}

static int read_options(struct update *u, const struct args *args, struct err *err)
{
	int jobs = arg_jobs(args, err);

	u->save = (struct save_opts){
		.timeout = arg_timeout(args, SAVE_TIMEOUT_S, err),
		.no_rehearse = arg(args, "no-rehearse"), .digest_ram = arg(args, "digest-ram"),
	};
	if (jobs < 0 || u->save.timeout < 0)
		return -EINVAL;
	u->jobs = jobs;
	u->kernel.version = arg(args, "kernel");
	u->kernel.image = arg(args, "image") ? xstrdup(arg(args, "image")) : NULL;
	u->kernel.initrd = arg(args, "initrd") ? xstrdup(arg(args, "initrd")) : NULL;
	if (!arg(args, "qemu"))
		return 0;
	u->save.qemu = u->qemu = find_binary(arg(args, "qemu"));
	return u->qemu ? 0 :
	       fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "QEMU binary",
		    .value = arg(args, "qemu"), .why = "there is no such program",
		    .remedy = "give the path of one that is installed");
}

static int prepare(struct update *u, const struct args *args, struct err *err)
{
	int r = read_options(u, args, err);

	if (r == 0 && u->kernel.version)
		r = kexec_allowed(err);
	/* A VM that came to life once they are listed would be left behind. */
	if (r == 0 && !args->dry_run)
		r = u->host = host_lock(true, err);
	if (r < 0)
		return r;
	u->genl = genl_open(err);
	if (!u->genl)
		return -ENOENT;
	r = check_region(u, err);
	if (r == 0 && u->kernel.version)
		r = prepare_kernel(u, args, err);
	if (r == 0)
		r = take_vms(u, err);
	if (r == 0 && u->kernel.version)
		r = check_initrd(u, arg(args, "force"), err);
	return r;
}

static void say_plan(const struct update *u)
{
	const char *last = u->kernel.version ? "quit QEMU, seal" :
			   "quit QEMU, seal, restore in the new QEMU";

	if (u->kernel.version) {
		say("load %s with %s by kexec_file_load", u->kernel.image, u->kernel.initrd);
		say("command line: %s", u->cmdline);
	}
	for (size_t i = 0; i < u->names.n; i++)
		say("%s: %s%s", u->names.v[i], u->stays[i] ? "" :
		    u->qemu ? fmt("save for %s, ", u->qemu) : "save, ", last);
	if (u->kernel.version)
		say("jump to %s", u->kernel.version);
}

static void print_plan(const struct update *u)
{
	struct json_object *out;

	say_plan(u);
	if (!out_json)
		return;
	out = json_object_new_object();
	jset_str(out, "kernel", u->kernel.version);
	jset_str(out, "image", u->kernel.image);
	jset_str(out, "initrd", u->kernel.initrd);
	jset_str(out, "command_line", u->cmdline);
	jset_str(out, "warning", u->warning);
	jset_str(out, "qemu", u->qemu);
	jset(out, "vms", manifest_strings(&u->names));
	out_object(out);
}

/* In a process of its own: no socket of the module's can be shared. */
static int enter(struct update *u, size_t i, struct err *err)
{
	u->vms[i].genl = genl_open(err);
	return u->vms[i].genl ? 0 : -ENOENT;
}

/* Saved already, and for the QEMU that is to load it. */
static bool goes_as_it_is(const struct update *u, struct vm *vm)
{
	bool saved = vm->info.state == CPR_VM_STATE_SAVED || vm->info.state == CPR_VM_STATE_SEALED;
	const char *qemu;

	if (!saved || vm_manifest(vm, NULL) < 0)
		return false;
	qemu = jstr(jget(jget(vm->manifest, "saved"), "qemu"), "binary");
	return !u->qemu || (qemu && streq(qemu, u->qemu));
}

static int save_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->vms[i];
	int r = enter(u, i, err);

	if (r < 0 || goes_as_it_is(u, vm))
		return r;
	if (wants_abort(&vm->info))
		r = abort_vm(vm, result, err);
	return r < 0 ? r : save_vm(vm, &u->save, result, err);
}

static int seal_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->vms[i];
	int r = enter(u, i, err);

	(void)result;
	if (r < 0 || vm->info.state == CPR_VM_STATE_SEALED)
		return r;
	r = seal_vm(vm, err);
	if (r == 0)
		say("%s: sealed", vm->name);
	return r;
}

/* It is where it was; the failure is told all the same. */
static int fall_back(struct vm *vm, struct json_object *result)
{
	struct restore_opts old = RESTORE_DEFAULT;
	_cleanup_err_ struct err why = { 0 };
	int r;

	note("VM '%s': the new QEMU does not run it; it goes back to the old one", vm->name);
	old.old_qemu = true;
	pause_abort(vm);
	r = restore_vm(vm, &old, result, &why);
	if (r < 0)
		err_print(&why, vm->name);
	jset_bool(result, "fell_back", r == 0);
	return r;
}

static int exchange_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	int r = seal_task(i, arg, result, err);
	struct update *u = arg;
	struct vm *vm = &u->vms[i];

	if (r < 0)
		return r;
	r = restore_vm(vm, &RESTORE_DEFAULT, result, err);
	if (r < 0 && vm->info.state == CPR_VM_STATE_SEALED)
		fall_back(vm, result);
	return r;
}

/* Also one that this update had not come to, or whose process was killed. */
static int undo_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->vms[i];
	int r = enter(u, i, err);

	if (r < 0 || !wants_abort(&vm->info))
		return r;
	if (u->stays[i] && vm->info.state == CPR_VM_STATE_SAVED)
		return 0;
	return abort_vm(vm, result, err);
}

static void take_result(struct update *u, size_t i, const struct outcome *o)
{
	struct json_object *into = u->results[i];

	json_object_object_foreach(o->result, key, value)
		jset(into, key, json_object_get(value));
	if (o->code < 0 && !jget(into, "error"))
		jset(into, "error", err_json(&o->err));
	json_object_put(u->vms[i].manifest);
	u->vms[i].manifest = NULL;
	vm_refresh(&u->vms[i], NULL);
}

/**
 * struct phase - what is done to all VMs, several at the same time
 * @crew: how; the names are filled in
 * @done: what became of a VM then
 */
struct phase {
	struct crew crew;
	const char *done;
};

static const struct phase
saving = { { .work = save_task, .together = true }, "saved" },
/* From here on QEMUs end: if that goes wrong, the first time is enough. */
sealing = { { .work = seal_task, .together = true, .first_alone = true }, "sealed" },
exchanging = { { .work = exchange_task, .together = true, .first_alone = true }, "updated" },
undoing = { { .work = undo_task }, "put back" };

static int go_through(struct update *u, const struct phase *phase, struct err *err)
{
	struct crew crew = phase->crew;
	_cleanup_free_ char *failed = NULL;
	struct outcome *outcomes;

	crew.names = &u->names;
	crew.jobs = u->jobs;
	crew.arg = u;
	outcomes = crew_run(&crew);
	failed = outcomes_failed(outcomes, &u->names);

	for (size_t i = 0; i < u->names.n; i++)
		take_result(u, i, &outcomes[i]);
	outcomes_free(outcomes, u->names.n);
	if (!*failed)
		return 0;
	return fail(err, -EIO, .what = "VMs", .value = failed, .why = fmt("not %s", phase->done),
		    .remedy = "the lines above tell why, each for its VM");
}

/* What was saved here may have been saved before, but for another QEMU. */
static int save_all(struct update *u, struct err *err)
{
	int r;

	for (size_t i = 0; i < u->names.n; i++)
		u->stays[i] = goes_as_it_is(u, &u->vms[i]);
	r = go_through(u, &saving, err);
	if (r == 0)
		r = fault_point("update-saved", NULL, err);
	/* The last moment for an interruption; what follows is carried through. */
	if (r == 0 && interrupt_arrived())
		r = fail(err, -EINTR, .what = "update", .why = "interrupted");
	interrupt_disable();
	return r;
}

static int seal_and_jump(struct update *u, struct err *err)
{
	int r = go_through(u, &sealing, err);

	if (r == 0)
		r = fault_point("update-sealed", NULL, err);
	if (r < 0)
		return r;
	say("jumping to %s", u->kernel.version);
	return kexec_jump(err);
}

/* The failure stays the one that it was, but now not all is as before. */
static void not_put_back(struct err *err, const struct err *why)
{
	err->exit = CPR_EXIT_PARTLY;
	free(err->remedy);
	err->remedy = xasprintf("VMs '%s' could not be put back, the lines above tell why; nothing "
				"of them is deleted: try 'cpr-helper abort --all'", why->value);
}

static int go_back(struct update *u, int code, struct err *err)
{
	_cleanup_err_ struct err why = { 0 };

	interrupt_disable();
	if (u->kernel.version)
		kexec_unload();
	if (go_through(u, &undoing, &why) < 0)
		not_put_back(err, &why);
	return code;
}

/* Where each VM is now. */
static void tell(struct update *u, struct json_object *list)
{
	for (size_t i = 0; i < u->names.n; i++) {
		_cleanup_json_ struct json_object *now = vm_json(&u->vms[i].info);
		const char *status = jstr(jget(now, "qemu"), "status");
		struct json_object *result = u->results[i];

		json_object_object_foreach(now, key, value)
			jset(result, key, json_object_get(value));
		jset_bool(result, "ok", !jget(result, "error"));
		say("%s: %s%s%s", u->names.v[i], jstr(now, "state"), status ? ", its guest is " : "",
		    status ? status : "");
		json_object_array_add(list, json_object_get(result));
	}
}

static void report(struct update *u, int code, const struct err *err)
{
	struct json_object *out = json_object_new_object();
	struct json_object *list = json_object_new_array();

	if (code < 0 || !u->kernel.version)
		tell(u, list);
	else
		jset_str(out, "jumping_to", u->kernel.version);
	jset_str(out, "qemu", u->qemu);
	jset(out, "vms", list);
	if (code < 0)
		jset(out, "error", err_json(err));
	if (out_json)
		out_object(out);
	else
		json_object_put(out);
}

/* Up to here no VM was touched. */
static int refuse(int code, struct err *err)
{
	if (code < 0 && err->exit == CPR_EXIT_FAILED)
		err->exit = CPR_EXIT_REFUSED;
	return code;
}

static int load(struct update *u, struct err *err)
{
	int r = fault_point("update-prepared", NULL, err);

	if (r < 0 || !u->kernel.version)
		return r;
	r = kexec_load(&u->kernel, u->cmdline, err);
	if (r < 0)
		return r;
	say("loaded %s", u->kernel.image);
	r = fault_point("update-loaded", NULL, err);
	if (r < 0)
		kexec_unload();
	return r;
}

static int carry_out(struct update *u, struct err *err)
{
	int r = refuse(load(u, err), err);

	if (r < 0)
		return r;
	r = save_all(u, err);
	if (r == 0)
		r = u->kernel.version ? seal_and_jump(u, err) :
		    go_through(u, &exchanging, err);
	if (r < 0)
		r = go_back(u, r, err);
	report(u, r, err);
	return r;
}

static int check_args(const struct args *args, struct err *err)
{
	static const char *const of_kernel[] = {
		"image", "initrd", "append", "command-line", "force",
	};

	if (!arg(args, "kernel") && !arg(args, "qemu"))
		return usage(args, err, "neither --kernel VERSION nor --qemu BINARY", NULL);
	for (size_t i = 0; !arg(args, "kernel") && i < ARRAY_SIZE(of_kernel); i++)
		if (arg(args, of_kernel[i]))
			return usage(args, err, "it needs --kernel", fmt("--%s", of_kernel[i]));
	return 0;
}

static int run_update(const struct args *args, struct err *err)
{
	_cleanup_(update_free) struct update u = { .host = -1 };
	int r = check_args(args, err);

	if (r == 0)
		r = refuse(prepare(&u, args, err), err);
	if (r < 0)
		return r;
	if (u.warning)
		note("%s", u.warning);
	if (!args->dry_run)
		return carry_out(&u, err);
	print_plan(&u);
	return 0;
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
		{ "timeout", "SECONDS", "to save a VM; all run on if one takes longer (120)" },
		JOBS_OPTION,
		{ "digest-ram", NULL, "take digests of the guests' memory, and compare them after" },
		{ "no-rehearse", NULL, "do not load the states on trial" },
		{ "force", NULL, "also if VMs have devices and the initrd lacks the module" },
	},
	.max_args = 0,
	.dry_run = true,
	.run = run_update,
};
