/* SPDX-License-Identifier: GPL-2.0-only */
/* The module's generic netlink family; see <linux/cpr.h>. */
#ifndef CPR_GENL_H
#define CPR_GENL_H

#include <linux/cpr.h>

#include "base/error.h"

/**
 * struct cpr_region - the module's region
 * @have_start: the kernel told @start, which it tells the privileged only
 * @start: physical address, bytes
 * @size: bytes
 * @frame_size: bytes
 * @frames: data frames; and of these the free ones:
 * @clean: scrubbed
 * @dirty: waiting to be scrubbed
 * @busy: freed but pinned by someone
 * @version: major << 16 | minor of the image
 */
struct cpr_region {
	bool have_start;
	uint64_t start;
	uint64_t size;
	bool formatted;
	bool mounted;
	uint8_t uuid[16];
	char label[32];
	uint32_t version;
	uint64_t generation;
	uint32_t frame_size;
	uint32_t frames;
	uint32_t clean;
	uint32_t dirty;
	uint32_t busy;
};

/**
 * struct cpr_dma - what the devices of a VM can reach
 * @devices: number of them in the snapshot; 0 without one
 * @extents: of I/O virtual addresses that lead to the VM's memory
 * @bytes: of these
 */
struct cpr_dma {
	uint32_t devices;
	uint32_t extents;
	uint64_t bytes;
};

/**
 * struct vm_digests - by which the files of a sealed VM are known
 * @manifest: of manifest.json's bytes, XXH3-128 in canonical order
 * @ram: of its memory files, see ramdigest.h
 */
struct vm_digests {
	bool has_manifest, has_ram;
	uint8_t manifest[CPR_DIGEST_LEN];
	uint8_t ram[CPR_DIGEST_LEN];
};

/**
 * struct cpr_vm - what the module knows of a VM
 * @files: names of its memory files, owned
 * @memory: sum of their sizes, bytes
 * @mapped: some process maps one of them
 * @since: when the state was entered, seconds since the epoch
 * @kernel: release that ran then
 * @digests: committed when it was sealed
 * @dma: of its snapshot
 */
struct cpr_vm {
	char name[CPR_VM_NAME_MAX + 1];
	enum cpr_vm_state state;
	struct strv files;
	uint64_t memory;
	bool mapped;
	uint64_t since;
	char kernel[80];
	struct vm_digests digests;
	struct cpr_dma dma;
};

struct cpr_vms {
	struct cpr_vm *v;
	size_t n;
};

void cpr_vm_free(struct cpr_vm *vm);
void cpr_vms_free(struct cpr_vms *vms);
#define _cleanup_vm_info_ _cleanup_(cpr_vm_free)
#define _cleanup_vms_ _cleanup_(cpr_vms_free)

const char *cpr_state_name(enum cpr_vm_state state);

/**
 * struct cpr_device - a device in a snapshot
 * @vm: whose
 * @address: PCI, when the snapshot was taken
 * @vendor: vendor in the low, device in the high 16 bits
 * @group: PCI addresses of the members of its IOMMU group, owned
 * @extents, @bytes: mappings to the VM's memory
 * @hold: who has it
 * @reason: why it is not held though it should be; "" without
 */
struct cpr_device {
	char vm[CPR_VM_NAME_MAX + 1];
	char address[CPR_DEVICE_ADDRESS_MAX + 1];
	uint32_t vendor;
	struct strv group;
	uint32_t extents;
	uint64_t bytes;
	enum cpr_device_hold hold;
	char reason[256];
};

struct cpr_devices {
	struct cpr_device *v;
	size_t n;
};

/**
 * struct cpr_difference - I/O virtual addresses that lead elsewhere than they did
 * @device: PCI address of one that sees it
 * @iova, @length: bytes
 * @expected, @found: physical addresses, bytes; those that lead somewhere:
 * @led, @leads: before and now
 */
struct cpr_difference {
	char device[CPR_DEVICE_ADDRESS_MAX + 1];
	enum cpr_difference_kind kind;
	uint64_t iova, length;
	uint64_t expected, found;
	bool led, leads;
};

/**
 * struct cpr_verdict - what a verify found
 * @dma: what the devices can reach now
 * @differences: how many there are
 * @v: the first of them, owned
 * @n: how many are told
 */
struct cpr_verdict {
	struct cpr_dma dma;
	uint32_t differences;
	struct cpr_difference *v;
	size_t n;
};

void cpr_devices_free(struct cpr_devices *devices);
void cpr_verdict_free(struct cpr_verdict *verdict);
#define _cleanup_devices_ _cleanup_(cpr_devices_free)
#define _cleanup_verdict_ _cleanup_(cpr_verdict_free)

const char *cpr_hold_name(enum cpr_device_hold hold);
const char *cpr_difference_name(enum cpr_difference_kind kind);

struct genl;

/**
 * genl_open - reach the module
 *
 * Returns: the connection, or NULL with exit status 4 in @err if the module is
 * not loaded.
 */
struct genl *genl_open(struct err *err);
void genl_close(struct genl *genl);

static inline void cleanup_genl(struct genl **genl)
{
	genl_close(*genl);
}
#define _cleanup_genl_ _cleanup_(cleanup_genl)

int genl_region(struct genl *genl, struct cpr_region *region, struct err *err);
int genl_format(struct genl *genl, const struct cpr_region *region, const char *label, bool force,
		struct err *err);

/* -ENOENT with exit status 3 if there is no such VM. Free with cpr_vm_free(). */
int genl_vm(struct genl *genl, const char *name, struct cpr_vm *vm, struct err *err);

/* All VMs, in the order of their names. Free with cpr_vms_free(). */
int genl_vms(struct genl *genl, struct cpr_vms *vms, struct err *err);

/**
 * genl_vm_do - move a VM to another state
 * @cmd: CPR_CMD_VM_*
 * @files: names of memory files, for CPR_CMD_VM_PIN of a defined VM; or NULL
 *
 * Returns: 0 or the kernel's -errno, with its words in @err.
 */
int genl_vm_do(struct genl *genl, int cmd, const char *name, const struct strv *files,
	       struct err *err);

/**
 * genl_vm_seal - move a VM to another state, with digests
 * @cmd: CPR_CMD_VM_SEAL or CPR_CMD_VM_UNCLAIM
 * @digests: to be committed with the step; those on record that are not among them
 *	are kept
 *
 * Returns: as genl_vm_do().
 */
int genl_vm_seal(struct genl *genl, int cmd, const char *name, const struct vm_digests *digests,
		 struct err *err);

/**
 * struct cpr_look - how the module looks at what devices can reach
 * @fds, @nfds: VFIO files of the VM's QEMU, open in this process
 * @full: at every page, not at both ends of every 2 MiB
 */
struct cpr_look {
	const int *fds;
	size_t nfds;
	bool full;
};

/**
 * genl_snapshot - record what the devices of a VM can reach
 * @devices: PCI addresses
 * @dma: what was recorded; may be NULL
 */
int genl_snapshot(struct genl *genl, const char *name, const struct strv *devices,
		  const struct cpr_look *look, struct cpr_dma *dma, struct err *err);

/**
 * genl_verify - compare what they can reach now with the snapshot
 * @verdict: free with cpr_verdict_free()
 *
 * Returns: 0 also if there are differences: it is the caller who judges.
 */
int genl_verify(struct genl *genl, const char *name, const struct cpr_look *look,
		struct cpr_verdict *verdict, struct err *err);

/* Devices in the snapshot of @vm, or in all with NULL. Free with cpr_devices_free(). */
int genl_devices(struct genl *genl, const char *vm, struct cpr_devices *devices, struct err *err);

#endif
