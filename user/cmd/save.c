// SPDX-License-Identifier: GPL-2.0-only
/*
 * save: QEMU stops the guest and writes its state beside its memory; QEMU stays
 * alive in postmigrate, from where abort can let the guest run on. Whatever
 * fails on the way, the guest runs on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "cmd.h"
#include "lib/copymode.h"
#include "lib/cprfs.h"
#include "lib/devices.h"
#include "lib/digest.h"
#include "lib/disks.h"
#include "lib/dma.h"
#include "lib/fault.h"
#include "lib/fit.h"
#include "lib/integrity.h"
#include "lib/interrupt.h"
#include "lib/manifest.h"
#include "lib/migration.h"
#include "lib/pause.h"
#include "lib/rehearsal.h"
#include "lib/size.h"
#include "lib/statefile.h"
#include "lib/suspend.h"

#define SILENT_S 5

static const char *const savable[] = { "running", "paused", "prelaunch", "suspended" };

static bool is_savable(const char *status)
{
	for (size_t i = 0; i < ARRAY_SIZE(savable); i++)
		if (streq(savable[i], status))
			return true;
	return false;
}

int forget_saved(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *state = vm_path(vm->name, STATE_FILE);
	_cleanup_free_ char *part = vm_path(vm->name, STATE_PART);

	pause_end(vm);
	copy_forget(vm);
	json_object_object_del(vm->manifest, "saved");
	json_object_object_del(vm->manifest, "suspended");
	json_object_object_del(vm->manifest, "saving");
	json_object_object_del(vm->manifest, "previous");
	unlink(state);
	unlink(part);
	return vm_manifest_save(vm, err);
}

static int check_state(struct vm *vm, struct err *err)
{
	if (vm->info.state == CPR_VM_STATE_RUNNING)
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = fmt("it is %s, not running", cpr_state_name(vm->info.state)),
		    .remedy = vm->info.state == CPR_VM_STATE_SAVED ?
		    "it is saved already; 'abort' lets it run on" : NULL);
}

/*
 * QEMU does not sync what it writes, and reports success for a short file. What is
 * not whole now must not be found out under the next kernel.
 */
static int check_file(struct vm *vm, const char *path, struct digest *digest, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = digest_fd(fd, digest);
	if (r < 0)
		return fail(err, r, .what = "state file", .value = path, .why = strerror(-r));
	return statefile_check(path, vm->manifest, false, NULL, err);
}

/* Where it is, and what proves it; of what a command took nothing does. */
static void record_file(struct vm *vm, const struct digest *digest, struct json_object *saved)
{
	const char *elsewhere = jstr(jget(vm->manifest, "target"), "file");

	if (manifest_copied(vm->manifest))
		jset_str(saved, "mode", RAM_MODE_COPY);
	if (copy_streams(vm))
		return;
	jset_str(saved, "file", elsewhere ? elsewhere : STATE_FILE);
	jset_int(saved, "size", digest->size);
	jset_str(saved, "digest", digest->text);
}

static void record(struct vm *vm, const struct digest *digest, const char *runstate)
{
	struct json_object *saved = json_object_new_object();
	int64_t seconds = jint(jget(vm->manifest, "saving"), "seconds", 0);

	record_file(vm, digest, saved);
	if (seconds)
		jset_int(saved, "seconds", seconds);
	jset_int(saved, "time", time(NULL));
	jset_str(saved, "kernel", kernel_release());
	jset_str(saved, "runstate", runstate);
	if (manifest_suspended(vm->manifest))
		jset_bool(saved, "suspended", true);
	if (jbool(jget(vm->manifest, "saving"), "digest_ram", false))
		jset_bool(saved, "digest_ram", true);
	jset(vm->manifest, "saved", saved);
	json_object_object_del(vm->manifest, "saving");
}

static int write_state(struct vm *vm, const char *part, deadline_t deadline, struct err *err)
{
	struct qmp *qmp = vm->qemu.qmp;
	bool stream = copy_streams(vm);
	int r;

	if (!manifest_suspended(vm->manifest))
		pause_begin(vm);	/* so far it ran */
	r = stream ? copy_save(vm, err) : migration_save(qmp, part, err);
	if (r == 0)
		r = fault_point("save-begun", vm->name, err);
	if (r < 0)
		return r;
	qmp->js->interruptible = true;
	r = migration_wait(qmp, deadline, err);
	qmp->js->interruptible = false;
	if (r == 0)
		r = migration_await_status(qmp, "postmigrate", deadline, err);
	if (r == 0 && stream)
		r = copy_command_ended(vm, deadline, err);
	pause_mark(vm, "write");
	return r < 0 ? r : fault_point("save-written", vm->name, err);
}

/**
 * struct proof - what a state is to be held against before it counts
 * @fit: the QEMU that will load it
 */
struct proof {
	const struct save_opts *opts;
	struct fit fit;
	deadline_t deadline;
};

static int no_rehearsal(struct vm *vm, const char *note, struct err *err)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "VM", .value = vm->name,
		    .why = fmt("there can be no rehearsal: %s", note ? note : "not wanted"),
		    .remedy = "leave --rehearse out: it is saved without one");
}

/* That the next QEMU can load it. @found is what is to be remembered of that. */
static int prove(struct vm *vm, const char *state, const char *runstate,
		 const struct proof *proof, struct json_object *found, struct err *err)
{
	struct json_object *qemu = json_object_new_object();
	bool stream = copy_streams(vm);
	int r = stream ? 0 : fit_check(&proof->fit, state, err);

	jset_str(qemu, "binary", proof->fit.binary);
	jset_str(qemu, "version", proof->fit.version);
	jset(found, "qemu", qemu);
	if (proof->opts->no_rehearse)
		jset_str(found, "rehearsal_note", "--no-rehearse");
	else if (stream)
		jset_str(found, "rehearsal_note", "a command has the state");
	else if (r == 0)
		r = rehearse(vm, proof->fit.binary, state, runstate, proof->deadline, found, err);
	if (r == 0 && proof->opts->rehearse && !jget(found, "rehearsed"))
		r = no_rehearsal(vm, jstr(found, "rehearsal_note"), err);
	return r;
}

static void remember_proof(struct vm *vm, struct json_object *found)
{
	static const char *const keys[] = { "qemu", "rehearsed", "rehearsal", "rehearsal_note" };
	struct json_object *saved = jget(vm->manifest, "saved");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		json_object_object_del(saved, keys[i]);
		if (jget(found, keys[i]))
			jset(saved, keys[i], json_object_get(jget(found, keys[i])));
	}
}

static int rename_state(struct vm *vm, const char *part, struct err *err)
{
	_cleanup_free_ char *path = vm_state_path(vm), *dir = xstrdup(path);
	int r = rename(part, path) < 0 ? -errno : 0;

	*strrchr(dir, '/') = '\0';
	/* That of the VM is synced with the manifest. */
	if (r == 0 && jget(vm->manifest, "target"))
		r = sync_dir(*dir ? dir : "/");
	return r < 0 ? fail(err, r, .what = "cannot rename", .value = part,
			    .why = strerror(-r)) : 0;
}

static int check_and_prove(struct vm *vm, const char *part, const char *runstate,
			   const struct proof *proof, struct digest *digest,
			   struct json_object *found, struct err *err)
{
	int r = copy_streams(vm) ? 0 : check_file(vm, part, digest, err);

	pause_mark(vm, "check");
	if (r == 0 && proof)
		r = prove(vm, part, runstate, proof, found, err);
	pause_mark(vm, "prove");
	return r < 0 ? r : fault_point("save-checked", vm->name, err);
}

/* The state is whole: give it its name, and tell the manifest and the module. */
static int commit(struct vm *vm, const char *part, const char *runstate,
		  const struct proof *proof, struct err *err)
{
	_cleanup_json_ struct json_object *found = json_object_new_object();
	struct digest digest = { 0 };
	int r = check_and_prove(vm, part, runstate, proof, &digest, found, err);

	if (r == 0 && !copy_streams(vm))
		r = rename_state(vm, part, err);
	if (r < 0)
		return r;
	record(vm, &digest, runstate);
	remember_proof(vm, found);
	r = disks_record(vm, err);
	pause_mark(vm, "commit");
	if (r == 0)
		r = vm_manifest_save(vm, err);
	if (r == 0)
		r = fault_point("save-recorded", vm->name, err);
	if (r == 0)
		r = vm_do(vm, CPR_CMD_VM_SAVE, err);
	return r < 0 ? r : fault_point("save-done", vm->name, err);
}

/*
 * A save that was cut short once QEMU had written the state: from there the only
 * way on is through it. Nothing is lost while QEMU waits.
 */
static int complete(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *part = vm_part_path(vm);
	_cleanup_free_ char *state = vm_state_path(vm);

	if (vm->info.state == CPR_VM_STATE_SAVED)
		return 0;
	if (jget(vm->manifest, "saved"))
		return vm_do(vm, CPR_CMD_VM_SAVE, err);
	if (access(part, F_OK) < 0 && rename(state, part) < 0)
		return fail(err, -errno, .what = "state file", .value = state,
			    .why = strerror(errno));
	return commit(vm, part, jstr(vm->manifest, "runstate"), NULL, err);
}

/* No state was written: the guest sleeps, or was stopped while it did, or runs. */
static int wake_here(struct vm *vm, const char *status, struct err *err)
{
	struct qmp *qmp = vm->qemu.qmp;
	int r = runstate_live(status) ? 0 : qmp_run(qmp, "cont", NULL, NULL, err);

	if (r == 0 && !streq(status, "running") && manifest_suspended(vm->manifest))
		r = guest_wake(qmp, err);
	pause_mark(vm, "resume");
	return r < 0 ? r : forget_saved(vm, err);
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
		r = restore_vm(vm, &RESTORE_DEFAULT, result, err);
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
	else if (r < 0)
		note("VM '%s': its QEMU has ended; see 'cpr-helper show %s'", vm->name, vm->name);
	return r == 0;
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

/*
 * Whatever came of it: QEMU as it was, and the guest running if it ran. A QEMU that
 * does not answer is left to an abort, and so is what that has to know.
 */
static void roll_back(struct vm *vm, const char *runstate, struct json_object *previous, int code,
		      struct err *err)
{
	_cleanup_free_ char *now = NULL;
	struct qmp *qmp = vm->qemu.qmp;

	qemu_words(vm->name, vm->qemu.log_from, err);
	if (!answers(vm, code))
		return;
	migration_cancel(qmp);
	migration_reset(qmp, previous, NULL);
	if (manifest_asleep(vm->manifest)) {
		rouse(vm);
		return;
	}
	take_back(vm);
	if (migration_settle(qmp, &now, NULL) == 0) {
		let_run(vm, runstate_live(runstate), now);
		pause_mark(vm, "resume");
		pause_abort(vm);
		forget_saved(vm, NULL);
	}
}

/*
 * A paused guest whose save was aborted is still in postmigrate, and has not run
 * since: its state is the one on file.
 */
static int save_again(struct vm *vm, const struct proof *proof, struct err *err)
{
	_cleanup_json_ struct json_object *found = json_object_new_object();
	_cleanup_free_ char *path = vm_state_path(vm);
	struct json_object *saved = jget(vm->manifest, "saved");
	struct digest digest;
	int r;

	if (!saved)
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
			    .why = "an earlier save was cut short",
			    .remedy = fmt("'cpr-helper abort %s' first", vm->name));
	r = digest_file(path, &digest, err);
	if (r < 0)
		return r;
	if (!streq(digest.text, jstr(saved, "digest")))
		return fail(err, -EIO, .what = "state file", .value = path,
			    .why = "it has changed since it was saved",
			    .remedy = fmt("'cpr-helper abort %s', then save again", vm->name));
	r = prove(vm, path, jstr(saved, "runstate"), proof, found, err);
	if (r < 0)
		return r;
	remember_proof(vm, found);
	jset_bool(saved, "digest_ram", proof->opts->digest_ram);
	r = vm_manifest_save(vm, err);
	return r < 0 ? r : vm_do(vm, CPR_CMD_VM_SAVE, err);
}

static int suspend(struct vm *vm, deadline_t deadline, struct err *err)
{
	_cleanup_err_ struct err why = { 0 };
	int r = guest_suspend(vm->qemu.qmp, jstr(vm->manifest, "agent"), deadline, &why);

	if (r == 0)
		return 0;
	return fail(err, r, .exit = r == -EINTR ? CPR_EXIT_FAILED : CPR_EXIT_REFUSED, .what = "VM",
		    .value = vm->name,
		    .why = fmt("its guest must suspend to RAM, for its devices, and does not: %s: %s",
			       why.what, why.why), .remedy = why.remedy ? why.remedy :
		    "install and start qemu-guest-agent in the guest, and see that it can suspend");
}

/*
 * Devices are off, and what they can reach is on record, before QEMU writes a
 * byte: up to here the guest can simply be woken, and no longer once QEMU is in
 * postmigrate; see rouse_vm().
 */
static int quiesce(struct vm *vm, deadline_t deadline, struct err *err)
{
	int r = 0;

	if (manifest_suspended(vm->manifest)) {
		r = suspend(vm, deadline, err);
		pause_mark(vm, "suspend");
	}
	return r < 0 ? r : dma_snapshot(vm, err);
}

/* A guest with devices must sleep, and only one that runs can be asked to. */
static int check_devices(struct vm *vm, const char *runstate, struct err *err)
{
	if (!has_devices(vm) || runstate_live(runstate))
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = fmt("it has devices passed through and must suspend, but it is '%s'",
			       runstate),
		    .remedy = "let it run ('cont' in QEMU's monitor), then save it");
}

/* For an abort, should this process be killed from here on. */
static int note_begin(struct vm *vm, const char *runstate, const struct save_opts *opts,
		      struct json_object *previous, struct err *err)
{
	struct json_object *saving = json_object_new_object();

	jset_bool(saving, "digest_ram", opts->digest_ram);
	json_object_object_del(vm->manifest, "saved");
	jset(vm->manifest, "saving", saving);
	jset(vm->manifest, "previous", json_object_get(previous));
	jset_str(vm->manifest, "runstate", runstate);
	if (has_devices(vm) && streq(runstate, "running"))
		jset_bool(vm->manifest, "suspended", true);
	else
		json_object_object_del(vm->manifest, "suspended");
	pause_begin(vm);
	return vm_manifest_save(vm, err);
}

/* QEMU's settings as their owner made them, also if an earlier save was killed. */
static int inspect(struct vm *vm, struct json_object **previous, struct err *err)
{
	struct migration_way way = copy_way(vm);
	int r;

	migration_reset(vm->qemu.qmp, jget(vm->manifest, "previous"), NULL);
	r = migration_inspect(vm->qemu.qmp, &way, previous, err);
	return r < 0 ? r : disks_inspect(vm, NULL, err);
}

/* How long a copy will take is said before the guest stops, and is added to the patience. */
static int measure(struct vm *vm, struct copy_plan *copy, struct proof *proof, struct err *err)
{
	int r = manifest_copied(vm->manifest) ? copy_measure(vm, copy, err) : 0;

	if (copy->seconds > 0)
		jset_int(jget(vm->manifest, "saving"), "seconds", copy->seconds + 1);
	proof->deadline = deadline_in(proof->opts->timeout + copy_patience(copy->seconds));
	return r;
}

static int stop_and_write(struct vm *vm, const char *part, struct json_object *previous,
			  deadline_t deadline, struct err *err)
{
	struct migration_way way = copy_way(vm);
	int r = fault_point("save-noted", vm->name, err);

	if (r == 0)
		r = quiesce(vm, deadline, err);
	if (r == 0)
		r = migration_apply(vm->qemu.qmp, &way, previous, err);
	if (r == 0)
		r = fault_point("save-set-up", vm->name, err);
	return r < 0 ? r : write_state(vm, part, deadline, err);
}

static int save_now(struct vm *vm, const char *runstate, struct proof *proof, struct err *err)
{
	_cleanup_json_ struct json_object *previous = NULL;
	_cleanup_free_ char *part = NULL;
	const struct save_opts *opts = proof->opts;
	struct copy_plan copy = { 0 };
	int r = check_devices(vm, runstate, err);

	if (r == 0)
		r = copy_target(vm, runstate, &opts->copy, &copy, err);
	if (r == 0)
		r = inspect(vm, &previous, err);
	if (r < 0)
		return r;
	if (interrupted())
		return fail(err, -EINTR, .what = "VM", .value = vm->name, .why = "interrupted");
	r = note_begin(vm, runstate, opts, previous, err);
	if (r < 0)
		return r;
	if (opts->timeout < vm->qemu.qmp->patience)
		vm->qemu.qmp->patience = opts->timeout;
	r = measure(vm, &copy, proof, err);
	part = vm_part_path(vm);
	if (r == 0)
		r = stop_and_write(vm, part, previous, proof->deadline, err);
	if (r == 0)
		r = commit(vm, part, runstate, proof, err);
	if (r < 0)
		roll_back(vm, runstate, previous, r, err);
	return r;
}

/* All that can be asked of the next QEMU while the guest still runs. */
static int prepare(struct vm *vm, struct proof *proof, struct err *err)
{
	const struct save_opts *opts = proof->opts;
	_cleanup_free_ char *hindrance = opts->rehearse ? rehearsal_hindrance(vm) : NULL;

	if (hindrance)
		return no_rehearsal(vm, hindrance, err);
	return fit_learn(&proof->fit, opts->qemu ? opts->qemu : jstr(vm->manifest, "binary"),
			 vm->manifest, err);
}

static int save_as_is(struct vm *vm, const char *runstate, const struct save_opts *opts,
		      struct err *err)
{
	struct proof proof = { .opts = opts };
	bool again = streq(runstate, "postmigrate");
	int r;

	if (!again && !is_savable(runstate))
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
			    .why = fmt("its guest is '%s', neither running nor paused", runstate));
	r = prepare(vm, &proof, err);
	proof.deadline = deadline_in(opts->timeout);
	if (r == 0)
		r = again ? save_again(vm, &proof, err) : save_now(vm, runstate, &proof, err);
	fit_free(&proof.fit);
	return r;
}

/* What was found out of the next QEMU; in words, why there is less than there could be. */
static void tell_proof(struct vm *vm, struct json_object *result)
{
	static const char *const keys[] = { "qemu", "rehearsal", "rehearsal_note" };
	struct json_object *saved = jget(vm->manifest, "saved");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (jget(saved, keys[i]))
			jset(result, keys[i], json_object_get(jget(saved, keys[i])));
	if (jstr(saved, "rehearsal_note"))
		detail("%s: not rehearsed: %s", vm->name, jstr(saved, "rehearsal_note"));
}

int save_vm(struct vm *vm, const struct save_opts *opts, struct json_object *result,
	    struct err *err)
{
	_cleanup_free_ char *runstate = NULL;
	int64_t begin = now_ms();
	int r = check_state(vm, err);

	if (r == 0)
		r = vm_manifest(vm, err);
	if (r == 0)
		r = vm_attach(vm, err);
	if (r == 0)
		r = qmp_status(vm->qemu.qmp, &runstate, err);
	if (r == 0)
		r = save_as_is(vm, runstate, opts, err);
	if (r < 0)
		return r;
	jset_int(result, "state_bytes", jint(jget(vm->manifest, "saved"), "size", 0));
	jset_str(result, "runstate", jstr(jget(vm->manifest, "saved"), "runstate"));
	jset(result, "pause", pause_json(vm->manifest));
	jset_int(result, "ms", now_ms() - begin);
	tell_proof(vm, result);
	if (copy_streams(vm)) {
		jset_bool(result, "proven", false);
		say("%s: saved in %lld ms, by a command that nobody has checked", vm->name,
		    (long long)jint(result, "ms", 0));
		return 0;
	}
	say("%s: saved, %s of state in %lld ms", vm->name,
	    size_human(jint(result, "state_bytes", 0)), (long long)jint(result, "ms", 0));
	return 0;
}

/* Quits QEMU for good; one that was killed in postmigrate has left the same. */
static int quit(struct vm *vm, deadline_t deadline, struct err *err)
{
	int r = vm_attach(vm, NULL);

	pause_mark(vm, "wait");
	if (r == -ESRCH)
		return 0;
	if (r < 0)
		return fail(err, r, .what = "VM", .value = vm->name, .why = "its QEMU does not answer");
	r = migration_await_status(vm->qemu.qmp, "postmigrate", deadline, err);
	if (r == 0)
		r = qemu_quit(&vm->qemu, err);
	return r < 0 ? r : fault_point("seal-quit", vm->name, err);
}

static int quit_and_seal(struct vm *vm, struct err *err)
{
	/* It has the marks of the pause. */
	int r = vm_manifest(vm, err);

	if (r == 0)
		r = quit(vm, deadline_in(10), err);
	if (r < 0)
		return r;
	pause_mark(vm, "seal");
	pause_keep(vm);
	return integrity_commit(vm, CPR_CMD_VM_SEAL, err);
}

int seal_vm(struct vm *vm, struct err *err)
{
	int r = fault_point("seal-begun", vm->name, err);

	if (r == 0)
		r = quit_and_seal(vm, err);
	return r < 0 ? r : fault_point("seal-done", vm->name, err);
}

static bool want_save(const struct cpr_vm *vm)
{
	return vm->state == CPR_VM_STATE_RUNNING;
}

static int save_one(struct vm *vm, const struct args *args, struct json_object *result,
		    struct err *err)
{
	_cleanup_free_ char *qemu = arg(args, "qemu") ? find_binary(arg(args, "qemu")) : NULL;
	struct save_opts opts = {
		.timeout = arg_timeout(args, SAVE_TIMEOUT_S, err), .qemu = qemu,
		.no_rehearse = arg(args, "no-rehearse"), .rehearse = arg(args, "rehearse"),
		.digest_ram = arg(args, "digest-ram"),
		.copy = { arg(args, "to"), arg(args, "uri"), arg(args, "restore-uri") },
	};

	vm->full = arg(args, "full");
	return opts.timeout < 0 ? -EINVAL : save_vm(vm, &opts, result, err);
}

static int check_args(const struct args *args, struct err *err)
{
	_cleanup_free_ char *qemu = arg(args, "qemu") ? find_binary(arg(args, "qemu")) : NULL;

	if (arg(args, "all") && (arg(args, "to") || arg(args, "uri")))
		return usage(args, err, "--to and --uri are for one VM, not for --all", NULL);
	if (arg(args, "rehearse") && arg(args, "no-rehearse"))
		return usage(args, err, "both --rehearse and --no-rehearse", NULL);
	if (arg(args, "qemu") && !qemu)
		return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "QEMU binary",
			    .value = arg(args, "qemu"), .why = "there is no such program",
			    .remedy = "give the path of one that is installed");
	return 0;
}

static int run_save(const struct args *args, struct err *err)
{
	static const struct each each = {
		.want = want_save, .one = save_one, .nothing = "no VM is running",
		.verb = "saved",
	};

	if (check_args(args, err) < 0)
		return -EINVAL;
	return for_each_vm(&each, args, err);
}

const struct cmd cmd_save = {
	.name = "save",
	.synopsis = "NAME|--all [--qemu BINARY] [--rehearse|--no-rehearse] [--timeout SECONDS] "
		    "[--full] [--digest-ram] [--to PATH | --uri exec:CMD --restore-uri exec:CMD] "
		    "[--jobs N]",
	.summary = "stop a guest and save its device state; abort undoes it",
	.opts = {
		{ "all", NULL, "every VM that is running" },
		{ "timeout", "SECONDS", "give up and let the guest run on after this long (120)" },
		{ "full", NULL, "look at every page that devices can reach" },
		{ "digest-ram", NULL, "take a digest of the guest's memory, which restore compares" },
		{ "qemu", "BINARY", "the QEMU that will load the state (the one it runs in)" },
		{ "rehearse", NULL, "refuse a guest whose state cannot be loaded on trial" },
		{ "no-rehearse", NULL, "do not load the state on trial" },
		{ "to", "PATH", "copy mode: a file on a disk, or a directory for NAME.state" },
		{ "uri", "exec:CMD", "copy mode: a command that takes all, and is not checked" },
		{ "restore-uri", "exec:CMD", "with --uri: the command that gives it back" },
		JOBS_OPTION,
	},
	.max_args = 1,
	.dry_run = true,
	.run = run_save,
};
