/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module is written for the newest kernel that it supports. This file, and no
 * other, provides what older kernels lack. Kbuild.include finds out what is needed.
 */
#ifndef CPR_COMPAT_H
#define CPR_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/huge_mm.h>
#include <linux/io.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "cpr-handover needs Linux 6.12 or newer"
#endif

/* ->mkdir returned an int. */
#ifdef CPR_COMPAT_MKDIR_INT
#define CPR_COMPAT_MKDIR_OP(_op, _fn)						\
static int _op(struct mnt_idmap *idmap, struct inode *dir,			\
	       struct dentry *dentry, umode_t mode)				\
{										\
	return PTR_ERR_OR_ZERO(_fn(idmap, dir, dentry, mode));			\
}
#else
#define CPR_COMPAT_MKDIR_OP(_op, _fn)						\
static struct dentry *_op(struct mnt_idmap *idmap, struct inode *dir,		\
			  struct dentry *dentry, umode_t mode)			\
{										\
	return _fn(idmap, dir, dentry, mode);					\
}
#endif

/* ->create had an argument for O_EXCL, which the VFS takes care of. */
#ifdef CPR_COMPAT_CREATE_EXCL
#define CPR_COMPAT_CREATE_OP(_op, _fn)						\
static int _op(struct mnt_idmap *idmap, struct inode *dir,			\
	       struct dentry *dentry, umode_t mode, bool excl)			\
{										\
	return _fn(idmap, dir, dentry, mode);					\
}
#else
#define CPR_COMPAT_CREATE_OP(_op, _fn)						\
static int _op(struct mnt_idmap *idmap, struct inode *dir,			\
	       struct dentry *dentry, umode_t mode)				\
{										\
	return _fn(idmap, dir, dentry, mode);					\
}
#endif

/* i_state was read directly. */
#ifdef CPR_COMPAT_INODE_STATE
static inline unsigned int inode_state_read_once(const struct inode *inode)
{
	return READ_ONCE(inode->i_state);
}
#endif

/* The default workqueue was named system_unbound_wq. */
#ifdef CPR_COMPAT_UNBOUND_WQ
#include <linux/workqueue.h>
#define system_dfl_wq	system_unbound_wq
#endif

/* The flags of a page were a plain word. */
#ifdef CPR_COMPAT_PAGE_FLAGS_WORD
static inline void cpr_compat_clear_reserved(struct page *page)
{
	clear_bit(PG_reserved, &page->flags);
}
#else
static inline void cpr_compat_clear_reserved(struct page *page)
{
	clear_bit(PG_reserved, &page->flags.f);
}
#endif

/*
 * Device memory was mapped by page frame number, without a reference on the folio.
 * Newer kernels map it like other memory.
 *
 * Neither function asks for a writable entry: entries of shared mappings are writable
 * from the start, unless mm tracks writes; and mm warns if a writable entry is asked for
 * where another thread has put an entry of another kind meanwhile.
 */
#ifdef CPR_COMPAT_INSERT_PFN
#include <linux/pfn_t.h>

static inline vm_fault_t cpr_compat_insert_pte(struct vm_fault *vmf, struct page *page)
{
	return vmf_insert_mixed(vmf->vma, vmf->address,
				phys_to_pfn_t(page_to_phys(page), PFN_DEV | PFN_MAP));
}

static inline vm_fault_t cpr_compat_insert_pmd(struct vm_fault *vmf, struct folio *folio)
{
	return vmf_insert_pfn_pmd(vmf, phys_to_pfn_t(PFN_PHYS(folio_pfn(folio)),
						     PFN_DEV | PFN_MAP), false);
}
#else
static inline vm_fault_t cpr_compat_insert_pte(struct vm_fault *vmf, struct page *page)
{
	return vmf_insert_page_mkwrite(vmf, page, false);
}

static inline vm_fault_t cpr_compat_insert_pmd(struct vm_fault *vmf, struct folio *folio)
{
	return vmf_insert_folio_pmd(vmf, folio, false);
}
#endif

#endif /* CPR_COMPAT_H */
