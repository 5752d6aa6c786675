// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Mapping files
 *
 * The memory of guests is mapped from regular files, yet like device-dax: with entries
 * of 2 MiB whatever the setting of transparent huge pages, and so that VFIO may pin
 * it for long. The core of mm treats a mapping so if its file's inode is a character
 * device with S_DAX. So each file that is mapped gets a second inode of that kind,
 * without a name, and ->mmap replaces the mapped file by an open file of the second
 * inode (vma_set_file()). That file keeps the mapped file open. So the frames outlive
 * their last mapping, the mount stays, and a mount with a mapping of a file that was
 * opened for writing does not become read-only. /proc/PID/maps shows the path and the
 * inode number of the mapped file, because users of a file are found by these.
 *
 * A hole is filled by the first page fault in it, even by one that reads. If nothing of the
 * VM may change, an access to a hole gives SIGBUS instead; read() gives zeros.
 *
 * Shared mappings show the frames themselves. Private mappings show them until the
 * first write; then the core of mm copies the page, and the file does not change.
 *
 * When the file is taken from its users, see revoke.c, it loses its second inode, and the
 * next mapping gets it another. A page fault of a mapping whose second inode is not the
 * file's any more gives SIGBUS.
 *
 * The mapping of a folio points to the second inode from the first page fault until
 * the file loses that inode or the frame leaves the file, see region.c.
 *
 * A page fault inserts an entry of its own only where there is none. Where there is a
 * marker of userfaultfd, and where a page is copied, the fault hands the page to the
 * core of mm, which finishes the work. Other entries that are neither empty nor present
 * (guard regions, poison, swapped copies) never reach this file.
 *
 * Locking: mmap_lock -> invalidate lock of the first inode, shared in a page fault,
 * against truncation -> cpr->lock -> cpr->touching, cpr->inode_lock. A page that is handed
 * to the core of mm is locked until it is mapped, because the invalidate lock is released
 * earlier; see cpr_mapping_unmap(). The folio lock, innermost, also excludes the insertion of
 * a page from that of the frame. A file gets a second inode under cpr->lock. It loses
 * that with the invalidate lock held exclusively, or by eviction.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>

#include "mapping.h"
#include "opens.h"
#include "poison.h"
#include "store.h"
#include "vm.h"

static_assert(S_DAX, "without CONFIG_FS_DAX no file is mapped like device-dax");
static_assert(PMD_SIZE == CPR_IMAGE_FRAME_SIZE, "an entry of a PMD must map one frame");

#define PAGES_PER_FRAME	(CPR_IMAGE_FRAME_SIZE / PAGE_SIZE)

/* ---- page faults ---- */

static struct inode *mapping_vma_inode(const struct vm_area_struct *vma)
{
	return file_inode(vma->vm_file->private_data);
}

/* Was the file taken from its users since it was mapped? */
static bool mapping_revoked(const struct vm_area_struct *vma, const struct inode *inode)
{
	return file_inode(vma->vm_file) != READ_ONCE(inode_node(inode)->dax);
}

static vm_fault_t mapping_fault_error(int err)
{
	return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

/*
 * A file that must not change keeps its holes: a page fault that only reads would fill them.
 * No step of the VM comes in between, because a VM whose files are mapped takes none that
 * freezes them; or they are taken from the mapping first.
 */
static int mapping_fill(struct cpr *c, struct cpr_node *node, u32 file_frame)
{
	int err;

	scoped_guard(cpr, c)
		err = cpr_vm_may(node, CPR_ACT_WRITE);
	return err ?: cpr_store_fill(c, node, file_frame, 1);
}

/* Get the frame with @pages pages at @pgoff of the file; fill it if it is a hole. */
static int mapping_get_frame(struct inode *inode, pgoff_t pgoff, unsigned long pages,
			     u32 *frame)
{
	pgoff_t end = DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE);
	struct cpr_node *node = inode_node(inode);
	u32 file_frame = pgoff / PAGES_PER_FRAME;
	struct cpr *c = inode_cpr(inode);
	void *entry;
	int err;

	if (pgoff + pages > end)
		return -ENXIO;
	entry = xa_load(&node->frames, file_frame);
	if (!entry) {
		err = mapping_fill(c, node, file_frame);
		if (err)
			return err;
		entry = xa_load(&node->frames, file_frame);
	}
	*frame = xa_to_value(entry);
	cpr_region_set_mapping(&c->region, *frame, node->dax->i_mapping,
			       round_down(pgoff, PAGES_PER_FRAME));
	return 0;
}

/* Is there a marker? mm calls the fault handler for no other entry that is not empty. */
static bool mapping_has_marker(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_ORIG_PTE_VALID && !pte_none(vmf->orig_pte);
}

/* Have mm map or copy the page. mm unlocks the page, and drops the reference or keeps it. */
static vm_fault_t mapping_hand_over(struct vm_fault *vmf, struct folio *folio,
				    struct page *page)
{
	folio_get(folio);
	folio_lock(folio);
	vmf->page = page;
	return VM_FAULT_LOCKED;
}

/*
 * A fault of 2 MiB by another thread may have come between mm's look at the page tables and
 * this, for example if userfaultfd has just had an entry of 2 MiB removed. mm cannot put a
 * page into such an entry, and need not.
 *
 * mm also says that it is out of memory if the page table was freed meanwhile, as by
 * MADV_DONTNEED. Whoever pins memory (KVM, VFIO) would fail; so the fault is taken again.
 * Where memory is short indeed, the allocation has called the OOM killer.
 */
static vm_fault_t mapping_insert_page(struct vm_fault *vmf, struct folio *folio,
				      struct page *page)
{
	vm_fault_t ret = VM_FAULT_NOPAGE;

	folio_lock(folio);
	if (!pmd_leaf(pmdp_get(vmf->pmd)))
		ret = cpr_compat_insert_pte(vmf, page);
	folio_unlock(folio);
	return ret == VM_FAULT_OOM ? VM_FAULT_NOPAGE : ret;
}

static vm_fault_t mapping_insert_frame(struct vm_fault *vmf, struct folio *folio)
{
	vm_fault_t ret;

	folio_lock(folio);
	ret = cpr_compat_insert_pmd(vmf, folio);
	folio_unlock(folio);
	return ret;
}

static vm_fault_t mapping_map_page(struct vm_fault *vmf)
{
	struct inode *inode = mapping_vma_inode(vmf->vma);
	unsigned long page_at = vmf->pgoff % PAGES_PER_FRAME;
	struct cpr *c = inode_cpr(inode);
	struct folio *folio;
	struct page *page;
	u32 frame;
	int err;

	err = mapping_get_frame(inode, vmf->pgoff, 1, &frame);
	if (err)
		return mapping_fault_error(err);
	guard(rwsem_read)(&c->touching);
	if (!cpr_poison_sound(c, frame, page_at * PAGE_SIZE, PAGE_SIZE))
		return VM_FAULT_HWPOISON;
	folio = cpr_region_folio(&c->region, frame);
	page = folio_page(folio, page_at);
	/*
	 * mm copies the page if the first access of a private mapping is a write. It
	 * replaces a marker by an entry that has the marker's write protection.
	 */
	if (vmf->cow_page || mapping_has_marker(vmf))
		return mapping_hand_over(vmf, folio, page);
	return mapping_insert_page(vmf, folio, page);
}

static vm_fault_t mapping_map_frame(struct vm_fault *vmf)
{
	unsigned long address = vmf->address & PMD_MASK;
	struct inode *inode = mapping_vma_inode(vmf->vma);
	pgoff_t pgoff = linear_page_index(vmf->vma, address);
	struct cpr *c = inode_cpr(inode);
	u32 frame;
	int err;

	if (address < vmf->vma->vm_start || address + PMD_SIZE > vmf->vma->vm_end ||
	    pgoff % PAGES_PER_FRAME)
		return VM_FAULT_FALLBACK;
	/* A write to a read-only entry: mm tracks writes, which it does by pages. */
	if (!pmd_none(vmf->orig_pmd))
		return VM_FAULT_FALLBACK;
	/* A write to a private mapping copies a single page. */
	if (vmf->flags & FAULT_FLAG_WRITE && !(vmf->vma->vm_flags & VM_SHARED))
		return VM_FAULT_FALLBACK;
	err = mapping_get_frame(inode, pgoff, PAGES_PER_FRAME, &frame);
	/* The end of the file may be within its last frame. */
	if (err == -ENXIO)
		return VM_FAULT_FALLBACK;
	if (err)
		return mapping_fault_error(err);
	guard(rwsem_read)(&c->touching);
	/* The pages of a frame that has failed are mapped one by one. */
	if (cpr_frames_failed(&c->frames, frame))
		return VM_FAULT_FALLBACK;
	return mapping_insert_frame(vmf, cpr_region_folio(&c->region, frame));
}

/* Pages are written without further faults, so the times are those of the first write. */
static void mapping_update_time(const struct vm_fault *vmf)
{
	if (vmf->flags & FAULT_FLAG_WRITE && vmf->vma->vm_flags & VM_SHARED)
		file_update_time(vmf->vma->vm_file->private_data);
}

static vm_fault_t mapping_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct inode *inode = mapping_vma_inode(vmf->vma);
	vm_fault_t ret = VM_FAULT_FALLBACK;

	filemap_invalidate_lock_shared(inode->i_mapping);
	if (mapping_revoked(vmf->vma, inode))
		ret = VM_FAULT_SIGBUS;
	else if (order == 0)
		ret = mapping_map_page(vmf);
	else if (order == PMD_ORDER)
		ret = mapping_map_frame(vmf);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	if (!(ret & (VM_FAULT_ERROR | VM_FAULT_FALLBACK)))
		mapping_update_time(vmf);
	return ret;
}

static vm_fault_t mapping_fault(struct vm_fault *vmf)
{
	return mapping_huge_fault(vmf, 0);
}

static const struct vm_operations_struct mapping_vm_ops = {
	.fault		= mapping_fault,
	.huge_fault	= mapping_huge_fault,
};

/* ---- the second inode and its files ---- */

/* Print the path that the mapped file has by now. */
static char *mapping_dname(struct dentry *dentry, char *buf, int len)
{
	struct file *file = dentry->d_fsdata;

	return d_path(&file->f_path, buf, len);
}

static void mapping_release_dentry(struct dentry *dentry)
{
	fput(dentry->d_fsdata);
}

static const struct dentry_operations mapping_dentry_ops = {
	.d_dname	= mapping_dname,
	.d_release	= mapping_release_dentry,
};

static const struct file_operations mapping_dax_fops = {
	.owner			= THIS_MODULE,
	.fsync			= cpr_store_fsync,
	.get_unmapped_area	= thp_get_unmapped_area,
};

static struct inode *mapping_new_dax(const struct inode *inode)
{
	struct inode *dax = new_inode(inode->i_sb);

	if (!dax)
		return NULL;
	dax->i_ino = inode->i_ino;
	dax->i_mode = S_IFCHR;
	dax->i_flags = S_DAX | S_NOATIME | S_NOCMTIME | S_PRIVATE;
	dax->i_mapping->a_ops = &cpr_region_aops;
	return dax;
}

/*
 * Get the second inode of a file; the first mapping of the file makes it. A file that is
 * taken from its users after this loses the inode after this, too.
 */
static struct inode *mapping_get_dax(const struct file *file)
{
	struct inode *inode = file_inode(file), *dax;
	struct cpr_node *node = inode_node(inode);
	struct cpr *c = inode_cpr(inode);
	int err;

	guard(cpr)(c);

	err = cpr_opens_revoked(file) ? -EIO : cpr_vm_may(node, CPR_ACT_MAP);
	if (err)
		return ERR_PTR(err);
	dax = node->dax;
	if (!dax) {
		dax = mapping_new_dax(inode);
		if (!dax)
			return ERR_PTR(-ENOMEM);
		cpr_node_set_dax(c, node, dax);
	}
	ihold(dax);
	return dax;
}

static struct file *mapping_open_dax(struct file *file)
{
	struct inode *dax = mapping_get_dax(file);
	struct dentry *dentry;
	struct file *to;

	if (IS_ERR(dax))
		return ERR_CAST(dax);
	to = alloc_file_pseudo(dax, file->f_path.mnt, "", O_RDWR, &mapping_dax_fops);
	if (IS_ERR(to)) {
		iput(dax);
		return to;
	}
	/* fput() drops a reference on the owner that alloc_file_pseudo() does not take. */
	__module_get(mapping_dax_fops.owner);
	to->private_data = get_file(file);
	/*
	 * The dentry is new, and only @to has it. The reference on the mapped file is the
	 * dentry's, as /proc may keep the dentry for longer than @to is open.
	 */
	dentry = to->f_path.dentry;
	dentry->d_fsdata = file;
	dentry->d_op = &mapping_dentry_ops;
	return to;
}

/**
 * cpr_mmap - map a file
 * @file: the file
 * @vma: where
 *
 * Return: 0; -EIO if the file was taken from its users, -EBUSY while it is being taken
 * from them; -ENOMEM.
 */
int cpr_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct file *dax = mapping_open_dax(file);

	if (IS_ERR(dax))
		return PTR_ERR(dax);
	cpr_vm_mapping(inode_cpr(file_inode(file)), inode_node(file_inode(file)));
	file_accessed(file);
	vma_set_file(vma, dax);
	/* The mapping holds its own reference. */
	fput(dax);
	vma->vm_ops = &mapping_vm_ops;
	vm_flags_set(vma, VM_HUGEPAGE);
	return 0;
}

/* The frames of the file cannot change meanwhile. */
static void mapping_drop_dax(struct cpr *c, struct cpr_node *node, struct inode *dax)
{
	unsigned long i;
	void *entry;

	if (!dax)
		return;
	xa_for_each(&node->frames, i, entry)
		cpr_region_set_mapping(&c->region, xa_to_value(entry), NULL, 0);
	iput(dax);
}

/**
 * cpr_mapping_evict - an inode is being evicted
 * @c: the region
 * @node: of the inode; not mapped
 *
 * Direct reclaim may call this, so cpr->lock is not taken. The frames of the file
 * cannot change: that takes the inode.
 */
void cpr_mapping_evict(struct cpr *c, struct cpr_node *node)
{
	mapping_drop_dax(c, node, cpr_node_clear_inode(c, node));
}

/**
 * cpr_mapping_unmap - remove a range of a file from all mappings
 * @inode: the file, whose invalidate lock is held exclusively
 * @start: bytes
 * @len: bytes; 0 for everything after @start
 * @even_private: remove private copies as well, as truncation does
 *
 * No page fault is in this file meanwhile, but the core of mm may still be mapping a
 * page that an earlier fault has handed over. Such a page is locked.
 */
void cpr_mapping_unmap(struct inode *inode, loff_t start, loff_t len, bool even_private)
{
	unsigned long last = len ? (start + len - 1) >> CPR_IMAGE_FRAME_SHIFT : ULONG_MAX;
	struct cpr_node *node = inode_node(inode);
	struct inode *dax = READ_ONCE(node->dax);
	unsigned long i;
	void *entry;

	if (!dax)
		return;
	xa_for_each_range(&node->frames, i, entry, start >> CPR_IMAGE_FRAME_SHIFT, last)
		cpr_region_wait_unlocked(&inode_cpr(inode)->region, xa_to_value(entry));
	unmap_mapping_range(dax->i_mapping, start, len, even_private);
}

/**
 * cpr_mapping_revoke - take a file from all mappings, for ever
 * @inode: the file; no open file can make a mapping of it meanwhile
 *
 * Every access to the mappings gives SIGBUS from now on, private copies included.
 */
void cpr_mapping_revoke(struct inode *inode)
{
	struct cpr_node *node = inode_node(inode);
	struct cpr *c = inode_cpr(inode);

	filemap_invalidate_lock(inode->i_mapping);
	cpr_mapping_unmap(inode, 0, 0, true);
	mapping_drop_dax(c, node, cpr_node_take_dax(c, node));
	filemap_invalidate_unlock(inode->i_mapping);
}
