// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/deadline.h"
#include "base/out.h"
#include "base/paths.h"
#include "vm/manifest.h"
#include "vm/users.h"
#include "handover/integrity.h"
#include "handover/ramdigest.h"

#define LET_GO_S 10	/* for the kernel to unmap the memory of a QEMU that has ended */
#define REVOKE_S 1	/* the same, if users that remain are revoked then */
#define AGAIN_US 20000

_Static_assert(DIGEST_BYTES == CPR_DIGEST_LEN, "");

static int integrity_manifest_digest(struct vm *vm, uint8_t *bytes, struct err *err)
{
	_cleanup_free_ char *path = vm_path(vm->name, MANIFEST_FILE);
	struct digest digest;
	int r = digest_file(path, &digest, err);

	if (r == 0)
		memcpy(bytes, digest.bytes, sizeof(digest.bytes));
	return r;
}

static int integrity_memory_digest(struct vm *vm, bool interruptible, uint8_t *bytes,
				   struct err *err)
{
	_cleanup_strv_ struct strv files = { 0 };
	int r = vm_manifest(vm, err);

	if (r < 0)
		return r;
	manifest_files(vm->manifest, &files);
	return ramdigest_compute(vm->dir, &files, interruptible, bytes, err);
}

/*
 * A page with a memory error has no digest any more. The VM must not be stuck for that: QEMU
 * has quit, and without a digest it would go on, too. Returns: 1 for such a page.
 */
static int integrity_readable_digest(struct vm *vm, bool interruptible, uint8_t *bytes,
				     struct err *err)
{
	_cleanup_err_ struct err why = { 0 };
	int r = integrity_memory_digest(vm, interruptible, bytes, &why);

	if (r == -EIO && vm_refresh(vm, NULL) == 0 && vm->info.bad_pages) {
		note("VM '%s': its memory is not compared: %s '%s': %s", vm->name, why.what,
		     why.value, why.why);
		return 1;
	}
	if (r < 0)
		return fail(err, r, .exit = why.exit, .what = why.what, .value = why.value,
			    .why = why.why, .remedy = why.remedy);
	return 0;
}

static deadline_t integrity_patience(const struct vm *vm)
{
	return deadline_in(vm->revoke ? REVOKE_S : LET_GO_S);
}

/* Mapped memory may still change. If it stays mapped the module refuses the step. */
static void integrity_await_unmapped(struct vm *vm)
{
	deadline_t deadline = integrity_patience(vm);

	while (vm->info.mapped && deadline_left(deadline)) {
		usleep(AGAIN_US);
		if (vm_refresh(vm, NULL) < 0)
			return;
	}
}

static int integrity_choose_digests(struct vm *vm, struct vm_digests *digests, struct err *err)
{
	int r = vm_manifest(vm, err);

	digests->has_manifest = true;
	digests->has_ram = r == 0 && jbool(jget(vm->manifest, "saved"), "digest_ram", false);
	return r;
}

static int integrity_take_digests(struct vm *vm, struct vm_digests *digests, struct err *err)
{
	int r = digests->has_manifest ? integrity_manifest_digest(vm, digests->manifest, err) : 0;

	if (r < 0 || !digests->has_ram)
		return r;
	r = vm_refresh(vm, err);
	if (r < 0)
		return r;
	integrity_await_unmapped(vm);
	r = integrity_readable_digest(vm, false, digests->ram, err);
	digests->has_ram = r == 0;
	return r < 0 ? r : 0;
}

int integrity_commit(struct vm *vm, int cmd, struct err *err)
{
	struct vm_digests digests = vm->info.digests;
	int r = cmd == CPR_CMD_VM_SEAL ? integrity_choose_digests(vm, &digests, err) : 0;
	deadline_t deadline;

	if (r == 0)
		r = integrity_take_digests(vm, &digests, err);
	if (r < 0)
		return r;
	deadline = integrity_patience(vm);
	while ((r = genl_vm_seal(vm->genl, cmd, vm->name, &digests, false, NULL)) == -EBUSY &&
	       deadline_left(deadline))
		usleep(AGAIN_US);
	if (r < 0)
		r = genl_vm_seal(vm->genl, cmd, vm->name, &digests, vm->revoke, err);
	if (r == -EBUSY)
		users_blame(vm->dir, vm->revoke, err);
	return r < 0 ? r : vm_refresh(vm, err);
}

static int integrity_differs(const char *what, const char *path, struct err *err)
{
	return fail(err, -EUCLEAN, .what = what, .value = path,
		    .why = "its digest is not the one that was sealed",
		    .remedy = "the guest is not resumed on changed data; nothing else was changed");
}

int integrity_check_manifest(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *path = vm_path(vm->name, MANIFEST_FILE);
	uint8_t now[CPR_DIGEST_LEN];
	int r;

	if (!vm->info.digests.has_manifest)
		return fail(err, -EUCLEAN, .what = "manifest", .value = path,
			    .why = "the VM was sealed without a digest of it",
			    .remedy = "the program that sealed the VM must add the digest: netlink's "
			    "vm-claim, then vm-unclaim with manifest-digest");
	r = integrity_manifest_digest(vm, now, err);
	if (r == 0 && memcmp(now, vm->info.digests.manifest, sizeof(now)))
		r = integrity_differs("manifest", path, err);
	return r;
}

int integrity_check_memory(struct vm *vm, struct err *err)
{
	uint8_t now[CPR_DIGEST_LEN];
	int r;

	if (!vm->info.digests.has_ram) {
		if (jbool(jget(vm->manifest, "saved"), "digest_ram", false))
			note("VM '%s': its memory is not compared: a kernel ended while it was being "
			     "restored, or a page had a memory error", vm->name);
		return 0;
	}
	r = integrity_readable_digest(vm, true, now, err);
	if (r == 1)
		return 0;
	if (r == 0 && memcmp(now, vm->info.digests.ram, sizeof(now)))
		r = integrity_differs("memory of VM", vm->name, err);
	return r;
}

struct json_object *integrity_json(const struct vm_digests *digests)
{
	struct json_object *obj;

	if (!digests->has_manifest && !digests->has_ram)
		return NULL;
	obj = json_object_new_object();
	jset_digest(obj, "manifest", digests->has_manifest ? digests->manifest : NULL);
	jset_digest(obj, "ram", digests->has_ram ? digests->ram : NULL);
	return obj;
}
