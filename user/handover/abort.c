// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/faultpoint.h"
#include "base/paths.h"
#include "host/kexec.h"
#include "qemu/migration.h"
#include "qemu/resume.h"
#include "vm/manifest.h"
#include "handover/abort.h"
#include "handover/commit.h"
#include "handover/copycommand.h"
#include "handover/hooks.h"
#include "handover/pause.h"
#include "handover/restore.h"
#include "handover/rollback.h"

static int abort_wrong_state(struct vm *vm, struct err *err)
{
	bool held = vm->info.state == CPR_VM_STATE_HELD;

	return fail(err, held ? -EBUSY : -ENOENT, .exit = held ? CPR_EXIT_BUSY : CPR_EXIT_NOTFOUND,
		    .what = "VM", .value = vm->name,
		    .why = fmt("it is %s, and %s", cpr_state_name(vm->info.state),
			       held ? "was saved under another kernel" : "there is nothing to abort"),
		    .remedy = held ? fmt("'cpr-helper restore %s' resumes it", vm->name) : NULL);
}

/*
 * For a VM that the module has as running: whether a save was interrupted, or a restore
 * after the guest might run. A paused guest keeps its saved state after an abort, see
 * abort_keep_paused().
 */
static bool abort_is_needed(const char *name, struct json_object *manifest)
{
	_cleanup_free_ char *part = vm_path(name, STATE_PART);
	struct json_object *saved = jget(manifest, "saved");

	return jget(manifest, "saving") || manifest_suspended(manifest) ||
	       (saved && vm_runstate_live(jstr(saved, "runstate"))) || access(part, F_OK) == 0;
}

/* @question: or also whether a command was killed that had only asked QEMU. */
static bool abort_finds(const struct cpr_vm *vm, bool question)
{
	_cleanup_free_ char *dir = vm_path(vm->name, NULL);
	_cleanup_json_ struct json_object *manifest = NULL;

	if (vm->state != CPR_VM_STATE_RUNNING)
		return vm->state == CPR_VM_STATE_SAVED || vm->state == CPR_VM_STATE_SEALED ||
		       vm->state == CPR_VM_STATE_RESTORING;
	return manifest_read(dir, &manifest, NULL) == 0 &&
	       ((question && jget(manifest, "asked")) || abort_is_needed(vm->name, manifest));
}

bool abort_wanted(const struct cpr_vm *vm)
{
	return abort_finds(vm, true);
}

bool abort_comes_first(const struct cpr_vm *vm)
{
	return abort_finds(vm, false);
}

/*
 * QEMU leaves postmigrate only by running the guest. So a guest that was paused stays in
 * postmigrate, and its saved state stays valid.
 */
static int abort_keep_paused(struct vm *vm, struct err *err)
{
	return jget(vm->manifest, "saved") ? vm_manifest_save(vm, err) : commit_discard(vm, err);
}

static int abort_resume(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *status = NULL;
	int r;

	pause_abort(vm);
	r = guest_resume(vm->qemu.qmp, NULL, err);
	pause_mark(vm, "resume");
	if (r == 0)
		r = faultpoint("abort-resumed", vm->name, err);
	if (r == 0)
		r = commit_discard(vm, err);
	return r < 0 ? r : guest_watch(vm->qemu.qmp, GUEST_WATCH_S, &status, err);
}

/* rollback_suspended() leaves @result empty if the guest did not have to be restored. */
static int abort_suspended_guest(struct vm *vm, struct json_object *result, struct err *err)
{
	bool wake = manifest_suspended(vm->manifest);
	int r = rollback_suspended(vm, result, err);

	if (r == 0 && !jget(result, "runstate"))
		jset_str(result, "runstate", wake ? "running" : "suspended");
	return r;
}

static int abort_guest(struct vm *vm, struct json_object *result, struct err *err)
{
	const char *runstate = jstr(vm->manifest, "runstate");
	bool live = !runstate || vm_runstate_live(runstate);
	int r = live ? abort_resume(vm, err) : abort_keep_paused(vm, err);

	if (r == 0)
		jset_str(result, "runstate", live ? "running" : "paused");
	return r;
}

static int abort_no_answer(struct vm *vm, int code, struct err *err)
{
	return fail(err, code, .what = "VM", .value = vm->name, .why = "its QEMU does not answer",
		    .remedy = fmt("nothing is lost; once QEMU answers, 'cpr-helper abort %s' lets "
				  "the guest run on", vm->name));
}

/* The migration goes on and must not be cancelled: see migration_end(). */
static int abort_still_writing(struct vm *vm, int code, struct err *err)
{
	err_clear(err);
	return fail(err, code, .what = "VM", .value = vm->name,
		    .why = "its QEMU does not end the migration",
		    .remedy = fmt("nothing is lost; repair what QEMU writes to, then 'cpr-helper "
				  "abort %s' again", vm->name));
}

static int abort_saved(struct vm *vm, struct json_object *result, struct err *err)
{
	_cleanup_free_ char *status = NULL;
	int r = vm_attach(vm, NULL);

	if (r == -ESRCH)
		return rollback_by_restore(vm, result, err);
	if (r < 0)
		return abort_no_answer(vm, r, err);
	r = rollback_migration(vm, &status, err);
	if (r == 0 && manifest_asleep(vm->manifest))
		return abort_suspended_guest(vm, result, err);
	if (r == 0)
		r = vm_do(vm, CPR_CMD_VM_PIN, err);
	if (r == 0)
		r = faultpoint("abort-begun", vm->name, err);
	return r < 0 ? r : abort_guest(vm, result, err);
}

/* A save was interrupted while it asked QEMU: the guest has run all the time. */
static int abort_question(struct vm *vm, struct err *err)
{
	int r = migration_reset(vm->qemu.qmp, jget(vm->manifest, "asked"), err);

	if (r < 0)
		return r;
	json_object_object_del(vm->manifest, "asked");
	return vm_manifest_save(vm, err);
}

/*
 * A save was interrupted before it told the module, or a restore after it had pinned the
 * VM.
 */
static int abort_running(struct vm *vm, struct json_object *result, struct err *err)
{
	_cleanup_free_ char *status = NULL, *now = NULL;
	bool waits, loaded, asked = jget(vm->manifest, "asked");
	int r;

	copycommand_kill(vm);
	r = vm_attach(vm, NULL);
	if (r == -ESRCH)
		return vm_attach(vm, err);
	if (r == 0)
		r = qmp_status(vm->qemu.qmp, &status, NULL);
	if (r < 0)
		return abort_no_answer(vm, r, err);
	waits = streq(status, "postmigrate") || streq(status, "finish-migrate");
	loaded = vm_runstate_live(jstr(jget(vm->manifest, "saved"), "runstate"));
	r = asked && !waits ? abort_question(vm, err) : 0;
	if (r < 0)
		return r;
	if (!waits && !abort_is_needed(vm->name, vm->manifest)) {
		jset_str(result, "runstate", status);
		return asked ? 0 : abort_wrong_state(vm, err);
	}
	if (!waits && loaded)
		return restore_finish(vm, result, err);
	r = rollback_migration(vm, &now, err);
	if (r < 0)
		return abort_still_writing(vm, r, err);
	return manifest_asleep(vm->manifest) ? abort_suspended_guest(vm, result, err) :
	       abort_guest(vm, result, err);
}

int abort_vm(struct vm *vm, struct json_object *result, struct err *err)
{
	static int (*const undo[])(struct vm *vm, struct json_object *result, struct err *err) = {
		[CPR_VM_STATE_RUNNING] = abort_running,
		[CPR_VM_STATE_SAVED] = abort_saved,
		[CPR_VM_STATE_SEALED] = rollback_by_restore,
		[CPR_VM_STATE_RESTORING] = rollback_by_restore,
	};
	enum cpr_vm_state state = vm->info.state;
	int r;

	if ((size_t)state >= ARRAY_SIZE(undo) || !undo[state])
		return abort_wrong_state(vm, err);
	r = vm_manifest(vm, err);
	if (r < 0)
		return r;
	hooks_announce(vm, "abort");
	r = hooks_after(vm, "abort", undo[state](vm, result, err));
	if (r == 0)
		jset(result, "pause", pause_json(vm->manifest));
	return r;
}

int abort_check(struct vm *vm, struct err *err)
{
	return abort_wanted(&vm->info) ? hooks_check(err) : abort_wrong_state(vm, err);
}

bool abort_unload_kernel(void)
{
	if (!kexec_left())
		return false;
	kexec_unload();
	return true;
}
