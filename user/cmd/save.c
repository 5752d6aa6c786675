// SPDX-License-Identifier: GPL-2.0-only
/*
 * save: QEMU stops the guest and writes its state beside its memory; QEMU stays
 * alive in postmigrate, from where abort can let the guest run on. Whatever
 * fails on the way, the guest runs on.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "base/digest.h"
#include "base/faultpoint.h"
#include "base/interrupt.h"
#include "base/size.h"
#include "qemu/migration.h"
#include "qemu/suspend.h"
#include "vm/devices.h"
#include "vm/dma.h"
#include "vm/manifest.h"
#include "handover/abort.h"
#include "handover/commit.h"
#include "handover/copymode.h"
#include "handover/pause.h"
#include "handover/rollback.h"
#include "cmd/savable.h"

static int write_state(struct vm *vm, const char *part, deadline_t deadline, struct err *err)
{
	struct qmp *qmp = vm->qemu.qmp;
	bool stream = copy_streams(vm);
	int r;

	if (!manifest_suspended(vm->manifest))
		pause_begin(vm);	/* so far it ran */
	r = stream ? copy_save(vm, err) : migration_save(qmp, part, err);
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
		r = copy_command_ended(vm, deadline, err);
	pause_mark(vm, "write");
	return r < 0 ? r : faultpoint("save-written", vm->name, err);
}

/* Its guest has not run since it was saved and aborted: its state is the one on file. */
static int save_again(struct vm *vm, const struct save_opts *opts, const struct savable *s,
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
	r = proof_find(vm, path, jstr(saved, "runstate"), &s->proof, found, err);
	if (r < 0)
		return r;
	proof_record(vm, found);
	jset_bool(saved, "digest_ram", opts->digest_ram);
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
 * postmigrate; see rollback_suspended().
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

/* For an abort, should this process be killed from here on. */
static int note_begin(struct vm *vm, const struct save_opts *opts, const struct savable *s,
		      struct err *err)
{
	struct json_object *saving = json_object_new_object();

	jset_bool(saving, "digest_ram", opts->digest_ram);
	jset(saving, "disks", json_object_get(s->disks));
	json_object_object_del(vm->manifest, "saved");
	jset(vm->manifest, "saving", saving);
	jset(vm->manifest, "previous", json_object_get(s->previous));
	jset_str(vm->manifest, "runstate", s->runstate);
	if (has_devices(vm) && streq(s->runstate, "running"))
		jset_bool(vm->manifest, "suspended", true);
	else
		json_object_object_del(vm->manifest, "suspended");
	pause_begin(vm);
	return vm_manifest_save(vm, err);
}

/* How long a copy will take is said before the guest stops, and is added to the patience. */
static int measure(struct vm *vm, double timeout, struct savable *s, struct err *err)
{
	int r = manifest_copied(vm->manifest) ? copy_measure(vm, &s->copy, err) : 0;

	if (s->copy.seconds > 0)
		jset_int(jget(vm->manifest, "saving"), "seconds", s->copy.seconds + 1);
	s->proof.deadline = deadline_in(timeout + copy_patience(s->copy.seconds));
	return r;
}

static int stop_and_write(struct vm *vm, const char *part, const struct savable *s,
			  struct err *err)
{
	struct migration_way way = copy_way(vm);
	int r = faultpoint("save-noted", vm->name, err);

	if (r == 0)
		r = quiesce(vm, s->proof.deadline, err);
	if (r == 0)
		r = migration_apply(vm->qemu.qmp, &way, s->previous, err);
	if (r == 0)
		r = faultpoint("save-set-up", vm->name, err);
	return r < 0 ? r : write_state(vm, part, s->proof.deadline, err);
}

/* Also by a signal that came where nobody waited for it. */
static int check_interrupt(struct vm *vm, struct err *err)
{
	if (!interrupt_arrived())
		return 0;
	return fail(err, -EINTR, .what = "VM", .value = vm->name, .why = "interrupted");
}

static int save_now(struct vm *vm, const struct save_opts *opts, struct savable *s,
		    struct err *err)
{
	_cleanup_free_ char *part = NULL;
	int r = check_interrupt(vm, err);

	if (r < 0)
		return r;
	copy_remove(vm, s->copy.stale);
	r = note_begin(vm, opts, s, err);
	if (r < 0)
		return r;
	if (opts->timeout < vm->qemu.qmp->patience)
		vm->qemu.qmp->patience = opts->timeout;
	r = measure(vm, opts->timeout, s, err);
	part = vm_part_path(vm);
	if (r == 0)
		r = stop_and_write(vm, part, s, err);
	if (r == 0)
		r = check_interrupt(vm, err);
	if (r == 0)
		r = commit_state(vm, part, s->runstate, &s->proof, err);
	if (r < 0)
		rollback_save(vm, s->runstate, r, err);
	return r;
}

static void tell(struct vm *vm, struct json_object *result)
{
	struct json_object *saved = jget(vm->manifest, "saved");
	long long ms = jint(result, "ms", 0);

	jset_int(result, "state_bytes", jint(saved, "size", 0));
	jset_str(result, "runstate", jstr(saved, "runstate"));
	jset(result, "pause", pause_json(vm->manifest));
	proof_tell(vm, result);
	if (copy_streams(vm)) {
		jset_bool(result, "proven", false);
		say("%s: saved in %lld ms, by a command that nobody has checked", vm->name, ms);
		return;
	}
	say("%s: saved, %s of state in %lld ms, %s", vm->name,
	    size_human(jint(result, "state_bytes", 0)), ms, proof_text(vm));
}

int save_vm(struct vm *vm, const struct save_opts *opts, struct json_object *result,
	    struct err *err)
{
	_cleanup_savable_ struct savable s;
	int64_t begin = now_ms();
	int r = savable_learn(vm, opts, &s, err);

	if (r < 0)
		return r;
	vm->full = opts->full;
	s.proof.deadline = deadline_in(opts->timeout);
	r = streq(s.runstate, "postmigrate") ? save_again(vm, opts, &s, err) :
	    save_now(vm, opts, &s, err);
	if (r < 0)
		return r;
	jset_int(result, "ms", now_ms() - begin);
	tell(vm, result);
	return 0;
}

int save_check(struct vm *vm, const struct save_opts *opts, uint64_t *bytes, struct err *err)
{
	_cleanup_savable_ struct savable s = { 0 };
	int r = 0;

	/* One that was cut short is put back first; what comes then, nobody knows yet. */
	if (vm->info.state != CPR_VM_STATE_RUNNING || !abort_wanted(&vm->info))
		r = savable_learn(vm, opts, &s, err);
	if (bytes)
		*bytes = jget(vm->manifest, "target") ? 0 : s.copy.bytes;
	return r;
}

static bool want_save(const struct cpr_vm *vm)
{
	return vm->state == CPR_VM_STATE_RUNNING;
}

static int save_one(struct vm *vm, const struct args *args, struct json_object *result,
		    struct err *err)
{
	_cleanup_save_opts_ struct save_opts opts;
	int r = save_options(args, &opts, err);

	return r < 0 ? r : save_vm(vm, &opts, result, err);
}

static int check_one(struct vm *vm, const struct args *args, struct err *err)
{
	_cleanup_save_opts_ struct save_opts opts;
	int r = save_options(args, &opts, err);

	return r < 0 ? r : save_check(vm, &opts, NULL, err);
}

static int run_save(const struct args *args, struct err *err)
{
	static const struct each each = {
		.want = want_save, .one = save_one, .check = check_one,
		.nothing = "no VM is running", .verb = "saved",
	};
	_cleanup_save_opts_ struct save_opts opts;
	int r = save_options(args, &opts, err);

	return r < 0 ? r : for_each_vm(&each, args, err);
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
