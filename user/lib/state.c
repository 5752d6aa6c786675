// SPDX-License-Identifier: GPL-2.0-only
/* What is known of a VM, without asking for it. See genl.h. */
#include "genl.h"

static const char *const state_names[] = {
	[CPR_VM_STATE_DEFINED] = "defined",
	[CPR_VM_STATE_RUNNING] = "running",
	[CPR_VM_STATE_SAVED] = "saved",
	[CPR_VM_STATE_SEALED] = "sealed",
	[CPR_VM_STATE_HELD] = "held",
	[CPR_VM_STATE_RESTORING] = "restoring",
	[CPR_VM_STATE_LOST] = "lost",
};

const char *cpr_state_name(enum cpr_vm_state state)
{
	return (size_t)state < ARRAY_SIZE(state_names) ? state_names[state] : "unknown";
}

void cpr_vm_free(struct cpr_vm *vm)
{
	strv_free(&vm->files);
}

void cpr_vms_free(struct cpr_vms *vms)
{
	for (size_t i = 0; i < vms->n; i++)
		cpr_vm_free(&vms->v[i]);
	free(vms->v);
	*vms = (struct cpr_vms){ 0 };
}
