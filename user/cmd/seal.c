// SPDX-License-Identifier: GPL-2.0-only
/*
 * seal: QEMU quits, and what it has left behind can be changed no more until it is
 * restored. A step of update, and of the way back of a guest that slept.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "base/faultpoint.h"
#include "qemu/migration.h"
#include "handover/integrity.h"
#include "handover/pause.h"
#include "cmd/cmd.h"

#define POSTMIGRATE_S 10

/* Quits QEMU for good; one that was killed in postmigrate has left the same. */
static int quit(struct vm *vm, deadline_t deadline, struct err *err)
{
	int r = vm_attach(vm, NULL);

	pause_mark(vm, "wait");
	if (r == -ESRCH)
		return 0;
	if (r < 0)
		return fail(err, r, .what = "VM", .value = vm->name, .why = "its QEMU does not answer");
	r = migration_await_status(vm->qemu.qmp, "postmigrate", deadline, err);
	if (r == 0)
		r = qemu_quit(&vm->qemu, err);
	return r < 0 ? r : faultpoint("seal-quit", vm->name, err);
}

static int quit_and_seal(struct vm *vm, struct err *err)
{
	/* It has the marks of the pause. */
	int r = vm_manifest(vm, err);

	if (r == 0)
		r = quit(vm, deadline_in(POSTMIGRATE_S), err);
	if (r < 0)
		return r;
	pause_mark(vm, "seal");
	pause_keep(vm);
	return integrity_commit(vm, CPR_CMD_VM_SEAL, err);
}

int seal_vm(struct vm *vm, struct err *err)
{
	int r = faultpoint("seal-begun", vm->name, err);

	if (r == 0)
		r = quit_and_seal(vm, err);
	return r < 0 ? r : faultpoint("seal-done", vm->name, err);
}
