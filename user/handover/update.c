// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/crew.h"
#include "base/faultpoint.h"
#include "base/interrupt.h"
#include "base/out.h"
#include "base/paths.h"
#include "base/size.h"
#include "host/kexec.h"
#include "qemu/poweroff.h"
#include "vm/devices.h"
#include "vm/dma.h"
#include "handover/abort.h"
#include "handover/expectation.h"
#include "handover/hooks.h"
#include "handover/pause.h"
#include "handover/restore.h"
#include "handover/save.h"
#include "handover/seal.h"
#include "handover/update.h"

#define COPY_BYTES "copy_bytes"		/* in a VM's result: space it needs in the region */

#define PROVEN "proven"			/* in a VM's result: see dma_prove() */

#define EXPECTED "expected_pause_ms"	/* in a VM's result */
#define HOOKED "hooked"			/* in a VM's result: its hooks wait for the save */

#define UPDATED "updated"		/* in a VM's result: whether it runs in the new QEMU */

#define ROLLING_JOBS 4			/* more would make the pause of each longer */

/**
 * struct update - an update under way
 * @plan: the caller's
 * @progress: the caller's; NULL for none
 * @results: an object for each VM
 * @keep: whether a VM stays saved if the update fails, because it was saved before
 */
struct update {
	struct plan *plan;
	update_progress progress;
	struct json_object **results;
	bool *keep;
};

static void update_init(struct update *u)
{
	size_t n = u->plan->names.n;

	u->results = xcalloc(n, sizeof(*u->results));
	u->keep = xcalloc(n, sizeof(*u->keep));
	for (size_t i = 0; i < n; i++) {
		u->results[i] = json_object_new_object();
		u->keep[i] = plan_is_saved(u->plan, &u->plan->vms[i]);
		u->plan->vms[i].revoke = u->plan->opts->revoke;
	}
}

static void update_free(struct update *u)
{
	for (size_t i = 0; i < u->plan->names.n; i++)
		json_object_put(u->results[i]);
	free(u->results);
	free(u->keep);
}

static void update_progressed(const struct update *u, enum update_step step, struct vm *vm,
			      struct json_object *result)
{
	if (u->progress)
		u->progress(step, vm->name, result);
}

/* Each task is a process of its own, and must not share the parent's netlink socket. */
static int update_connect(struct vm *vm, struct err *err)
{
	vm->genl = genl_open(err);
	return vm->genl ? 0 : -ENOENT;
}

static struct expectation update_expects(const struct update *u, const struct vm *vm)
{
	return expectation_of(vm->dir, u->plan->kernel.version);
}

/* Returns: 0; a refusal if the guest would stand still for longer than it may. */
static int update_check_pause(const struct update *u, const struct vm *vm, int64_t ms,
			      struct err *err)
{
	double most = u->plan->opts->save.max_pause;

	if (most <= 0 || ms <= most * 1000)
		return 0;
	return fail(err, -ETIMEDOUT, .exit = CPR_EXIT_REFUSED, .what = "VM", .value = vm->name,
		    .why = fmt("by its last handover, its guest will stand still for %s, and "
			       "--max-pause allows %g s", pause_duration(ms), most),
		    .remedy = "allow more with --max-pause; 'cpr-helper show' has what took long");
}

/* All VMs are checked, to report every obstacle and not only the first. */
static int update_check_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->plan->vms[i];
	struct expectation e = update_expects(u, vm);
	uint64_t bytes = 0;
	int r = vm->info.state == CPR_VM_STATE_RUNNING ?
		save_check(vm, &u->plan->opts->save, &bytes, err) : 0;

	if (bytes)
		jset_int(result, COPY_BYTES, bytes);
	jset(result, EXPECTED, e.total_ms < 0 ? NULL : json_object_new_int64(e.total_ms));
	return r < 0 ? r : update_check_pause(u, vm, e.total_ms, err);
}

static int update_abort(struct update *u, struct vm *vm, struct json_object *result,
			struct err *err)
{
	int r = abort_vm(vm, result, err);

	if (r == 0)
		update_progressed(u, UPDATE_ABORTED, vm, result);
	return r;
}

/*
 * This may take long, as may hooks, and a guest that is saved already would wait for the
 * others. So it is done for all before the first guest stops.
 */
static int update_prove_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->plan->vms[i];
	int r = update_connect(vm, err);

	if (r < 0 || vm->info.state != CPR_VM_STATE_RUNNING || abort_wanted(&vm->info))
		return r;
	vm->full = u->plan->opts->save.full;
	r = vm_manifest(vm, err);
	if (r == 0 && vm_has_devices(vm))
		r = vm_attach(vm, err);
	if (r == 0)
		r = dma_prove(vm, err);
	jset_bool(result, PROVEN, vm->proven);
	if (r == 0 && u->plan->kernel.version) {
		r = hooks_before(vm, "save", err);
		jset_bool(result, HOOKED, r == 0);
	}
	return r;
}

/* What is left of the longest pause, in seconds above 0, without that after the save. */
static double update_save_pause(const struct update *u, const struct vm *vm)
{
	double left = u->plan->opts->save.max_pause - update_expects(u, vm).rest_ms / 1000.0;

	return left < 0.001 ? 0.001 : left;
}

/* A VM that was saved for another QEMU is aborted and saved again. */
static int update_save(struct update *u, struct vm *vm, struct json_object *result,
		       struct err *err)
{
	struct save_opts opts = u->plan->opts->save;
	int r = 0;

	opts.noted = true;
	if (opts.max_pause > 0)
		opts.max_pause = update_save_pause(u, vm);
	if (plan_is_saved(u->plan, vm))
		return 0;
	if (abort_wanted(&vm->info))
		r = update_abort(u, vm, result, err);
	if (r < 0)
		return r;
	jset_bool(result, HOOKED, false);
	r = save_vm(vm, &opts, result, err);
	if (r == 0)
		update_progressed(u, UPDATE_SAVED, vm, result);
	return r;
}

static int update_save_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->plan->vms[i];
	int r = update_connect(vm, err);

	return r < 0 ? r : update_save(u, vm, result, err);
}

static int update_seal(struct update *u, struct vm *vm, struct json_object *result,
		       struct err *err)
{
	int r;

	if (vm->info.state == CPR_VM_STATE_SEALED)
		return 0;
	r = seal_vm(vm, err);
	if (r == 0)
		update_progressed(u, UPDATE_SEALED, vm, result);
	return r;
}

static int update_seal_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->plan->vms[i];
	int r = update_connect(vm, err);

	return r < 0 ? r : update_seal(u, vm, result, err);
}

static int update_restore(struct update *u, struct vm *vm, const struct restore_opts *opts,
			  struct json_object *result, struct err *err)
{
	int r = restore_vm(vm, opts, result, err);

	if (r == 0)
		update_progressed(u, UPDATE_RESTORED, vm, result);
	return r;
}

/* The update fails even if the guest runs in its old QEMU again. */
static void update_fall_back(struct update *u, struct vm *vm, struct json_object *result)
{
	struct restore_opts old = RESTORE_DEFAULT;
	_cleanup_err_ struct err why = { 0 };
	int r;

	note("VM '%s': the new QEMU cannot run it; it is restored in the old QEMU", vm->name);
	old.old_qemu = true;
	pause_abort(vm);
	r = update_restore(u, vm, &old, result, &why);
	if (r < 0)
		err_print(&why, vm->name);
	jset_bool(result, "fell_back", r == 0);
}

static int update_exchange(struct update *u, struct vm *vm, struct json_object *result,
			   struct err *err)
{
	int r = update_seal(u, vm, result, err);

	if (r < 0)
		return r;
	r = update_restore(u, vm, &RESTORE_DEFAULT, result, err);
	if (r == 0)
		jset_bool(result, UPDATED, true);
	else if (vm->info.state == CPR_VM_STATE_SEALED)
		update_fall_back(u, vm, result);
	else
		jset(result, UPDATED, NULL);	/* it may be in either */
	return r;
}

/*
 * The guest waits for no other. Once it is saved nothing interrupts it: whatever becomes of
 * the others, it goes to the new QEMU or back to the old one.
 */
static int update_roll_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->plan->vms[i];
	int r = update_connect(vm, err);

	if (r == 0)
		r = update_save(u, vm, result, err);
	interrupt_disable();
	return r < 0 ? r : update_exchange(u, vm, result, err);
}

/* Also for a VM that the update had not reached, or whose process was killed. */
static int update_rollback_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	struct vm *vm = &u->plan->vms[i];
	int r = update_connect(vm, err);

	if (r < 0 || !abort_wanted(&vm->info))
		return r;
	if (u->keep[i] && vm->info.state == CPR_VM_STATE_SAVED)
		return 0;
	return update_abort(u, vm, result, err);
}

static void update_keep_result(struct update *u, size_t i, const struct crew_outcome *o)
{
	struct json_object *into = u->results[i];

	json_object_object_foreach(o->result, key, value)
		jset(into, key, json_object_get(value));
	if (o->code == -ECHILD)
		json_object_object_del(into, UPDATED);	/* it was killed, and cannot tell */
	if (o->code < 0 && !jget(into, "error"))
		jset(into, "error", err_json(&o->err));
	json_object_put(u->plan->vms[i].manifest);
	u->plan->vms[i].manifest = NULL;
	vm_refresh(&u->plan->vms[i], NULL);
}

/**
 * struct update_phase - work on all VMs, several at the same time
 * @crew: how; update_run_phase() fills in the rest
 * @done: participle for a VM when it is done
 */
struct update_phase {
	struct crew crew;
	const char *done;
};

static const struct update_phase
update_checking = { { .work = update_check_task }, "ready to be saved" },
update_proving = { { .work = update_prove_task, .together = true }, "ready to be saved" },
update_saving = { { .work = update_save_task, .together = true, .meets = true }, "saved" },
/* In these QEMUs quit: an error that hits every VM must hit one only. */
update_sealing = { { .work = update_seal_task, .together = true, .first_alone = true }, "sealed" },
update_rolling = { { .work = update_roll_task, .together = true, .first_alone = true,
		     .jobs = ROLLING_JOBS }, "updated" },
update_rolling_back = { { .work = update_rollback_task }, "rolled back" };

static int update_run_phase(struct update *u, const struct update_phase *phase, struct err *err)
{
	struct crew crew = phase->crew;
	_cleanup_free_ char *failed = NULL;
	struct crew_outcome *outcomes;

	crew.names = &u->plan->names;
	if (u->plan->opts->jobs)
		crew.jobs = u->plan->opts->jobs;
	crew.arg = u;
	outcomes = crew_run(&crew);
	failed = crew_outcomes_failed(outcomes, &u->plan->names);

	for (size_t i = 0; i < u->plan->names.n; i++)
		update_keep_result(u, i, &outcomes[i]);
	crew_outcomes_free(outcomes, u->plan->names.n);
	if (!*failed)
		return 0;
	return fail(err, -EIO, .what = "VMs", .value = failed, .why = fmt("not %s", phase->done),
		    .remedy = "the reason of each VM is printed above");
}

/* A guest that has powered off meanwhile has done what it was to do. */
static int update_shut_down_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	struct update *u = arg;
	_cleanup_genl_ struct genl *genl = genl_open(err);
	_cleanup_vm_ struct vm vm = { .lock = -1, .qemu = QEMU_NONE };
	int r = genl ? vm_open(genl, u->plan->shutdown.v[i], &vm, err) : -ENOENT;

	(void)result;
	if (r < 0)
		return r;
	r = qemu_attach(vm.name, QEMU_ATTACH_S, &vm.qemu, err);
	if (r == 0)
		r = guest_power_off(&vm.qemu, deadline_in(u->plan->opts->save.timeout), err);
	if (r < 0 && r != -ESRCH)
		return r;
	update_progressed(u, UPDATE_SHUT_DOWN, &vm, NULL);
	return 0;
}

static int update_shut_down(struct update *u, struct err *err)
{
	const struct strv *names = &u->plan->shutdown;
	struct crew crew = { .names = names, .work = update_shut_down_task, .arg = u,
			     .jobs = u->plan->opts->jobs };
	struct crew_outcome *outcomes = crew_run(&crew);
	_cleanup_free_ char *failed = crew_outcomes_failed(outcomes, names);

	crew_outcomes_free(outcomes, names->n);
	if (!*failed)
		return 0;
	return fail(err, -EIO, .what = "VMs", .value = failed, .why = "not shut down",
		    .remedy = "the reason of each VM is printed above; the other guests run on");
}

/* Each was in time for itself, but has waited for the others. VMs that stay saved have time. */
static int update_check_pauses(struct update *u, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < u->plan->names.n; i++) {
		struct vm *vm = &u->plan->vms[i];

		if (u->keep[i] || vm_manifest(vm, NULL) < 0)
			continue;
		r = update_check_pause(u, vm, pause_so_far(vm) + update_expects(u, vm).rest_ms, err);
	}
	if (r < 0)
		err->exit = CPR_EXIT_FAILED;
	return r;
}

static int update_save_all(struct update *u, struct err *err)
{
	int r = update_run_phase(u, &update_saving, err);

	if (r == 0)
		r = update_check_pauses(u, err);
	if (r == 0)
		r = faultpoint("update-saved", NULL, err);
	/* From here on a signal does not interrupt the update. */
	if (r == 0 && interrupt_arrived())
		r = fail(err, -EINTR, .what = "update", .why = "interrupted");
	interrupt_disable();
	return r;
}

static int update_jump(struct update *u, struct err *err)
{
	int r = update_shut_down(u, err);

	if (r == 0)
		r = update_save_all(u, err);
	if (r == 0)
		r = update_run_phase(u, &update_sealing, err);
	if (r == 0)
		r = faultpoint("update-sealed", NULL, err);
	if (r < 0)
		return r;
	say("jumping to %s", u->plan->kernel.version);
	return kexec_jump(err);
}

/* VM by VM: each guest stands still for its own sake only, and the first one goes ahead. */
static int update_roll(struct update *u, struct err *err)
{
	_cleanup_strv_ struct strv updated = { 0 };
	int r;

	for (size_t i = 0; i < u->plan->names.n; i++)
		jset_bool(u->results[i], UPDATED, false);
	r = update_run_phase(u, &update_rolling, err);
	for (size_t i = 0; i < u->plan->names.n; i++)
		if (jbool(u->results[i], UPDATED, false))
			strv_push(&updated, u->plan->names.v[i]);
	if (r == 0 || !updated.n)
		return r;
	err->exit = CPR_EXIT_PARTLY;
	err_remedy(err, xasprintf("VMs '%s' run in the new QEMU, the others in the one that they had, "
				  "for the reasons printed above; repeat the update, or leave VMs "
				  "out with --exclude", show_joined(&updated, " ")));
	return r;
}

/* Keep the original error, but exit PARTLY: some VMs were not rolled back. */
static void update_not_rolled_back(struct err *err, const struct err *why)
{
	err->exit = CPR_EXIT_PARTLY;
	err_remedy(err, xasprintf("VMs '%s' could not be rolled back, for the reasons printed above; "
				  "nothing of them is deleted: try 'cpr-helper abort --all'",
				  why->value));
}

static int update_roll_back(struct update *u, int code, struct err *err)
{
	_cleanup_err_ struct err why = { 0 };

	interrupt_disable();
	if (u->plan->kernel.version)
		kexec_unload();
	if (update_run_phase(u, &update_rolling_back, &why) < 0)
		update_not_rolled_back(err, &why);
	return code;
}

static int update_load_kernel(struct update *u, struct err *err)
{
	int r = faultpoint("update-prepared", NULL, err);

	if (r < 0 || !u->plan->kernel.version)
		return r;
	r = kexec_load(&u->plan->kernel, u->plan->cmdline, err);
	if (r < 0)
		return r;
	say("loaded %s", u->plan->kernel.image);
	r = faultpoint("update-loaded", NULL, err);
	if (r < 0)
		kexec_unload();
	return r;
}

static int update_carry_out(struct update *u, struct err *err)
{
	int r = plan_refusal(update_load_kernel(u, err), err);

	if (r < 0)
		return r;
	r = u->plan->kernel.version ? update_jump(u, err) : update_roll(u, err);
	return r < 0 ? update_roll_back(u, r, err) : 0;
}

/* save_check() has found enough space for each VM, but they share it. */
static int update_check_space(const struct update *u, struct err *err)
{
	uint64_t need = 0, have;

	for (size_t i = 0; i < u->plan->names.n; i++)
		need += jint(u->results[i], COPY_BYTES, 0);
	if (!need || free_bytes(CPRFS_ROOT, &have) < 0 || have >= need)
		return 0;
	return fail(err, -ENOSPC, .what = "VMs in copy mode", .why =
		    fmt("together they may need %s of the region, and %s is free there",
			size_human(need), size_human(have)),
		    .remedy = "save some to a disk first ('cpr-helper save NAME --to PATH')");
}

static int update_check(struct update *u, struct err *err)
{
	int r = update_run_phase(u, &update_checking, err);

	return plan_refusal(r < 0 ? r : update_check_space(u, err), err);
}

/* The processes that have done it are gone. */
static int update_prove_all(struct update *u, struct err *err)
{
	int r = update_run_phase(u, &update_proving, err);

	for (size_t i = 0; i < u->plan->names.n; i++) {
		u->plan->vms[i].proven = jbool(u->results[i], PROVEN, false);
		json_object_object_del(u->results[i], PROVEN);
		u->plan->vms[i].hooked = jbool(u->results[i], HOOKED, false);
	}
	return plan_refusal(r, err);
}

/* The hooks of a VM that the update has not come to save wait for its end. */
static void update_tell_hooks(struct update *u, int code)
{
	for (size_t i = 0; i < u->plan->names.n; i++) {
		if (jbool(u->results[i], HOOKED, false))
			hooks_after(&u->plan->vms[i], "save", code);
		json_object_object_del(u->results[i], HOOKED);
	}
}

/* The state that each VM has now. */
static struct json_object *update_report_vms(struct update *u)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < u->plan->names.n; i++) {
		_cleanup_json_ struct json_object *now = vm_json(&u->plan->vms[i].info);
		struct json_object *result = u->results[i];

		json_object_object_foreach(now, key, value)
			jset(result, key, json_object_get(value));
		jset_bool(result, "ok", !jget(result, "error"));
		json_object_array_add(list, json_object_get(result));
	}
	return list;
}

static void update_report_expected(const struct update *u, struct json_object *result)
{
	struct json_object *expected = json_object_new_object();

	for (size_t i = 0; i < u->plan->names.n; i++)
		jset(expected, u->plan->names.v[i],
		     json_object_get(jget(u->results[i], EXPECTED)));
	jset(result, EXPECTED, expected);
}

int update_vms(struct plan *plan, update_progress progress, struct json_object *result,
	       struct err *err)
{
	_cleanup_(update_free) struct update u = { .plan = plan, .progress = progress };
	bool jumps = plan->kernel.version;
	int r;

	update_init(&u);
	r = update_check(&u, err);
	if (r == 0 && plan->opts->dry_run) {
		update_report_expected(&u, result);
		return 0;
	}
	if (r == 0)
		r = update_prove_all(&u, err);
	if (r == 0)
		r = update_carry_out(&u, err);
	update_tell_hooks(&u, r);
	jumps &= r == 0;
	jset_str(result, "qemu", plan->opts->save.qemu);
	if (jumps)
		jset_str(result, "jumping_to", plan->kernel.version);
	jset(result, "left_out", json_object_get(plan->left_out));
	jset(result, "vms", jumps ? json_object_new_array() : update_report_vms(&u));
	return r;
}
