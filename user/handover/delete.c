// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "base/paths.h"
#include "qemu/scope.h"
#include "vm/cprfs.h"
#include "vm/devices.h"
#include "vm/users.h"
#include "handover/copymode.h"
#include "handover/delete.h"
#include "handover/hooks.h"

/* Whether the VM has a saved guest that could still be restored. */
static bool delete_loses_guest(const struct vm *vm)
{
	return vm->info.state == CPR_VM_STATE_SEALED || vm->info.state == CPR_VM_STATE_HELD ||
	       vm->info.state == CPR_VM_STATE_SAVED || vm->info.state == CPR_VM_STATE_RESTORING;
}

static int delete_check_unused(struct vm *vm, struct err *err)
{
	int r = qemu_attach(vm->name, QEMU_ATTACH_S, &vm->qemu, err);

	if (r == -ESRCH && (!vm->info.mapped || vm->revoke))
		return 0;
	if (r < 0 && r != -ESRCH)
		return r;
	if (r == 0)
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
			    .why = fmt("its QEMU runs (pid %d)", (int)vm->qemu.pid),
			    .remedy = "shut the guest down first");
	fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
	     .why = "its memory is mapped");
	users_blame(vm->dir, false, err);
	return -EBUSY;
}

/* Who has the file open would keep its memory. */
static void delete_content(int dir, const char *name)
{
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);

	(void)fd;
}

static int delete_directory(const char *dir, struct err *err)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(dup(fd));
	struct dirent *e;
	int r = 0;

	if (!d)
		return fail(err, -errno, .what = "cannot read", .value = dir,
			    .why = strerror(errno));
	while (r == 0 && (e = readdir(d))) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		delete_content(fd, e->d_name);
		if (unlinkat(fd, e->d_name, 0) < 0)
			r = fail(err, -errno, .exit = CPR_EXIT_PARTLY, .what = "cannot remove",
				 .value = fmt("%s/%s", dir, e->d_name), .why = strerror(errno));
	}
	closedir(d);
	if (r == 0 && rmdir(dir) < 0)
		r = fail(err, -errno, .exit = CPR_EXIT_PARTLY, .what = "cannot remove",
			 .value = dir, .why = strerror(errno));
	return r;
}

static void delete_runtime_files(const char *name)
{
	/*
	 * The lock stays: a process that waits for it would get the removed file, and a third
	 * one a new file.
	 */
	static const char *const suffixes[] = { "qmp", "pid", "exec", "qga" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_free_ char *path = runtime_path(name, suffixes[i]);

		unlink(path);
	}
}

int delete_check(struct vm *vm, bool force, struct err *err)
{
	int r = delete_check_unused(vm, err);

	if (r < 0)
		return r;
	if (delete_loses_guest(vm) && !force)
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
			    .why = fmt("it is %s: its saved guest would be lost",
				       cpr_state_name(vm->info.state)),
			    .remedy = fmt("'cpr-helper restore %s', or delete it with --force",
					  vm->name));
	return hooks_check(err);
}

static int delete_now(struct vm *vm, struct err *err)
{
	int r = 0;

	if (!cprfs_mounted())
		r = cprfs_mount(err);
	if (r == 0)
		vm_manifest(vm, NULL);		/* for the devices; it may be damaged */
	if (r == 0 && vm->info.state != CPR_VM_STATE_DEFINED)
		r = genl_vm_unpin(vm->genl, vm->name, vm->revoke, err);
	if (r == 0)
		r = delete_directory(vm->dir, err);
	if (r < 0)
		return r;
	copymode_forget(vm);
	delete_runtime_files(vm->name);
	scope_clear(vm->name);
	devices_unbind(jget(vm->manifest, "devices"), jget(vm->manifest, "user"));
	return 0;
}

int delete_vm(struct vm *vm, bool force, struct err *err)
{
	int r = delete_check(vm, force, err);

	if (r == 0)
		r = hooks_before(vm, "delete", err);
	return r < 0 ? r : hooks_after(vm, "delete", delete_now(vm, err));
}
