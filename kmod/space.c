// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Frames of files
 *
 * The one place where frames come to files and leave them. A frame that comes
 * is all zeros. One that leaves is unmapped already and goes the way that
 * frames.c describes.
 *
 * Filling is all or nothing: everything that can fail happens before the first
 * frame is put in. Frames that are not scrubbed yet are scrubbed without the
 * lock, for that takes long.
 *
 * Locking: a node's @frames change under cpr->lock. They are read under it, or
 * with the inode's lock or invalidate lock held, for shared at least; whoever
 * drops frames of a file holds both for writing. Order: inode lock ->
 * invalidate lock -> cpr->lock.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "cpr_internal.h"

/* A run that was taken for a place in a file and is not there yet. */
struct taken {
	struct list_head list;
	u32 file_frame;
	struct cpr_run run;
};

static u32 hole_length(struct cpr_node *node, u32 first, u32 most)
{
	u32 n = 0;

	while (n < most && !xa_load(&node->frames, first + n))
		n++;
	return n;
}

static u32 count_holes(struct cpr_node *node, u32 first, u32 count)
{
	u32 holes = 0;

	for (u32 i = first; i < first + count; i++)
		holes += !xa_load(&node->frames, i);
	return holes;
}

/* Room for the entries, so that putting them in cannot fail. */
static int reserve_entries(struct cpr_node *node, u32 first, u32 count)
{
	for (u32 i = first; i < first + count; i++) {
		int err = xa_reserve(&node->frames, i, GFP_KERNEL);

		if (!err)
			continue;
		while (i-- > first)
			xa_release(&node->frames, i);
		return err;
	}
	return 0;
}

static int have_room(struct cpr *c, u32 frames)
{
	lockdep_assert_held(&c->lock);

	/* What was freed a moment ago only waits for a commit. */
	if (frames > cpr_frames_free(&c->frames) && c->frames.count[CPR_FRAME_FREED])
		cpr_commit_locked(c);
	if (frames <= cpr_frames_free(&c->frames))
		return 0;
	/* And what is being scrubbed will be free in a moment. */
	return frames <= cpr_frames_free(&c->frames) + c->frames.count[CPR_FRAME_SCRUBBING] ?
		-EAGAIN : -ENOSPC;
}

static void return_all(struct cpr *c, struct list_head *all)
{
	struct taken *t, *next;

	list_for_each_entry_safe(t, next, all, list) {
		cpr_frames_set(&c->frames, t->run.frame, t->run.count,
			       CPR_FRAME_DIRTY);
		kfree(t);
	}
}

static int take_for_holes(struct cpr *c, struct cpr_node *node, u32 first,
			  u32 count, struct list_head *all)
{
	u32 i = first, end = first + count;

	while (i < end) {
		u32 hole = hole_length(node, i, end - i);
		struct taken *t;

		if (!hole) {
			i++;
			continue;
		}
		t = kmalloc(sizeof(*t), GFP_KERNEL);
		if (!t) {
			return_all(c, all);
			return -ENOMEM;
		}
		cpr_frames_take(&c->frames, i, hole, &t->run);
		t->file_frame = i;
		list_add_tail(&t->list, all);
		i += t->run.count;
	}
	return 0;
}

/* -EAGAIN if it could be had once a frame more than @scrubs is scrubbed. */
static int take_all(struct cpr *c, struct cpr_node *node, u32 first, u32 count,
		    struct list_head *all, u64 *scrubs)
{
	int err;

	guard(cpr)(c);

	*scrubs = c->scrubs;

	/* However large the range: at most this much of it is not holes. */
	if (count > (u64)node->nr_frames + cpr_frames_total(&c->frames))
		return -ENOSPC;
	err = have_room(c, count_holes(node, first, count));
	if (!err)
		err = reserve_entries(node, first, count);
	if (!err)
		err = take_for_holes(c, node, first, count, all);
	return err;
}

static void scrub_all(struct cpr *c, struct list_head *all)
{
	struct taken *t;

	list_for_each_entry(t, all, list)
		for (u32 i = 0; t->run.dirty && i < t->run.count; i++)
			cpr_scrub_frame(c, t->run.frame + i);
}

static int put_frame(struct cpr *c, struct cpr_node *node, u32 file_frame,
		     u32 frame)
{
	int err;

	/* A fault may have been faster. */
	if (xa_load(&node->frames, file_frame)) {
		cpr_frames_set(&c->frames, frame, 1, CPR_FRAME_CLEAN);
		return 0;
	}
	/* It may also have found no memory, and taken our reservation back. */
	err = xa_err(xa_store(&node->frames, file_frame, xa_mk_value(frame), GFP_KERNEL));
	if (err)
		cpr_frames_set(&c->frames, frame, 1, CPR_FRAME_CLEAN);
	else
		node->nr_frames++;
	return err;
}

static int put_all(struct cpr *c, struct cpr_node *node, struct list_head *all)
{
	struct taken *t, *next;
	int err = 0;

	guard(cpr)(c);

	list_for_each_entry_safe(t, next, all, list) {
		for (u32 i = 0; i < t->run.count; i++)
			err = put_frame(c, node, t->file_frame + i, t->run.frame + i) ?: err;
		kfree(t);
	}
	cpr_dirty(c);
	return err;
}

/**
 * cpr_space_fill - fill a file's holes
 * @c: the region
 * @node: of the file
 * @first: frame of the file
 * @count: how many
 *
 * Return: 0, -ENOSPC or -ENOMEM; then the file is as it was.
 */
int cpr_space_fill(struct cpr *c, struct cpr_node *node, u32 first, u32 count)
{
	LIST_HEAD(all);
	u64 scrubs;
	int err;

	while ((err = take_all(c, node, first, count, &all, &scrubs)) == -EAGAIN)
		wait_event(c->scrubbed, READ_ONCE(c->scrubs) != scrubs);
	if (err || list_empty(&all))
		return err;
	scrub_all(c, &all);
	return put_all(c, node, &all);
}

/**
 * cpr_space_drop - take frames from a file
 * @c: the region
 * @node: of the file; nothing maps the frames
 * @first: frame of the file
 * @last: frame of the file
 */
void cpr_space_drop(struct cpr *c, struct cpr_node *node, u32 first, u32 last)
{
	unsigned long i;
	void *entry;

	guard(cpr)(c);

	xa_for_each_range(&node->frames, i, entry, first, last) {
		u32 frame = xa_to_value(entry);

		xa_erase(&node->frames, i);
		node->nr_frames--;
		cpr_region_set_mapping(c, frame, NULL, 0);
		cpr_frames_set(&c->frames, frame, 1, CPR_FRAME_FREED);
	}
	cpr_dirty(c);
}

/**
 * cpr_space_frame - the frame at a place of a file
 * @c: the region
 * @node: of the file
 * @file_frame: frame of the file; a hole is filled
 * @frame: frame of the region
 *
 * Return: 0, -ENOSPC or -ENOMEM.
 */
int cpr_space_frame(struct cpr *c, struct cpr_node *node, u32 file_frame,
		    u32 *frame)
{
	void *entry = xa_load(&node->frames, file_frame);
	int err;

	if (!entry) {
		err = cpr_space_fill(c, node, file_frame, 1);
		if (err)
			return err;
		entry = xa_load(&node->frames, file_frame);
	}
	*frame = xa_to_value(entry);
	return 0;
}
