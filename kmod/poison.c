// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Memory errors
 *
 * What happens when a page of the region fails. The machine check code, or whoever injects
 * an error, calls memory_failure(), and that calls cpr_poison_failed(). The page is put
 * on record, in cpr->bad and by a commit in the image, and never leaves the record. Its
 * frame is removed from all mappings. From then on
 *
 *  - an access through a mapping raises SIGBUS with the address of the access, and KVM
 *    reports the guest's access to QEMU in the same way, as for ordinary RAM. This is so
 *    for the pages that have failed; the other pages of the frame are mapped again, by
 *    entries of 4 KiB;
 *  - read and write fail with EIO at the page;
 *  - zeroing, by truncation or by the scrubber, leaves the page out;
 *  - the frame becomes BAD when its file is gone, see frames.c.
 *
 * memory_failure() sends no SIGBUS in advance, so that a process that asked for that
 * (PR_MCE_KILL_EARLY) gets the signal only at its first access: the kernel would send the
 * signal with the address of the frame, not of the page. A page that is pinned stays
 * reachable for the device. unpoison_memory() refuses pages of devices, so a page stays
 * bad as long as the region has an image; formatting by the module keeps the record.
 *
 * When cpr_poison_failed() returns, the machine check code may remove the page from the
 * kernel's address space. So the kernel must not touch the page any more. Functions that
 * zero or map frames check for errors, and finish what they have checked, with cpr->touching
 * held shared; cpr_poison_failed() waits for them. Copies from and to userspace may take
 * as long as userspace likes, so nobody waits for them; they survive a fault.
 *
 * Locking: mf_mutex of the kernel -> cpr->lock, and mf_mutex -> folio lock ->
 * i_mmap_rwsem. cpr->lock -> cpr->touching -> cpr->bad_lock. cpr_poison_failed() does not
 * wait for cpr->touching below cpr->lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "events.h"
#include "poison.h"

static u64 poison_page(u32 frame, size_t at)
{
	return (u64)frame * CPR_PAGES_PER_FRAME + at / PAGE_SIZE;
}

/* Find the file that has a frame; NULL if no file with a name has the frame. */
static struct cpr_node *poison_owner(struct cpr *c, u32 frame, unsigned long *file_frame)
{
	struct cpr_node *node;
	void *entry;

	for (node = c->root; node; node = cpr_node_next_below(c->root, node))
		xa_for_each(&node->frames, *file_frame, entry)
			if (xa_to_value(entry) == frame)
				return node;
	return NULL;
}

static void poison_report(struct cpr *c, u64 page)
{
	u32 frame = page / CPR_PAGES_PER_FRAME;
	u64 phys = c->region.start + page * PAGE_SIZE;
	unsigned long file_frame;
	struct cpr_node *node, *dir;

	if (frame < c->geo.first_frame) {
		pr_err("memory error at %#llx, in the tables of the region: plan to format another region\n",
		       phys);
		return;
	}
	node = poison_owner(c, frame, &file_frame);
	if (!node) {
		pr_err("memory error at %#llx, in frame %u, which no file has: the frame is not used any more\n",
		       phys, frame);
		return;
	}
	dir = cpr_node_vm_dir(node);
	pr_err("memory error at %#llx, in file '%.*s%s%.*s' at offset %#llx: the page is lost\n",
	       phys, dir ? dir->name_len : 0, dir ? dir->name : "", dir ? "/" : "",
	       node->name_len, node->name,
	       ((u64)file_frame * CPR_PAGES_PER_FRAME + page % CPR_PAGES_PER_FRAME) * PAGE_SIZE);
	if (dir)
		cpr_event_vm(c, dir);
}

static int poison_record(struct cpr *c, u64 page)
{
	u64 known;
	int err;

	guard(cpr)(c);

	if (cpr_bad_find(&c->bad, page, 1, &known))
		return 0;
	scoped_guard(spinlock, &c->bad_lock)
		err = cpr_bad_add(&c->bad, page, 1);
	if (err)
		pr_err("the record of memory errors is full: %u runs of pages\n", c->bad.nr);
	if (!c->formatted)
		return err;
	cpr_frames_fail(&c->frames, page / CPR_PAGES_PER_FRAME);
	poison_report(c, page);
	cpr_event_region(c);
	cpr_dirty_now(c);
	return err;
}

/**
 * cpr_poison_failed - a page has a memory error
 * @r: the region
 * @page: the page, counted from the start of the region
 *
 * Return: 0 if the page is on record and not mapped any more; -EOPNOTSUPP if the record is
 * full, so that the kernel handles the error in its way.
 */
int cpr_poison_failed(struct cpr_region *r, u64 page)
{
	struct cpr *c = container_of(r, struct cpr, region);

	if (poison_record(c, page))
		return -EOPNOTSUPP;
	/* Whoever checked the page before it was on record has finished after this. */
	down_write(&c->touching);
	up_write(&c->touching);
	cpr_region_unmap(r, page / CPR_PAGES_PER_FRAME);
	return 0;
}

/**
 * cpr_poison_apply - mark the frames that have bad pages
 * @c: the region; its image is being opened
 */
void cpr_poison_apply(struct cpr *c)
{
	lockdep_assert_held(&c->lock);

	for (u32 i = 0; i < c->bad.nr; i++) {
		const struct cpr_bad_run *run = &c->bad.run[i];
		u64 last = (run->page + run->count - 1) / CPR_PAGES_PER_FRAME;

		for (u64 frame = run->page / CPR_PAGES_PER_FRAME; frame <= last; frame++)
			cpr_frames_fail(&c->frames, frame);
	}
}

/**
 * cpr_poison_pages - number of bad pages of the files below a directory
 * @c: the region
 * @dir: the directory
 */
u64 cpr_poison_pages(const struct cpr *c, const struct cpr_node *dir)
{
	struct cpr_node *node;
	unsigned long i;
	void *entry;
	u64 n = 0;

	lockdep_assert_held(&c->lock);

	if (!c->bad.nr)
		return 0;
	for (node = cpr_node_next_below(dir, dir); node; node = cpr_node_next_below(dir, node))
		xa_for_each(&node->frames, i, entry)
			if (cpr_frames_failed(&c->frames, xa_to_value(entry)))
				n += cpr_bad_count(&c->bad, poison_page(xa_to_value(entry), 0),
						   CPR_PAGES_PER_FRAME);
	return n;
}

/**
 * cpr_poison_sound - bytes in front of the first bad page
 * @c: the region
 * @frame: the frame
 * @at: offset in the frame
 * @len: number of bytes from there
 *
 * Return: @len if there is no bad page; 0 if @at is in one.
 */
size_t cpr_poison_sound(struct cpr *c, u32 frame, size_t at, size_t len)
{
	u64 page = poison_page(frame, at), first;
	bool bad;

	if (!cpr_frames_failed(&c->frames, frame))
		return len;
	spin_lock(&c->bad_lock);
	bad = cpr_bad_find(&c->bad, page, poison_page(frame, at + len - 1) + 1 - page, &first);
	spin_unlock(&c->bad_lock);
	if (!bad)
		return len;
	return first == page ? 0 : (first - page) * PAGE_SIZE - at % PAGE_SIZE;
}

/**
 * cpr_poison_zero - zero a part of a frame, but for bad pages
 * @c: the region
 * @frame: the frame
 * @at: offset in the frame
 * @len: number of bytes
 */
void cpr_poison_zero(struct cpr *c, u32 frame, size_t at, size_t len)
{
	void *base = cpr_region_address(&c->region, frame);
	size_t end = at + len;

	guard(rwsem_read)(&c->touching);

	while (at < end) {
		size_t n = cpr_poison_sound(c, frame, at, end - at);

		memset(base + at, 0, n);
		at += n ?: PAGE_SIZE - at % PAGE_SIZE;
	}
}

/**
 * cpr_poison_read - copy a part of a frame to a reader
 * @c: the region
 * @frame: the frame
 * @at: offset in the frame
 * @len: number of bytes
 * @to: the reader
 *
 * Return: the number of bytes, which is less than @len in front of a bad page; -EIO if
 * @at is in a bad page; -EFAULT.
 */
ssize_t cpr_poison_read(struct cpr *c, u32 frame, size_t at, size_t len, struct iov_iter *to)
{
	const u8 *from = cpr_region_address(&c->region, frame) + at;
	size_t done;
	u8 byte;

	len = cpr_poison_sound(c, frame, at, len);
	if (!len)
		return -EIO;
	done = _copy_mc_to_iter(from, len, to);
	if (done)
		return done;
	/* An error that is not on record yet, or the reader's address. */
	return copy_mc_to_kernel(&byte, from, 1) ? -EIO : -EFAULT;
}

static ssize_t poison_write(struct cpr *c, u32 frame, size_t at, size_t len,
			    struct iov_iter *from)
{
	void *to = cpr_region_address(&c->region, frame) + at;

	len = cpr_poison_sound(c, frame, at, len);
	if (!len)
		return -EIO;
	return copy_from_iter(to, len, from) ?: -EFAULT;
}

/**
 * cpr_poison_write - copy a part of a frame from a writer
 * @c: the region
 * @frame: the frame
 * @at: offset in the frame
 * @len: number of bytes
 * @from: the writer
 *
 * Return: as cpr_poison_read().
 */
ssize_t cpr_poison_write(struct cpr *c, u32 frame, size_t at, size_t len,
			 struct iov_iter *from)
{
	if (user_backed_iter(from))
		return poison_write(c, frame, at, len, from);
	/* A copy from kernel memory does not survive a fault, but does not take long. */
	guard(rwsem_read)(&c->touching);
	return poison_write(c, frame, at, len, from);
}
