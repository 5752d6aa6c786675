/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An update: all VMs go to another kernel, or to another QEMU, or both.
 *
 * All checks pass, and the next kernel is loaded, before the first guest stops. Guests that are
 * to be shut down power off. Then all others are saved, at the same time. Only when all are saved does the first QEMU quit;
 * before that, any failure rolls all VMs back. After it, sealed VMs are restored under this
 * kernel.
 *
 * Without a kernel, the VMs go one by one, a few at the same time: each is saved, sealed and
 * restored in the new QEMU while the others run. The first one goes alone. A VM that fails
 * returns to its old QEMU, and no further one begins.
 *
 * The progress is in the region: the module's state and the manifest of each VM. So
 * abort_vm() can roll back an update that was killed, or another update can continue it.
 */
#ifndef CPR_UPDATE_H
#define CPR_UPDATE_H

#include "handover/plan.h"

/**
 * enum update_step - a step that a VM has completed
 * @UPDATE_ABORTED: abort_vm()
 * @UPDATE_SHUT_DOWN: guest_power_off()
 * @UPDATE_SAVED: save_vm()
 * @UPDATE_SEALED: seal_vm()
 * @UPDATE_RESTORED: restore_vm()
 */
enum update_step {
	UPDATE_ABORTED, UPDATE_SHUT_DOWN, UPDATE_SAVED, UPDATE_SEALED, UPDATE_RESTORED,
};

/* Called in the process that works on @vm, with the result of the step; NULL if it has none. */
typedef void (*update_progress)(enum update_step step, const char *vm,
				struct json_object *result);

/**
 * update_vms - carry out the plan of an update
 * @plan: from plan_make(); with its dry_run only the checks are made
 * @progress: may be NULL
 * @result: gets "qemu" (or null), "vms": for each VM what the steps report, "error" if a
 *	step failed, "ok", without a kernel "updated": whether it runs in the new QEMU (null or
 *	absent: not known), after a failure "fell_back": whether it runs in its old QEMU again,
 *	and its state as of vm_json(); "left_out" as in the plan. If the host jumps: "jumping_to", and "vms" is empty.
 *	After a dry run that succeeds only "expected_pause_ms": for each VM by its name what
 *	its last handover took, or null
 *
 * Forks a process for each VM. Returns: 0, and the host is about to jump if the plan has a
 * kernel; a refusal with exit status 4 if a VM cannot be saved; or another errno, with
 * exit status 6 if a VM could not be rolled back, or only some are in the new QEMU.
 */
int update_vms(struct plan *plan, update_progress progress, struct json_object *result,
	       struct err *err);

#endif
