// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/faultpoint.h"
#include "qemu/migration.h"
#include "handover/hooks.h"
#include "handover/integrity.h"
#include "handover/pause.h"
#include "handover/seal.h"

#define POSTMIGRATE_S 10	/* for a QEMU that is still finishing its migration */

/* A QEMU that was killed in postmigrate has left the same behind as one that quits. */
static int seal_quit_qemu(struct vm *vm, deadline_t deadline, struct err *err)
{
	int r = vm_attach(vm, NULL);

	pause_mark(vm, "wait");
	if (r == -ESRCH)
		return 0;
	if (r < 0)
		return fail(err, r, .what = "VM", .value = vm->name,
			    .why = "its QEMU does not answer");
	r = migration_await_status(vm->qemu.qmp, "postmigrate", deadline, err);
	if (r == 0)
		r = qemu_quit(&vm->qemu, err);
	return r < 0 ? r : faultpoint("seal-quit", vm->name, err);
}

static int seal_now(struct vm *vm, struct err *err)
{
	int r = seal_quit_qemu(vm, deadline_in(POSTMIGRATE_S), err);

	if (r < 0)
		return r;
	pause_mark(vm, "seal");
	pause_write(vm);
	r = integrity_commit(vm, CPR_CMD_VM_SEAL, err);
	return r < 0 ? r : faultpoint("seal-done", vm->name, err);
}

int seal_vm(struct vm *vm, struct err *err)
{
	int r = faultpoint("seal-begun", vm->name, err);

	if (r == 0)
		r = vm_manifest(vm, err);	/* has the marks of the pause */
	if (r == 0)
		r = hooks_before(vm, "seal", err);
	return r < 0 ? r : hooks_after(vm, "seal", seal_now(vm, err));
}
