// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Scrubbing
 *
 * Free frames are zeroed in the background, so that no byte of a VM is ever shown
 * to another VM and a new file need not wait. The module takes all free frames for
 * dirty when it is loaded, so scrubbing goes on after a kexec.
 *
 * The same work item looks after frames that are still pinned although their file
 * is gone. Such a frame stays BUSY, and the module stays loaded, until the last pin
 * is gone. The module also stays loaded while frames of files are pinned after
 * cprfs was unmounted.
 *
 * Locking: cpr->lock, which is not held while a frame is zeroed; the state SCRUBBING
 * keeps everybody else off the frame.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/module.h>

#include "events.h"
#include "poison.h"
#include "scrub.h"

/* The kernel does not report when a pin is gone. */
#define PIN_POLL	HZ

/**
 * cpr_scrub_frame - zero a frame
 * @c: the region
 * @frame: a frame that nobody else uses; nothing is written to a frame that has failed
 */
void cpr_scrub_frame(struct cpr *c, u32 frame)
{
	if (cpr_frames_failed(&c->frames, frame))
		return;
	cpr_poison_zero(c, frame, 0, CPR_IMAGE_FRAME_SIZE);
	cpr_port_persist(cpr_region_address(&c->region, frame), CPR_IMAGE_FRAME_SIZE);
	cond_resched();
}

static bool scrub_begin(struct cpr *c, u32 *frame)
{
	guard(cpr)(c);

	*frame = 0;
	if (c->no_scrubbing || !c->formatted ||
	    !cpr_frames_find(&c->frames, CPR_FRAME_DIRTY, frame))
		return false;
	cpr_frames_set(&c->frames, *frame, 1, CPR_FRAME_SCRUBBING);
	return true;
}

static void scrub_end(struct cpr *c, u32 frame)
{
	scoped_guard(cpr, c) {
		cpr_frames_set(&c->frames, frame, 1, CPR_FRAME_CLEAN);
		WRITE_ONCE(c->scrubs, c->scrubs + 1);
		if (!c->frames.count[CPR_FRAME_DIRTY])
			cpr_event_region(c);
	}
	wake_up_all(&c->scrubbed);
}

static void scrub_release_unpinned(struct cpr *c)
{
	for (u32 i = 0; cpr_frames_find(&c->frames, CPR_FRAME_BUSY, &i); i++)
		if (!cpr_region_frame_pinned(&c->region, i)) {
			cpr_frames_set(&c->frames, i, 1, CPR_FRAME_DIRTY);
			cpr_room_release(c, i);
		}
}

/* Without a mount no file can be mapped, but pages mapped earlier may be pinned. */
static bool scrub_files_pinned(struct cpr *c)
{
	if (c->sb)
		return false;
	for (u32 i = 0; cpr_frames_find(&c->frames, CPR_FRAME_USED, &i); i++)
		if (cpr_region_frame_pinned(&c->region, i))
			return true;
	return false;
}

/**
 * cpr_scrub_pins_locked - look after pinned frames
 * @c: the region
 *
 * Keep the module loaded while frames are pinned that no mount keeps it loaded for.
 *
 * Return: whether there are such frames, so that the caller must look again.
 */
bool cpr_scrub_pins_locked(struct cpr *c)
{
	bool pinned;

	lockdep_assert_held(&c->lock);

	if (!c->formatted)
		return false;
	scrub_release_unpinned(c);
	pinned = c->frames.count[CPR_FRAME_BUSY] || scrub_files_pinned(c);
	if (pinned && !c->keeps_module) {
		__module_get(THIS_MODULE);
		c->keeps_module = true;
	} else if (!pinned && c->keeps_module) {
		/* The module's exit waits for this work item. */
		c->keeps_module = false;
		module_put(THIS_MODULE);
	}
	return pinned;
}

/**
 * cpr_scrubber - scrub all dirty frames
 * @work: cpr->scrubber
 */
void cpr_scrubber(struct work_struct *work)
{
	struct cpr *c = container_of(to_delayed_work(work), struct cpr, scrubber);
	bool again;
	u32 frame;

	scoped_guard(cpr, c)
		again = cpr_scrub_pins_locked(c);
	while (scrub_begin(c, &frame)) {
		cpr_scrub_frame(c, frame);
		scrub_end(c, frame);
	}
	if (again)
		queue_delayed_work(system_dfl_wq, &c->scrubber, PIN_POLL);
}

/**
 * cpr_scrub_kick - have dirty frames scrubbed and pinned frames looked after
 * @c: the region
 */
void cpr_scrub_kick(struct cpr *c)
{
	mod_delayed_work(system_dfl_wq, &c->scrubber, 0);
}
