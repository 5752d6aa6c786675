// SPDX-License-Identifier: GPL-2.0-only
/* What is known of a VM, without asking for it. See genl.h. */
#include "genl.h"
#include "vm_state.h"

const char *cpr_state_name(enum cpr_vm_state state)
{
	return (size_t)state < ARRAY_SIZE(cpr_vm_state_names) ?
		cpr_vm_state_names[state] : "unknown";
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
