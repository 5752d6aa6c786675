/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the module know of each other.
 */
#ifndef CPR_INTERNAL_H
#define CPR_INTERNAL_H

#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <uapi/linux/cpr.h>

#include "catalog.h"
#include "compat/compat.h"
#include "dma_table.h"
#include "frames.h"

struct device;
struct file;
struct iommu_domain;
struct iommu_group;
struct netlink_ext_ack;
struct pci_dev;
struct vfio_device;

/**
 * struct cpr_region - the physical range, claimed and mapped
 * @start: physical address
 * @size: bytes
 * @base: the same bytes in the kernel's address space
 * @pgmap: gives the range its struct pages, one folio a frame
 * @mapping: what a folio's mapping is while no file maps it; see mapping.c
 */
struct cpr_region {
	u64 start;
	u64 size;
	void *base;
	struct dev_pagemap pgmap;
	struct address_space mapping;
};

/**
 * struct cpr_vm - a handover unit
 * @state: where it is in its life; never CPR_VM_STATE_DEFINED, then there is none
 * @inherited: an earlier kernel sealed it
 * @since: when it entered @state
 * @kernel: release of the kernel that ran then
 * @digests: of its files when it was sealed; none in a state in which they change
 * @dma: what its devices can reach; NULL without a snapshot
 */
struct cpr_vm {
	enum cpr_vm_state state;
	bool inherited;
	struct timespec64 since;
	char kernel[CPR_IMAGE_KERNEL_LEN];
	struct cpr_digests digests;
	struct cpr_dma *dma;
};

/**
 * struct cpr_device - a device in a snapshot
 * @id: what tells it from others, and its table
 * @members: of its IOMMU group, @id.members of them
 * @hold: who has it
 * @reason: why it is not held; "" if it is, or shall not be
 * @group: its IOMMU group, if it is held and no other device of the VM has it
 * @domain: what the group is attached to then
 */
struct cpr_device {
	struct cpr_catalog_device id;
	struct cpr_pci *members;
	enum cpr_device_hold hold;
	char reason[128];
	struct iommu_group *group;
	struct iommu_domain *domain;
};

/**
 * struct cpr_dma - a snapshot of what a VM's devices can reach
 * @refs: references
 * @nr_tables: entries in @tables
 * @tables: of the IOMMU domains
 * @nr_devices: entries in @devices
 * @devices: the devices
 */
struct cpr_dma {
	refcount_t refs;
	u32 nr_tables;
	struct cpr_dma_table *tables;
	u32 nr_devices;
	struct cpr_device *devices;
};

/**
 * struct cpr_memory - where a VM's memory is
 * @runs: runs of its files: iova is the offset in the file, class the number of
 *	the file's name in the directory
 * @frames: bit a frame
 * @bytes: sizes of the files, added up
 * @owner: the same, for cpr_dma_owned()
 */
struct cpr_memory {
	struct cpr_dma_table runs;
	unsigned long *frames;
	u64 bytes;
	struct cpr_dma_owner owner;
};

/**
 * struct cpr_node - a directory or file, whether an inode is in memory or not
 * @rb: in @parent's children, by name
 * @children: of a directory, by name
 * @by_ino: children of a directory, by inode number
 * @parent: directory; its own for the root
 * @queue: used by a commit
 * @index: number of the node's record in the catalog being committed
 * @ino: inode number
 * @mode: type and permission bits
 * @uid: owner
 * @gid: group
 * @size: bytes
 * @atime: last access
 * @mtime: last modification
 * @ctime: last change
 * @subdirs: directories among the children
 * @flags: enum cpr_image_node_flags
 * @inode: the inode in memory; then it, not the node, has the attributes
 * @dax: the inode behind its mappings, see mapping.c; NULL before the first
 * @frames: frame of each frame of the file, as xarray values
 * @nr_frames: entries in @frames
 * @vm: of a directory of the root that is a handover unit
 * @name_len: bytes of @name
 * @name: not NUL-terminated
 */
struct cpr_node {
	struct rb_node rb;
	struct rb_root children;
	struct xarray by_ino;
	struct cpr_node *parent;
	struct list_head queue;
	u32 index;
	u64 ino;
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
	loff_t size;
	struct timespec64 atime;
	struct timespec64 mtime;
	struct timespec64 ctime;
	u32 subdirs;
	u16 flags;
	struct inode *inode;
	struct inode *dax;
	struct xarray frames;
	u32 nr_frames;
	struct cpr_vm *vm;
	u16 name_len;
	char *name;
};

/**
 * struct cpr - the module's region and all that is in it
 * @lock: guards everything below; taken by guard(cpr)
 * @region: the range; constant while the module is loaded
 * @formatted: the region bears an image; the rest is valid only then
 * @geo: its geometry
 * @frames: state of the frames
 * @root: the root directory
 * @next_ino: next inode number
 * @catalog_used: bytes that nodes and VMs take in the catalog
 * @generation: of the catalog in force
 * @slot: that holds it
 * @dirty: something is to be committed
 * @sb: cprfs, while mounted
 * @committer: commits what is dirty, a while later
 * @scrubber: scrubs what is dirty, see scrub.c
 * @scrubbed: woken when a frame was scrubbed
 * @scrubs: how many were
 * @no_scrubbing: the scrubber shall stop
 * @keeps_module: the scrubber holds a reference on the module
 *
 * There is one region, so there is one of these.
 */
struct cpr {
	struct mutex lock;	/* of everything below */
	struct cpr_region region;
	bool formatted;
	struct cpr_geometry geo;
	struct cpr_frames frames;
	struct cpr_node *root;
	u64 next_ino;
	u64 catalog_used;
	u64 generation;
	unsigned int slot;
	bool dirty;
	struct super_block *sb;
	struct delayed_work committer;
	struct delayed_work scrubber;
	wait_queue_head_t scrubbed;
	u64 scrubs;
	bool no_scrubbing;
	bool keeps_module;
};

extern struct cpr cpr;

/*
 * Memory that is allocated under the lock must not be had by evicting cprfs'
 * own inodes, which takes the lock.
 */
DEFINE_LOCK_GUARD_1(cpr, struct cpr,
		    ({ mutex_lock(&_T->lock->lock); _T->nofs = memalloc_nofs_save(); }),
		    ({ memalloc_nofs_restore(_T->nofs); mutex_unlock(&_T->lock->lock); }),
		    unsigned int nofs)

static inline void *cpr_frame_address(const struct cpr *c, u32 frame)
{
	return c->region.base + ((u64)frame << CPR_IMAGE_FRAME_SHIFT);
}

static inline unsigned long cpr_frame_pfn(const struct cpr *c, u32 frame)
{
	return PHYS_PFN(c->region.start) +
	       ((unsigned long)frame << (CPR_IMAGE_FRAME_SHIFT - PAGE_SHIFT));
}

/* region.c */
int cpr_region_parse(const char *option, u64 *start, u64 *size);
int cpr_region_find(u64 *start, u64 *size);
int cpr_region_claim(struct cpr_region *r, u64 start, u64 size);
void cpr_region_release(struct cpr_region *r);
bool cpr_region_frame_pinned(const struct cpr *c, u32 frame);
void cpr_region_set_mapping(const struct cpr *c, u32 frame,
			    struct address_space *mapping, pgoff_t index);

/* tree.c */
int cpr_tree_load(struct cpr *c, const struct cpr_catalog *cat);
void cpr_tree_free(struct cpr *c);
struct cpr_node *cpr_node_find(struct cpr_node *dir, const char *name, u16 len);
struct cpr_node *cpr_node_new(struct cpr *c, struct cpr_node *dir,
			      const char *name, u16 len, umode_t mode);
int cpr_node_rename(struct cpr *c, struct cpr_node *node, struct cpr_node *dir,
		    const char *name, u16 len);
void cpr_node_remove(struct cpr *c, struct cpr_node *node);
void cpr_node_free(struct cpr_node *node);
void cpr_node_pull(struct cpr_node *node);
struct cpr_node *cpr_node_vm_dir(struct cpr_node *node);
int cpr_tree_reserve(struct cpr *c, u64 bytes);
void cpr_tree_unreserve(struct cpr *c, u64 bytes);

/* commit.c */
int cpr_commit(struct cpr *c);
int cpr_commit_locked(struct cpr *c);
void cpr_dirty(struct cpr *c);
void cpr_committer(struct work_struct *work);

/* space.c */
int cpr_space_fill(struct cpr *c, struct cpr_node *node, u32 first, u32 count);
void cpr_space_drop(struct cpr *c, struct cpr_node *node, u32 first, u32 last);
int cpr_space_frame(struct cpr *c, struct cpr_node *node, u32 file_frame,
		    u32 *frame);

/* scrub.c */
void cpr_scrub_frame(struct cpr *c, u32 frame);
void cpr_scrubber(struct work_struct *work);
void cpr_scrub_kick(struct cpr *c);
bool cpr_scrub_pins_locked(struct cpr *c);

/* image.c */
int cpr_image_open(struct cpr *c);
void cpr_image_close(struct cpr *c);
int cpr_image_create(struct cpr *c, const char *label, bool force,
		     struct netlink_ext_ack *extack);

/* fs.c */
#define CPRFS_MAGIC	0x43505246	/* "CPRF" */
extern struct file_system_type cprfs_type;

/* inode.c */
struct inode *cpr_inode_get(struct super_block *sb, struct cpr_node *node);
extern const struct inode_operations cpr_file_iops;
extern const struct inode_operations cpr_dir_iops;

static inline struct cpr *inode_cpr(const struct inode *inode)
{
	return inode->i_sb->s_fs_info;
}

static inline struct cpr_node *cpr_node(const struct inode *inode)
{
	return inode->i_private;
}

/* dir.c */
extern const struct file_operations cpr_dir_fops;

/* file.c */
int cpr_file_resize(struct inode *inode, loff_t size);
int cpr_file_fsync(struct file *file, loff_t start, loff_t end, int datasync);
extern const struct file_operations cpr_file_fops;

/* mapping.c */
extern const struct address_space_operations cpr_aops;
int cpr_mmap(struct file *file, struct vm_area_struct *vma);
void cpr_mapping_evict(struct cpr *c, struct cpr_node *node);
void cpr_mapping_unmap(struct cpr *c, struct cpr_node *node, loff_t start,
		       loff_t len, bool even_private);
bool cpr_mapping_mapped(const struct cpr_node *node);

/* vm.c */
/**
 * enum cpr_act - what someone wants to do to a file of a VM
 * @CPR_ACT_WRITE: open for writing, change attributes, add a name
 * @CPR_ACT_REMOVE: remove or change the name
 * @CPR_ACT_RESIZE: change the size
 */
enum cpr_act {
	CPR_ACT_WRITE,
	CPR_ACT_REMOVE,
	CPR_ACT_RESIZE,
};

int cpr_vm_may(struct cpr_node *node, enum cpr_act act);
void cpr_vm_load(struct cpr_node *dir, const struct cpr_catalog_vm *rec,
		 struct cpr_vm *vm);
u32 cpr_vm_record_state(const struct cpr_vm *vm);
enum cpr_vm_state cpr_vm_state(const struct cpr_node *dir);
u64 cpr_vm_memory_bytes(const struct cpr_node *dir);
bool cpr_vm_mapped(struct cpr *c, const struct cpr_node *dir);

/**
 * struct cpr_vm_step - a change of state that is asked for
 * @cmd: CPR_CMD_VM_*
 * @name: of the VM
 * @files: names of its memory files
 * @nr_files: how many
 * @digests: those that it is to have from now on
 */
struct cpr_vm_step {
	u8 cmd;
	const char *name;
	const char *const *files;
	unsigned int nr_files;
	struct cpr_digests digests;
};

int cpr_vm_step(struct cpr *c, const struct cpr_vm_step *step,
		struct netlink_ext_ack *extack);
struct cpr_node *cpr_vm_find(struct cpr *c, const char *name);
struct cpr_node *cpr_vm_in(struct cpr *c, const char *name, u32 states,
			   struct netlink_ext_ack *extack);
int cpr_vm_set_dma(struct cpr *c, struct cpr_node *dir, struct cpr_dma *dma,
		   struct netlink_ext_ack *extack);
void cpr_vm_free(struct cpr_vm *vm);

/* dma.c */
/**
 * struct cpr_dma_request - a snapshot or a comparison that is asked for
 * @name: of the VM
 * @devices: PCI addresses; for a snapshot
 * @nr_devices: how many
 * @files: files of VFIO that keep the devices open
 * @nr_files: how many
 * @full: look at every page
 */
struct cpr_dma_request {
	const char *name;
	const char *const *devices;
	u32 nr_devices;
	struct file *const *files;
	u32 nr_files;
	bool full;
};

/**
 * struct cpr_dma_report - what came of it
 * @devices: in the snapshot
 * @extents: that lead to the VM's memory, in all tables
 * @bytes: of these
 * @differences: ranges that are not as they were
 * @first: the first of them
 */
struct cpr_dma_report {
	u32 devices;
	u32 extents;
	u64 bytes;
	u32 differences;
	struct {
		struct cpr_pci device;
		struct cpr_dma_diff diff;
	} first[8];
};

struct cpr_dma *cpr_dma_new(u32 tables, u32 devices);
void cpr_dma_put(struct cpr_dma *dma);
u64 cpr_dma_catalog_size(const struct cpr_dma *dma);
void cpr_dma_sum(const struct cpr_dma *dma, struct cpr_dma_report *report);
int cpr_dma_snapshot(struct cpr *c, const struct cpr_dma_request *ask,
		     struct cpr_dma_report *report, struct netlink_ext_ack *extack);
int cpr_dma_verify(struct cpr *c, const struct cpr_dma_request *ask,
		   struct cpr_dma_report *report, struct netlink_ext_ack *extack);

/* memory.c */
int cpr_memory_get(struct cpr *c, struct cpr_node *dir, struct cpr_memory *m);
void cpr_memory_free(struct cpr_memory *m);

/* vfio.c */
/**
 * struct cpr_vfio - a device that VFIO has open
 * @vdev: as VFIO knows it, and its set is locked
 * @domain: that translates for it
 */
struct cpr_vfio {
	struct vfio_device *vdev;
	struct iommu_domain *domain;
};

int cpr_vfio_get(struct device *dev, const struct cpr_dma_request *ask,
		 struct cpr_vfio *v, struct netlink_ext_ack *extack);
void cpr_vfio_put(struct cpr_vfio *v);

/* probe.c */
/**
 * struct cpr_gap - memory that is not reached
 * @file: number of the entry in the VM's directory
 * @offset: in the file, in bytes
 * @length: bytes; 0 if there is no gap
 */
struct cpr_gap {
	u32 file;
	u64 offset;
	u64 length;
};

int cpr_probe(struct iommu_domain *domain, const struct cpr_memory *m, bool full,
	      struct cpr_dma_table *table, struct cpr_gap *gap);

/* pci.c */
void cpr_pci_name(const struct cpr_pci *p, char *name);
bool cpr_pci_same(const struct cpr_pci *a, const struct cpr_pci *b);
bool cpr_pci_among(const struct cpr_pci *p, const struct cpr_pci *list, u32 nr);
void cpr_pci_identify(struct pci_dev *pdev, struct cpr_catalog_device *id);
struct cpr_pci *cpr_group_members(struct iommu_group *group, u32 *nr);

/* hold.c */
int cpr_hold_init(struct cpr *c);
void cpr_hold_exit(void);
void cpr_hold_vm(struct cpr *c, struct cpr_node *dir);
void cpr_hold_drop(struct cpr_dma *dma);
int cpr_hold_release(struct cpr *c, const char *name, struct netlink_ext_ack *extack);

/* netlink.c */
int cpr_netlink_init(void);
void cpr_netlink_exit(void);
void cpr_netlink_notify_region(struct cpr *c);
void cpr_netlink_notify_vm(struct cpr *c, const struct cpr_node *dir);
void cpr_netlink_notify_device(struct cpr *c, const struct cpr_node *dir,
			       const struct cpr_device *d);

#endif /* CPR_INTERNAL_H */
