/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The persistent tables of a region: layout, superblock and catalog. Pure C.
 * <linux/cpr_image.h> describes the format.
 */
#ifndef CPR_CATALOG_H
#define CPR_CATALOG_H

#include "port.h"
#include <linux/cpr_image.h>

#include "bad.h"

/**
 * struct cpr_reason - reason of a refusal
 * @kind: identifier of the kind of damage; image-format.md lists all of them
 * @text: a sentence without a final period, with the values
 */
struct cpr_reason {
	const char *kind;
	char text[224];
};

/**
 * struct cpr_report - receiver of everything that is wrong with a slot
 * @defect: called with each defect
 */
struct cpr_report {
	void (*defect)(struct cpr_report *report, const struct cpr_reason *why);
};

/**
 * struct cpr_stamp - origin of a commit
 * @time: seconds since the epoch
 * @kernel: release of the running kernel
 */
struct cpr_stamp {
	s64 time;
	const char *kernel;
};

/**
 * struct cpr_geometry - a superblock in native form
 * @start: physical address of the region
 * @size: bytes of the region
 * @slot_offset: of each catalog slot
 * @slot_size: bytes of a slot
 * @frames: number of frames in the region, tables included
 * @first_frame: the first frame that holds data
 * @incompat: enum cpr_image_incompat
 * @format_time: seconds since the epoch
 * @major: version of the image
 * @minor: version of the image
 * @copies_bad: bit 0: the superblock did not verify, bit 1: its copy
 * @uuid: identity
 * @label: operator's name, NUL-terminated
 */
struct cpr_geometry {
	u64 start;
	u64 size;
	u64 slot_offset[CPR_IMAGE_SLOTS];
	u64 slot_size;
	u32 frames;
	u32 first_frame;
	u64 incompat;
	s64 format_time;
	u16 major;
	u16 minor;
	u8 copies_bad;
	u8 uuid[16];
	char label[CPR_IMAGE_LABEL_LEN + 1];
};

/* Seconds and nanoseconds since the epoch. */
struct cpr_time {
	s64 sec;
	u32 nsec;
};

/* A run of frames of a file; numbers of frames throughout. */
struct cpr_extent {
	u32 file_frame;
	u32 frame;
	u32 count;
};

/**
 * struct cpr_catalog_node - a node record in native form
 * @ino: inode number
 * @size: bytes
 * @atime: last access
 * @mtime: last modification
 * @ctime: last change
 * @parent: number of the parent's record
 * @mode: type and permission bits
 * @uid: owner
 * @gid: group
 * @flags: enum cpr_image_node_flags
 * @extents: number of extents; see cpr_catalog_extent()
 * @room_frames: frames of the room of a directory
 * @room_names: names of the room; 0 without a room
 * @name_len: bytes of @name
 * @name: points into the record (or the caller's string); not NUL-terminated
 * @extent_table: points into the record; unused when writing
 */
struct cpr_catalog_node {
	u64 ino;
	u64 size;
	struct cpr_time atime;
	struct cpr_time mtime;
	struct cpr_time ctime;
	u32 parent;
	u32 mode;
	u32 uid;
	u32 gid;
	u16 flags;
	u32 extents;
	u32 room_frames;
	u16 room_names;
	u16 name_len;
	const char *name;
	const struct cpr_image_extent *extent_table;
};

/**
 * struct cpr_digests - digests of the files of a sealed VM
 * @flags: enum cpr_image_vm_flags; a digest without its flag is all zeros
 * @manifest: see struct cpr_image_vm
 * @ram: see struct cpr_image_vm
 */
struct cpr_digests {
	u16 flags;
	u8 manifest[CPR_IMAGE_DIGEST_LEN];
	u8 ram[CPR_IMAGE_DIGEST_LEN];
};

/**
 * struct cpr_catalog_vm - a VM record in native form
 * @node: number of the directory's record
 * @state: enum cpr_image_vm_state
 * @since: when it entered @state
 * @kernel: release of the kernel then; points into the record
 * @digests: of its files
 */
struct cpr_catalog_vm {
	u32 node;
	u32 state;
	struct cpr_time since;
	const char *kernel;
	struct cpr_digests digests;
};

/* A PCI address; see struct cpr_image_pci. */
struct cpr_pci {
	u32 segment;
	u8 bus;
	u8 devfn;
};

/* A number for each PCI address, in their order. */
static inline u64 cpr_pci_key(const struct cpr_pci *p)
{
	return (u64)p->segment << 16 | p->bus << 8 | p->devfn;
}

/**
 * struct cpr_dma_extent - an extent of a DMA record in native form
 * @iova: first I/O virtual address
 * @phys: physical address that it leads to
 * @length: bytes
 * @class: enum cpr_image_dma_class
 */
struct cpr_dma_extent {
	u64 iova;
	u64 phys;
	u64 length;
	u32 class;
};

/**
 * struct cpr_catalog_dma - a DMA record in native form
 * @extents: number of extents; see cpr_catalog_dma_extent()
 * @table: points into the record
 */
struct cpr_catalog_dma {
	u32 extents;
	const struct cpr_image_dma_extent *table;
};

/**
 * struct cpr_catalog_device - a device record in native form
 * @address: address of the device
 * @vendor: from configuration space
 * @device: from configuration space
 * @subsystem_vendor: from configuration space
 * @subsystem_device: from configuration space
 * @class: class code << 8 | revision
 * @has_serial: @serial is valid
 * @serial: from the device serial number capability
 * @dma: number of the device's record among the DMA records of the VM
 * @members: devices of its IOMMU group; see cpr_catalog_member()
 * @table: points into the record; unused when writing
 */
struct cpr_catalog_device {
	struct cpr_pci address;
	u16 vendor;
	u16 device;
	u16 subsystem_vendor;
	u16 subsystem_device;
	u32 class;
	bool has_serial;
	u64 serial;
	u32 dma;
	u32 members;
	const struct cpr_image_pci *table;
};

/**
 * struct cpr_catalog_bad - the record of memory errors in native form
 * @runs: number of runs; see cpr_catalog_bad_run()
 * @table: points into the record
 */
struct cpr_catalog_bad {
	u32 runs;
	const struct cpr_image_bad_run *table;
};

/**
 * struct cpr_catalog - a checked slot
 * @generation: of the commit
 * @next_ino: above every inode number
 * @commit_time: seconds since the epoch
 * @length: bytes of @records
 * @nodes: number of node records
 * @vms: number of VM records
 * @slot: number of the slot
 * @other_damaged: the other slot is damaged, and the next commit rewrites it
 * @kernel: release of the kernel that committed, NUL-terminated
 * @records: the records
 */
struct cpr_catalog {
	u64 generation;
	u64 next_ino;
	s64 commit_time;
	u64 length;
	u32 nodes;
	u32 vms;
	unsigned int slot;
	bool other_damaged;
	char kernel[CPR_IMAGE_KERNEL_LEN + 1];
	const u8 *records;
};

/**
 * struct cpr_catalog_entry - a record of any type
 * @type: enum cpr_image_rec_type; selects the valid member
 * @node: a node
 * @vm: a VM
 * @dma: what devices of the last VM can reach
 * @device: a device of the last VM
 * @bad: pages of the region that have memory errors
 */
struct cpr_catalog_entry {
	unsigned int type;
	union {
		struct cpr_catalog_node node;
		struct cpr_catalog_vm vm;
		struct cpr_catalog_dma dma;
		struct cpr_catalog_device device;
		struct cpr_catalog_bad bad;
	};
};

/**
 * struct cpr_catalog_writer - state of a commit
 * @slot: memory of the slot that is written
 * @capacity: room for records, in bytes
 * @length: bytes of records so far
 * @open: offset of the node record that extents are added to, or U64_MAX
 * @node: copy of that record's fixed part
 * @last: the last extent of that node
 * @nodes: node records so far
 * @vms: VM records so far
 * @error: first error; further calls do nothing
 * @block: the header of the slot, or a superblock, while it is encoded
 *
 * The writer has all the memory that a commit needs. So a commit cannot fail for lack of
 * memory.
 */
struct cpr_catalog_writer {
	u8 *slot;
	u64 capacity;
	u64 length;
	u64 open;
	struct cpr_image_node node;
	struct cpr_extent last;
	u32 nodes;
	u32 vms;
	int error;
	union {
		struct cpr_image_slot slot;
		struct cpr_image_super super;
	} block;
};

int cpr_image_layout(struct cpr_geometry *geo, u64 start, u64 size,
		     struct cpr_reason *why);
u64 cpr_image_tables(u64 avail);
void cpr_image_format(struct cpr_catalog_writer *w, void *base,
		      const struct cpr_geometry *geo, const struct cpr_stamp *stamp);
int cpr_image_check_super(const void *base, u64 avail, unsigned int copy,
			  struct cpr_geometry *geo, struct cpr_reason *why);
int cpr_image_load(const void *base, u64 avail, struct cpr_geometry *geo,
		   struct cpr_reason *why);
void cpr_image_repair(void *base, const struct cpr_geometry *geo);

int cpr_catalog_check(const void *base, const struct cpr_geometry *geo,
		      unsigned int slot, struct cpr_catalog *cat,
		      struct cpr_reason *why);
int cpr_catalog_report(const void *base, const struct cpr_geometry *geo,
		       unsigned int slot, struct cpr_report *report);
int cpr_catalog_open(const void *base, const struct cpr_geometry *geo,
		     struct cpr_catalog *cat, struct cpr_reason *why);
bool cpr_catalog_is_repeated(const void *base, const struct cpr_geometry *geo);
bool cpr_catalog_next(const struct cpr_catalog *cat, u64 *cursor,
		      struct cpr_catalog_entry *entry);
struct cpr_extent cpr_catalog_extent(const struct cpr_catalog_node *node, u32 i);
struct cpr_dma_extent cpr_catalog_dma_extent(const struct cpr_catalog_dma *dma, u32 i);
struct cpr_pci cpr_catalog_member(const struct cpr_catalog_device *dev, u32 i);
struct cpr_bad_run cpr_catalog_bad_run(const struct cpr_catalog_bad *bad, u32 i);

/* What a name counts against CPR_IMAGE_MEMORY_NAMES_MAX. */
static inline u32 cpr_catalog_memory_name_size(u16 name_len)
{
	return name_len + CPR_IMAGE_MEMORY_NAME_EXTRA;
}

u64 cpr_catalog_node_size(u16 name_len);
u64 cpr_catalog_dma_size(u32 extents);
u64 cpr_catalog_device_size(u32 members);
u64 cpr_catalog_capacity(const struct cpr_geometry *geo);
void cpr_catalog_begin(struct cpr_catalog_writer *w, void *base,
		       const struct cpr_geometry *geo, unsigned int slot);
void cpr_catalog_abandon(void *base, const struct cpr_geometry *geo, unsigned int slot,
			 unsigned int block);
void cpr_catalog_limit(struct cpr_catalog_writer *w, u64 room);
void cpr_catalog_put_node(struct cpr_catalog_writer *w,
			  const struct cpr_catalog_node *node);
void cpr_catalog_put_frames(struct cpr_catalog_writer *w,
			    const struct cpr_extent *ext);
void cpr_catalog_put_vm(struct cpr_catalog_writer *w,
			const struct cpr_catalog_vm *vm);
void cpr_catalog_put_dma(struct cpr_catalog_writer *w,
			 const struct cpr_dma_extent *extents, u32 nr);
void cpr_catalog_put_device(struct cpr_catalog_writer *w,
			    const struct cpr_catalog_device *dev,
			    const struct cpr_pci *members);
void cpr_catalog_put_bad(struct cpr_catalog_writer *w, const struct cpr_bad *bad);
int cpr_catalog_commit(struct cpr_catalog_writer *w, u64 generation,
		       u64 next_ino, const struct cpr_stamp *stamp);

#endif /* CPR_CATALOG_H */
