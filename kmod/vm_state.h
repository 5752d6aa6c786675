/* SPDX-License-Identifier: GPL-2.0-only */
/* What a VM's state is called, in the messages of module and helper alike. */
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
