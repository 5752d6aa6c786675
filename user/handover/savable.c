// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "qemu/account.h"
#include "qemu/attributes.h"
#include "qemu/bitmaps.h"
#include "qemu/blockers.h"
#include "qemu/guestcpu.h"
#include "qemu/inventory.h"
#include "qemu/migration.h"
#include "stream/stream.h"
#include "vm/devices.h"
#include "vm/disks.h"
#include "vm/drives.h"
#include "vm/manifest.h"
#include "vm/needs.h"
#include "vm/outlives.h"
#include "handover/copycommand.h"
#include "handover/hooks.h"
#include "handover/savable.h"

static const char *const savable_runstates[] = { "running", "paused", "prelaunch", "suspended" };

int savable_machine(struct json_object *manifest, struct err *err)
{
	const char *machine = jstr(manifest, "machine");

	if (stream_knows_machine(machine))
		return 0;
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "machine type",
		    .value = machine, .why = "cpr-helper does not know how QEMU writes the state of "
		    "this machine, and could not prove it whole",
		    .remedy = "use a machine type q35, pc or microvm");
}

static int savable_check_state(struct vm *vm, struct err *err)
{
	if (vm->info.state == CPR_VM_STATE_RUNNING)
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = fmt("it is %s, not running", cpr_state_name(vm->info.state)),
		    .remedy = vm->info.state == CPR_VM_STATE_SAVED ?
		    fmt("it is saved already; 'cpr-helper abort %s' resumes the guest",
			vm->name) : NULL);
}

/* States that a guest gets into by itself, and leaves only by a command of its operator. */
static const struct { const char *runstate, *why, *remedy; } stuck_runstates[] = {
	{ "shutdown", "its guest has powered off, and its QEMU waits (-no-shutdown)",
	  "end QEMU ('quit' in its monitor), or start the guest again ('system_reset', 'cont')" },
	{ "io-error", "its guest is stopped by an I/O error of a disk",
	  "repair the disk ('query-block' in QEMU's monitor names it), then let the guest run "
	  "('cont')" },
	{ "guest-panicked", "the guest's kernel has panicked",
	  "end QEMU ('quit' in its monitor), or reset the guest ('system_reset', 'cont')" },
	{ "internal-error", "KVM has failed to run its guest",
	  "see QEMU's log; end QEMU ('quit' in its monitor), or reset the guest ('system_reset', "
	  "'cont')" },
};

static int savable_check_runstate(struct vm *vm, const char *runstate, struct err *err)
{
	if (str_in(savable_runstates, runstate))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(stuck_runstates); i++)
		if (streq(stuck_runstates[i].runstate, runstate))
			return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM",
				    .value = vm->name, .why = stuck_runstates[i].why,
				    .remedy = stuck_runstates[i].remedy);
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = fmt("its guest is '%s', neither running nor paused", runstate));
}

/* A guest with devices must suspend, and only a running guest can. */
static int savable_check_devices(struct vm *vm, const char *runstate, struct err *err)
{
	if (!vm_has_devices(vm) || vm_runstate_live(runstate))
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = fmt("it has devices passed through and must suspend, but it is '%s'",
			       runstate),
		    .remedy = "let it run ('cont' in QEMU's monitor), then save it");
}

/* What would fail only once QEMU has quit: then the guest would be down. */
static int savable_check_memory(struct vm *vm, const struct save_opts *opts, struct err *err)
{
	const char *pages = fmt("memory errors in %llu of its pages",
				(unsigned long long)vm->info.bad_pages);

	if (!vm->info.bad_pages)
		return 0;
	if (vm_has_devices(vm))
		return fail(err, -EIO, .exit = CPR_EXIT_REFUSED, .what = "VM", .value = vm->name,
			    .why = fmt("%s: with devices passed through, QEMU could not be "
				       "started over them again", pages),
			    .remedy = "shut the guest down, delete the VM, and run it anew");
	if (opts->digest_ram)
		return fail(err, -EIO, .exit = CPR_EXIT_REFUSED, .what = "--digest-ram",
			    .value = vm->name, .why = fmt("%s, which cannot be read", pages),
			    .remedy = "save it without --digest-ram");
	return 0;
}

/*
 * A paused guest whose save was aborted is still in postmigrate, and has not run since. Its
 * saved state is still valid, and cannot be written again to another place.
 */
static int savable_check_again(struct vm *vm, const struct save_opts *opts, struct err *err)
{
	bool elsewhere = opts->copy.to || opts->copy.uri || copycommand_used(vm);

	if (jget(vm->manifest, "saved") && !elsewhere)
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = elsewhere ? "its guest has not run since its last save, and that state "
		    "cannot be moved" : "an earlier save was interrupted",
		    .remedy = elsewhere ? "let it run ('cont' in QEMU's monitor), then save it" :
		    fmt("'cpr-helper abort %s' first", vm->name));
}

/* The manifest of an older cpr-helper has no list. */
static int savable_check_inventory(struct vm *vm, struct err *err)
{
	struct json_object *was = jget(vm->manifest, "inventory");
	_cleanup_json_ struct json_object *is = NULL;
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	int r;

	if (was) {
		r = inventory_read(vm->qemu.qmp, &is, err);
		return r < 0 ? r : inventory_compare(was, is, err);
	}
	manifest_argv(vm->manifest, &argv);
	r = qemuopts_parse(&argv, &opts, err);
	return r < 0 ? r : inventory_check_options(vm->qemu.qmp, &opts, err);
}

static int savable_check_files(struct vm *vm, const struct save_opts *opts,
			       struct json_object *disks, struct err *err)
{
	const char *binary = opts->qemu ? opts->qemu : jstr(vm->manifest, "binary");

	return opts->no_kexec ? 0 : outlives_check(vm->manifest, binary, disks, err);
}

/*
 * For who comes after a command that is killed meanwhile. Only in the file: in memory the
 * manifest may have a target that a dry run was asked about.
 */
static int savable_record_question(struct vm *vm, struct json_object *previous, struct err *err)
{
	_cleanup_json_ struct json_object *manifest = NULL;
	int r = manifest_read(vm->dir, &manifest, err);

	if (r < 0)
		return r;
	json_object_object_del(manifest, "asked");
	if (previous)
		jset(manifest, "asked", json_object_get(previous));
	return manifest_write(vm->dir, manifest, err);
}

static int savable_check_blockers(struct vm *vm, const struct migration_way *way,
				  struct json_object *previous, struct err *err)
{
	_cleanup_json_ struct json_object *reasons = NULL;
	int r = savable_record_question(vm, previous, err);

	if (r == 0)
		r = blockers_ask(vm->qemu.qmp, vm->name, way, previous, &reasons, err);
	if (r == 0)
		r = savable_record_question(vm, NULL, err);
	json_object_object_del(vm->manifest, "asked");
	return r < 0 ? r : blockers_check(vm->qemu.qmp, reasons, err);
}

static int savable_check_needs(struct vm *vm, struct savable *s, struct err *err)
{
	int r = needs_read(vm->manifest, s->process, &s->needs, err);

	return r < 0 || hooks_exist() ? r : needs_check_lasting(s->needs, err);
}

static int savable_inspect(struct vm *vm, const struct save_opts *opts, struct savable *s,
			   struct err *err)
{
	struct migration_way way;
	int r;

	if (streq(s->runstate, "postmigrate"))
		return savable_check_again(vm, opts, err);
	r = savable_check_runstate(vm, s->runstate, err);
	if (r == 0)
		r = savable_check_devices(vm, s->runstate, err);
	if (r == 0)
		r = savable_check_memory(vm, opts, err);
	if (r == 0)
		r = copymode_target(vm, s->runstate, &opts->copy, &s->copy, err);
	if (r < 0)
		return r;
	/* An earlier save that was killed has left its own settings in QEMU. */
	migration_reset(vm->qemu.qmp, jget(vm->manifest, "previous"), NULL);
	migration_reset(vm->qemu.qmp, jget(vm->manifest, "asked"), NULL);
	way = copymode_way(vm);
	r = migration_inspect(vm->qemu.qmp, &way, &s->previous, err);
	if (r == 0)
		r = savable_check_blockers(vm, &way, s->previous, err);
	if (r == 0 && !opts->noted)
		r = bitmaps_note(vm->qemu.qmp, vm->name, err);
	if (r == 0)
		r = savable_check_inventory(vm, err);
	if (r == 0)
		r = attributes_read(&vm->qemu, &s->process, err);
	if (r == 0)
		r = savable_check_needs(vm, s, err);
	if (r == 0)
		r = guestcpu_read(vm->qemu.qmp, &s->cpu, err);
	if (r == 0)
		r = drives_read(vm->qemu.qmp, &s->drives, err);
	if (r == 0)
		r = disks_inspect(vm, &s->disks, err);
	if (!opts->noted)
		disks_note_unchecked(s->disks, vm->name);
	return r < 0 ? r : savable_check_files(vm, opts, s->disks, err);
}

int savable_check(struct vm *vm, const struct save_opts *opts, struct savable *s,
		  struct err *err)
{
	int r = savable_check_state(vm, err);

	*s = (struct savable){
		.max_pause = opts->max_pause,
		.proof = { .no_rehearse = opts->no_rehearse, .rehearse = opts->rehearse,
			   .rehearsal.qemu = QEMU_NONE },
	};
	if (r == 0)
		r = vm_manifest(vm, err);
	if (r == 0)
		r = savable_machine(vm->manifest, err);
	if (r == 0)
		r = account_check(jget(vm->manifest, "user"), err);
	if (r == 0)
		r = vm_attach(vm, err);
	if (r == 0)
		r = qmp_status(vm->qemu.qmp, &s->runstate, err);
	if (r == 0)
		r = savable_inspect(vm, opts, s, err);
	return r < 0 ? r : proof_prepare(vm, opts->qemu, &s->proof, err);
}

void savable_free(struct savable *s)
{
	free(s->runstate);
	json_object_put(s->previous);
	json_object_put(s->drives);
	json_object_put(s->cpu);
	json_object_put(s->process);
	json_object_put(s->needs);
	json_object_put(s->disks);
	json_object_put(s->copy.stale);
	proof_end(&s->proof);
}
