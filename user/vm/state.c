// SPDX-License-Identifier: GPL-2.0-only
/* Names of states and release of structs: the part of genl.h that needs no netlink. */
#include "vm_state.h"
#include "vm/genl.h"

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

static const char *const holds[] = {
	[CPR_DEVICE_HOLD_NONE] = "none",
	[CPR_DEVICE_HOLD_HELD] = "held",
	[CPR_DEVICE_HOLD_MISSING] = "missing",
	[CPR_DEVICE_HOLD_CHANGED] = "changed",
	[CPR_DEVICE_HOLD_QUARANTINED] = "quarantined",
	[CPR_DEVICE_HOLD_BUSY] = "busy",
	[CPR_DEVICE_HOLD_FAILED] = "failed",
	[CPR_DEVICE_HOLD_RELEASED] = "released",
};

static const char *const differences[] = {
	[CPR_DIFFERENCE_KIND_MISSING] = "missing",
	[CPR_DIFFERENCE_KIND_MOVED] = "moved",
	[CPR_DIFFERENCE_KIND_EXTRA] = "extra",
	[CPR_DIFFERENCE_KIND_FOREIGN] = "foreign",
};

const char *cpr_hold_name(enum cpr_device_hold hold)
{
	return (size_t)hold < ARRAY_SIZE(holds) ? holds[hold] : "unknown";
}

const char *cpr_difference_name(enum cpr_difference_kind kind)
{
	return (size_t)kind < ARRAY_SIZE(differences) ? differences[kind] : "unknown";
}

void cpr_devices_free(struct cpr_devices *devices)
{
	for (size_t i = 0; i < devices->n; i++)
		strv_free(&devices->v[i].group);
	free(devices->v);
	*devices = (struct cpr_devices){ 0 };
}

void cpr_verdict_free(struct cpr_verdict *verdict)
{
	free(verdict->v);
	*verdict = (struct cpr_verdict){ 0 };
}
