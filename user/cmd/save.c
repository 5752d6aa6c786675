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
#include "lib/cprfs.h"
#include "lib/devices.h"
#include "lib/digest.h"
#include "lib/dma.h"
#include "lib/interrupt.h"
#include "lib/manifest.h"
#include "lib/migration.h"
#include "lib/size.h"
#include "lib/statefile.h"
#include "lib/suspend.h"

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

	copy_forget(vm);
	json_object_object_del(vm->manifest, "saved");
	json_object_object_del(vm->manifest, "suspended");
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

static void record(struct vm *vm, const struct digest *digest, const char *runstate,
		   struct json_object *previous)
{
	struct json_object *saved = json_object_new_object();

	record_file(vm, digest, saved);
	jset_int(saved, "time", time(NULL));
	jset_str(saved, "kernel", kernel_release());
	jset_str(saved, "runstate", runstate);
	if (manifest_suspended(vm->manifest))
		jset_bool(saved, "suspended", true);
	jset(saved, "previous", json_object_get(previous));
	jset(vm->manifest, "saved", saved);
}

static int write_state(struct vm *vm, const char *part, deadline_t deadline, struct err *err)
{
	struct qmp *qmp = vm->qemu.qmp;
	bool stream = copy_streams(vm);
	int r = stream ? copy_save(vm, err) : migration_save(qmp, part, err);

	if (r < 0)
		return r;
	qmp->js->interruptible = true;
	r = migration_wait(qmp, deadline, err);
	qmp->js->interruptible = false;
	if (r == 0)
		r = migration_await_status(qmp, "postmigrate", deadline, err);
	return r == 0 && stream ? copy_command_ended(vm, deadline, err) : r;
}

/* The state is whole: it gets its name, also should the host go down now. */
static int check_and_rename(struct vm *vm, const char *part, struct digest *digest,
			    struct err *err)
{
	_cleanup_free_ char *path = vm_state_path(vm), *dir = xstrdup(path);
	int r = check_file(vm, part, digest, err);

	if (r < 0)
		return r;
	r = rename(part, path) < 0 ? -errno : 0;
	*strrchr(dir, '/') = '\0';
	/* That of the VM is synced with the manifest. */
	if (r == 0 && jget(vm->manifest, "target"))
		r = sync_dir(*dir ? dir : "/");
	return r < 0 ? fail(err, r, .what = "cannot rename", .value = part,
			    .why = strerror(-r)) : 0;
}

/* Tell the manifest and the module. */
static int commit(struct vm *vm, const char *part, const char *runstate,
		  struct json_object *previous, double seconds, struct err *err)
{
	struct digest digest = { 0 };
	int r = copy_streams(vm) ? 0 : check_and_rename(vm, part, &digest, err);

	if (r < 0)
		return r;
	record(vm, &digest, runstate, previous);
	if (seconds > 0)
		jset_int(jget(vm->manifest, "saved"), "seconds", seconds + 1);
	r = vm_manifest_save(vm, err);
	return r < 0 ? r : vm_do(vm, CPR_CMD_VM_SAVE, err);
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
	return commit(vm, part, jstr(vm->manifest, "runstate"), NULL, 0, err);
}

/* No state was written: the guest sleeps, or was stopped while it did, or runs. */
static int wake_here(struct vm *vm, const char *status, struct err *err)
{
	struct qmp *qmp = vm->qemu.qmp;
	int r = runstate_live(status) ? 0 : qmp_run(qmp, "cont", NULL, NULL, err);

	if (r == 0 && !streq(status, "running") && manifest_suspended(vm->manifest))
		r = guest_wake(qmp, err);
	return r < 0 ? r : forget_saved(vm, err);
}

int rouse_vm(struct vm *vm, struct json_object *result, struct err *err)
{
	_cleanup_free_ char *status = NULL;
	bool deferred;
	int r = qmp_status(vm->qemu.qmp, &status, err);

	if (r < 0)
		return r;
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

/* Whatever came of it: QEMU as it was, and the guest running if it ran. */
static void roll_back(struct vm *vm, const char *runstate, struct json_object *previous,
		      struct err *err)
{
	_cleanup_free_ char *now = NULL;
	struct qmp *qmp = vm->qemu.qmp;
	bool live = runstate_live(runstate);

	qemu_words(vm->name, vm->qemu.log_from, err);
	migration_cancel(qmp);
	migration_reset(qmp, previous, NULL);
	if (manifest_asleep(vm->manifest)) {
		rouse(vm);
		return;
	}
	if (qmp_status(qmp, &now, NULL) < 0)
		note("VM '%s': its QEMU does not answer any more", vm->name);
	else if (live && !runstate_live(now) && qmp_run(qmp, "cont", NULL, NULL, NULL) < 0)
		note("VM '%s': the guest does not run on; see 'cpr-helper show %s'", vm->name,
		     vm->name);
	else if (!live && streq(now, "postmigrate"))
		note("VM '%s': the guest stays paused, and must run before it can be saved again",
		     vm->name);
	forget_saved(vm, NULL);
}

/*
 * A paused guest whose save was aborted is still in postmigrate, and has not run
 * since: its state is the one on file.
 */
static int save_again(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *path = vm_state_path(vm);
	struct json_object *saved = jget(vm->manifest, "saved");
	struct digest digest;
	int r;

	if (saved && copy_streams(vm))
		return vm_do(vm, CPR_CMD_VM_SAVE, err);
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
	return vm_do(vm, CPR_CMD_VM_SAVE, err);
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
	int r = manifest_suspended(vm->manifest) ? suspend(vm, deadline, err) : 0;

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

static int save_now(struct vm *vm, const char *runstate, const struct save_opts *opts,
		    struct err *err)
{
	_cleanup_json_ struct json_object *previous = NULL;
	_cleanup_free_ char *part = NULL;
	struct copy_plan copy = { 0 };
	deadline_t deadline;
	int r = check_devices(vm, runstate, err);

	if (r == 0)
		r = copy_target(vm, runstate, &opts->copy, &copy, err);
	if (r < 0)
		return r;
	if (interrupted())
		return fail(err, -EINTR, .what = "VM", .value = vm->name, .why = "interrupted");
	/* For an abort, should this process be killed from here on. */
	json_object_object_del(vm->manifest, "saved");
	jset_str(vm->manifest, "runstate", runstate);
	if (has_devices(vm) && streq(runstate, "running"))
		jset_bool(vm->manifest, "suspended", true);
	else
		json_object_object_del(vm->manifest, "suspended");
	r = vm_manifest_save(vm, err);
	if (r < 0)
		return r;
	r = manifest_copied(vm->manifest) ? copy_measure(vm, &copy, err) : 0;
	part = vm_part_path(vm);
	deadline = deadline_in(opts->timeout + copy_patience(copy.seconds));
	if (r == 0)
		r = quiesce(vm, deadline, err);
	if (r == 0)
		r = migration_setup(vm->qemu.qmp, &previous, err);
	if (r == 0 && manifest_copied(vm->manifest))
		r = copy_inspect(vm, previous, err);
	if (r == 0 && manifest_copied(vm->manifest))
		r = copy_apply(vm, part, previous, err);
	if (r == 0)
		r = write_state(vm, part, deadline, err);
	if (r == 0)
		r = commit(vm, part, runstate, previous, copy.seconds, err);
	if (r < 0)
		roll_back(vm, runstate, previous, err);
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
	if (r < 0)
		return r;
	if (streq(runstate, "postmigrate"))
		r = save_again(vm, err);
	else if (!is_savable(runstate))
		r = fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
			 .why = fmt("its guest is '%s', neither running nor paused", runstate));
	else
		r = save_now(vm, runstate, opts, err);
	if (r < 0)
		return r;
	jset_int(result, "state_bytes", jint(jget(vm->manifest, "saved"), "size", 0));
	jset_str(result, "runstate", jstr(jget(vm->manifest, "saved"), "runstate"));
	jset_int(result, "ms", now_ms() - begin);
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

/* Quits QEMU for good. Retries while the kernel still lets go of the memory. */
int seal_vm(struct vm *vm, struct err *err)
{
	deadline_t deadline = deadline_in(10);
	int r = vm_attach(vm, err);

	if (r == 0)
		r = migration_await_status(vm->qemu.qmp, "postmigrate", deadline, err);
	if (r == 0)
		r = qemu_quit(&vm->qemu, err);
	if (r < 0)
		return r;
	while ((r = vm_do(vm, CPR_CMD_VM_SEAL, NULL)) == -EBUSY && deadline_left(deadline))
		usleep(20000);
	return r < 0 ? vm_do(vm, CPR_CMD_VM_SEAL, err) : 0;
}

static bool want_save(const struct cpr_vm *vm)
{
	return vm->state == CPR_VM_STATE_RUNNING;
}

static int save_one(struct vm *vm, const struct args *args, struct json_object *result,
		    struct err *err)
{
	struct save_opts opts = {
		.timeout = arg_timeout(args, SAVE_TIMEOUT_S, err),
		.copy = { arg(args, "to"), arg(args, "uri"), arg(args, "restore-uri") },
	};

	vm->full = arg(args, "full");
	return opts.timeout < 0 ? -EINVAL : save_vm(vm, &opts, result, err);
}

static int run_save(const struct args *args, struct err *err)
{
	static const struct each each = {
		.want = want_save, .one = save_one, .nothing = "no VM is running",
		.verb = "saved",
	};

	if (arg(args, "all") && (arg(args, "to") || arg(args, "uri")))
		return usage(args, err, "--to and --uri are for one VM, not for --all", NULL);
	return for_each_vm(&each, args, err);
}

const struct cmd cmd_save = {
	.name = "save",
	.synopsis = "NAME|--all [--timeout SECONDS] [--full] [--to PATH]",
	.summary = "stop a guest and save its device state; abort undoes it",
	.opts = {
		{ "all", NULL, "every VM that is running" },
		{ "timeout", "SECONDS", "give up and let the guest run on after this long (120)" },
		{ "full", NULL, "look at every page that devices can reach" },
		{ "to", "PATH", "in copy mode: a file on a disk, or a directory for NAME.state" },
		{ "uri", "exec:CMD", "in copy mode: a command that takes all, and cannot be checked" },
		{ "restore-uri", "exec:CMD", "with --uri: the command that gives it back" },
	},
	.max_args = 1,
	.dry_run = true,
	.run = run_save,
};
