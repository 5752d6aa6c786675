// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "qemu/migration.h"
#include "vm/devices.h"
#include "vm/disks.h"
#include "vm/manifest.h"
#include "cmd/savable.h"

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

static int check_runstate(struct vm *vm, const char *runstate, struct err *err)
{
	if (is_savable(runstate))
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = fmt("its guest is '%s', neither running nor paused", runstate));
}

/* A guest with devices must sleep, and only one that runs can be asked to. */
static int check_devices(struct vm *vm, const char *runstate, struct err *err)
{
	if (!vm_has_devices(vm) || vm_runstate_live(runstate))
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = fmt("it has devices passed through and must suspend, but it is '%s'",
			       runstate),
		    .remedy = "let it run ('cont' in QEMU's monitor), then save it");
}

/*
 * A paused guest whose save was aborted is still in postmigrate, and has not run
 * since: its state is the one on file, and stays where that is.
 */
static int check_again(struct vm *vm, const struct save_opts *opts, struct err *err)
{
	bool elsewhere = opts->copy.to || opts->copy.uri || copy_streams(vm);

	if (jget(vm->manifest, "saved") && !elsewhere)
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = elsewhere ? "its guest stays paused, and its state where it was saved to" :
		    "an earlier save was cut short",
		    .remedy = elsewhere ? "let it run ('cont' in QEMU's monitor), then save it" :
		    fmt("'cpr-helper abort %s' first", vm->name));
}

static int look(struct vm *vm, const struct save_opts *opts, struct savable *s, struct err *err)
{
	struct migration_way way;
	int r;

	if (streq(s->runstate, "postmigrate"))
		return check_again(vm, opts, err);
	r = check_runstate(vm, s->runstate, err);
	if (r == 0)
		r = check_devices(vm, s->runstate, err);
	if (r == 0)
		r = copy_target(vm, s->runstate, &opts->copy, &s->copy, err);
	if (r < 0)
		return r;
	/* As their owner made them, also if an earlier save was killed. */
	migration_reset(vm->qemu.qmp, jget(vm->manifest, "previous"), NULL);
	way = copy_way(vm);
	r = migration_inspect(vm->qemu.qmp, &way, &s->previous, err);
	return r < 0 ? r : disks_inspect(vm, &s->disks, err);
}

int savable_learn(struct vm *vm, const struct save_opts *opts, struct savable *s,
		  struct err *err)
{
	int r = check_state(vm, err);

	*s = (struct savable){
		.proof = { .no_rehearse = opts->no_rehearse, .rehearse = opts->rehearse },
	};
	if (r == 0)
		r = vm_manifest(vm, err);
	if (r == 0)
		r = vm_attach(vm, err);
	if (r == 0)
		r = qmp_status(vm->qemu.qmp, &s->runstate, err);
	if (r == 0)
		r = look(vm, opts, s, err);
	return r < 0 ? r : proof_prepare(vm, opts->qemu, &s->proof, err);
}

void savable_free(struct savable *s)
{
	free(s->runstate);
	json_object_put(s->previous);
	json_object_put(s->disks);
	json_object_put(s->copy.stale);
	fit_free(&s->proof.fit);
}

static int check_together(const struct args *args, struct err *err)
{
	static const struct { const char *one, *other, *why; } not_both[] = {
		{ "rehearse", "no-rehearse", "both --rehearse and --no-rehearse" },
		{ "to", "uri", "both --to and --uri: the state goes to one of them" },
		{ "all", "to", "--to is for one VM, not for --all" },
		{ "all", "uri", "--uri is for one VM, not for --all" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(not_both); i++)
		if (arg(args, not_both[i].one) && arg(args, not_both[i].other))
			return usage(args, err, not_both[i].why, NULL);
	if (!arg(args, "uri") != !arg(args, "restore-uri"))
		return usage(args, err, "--uri and --restore-uri belong together", NULL);
	return 0;
}

int save_options(const struct args *args, struct save_opts *opts, struct err *err)
{
	const char *qemu = arg(args, "qemu");
	int r = check_together(args, err);

	*opts = (struct save_opts){
		.timeout = arg_timeout(args, SAVE_TIMEOUT_S, err),
		.no_rehearse = arg(args, "no-rehearse"), .rehearse = arg(args, "rehearse"),
		.digest_ram = arg(args, "digest-ram"), .full = arg(args, "full"),
		.copy = { arg(args, "to"), arg(args, "uri"), arg(args, "restore-uri") },
	};
	if (r < 0 || opts->timeout < 0)
		return -EINVAL;
	opts->qemu = qemu ? find_binary(qemu) : NULL;
	return !qemu || opts->qemu ? 0 :
	       fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "QEMU binary", .value = qemu,
		    .why = "there is no such program",
		    .remedy = "give the path of one that is installed");
}

void save_options_free(struct save_opts *opts)
{
	free(opts->qemu);
}
