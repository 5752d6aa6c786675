// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "base/paths.h"
#include "vm/cprfs.h"
#include "vm/devices.h"
#include "handover/copymode.h"
#include "cmd/cmd.h"

/* Whether a guest would be lost that could still be restored. */
static bool holds_guest(const struct vm *vm)
{
	return vm->info.state == CPR_VM_STATE_SEALED || vm->info.state == CPR_VM_STATE_HELD ||
	       vm->info.state == CPR_VM_STATE_SAVED || vm->info.state == CPR_VM_STATE_RESTORING;
}

static int check_dead(struct vm *vm, struct err *err)
{
	int r = qemu_attach(vm->name, QEMU_ATTACH_S, &vm->qemu, err);

	if (r == -ESRCH && !vm->info.mapped)
		return 0;
	if (r < 0 && r != -ESRCH)
		return r;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
		    .why = r == 0 ? fmt("its QEMU runs (pid %d)", (int)vm->qemu.pid) :
		    "some process maps its memory",
		    .remedy = "shut the guest down, or end that process, first");
}

static int remove_all(const char *dir, struct err *err)
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

static void remove_sockets(const char *name)
{
	static const char *const suffixes[] = { "qmp", "pid", "exec", "qga", "lock" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_free_ char *path = runtime_path(name, suffixes[i]);

		unlink(path);
	}
}

static int check(struct vm *vm, const struct args *args, struct err *err)
{
	int r = check_dead(vm, err);

	if (r < 0)
		return r;
	if (holds_guest(vm) && !arg(args, "force"))
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = vm->name,
			    .why = fmt("it is %s: its saved guest would be lost",
				       cpr_state_name(vm->info.state)),
			    .remedy = fmt("'cpr-helper restore %s', or delete it with --force",
					  vm->name));
	return 0;
}

static int run_delete(const struct args *args, struct err *err)
{
	_cleanup_genl_ struct genl *genl = NULL;
	_cleanup_vm_ struct vm vm = { .lock = -1, .qemu = QEMU_NONE };
	int r = vm_name_check(args->argv[0], err);

	if (r < 0)
		return r;
	genl = genl_open(err);
	if (!genl)
		return -ENOENT;
	r = vm_open(genl, args->argv[0], &vm, err);
	if (r == 0)
		r = check(&vm, args, err);
	if (r == 0 && args->dry_run) {
		say("%s: %s, would be deleted", vm.name, cpr_state_name(vm.info.state));
		return 0;
	}
	if (r == 0 && !cprfs_mounted())
		r = cprfs_mount(err);
	if (r == 0)
		vm_manifest(&vm, NULL);		/* for its devices; it may be damaged */
	if (r == 0 && vm.info.state != CPR_VM_STATE_DEFINED)
		r = vm_do(&vm, CPR_CMD_VM_UNPIN, err);
	if (r == 0)
		r = remove_all(vm.dir, err);
	if (r < 0)
		return r;
	copy_forget(&vm);
	remove_sockets(vm.name);
	devices_give_back(jget(vm.manifest, "devices"));
	say("%s: deleted", vm.name);
	if (out_json) {
		struct json_object *out = json_object_new_object();

		jset_str(out, "deleted", vm.name);
		out_object(out);
	}
	return 0;
}

const struct cmd cmd_delete = {
	.name = "delete",
	.synopsis = "NAME [--force]",
	.summary = "give up a VM and its memory",
	.opts = {
		{ "force", NULL, "even if a saved guest is lost by it" },
	},
	.min_args = 1,
	.max_args = 1,
	.dry_run = true,
	.run = run_delete,
};
