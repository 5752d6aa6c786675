// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Frames of files
 *
 * The one place where frames are added to files and taken from them. A frame that
 * is added is all zeros. A frame that is taken is already unmapped; frames.c
 * describes what happens to it.
 *
 * Filling is all or nothing: everything that can fail happens before the first
 * frame is added. The frames count in the room of the file from the time that they are taken,
 * see room.c. Frames that are not scrubbed yet are scrubbed without the lock,
 * because that takes long. If a frame gets a memory error meanwhile, another one is
 * taken for its place; if there is none, the holes stay partly filled.
 *
 * Locking: @frames of a node change under cpr->lock. They are read under it, or with
 * the inode lock or the invalidate lock held, at least shared; a function that takes
 * frames from a file holds both exclusively. The order is inode lock -> invalidate
 * lock -> cpr->lock.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "scrub.h"
#include "space.h"

/* A run that is allocated for a place in a file, but not added to the file yet. */
struct space_run {
	struct list_head list;
	u32 file_frame;
	struct cpr_run run;
};

static u32 space_hole_length(struct cpr_node *node, u32 first, u32 most)
{
	u32 n = 0;

	while (n < most && !xa_load(&node->frames, first + n))
		n++;
	return n;
}

/**
 * cpr_space_holes - count the holes of a file
 * @node: of the file
 * @first: first frame of the range in the file
 * @count: number of frames
 *
 * Return: the number of frames of the range that the file does not have.
 */
u32 cpr_space_holes(struct cpr_node *node, u32 first, u32 count)
{
	unsigned long i, end = (unsigned long)first + count;
	u32 holes = count;
	void *entry;

	/* A sparse file may be huge: look at the frames that are there. */
	xa_for_each_start(&node->frames, i, entry, first) {
		if (i >= end)
			break;
		holes--;
	}
	return holes;
}

/* Allocate the xarray entries, so that storing to them cannot fail. */
static int space_reserve_entries(struct cpr_node *node, u32 first, u32 count)
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

/*
 * Return: 0; -EDQUOT if the room of the file has too few; -EAGAIN if a commit would free
 * frames, -EINPROGRESS if the frames that are being scrubbed are enough, -ENOSPC.
 */
static int space_check_free(const struct cpr *c, const struct cpr_room *room, u32 frames)
{
	const struct cpr_frames *f = &c->frames;

	if (!frames)
		return 0;
	if (!cpr_room_has(room, frames))
		return -EDQUOT;
	frames += cpr_room_kept(c, room);
	if (frames <= cpr_frames_free(f))
		return 0;
	if (f->count[CPR_FRAME_FREED])
		return -EAGAIN;
	if (frames <= cpr_frames_free(f) + f->count[CPR_FRAME_SCRUBBING])
		return -EINPROGRESS;
	return -ENOSPC;
}

/* Frames that were taken for a file do not become the file's. */
static void space_return(struct cpr *c, struct cpr_node *node, u32 frame, u32 count,
			 enum cpr_frame_state state)
{
	cpr_frames_set(&c->frames, frame, count, state);
	cpr_node_charge(c, node, -(s32)count);
}

static void space_return_runs(struct cpr *c, struct cpr_node *node, struct list_head *runs)
{
	struct space_run *r, *next;

	list_for_each_entry_safe(r, next, runs, list) {
		space_return(c, node, r->run.frame, r->run.count, CPR_FRAME_DIRTY);
		kfree(r);
	}
}

static int space_take_runs(struct cpr *c, struct cpr_node *node, u32 first,
			   u32 count, struct list_head *runs)
{
	u32 i = first, end = first + count;

	while (i < end) {
		u32 hole = space_hole_length(node, i, end - i);
		struct space_run *r;

		if (!hole) {
			i++;
			continue;
		}
		r = kmalloc(sizeof(*r), GFP_KERNEL);
		if (!r) {
			space_return_runs(c, node, runs);
			return -ENOMEM;
		}
		cpr_frames_take(&c->frames, i, hole, &r->run);
		cpr_node_charge(c, node, r->run.count);
		r->file_frame = i;
		list_add_tail(&r->list, runs);
		i += r->run.count;
	}
	return 0;
}

/* @scrubs is the value of cpr->scrubs to wait for a change of, after -EINPROGRESS. */
static int space_take(struct cpr *c, struct cpr_node *node, u32 first, u32 count,
		      struct list_head *runs, u64 *scrubs)
{
	int err;

	guard(cpr)(c);

	*scrubs = c->scrubs;

	/* A range may be huge, but no more of it than this can be holes to fill. */
	if (count > (u64)node->nr_frames + cpr_frames_total(&c->frames))
		return -ENOSPC;
	err = space_check_free(c, node->room, cpr_space_holes(node, first, count));
	if (!err)
		err = space_reserve_entries(node, first, count);
	if (!err)
		err = space_take_runs(c, node, first, count, runs);
	return err;
}

static void space_scrub_runs(struct cpr *c, struct list_head *runs)
{
	struct space_run *r;

	list_for_each_entry(r, runs, list)
		for (u32 i = 0; r->run.dirty && i < r->run.count; i++)
			cpr_scrub_frame(c, r->run.frame + i);
}

/*
 * Return: 0; 1 if the hole is not filled, because the frame has failed meanwhile and may not
 * be all zeros; a negative errno.
 */
static int space_add_frame(struct cpr *c, struct cpr_node *node, u32 file_frame,
			   u32 frame)
{
	int err;

	/* A page fault may have filled the hole meanwhile. */
	if (xa_load(&node->frames, file_frame)) {
		space_return(c, node, frame, 1, CPR_FRAME_CLEAN);
		return 0;
	}
	if (cpr_frames_failed(&c->frames, frame)) {
		space_return(c, node, frame, 1, CPR_FRAME_DIRTY);
		return 1;
	}
	/* Or a page fault ran out of memory and released our reserved entry. */
	err = xa_err(xa_store(&node->frames, file_frame, xa_mk_value(frame), GFP_KERNEL));
	if (err)
		space_return(c, node, frame, 1, CPR_FRAME_CLEAN);
	else
		node->nr_frames++;
	return err;
}

/* Return: as space_add_frame(). */
static int space_add_runs(struct cpr *c, struct cpr_node *node, struct list_head *runs)
{
	struct space_run *r, *next;
	int err = 0;

	guard(cpr)(c);

	list_for_each_entry_safe(r, next, runs, list) {
		for (u32 i = 0; i < r->run.count; i++) {
			int ret = space_add_frame(c, node, r->file_frame + i,
						  r->run.frame + i);

			if (ret)
				err = ret;
		}
		kfree(r);
	}
	cpr_dirty(c);
	return err;
}

/**
 * cpr_space_fill - fill a file's holes with frames that are free
 * @c: the region
 * @node: of the file
 * @first: first frame of the range in the file
 * @count: number of frames
 *
 * Return: 0; -EAGAIN if the caller must commit first, because freed frames wait for
 * a commit; -EDQUOT, -ENOSPC, -ENOMEM. On an error the file has not changed.
 */
int cpr_space_fill(struct cpr *c, struct cpr_node *node, u32 first, u32 count)
{
	LIST_HEAD(runs);
	u64 scrubs;
	int err;

	do {
		while ((err = space_take(c, node, first, count, &runs, &scrubs)) == -EINPROGRESS)
			wait_event(c->scrubbed, READ_ONCE(c->scrubs) != scrubs);
		if (err || list_empty(&runs))
			return err;
		space_scrub_runs(c, &runs);
		err = space_add_runs(c, node, &runs);
		INIT_LIST_HEAD(&runs);
	} while (err > 0);
	return err;
}

/* A frame that is pinned counts until it is not. Nobody can pin it anew: it is not mapped. */
static void space_uncharge(struct cpr *c, struct cpr_node *node, u32 frame)
{
	if (!cpr_region_frame_pinned(&c->region, frame)) {
		cpr_node_charge(c, node, -1);
		return;
	}
	node->charged--;
	cpr_room_stick(c, node->room, frame);
}

/**
 * cpr_space_drop - take frames from a file
 * @c: the region
 * @node: of the file; the frames are not mapped
 * @first: first frame of the range in the file
 * @last: last frame of the range
 */
void cpr_space_drop(struct cpr *c, struct cpr_node *node, u32 first, u32 last)
{
	unsigned long i;
	void *entry;

	lockdep_assert_held(&c->lock);

	xa_for_each_range(&node->frames, i, entry, first, last) {
		u32 frame = xa_to_value(entry);

		xa_erase(&node->frames, i);
		node->nr_frames--;
		cpr_region_set_mapping(&c->region, frame, NULL, 0);
		cpr_frames_set(&c->frames, frame, 1, CPR_FRAME_FREED);
		space_uncharge(c, node, frame);
	}
	cpr_dirty(c);
}
