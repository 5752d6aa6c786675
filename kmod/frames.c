// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Frames
 *
 * A region is allocated in frames of 2 MiB. One byte for each frame has its state;
 * the catalog has its owner. Only clean frames are given to files. A freed frame waits
 * until the catalog without it is committed (FREED), until nothing pins it (BUSY), and
 * until it is scrubbed (DIRTY, SCRUBBING); then it is CLEAN. The image does not record
 * which frames are clean: when the module is loaded, it takes every free frame for
 * dirty. That costs a pass over the free memory. In return, no crash, stray write or
 * forged image can show the bytes of one VM to another.
 *
 * A frame that has a memory error stays with its file. When it becomes free, it becomes BAD
 * instead: it is neither scrubbed nor given to another file.
 *
 * Large files are allocated at physical GiB boundaries from the bottom of the region,
 * so that they can be mapped with GiB entries. Small files are allocated from the top,
 * so that they do not break up the GiBs.
 *
 * Locking: none here; the module calls with cpr->lock held.
 */
#include "frames.h"

/**
 * cpr_frames_init - mark all frames as free and dirty
 * @f: the frames
 * @geo: geometry of the region
 *
 * Return: 0 or -ENOMEM.
 */
int cpr_frames_init(struct cpr_frames *f, const struct cpr_geometry *geo)
{
	u32 misfit = (geo->start >> CPR_IMAGE_FRAME_SHIFT) % CPR_FRAMES_PER_GIB;

	memset(f, 0, sizeof(*f));
	f->state = cpr_port_zalloc(geo->frames);
	f->failed = cpr_port_zalloc(BITS_TO_LONGS(geo->frames) * sizeof(long));
	if (!f->state || !f->failed) {
		cpr_frames_exit(f);
		return -ENOMEM;
	}
	f->nr = geo->frames;
	f->align = (CPR_FRAMES_PER_GIB - misfit) % CPR_FRAMES_PER_GIB;
	f->count[CPR_FRAME_TABLE] = f->nr;
	cpr_frames_set(f, geo->first_frame, f->nr - geo->first_frame,
		       CPR_FRAME_DIRTY);
	return 0;
}

/**
 * cpr_frames_exit - undo cpr_frames_init()
 * @f: the frames
 */
void cpr_frames_exit(struct cpr_frames *f)
{
	cpr_port_free(f->state);
	cpr_port_free(f->failed);
	f->state = NULL;
	f->failed = NULL;
}

static bool frames_is_free(u8 state)
{
	return state == CPR_FRAME_DIRTY || state == CPR_FRAME_SCRUBBING ||
	       state == CPR_FRAME_CLEAN;
}

/**
 * cpr_frames_set - change the state of a run
 * @f: the frames
 * @frame: first frame of the run
 * @count: frames in the run
 * @state: the new state; a frame that has failed becomes BAD instead of free
 */
void cpr_frames_set(struct cpr_frames *f, u32 frame, u32 count,
		    enum cpr_frame_state state)
{
	for (u32 i = frame; i < frame + count; i++) {
		f->count[f->state[i]]--;
		f->state[i] = frames_is_free(state) && cpr_frames_failed(f, i) ?
			      CPR_FRAME_BAD : state;
		f->count[f->state[i]]++;
	}
}

/**
 * cpr_frames_fail - a page of a frame has a memory error
 * @f: the frames
 * @frame: the frame; it becomes BAD at once if it is free and nobody scrubs it
 */
void cpr_frames_fail(struct cpr_frames *f, u32 frame)
{
	__set_bit(frame, f->failed);
	if (f->state[frame] != CPR_FRAME_SCRUBBING)
		cpr_frames_set(f, frame, 1, f->state[frame]);
}

/**
 * cpr_frames_free - number of frames that can be taken at once
 * @f: the frames
 */
u32 cpr_frames_free(const struct cpr_frames *f)
{
	return f->count[CPR_FRAME_CLEAN] + f->count[CPR_FRAME_DIRTY];
}

/**
 * cpr_frames_total - number of frames for files, used or not
 * @f: the frames
 */
u32 cpr_frames_total(const struct cpr_frames *f)
{
	return f->nr - f->count[CPR_FRAME_TABLE];
}

static u32 frames_run_length(const struct cpr_frames *f, u32 frame, u32 most, u8 state)
{
	u32 n = 0;

	while (n < most && frame + n < f->nr && f->state[frame + n] == state)
		n++;
	return n;
}

/* Find a whole GiB, for a part of a file that begins at a GiB boundary. */
static bool frames_find_gib(const struct cpr_frames *f, u8 state, struct cpr_run *run)
{
	for (u32 i = f->align; i + CPR_FRAMES_PER_GIB <= f->nr; i += CPR_FRAMES_PER_GIB) {
		if (frames_run_length(f, i, CPR_FRAMES_PER_GIB, state) < CPR_FRAMES_PER_GIB)
			continue;
		run->frame = i;
		run->count = CPR_FRAMES_PER_GIB;
		return true;
	}
	return false;
}

/* Find the topmost run that is long enough, or else the longest run. */
static bool frames_find_run(const struct cpr_frames *f, u8 state, u32 want,
			    struct cpr_run *run)
{
	u32 n = 0;

	run->count = 0;
	for (u32 i = f->nr; i-- && run->count < want;) {
		n = f->state[i] == state ? n + 1 : 0;
		if (n > run->count) {
			run->frame = i;
			run->count = n;
		}
	}
	return run->count;
}

/* Frames up to the next GiB boundary of the file; a run must not cross it. */
static u32 frames_to_next_gib(u32 file_frame)
{
	return CPR_FRAMES_PER_GIB - file_frame % CPR_FRAMES_PER_GIB;
}

static bool frames_find_free(const struct cpr_frames *f, u32 file_frame, u32 want,
			     struct cpr_run *run)
{
	static const u8 states[] = { CPR_FRAME_CLEAN, CPR_FRAME_DIRTY };
	u32 most = min(want, frames_to_next_gib(file_frame));

	if (most == CPR_FRAMES_PER_GIB) {
		for (int i = 0; i < 2; i++) {
			run->dirty = states[i] == CPR_FRAME_DIRTY;
			if (f->count[states[i]] >= most && frames_find_gib(f, states[i], run))
				return true;
		}
	}
	for (int i = 0; i < 2; i++) {
		run->dirty = states[i] == CPR_FRAME_DIRTY;
		if (f->count[states[i]] && frames_find_run(f, states[i], most, run))
			return true;
	}
	return false;
}

/**
 * cpr_frames_take - take a run of free frames
 * @f: the frames
 * @file_frame: first frame of the run in the file
 * @want: number of frames that are wanted there
 * @run: the run that was taken, at most @want frames; if @run->dirty, it must be
 *	scrubbed
 *
 * A whole GiB is preferred where it fits, and clean frames are preferred to dirty
 * ones. The run is marked as used.
 *
 * Return: false if no frame is free.
 */
bool cpr_frames_take(struct cpr_frames *f, u32 file_frame, u32 want,
		     struct cpr_run *run)
{
	if (!frames_find_free(f, file_frame, want, run))
		return false;
	cpr_frames_set(f, run->frame, run->count, CPR_FRAME_USED);
	return true;
}

/**
 * cpr_frames_find - find the next frame in a state
 * @f: the frames
 * @state: the state
 * @from: frame to begin with; set to the frame that was found
 *
 * Return: false if no frame was found.
 */
bool cpr_frames_find(const struct cpr_frames *f, enum cpr_frame_state state,
		     u32 *from)
{
	const u8 *at;

	if (!f->count[state] || *from >= f->nr)
		return false;
	at = memchr(f->state + *from, state, f->nr - *from);
	if (!at)
		return false;
	*from = at - f->state;
	return true;
}
