// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/crew.h"
#include "base/faultpoint.h"
#include "base/interrupt.h"
#include "base/out.h"
#include "base/paths.h"
#include "qemu/attributes.h"
#include "qemu/guestcpu.h"
#include "qemu/inquire.h"
#include "qemu/migration.h"
#include "qemu/qga.h"
#include "qemu/resume.h"
#include "qemu/suspend.h"
#include "vm/cprfs.h"
#include "vm/devices.h"
#include "vm/disks.h"
#include "vm/drives.h"
#include "vm/dma.h"
#include "vm/manifest.h"
#include "vm/oom.h"
#include "handover/commit.h"
#include "handover/copycommand.h"
#include "handover/copymode.h"
#include "handover/hooks.h"
#include "handover/integrity.h"
#include "handover/pause.h"
#include "handover/restore.h"

#define AGENT_S 5		/* for the agent of a guest that was running */
#define AGENT_WOKEN_S 30	/* for the agent of a guest that was just woken */
#define INMIGRATE_S 10		/* for QEMU to leave "inmigrate" once the state is loaded */

static int restore_wrong_state(struct vm *vm, struct err *err)
{
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = fmt("it is %s, there is nothing to restore",
			       cpr_state_name(vm->info.state)),
		    .remedy = vm->info.state == CPR_VM_STATE_SAVED ?
		    fmt("'cpr-helper abort %s' resumes the guest", vm->name) :
		    vm->info.state == CPR_VM_STATE_LOST ?
		    fmt("its state was not saved; 'cpr-helper delete %s' frees its memory",
			vm->name) : NULL);
}

/* Memory and state still match if QEMU ended in postmigrate. */
static int restore_seal_dead(struct vm *vm, struct err *err)
{
	int r = qemu_attach(vm->name, QEMU_ATTACH_S, &vm->qemu, err);

	if (r == 0)
		return restore_wrong_state(vm, err);
	return r == -ESRCH ? integrity_commit(vm, CPR_CMD_VM_SEAL, err) : r;
}

/*
 * An earlier restore was interrupted or killed. Its QEMU may still run; the guest has not
 * run, because the module allows that only once the VM is pinned.
 */
static int restore_unclaim_stale(struct vm *vm, struct err *err)
{
	qemu_kill_vm(vm->name);
	return integrity_commit(vm, CPR_CMD_VM_UNCLAIM, err);
}

static int restore_make_sealed(struct vm *vm, struct err *err)
{
	switch (vm->info.state) {
	case CPR_VM_STATE_SEALED:
	case CPR_VM_STATE_HELD:
		return 0;
	case CPR_VM_STATE_SAVED:
		return restore_seal_dead(vm, err);
	case CPR_VM_STATE_RESTORING:
		return restore_unclaim_stale(vm, err);
	default:
		return restore_wrong_state(vm, err);
	}
}

static int restore_start_qemu(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_free_ char *machine = xasprintf("type=%s", jstr(vm->manifest, "machine"));
	const char *extra[] = { "-machine", machine, "-incoming", "defer", NULL };
	struct qemu_command cmd = {
		.vm = vm->name, .user = jget(vm->manifest, "user"),
		.binary = restorable_binary(vm, opts),
		.cwd = jstr(vm->manifest, "cwd"), .argv = &argv,
		.attributes = jget(vm->manifest, "process"), .extra = extra,
	};
	int r;

	manifest_argv(vm->manifest, &argv);
	r = qemu_start(&cmd, &vm->qemu, err);
	if (r == 0)
		oom_spare(vm);
	return r;
}

/* The migration is "completed" before the guest has left the runstate "inmigrate". */
static int restore_await_loaded(struct qmp *qmp, struct err *err)
{
	_cleanup_free_ char *status = NULL;

	return migration_await_other_status(qmp, "inmigrate", deadline_in(INMIGRATE_S), &status,
					    err);
}

static int restore_load(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	_cleanup_json_ struct json_object *previous = NULL;
	_cleanup_free_ char *path = vm_state_path(vm);
	struct migration_way way = copymode_load_way(vm);
	struct qmp *qmp = vm->qemu.qmp;
	double extra = copymode_patience(jint(jget(vm->manifest, "saved"), "seconds", 0));
	int r = migration_setup(qmp, &way, &previous, err);

	if (r == 0)
		r = copycommand_used(vm) ? copycommand_load(vm, err) : migration_load(qmp, path, err);
	if (r < 0)
		return r;
	qmp->js->interruptible = true;
	r = migration_wait(qmp, deadline_in(opts->timeout + extra), err);
	qmp->js->interruptible = false;
	if (r == 0)
		r = restore_await_loaded(qmp, err);
	return r < 0 ? r : migration_reset(qmp, previous, err);
}

/* dma_verify() has put its verdict into the manifest, and @changed says that more has changed. */
static void restore_keep_verdict(struct vm *vm, bool changed)
{
	_cleanup_err_ struct err why = { 0 };

	if ((changed || vm_has_devices(vm)) && vm_manifest_save(vm, &why) < 0)
		note("VM '%s': %s: %s", vm->name, why.what, why.why);
}

static void restore_undo(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	_cleanup_err_ struct err why = { 0 };
	bool changed = replace_changed(opts->replace);

	qemu_log_tail(vm->name, vm->qemu.log_from, err);
	qemu_kill(&vm->qemu);
	replace_undo(vm, opts->replace);
	restore_keep_verdict(vm, changed);
	if (integrity_commit(vm, CPR_CMD_VM_UNCLAIM, &why) < 0)
		note("VM '%s': it stays '%s': %s", vm->name, cpr_state_name(vm->info.state),
		     why.why);
}

/*
 * The guest has not run: state and memory are still as they were saved. But the module has
 * dropped its record of what the devices reach. A VM that is sealed without that record is
 * never restored, because nothing could be verified. So if there is no new record, the QEMU
 * that has everything loaded is kept as long as it lives: see restore_finish().
 */
static void restore_seal_again(struct vm *vm, struct err *err)
{
	_cleanup_err_ struct err why = { 0 };

	qemu_log_tail(vm->name, vm->qemu.log_from, err);
	if (dma_snapshot(vm, &why) < 0 && !qemu_has_exited(&vm->qemu)) {
		note("VM '%s': it stays 'running' and its guest stopped, because what its devices reach "
		     "cannot be recorded: %s; 'cpr-helper restore %s' completes the restore",
		     vm->name, why.why, vm->name);
		return;
	}
	if (why.set)
		note("VM '%s': QEMU has exited before it could be recorded what the devices reach: its "
		     "state and memory are whole, but cannot be restored with devices", vm->name);
	err_clear(&why);
	qemu_kill(&vm->qemu);
	if (vm_do(vm, CPR_CMD_VM_SAVE, &why) < 0 ||
	    integrity_commit(vm, CPR_CMD_VM_SEAL, &why) < 0)
		note("VM '%s': it stays '%s': %s", vm->name, cpr_state_name(vm->info.state),
		     why.why);
}

/* The guest's clock stood still during the handover. No other guest waits for this one's agent. */
static void restore_set_clock(struct vm *vm, double patience, struct json_object *result)
{
	_cleanup_err_ struct err why = { 0 };
	_cleanup_free_ char *path = manifest_agent(vm->manifest);
	bool ok;

	if (!path)
		return;
	qemu_release(&vm->qemu);	/* its monitor has one client at a time */
	crew_job_waits();
	ok = qga_set_time(path, jget(vm->manifest, "user"), deadline_in(patience), &why) == 0;
	jset_bool(result, "clock_set", ok);
	if (!ok)
		note("VM '%s': the guest's clock was not set: %s '%s': %s", vm->name, why.what,
		     why.value ? why.value : path, why.why);
}

/* The manifest names the new QEMU, and no saved state any more. */
static void restore_record(struct vm *vm, const struct restore_opts *opts)
{
	_cleanup_err_ struct err why = { 0 };
	_cleanup_free_ char *version = NULL, *binary = xstrdup(restorable_binary(vm, opts));

	inquire_inventory(vm->qemu.qmp, vm->manifest, NULL);
	if (qemu_version(vm->qemu.qmp, &version, NULL) == 0) {
		jset_str(vm->manifest, "binary", binary);
		jset_str(vm->manifest, "qemu_version", version);
	}
	if (commit_discard(vm, &why) < 0)
		note("VM '%s': %s: %s", vm->name, why.what, why.why);
}

/*
 * The guest may have run, so that its memory is newer than the saved state. The VM stays
 * running, and a running VM is never sealed with a state that is there already.
 */
static void restore_spent(struct vm *vm, int code, struct err *err)
{
	_cleanup_err_ struct err why = *err;

	*err = (struct err){ 0 };
	if (code != -ECONNRESET && !qemu_has_exited(&vm->qemu)) {
		fail(err, code, .what = "QEMU", .value = why.value,
		     .why = fmt("%s: it is not known whether the guest runs", why.why),
		     .remedy = fmt("once QEMU answers, 'cpr-helper restore %s' completes the "
				   "restore", vm->name));
		return;
	}
	fail(err, code, .what = "VM", .value = vm->name,
	     .why = "its QEMU ended after it was told to let the guest run; the guest may have "
		    "run, and its saved state is not loaded a second time",
	     .remedy = fmt("the guest is lost, its memory is kept: copy what you need from "
			   CPRFS_ROOT "/%s, then 'cpr-helper delete --force %s'",
			   vm->name, vm->name));
	qemu_log_tail(vm->name, vm->qemu.log_from, err);
}

static int restore_resume(struct vm *vm, const struct restore_opts *opts, bool live,
			  struct err *err)
{
	bool ran = false;
	/* The state is loaded: what was replaced is on record before the guest may run. */
	int r = replace_changed(opts->replace) ? vm_manifest_save(vm, err) : 0;

	if (r == 0)
		r = vm_do(vm, CPR_CMD_VM_PIN, err);
	if (r < 0) {
		restore_undo(vm, opts, err);
		return r;
	}
	restore_keep_verdict(vm, false);
	attributes_apply(jget(vm->manifest, "process"), &vm->qemu, vm->name);
	r = faultpoint("restore-pinned", vm->name, err);
	if (r == 0 && live)
		r = guest_resume(vm->qemu.qmp, &ran, err);
	if (r < 0 && ran)
		restore_spent(vm, r, err);
	else if (r < 0)
		restore_seal_again(vm, err);
	return r < 0 ? r : faultpoint("restore-resumed", vm->name, err);
}

static int restore_claim_and_load(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	int r;

	if (interrupted())
		return fail(err, -EINTR, .what = "VM", .value = vm->name, .why = "interrupted");
	r = vm_do(vm, CPR_CMD_VM_CLAIM, err);
	if (r < 0)
		return r;
	r = faultpoint("restore-claimed", vm->name, err);
	if (r == 0 && vm_has_devices(vm))
		r = vm_do(vm, CPR_CMD_VM_RELEASE, err);
	pause_mark(vm, "ready");
	if (r == 0)
		r = restore_start_qemu(vm, opts, err);
	pause_mark(vm, "start");
	if (r == 0)
		r = guestcpu_check(jget(vm->manifest, "cpu"), vm->qemu.qmp, vm->name, err);
	if (r == 0)
		r = drives_put_back(jget(vm->manifest, "drives"), vm->qemu.qmp, err);
	if (r == 0)
		r = disks_check_opened(vm, restorable_disks(vm), opts->forced, err);
	if (r == 0)
		r = faultpoint("restore-started", vm->name, err);
	if (r == 0)
		r = restore_load(vm, opts, err);
	pause_mark(vm, "load");
	if (r == 0)
		r = dma_verify(vm, err);
	pause_mark(vm, "verify");
	if (r == 0)
		r = faultpoint("restore-loaded", vm->name, err);
	if (r < 0)
		restore_undo(vm, opts, err);
	return r;
}

/* Check the guest before its saved state is removed. */
static int restore_complete(struct vm *vm, bool live, const struct restore_opts *opts,
			    struct json_object *result, struct err *err)
{
	bool wake = manifest_suspended(jget(vm->manifest, "saved"));
	bool ran = wake || (live && !manifest_asleep(jget(vm->manifest, "saved")));
	_cleanup_free_ char *status = NULL;
	int r = wake ? guest_wake(vm->qemu.qmp, err) : 0;

	pause_mark(vm, "resume");
	if (r < 0)
		return r;
	r = live ? guest_watch(vm->qemu.qmp, GUEST_WATCH_S, &status, err) :
	    qmp_status(vm->qemu.qmp, &status, err);
	if (r < 0) {
		qemu_log_tail(vm->name, vm->qemu.log_from, err);
		return r;
	}
	jset_int(result, "pid", vm->qemu.pid);
	jset_str(result, "runstate", status);
	restore_record(vm, opts);
	jset(result, "pause", pause_json(vm->manifest));
	if (ran)
		restore_set_clock(vm, wake ? AGENT_WOKEN_S : AGENT_S, result);
	return 0;
}

static int restore_sealed(struct vm *vm, const struct restore_opts *opts,
			  struct json_object *result, struct err *err)
{
	int64_t begin = now_ms();
	bool live;
	int r = restorable_check(vm, opts, err);

	if (r == 0)
		r = devices_ready(vm, err);
	if (r == 0)
		r = restore_claim_and_load(vm, opts, err);
	if (r < 0)
		return r;
	live = vm_runstate_live(jstr(jget(vm->manifest, "saved"), "runstate"));
	r = restore_resume(vm, opts, live, err);
	if (r < 0)
		return r;
	jset_int(result, "ms", now_ms() - begin);
	return restore_complete(vm, live, opts, result, err);
}

/* The hooks make what is checked; of the manifest, which they may read, it is known already. */
static int restore_saved(struct vm *vm, const struct restore_opts *opts,
			 struct json_object *result, struct err *err)
{
	int r = restore_make_sealed(vm, err);

	if (r == 0)
		r = restorable_manifest(vm, opts, err);
	if (r == 0)
		r = hooks_before(vm, "restore", err);
	return r < 0 ? r : hooks_after(vm, "restore", restore_sealed(vm, opts, result, err));
}

int restore_finish(struct vm *vm, struct json_object *result, struct err *err)
{
	const char *proven = jstr(jget(jget(vm->manifest, "saved"), "qemu"), "binary");
	_cleanup_free_ char *exe = xasprintf("/proc/%d/exe", (int)vm->qemu.pid);
	_cleanup_free_ char *running = realpath(exe, NULL), *status = NULL;
	struct restore_opts opts = RESTORE_DEFAULT;
	int r = qmp_status(vm->qemu.qmp, &status, err);

	if (r == 0 && (streq(status, "postmigrate") || streq(status, "finish-migrate")))
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
			    .why = "its save was interrupted",
			    .remedy = fmt("'cpr-helper abort %s'", vm->name));
	opts.old_qemu = !proven || !running || !streq(running, proven);
	if (r == 0 && streq(status, "paused"))
		r = guest_resume(vm->qemu.qmp, NULL, err);
	return r < 0 ? r : restore_complete(vm, true, &opts, result, err);
}

/* A restore was killed after it had pinned the VM: see restore_finish(). */
static bool restore_is_loaded(const struct cpr_vm *vm)
{
	_cleanup_free_ char *dir = vm_path(vm->name, NULL);
	_cleanup_json_ struct json_object *manifest = NULL;

	return vm->state == CPR_VM_STATE_RUNNING && manifest_read(dir, &manifest, NULL) == 0 &&
	       vm_runstate_live(jstr(jget(manifest, "saved"), "runstate"));
}

bool restore_wanted(const struct cpr_vm *vm)
{
	return vm->state == CPR_VM_STATE_SEALED || vm->state == CPR_VM_STATE_HELD ||
	       vm->state == CPR_VM_STATE_RESTORING || restore_is_loaded(vm);
}

int restore_vm(struct vm *vm, const struct restore_opts *opts, struct json_object *result,
	       struct err *err)
{
	int r;

	vm->full |= opts->full;
	if (!restore_is_loaded(&vm->info))
		return restore_saved(vm, opts, result, err);
	r = vm_manifest(vm, err);
	if (r == 0)
		r = vm_attach(vm, err);
	if (r == 0)
		r = hooks_before(vm, "restore", err);
	return r < 0 ? r : hooks_after(vm, "restore", restore_finish(vm, result, err));
}

int restore_check(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	int r;

	if (!restore_wanted(&vm->info) && vm->info.state != CPR_VM_STATE_SAVED)
		return restore_wrong_state(vm, err);
	/* restore_vm() would first undo what an earlier command has begun. */
	if (vm->info.state != CPR_VM_STATE_SEALED && vm->info.state != CPR_VM_STATE_HELD)
		return 0;
	if (!cprfs_mounted()) {
		note("VM '%s': its files are not checked: " CPRFS_ROOT " is not mounted", vm->name);
		return 0;
	}
	r = restorable_manifest(vm, opts, err);
	if (r == 0)
		r = hooks_check(err);
	if (r < 0)
		return r;
	r = restorable_check(vm, opts, err);
	if (r < 0 && hooks_exist())
		note("VM '%s': no hook has run, which may make what is missing", vm->name);
	return r;
}
