// SPDX-License-Identifier: GPL-2.0-only
/*
 * save: QEMU stops the guest and writes its state beside its memory; QEMU stays
 * alive in postmigrate, from where abort can let the guest run on. Whatever
 * fails on the way, the guest runs on.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "cmd.h"
#include "lib/copymode.h"
#include "lib/devices.h"
#include "lib/digest.h"
#include "lib/disks.h"
#include "lib/dma.h"
#include "lib/fault.h"
#include "lib/interrupt.h"
#include "lib/manifest.h"
#include "lib/migration.h"
#include "lib/pause.h"
#include "lib/proof.h"
#include "lib/size.h"
#include "lib/suspend.h"

static const char *const savable[] = { "running", "paused", "prelaunch", "suspended" };

static bool is_savable(const char *status)
{
	for (size_t i = 0; i < ARRAY_SIZE(savable); i++)
		if (streq(savable[i], status))
			return true;
	return false;
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

/*
 * A paused guest whose save was aborted is still in postmigrate, and has not run
 * since: its state is the one on file.
 */
static int save_again(struct vm *vm, const struct save_opts *opts, const struct proof *proof,
		      struct err *err)
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
	r = proof_find(vm, path, jstr(saved, "runstate"), proof, found, err);
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
		      struct json_object *previous, struct json_object *disks, struct err *err)
{
	struct json_object *saving = json_object_new_object();

	jset_bool(saving, "digest_ram", opts->digest_ram);
	jset(saving, "disks", json_object_get(disks));
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
static int inspect(struct vm *vm, struct json_object **previous, struct json_object **disks,
		   struct err *err)
{
	struct migration_way way = copy_way(vm);
	int r;

	migration_reset(vm->qemu.qmp, jget(vm->manifest, "previous"), NULL);
	r = migration_inspect(vm->qemu.qmp, &way, previous, err);
	return r < 0 ? r : disks_inspect(vm, disks, err);
}

/* How long a copy will take is said before the guest stops, and is added to the patience. */
static int measure(struct vm *vm, double timeout, struct copy_plan *copy, struct proof *proof,
		   struct err *err)
{
	int r = manifest_copied(vm->manifest) ? copy_measure(vm, copy, err) : 0;

	if (copy->seconds > 0)
		jset_int(jget(vm->manifest, "saving"), "seconds", copy->seconds + 1);
	proof->deadline = deadline_in(timeout + copy_patience(copy->seconds));
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

static int save_now(struct vm *vm, const char *runstate, const struct save_opts *opts,
		    struct proof *proof, struct err *err)
{
	_cleanup_json_ struct json_object *previous = NULL, *disks = NULL;
	_cleanup_free_ char *part = NULL;
	struct copy_plan copy = { 0 };
	int r = check_devices(vm, runstate, err);

	if (r == 0)
		r = copy_target(vm, runstate, &opts->copy, &copy, err);
	if (r == 0)
		r = inspect(vm, &previous, &disks, err);
	if (r < 0)
		return r;
	if (interrupted())
		return fail(err, -EINTR, .what = "VM", .value = vm->name, .why = "interrupted");
	r = note_begin(vm, runstate, opts, previous, disks, err);
	if (r < 0)
		return r;
	if (opts->timeout < vm->qemu.qmp->patience)
		vm->qemu.qmp->patience = opts->timeout;
	r = measure(vm, opts->timeout, &copy, proof, err);
	part = vm_part_path(vm);
	if (r == 0)
		r = stop_and_write(vm, part, previous, proof->deadline, err);
	if (r == 0)
		r = commit_state(vm, part, runstate, proof, err);
	if (r < 0)
		roll_back(vm, runstate, r, err);
	return r;
}

static int save_as_is(struct vm *vm, const char *runstate, const struct save_opts *opts,
		      struct err *err)
{
	struct proof proof = { .no_rehearse = opts->no_rehearse, .rehearse = opts->rehearse };
	bool again = streq(runstate, "postmigrate");
	int r;

	if (!again && !is_savable(runstate))
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
			    .why = fmt("its guest is '%s', neither running nor paused", runstate));
	r = proof_prepare(vm, opts->qemu, &proof, err);
	proof.deadline = deadline_in(opts->timeout);
	if (r == 0)
		r = again ? save_again(vm, opts, &proof, err) :
		    save_now(vm, runstate, opts, &proof, err);
	fit_free(&proof.fit);
	return r;
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
	proof_tell(vm, result);
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
