// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include "base/digest.h"
#include "base/faultpoint.h"
#include "base/paths.h"
#include "stream/statefile.h"
#include "host/kernel.h"
#include "vm/disks.h"
#include "vm/manifest.h"
#include "handover/commit.h"
#include "handover/copycommand.h"
#include "handover/copymode.h"
#include "handover/pause.h"

/*
 * QEMU does not sync the file, and reports success for a short one. Damage must show
 * now, not under the next kernel.
 */
static int commit_check_file(struct vm *vm, const char *path, struct digest *digest,
			     struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		return fail(err, r, .what = "state file", .value = path, .why = strerror(-r));
	return statefile_check(path, vm->manifest, false, digest, NULL, err);
}

/* A state that went to a command has no file, and no digest. */
static void commit_record_file(struct vm *vm, const struct digest *digest,
			       struct json_object *saved)
{
	const char *elsewhere = jstr(jget(vm->manifest, "target"), "file");

	if (manifest_copied(vm->manifest))
		jset_str(saved, "mode", RAM_MODE_COPY);
	if (copycommand_used(vm))
		return;
	jset_str(saved, "file", elsewhere ? elsewhere : STATE_FILE);
	jset_int(saved, "size", digest->size);
	jset_str(saved, "digest", digest->text);
}

static void commit_record(struct vm *vm, const struct digest *digest, const char *runstate)
{
	struct json_object *saved = json_object_new_object();
	int64_t seconds = jint(jget(vm->manifest, "saving"), "seconds", 0);

	commit_record_file(vm, digest, saved);
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

static int commit_rename(struct vm *vm, const char *part, struct err *err)
{
	_cleanup_free_ char *path = vm_state_path(vm), *dir = directory_of(path);
	int r = rename(part, path) < 0 ? -errno : 0;

	/* vm_manifest_save() syncs the VM's own directory. */
	if (r == 0 && jget(vm->manifest, "target"))
		r = sync_dir(dir);
	return r < 0 ? fail(err, r, .what = "cannot rename", .value = part,
			    .why = strerror(-r)) : 0;
}

/* A QEMU that has ended is not asked: it had the disks that were recorded when the save began. */
static int commit_inspect_disks(struct vm *vm, struct json_object **disks, struct err *err)
{
	if (!qemu_has_exited(&vm->qemu))
		return disks_inspect(vm, disks, err);
	*disks = json_object_get(jget(jget(vm->manifest, "saving"), "disks"));
	return disks_remeasure(*disks, err);
}

static int commit_prove(struct vm *vm, const char *part, const char *runstate,
			struct proof *proof, struct digest *digest,
			struct json_object *found, struct err *err)
{
	int r = copycommand_used(vm) ? 0 : commit_check_file(vm, part, digest, err);

	pause_mark(vm, "check");
	if (r == 0 && proof)
		r = proof_check(vm, part, runstate, proof, found, err);
	pause_mark(vm, "prove");
	return r < 0 ? r : faultpoint("save-checked", vm->name, err);
}

int commit_state(struct vm *vm, const char *part, const char *runstate,
		 struct proof *proof, struct err *err)
{
	_cleanup_json_ struct json_object *found = json_object_new_object(), *disks = NULL;
	struct digest digest = { 0 };
	int r = commit_prove(vm, part, runstate, proof, &digest, found, err);

	if (r == 0)
		r = commit_inspect_disks(vm, &disks, err);
	if (r == 0 && !copycommand_used(vm))
		r = commit_rename(vm, part, err);
	if (r < 0)
		return r;
	commit_record(vm, &digest, runstate);
	proof_record(vm, found);
	jset(jget(vm->manifest, "saved"), "disks", json_object_get(disks));
	pause_mark(vm, "commit");
	r = vm_manifest_save(vm, err);
	if (r == 0)
		r = faultpoint("save-recorded", vm->name, err);
	if (r == 0)
		r = vm_do(vm, CPR_CMD_VM_SAVE, err);
	return r < 0 ? r : faultpoint("save-done", vm->name, err);
}

int commit_discard(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *state = vm_path(vm->name, STATE_FILE);
	_cleanup_free_ char *part = vm_path(vm->name, STATE_PART);

	pause_end(vm);
	copymode_forget(vm);
	json_object_object_del(vm->manifest, "saved");
	json_object_object_del(vm->manifest, "suspended");
	json_object_object_del(vm->manifest, "saving");
	json_object_object_del(vm->manifest, "previous");
	unlink(state);
	unlink(part);
	return vm_manifest_save(vm, err);
}
