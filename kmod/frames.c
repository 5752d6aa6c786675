// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Frames
 *
 * A region is given out in frames of 2 MiB. One byte a frame says what it is;
 * the catalog says whose it is. Only clean frames reach a file: a frame that is
 * freed waits until the catalog that frees it is committed (FREED), until
 * nothing pins it (BUSY), and until it is scrubbed (DIRTY, SCRUBBING), and only
 * then is CLEAN. Whether a frame is clean is never written down: a kernel that
 * finds a region takes every free frame for dirty. That costs a pass over the
 * free memory and buys that no crash, stray write or forged image can make one
 * VM's bytes another's.
 *
 * Large files are laid at physical GiB boundaries from the bottom of the
 * region, so that they can be mapped with GiB entries; small ones come from the
 * top, so that they do not break up the GiBs.
 *
 * Locking: none here; the module holds cpr->lock.
 */
#include "frames.h"

/**
 * cpr_frames_init - take all frames for free and dirty
 * @f: the frames
 * @geo: of the region
 *
 * Return: 0 or -ENOMEM.
 */
int cpr_frames_init(struct cpr_frames *f, const struct cpr_geometry *geo)
{
	u32 misfit = (geo->start >> CPR_IMAGE_FRAME_SHIFT) % CPR_FRAMES_PER_GIB;

	memset(f, 0, sizeof(*f));
	f->state = cpr_port_zalloc(geo->frames);
	if (!f->state)
		return -ENOMEM;
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
	f->state = NULL;
}

/**
 * cpr_frames_set - change the state of a run
 * @f: the frames
 * @frame: the first
 * @count: how many
 * @state: the new state
 */
void cpr_frames_set(struct cpr_frames *f, u32 frame, u32 count,
		    enum cpr_frame_state state)
{
	for (u32 i = frame; i < frame + count; i++)
		f->count[f->state[i]]--;
	memset(f->state + frame, state, count);
	f->count[state] += count;
}

/**
 * cpr_frames_free - frames that can be had at once
 * @f: the frames
 */
u32 cpr_frames_free(const struct cpr_frames *f)
{
	return f->count[CPR_FRAME_CLEAN] + f->count[CPR_FRAME_DIRTY];
}

/**
 * cpr_frames_total - frames that files can have, used or not
 * @f: the frames
 */
u32 cpr_frames_total(const struct cpr_frames *f)
{
	return f->nr - f->count[CPR_FRAME_TABLE];
}

static u32 run_length(const struct cpr_frames *f, u32 frame, u32 most, u8 state)
{
	u32 n = 0;

	while (n < most && frame + n < f->nr && f->state[frame + n] == state)
		n++;
	return n;
}

/* A whole GiB for a part of a file that begins at one. */
static bool find_gib(const struct cpr_frames *f, u8 state, struct cpr_run *run)
{
	for (u32 i = f->align; i + CPR_FRAMES_PER_GIB <= f->nr; i += CPR_FRAMES_PER_GIB) {
		if (run_length(f, i, CPR_FRAMES_PER_GIB, state) < CPR_FRAMES_PER_GIB)
			continue;
		run->frame = i;
		run->count = CPR_FRAMES_PER_GIB;
		return true;
	}
	return false;
}

/* The topmost run that is long enough, or else the longest. */
static bool find_run(const struct cpr_frames *f, u8 state, u32 want,
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

/* Frames to the next GiB of the file: what comes before must not eat into it. */
static u32 to_next_gib(u32 file_frame)
{
	return CPR_FRAMES_PER_GIB - file_frame % CPR_FRAMES_PER_GIB;
}

static bool find_free(const struct cpr_frames *f, u32 file_frame, u32 want,
		      struct cpr_run *run)
{
	static const u8 states[] = { CPR_FRAME_CLEAN, CPR_FRAME_DIRTY };
	u32 most = min(want, to_next_gib(file_frame));

	if (most == CPR_FRAMES_PER_GIB) {
		for (int i = 0; i < 2; i++) {
			run->dirty = states[i] == CPR_FRAME_DIRTY;
			if (f->count[states[i]] >= most && find_gib(f, states[i], run))
				return true;
		}
	}
	for (int i = 0; i < 2; i++) {
		run->dirty = states[i] == CPR_FRAME_DIRTY;
		if (f->count[states[i]] && find_run(f, states[i], most, run))
			return true;
	}
	return false;
}

/**
 * cpr_frames_take - take a run of free frames
 * @f: the frames
 * @file_frame: where in the file the run will lie
 * @want: frames that are wanted from there on
 * @run: what was taken, at most @want; if @run->dirty it is not scrubbed yet
 *
 * A whole GiB is preferred where one fits, and clean frames to dirty ones. The
 * run is marked as used.
 *
 * Return: false if no frame is free.
 */
bool cpr_frames_take(struct cpr_frames *f, u32 file_frame, u32 want,
		     struct cpr_run *run)
{
	if (!find_free(f, file_frame, want, run))
		return false;
	cpr_frames_set(f, run->frame, run->count, CPR_FRAME_USED);
	return true;
}

/**
 * cpr_frames_find - find the next frame in a state
 * @f: the frames
 * @state: the state
 * @from: where to begin; moved to what was found
 *
 * Return: false if there is none.
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
