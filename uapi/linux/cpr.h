/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/cpr.yaml */
/* YNL-GEN uapi header */
/* To regenerate run: tools/ynl-gen.sh KSRC */

#ifndef _UAPI_LINUX_CPR_H
#define _UAPI_LINUX_CPR_H

#define CPR_FAMILY_NAME		"cpr"
#define CPR_FAMILY_VERSION	1

#define CPR_VM_NAME_MAX	64

/**
 * enum cpr_vm_state - Where a VM is in its life.
 * @CPR_VM_STATE_DEFINED: A directory, nothing more; files may be changed at
 *   will.
 * @CPR_VM_STATE_RUNNING: QEMU runs on the memory files, which are frozen in
 *   size and name.
 * @CPR_VM_STATE_SAVED: QEMU has written its state and waits in postmigrate.
 * @CPR_VM_STATE_SEALED: QEMU has quit; memory and state belong together, all
 *   is frozen.
 * @CPR_VM_STATE_HELD: Sealed under an earlier kernel, found again by this one.
 * @CPR_VM_STATE_RESTORING: A QEMU is loading the state; the guest has not run
 *   since.
 * @CPR_VM_STATE_LOST: Was running or saved when a kernel came up; memory
 *   without state.
 */
enum cpr_vm_state {
	CPR_VM_STATE_DEFINED,
	CPR_VM_STATE_RUNNING,
	CPR_VM_STATE_SAVED,
	CPR_VM_STATE_SEALED,
	CPR_VM_STATE_HELD,
	CPR_VM_STATE_RESTORING,
	CPR_VM_STATE_LOST,
};

enum {
	CPR_A_REGION_START = 1,
	CPR_A_REGION_SIZE,
	CPR_A_REGION_FORMATTED,
	CPR_A_REGION_UUID,
	CPR_A_REGION_LABEL,
	CPR_A_REGION_VERSION,
	CPR_A_REGION_GENERATION,
	CPR_A_REGION_FRAME_SIZE,
	CPR_A_REGION_FRAMES,
	CPR_A_REGION_FRAMES_CLEAN,
	CPR_A_REGION_FRAMES_DIRTY,
	CPR_A_REGION_FRAMES_BUSY,
	CPR_A_REGION_FORCE,
	CPR_A_REGION_MOUNTED,

	__CPR_A_REGION_MAX,
	CPR_A_REGION_MAX = (__CPR_A_REGION_MAX - 1)
};

enum {
	CPR_A_VM_NAME = 1,
	CPR_A_VM_STATE,
	CPR_A_VM_MEMORY_FILE,
	CPR_A_VM_MEMORY_BYTES,
	CPR_A_VM_MAPPED,
	CPR_A_VM_SINCE,
	CPR_A_VM_KERNEL,

	__CPR_A_VM_MAX,
	CPR_A_VM_MAX = (__CPR_A_VM_MAX - 1)
};

enum {
	CPR_CMD_REGION_GET = 1,
	CPR_CMD_REGION_NTF,
	CPR_CMD_REGION_FORMAT,
	CPR_CMD_VM_GET,
	CPR_CMD_VM_NTF,
	CPR_CMD_VM_PIN,
	CPR_CMD_VM_SAVE,
	CPR_CMD_VM_SEAL,
	CPR_CMD_VM_CLAIM,
	CPR_CMD_VM_UNCLAIM,
	CPR_CMD_VM_UNPIN,

	__CPR_CMD_MAX,
	CPR_CMD_MAX = (__CPR_CMD_MAX - 1)
};

#define CPR_MCGRP_MONITOR	"monitor"

#endif /* _UAPI_LINUX_CPR_H */
