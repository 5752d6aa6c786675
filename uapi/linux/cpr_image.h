/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/*
 * The persistent image of a handover region.
 *
 * This header is a contract between kernel N and kernel N+1, and with every
 * program that reads an image offline. It is not the netlink ABI; that is
 * <linux/cpr.h>.
 *
 * All integers are little-endian. All offsets are bytes from the start of the
 * region unless a comment says otherwise. Any change to a structure, a constant
 * or a rule stated here is a change of the format:
 *
 *  - raise CPR_IMAGE_VERSION_MINOR for a field in reserved space, a record type or a
 *    flag, if an old reader can ignore it without harm and an old writer can drop it
 *    at its next commit;
 *  - define a bit in enum cpr_image_incompat for anything that an old reader must
 *    not ignore;
 *  - raise CPR_IMAGE_VERSION_MAJOR for any other change.
 *
 * A reader refuses a newer major version and any incompatible bit that it does
 * not know. It accepts every minor version of its own major version.
 *
 *	0                superblock                        4 KiB
 *	64 KiB           copy of the superblock            4 KiB
 *	slot_offset[0]   catalog slot 0                    slot_size
 *	slot_offset[1]   catalog slot 1                    slot_size
 *	data_offset      frames, CPR_IMAGE_FRAME_SIZE each, to the region's end
 *
 * A slot has min(1 + frames / 512, CPR_IMAGE_SLOT_NAME_FRAMES) frames for names, plus
 * as many whole frames as hold one extent for each frame of the region.
 *
 * Frames are numbered from the region's start, so frame N lies at
 * N * CPR_IMAGE_FRAME_SIZE; the first data frame is
 * data_offset / CPR_IMAGE_FRAME_SIZE.
 */
#ifndef _UAPI_LINUX_CPR_IMAGE_H
#define _UAPI_LINUX_CPR_IMAGE_H

#include <linux/types.h>

#define CPR_IMAGE_SUPER_MAGIC	"CPRIMAGE"
#define CPR_IMAGE_SLOT_MAGIC	"CPRCATLG"
#define CPR_IMAGE_SLOT_UNFINISHED "CPRWRITE"
#define CPR_IMAGE_MAGIC_LEN	8

#define CPR_IMAGE_VERSION_MAJOR	1
#define CPR_IMAGE_VERSION_MINOR	2

#define CPR_IMAGE_BLOCK_SIZE	4096u
#define CPR_IMAGE_SUPER_COPY	65536u
#define CPR_IMAGE_FRAME_SHIFT	21
#define CPR_IMAGE_FRAME_SIZE	(1u << CPR_IMAGE_FRAME_SHIFT)
#define CPR_IMAGE_MIN_FRAMES	8u
#define CPR_IMAGE_MAX_FRAMES	(1u << 27)	/* 256 TiB */
#define CPR_IMAGE_SUPERS	2
#define CPR_IMAGE_SLOTS		2
#define CPR_IMAGE_SLOT_NAME_FRAMES 32u

#define CPR_IMAGE_NAME_MAX	255
#define CPR_IMAGE_LABEL_LEN	32
#define CPR_IMAGE_KERNEL_LEN	64
#define CPR_IMAGE_DIGEST_LEN	16
#define CPR_IMAGE_ROOT_INO	1
#define CPR_IMAGE_BAD_MAX	2048u	/* runs of pages with memory errors */
#define CPR_IMAGE_COUNTER_END	(1ull << 62)	/* generations and inode numbers are below */

/*
 * The names of the memory files of a directory have at most this many bytes together,
 * where each name counts as its length and CPR_IMAGE_MEMORY_NAME_EXTRA more.
 */
#define CPR_IMAGE_MEMORY_NAMES_MAX	2048u
#define CPR_IMAGE_MEMORY_NAME_EXTRA	8u

/**
 * enum cpr_image_incompat - features that a reader must know
 * @CPR_IMAGE_INCOMPAT_KNOWN: mask of the bits that this header defines
 */
enum cpr_image_incompat {
	CPR_IMAGE_INCOMPAT_KNOWN	= 0,
};

/**
 * struct cpr_image_super - superblock, written by format and never changed
 * @magic: CPR_IMAGE_SUPER_MAGIC
 * @major: CPR_IMAGE_VERSION_MAJOR of the writer
 * @minor: CPR_IMAGE_VERSION_MINOR of the writer
 * @frame_shift: log2 of the frame size; CPR_IMAGE_FRAME_SHIFT
 * @incompat: enum cpr_image_incompat
 * @uuid: random identity of the region
 * @region_start: physical address of the region; an image at another address is
 *	refused, because all recorded DMA mappings would be wrong
 * @region_size: bytes
 * @slot_offset: of the catalog slots, frame-aligned
 * @slot_size: bytes of one slot, a multiple of the frame size
 * @data_offset: of the first data frame
 * @format_time: seconds since the epoch
 * @label: name that the operator gave the region, NUL-padded
 * @reserved: zero
 * @crc: CRC32C of the block up to this field
 *
 * The places of @magic and @crc are the same in every version. So a reader verifies the
 * checksum before it believes any other field, @major included: a block whose checksum
 * is wrong is damaged, and is not a block of another version.
 *
 * The copy has the same bytes. A reader uses the copy if the superblock does not
 * verify. If the superblock verifies but has an unknown version or feature, the reader
 * refuses the image: the copy may be left over from an older image.
 *
 * A region is not formatted only if neither block has CPR_IMAGE_SUPER_MAGIC and neither
 * slot has CPR_IMAGE_SLOT_MAGIC at the place that follows from the size of the region.
 * Otherwise the region has an image, which may be damaged.
 */
struct cpr_image_super {
	__u8	magic[CPR_IMAGE_MAGIC_LEN];
	__le16	major;
	__le16	minor;
	__le32	frame_shift;
	__le64	incompat;
	__u8	uuid[16];
	__le64	region_start;
	__le64	region_size;
	__le64	slot_offset[CPR_IMAGE_SLOTS];
	__le64	slot_size;
	__le64	data_offset;
	__le64	format_time;
	__u8	label[CPR_IMAGE_LABEL_LEN];
	__u8	reserved[3964];
	__le32	crc;
} __attribute__((packed));

/**
 * struct cpr_image_slot - header of a catalog slot
 * @magic: CPR_IMAGE_SLOT_MAGIC, or CPR_IMAGE_SLOT_UNFINISHED during a commit
 * @generation: of the commit, below CPR_IMAGE_COUNTER_END; the valid slot with the
 *	higher generation is current
 * @length: bytes of records that follow the header block
 * @nodes: number of CPR_IMAGE_REC_NODE records
 * @vms: number of CPR_IMAGE_REC_VM records
 * @next_ino: no node has this inode number or a greater one; below
 *	CPR_IMAGE_COUNTER_END
 * @commit_time: seconds since the epoch
 * @kernel: release of the kernel that committed, NUL-padded
 * @records_crc: CRC32C of the @length bytes of records
 * @pad: zero
 * @inverse: bitwise complement of @generation, so that the generation of most damaged
 *	headers is known
 * @reserved: zero
 * @crc: CRC32C of the block up to this field, with CPR_IMAGE_SLOT_MAGIC as @magic
 *
 * The records begin one block after the header. A commit writes the slot that is not
 * current, in three steps. Each step is durable before the next one begins:
 *
 *  1. CPR_IMAGE_SLOT_UNFINISHED as @magic, by one store of 8 bytes;
 *  2. the records and all of the header but @magic, in any order;
 *  3. CPR_IMAGE_SLOT_MAGIC as @magic, by one store of 8 bytes.
 *
 * So a commit that was cut off at any instruction leaves either the old slot, or a slot
 * with CPR_IMAGE_SLOT_UNFINISHED, or the whole new slot. A slot in any other state is
 * damaged: another @magic, or CPR_IMAGE_SLOT_MAGIC above a header or records that do
 * not verify. A format commits into both slots, so no slot is empty.
 *
 * A reader takes the valid slot with the higher generation. If only one slot is valid,
 * the reader takes that slot
 *
 *  - if the other slot has CPR_IMAGE_SLOT_UNFINISHED;
 *  - if the other slot has a lower generation: its header verifies, or @inverse
 *    confirms @generation;
 *  - if a record CPR_IMAGE_REC_BAD in the valid slot lists the page of the other slot's
 *    header: nothing was written there since;
 *  - if the other slot had the same content: its header verifies, and @length,
 *    @records_crc and @next_ino are equal; or its header does not verify, but the
 *    records and at least one of @length and @records_crc are equal.
 *
 * Otherwise the damaged slot may have been the current one, and the reader refuses the
 * image instead of going back to an older state. It also refuses the image if no slot
 * is valid, or if both have the same generation. A writer that wants one damaged slot
 * to be survivable commits the same content twice, with consecutive generations.
 */
struct cpr_image_slot {
	__u8	magic[CPR_IMAGE_MAGIC_LEN];
	__le64	generation;
	__le64	length;
	__le32	nodes;
	__le32	vms;
	__le64	next_ino;
	__le64	commit_time;
	__u8	kernel[CPR_IMAGE_KERNEL_LEN];
	__le32	records_crc;
	__le32	pad;
	__le64	inverse;
	__u8	reserved[3964];
	__le32	crc;
} __attribute__((packed));

/**
 * enum cpr_image_rec_type - kinds of catalog records
 * @CPR_IMAGE_REC_NODE: struct cpr_image_node
 * @CPR_IMAGE_REC_VM: struct cpr_image_vm
 * @CPR_IMAGE_REC_DMA: struct cpr_image_dma
 * @CPR_IMAGE_REC_DEVICE: struct cpr_image_device
 * @CPR_IMAGE_REC_BAD: struct cpr_image_bad; since version 1.1
 */
enum cpr_image_rec_type {
	CPR_IMAGE_REC_NODE	= 1,
	CPR_IMAGE_REC_VM	= 2,
	CPR_IMAGE_REC_DMA	= 3,
	CPR_IMAGE_REC_DEVICE	= 4,
	CPR_IMAGE_REC_BAD	= 5,
};

/**
 * struct cpr_image_rec - head of every record
 * @type: enum cpr_image_rec_type
 * @flags: of the type
 * @size: bytes of the whole record, a multiple of 8
 */
struct cpr_image_rec {
	__le16	type;
	__le16	flags;
	__le32	size;
} __attribute__((packed));

/**
 * struct cpr_image_time - a point in time
 * @sec: seconds since the epoch, signed
 * @nsec: below 1000000000
 */
struct cpr_image_time {
	__le64	sec;
	__le32	nsec;
} __attribute__((packed));

/**
 * struct cpr_image_extent - a run of frames of a file
 * @file_frame: first frame number within the file
 * @frame: first frame number within the region
 * @count: frames
 */
struct cpr_image_extent {
	__le32	file_frame;
	__le32	frame;
	__le32	count;
} __attribute__((packed));

/**
 * enum cpr_image_node_flags - flags of a node record
 * @CPR_IMAGE_NODE_MEMORY: memory of a VM; frozen while the VM is pinned. See
 *	CPR_IMAGE_MEMORY_NAMES_MAX.
 */
enum cpr_image_node_flags {
	CPR_IMAGE_NODE_MEMORY	= 1,
};

/**
 * struct cpr_image_node - a directory or regular file
 * @rec: type CPR_IMAGE_REC_NODE, flags enum cpr_image_node_flags
 * @parent: number of the parent's record, counting nodes from 0; the root is
 *	record 0 and its own parent
 * @mode: S_IFDIR or S_IFREG, and permission bits
 * @uid: owner
 * @gid: group
 * @ino: inode number, unique; the root's is CPR_IMAGE_ROOT_INO
 * @size: bytes; 0 for a directory
 * @atime: last access
 * @mtime: last modification
 * @ctime: last change
 * @name_len: bytes of @name; 0 for the root only
 * @room_names: number of names that the directory may have, with all below it; since
 *	version 1.2
 * @extents: number of struct cpr_image_extent that follow the name
 * @room_frames: number of frames that its files may have; since version 1.2
 * @name: not NUL-terminated, zero-padded to a multiple of 8
 *
 * A node comes after its parent; nodes are in strictly ascending order of
 * (@parent, @name) with names compared as unsigned bytes. So a catalog cannot
 * hold a cycle, an orphan or the same name twice. A node's extents are in
 * strictly ascending order of file_frame, and no frame belongs to two extents.
 *
 * A directory of the root has a room if @room_names is not zero. A writer gives it no more
 * than that, and gives nothing of what is left of it to others. @room_frames is zero
 * without a room, and at most the number of data frames. All other nodes have zeros there.
 */
struct cpr_image_node {
	struct cpr_image_rec rec;
	__le32	parent;
	__le32	mode;
	__le32	uid;
	__le32	gid;
	__le64	ino;
	__le64	size;
	struct cpr_image_time atime;
	struct cpr_image_time mtime;
	struct cpr_image_time ctime;
	__le16	name_len;
	__le16	room_names;
	__le32	extents;
	__le32	room_frames;
	__u8	name[];
} __attribute__((packed));

/**
 * enum cpr_image_vm_state - persistent states of a handover unit
 * @CPR_IMAGE_VM_RUNNING: QEMU runs on the memory
 * @CPR_IMAGE_VM_SAVED: QEMU has saved its state and waits
 * @CPR_IMAGE_VM_SEALED: QEMU has quit; memory and state belong together
 * @CPR_IMAGE_VM_RESTORING: a QEMU is loading the state; the guest has not run
 *
 * A VM that a new kernel finds RUNNING or SAVED is lost: the image has its memory, but
 * no state that fits the memory.
 */
enum cpr_image_vm_state {
	CPR_IMAGE_VM_RUNNING	= 1,
	CPR_IMAGE_VM_SAVED	= 2,
	CPR_IMAGE_VM_SEALED	= 3,
	CPR_IMAGE_VM_RESTORING	= 4,
};

/**
 * enum cpr_image_vm_flags - flags of a VM record
 * @CPR_IMAGE_VM_MANIFEST_DIGEST: the record has @manifest_digest
 * @CPR_IMAGE_VM_RAM_DIGEST: the record has @ram_digest
 * @CPR_IMAGE_VM_FLAGS_KNOWN: mask of the bits that this header defines
 *
 * A VM record with another flag is refused: the flag would promise something about
 * the VM that this reader cannot keep.
 */
enum cpr_image_vm_flags {
	CPR_IMAGE_VM_MANIFEST_DIGEST	= 1,
	CPR_IMAGE_VM_RAM_DIGEST		= 2,
	CPR_IMAGE_VM_FLAGS_KNOWN	= 3,
};

/**
 * struct cpr_image_vm - a directory of the root that is a handover unit
 * @rec: type CPR_IMAGE_REC_VM, flags enum cpr_image_vm_flags
 * @node: number of the directory's record; strictly ascending over the VMs
 * @state: enum cpr_image_vm_state
 * @since: when it entered @state
 * @pad: zero
 * @kernel: release of the kernel that ran then, NUL-padded
 * @manifest_digest: XXH3-128 of the bytes of its manifest.json
 * @ram_digest: of the content of its memory files, see image-format.md
 *
 * Digests are in XXH128's canonical byte order. Only a VM that is
 * CPR_IMAGE_VM_SEALED or CPR_IMAGE_VM_RESTORING has digests. A digest without its flag
 * is all zeros; a digest with its flag is not.
 *
 * VM records follow all node records. The records of a VM's devices follow the record
 * of the VM: first all CPR_IMAGE_REC_DMA, then all CPR_IMAGE_REC_DEVICE.
 */
struct cpr_image_vm {
	struct cpr_image_rec rec;
	__le32	node;
	__le32	state;
	struct cpr_image_time since;
	__le32	pad;
	__u8	kernel[CPR_IMAGE_KERNEL_LEN];
	__u8	manifest_digest[CPR_IMAGE_DIGEST_LEN];
	__u8	ram_digest[CPR_IMAGE_DIGEST_LEN];
} __attribute__((packed));

#define CPR_IMAGE_DMA_PAGE	4096u
#define CPR_IMAGE_DEVICES_MAX	256u	/* of a VM */
#define CPR_IMAGE_GROUP_MAX	128u	/* devices of an IOMMU group */

/**
 * enum cpr_image_dma_class - what an I/O virtual address leads to
 * @CPR_IMAGE_DMA_REGION: memory in the region, which is the VM's
 * @CPR_IMAGE_DMA_MMIO: device memory; recorded only
 * @CPR_IMAGE_DMA_RAM: ordinary memory of the host, such as firmware images;
 *	recorded only
 */
enum cpr_image_dma_class {
	CPR_IMAGE_DMA_REGION	= 1,
	CPR_IMAGE_DMA_MMIO	= 2,
	CPR_IMAGE_DMA_RAM	= 3,
};

/**
 * struct cpr_image_dma_extent - a run of I/O virtual addresses
 * @iova: first I/O virtual address
 * @phys: physical address that @iova leads to
 * @length: bytes
 * @class: enum cpr_image_dma_class
 * @pad: zero
 *
 * Addresses and length are multiples of CPR_IMAGE_DMA_PAGE.
 */
struct cpr_image_dma_extent {
	__le64	iova;
	__le64	phys;
	__le64	length;
	__le32	class;
	__le32	pad;
} __attribute__((packed));

/**
 * struct cpr_image_dma - what the devices of an IOMMU domain can reach
 * @rec: type CPR_IMAGE_REC_DMA, flags 0
 * @extents: entries in @extent
 * @pad: zero
 * @extent: in strictly ascending order of iova, not overlapping
 *
 * An extent of class CPR_IMAGE_DMA_REGION is in the data frames of the region; an
 * extent of another class is outside of the region. Before a reader lets a device
 * reach frames, it must check that they belong to the VM.
 */
struct cpr_image_dma {
	struct cpr_image_rec rec;
	__le32	extents;
	__le32	pad;
	struct cpr_image_dma_extent extent[];
} __attribute__((packed));

/**
 * struct cpr_image_pci - a PCI address
 * @segment: PCI domain
 * @bus: number
 * @devfn: device << 3 | function
 * @pad: zero
 */
struct cpr_image_pci {
	__le32	segment;
	__u8	bus;
	__u8	devfn;
	__le16	pad;
} __attribute__((packed));

/**
 * enum cpr_image_device_flags - flags of a device record
 * @CPR_IMAGE_DEVICE_SERIAL: the device has a serial number
 */
enum cpr_image_device_flags {
	CPR_IMAGE_DEVICE_SERIAL	= 1,
};

/**
 * struct cpr_image_device - a device that was passed through to a VM
 * @rec: type CPR_IMAGE_REC_DEVICE, flags enum cpr_image_device_flags
 * @address: address of the device
 * @vendor: from configuration space
 * @device: from configuration space
 * @subsystem_vendor: from configuration space
 * @subsystem_device: from configuration space
 * @class: class code << 8 | revision
 * @dma: number of the device's record among the VM's struct cpr_image_dma
 * @members: entries in @member
 * @pad: zero
 * @serial: from the device serial number capability, or zero
 * @member: devices of its IOMMU group, including the device itself, in no order
 *
 * A VM does not have a device twice. Another VM may have the same device: when a VM is
 * lost, the operator can give its device to another VM.
 */
struct cpr_image_device {
	struct cpr_image_rec rec;
	struct cpr_image_pci address;
	__le16	vendor;
	__le16	device;
	__le16	subsystem_vendor;
	__le16	subsystem_device;
	__le32	class;
	__le32	dma;
	__le32	members;
	__le32	pad;
	__le64	serial;
	struct cpr_image_pci member[];
} __attribute__((packed));

/**
 * struct cpr_image_bad_run - pages with memory errors that follow each other
 * @page: the first page of CPR_IMAGE_BLOCK_SIZE bytes, counted from the region's start
 * @count: pages
 */
struct cpr_image_bad_run {
	__le64	page;
	__le64	count;
} __attribute__((packed));

/**
 * struct cpr_image_bad - the pages of the region that have memory errors
 * @rec: type CPR_IMAGE_REC_BAD, flags 0
 * @runs: entries in @run, 1 to CPR_IMAGE_BAD_MAX
 * @pad: zero
 * @run: in strictly ascending order, neither overlapping nor touching each other
 *
 * A catalog has at most one such record, after all others. A page may be in a frame of a
 * file, in a free frame, in a slot or in the frame of the superblock. A page is listed as
 * long as the region has an image, whatever its frame is used for. A reader does not read
 * the page. A writer gives no frame that has such a page to a file, and does not write
 * to the page.
 */
struct cpr_image_bad {
	struct cpr_image_rec rec;
	__le32	runs;
	__le32	pad;
	struct cpr_image_bad_run run[];
} __attribute__((packed));

#endif /* _UAPI_LINUX_CPR_IMAGE_H */
