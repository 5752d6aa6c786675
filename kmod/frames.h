/* SPDX-License-Identifier: GPL-2.0-only */
/* The allocator of frames. Pure C. */
#ifndef CPR_FRAMES_H
#define CPR_FRAMES_H

#include "port.h"
#include "catalog.h"

/**
 * enum cpr_frame_state - state of a frame
 * @CPR_FRAME_TABLE: holds the superblock or the catalog
 * @CPR_FRAME_USED: belongs to a file, or is being added to one
 * @CPR_FRAME_FREED: belongs to no file any more, but to one in the current catalog,
 *	which a crash would bring back
 * @CPR_FRAME_BUSY: belongs to no file, but is still pinned
 * @CPR_FRAME_DIRTY: free, may hold bytes that its last owner wrote
 * @CPR_FRAME_SCRUBBING: free, being scrubbed
 * @CPR_FRAME_CLEAN: free, all zeros
 * @CPR_FRAME_BAD: belongs to no file, and is never given to one: a page of the frame has
 *	a memory error
 * @CPR_FRAME_STATES: number of states
 */
enum cpr_frame_state {
	CPR_FRAME_TABLE,
	CPR_FRAME_USED,
	CPR_FRAME_FREED,
	CPR_FRAME_BUSY,
	CPR_FRAME_DIRTY,
	CPR_FRAME_SCRUBBING,
	CPR_FRAME_CLEAN,
	CPR_FRAME_BAD,
	CPR_FRAME_STATES,
};

/**
 * struct cpr_frames - the state of every frame
 * @state: enum cpr_frame_state of each frame of the region
 * @failed: bitmap of the frames that have a page with a memory error
 * @nr: frames in the region
 * @align: number, modulo CPR_FRAMES_PER_GIB, of the frames that begin at a physical
 *	GiB boundary
 * @count: frames in each state
 */
struct cpr_frames {
	u8 *state;
	unsigned long *failed;
	u32 nr;
	u32 align;
	u32 count[CPR_FRAME_STATES];
};

#define CPR_FRAMES_PER_GIB	(SZ_1G >> CPR_IMAGE_FRAME_SHIFT)

/* A run of frames that was taken; all of them are clean, or all are dirty. */
struct cpr_run {
	u32 frame;
	u32 count;
	bool dirty;
};

/* Does a page of a frame have a memory error? A frame that has failed stays so. */
static inline bool cpr_frames_failed(const struct cpr_frames *f, u32 frame)
{
	return test_bit(frame, f->failed);
}

int cpr_frames_init(struct cpr_frames *f, const struct cpr_geometry *geo);
void cpr_frames_exit(struct cpr_frames *f);
void cpr_frames_set(struct cpr_frames *f, u32 frame, u32 count,
		    enum cpr_frame_state state);
void cpr_frames_fail(struct cpr_frames *f, u32 frame);
u32 cpr_frames_free(const struct cpr_frames *f);
u32 cpr_frames_total(const struct cpr_frames *f);
bool cpr_frames_take(struct cpr_frames *f, u32 file_frame, u32 want,
		     struct cpr_run *run);
bool cpr_frames_find(const struct cpr_frames *f, enum cpr_frame_state state,
		     u32 *from);

#endif /* CPR_FRAMES_H */
