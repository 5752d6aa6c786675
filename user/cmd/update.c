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

#include "base/crew.h"
#include "base/faultpoint.h"
#include "base/interrupt.h"
#include "base/paths.h"
#include "base/size.h"
#include "host/kexec.h"
#include "handover/abort.h"
#include "handover/pause.h"
#include "handover/restore.h"
#include "handover/seal.h"
#include "cmd/plan.h"
#include "cmd/print.h"

#define COPY_BYTES "copy_bytes"		/* in a VM's result: what it takes of the region */

/**
 * struct update - one under way
 * @results: what is told of each VM, objects
 * @stays: which of them stays saved if this fails: it was before
 */
struct update {
	struct plan plan;
	struct json_object **results;
	bool *stays;
};

static void update_begin(struct update *u)
{
	u->results = xcalloc(u->plan.names.n, sizeof(*u->results));
	u->stays = xcalloc(u->plan.names.n, sizeof(*u->stays));
	for (size_t i = 0; i < u->plan.names.n; i++)
		u->results[i] = json_object_new_object();
}

static void update_free(struct update *u)
{
	for (size_t i = 0; u->results && i < u->plan.names.n; i++)
		json_object_put(u->results[i]);
	free(u->results);
	free(u->stays);
	plan_free(&u->plan);
}

/* In a process of its own: no socket of the module's can be shared. */
static int enter(struct update *u, size_t i, struct err *err)
{
	u->plan.vms[i].genl = genl_open(err);
	return u->plan.vms[i].genl ? 0 : -ENOENT;
}

/* While all guests run, and to see all that is in the way, not only the first. */
static int check_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->plan.vms[i];
	uint64_t bytes = 0;
	int r = vm->info.state == CPR_VM_STATE_RUNNING ?
		save_check(vm, &u->plan.save, &bytes, err) : 0;

	if (bytes)
		jset_int(result, COPY_BYTES, bytes);
	return r;
}

static int update_abort(struct vm *vm, struct json_object *result, struct err *err)
{
	int r = abort_vm(vm, result, err);

	if (r == 0)
		print_aborted(vm->name, result);
	return r;
}

static int save_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->plan.vms[i];
	int r = enter(u, i, err);

	if (r < 0 || goes_as_it_is(&u->plan, vm))
		return r;
	if (abort_wanted(&vm->info))
		r = update_abort(vm, result, err);
	if (r == 0)
		r = save_vm(vm, &u->plan.save, result, err);
	if (r == 0)
		print_saved(vm->name, result);
	return r;
}

static int seal_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->plan.vms[i];
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
	else
		print_restored(vm->name, result);
	jset_bool(result, "fell_back", r == 0);
	return r;
}

static int exchange_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	int r = seal_task(i, arg, result, err);
	struct update *u = arg;
	struct vm *vm = &u->plan.vms[i];

	if (r < 0)
		return r;
	r = restore_vm(vm, &RESTORE_DEFAULT, result, err);
	if (r == 0)
		print_restored(vm->name, result);
	if (r < 0 && vm->info.state == CPR_VM_STATE_SEALED)
		fall_back(vm, result);
	return r;
}

/* Also one that this update had not come to, or whose process was killed. */
static int undo_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->plan.vms[i];
	int r = enter(u, i, err);

	if (r < 0 || !abort_wanted(&vm->info))
		return r;
	if (u->stays[i] && vm->info.state == CPR_VM_STATE_SAVED)
		return 0;
	return update_abort(vm, result, err);
}

static void take_result(struct update *u, size_t i, const struct outcome *o)
{
	struct json_object *into = u->results[i];

	json_object_object_foreach(o->result, key, value)
		jset(into, key, json_object_get(value));
	if (o->code < 0 && !jget(into, "error"))
		jset(into, "error", err_json(&o->err));
	json_object_put(u->plan.vms[i].manifest);
	u->plan.vms[i].manifest = NULL;
	vm_refresh(&u->plan.vms[i], NULL);
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
checking = { { .work = check_task }, "ready to be saved" },
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

	crew.names = &u->plan.names;
	crew.jobs = u->plan.jobs;
	crew.arg = u;
	outcomes = crew_run(&crew);
	failed = outcomes_failed(outcomes, &u->plan.names);

	for (size_t i = 0; i < u->plan.names.n; i++)
		take_result(u, i, &outcomes[i]);
	outcomes_free(outcomes, u->plan.names.n);
	if (!*failed)
		return 0;
	return fail(err, -EIO, .what = "VMs", .value = failed, .why = fmt("not %s", phase->done),
		    .remedy = "the lines above tell why, each for its VM");
}

/* What was saved here may have been saved before, but for another QEMU. */
static int save_all(struct update *u, struct err *err)
{
	int r;

	for (size_t i = 0; i < u->plan.names.n; i++)
		u->stays[i] = goes_as_it_is(&u->plan, &u->plan.vms[i]);
	r = go_through(u, &saving, err);
	if (r == 0)
		r = faultpoint("update-saved", NULL, err);
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
		r = faultpoint("update-sealed", NULL, err);
	if (r < 0)
		return r;
	say("jumping to %s", u->plan.kernel.version);
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
	if (u->plan.kernel.version)
		kexec_unload();
	if (go_through(u, &undoing, &why) < 0)
		not_put_back(err, &why);
	return code;
}

/* Where each VM is now. */
static void tell(struct update *u, struct json_object *list)
{
	for (size_t i = 0; i < u->plan.names.n; i++) {
		_cleanup_json_ struct json_object *now = vm_json(&u->plan.vms[i].info);
		const char *status = jstr(jget(now, "qemu"), "status");
		struct json_object *result = u->results[i];

		json_object_object_foreach(now, key, value)
			jset(result, key, json_object_get(value));
		jset_bool(result, "ok", !jget(result, "error"));
		say("%s: %s%s%s", u->plan.names.v[i], jstr(now, "state"), status ? ", its guest is " : "",
		    status ? status : "");
		json_object_array_add(list, json_object_get(result));
	}
}

static void report(struct update *u, int code, const struct err *err)
{
	struct json_object *out = json_object_new_object();
	struct json_object *list = json_object_new_array();

	if (code < 0 || !u->plan.kernel.version)
		tell(u, list);
	else
		jset_str(out, "jumping_to", u->plan.kernel.version);
	jset_str(out, "qemu", u->plan.save.qemu);
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
	int r = faultpoint("update-prepared", NULL, err);

	if (r < 0 || !u->plan.kernel.version)
		return r;
	r = kexec_load(&u->plan.kernel, u->plan.cmdline, err);
	if (r < 0)
		return r;
	say("loaded %s", u->plan.kernel.image);
	r = faultpoint("update-loaded", NULL, err);
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
		r = u->plan.kernel.version ? seal_and_jump(u, err) :
		    go_through(u, &exchanging, err);
	return r < 0 ? go_back(u, r, err) : 0;
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

/* Each has room, but they share it. */
static int check_room(const struct update *u, struct err *err)
{
	uint64_t need = 0, have;

	for (size_t i = 0; i < u->plan.names.n; i++)
		need += jint(u->results[i], COPY_BYTES, 0);
	if (!need || free_bytes(CPRFS_ROOT, &have) < 0 || have >= need)
		return 0;
	return fail(err, -ENOSPC, .what = "VMs in copy mode", .why =
		    fmt("together they may need %s of the region, and %s is free there",
			size_human(need), size_human(have)),
		    .remedy = "save some to a disk first ('cpr-helper save NAME --to PATH')");
}

static int check(struct update *u, struct err *err)
{
	int r = go_through(u, &checking, err);

	return refuse(r < 0 ? r : check_room(u, err), err);
}

static int run_update(const struct args *args, struct err *err)
{
	_cleanup_(update_free) struct update u = { .plan = PLAN_NONE };
	int r = check_args(args, err);

	if (r == 0)
		r = refuse(plan_make(&u.plan, args, err), err);
	if (r < 0)
		return r;
	if (u.plan.warning)
		note("%s", u.plan.warning);
	update_begin(&u);
	r = check(&u, err);
	if (r == 0 && args->dry_run) {
		plan_print(&u.plan);
		return 0;
	}
	if (r == 0)
		r = carry_out(&u, err);
	report(&u, r, err);
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
