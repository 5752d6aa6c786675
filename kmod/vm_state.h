/* SPDX-License-Identifier: GPL-2.0-only */
/* Names of the states of a VM, in messages of the module and of cpr-helper. */
#ifndef CPR_VM_STATE_H
#define CPR_VM_STATE_H

#include <linux/cpr.h>

static const char *const cpr_vm_state_names[] = {
	[CPR_VM_STATE_DEFINED]		= "defined",
	[CPR_VM_STATE_RUNNING]		= "running",
	[CPR_VM_STATE_SAVED]		= "saved",
	[CPR_VM_STATE_SEALED]		= "sealed",
	[CPR_VM_STATE_HELD]		= "held",
	[CPR_VM_STATE_RESTORING]	= "restoring",
	[CPR_VM_STATE_LOST]		= "lost",
};

#endif
