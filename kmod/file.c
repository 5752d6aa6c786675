// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: File operations other than mapping
 *
 * read, write, seek, truncate, fallocate. Data is copied directly to and from the
 * frames: there is no page cache, so fsync only commits the catalog. Holes read as
 * zeros. The bytes of a frame beyond the end of the file are zero, except in the last
 * page, which a mapping can write to; those bytes are zeroed when the file grows. After a
 * crash, data may be there that was written beyond the end of the file that the catalog
 * has. So all bytes beyond the end are zeroed when a file grows for the first time after
 * the image was opened, see @tail_unknown of struct cpr_node.
 *
 * A write that finds too few frames fails as a whole, before its first byte.
 *
 * The caller's memory is accessed with page faults disabled as long as the inode is
 * locked. Between, the pages that were missing are faulted in. So no user can keep a file
 * locked by memory whose page faults it serves itself, and a write that needs a page fault
 * is not atomic.
 *
 * The size changes, and frames leave the file, in a section under cpr->lock that also
 * asks the VM. So no step of the VM and no commit comes in between: a memory file that
 * is pinned keeps its size, and a commit has the size and the frames that belong to it.
 *
 * A file that was taken from its users, see opens.c, gives EIO.
 *
 * Locking: the inode lock, shared for reading; the invalidate lock exclusively where
 * frames leave the file, against page faults. The order is that of space.c. A range is
 * unmapped under cpr->lock, so the order is cpr->lock -> i_mmap_rwsem of the second inode.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/splice.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "file.h"
#include "mapping.h"
#include "opens.h"
#include "poison.h"
#include "space.h"
#include "store.h"
#include "vm.h"

#define FRAME_MASK	((loff_t)CPR_IMAGE_FRAME_SIZE - 1)

static u32 file_frame_of(loff_t pos)
{
	return pos >> CPR_IMAGE_FRAME_SHIFT;
}

/* Bytes from @pos to the end of its frame, but not past @end. */
static size_t file_within_frame(loff_t pos, loff_t end)
{
	return min(end - pos, (loff_t)CPR_IMAGE_FRAME_SIZE - (pos & FRAME_MASK));
}

/* Get the frame that has a byte; false in a hole. */
static bool file_get_frame(struct inode *inode, loff_t pos, u32 *frame)
{
	void *entry = xa_load(&inode_node(inode)->frames, file_frame_of(pos));

	*frame = entry ? xa_to_value(entry) : 0;
	return entry;
}

static void file_zero_range(struct inode *inode, loff_t pos, loff_t end)
{
	while (pos < end) {
		size_t len = file_within_frame(pos, end);
		u32 frame;

		if (file_get_frame(inode, pos, &frame))
			cpr_poison_zero(inode_cpr(inode), frame, pos & FRAME_MASK, len);
		pos += len;
	}
}

static int file_fill(struct inode *inode, loff_t pos, loff_t end)
{
	u32 first = file_frame_of(pos);

	return cpr_store_fill(inode_cpr(inode), inode_node(inode), first,
			      file_frame_of(end - 1) - first + 1);
}

static int file_may(struct inode *inode, enum cpr_act act)
{
	guard(cpr)(inode_cpr(inode));

	return cpr_vm_may(inode_node(inode), act);
}

/* Zero all bytes beyond the end of the file. */
static void file_zero_tail(struct inode *inode)
{
	loff_t end = round_up(i_size_read(inode), (loff_t)CPR_IMAGE_FRAME_SIZE);
	struct cpr_node *node = inode_node(inode);
	unsigned long i;
	void *entry;

	file_zero_range(inode, i_size_read(inode), end);
	xa_for_each_start(&node->frames, i, entry, file_frame_of(end)) {
		loff_t at = (loff_t)i << CPR_IMAGE_FRAME_SHIFT;

		file_zero_range(inode, at, at + CPR_IMAGE_FRAME_SIZE);
		cond_resched();
	}
	node->tail_unknown = false;
}

static int file_grow(struct inode *inode, loff_t size)
{
	loff_t old = i_size_read(inode);
	struct cpr *c = inode_cpr(inode);
	int err;

	guard(cpr)(c);

	err = cpr_vm_may(inode_node(inode), CPR_ACT_RESIZE);
	if (err)
		return err;
	if (inode_node(inode)->tail_unknown)
		file_zero_tail(inode);
	else
		file_zero_range(inode, old, min(round_up(old, PAGE_SIZE), size));
	i_size_write(inode, size);
	cpr_dirty(c);
	return 0;
}

static int file_cut(struct inode *inode, loff_t size)
{
	struct cpr_node *node = inode_node(inode);
	struct cpr *c = inode_cpr(inode);
	int err;

	guard(cpr)(c);

	err = cpr_vm_may(node, CPR_ACT_RESIZE);
	if (err)
		return err;
	i_size_write(inode, size);
	cpr_mapping_unmap(inode, round_up(size, PAGE_SIZE), 0, true);
	file_zero_range(inode, size, round_up(size, (loff_t)CPR_IMAGE_FRAME_SIZE));
	cpr_space_drop(c, node, file_frame_of(size + CPR_IMAGE_FRAME_SIZE - 1), U32_MAX);
	return 0;
}

static int file_shrink(struct inode *inode, loff_t size)
{
	int err;

	filemap_invalidate_lock(inode->i_mapping);
	err = file_cut(inode, size);
	filemap_invalidate_unlock(inode->i_mapping);
	return err;
}

/**
 * cpr_file_resize - truncate a file up or down
 * @inode: the file, locked
 * @size: bytes
 *
 * Return: 0; -EBUSY if the VM forbids it; -EFBIG.
 */
int cpr_file_resize(struct inode *inode, loff_t size)
{
	int err = inode_newsize_ok(inode, size);

	if (err)
		return err;
	if (size > i_size_read(inode))
		return file_grow(inode, size);
	return file_shrink(inode, size);
}

/* Read up to the end of a frame, or up to @end. */
static ssize_t file_read_frame(struct inode *inode, loff_t pos, loff_t end, struct iov_iter *to)
{
	size_t len = file_within_frame(pos, end);
	u32 frame;

	if (file_get_frame(inode, pos, &frame))
		return cpr_poison_read(inode_cpr(inode), frame, pos & FRAME_MASK, len, to);
	return iov_iter_zero(len, to) ?: -EFAULT;
}

/* Return: 0; -EFAULT if the caller's memory needs a page fault; -EIO. */
static int file_read_locked(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t end = min(iocb->ki_pos + (loff_t)iov_iter_count(to), i_size_read(inode));

	if (cpr_opens_revoked(iocb->ki_filp))
		return -EIO;
	while (iocb->ki_pos < end) {
		ssize_t done = file_read_frame(inode, iocb->ki_pos, end, to);

		if (done < 0)
			return done;
		iocb->ki_pos += done;
	}
	return 0;
}

/* Fault in some of the caller's memory that a read or write needs next. */
static int file_fault_in(struct iov_iter *iter, size_t len,
			 size_t (*fault_in)(const struct iov_iter *iter, size_t len))
{
	len = min(len, iov_iter_count(iter));
	if (fatal_signal_pending(current))
		return -EINTR;
	return len && fault_in(iter, len) == len ? -EFAULT : 0;
}

static ssize_t file_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t begin = iocb->ki_pos;
	int err;

	do {
		inode_lock_shared(inode);
		pagefault_disable();
		err = file_read_locked(iocb, to);
		pagefault_enable();
		inode_unlock_shared(inode);
		if (err != -EFAULT)
			break;
		err = file_fault_in(to, CPR_IMAGE_FRAME_SIZE, fault_in_iov_iter_writeable);
	} while (!err);
	file_accessed(iocb->ki_filp);
	return iocb->ki_pos - begin ?: err;
}

static ssize_t file_write_locked(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t begin, end, old;
	ssize_t n, done = 0;
	int err;

	if (cpr_opens_revoked(iocb->ki_filp))
		return -EIO;
	n = generic_write_checks(iocb, from);
	if (n <= 0)
		return n;
	begin = iocb->ki_pos;
	end = begin + n;
	old = i_size_read(inode);
	/* file_grow() asks again, but then the file has the frames already. */
	err = end > old ? file_may(inode, CPR_ACT_RESIZE) : 0;
	if (!err)
		err = file_remove_privs(iocb->ki_filp);
	if (!err)
		err = file_fill(inode, begin, end);
	if (!err)
		err = file_update_time(iocb->ki_filp);
	if (!err && end > old)
		err = file_grow(inode, end);
	if (err)
		return err;
	pagefault_disable();
	while (iocb->ki_pos < end) {
		u32 frame;

		file_get_frame(inode, iocb->ki_pos, &frame);
		done = cpr_poison_write(inode_cpr(inode), frame, iocb->ki_pos & FRAME_MASK,
					file_within_frame(iocb->ki_pos, end), from);
		if (done < 0)
			break;
		iocb->ki_pos += done;
	}
	pagefault_enable();
	n = iocb->ki_pos - begin;
	/* A part of the data was not copied. A VM that is pinned by now keeps the size. */
	if (iocb->ki_pos < end && end > old)
		file_shrink(inode, n ? max(old, iocb->ki_pos) : old);
	return n ? n : done;
}

static ssize_t file_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t n, done = 0;

	do {
		/* All of it: as a rule, the write is done in one pass. */
		n = file_fault_in(from, SIZE_MAX, fault_in_iov_iter_readable);
		if (n)
			break;
		inode_lock(inode);
		n = file_write_locked(iocb, from);
		inode_unlock(inode);
		done += max(n, 0);
	} while ((n > 0 || n == -EFAULT) && iov_iter_count(from));
	return done ? generic_write_sync(iocb, done) : n;
}

/* Every frame of the file counts as data, whatever is in it. */
static loff_t file_seek_data(struct inode *inode, loff_t pos, loff_t size)
{
	unsigned long i = file_frame_of(pos);

	if (!xa_find(&inode_node(inode)->frames, &i, U32_MAX, XA_PRESENT))
		return -ENXIO;
	pos = max(pos, (loff_t)i << CPR_IMAGE_FRAME_SHIFT);
	return pos < size ? pos : -ENXIO;
}

static loff_t file_seek_hole(struct inode *inode, loff_t pos, loff_t size)
{
	u32 frame;

	while (pos < size && file_get_frame(inode, pos, &frame))
		pos += file_within_frame(pos, LLONG_MAX);
	return min(pos, size);
}

static loff_t file_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	loff_t size;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);
	inode_lock_shared(inode);
	size = i_size_read(inode);
	if (offset < 0 || offset >= size)
		offset = -ENXIO;
	else if (whence == SEEK_DATA)
		offset = file_seek_data(inode, offset, size);
	else
		offset = file_seek_hole(inode, offset, size);
	inode_unlock_shared(inode);
	return offset < 0 ? offset : vfs_setpos(file, offset, inode->i_sb->s_maxbytes);
}

static int file_allocate(struct inode *inode, int mode, loff_t start, loff_t end)
{
	bool larger = !(mode & FALLOC_FL_KEEP_SIZE) && end > i_size_read(inode);
	int err = larger ? inode_newsize_ok(inode, end) : 0;

	if (!err && larger)
		err = file_may(inode, CPR_ACT_RESIZE);
	if (!err)
		err = file_fill(inode, start, end);
	if (!err && larger)
		err = file_grow(inode, end);
	return err;
}

/* Punching a hole takes memory from a VM, so it needs the same permission as a resize. */
static int file_punch(struct inode *inode, loff_t start, loff_t end)
{
	loff_t first = round_up(start, (loff_t)CPR_IMAGE_FRAME_SIZE);
	loff_t last = round_down(end, (loff_t)CPR_IMAGE_FRAME_SIZE);
	struct cpr_node *node = inode_node(inode);
	struct cpr *c = inode_cpr(inode);
	int err;

	guard(cpr)(c);

	err = cpr_vm_may(node, CPR_ACT_RESIZE);
	if (err)
		return err;
	if (first >= last) {
		file_zero_range(inode, start, end);
		return 0;
	}
	file_zero_range(inode, start, first);
	file_zero_range(inode, last, end);
	cpr_mapping_unmap(inode, first, last - first, false);
	cpr_space_drop(c, node, file_frame_of(first), file_frame_of(last) - 1);
	return 0;
}

static long file_fallocate(struct file *file, int mode, loff_t start, loff_t len)
{
	struct inode *inode = file_inode(file);
	int err = 0;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	inode_lock(inode);
	if (cpr_opens_revoked(file)) {
		err = -EIO;
	} else if (mode & FALLOC_FL_PUNCH_HOLE) {
		filemap_invalidate_lock(inode->i_mapping);
		err = file_punch(inode, start, start + len);
		filemap_invalidate_unlock(inode->i_mapping);
	} else {
		err = file_allocate(inode, mode, start, start + len);
	}
	if (!err)
		err = file_modified(file);
	if (!err)
		mark_inode_dirty(inode);
	inode_unlock(inode);
	return err;
}

static int file_open(struct inode *inode, struct file *file)
{
	int err = generic_file_open(inode, file);

	if (!err)
		err = cpr_opens_add(file);
	if (!err)
		file->f_mode |= FMODE_CAN_ODIRECT;
	return err;
}

static int file_release(struct inode *inode, struct file *file)
{
	cpr_opens_remove(file);
	return 0;
}

const struct file_operations cpr_file_fops = {
	.owner			= THIS_MODULE,
	.open			= file_open,
	.release		= file_release,
	.llseek			= file_llseek,
	.read_iter		= file_read_iter,
	.write_iter		= file_write_iter,
	.splice_read		= copy_splice_read,
	.splice_write		= iter_file_splice_write,
	.fallocate		= file_fallocate,
	.fsync			= cpr_store_fsync,
	.mmap			= cpr_mmap,
	.get_unmapped_area	= thp_get_unmapped_area,
};
