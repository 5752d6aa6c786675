// SPDX-License-Identifier: GPL-2.0-only
/*
 * restore: a new QEMU loads what save wrote, onto the memory that stayed. Until
 * the guest is let run nothing is given up: any failure leaves the VM as it was,
 * and restore can be tried again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/faultpoint.h"
#include "base/interrupt.h"
#include "base/paths.h"
#include "base/size.h"
#include "stream/statefile.h"
#include "qemu/migration.h"
#include "qemu/qga.h"
#include "qemu/resume.h"
#include "qemu/suspend.h"
#include "vm/cprfs.h"
#include "vm/devices.h"
#include "vm/disks.h"
#include "vm/dma.h"
#include "vm/lock.h"
#include "vm/manifest.h"
#include "handover/commit.h"
#include "handover/integrity.h"
#include "handover/pause.h"
#include "cmd/cmd.h"

#define AGENT_S 5
#define AWAKE_S 30		/* of an agent in a guest that has just woken */
#define SETTLE_S 10

static int wrong_state(struct vm *vm, struct err *err)
{
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = fmt("it is %s, there is nothing to restore",
			       cpr_state_name(vm->info.state)),
		    .remedy = vm->info.state == CPR_VM_STATE_SAVED ?
		    fmt("'cpr-helper abort %s' lets it run on", vm->name) :
		    vm->info.state == CPR_VM_STATE_LOST ?
		    fmt("its state was not saved; 'cpr-helper delete %s' frees its memory",
			vm->name) : NULL);
}

/* QEMU died, or was killed, in postmigrate: memory and state still fit together. */
static int seal_dead(struct vm *vm, struct err *err)
{
	int r = qemu_attach(vm->name, QEMU_ATTACH_S, &vm->qemu, err);

	if (r == 0)
		return wrong_state(vm, err);
	return r == -ESRCH ? integrity_commit(vm, CPR_CMD_VM_SEAL, err) : r;
}

/*
 * A restore that was cut short. Its QEMU may still wait; the guest has not run,
 * because that comes after the VM is pinned.
 */
static int unclaim_stale(struct vm *vm, struct err *err)
{
	qemu_end(vm->name);
	return integrity_commit(vm, CPR_CMD_VM_UNCLAIM, err);
}

static int make_restorable(struct vm *vm, struct err *err)
{
	switch (vm->info.state) {
	case CPR_VM_STATE_SEALED:
	case CPR_VM_STATE_HELD:
		return 0;
	case CPR_VM_STATE_SAVED:
		return seal_dead(vm, err);
	case CPR_VM_STATE_RESTORING:
		return unclaim_stale(vm, err);
	default:
		return wrong_state(vm, err);
	}
}

static int check_state_file(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *path = vm_state_path(vm);
	struct json_object *saved = jget(vm->manifest, "saved");
	uint64_t size = jint(saved, "size", 0);
	struct digest digest;
	int r;

	if (!saved)
		return fail(err, -EINVAL, .what = "manifest", .value = MANIFEST_FILE,
			    .why = "it knows of no saved state");
	if (copy_streams(vm)) {
		note("VM '%s': what its state is, and whether it is whole, nobody has checked",
		     vm->name);
		return 0;
	}
	r = digest_file(path, &digest, err);
	if (r < 0)
		return r;
	if (digest.size != size)
		return fail(err, -EIO, .what = "state file", .value = path,
			    .why = fmt("it has %llu bytes, and was saved with %llu",
				       (unsigned long long)digest.size, (unsigned long long)size),
			    .remedy = "it cannot be loaded; the guest's memory is untouched");
	if (!streq(digest.text, jstr(saved, "digest")))
		return fail(err, -EIO, .what = "state file", .value = path,
			    .why = "its digest is not the one it was saved with",
			    .remedy = "it cannot be loaded; the guest's memory is untouched");
	/* A save by an older cpr-helper may have recorded what was not whole. */
	return statefile_check(path, vm->manifest, true, NULL, err);
}

static int check_memory_files(struct vm *vm, struct err *err)
{
	struct json_object *memory = jget(vm->manifest, "memory");

	for (size_t i = 0; i < json_object_array_length(memory); i++) {
		struct json_object *m = json_object_array_get_idx(memory, i);
		_cleanup_free_ char *path = vm_path(vm->name, jstr(m, "file"));
		struct stat st;

		if (stat(path, &st) < 0)
			return fail(err, -errno, .what = "memory file", .value = path,
				    .why = strerror(errno));
		if (st.st_size != jint(m, "size", -1))
			return fail(err, -EIO, .what = "memory file", .value = path,
				    .why = fmt("it has %lld bytes, and should have %lld",
					       (long long)st.st_size,
					       (long long)jint(m, "size", -1)));
	}
	return 0;
}

/* The one for which it was saved. */
static const char *next_binary(struct vm *vm, const struct restore_opts *opts)
{
	const char *proven = jstr(jget(jget(vm->manifest, "saved"), "qemu"), "binary");

	return proven && !opts->old_qemu ? proven : jstr(vm->manifest, "binary");
}

static struct json_object *saved_disks(struct vm *vm)
{
	return jget(jget(vm->manifest, "saved"), "disks");
}

static int check_disks(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	int r = opts->of_several ? 0 : disks_known(saved_disks(vm), opts->force_disks, err);

	return r < 0 ? r : disks_compare(saved_disks(vm), vm->name, opts->force_disks, err);
}

static int check(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	const char *binary;
	int r = integrity_check_manifest(vm, err);

	if (r == 0)
		r = vm_manifest(vm, err);
	if (r < 0)
		return r;
	pause_taken_up(vm);
	binary = next_binary(vm, opts);
	if (access(binary, X_OK) < 0)
		return fail(err, -errno, .exit = CPR_EXIT_NOTFOUND, .what = "QEMU binary",
			    .value = binary, .why = strerror(errno),
			    .remedy = "install it again: the VM was saved for it");
	r = check_memory_files(vm, err);
	if (r == 0)
		r = check_state_file(vm, err);
	if (r == 0)
		r = integrity_check_memory(vm, err);
	return r < 0 ? r : check_disks(vm, opts, err);
}

static int start(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_free_ char *machine = xasprintf("type=%s", jstr(vm->manifest, "machine"));
	const char *extra[] = { "-machine", machine, "-incoming", "defer", NULL };
	struct qemu_command cmd = {
		.vm = vm->name, .binary = next_binary(vm, opts),
		.cwd = jstr(vm->manifest, "cwd"), .argv = &argv, .extra = extra,
	};

	manifest_argv(vm->manifest, &argv);
	return qemu_start(&cmd, &vm->qemu, err);
}

/* "completed" comes before the guest has left the state "inmigrate". */
static int settle(struct qmp *qmp, struct err *err)
{
	deadline_t deadline = deadline_in(SETTLE_S);

	for (;;) {
		_cleanup_free_ char *status = NULL;
		_cleanup_json_ struct json_object *event = NULL;
		int r = qmp_status(qmp, &status, err);

		if (r < 0 || !streq(status, "inmigrate"))
			return r;
		if (!deadline_left(deadline))
			return fail(err, -ETIMEDOUT, .what = "guest", .value = status,
				    .why = "the state is loaded, but QEMU does not say so");
		qmp_event(qmp, deadline_cap(deadline, 20), &event, NULL);
	}
}

static int load(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	_cleanup_json_ struct json_object *previous = NULL;
	_cleanup_free_ char *path = vm_state_path(vm);
	struct migration_way way = copy_way(vm);
	struct qmp *qmp = vm->qemu.qmp;
	double longer = copy_patience(jint(jget(vm->manifest, "saved"), "seconds", 0));
	int r = migration_setup(qmp, &way, &previous, err);

	if (r == 0)
		r = copy_streams(vm) ? copy_load(vm, err) : migration_load(qmp, path, err);
	if (r < 0)
		return r;
	qmp->js->interruptible = true;
	r = migration_wait(qmp, deadline_in(opts->timeout + longer), err);
	qmp->js->interruptible = false;
	if (r == 0)
		r = settle(qmp, err);
	return r < 0 ? r : migration_reset(qmp, previous, err);
}

/* What the devices were found to reach. */
static void keep_verdict(struct vm *vm)
{
	_cleanup_err_ struct err why = { 0 };

	if (has_devices(vm) && vm_manifest_save(vm, &why) < 0)
		note("VM '%s': %s: %s", vm->name, why.what, why.why);
}

static void give_back(struct vm *vm, struct err *err)
{
	_cleanup_err_ struct err why = { 0 };

	qemu_words(vm->name, vm->qemu.log_from, err);
	qemu_kill(&vm->qemu);
	keep_verdict(vm);
	if (integrity_commit(vm, CPR_CMD_VM_UNCLAIM, &why) < 0)
		note("VM '%s': it stays '%s': %s", vm->name, cpr_state_name(vm->info.state),
		     why.why);
}

/* The guest could not run: state and memory are still as they were saved. */
static void seal_again(struct vm *vm, struct err *err)
{
	_cleanup_err_ struct err why = { 0 };

	qemu_words(vm->name, vm->qemu.log_from, err);
	if (dma_snapshot(vm, &why) < 0)
		note("VM '%s': its devices will not be held: %s", vm->name, why.why);
	err_clear(&why);
	qemu_kill(&vm->qemu);
	if (vm_do(vm, CPR_CMD_VM_SAVE, &why) < 0 ||
	    integrity_commit(vm, CPR_CMD_VM_SEAL, &why) < 0)
		note("VM '%s': it stays '%s': %s", vm->name, cpr_state_name(vm->info.state),
		     why.why);
}

/* A guest whose clock stood still for the time of the handover. */
static void set_clock(struct vm *vm, double patience, struct json_object *result)
{
	_cleanup_err_ struct err why = { 0 };
	const char *path = jstr(vm->manifest, "agent");
	bool ok;

	if (!path)
		return;
	ok = qga_set_time(path, deadline_in(patience), &why) == 0;
	jset_bool(result, "clock_set", ok);
	if (!ok)
		note("VM '%s': the guest's clock was not set: %s %s", vm->name, why.what, why.why);
}

/* What it runs in from now on; and that it is saved no longer. */
static void remember(struct vm *vm, const struct restore_opts *opts)
{
	_cleanup_err_ struct err why = { 0 };
	_cleanup_free_ char *version = NULL, *binary = xstrdup(next_binary(vm, opts));

	if (qemu_version(vm->qemu.qmp, &version, NULL) == 0) {
		jset_str(vm->manifest, "binary", binary);
		jset_str(vm->manifest, "qemu_version", version);
	}
	if (commit_discard(vm, &why) < 0)
		note("VM '%s': %s: %s", vm->name, why.what, why.why);
}

static int run_on(struct vm *vm, bool live, struct err *err)
{
	int r = vm_do(vm, CPR_CMD_VM_PIN, err);

	if (r < 0) {
		give_back(vm, err);
		return r;
	}
	keep_verdict(vm);
	r = faultpoint("restore-pinned", vm->name, err);
	if (r == 0 && live)
		r = guest_resume(vm->qemu.qmp, err);
	if (r == -ETIMEDOUT)
		note("VM '%s': whether its guest runs is not known, so its QEMU is left alone; once "
		     "that answers, 'cpr-helper restore %s' goes on", vm->name, vm->name);
	else if (r < 0)
		seal_again(vm, err);
	return r < 0 ? r : faultpoint("restore-resumed", vm->name, err);
}

static int claim_and_load(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	int r;

	if (interrupted())
		return fail(err, -EINTR, .what = "VM", .value = vm->name, .why = "interrupted");
	r = vm_do(vm, CPR_CMD_VM_CLAIM, err);
	if (r < 0)
		return r;
	r = faultpoint("restore-claimed", vm->name, err);
	if (r == 0 && has_devices(vm))
		r = vm_do(vm, CPR_CMD_VM_RELEASE, err);
	pause_mark(vm, "ready");
	if (r == 0)
		r = start(vm, opts, err);
	pause_mark(vm, "start");
	if (r == 0)
		r = disks_opened(vm, saved_disks(vm), opts->force_disks, err);
	if (r == 0)
		r = faultpoint("restore-started", vm->name, err);
	if (r == 0)
		r = load(vm, opts, err);
	pause_mark(vm, "load");
	if (r == 0)
		r = dma_verify(vm, err);
	pause_mark(vm, "verify");
	if (r == 0)
		r = faultpoint("restore-loaded", vm->name, err);
	if (r < 0)
		give_back(vm, err);
	return r;
}

static void tell(struct vm *vm, const char *status, struct json_object *result)
{
	struct json_object *pause = pause_json(vm->manifest);
	bool runs = pause && streq(status, "running");

	jset(result, "pause", pause);
	say("%s: restored, the guest %s %s", vm->name, runs ? "stood still" : "is",
	    runs ? pause_text(pause) : status);
}

/* What the guest does now; only then is given up what it came from. */
static int see(struct vm *vm, bool live, const struct restore_opts *opts,
	       struct json_object *result, struct err *err)
{
	bool wake = manifest_suspended(jget(vm->manifest, "saved"));
	_cleanup_free_ char *status = NULL;
	int r = wake ? guest_wake(vm->qemu.qmp, err) : 0;

	pause_mark(vm, "resume");
	if (r < 0)
		return r;
	if (wake || (live && !manifest_asleep(jget(vm->manifest, "saved"))))
		set_clock(vm, wake ? AWAKE_S : AGENT_S, result);
	r = live ? guest_watch(vm->qemu.qmp, GUEST_WATCH_S, &status, err) :
	    qmp_status(vm->qemu.qmp, &status, err);
	if (r < 0) {
		qemu_words(vm->name, vm->qemu.log_from, err);
		return r;
	}
	jset_str(result, "runstate", status);
	remember(vm, opts);
	tell(vm, status, result);
	return 0;
}

int restore_vm(struct vm *vm, const struct restore_opts *opts, struct json_object *result,
	       struct err *err)
{
	int64_t begin = now_ms();
	bool live;
	int r = make_restorable(vm, err);

	if (r == 0)
		r = check(vm, opts, err);
	if (r == 0)
		r = devices_ready(vm, err);
	if (r == 0)
		r = claim_and_load(vm, opts, err);
	if (r < 0)
		return r;
	live = runstate_live(jstr(jget(vm->manifest, "saved"), "runstate"));
	r = run_on(vm, live, err);
	if (r < 0)
		return r;
	jset_int(result, "ms", now_ms() - begin);
	jset_int(result, "pid", vm->qemu.pid);
	return see(vm, live, opts, result, err);
}

int finish_vm(struct vm *vm, struct json_object *result, struct err *err)
{
	const char *proven = jstr(jget(jget(vm->manifest, "saved"), "qemu"), "binary");
	_cleanup_free_ char *exe = xasprintf("/proc/%d/exe", (int)vm->qemu.pid);
	_cleanup_free_ char *running = realpath(exe, NULL), *status = NULL;
	struct restore_opts opts = RESTORE_DEFAULT;
	int r = qmp_status(vm->qemu.qmp, &status, err);

	if (r == 0 && (streq(status, "postmigrate") || streq(status, "finish-migrate")))
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
			    .why = "its save was cut short",
			    .remedy = fmt("'cpr-helper abort %s'", vm->name));
	opts.old_qemu = !proven || !running || !streq(running, proven);
	if (r == 0 && streq(status, "paused"))
		r = guest_resume(vm->qemu.qmp, err);
	return r < 0 ? r : see(vm, true, &opts, result, err);
}

/* A restore that was killed after its VM was pinned: see finish_vm(). */
static bool loaded_once(const struct cpr_vm *vm)
{
	_cleanup_free_ char *dir = vm_path(vm->name, NULL);
	_cleanup_json_ struct json_object *manifest = NULL;

	return vm->state == CPR_VM_STATE_RUNNING && manifest_read(dir, &manifest, NULL) == 0 &&
	       runstate_live(jstr(jget(manifest, "saved"), "runstate"));
}

static bool want_restore(const struct cpr_vm *vm)
{
	return loaded_once(vm) || vm->state == CPR_VM_STATE_SEALED || vm->state == CPR_VM_STATE_HELD ||
	       vm->state == CPR_VM_STATE_RESTORING;
}

/* That --timeout is a number was seen to before. */
static struct restore_opts restore_options(const struct args *args)
{
	return (struct restore_opts){
		.timeout = arg_timeout(args, RESTORE_TIMEOUT_S, NULL),
		.force_disks = arg(args, "force"), .of_several = arg(args, "all"),
	};
}

static int restore_one(struct vm *vm, const struct args *args, struct json_object *result,
		       struct err *err)
{
	struct restore_opts opts = restore_options(args);
	int r;

	vm->full = arg(args, "full");
	if (!loaded_once(&vm->info))
		return restore_vm(vm, &opts, result, err);
	r = vm_manifest(vm, err);
	if (r == 0)
		r = vm_attach(vm, err);
	return r < 0 ? r : finish_vm(vm, result, err);
}

/* As far as can be told without a QEMU. What was cut short is put back first. */
static int check_one(struct vm *vm, const struct args *args, struct err *err)
{
	struct restore_opts opts = restore_options(args);

	if (!want_restore(&vm->info) && vm->info.state != CPR_VM_STATE_SAVED)
		return wrong_state(vm, err);
	if (vm->info.state != CPR_VM_STATE_SEALED && vm->info.state != CPR_VM_STATE_HELD)
		return 0;
	if (!cprfs_mounted()) {
		note("VM '%s': what it was saved as is not looked at: " CPRFS_ROOT
		     " is not mounted", vm->name);
		return 0;
	}
	return check(vm, &opts, err);
}

static int run_restore(const struct args *args, struct err *err)
{
	static const struct each each = {
		.want = want_restore, .one = restore_one, .check = check_one,
		.nothing = "no VM is sealed or held",
		.verb = "restored", .mount = true,
	};

	int r, host = args->dry_run ? -1 : host_lock(false, err);

	if (host < 0 && !args->dry_run)
		return host;
	r = for_each_vm(&each, args, err);
	if (host >= 0)
		close(host);
	return r;
}

const struct cmd cmd_restore = {
	.name = "restore",
	.synopsis = "NAME|--all [--timeout SECONDS] [--full] [--force DISK,...] [--jobs N]",
	.summary = "let a guest that was saved run on, under this kernel",
	.opts = {
		{ "all", NULL, "every VM that is sealed or held" },
		{ "timeout", "SECONDS", "give up loading the state after this long (120)" },
		{ "full", NULL, "look at every page that devices can reach" },
		{ "force", "DISK,...", "these disks may have changed since the save" },
		JOBS_OPTION,
	},
	.max_args = 1,
	.dry_run = true,
	.run = run_restore,
};
