// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a save: the state that QEMU has written is found to be whole, and to be
 * one that can be loaded. Then it counts: it gets its name, and manifest and module
 * are told.
 */
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
#include "handover/copymode.h"
#include "handover/pause.h"
#include "handover/proof.h"
#include "cmd/cmd.h"

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

static void record(struct vm *vm, const struct digest *digest, const char *runstate)
{
	struct json_object *saved = json_object_new_object();
	int64_t seconds = jint(jget(vm->manifest, "saving"), "seconds", 0);

	record_file(vm, digest, saved);
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

static int rename_state(struct vm *vm, const char *part, struct err *err)
{
	_cleanup_free_ char *path = vm_state_path(vm), *dir = directory_of(path);
	int r = rename(part, path) < 0 ? -errno : 0;

	/* That of the VM is synced with the manifest. */
	if (r == 0 && jget(vm->manifest, "target"))
		r = sync_dir(dir);
	return r < 0 ? fail(err, r, .what = "cannot rename", .value = part,
			    .why = strerror(-r)) : 0;
}

/* Of a QEMU that has died since, the ones that it had when the save began. */
static int look_at_disks(struct vm *vm, struct json_object **disks, struct err *err)
{
	if (!qemu_has_ended(&vm->qemu))
		return disks_inspect(vm, disks, err);
	*disks = json_object_get(jget(jget(vm->manifest, "saving"), "disks"));
	return disks_again(*disks, err);
}

static int check_and_prove(struct vm *vm, const char *part, const char *runstate,
			   const struct proof *proof, struct digest *digest,
			   struct json_object *found, struct err *err)
{
	int r = copy_streams(vm) ? 0 : check_file(vm, part, digest, err);

	pause_mark(vm, "check");
	if (r == 0 && proof)
		r = proof_find(vm, part, runstate, proof, found, err);
	pause_mark(vm, "prove");
	return r < 0 ? r : faultpoint("save-checked", vm->name, err);
}

int commit_state(struct vm *vm, const char *part, const char *runstate,
		 const struct proof *proof, struct err *err)
{
	_cleanup_json_ struct json_object *found = json_object_new_object(), *disks = NULL;
	struct digest digest = { 0 };
	int r = check_and_prove(vm, part, runstate, proof, &digest, found, err);

	if (r == 0)
		r = look_at_disks(vm, &disks, err);
	if (r == 0 && !copy_streams(vm))
		r = rename_state(vm, part, err);
	if (r < 0)
		return r;
	record(vm, &digest, runstate);
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
