// SPDX-License-Identifier: GPL-2.0-only
/*
 * abort: what save did is undone, and the guest runs on if it ran. So it is from
 * wherever a helper, or a QEMU, was killed: the module's state, the manifest and
 * QEMU's own tell how far it had come.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "base/faultpoint.h"
#include "base/paths.h"
#include "host/kernel.h"
#include "host/kexec.h"
#include "qemu/migration.h"
#include "qemu/resume.h"
#include "vm/lock.h"
#include "vm/manifest.h"
#include "handover/commit.h"
#include "handover/copymode.h"
#include "handover/pause.h"
#include "cmd/cmd.h"

static int wrong_state(struct vm *vm, struct err *err)
{
	bool held = vm->info.state == CPR_VM_STATE_HELD;

	return fail(err, held ? -EBUSY : -ENOENT, .exit = held ? CPR_EXIT_BUSY : CPR_EXIT_NOTFOUND,
		    .what = "VM", .value = vm->name,
		    .why = fmt("it is %s, and %s", cpr_state_name(vm->info.state),
			       held ? "was saved under another kernel" : "there is nothing to abort"),
		    .remedy = held ? fmt("'cpr-helper restore %s' lets it run on", vm->name) : NULL);
}

/*
 * In the directory of a VM that the module has as running: a save was cut short,
 * or a restore once the guest might run. A guest that was paused keeps its state
 * after an abort, see resume().
 */
static bool cut_short(const char *name, struct json_object *manifest)
{
	_cleanup_free_ char *part = vm_path(name, STATE_PART);
	struct json_object *saved = jget(manifest, "saved");

	return jget(manifest, "saving") || manifest_suspended(manifest) ||
	       (saved && runstate_live(jstr(saved, "runstate"))) || access(part, F_OK) == 0;
}

bool wants_abort(const struct cpr_vm *vm)
{
	_cleanup_free_ char *dir = vm_path(vm->name, NULL);
	_cleanup_json_ struct json_object *manifest = NULL;

	if (vm->state != CPR_VM_STATE_RUNNING)
		return vm->state == CPR_VM_STATE_SAVED || vm->state == CPR_VM_STATE_SEALED ||
		       vm->state == CPR_VM_STATE_RESTORING;
	return manifest_read(dir, &manifest, NULL) == 0 && cut_short(vm->name, manifest);
}

/*
 * QEMU cannot go from postmigrate to paused without letting the guest run in
 * between. So a guest that was paused stays there, and its state stays valid.
 */
static int stay_paused(struct vm *vm, struct err *err)
{
	return jget(vm->manifest, "saved") ? vm_manifest_save(vm, err) : commit_discard(vm, err);
}

static int resume(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *status = NULL;
	int r;

	pause_abort(vm);
	r = guest_resume(vm->qemu.qmp, err);
	pause_mark(vm, "resume");
	if (r == 0)
		r = faultpoint("abort-resumed", vm->name, err);
	if (r == 0)
		r = commit_discard(vm, err);
	return r < 0 ? r : guest_watch(vm->qemu.qmp, GUEST_WATCH_S, &status, err);
}

/* One that slept when it was saved goes on in another QEMU: see rouse_vm(). */
static int abort_asleep(struct vm *vm, struct json_object *result, struct err *err)
{
	bool wake = manifest_suspended(vm->manifest);
	int r = rouse_vm(vm, result, err);

	if (r < 0)
		return r;
	if (!jstr(result, "runstate"))
		jset_str(result, "runstate", jstr(vm->manifest, "runstate"));
	say("%s: the guest %s", vm->name, wake ? "runs on" : "sleeps on");
	return 0;
}

static int abort_awake(struct vm *vm, struct json_object *result, struct err *err)
{
	const char *runstate = jstr(vm->manifest, "runstate");
	bool live = !runstate || runstate_live(runstate);
	int r = live ? resume(vm, err) : stay_paused(vm, err);

	if (r < 0)
		return r;
	jset_str(result, "runstate", live ? "running" : "paused");
	say("%s: %s", vm->name, live ? "the guest runs on" : "the guest stays paused");
	return 0;
}

static int silent(struct vm *vm, int code, struct err *err)
{
	return fail(err, code, .what = "VM", .value = vm->name, .why = "its QEMU does not answer",
		    .remedy = fmt("nothing is lost; once it does, 'cpr-helper abort %s' lets the "
				  "guest run on", vm->name));
}

/* It goes on by itself, and must not be cut short: see migration_end(). */
static int still_writes(struct vm *vm, int code, struct err *err)
{
	err_clear(err);
	return fail(err, code, .what = "VM", .value = vm->name,
		    .why = "its QEMU does not end the migration",
		    .remedy = fmt("nothing is lost; see to what it writes to, then 'cpr-helper abort %s' "
				  "once more", vm->name));
}

static int abort_saved(struct vm *vm, struct json_object *result, struct err *err)
{
	_cleanup_free_ char *status = NULL;
	int r = vm_attach(vm, NULL);

	if (r == -ESRCH)
		return restore_back(vm, result, err);
	if (r < 0)
		return silent(vm, r, err);
	r = end_migration(vm, &status, err);
	if (r == 0 && manifest_asleep(vm->manifest))
		return abort_asleep(vm, result, err);
	if (r == 0)
		r = vm_do(vm, CPR_CMD_VM_PIN, err);
	if (r == 0)
		r = faultpoint("abort-begun", vm->name, err);
	return r < 0 ? r : abort_awake(vm, result, err);
}

/* A save was cut short, of which the module never heard; or a restore, once it was pinned. */
static int abort_running(struct vm *vm, struct json_object *result, struct err *err)
{
	_cleanup_free_ char *status = NULL, *now = NULL;
	bool waits, loaded;
	int r;

	copy_end_command(vm);
	r = vm_attach(vm, NULL);
	if (r == -ESRCH)
		return vm_attach(vm, err);
	if (r == 0)
		r = qmp_status(vm->qemu.qmp, &status, NULL);
	if (r < 0)
		return silent(vm, r, err);
	waits = streq(status, "postmigrate") || streq(status, "finish-migrate");
	loaded = runstate_live(jstr(jget(vm->manifest, "saved"), "runstate"));
	if (!waits && !cut_short(vm->name, vm->manifest))
		return wrong_state(vm, err);
	if (!waits && loaded)
		return finish_vm(vm, result, err);
	r = end_migration(vm, &now, err);
	if (r < 0)
		return still_writes(vm, r, err);
	return manifest_asleep(vm->manifest) ? abort_asleep(vm, result, err) :
	       abort_awake(vm, result, err);
}

int abort_vm(struct vm *vm, struct json_object *result, struct err *err)
{
	static int (*const undo[])(struct vm *vm, struct json_object *result, struct err *err) = {
		[CPR_VM_STATE_RUNNING] = abort_running,
		[CPR_VM_STATE_SAVED] = abort_saved,
		[CPR_VM_STATE_SEALED] = restore_back,
		[CPR_VM_STATE_RESTORING] = restore_back,
	};
	enum cpr_vm_state state = vm->info.state;
	int r;

	if ((size_t)state >= ARRAY_SIZE(undo) || !undo[state])
		return wrong_state(vm, err);
	r = vm_manifest(vm, err);
	if (r == 0)
		r = undo[state](vm, result, err);
	if (r == 0)
		jset(result, "pause", pause_json(vm->manifest));
	return r;
}

static int abort_one(struct vm *vm, const struct args *args, struct json_object *result,
		     struct err *err)
{
	(void)args;
	return abort_vm(vm, result, err);
}

static int check_one(struct vm *vm, const struct args *args, struct err *err)
{
	(void)args;
	return wants_abort(&vm->info) ? 0 : wrong_state(vm, err);
}

/* A kernel that an update has loaded, and was killed: no later reboot shall jump to it. */
static bool unload(void)
{
	if (!kexec_left())
		return false;
	kexec_unload();
	say("the next kernel is unloaded");
	return true;
}

static int abort_all(const struct each *each, const struct args *args, struct err *err)
{
	bool unloaded = unload();
	struct json_object *out;
	int r = for_each_vm(each, args, err);

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
		.want = wants_abort, .one = abort_one, .check = check_one,
		.nothing = "no VM is saved",
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
	.synopsis = "NAME|--all [--jobs N]",
	.summary = "undo a save, also one that was cut short: the guest runs on",
	.opts = {
		{ "all", NULL, "every VM with something to undo, and the loaded kernel" },
		JOBS_OPTION,
	},
	.max_args = 1,
	.dry_run = true,
	.run = run_abort,
};
