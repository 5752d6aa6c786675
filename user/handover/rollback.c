// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/interrupt.h"
#include "base/out.h"
#include "qemu/migration.h"
#include "qemu/suspend.h"
#include "vm/manifest.h"
#include "handover/commit.h"
#include "handover/copycommand.h"
#include "handover/copymode.h"
#include "handover/pause.h"
#include "handover/restore.h"
#include "handover/rollback.h"
#include "handover/seal.h"

#define TIMED_OUT_S 5	/* for the next reply of a QEMU that has just timed out */

/*
 * QEMU has written the state, but the save was not completed. A suspended guest resumes only
 * by a restore, and that needs a completed save. Nothing is lost while QEMU waits.
 */
static int rollback_commit(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *part = vm_part_path(vm);
	_cleanup_free_ char *state = vm_state_path(vm);
	int r;

	if (vm->info.state == CPR_VM_STATE_SAVED)
		return 0;
	if (jget(vm->manifest, "saved")) {
		/* "saved" may be in memory only, and a restore reads the file. */
		r = vm_manifest_save(vm, err);
		return r < 0 ? r : vm_do(vm, CPR_CMD_VM_SAVE, err);
	}
	if (access(part, F_OK) < 0 && rename(state, part) < 0)
		return fail(err, -errno, .what = "state file", .value = state,
			    .why = strerror(errno));
	return commit_state(vm, part, jstr(vm->manifest, "runstate"), NULL, err);
}

/* QEMU has written no state: the guest is suspended, perhaps stopped as well, or runs. */
static int rollback_wake(struct vm *vm, const char *status, struct err *err)
{
	struct qmp *qmp = vm->qemu.qmp;
	int r = vm_runstate_live(status) ? 0 : qmp_run(qmp, "cont", NULL, NULL, err);

	if (r == 0 && !streq(status, "running") && manifest_suspended(vm->manifest))
		r = guest_wake(qmp, err);
	pause_mark(vm, "resume");
	return r < 0 ? r : commit_discard(vm, err);
}

int rollback_by_restore(struct vm *vm, struct json_object *result, struct err *err)
{
	struct restore_opts opts = RESTORE_DEFAULT;

	pause_abort(vm);
	opts.old_qemu = access(jstr(vm->manifest, "binary"), X_OK) == 0;
	return restore_vm(vm, &opts, result, err);
}

int rollback_suspended(struct vm *vm, struct json_object *result, struct err *err)
{
	_cleanup_free_ char *status = NULL;
	bool deferred;
	int r = qmp_status(vm->qemu.qmp, &status, err);

	if (r < 0)
		return r;
	pause_abort(vm);
	if (!streq(status, "postmigrate"))
		return rollback_wake(vm, status, err);
	/* Interrupted in between, the guest would stay suspended. */
	deferred = interrupt_defer(true);
	r = rollback_commit(vm, err);
	if (r == 0)
		r = seal_vm(vm, err);
	if (r == 0)
		r = rollback_by_restore(vm, result, err);
	interrupt_defer(deferred);
	return r;
}

static void rollback_try_suspended(struct vm *vm)
{
	_cleanup_json_ struct json_object *result = json_object_new_object();
	_cleanup_err_ struct err why = { 0 };

	if (rollback_suspended(vm, result, &why) < 0)
		note("VM '%s': the guest stays suspended: %s: %s; see 'cpr-helper show %s'",
		     vm->name, why.what, why.why, vm->name);
	else if (jget(result, "pid"))
		say("%s: restored, the guest is %s", vm->name, jstr(result, "runstate"));
}

/* A write that is not cancelled may take long, and the guest stands still meanwhile. */
static void rollback_note_wait(struct vm *vm)
{
	_cleanup_free_ char *status = NULL;

	if (qmp_status(vm->qemu.qmp, &status, NULL) == 0 && streq(status, "finish-migrate"))
		note("VM '%s': its QEMU completes the migration; then the guest runs on", vm->name);
}

int rollback_migration(struct vm *vm, char **status, struct err *err)
{
	struct migration_way way = copymode_way(vm);
	bool whole = way.kind == MIGRATION_COPY;
	_cleanup_err_ struct err why = { 0 };
	int r;

	if (whole)
		rollback_note_wait(vm);
	r = migration_end(vm->qemu.qmp, !whole, status, err);
	if (r < 0)
		return r;
	if (migration_reset(vm->qemu.qmp, jget(vm->manifest, "previous"), &why) < 0)
		note("VM '%s': QEMU's settings for migrations are not reset: %s", vm->name,
		     why.why);
	json_object_object_del(vm->manifest, "previous");
	return 0;
}

/* Use a shorter timeout for a QEMU that has just timed out. */
static bool rollback_qemu_answers(struct vm *vm, int code)
{
	_cleanup_free_ char *status = NULL;
	struct qmp *qmp = vm->qemu.qmp;
	int r;

	qmp->js->interruptible = false;
	qmp->patience = code == -ETIMEDOUT ? TIMED_OUT_S : QMP_TIMEOUT_S;
	r = qmp_status(qmp, &status, NULL);
	qmp->patience = QMP_TIMEOUT_S;
	if (r == -ETIMEDOUT)
		note("VM '%s': its QEMU does not answer; once it does, 'cpr-helper abort %s' lets the "
		     "guest run on", vm->name, vm->name);
	return r == 0;
}

/*
 * If QEMU has ended, the guest is lost, unless QEMU had written the whole state: then state
 * and memory match, because the vCPUs had stopped before.
 */
static void rollback_salvage(struct vm *vm)
{
	_cleanup_err_ struct err why = { 0 };

	if (!copycommand_used(vm) && rollback_commit(vm, &why) == 0)
		note("VM '%s': its QEMU has ended, but its state is whole; 'cpr-helper abort %s' brings "
		     "the guest back in another QEMU", vm->name, vm->name);
	else
		note("VM '%s': its QEMU has ended; see 'cpr-helper show %s'", vm->name, vm->name);
}

/* The module may have moved the VM although it reported an error. */
static void rollback_pin(struct vm *vm)
{
	_cleanup_err_ struct err why = { 0 };

	if (vm_refresh(vm, &why) == 0 && vm->info.state == CPR_VM_STATE_SAVED)
		vm_do(vm, CPR_CMD_VM_PIN, &why);
	if (why.set)
		note("VM '%s': it stays '%s': %s", vm->name, cpr_state_name(vm->info.state), why.why);
}

static void rollback_resume(struct vm *vm, bool live, const char *now)
{
	if (live && !vm_runstate_live(now) && qmp_run(vm->qemu.qmp, "cont", NULL, NULL, NULL) < 0)
		note("VM '%s': the guest does not run on; see 'cpr-helper show %s'", vm->name,
		     vm->name);
	else if (!live && streq(now, "postmigrate"))
		note("VM '%s': the guest stays paused, and must run before it can be saved again",
		     vm->name);
}

void rollback_save(struct vm *vm, const char *runstate, int code, struct err *err)
{
	_cleanup_free_ char *now = NULL;

	qemu_log_tail(vm->name, vm->qemu.log_from, err);
	copycommand_kill(vm);
	if (!rollback_qemu_answers(vm, code)) {
		if (qemu_has_exited(&vm->qemu))
			rollback_salvage(vm);
		return;
	}
	if (rollback_migration(vm, &now, NULL) < 0) {
		note("VM '%s': its QEMU does not end the migration; once it does, 'cpr-helper abort %s' "
		     "lets the guest run on", vm->name, vm->name);
		return;
	}
	if (manifest_asleep(vm->manifest)) {
		rollback_try_suspended(vm);
		return;
	}
	rollback_pin(vm);
	rollback_resume(vm, vm_runstate_live(runstate), now);
	pause_mark(vm, "resume");
	pause_abort(vm);
	commit_discard(vm, NULL);
}
