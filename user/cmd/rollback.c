// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way back of a save, from wherever it was: QEMU as it was, and the guest running
 * if it ran. For a save that fails, and for abort.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/interrupt.h"
#include "base/paths.h"
#include "qemu/migration.h"
#include "qemu/suspend.h"
#include "vm/manifest.h"
#include "handover/commit.h"
#include "handover/copymode.h"
#include "handover/pause.h"
#include "handover/seal.h"
#include "cmd/cmd.h"

#define SILENT_S 5

/*
 * A save that was cut short once QEMU had written the state: from there the only
 * way on is through it. Nothing is lost while QEMU waits.
 */
static int complete(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *part = vm_part_path(vm);
	_cleanup_free_ char *state = vm_state_path(vm);
	int r;

	if (vm->info.state == CPR_VM_STATE_SAVED)
		return 0;
	if (jget(vm->manifest, "saved")) {
		/* It may be known here only: without it on file the guest would be lost. */
		r = vm_manifest_save(vm, err);
		return r < 0 ? r : vm_do(vm, CPR_CMD_VM_SAVE, err);
	}
	if (access(part, F_OK) < 0 && rename(state, part) < 0)
		return fail(err, -errno, .what = "state file", .value = state,
			    .why = strerror(errno));
	return commit_state(vm, part, jstr(vm->manifest, "runstate"), NULL, err);
}

/* No state was written: the guest sleeps, or was stopped while it did, or runs. */
static int wake_here(struct vm *vm, const char *status, struct err *err)
{
	struct qmp *qmp = vm->qemu.qmp;
	int r = runstate_live(status) ? 0 : qmp_run(qmp, "cont", NULL, NULL, err);

	if (r == 0 && !streq(status, "running") && manifest_suspended(vm->manifest))
		r = guest_wake(qmp, err);
	pause_mark(vm, "resume");
	return r < 0 ? r : commit_discard(vm, err);
}

int restore_back(struct vm *vm, struct json_object *result, struct err *err)
{
	struct restore_opts opts = RESTORE_DEFAULT;

	pause_abort(vm);
	opts.old_qemu = access(jstr(vm->manifest, "binary"), X_OK) == 0;
	return restore_vm(vm, &opts, result, err);
}

int rouse_vm(struct vm *vm, struct json_object *result, struct err *err)
{
	_cleanup_free_ char *status = NULL;
	bool deferred;
	int r = qmp_status(vm->qemu.qmp, &status, err);

	if (r < 0)
		return r;
	pause_abort(vm);
	if (!streq(status, "postmigrate"))
		return wake_here(vm, status, err);
	/* To stop on the way, as a signal may have asked, would leave the guest asleep. */
	deferred = interrupt_defer(true);
	r = complete(vm, err);
	if (r == 0)
		r = seal_vm(vm, err);
	if (r == 0)
		r = restore_back(vm, result, err);
	interrupt_defer(deferred);
	return r;
}

static void rouse(struct vm *vm)
{
	_cleanup_json_ struct json_object *unused = json_object_new_object();
	_cleanup_err_ struct err why = { 0 };

	if (rouse_vm(vm, unused, &why) < 0)
		note("VM '%s': the guest sleeps on: %s: %s; see 'cpr-helper show %s'", vm->name,
		     why.what, why.why ? why.why : "", vm->name);
}

/* What cannot be cut short may take its time, and the guest stands still. */
static void tell_wait(struct vm *vm)
{
	_cleanup_free_ char *status = NULL;

	if (qmp_status(vm->qemu.qmp, &status, NULL) == 0 && streq(status, "finish-migrate"))
		note("VM '%s': its QEMU writes on, for it would crash if it were stopped; the guest runs "
		     "on after that", vm->name);
}

int end_migration(struct vm *vm, char **status, struct err *err)
{
	struct migration_way way = copy_way(vm);
	bool whole = way.kind == MIGRATION_COPY;
	_cleanup_err_ struct err why = { 0 };
	int r;

	if (whole)
		tell_wait(vm);
	r = migration_end(vm->qemu.qmp, !whole, status, err);
	if (r < 0)
		return r;
	if (migration_reset(vm->qemu.qmp, jget(vm->manifest, "previous"), &why) < 0)
		note("VM '%s': QEMU's settings for migrations are not what they were: %s",
		     vm->name, why.why);
	json_object_object_del(vm->manifest, "previous");
	return 0;
}

/* One that has just not answered for long is not waited for as long again. */
static bool answers(struct vm *vm, int code)
{
	_cleanup_free_ char *status = NULL;
	struct qmp *qmp = vm->qemu.qmp;
	int r;

	qmp->js->interruptible = false;
	qmp->patience = code == -ETIMEDOUT ? SILENT_S : QMP_TIMEOUT_S;
	r = qmp_status(qmp, &status, NULL);
	qmp->patience = QMP_TIMEOUT_S;
	if (r == -ETIMEDOUT)
		note("VM '%s': its QEMU does not answer; once it does, 'cpr-helper abort %s' lets the "
		     "guest run on", vm->name, vm->name);
	return r == 0;
}

/*
 * A QEMU that has ended took the guest along, unless it had written all of its state:
 * then that and the memory fit together, as vCPUs had stopped before.
 */
static void salvage(struct vm *vm)
{
	_cleanup_err_ struct err why = { 0 };

	if (!copy_streams(vm) && complete(vm, &why) == 0)
		note("VM '%s': its QEMU has ended, but its state is whole; 'cpr-helper abort %s' brings "
		     "the guest back in another one", vm->name, vm->name);
	else
		note("VM '%s': its QEMU has ended; see 'cpr-helper show %s'", vm->name, vm->name);
}

/* The module may have heard of it, though the step was answered with an error. */
static void take_back(struct vm *vm)
{
	_cleanup_err_ struct err why = { 0 };

	if (vm_refresh(vm, &why) == 0 && vm->info.state == CPR_VM_STATE_SAVED)
		vm_do(vm, CPR_CMD_VM_PIN, &why);
	if (why.set)
		note("VM '%s': it stays '%s': %s", vm->name, cpr_state_name(vm->info.state), why.why);
}

static void let_run(struct vm *vm, bool live, const char *now)
{
	if (live && !runstate_live(now) && qmp_run(vm->qemu.qmp, "cont", NULL, NULL, NULL) < 0)
		note("VM '%s': the guest does not run on; see 'cpr-helper show %s'", vm->name,
		     vm->name);
	else if (!live && streq(now, "postmigrate"))
		note("VM '%s': the guest stays paused, and must run before it can be saved again",
		     vm->name);
}

void roll_back(struct vm *vm, const char *runstate, int code, struct err *err)
{
	_cleanup_free_ char *now = NULL;

	qemu_words(vm->name, vm->qemu.log_from, err);
	copy_end_command(vm);
	if (!answers(vm, code)) {
		if (qemu_has_ended(&vm->qemu))
			salvage(vm);
		return;
	}
	if (end_migration(vm, &now, NULL) < 0) {
		note("VM '%s': its QEMU does not end the migration; once it has, 'cpr-helper abort %s' "
		     "lets the guest run on", vm->name, vm->name);
		return;
	}
	if (manifest_asleep(vm->manifest)) {
		rouse(vm);
		return;
	}
	take_back(vm);
	let_run(vm, runstate_live(runstate), now);
	pause_mark(vm, "resume");
	pause_abort(vm);
	commit_discard(vm, NULL);
}
