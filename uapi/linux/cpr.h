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
#define CPR_DIGEST_LEN	16

/**
 * enum cpr_vm_state - State of a VM.
 * @CPR_VM_STATE_DEFINED: The VM is a directory only; its files can be changed.
 * @CPR_VM_STATE_RUNNING: QEMU runs on the memory files, whose size and name
 *   are fixed.
 * @CPR_VM_STATE_SAVED: QEMU has written the guest's state and waits in
 *   postmigrate.
 * @CPR_VM_STATE_SEALED: QEMU has quit; memory and state match, and nothing can
 *   be changed.
 * @CPR_VM_STATE_HELD: The VM was sealed under an earlier kernel and found by
 *   this one.
 * @CPR_VM_STATE_RESTORING: A QEMU is loading the state; the guest has not run
 *   since the save.
 * @CPR_VM_STATE_LOST: The VM was running or saved when a kernel booted; no
 *   valid state.
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

#define CPR_DEVICE_ADDRESS_MAX	15

/**
 * enum cpr_device_hold - Who holds a device of a VM.
 * @CPR_DEVICE_HOLD_NONE: Not the module, because the VM runs or its devices
 *   went to VFIO.
 * @CPR_DEVICE_HOLD_HELD: The module owns the IOMMU group; DMA reaches the VM's
 *   memory only.
 * @CPR_DEVICE_HOLD_MISSING: There is no device at the recorded address.
 * @CPR_DEVICE_HOLD_CHANGED: Certainly another device is at the recorded
 *   address, and the host can have it.
 * @CPR_DEVICE_HOLD_QUARANTINED: The module owns the IOMMU group and blocks all
 *   its DMA, because the device may be another one than before, or cannot get
 *   the mappings that it had. It stays so until the reason is gone, or
 *   device-release.
 * @CPR_DEVICE_HOLD_BUSY: A driver of the host uses the IOMMU group. The module
 *   owns the group as soon as that driver lets go.
 * @CPR_DEVICE_HOLD_FAILED: The module could not own the IOMMU group; there may
 *   be none.
 * @CPR_DEVICE_HOLD_RELEASED: An operator has given the device to the host, by
 *   device-release. The module owns it again only after it was loaded again.
 */
enum cpr_device_hold {
	CPR_DEVICE_HOLD_NONE,
	CPR_DEVICE_HOLD_HELD,
	CPR_DEVICE_HOLD_MISSING,
	CPR_DEVICE_HOLD_CHANGED,
	CPR_DEVICE_HOLD_QUARANTINED,
	CPR_DEVICE_HOLD_BUSY,
	CPR_DEVICE_HOLD_FAILED,
	CPR_DEVICE_HOLD_RELEASED,
};

/**
 * enum cpr_difference_kind - How a range of I/O virtual addresses differs from
 *   the snapshot.
 * @CPR_DIFFERENCE_KIND_MISSING: The range was mapped to the VM's memory and is
 *   not mapped now.
 * @CPR_DIFFERENCE_KIND_MOVED: The range is mapped to other memory than before.
 * @CPR_DIFFERENCE_KIND_EXTRA: The range was not mapped to memory of the
 *   region, and is now.
 * @CPR_DIFFERENCE_KIND_FOREIGN: The range is mapped to memory of the region
 *   that is not the VM's.
 */
enum cpr_difference_kind {
	CPR_DIFFERENCE_KIND_MISSING,
	CPR_DIFFERENCE_KIND_MOVED,
	CPR_DIFFERENCE_KIND_EXTRA,
	CPR_DIFFERENCE_KIND_FOREIGN,
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
	CPR_A_REGION_FRAMES_BAD,
	CPR_A_REGION_BAD_PAGES,

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
	CPR_A_VM_DEVICE,
	CPR_A_VM_FILE,
	CPR_A_VM_FULL,
	CPR_A_VM_DEVICES,
	CPR_A_VM_DMA_EXTENTS,
	CPR_A_VM_DMA_BYTES,
	CPR_A_VM_DIFFERENCES,
	CPR_A_VM_DIFFERENCE,
	CPR_A_VM_MANIFEST_DIGEST,
	CPR_A_VM_RAM_DIGEST,
	CPR_A_VM_BAD_PAGES,
	CPR_A_VM_WINDOW_START,
	CPR_A_VM_WINDOW_LENGTH,
	CPR_A_VM_WINDOW_NEXT,
	CPR_A_VM_REVOKE,
	CPR_A_VM_ROOM_BYTES,
	CPR_A_VM_ROOM_NAMES,
	CPR_A_VM_USED_BYTES,
	CPR_A_VM_USED_NAMES,

	__CPR_A_VM_MAX,
	CPR_A_VM_MAX = (__CPR_A_VM_MAX - 1)
};

enum {
	CPR_A_DIFFERENCE_DEVICE = 1,
	CPR_A_DIFFERENCE_KIND,
	CPR_A_DIFFERENCE_IOVA,
	CPR_A_DIFFERENCE_LENGTH,
	CPR_A_DIFFERENCE_EXPECTED,
	CPR_A_DIFFERENCE_FOUND,

	__CPR_A_DIFFERENCE_MAX,
	CPR_A_DIFFERENCE_MAX = (__CPR_A_DIFFERENCE_MAX - 1)
};

enum {
	CPR_A_DEVICE_VM = 1,
	CPR_A_DEVICE_ADDRESS,
	CPR_A_DEVICE_VENDOR,
	CPR_A_DEVICE_SUBSYSTEM,
	CPR_A_DEVICE_CLASS,
	CPR_A_DEVICE_SERIAL,
	CPR_A_DEVICE_GROUP_MEMBER,
	CPR_A_DEVICE_DOMAIN,
	CPR_A_DEVICE_EXTENTS,
	CPR_A_DEVICE_BYTES,
	CPR_A_DEVICE_MMIO_BYTES,
	CPR_A_DEVICE_RAM_BYTES,
	CPR_A_DEVICE_HOLD,
	CPR_A_DEVICE_REASON,
	CPR_A_DEVICE_FOUND,

	__CPR_A_DEVICE_MAX,
	CPR_A_DEVICE_MAX = (__CPR_A_DEVICE_MAX - 1)
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
	CPR_CMD_VM_SNAPSHOT,
	CPR_CMD_VM_RELEASE,
	CPR_CMD_VM_VERIFY,
	CPR_CMD_DEVICE_GET,
	CPR_CMD_DEVICE_NTF,
	CPR_CMD_DEVICE_RELEASE,
	CPR_CMD_VM_ROOM,

	__CPR_CMD_MAX,
	CPR_CMD_MAX = (__CPR_CMD_MAX - 1)
};

#define CPR_MCGRP_MONITOR	"monitor"

#endif /* _UAPI_LINUX_CPR_H */
