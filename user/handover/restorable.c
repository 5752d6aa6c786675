// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>
#include <sys/stat.h>

#include "base/out.h"
#include "base/paths.h"
#include "stream/statefile.h"
#include "qemu/account.h"
#include "qemu/attributes.h"
#include "vm/disks.h"
#include "vm/manifest.h"
#include "vm/needs.h"
#include "vm/nodes.h"
#include "handover/copycommand.h"
#include "handover/fit.h"
#include "handover/integrity.h"
#include "handover/pause.h"
#include "handover/restorable.h"

#define CANNOT_LOAD "it cannot be loaded; the guest's memory is untouched"

/* All of it, in one pass: an older cpr-helper may have recorded a damaged file. */
static int restorable_check_content(struct vm *vm, const char *path, struct err *err)
{
	int r = statefile_check(path, vm->manifest, true, NULL, NULL, err);

	if (r < 0)
		err_remedy(err, xstrdup(CANNOT_LOAD));
	return r;
}

static int restorable_check_state(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *path = vm_state_path(vm);
	struct json_object *saved = jget(vm->manifest, "saved");
	long long size = jint(saved, "size", 0);
	struct stat st;

	if (!saved)
		return fail(err, -EINVAL, .what = "manifest", .value = MANIFEST_FILE,
			    .why = "it records no saved state");
	if (copycommand_used(vm)) {
		note("VM '%s': its state is not checked, because a command has it", vm->name);
		return 0;
	}
	if (!jstr(saved, "digest"))
		return fail(err, -EINVAL, .what = "manifest", .value = MANIFEST_FILE,
			    .why = "it records no digest of the saved state");
	if (stat(path, &st) < 0)
		return fail(err, -errno, .what = "cannot read", .value = path,
			    .why = strerror(errno));
	if (st.st_size != size)
		return fail(err, -EIO, .what = "state file", .value = path,
			    .why = fmt("it has %lld bytes, and was saved with %lld",
				       (long long)st.st_size, size), .remedy = CANNOT_LOAD);
	return restorable_check_content(vm, path, err);
}

static int restorable_check_memory(struct vm *vm, struct err *err)
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

/* Relative paths on the command line lead from it, so that no other can take its place. */
static int restorable_check_cwd(struct vm *vm, struct err *err)
{
	const char *cwd = jstr(vm->manifest, "cwd");
	struct stat st;
	int r = stat(cwd, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;

	if (r == 0 && access(cwd, X_OK) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	return fail(err, r, .exit = CPR_EXIT_NOTFOUND, .what = "working directory", .value = cwd,
		    .why = strerror(-r),
		    .remedy = "make it again, or mount what it was on: the VM was started there, "
			      "and its QEMU starts there again; or name another one with "
			      "'cpr-helper restore --replace OLD=NEW'");
}

/* As whom its QEMU ran, and whether he may use what the QEMU needs. */
static int restorable_check_user(struct vm *vm, struct err *err)
{
	struct json_object *user = jget(vm->manifest, "user");
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	int r = account_check(user, err);

	manifest_argv(vm->manifest, &argv);
	if (r == 0)
		r = qemuopts_parse(&argv, &opts, err);
	return r < 0 ? r : nodes_check(user, &opts, err);
}

const char *restorable_binary(const struct vm *vm, const struct restore_opts *opts)
{
	const char *proven = jstr(jget(jget(vm->manifest, "saved"), "qemu"), "binary");

	return proven && !opts->old_qemu ? proven : jstr(vm->manifest, "binary");
}

struct json_object *restorable_disks(const struct vm *vm)
{
	return jget(jget(vm->manifest, "saved"), "disks");
}

static int restorable_check_needs(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	struct json_object *needs = jget(vm->manifest, "needs");
	_cleanup_strv_ struct strv names = { 0 };
	int r;

	needs_names(needs, &names);
	r = disks_check_forced(restorable_disks(vm), &names, opts->forced, err);
	return r < 0 ? r : needs_check(needs, jget(vm->manifest, "process"), opts->forced, err);
}

/* A save has proven the QEMU that it was for; another one is queried now, as by a save. */
static int restorable_check_fit(struct vm *vm, const struct restore_opts *opts,
				const char *binary, struct err *err)
{
	_cleanup_free_ char *state = vm_state_path(vm);
	_cleanup_fit_ struct fit fit = { 0 };
	int r;

	if (!opts->replace || !opts->replace->qemu)
		return 0;
	r = fit_query(&fit, binary, vm->manifest, err);
	if (r == 0 && !copycommand_used(vm))
		r = fit_check(&fit, state, err);
	if (r < 0)
		err_remedy(err, xstrdup("give another one with --qemu; without --qemu, the one that "
					"the VM was saved for is started"));
	return r;
}

int restorable_manifest(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	int r = integrity_check_manifest(vm, err);

	if (r == 0)
		r = vm_manifest(vm, err);
	if (r == 0)
		r = replace_apply(vm, opts->replace, err);
	if (r == 0)
		pause_mark_jump(vm);
	return r;
}

int restorable_check(struct vm *vm, const struct restore_opts *opts, struct err *err)
{
	const char *binary = restorable_binary(vm, opts);
	int r;

	if (access(binary, X_OK) < 0)
		return fail(err, -errno, .exit = CPR_EXIT_NOTFOUND, .what = "QEMU binary",
			    .value = binary, .why = strerror(errno),
			    .remedy = fmt("install it again: the VM was saved for it; or "
					  "'cpr-helper restore %s --qemu BINARY' starts another one",
					  vm->name));
	r = restorable_check_user(vm, err);
	if (r == 0)
		r = restorable_check_cwd(vm, err);
	if (r == 0)
		r = attributes_check(jget(vm->manifest, "process"), err);
	if (r == 0)
		r = restorable_check_needs(vm, opts, err);
	if (r == 0)
		r = restorable_check_memory(vm, err);
	if (r == 0)
		r = restorable_check_state(vm, err);
	if (r == 0)
		r = restorable_check_fit(vm, opts, binary, err);
	if (r == 0)
		r = integrity_check_memory(vm, err);
	return r < 0 ? r : disks_compare(restorable_disks(vm), vm->name, opts->forced, err);
}
