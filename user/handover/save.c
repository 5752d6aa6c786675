// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/crew.h"
#include "base/digest.h"
#include "base/faultpoint.h"
#include "base/interrupt.h"
#include "base/paths.h"
#include "qemu/log.h"
#include "qemu/migration.h"
#include "qemu/suspend.h"
#include "vm/devices.h"
#include "vm/dma.h"
#include "vm/manifest.h"
#include "handover/abort.h"
#include "handover/commit.h"
#include "handover/copycommand.h"
#include "handover/copymode.h"
#include "handover/hooks.h"
#include "handover/pause.h"
#include "handover/rollback.h"
#include "handover/save.h"

/* The guest stands still from now on. */
static void save_begin_pause(struct vm *vm, struct savable *s)
{
	pause_begin(vm);
	if (s->max_pause > 0)
		s->until = deadline_in(s->max_pause);
}

/* Of a wait while the guest stands still. */
static deadline_t save_deadline(const struct savable *s)
{
	return s->until && s->until < s->proof.deadline ? s->until : s->proof.deadline;
}

static int save_write(struct vm *vm, const char *part, deadline_t deadline, struct err *err)
{
	struct qmp *qmp = vm->qemu.qmp;
	bool stream = copycommand_used(vm);
	int r;

	r = stream ? copycommand_save(vm, err) : vm_make_part(vm, part, err);
	if (r == 0 && !stream)
		r = migration_save(qmp, part, err);
	if (r == 0)
		r = faultpoint("save-begun", vm->name, err);
	if (r < 0)
		return r;
	qmp->js->interruptible = true;
	r = migration_wait(qmp, deadline, err);
	qmp->js->interruptible = false;
	if (r == 0)
		r = migration_await_status(qmp, "postmigrate", deadline, err);
	if (r == 0 && stream)
		r = copycommand_wait(vm, deadline, err);
	pause_mark(vm, "write");
	return r < 0 ? r : faultpoint("save-written", vm->name, err);
}

/* A paused guest that has not run since its last save was aborted: that state is still valid. */
static int save_again(struct vm *vm, const struct save_opts *opts, struct savable *s,
		      struct err *err)
{
	_cleanup_json_ struct json_object *found = json_object_new_object();
	_cleanup_free_ char *path = vm_state_path(vm);
	struct json_object *saved = jget(vm->manifest, "saved");
	struct digest digest;
	int r;

	r = digest_file(path, &digest, err);
	if (r < 0)
		return r;
	if (!streq(digest.text, jstr(saved, "digest")))
		return fail(err, -EIO, .what = "state file", .value = path,
			    .why = "it has changed since it was saved",
			    .remedy = fmt("'cpr-helper abort %s', then save again", vm->name));
	r = proof_begin(vm, &s->proof, err);
	if (r < 0)
		return r;
	r = proof_check(vm, path, jstr(saved, "runstate"), &s->proof, found, err);
	if (r < 0)
		return r;
	proof_record(vm, found);
	jset_bool(saved, "digest_ram", opts->digest_ram);
	r = vm_manifest_save(vm, err);
	return r < 0 ? r : vm_do(vm, CPR_CMD_VM_SAVE, err);
}

static int save_suspend(struct vm *vm, deadline_t deadline, struct err *err)
{
	_cleanup_free_ char *agent = manifest_agent(vm->manifest);
	_cleanup_err_ struct err why = { 0 };
	int r = guest_suspend(vm->qemu.qmp, agent, jget(vm->manifest, "user"), deadline, &why);

	if (r == 0)
		return 0;
	return fail(err, r, .exit = r == -EINTR ? CPR_EXIT_FAILED : CPR_EXIT_REFUSED, .what = "VM",
		    .value = vm->name,
		    .why = fmt("its guest must suspend to RAM, for its devices, and does not: %s: %s",
			       why.what, why.why), .remedy = why.remedy ? why.remedy :
		    "install and start qemu-guest-agent in the guest, and see that it can suspend");
}

/*
 * The devices must be stopped, and their mappings recorded, before QEMU writes: until then a
 * rollback just wakes the guest, but not once QEMU is in postmigrate, see
 * rollback_suspended().
 */
static int save_quiesce(struct vm *vm, deadline_t deadline, struct err *err)
{
	int r = 0;

	if (manifest_suspended(vm->manifest)) {
		r = save_suspend(vm, deadline, err);
		pause_mark(vm, "suspend");
	}
	return r < 0 ? r : dma_snapshot(vm, err);
}

/* What the next QEMU needs to know, in memory only. */
static void save_note(struct vm *vm, const struct savable *s)
{
	jset(vm->manifest, "drives", json_object_get(s->drives));
	jset(vm->manifest, "cpu", json_object_get(s->cpu));
	jset(vm->manifest, "process", json_object_get(s->process));
	jset(vm->manifest, "needs", json_object_get(s->needs));
}

/* For abort_vm(), if this process is killed from here on. */
static int save_record(struct vm *vm, const struct save_opts *opts, struct savable *s,
		       struct err *err)
{
	_cleanup_free_ char *state = vm_path(vm->name, STATE_FILE);
	struct json_object *saving = json_object_new_object();
	int r;

	jset_bool(saving, "digest_ram", opts->digest_ram);
	jset(saving, "disks", json_object_get(s->disks));
	json_object_object_del(vm->manifest, "saved");
	jset(vm->manifest, "saving", saving);
	jset(vm->manifest, "previous", json_object_get(s->previous));
	jset_str(vm->manifest, "runstate", s->runstate);
	json_object_object_del(vm->manifest, "suspended");
	pause_forget(vm);
	if (vm_has_devices(vm) && streq(s->runstate, "running")) {
		jset_bool(vm->manifest, "suspended", true);
		save_begin_pause(vm, s);
	}
	r = vm_manifest_save(vm, err);
	/* The guest was paused and has run since: nothing may take that state for the new one. */
	if (r == 0)
		unlink(state);
	return r;
}

/* Print how long a copy will take before the guest stops, and wait longer for it. */
static int save_measure(struct vm *vm, double timeout, struct savable *s, struct err *err)
{
	int r = manifest_copied(vm->manifest) ? copymode_measure(vm, &s->copy, err) : 0;

	if (s->copy.seconds > 0)
		jset_int(jget(vm->manifest, "saving"), "seconds", s->copy.seconds + 1);
	s->proof.deadline = deadline_in(timeout + copymode_patience(s->copy.seconds));
	return r;
}

/* Wait for the other VMs of an update; that does not count as this one's time. */
static int save_meet(struct vm *vm, struct savable *s, struct err *err)
{
	int64_t begin = now_ms();
	int r = crew_meet();

	s->proof.deadline += now_ms() - begin;
	return r < 0 ? fail(err, r, .what = "VM", .value = vm->name, .why = "interrupted") : 0;
}

/*
 * What takes long, or depends on a guest, comes before any other guest stops: the guests with
 * devices are suspended, and those in copy mode, which do not wait for the others, are saved.
 */
static int save_take_turn(struct vm *vm, struct savable *s, struct err *err)
{
	int r = manifest_copied(vm->manifest) ? 0 : save_meet(vm, s, err);

	if (r < 0)
		return r;
	if (manifest_suspended(vm->manifest)) {
		pause_mark(vm, "others");
		return 0;
	}
	/* For abort_vm(), if this process is killed while the guest stands still. */
	save_begin_pause(vm, s);
	return vm_manifest_save(vm, err);
}

static int save_stop_and_write(struct vm *vm, const char *part, struct savable *s,
			       struct err *err)
{
	struct migration_way way = copymode_way(vm);
	int r = faultpoint("save-noted", vm->name, err);

	if (r == 0)
		r = save_quiesce(vm, save_deadline(s), err);
	if (r == 0)
		r = save_take_turn(vm, s, err);
	if (r == 0)
		r = migration_apply(vm->qemu.qmp, &way, s->previous, err);
	if (r == 0)
		r = faultpoint("save-set-up", vm->name, err);
	s->proof.deadline = save_deadline(s);
	return r < 0 ? r : save_write(vm, part, s->proof.deadline, err);
}

static int save_check_pause(const struct vm *vm, const struct savable *s, int code,
			    struct err *err)
{
	if (!s->until || now_ms() < s->until || (code < 0 && code != -ETIMEDOUT))
		return code;
	err_clear(err);
	return fail(err, -ETIMEDOUT, .what = "VM", .value = vm->name,
		    .why = fmt("its guest stands still for longer than the %g s that are left for "
			       "its save", s->max_pause),
		    .remedy = "allow more with --max-pause");
}

/* Also for a signal that came while no wait was interruptible. */
static int save_check_interrupt(struct vm *vm, struct err *err)
{
	if (!interrupt_arrived())
		return 0;
	return fail(err, -EINTR, .what = "VM", .value = vm->name, .why = "interrupted");
}

static int save_now(struct vm *vm, const struct save_opts *opts, struct savable *s,
		    struct err *err)
{
	_cleanup_free_ char *part = NULL;
	int r = save_check_interrupt(vm, err);

	/* Until the guest stops, there is nothing to roll back. */
	save_note(vm, s);
	if (r == 0)
		r = dma_prove(vm, err);
	if (r == 0)
		r = proof_begin(vm, &s->proof, err);
	/* Nor for the other VMs of an update: it goes on once all are found fit to be saved. */
	if (r == 0)
		r = save_meet(vm, s, err);
	if (r < 0)
		return r;
	copymode_remove(vm, s->copy.stale);
	log_trim(vm->name);	/* its state needs the room */
	r = save_record(vm, opts, s, err);
	if (r < 0)
		return r;
	if (opts->timeout < vm->qemu.qmp->patience)
		vm->qemu.qmp->patience = opts->timeout;
	r = save_measure(vm, opts->timeout, s, err);
	part = vm_part_path(vm);
	if (r == 0)
		r = save_stop_and_write(vm, part, s, err);
	if (r == 0)
		r = save_check_interrupt(vm, err);
	if (r == 0)
		r = commit_state(vm, part, s->runstate, &s->proof, err);
	r = save_check_pause(vm, s, r, err);
	proof_end(&s->proof);	/* its mapping of the memory would be in a seal's way */
	if (r < 0)
		rollback_save(vm, s->runstate, r, err);
	return r;
}

static void save_report(struct vm *vm, int64_t ms, struct json_object *result)
{
	struct json_object *saved = jget(vm->manifest, "saved");

	jset_int(result, "ms", ms);
	jset_int(result, "state_bytes", jint(saved, "size", 0));
	jset_str(result, "runstate", jstr(saved, "runstate"));
	jset(result, "pause", pause_json(vm->manifest));
	proof_report(vm, result);
	if (copycommand_used(vm))
		jset_bool(result, "proven", false);
}

static int save_checked(struct vm *vm, const struct save_opts *opts, struct savable *s,
			struct err *err)
{
	vm->full = opts->full;
	s->proof.deadline = deadline_in(opts->timeout);
	return streq(s->runstate, "postmigrate") ? save_again(vm, opts, s, err) :
	       save_now(vm, opts, s, err);
}

int save_vm(struct vm *vm, const struct save_opts *opts, struct json_object *result,
	    struct err *err)
{
	_cleanup_savable_ struct savable s;
	int64_t begin = now_ms();
	int r = savable_check(vm, opts, &s, err);

	if (r == 0 && !vm->hooked)
		r = hooks_before(vm, "save", err);
	if (r < 0 && !vm->hooked)
		return r;
	if (r == 0)
		r = save_checked(vm, opts, &s, err);
	hooks_after(vm, "save", r);
	if (r == 0)
		save_report(vm, now_ms() - begin, result);
	return r;
}

int save_check(struct vm *vm, const struct save_opts *opts, uint64_t *bytes, struct err *err)
{
	_cleanup_savable_ struct savable s = { 0 };
	int r = 0;

	/* An interrupted save is rolled back first; the checks apply only after that. */
	if (vm->info.state != CPR_VM_STATE_RUNNING || !abort_comes_first(&vm->info))
		r = savable_check(vm, opts, &s, err);
	if (bytes)
		*bytes = jget(vm->manifest, "target") ? 0 : s.copy.bytes;
	return r < 0 ? r : hooks_check(err);
}

bool save_wanted(const struct cpr_vm *vm)
{
	return vm->state == CPR_VM_STATE_RUNNING;
}
