// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Mapping files
 *
 * Guests' memory is mapped from regular files, yet like device-dax: with entries
 * of 2 MiB whatever the setting of transparent huge pages, and so that VFIO may
 * pin it for long. For the core of mm a mapping is of that kind if its file's
 * inode is a character device with S_DAX. So each file that is mapped gets a
 * second inode of that kind, without a name, and ->mmap puts an open file of it
 * in the place of the one that was mapped (vma_set_file()). That file pins the
 * first inode, so frames outlive the last mapping of them, and the mount.
 *
 * Shared mappings show the frames themselves. Private ones show them until they
 * are written to; then the core copies the page, and the file is untouched.
 *
 * A folio's mapping points at the second inode from the first fault until that
 * inode is evicted or the frame leaves the file, see region.c.
 *
 * Locking: mmap_lock -> invalidate lock of the first inode, for shared in a
 * fault, against truncation -> cpr->lock.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>

#include "cpr_internal.h"

static_assert(S_DAX, "without CONFIG_FS_DAX no file is mapped like device-dax");

#define PAGES_PER_FRAME	(CPR_IMAGE_FRAME_SIZE / PAGE_SIZE)

const struct address_space_operations cpr_aops = {
	.dirty_folio	= noop_dirty_folio,
};

/* ---- faults ---- */

static struct inode *vma_inode(const struct vm_area_struct *vma)
{
	return vma->vm_file->private_data;
}

static vm_fault_t error_to_fault(int err)
{
	return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

/* The frame that holds page @pgoff of the file, which has @pages there. */
static int frame_at(struct inode *inode, pgoff_t pgoff, unsigned long pages,
		    u32 *frame)
{
	pgoff_t end = DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE);
	int err;

	if (pgoff + pages > end)
		return -ENXIO;
	err = cpr_space_frame(inode_cpr(inode), cpr_node(inode),
			      pgoff / PAGES_PER_FRAME, frame);
	if (!err)
		cpr_region_set_mapping(inode_cpr(inode), *frame,
				       cpr_node(inode)->dax->i_mapping,
				       round_down(pgoff, PAGES_PER_FRAME));
	return err;
}

static vm_fault_t map_page(struct vm_fault *vmf)
{
	struct inode *inode = vma_inode(vmf->vma);
	struct page *page;
	u32 frame;
	int err;

	err = frame_at(inode, vmf->pgoff, 1, &frame);
	if (err)
		return error_to_fault(err);
	page = pfn_to_page(cpr_frame_pfn(inode_cpr(inode), frame) +
			   vmf->pgoff % PAGES_PER_FRAME);
	if (vmf->cow_page) {
		/* The first touch of a private mapping is a write: lend it. */
		get_page(page);
		vmf->page = page;
		return 0;
	}
	return cpr_compat_insert_pte(vmf, page, vmf->flags & FAULT_FLAG_WRITE &&
				     vmf->vma->vm_flags & VM_SHARED);
}

static vm_fault_t map_frame(struct vm_fault *vmf)
{
	unsigned long address = vmf->address & PMD_MASK;
	struct inode *inode = vma_inode(vmf->vma);
	pgoff_t pgoff = linear_page_index(vmf->vma, address);
	u32 frame;
	int err;

	if (address < vmf->vma->vm_start || address + PMD_SIZE > vmf->vma->vm_end ||
	    pgoff % PAGES_PER_FRAME)
		return VM_FAULT_FALLBACK;
	/* A write to a private mapping copies single pages. */
	if (vmf->flags & FAULT_FLAG_WRITE && !(vmf->vma->vm_flags & VM_SHARED))
		return VM_FAULT_FALLBACK;
	err = frame_at(inode, pgoff, PAGES_PER_FRAME, &frame);
	/* The last frame of a file may be beyond its end in part. */
	if (err == -ENXIO)
		return VM_FAULT_FALLBACK;
	if (err)
		return error_to_fault(err);
	return cpr_compat_insert_pmd(vmf, cpr_frame_pfn(inode_cpr(inode), frame),
				     vmf->flags & FAULT_FLAG_WRITE);
}

static vm_fault_t cpr_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct inode *inode = vma_inode(vmf->vma);
	vm_fault_t ret = VM_FAULT_FALLBACK;

	filemap_invalidate_lock_shared(inode->i_mapping);
	if (order == 0)
		ret = map_page(vmf);
	else if (order == PMD_ORDER)
		ret = map_frame(vmf);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return ret;
}

static vm_fault_t cpr_fault(struct vm_fault *vmf)
{
	return cpr_huge_fault(vmf, 0);
}

static const struct vm_operations_struct cpr_vm_ops = {
	.fault		= cpr_fault,
	.huge_fault	= cpr_huge_fault,
};

/* ---- the second inode and its files ---- */

static int dax_release(struct inode *dax, struct file *file)
{
	iput(file->private_data);
	return 0;
}

static const struct file_operations dax_fops = {
	.owner			= THIS_MODULE,
	.release		= dax_release,
	.fsync			= cpr_file_fsync,
	.get_unmapped_area	= thp_get_unmapped_area,
};

static struct inode *new_dax(struct super_block *sb)
{
	struct inode *dax = new_inode(sb);

	if (!dax)
		return NULL;
	dax->i_ino = get_next_ino();
	dax->i_mode = S_IFCHR;
	dax->i_flags = S_DAX | S_NOATIME | S_NOCMTIME | S_PRIVATE;
	dax->i_mapping->a_ops = &cpr_aops;
	return dax;
}

/* The inode behind the mappings of a file, made on the first. */
static struct inode *get_dax(struct inode *inode)
{
	struct cpr_node *node = cpr_node(inode);
	struct inode *fresh = NULL;

	if (!READ_ONCE(node->dax)) {
		fresh = new_dax(inode->i_sb);
		if (!fresh)
			return NULL;
	}
	scoped_guard(cpr, inode_cpr(inode)) {
		if (!node->dax)
			swap(node->dax, fresh);
		ihold(node->dax);
	}
	iput(fresh);
	return node->dax;
}

static struct file *open_dax(struct file *file)
{
	struct inode *inode = file_inode(file);
	struct inode *dax = get_dax(inode);
	struct file *to;

	if (!dax)
		return ERR_PTR(-ENOMEM);
	to = alloc_file_pseudo(dax, file->f_path.mnt, file->f_path.dentry->d_name.name,
			       O_RDWR, &dax_fops);
	if (IS_ERR(to)) {
		iput(dax);
		return to;
	}
	/* A file puts its owner when it is released, but does not get it. */
	__module_get(dax_fops.owner);
	ihold(inode);
	to->private_data = inode;
	return to;
}

/**
 * cpr_mmap - map a file
 * @file: the file
 * @vma: where
 */
int cpr_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct file *dax = open_dax(file);

	if (IS_ERR(dax))
		return PTR_ERR(dax);
	file_accessed(file);
	vma_set_file(vma, dax);
	/* The mapping has a reference of its own now. */
	fput(dax);
	vma->vm_ops = &cpr_vm_ops;
	vm_flags_set(vma, VM_HUGEPAGE);
	return 0;
}

/**
 * cpr_mapping_evict - an inode goes, and what was behind its mappings
 * @c: the region
 * @node: of the inode; nothing maps it
 */
void cpr_mapping_evict(struct cpr *c, struct cpr_node *node)
{
	struct inode *dax;
	unsigned long i;
	void *entry;

	/* Others look at it under the lock, so it must be gone before it goes. */
	scoped_guard(cpr, c) {
		dax = node->dax;
		node->dax = NULL;
		if (!dax)
			return;
		xa_for_each(&node->frames, i, entry)
			cpr_region_set_mapping(c, xa_to_value(entry), NULL, 0);
	}
	iput(dax);
}

/**
 * cpr_mapping_unmap - take a range of a file out of all mappings
 * @c: the region
 * @node: of the file
 * @start: bytes
 * @len: bytes; 0 for all that follows
 * @even_private: private copies as well, as for truncation
 */
void cpr_mapping_unmap(struct cpr *c, struct cpr_node *node, loff_t start,
		       loff_t len, bool even_private)
{
	if (READ_ONCE(node->dax))
		unmap_mapping_range(node->dax->i_mapping, start, len, even_private);
}

/**
 * cpr_mapping_mapped - is a file mapped?
 * @node: of the file
 */
bool cpr_mapping_mapped(const struct cpr_node *node)
{
	return node->dax && mapping_mapped(node->dax->i_mapping);
}
