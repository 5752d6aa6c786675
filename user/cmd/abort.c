// SPDX-License-Identifier: GPL-2.0-only
/* abort: what save did is undone, and the guest runs on if it ran. */
#define _GNU_SOURCE
#include <errno.h>

#include "cmd.h"
#include "lib/cprfs.h"
#include "lib/manifest.h"
#include "lib/migration.h"
#include "lib/pause.h"
#include "lib/resume.h"

static int wrong_state(struct vm *vm, struct err *err)
{
	bool closed = vm->info.state == CPR_VM_STATE_SEALED || vm->info.state == CPR_VM_STATE_HELD;

	return fail(err, closed ? -EBUSY : -ENOENT,
		    .exit = closed ? CPR_EXIT_BUSY : CPR_EXIT_NOTFOUND, .what = "VM",
		    .value = vm->name, .why = fmt("it is %s, and %s",
						  cpr_state_name(vm->info.state),
						  closed ? "its QEMU has quit" :
						  "there is nothing to abort"),
		    .remedy = closed ? fmt("'cpr-helper restore %s' lets it run on", vm->name) : NULL);
}

/* A QEMU that died in postmigrate has left memory and state that fit together. */
static int dead(struct vm *vm, struct err *err)
{
	return fail(err, -ESRCH, .what = "VM", .value = vm->name,
		    .why = "its QEMU is gone; its state is saved",
		    .remedy = fmt("'cpr-helper restore %s'", vm->name));
}

/* QEMU's settings, once: from here on they are their owner's again. */
static void put_back(struct vm *vm)
{
	_cleanup_err_ struct err why = { 0 };

	migration_cancel(vm->qemu.qmp);
	if (migration_reset(vm->qemu.qmp, jget(vm->manifest, "previous"), &why) < 0)
		note("VM '%s': QEMU's settings for migrations are not what they were: %s",
		     vm->name, why.why);
	json_object_object_del(vm->manifest, "previous");
}

/*
 * QEMU cannot go from postmigrate to paused without letting the guest run in
 * between. So a guest that was paused stays there, and its state stays valid.
 */
static int resume(struct vm *vm, bool live, struct err *err)
{
	_cleanup_free_ char *status = NULL;
	int r;

	put_back(vm);
	if (!live)
		return vm_manifest_save(vm, err);
	pause_abort(vm);
	r = guest_resume(vm->qemu.qmp, err);
	pause_mark(vm, "resume");
	if (r == 0)
		r = forget_saved(vm, err);
	return r < 0 ? r : guest_watch(vm->qemu.qmp, GUEST_WATCH_S, &status, err);
}

/* A save that was cut short: the module never heard of it. */
static int check_unfinished(struct vm *vm, const char *status, struct err *err)
{
	if (streq(status, "suspended") && manifest_suspended(vm->manifest))
		return 0;
	if (streq(status, "postmigrate") || streq(status, "finish-migrate"))
		return 0;
	return wrong_state(vm, err);
}

/* One that slept when it was saved goes on in another QEMU: see rouse_vm(). */
static int abort_asleep(struct vm *vm, const char *status, struct json_object *result,
			struct err *err)
{
	bool wake = manifest_suspended(vm->manifest);
	int r = vm->info.state == CPR_VM_STATE_SAVED ? 0 : check_unfinished(vm, status, err);

	if (r < 0)
		return r;
	put_back(vm);
	r = rouse_vm(vm, result, err);
	if (r < 0)
		return r;
	if (!jstr(result, "runstate"))
		jset_str(result, "runstate", jstr(vm->manifest, "runstate"));
	say("%s: the guest %s", vm->name, wake ? "runs on" : "sleeps on");
	return 0;
}

static int abort_attached(struct vm *vm, struct json_object *result, struct err *err)
{
	_cleanup_free_ char *status = NULL;
	const char *runstate = jstr(vm->manifest, "runstate");
	bool live = !runstate || runstate_live(runstate);
	int r = qmp_status(vm->qemu.qmp, &status, err);

	if (r == 0 && manifest_asleep(vm->manifest))
		return abort_asleep(vm, status, result, err);
	if (r == 0)
		r = vm->info.state == CPR_VM_STATE_SAVED ? vm_do(vm, CPR_CMD_VM_PIN, err) :
		    check_unfinished(vm, status, err);
	if (r == 0)
		r = resume(vm, live, err);
	if (r < 0)
		return r;
	jset_str(result, "runstate", live ? "running" : "paused");
	say("%s: %s", vm->name, live ? "the guest runs on" : "the guest stays paused");
	return 0;
}

int abort_vm(struct vm *vm, struct json_object *result, struct err *err)
{
	int r;

	if (vm->info.state != CPR_VM_STATE_SAVED && vm->info.state != CPR_VM_STATE_RUNNING)
		return wrong_state(vm, err);
	r = vm_manifest(vm, err);
	if (r < 0)
		return r;
	r = vm_attach(vm, vm->info.state == CPR_VM_STATE_SAVED ? NULL : err);
	if (r == -ESRCH && vm->info.state == CPR_VM_STATE_SAVED)
		return dead(vm, err);
	if (r < 0)
		return fail(err, r, .what = "VM", .value = vm->name,
			    .why = "its QEMU does not answer");
	r = abort_attached(vm, result, err);
	if (r == 0)
		jset(result, "pause", pause_json(vm->manifest));
	return r;
}

static bool want_abort(const struct cpr_vm *vm)
{
	return vm->state == CPR_VM_STATE_SAVED;
}

static int abort_one(struct vm *vm, const struct args *args, struct json_object *result,
		     struct err *err)
{
	(void)args;
	return abort_vm(vm, result, err);
}

static int run_abort(const struct args *args, struct err *err)
{
	static const struct each each = {
		.want = want_abort, .one = abort_one, .nothing = "no VM is saved",
		.verb = "aborted",
	};

	int r, host = args->dry_run ? -1 : host_lock(false, err);

	if (host < 0 && !args->dry_run)
		return host;
	r = for_each_vm(&each, args, err);
	if (host >= 0)
		close(host);
	return r;
}

const struct cmd cmd_abort = {
	.name = "abort",
	.synopsis = "NAME|--all",
	.summary = "undo a save: the guest runs on",
	.opts = {
		{ "all", NULL, "every VM that is saved" },
	},
	.max_args = 1,
	.dry_run = true,
	.run = run_abort,
};
