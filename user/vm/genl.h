/* SPDX-License-Identifier: GPL-2.0-only */
/* Client of the module's generic netlink family; see <linux/cpr.h>. */
#ifndef CPR_GENL_H
#define CPR_GENL_H

#include <linux/cpr.h>

#include "base/error.h"

/**
 * struct cpr_region - the module's region
 * @start: physical address, bytes
 * @size: bytes
 * @formatted: the region has an image
 * @mounted: cprfs is mounted
 * @uuid: UUID of the image
 * @label: label of the image
 * @version: version of the image, major << 16 | minor
 * @generation: generation of the image's catalog
 * @frame_size: bytes
 * @frames: number of data frames
 * @clean: number of free frames that are scrubbed
 * @dirty: number of free frames that wait to be scrubbed
 * @busy: number of freed frames that are still pinned
 */
struct cpr_region {
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
 * struct cpr_dma - memory that the devices of a VM can reach
 * @devices: number of devices in the snapshot; 0 without a snapshot
 * @extents: number of ranges of I/O virtual addresses mapped to the VM's memory
 * @bytes: size of these ranges
 */
struct cpr_dma {
	uint32_t devices;
	uint32_t extents;
	uint64_t bytes;
};

/**
 * struct vm_digests - digests of a sealed VM's files
 * @has_manifest, @has_ram: @manifest and @ram are set
 * @manifest: XXH3-128 of manifest.json, in canonical order
 * @ram: digest of the memory files, see ramdigest.h
 */
struct vm_digests {
	bool has_manifest, has_ram;
	uint8_t manifest[CPR_DIGEST_LEN];
	uint8_t ram[CPR_DIGEST_LEN];
};

/**
 * struct cpr_room - a part of the region
 * @bytes: of files
 * @names: of files and directories; 0 for a VM that has no room
 */
struct cpr_room {
	uint64_t bytes;
	uint32_t names;
};

/**
 * struct cpr_vm - a VM as known to the module
 * @files: names of its memory files, owned
 * @memory: total size of the memory files, bytes
 * @mapped: a process maps a memory file
 * @since: time at which the VM entered @state, seconds since the epoch
 * @kernel: kernel release at that time
 * @digests: digests committed when the VM was sealed
 * @dma: memory reachable according to its snapshot
 * @bad_pages: number of pages of 4 KiB of its files with memory errors
 * @room: what it may use, and is promised
 * @used: what it uses
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
	uint64_t bad_pages;
	struct cpr_room room;
	struct cpr_room used;
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
 * @vm: name of its VM
 * @address: PCI address when the snapshot was taken
 * @found: PCI address where it is now, if that is another; else ""
 * @vendor: vendor id in the low, device id in the high 16 bits
 * @group: PCI addresses of the members of its IOMMU group, owned
 * @extents, @bytes: number and size of the mappings to the VM's memory
 * @hold: whether the module holds the device for the VM
 * @reason: reason why the module does not hold it; "" if there is none
 */
struct cpr_device {
	char vm[CPR_VM_NAME_MAX + 1];
	char address[CPR_DEVICE_ADDRESS_MAX + 1];
	char found[CPR_DEVICE_ADDRESS_MAX + 1];
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
 * struct cpr_difference - a range of I/O virtual addresses with another mapping than before
 * @device: PCI address of a device for which the mapping differs
 * @kind: kind of the difference
 * @iova, @length: the range, bytes
 * @expected: physical address to which it was mapped; valid if @led
 * @found: physical address to which it is mapped now; valid if @leads
 * @led, @leads: the range was mapped before, is mapped now
 */
struct cpr_difference {
	char device[CPR_DEVICE_ADDRESS_MAX + 1];
	enum cpr_difference_kind kind;
	uint64_t iova, length;
	uint64_t expected, found;
	bool led, leads;
};

/**
 * struct cpr_verdict - result of a verification
 * @dma: memory that the devices can reach now
 * @next: where the next part starts, if only a part was verified; 0 if it was the last
 * @differences: number of differences
 * @v: the first differences, owned
 * @n: number of differences in @v
 */
struct cpr_verdict {
	struct cpr_dma dma;
	uint64_t next;
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
 * genl_open - connect to the module
 *
 * Returns: the connection, to be closed with genl_close(); NULL with exit status 4 in @err
 * if the module is not loaded, or with 1 if netlink fails.
 */
struct genl *genl_open(struct err *err);
void genl_close(struct genl *genl);

static inline void cleanup_genl(struct genl **genl)
{
	genl_close(*genl);
}
#define _cleanup_genl_ _cleanup_(cleanup_genl)

/* Get the region, format it. Return 0 or the kernel's -errno. */
int genl_region(struct genl *genl, struct cpr_region *region, struct err *err);
int genl_format(struct genl *genl, const struct cpr_region *region, const char *label, bool force,
		struct err *err);

/*
 * Get a VM; free with cpr_vm_free(). Returns: 0; -ENOENT with exit status 3 if there is no
 * such VM; or another negative errno.
 */
int genl_vm(struct genl *genl, const char *name, struct cpr_vm *vm, struct err *err);

/* Get all VMs, sorted by name; free with cpr_vms_free(). Returns: 0 or -errno. */
int genl_vms(struct genl *genl, struct cpr_vms *vms, struct err *err);

/**
 * genl_vm_do - move a VM to another state
 * @cmd: CPR_CMD_VM_*
 * @name: name of the VM
 * @files: names of memory files for CPR_CMD_VM_PIN of a defined VM; otherwise NULL
 *
 * Returns: 0 or the kernel's -errno, with the kernel's message in @err.
 */
int genl_vm_do(struct genl *genl, int cmd, const char *name, const struct strv *files,
	       struct err *err);

/**
 * genl_vm_seal - move a VM to another state, with digests
 * @cmd: CPR_CMD_VM_SEAL or CPR_CMD_VM_UNCLAIM
 * @name: name of the VM
 * @digests: digests to commit with the new state; the module keeps a recorded digest
 *	that is not set here
 * @revoke: take the VM's files from their users first
 *
 * Returns: as genl_vm_do(). -EBUSY with @revoke: pages stay pinned; the files were taken
 * from their users all the same.
 */
int genl_vm_seal(struct genl *genl, int cmd, const char *name, const struct vm_digests *digests,
		 bool revoke, struct err *err);

/* Unpin a VM; with @revoke as genl_vm_seal(). Returns: as genl_vm_do(). */
int genl_vm_unpin(struct genl *genl, const char *name, bool revoke, struct err *err);

/*
 * Set what a VM may use, and is promised; no names: neither. Returns: as genl_vm_do(), with
 * -EDQUOT if it uses more, -ENOSPC if there is not as much.
 */
int genl_vm_room(struct genl *genl, const char *name, const struct cpr_room *room,
		 struct err *err);

/**
 * struct cpr_scan - how the module scans the memory that devices can reach
 * @fds, @nfds: VFIO files of the VM's QEMU, open in this process
 * @full: scan every page, instead of both ends of every 2 MiB
 * @start, @length: verify only so many bytes of I/O virtual addresses, but every page of
 *	them; @length is 0 to verify all
 */
struct cpr_scan {
	const int *fds;
	size_t nfds;
	bool full;
	uint64_t start, length;
};

/**
 * genl_snapshot - have the module record the memory that the devices of a VM can reach
 * @devices: PCI addresses of the devices
 * @dma: totals of the recorded memory; may be NULL
 *
 * Returns: as genl_vm_do().
 */
int genl_snapshot(struct genl *genl, const char *name, const struct strv *devices,
		  const struct cpr_scan *scan, struct cpr_dma *dma, struct err *err);

/**
 * genl_verify - have the module compare the reachable memory with the snapshot
 * @verdict: the result; after success free with cpr_verdict_free()
 *
 * Returns: 0, also if there are differences; -EPROTO if the module did not answer; or as
 * genl_vm_do().
 */
int genl_verify(struct genl *genl, const char *name, const struct cpr_scan *scan,
		struct cpr_verdict *verdict, struct err *err);

/*
 * Get the devices in the snapshot of @vm, or in all snapshots if @vm is NULL; free with
 * cpr_devices_free(). Returns: 0 or -errno.
 */
int genl_devices(struct genl *genl, const char *vm, struct cpr_devices *devices, struct err *err);

/*
 * Have the module give the quarantined device at @address, and its IOMMU group, to the host.
 * Returns: 0 or the kernel's -errno, with the kernel's message in @err.
 */
int genl_device_release(struct genl *genl, const char *address, struct err *err);

#endif
