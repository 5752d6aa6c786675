// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Scrubbing
 *
 * Free frames are zeroed in the background, so that a byte of one VM is never
 * shown to another and a new file need not wait. A kernel that finds a region
 * begins with all free frames dirty, which is how scrubbing survives kexec.
 *
 * The same worker looks after frames that outlive their file because somebody
 * still pins them: they stay BUSY, and the module stays loaded, until the last
 * pin is gone. The same holds for frames of files once cprfs is unmounted.
 *
 * Locking: cpr->lock, not held while a frame is zeroed; SCRUBBING keeps
 * everybody else off it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/module.h>

#include "cpr_internal.h"

/* Pins have no event that tells when they go. */
#define PIN_POLL	HZ

/**
 * cpr_scrub_frame - zero a frame
 * @c: the region
 * @frame: a frame that nobody else uses
 */
void cpr_scrub_frame(struct cpr *c, u32 frame)
{
	void *at = cpr_frame_address(c, frame);

	for (size_t i = 0; i < CPR_IMAGE_FRAME_SIZE; i += PAGE_SIZE)
		clear_page(at + i);
	cpr_port_persist(at, CPR_IMAGE_FRAME_SIZE);
	cond_resched();
}

static bool begin_scrub(struct cpr *c, u32 *frame)
{
	guard(cpr)(c);

	*frame = 0;
	if (c->no_scrubbing || !c->formatted ||
	    !cpr_frames_find(&c->frames, CPR_FRAME_DIRTY, frame))
		return false;
	cpr_frames_set(&c->frames, *frame, 1, CPR_FRAME_SCRUBBING);
	return true;
}

static void end_scrub(struct cpr *c, u32 frame)
{
	bool done;

	scoped_guard(cpr, c) {
		cpr_frames_set(&c->frames, frame, 1, CPR_FRAME_CLEAN);
		done = !c->frames.count[CPR_FRAME_DIRTY];
		WRITE_ONCE(c->scrubs, c->scrubs + 1);
	}
	wake_up_all(&c->scrubbed);
	if (done)
		cpr_netlink_notify_region(c);
}

static void release_unpinned(struct cpr *c)
{
	lockdep_assert_held(&c->lock);

	for (u32 i = 0; cpr_frames_find(&c->frames, CPR_FRAME_BUSY, &i); i++)
		if (!cpr_region_frame_pinned(c, i))
			cpr_frames_set(&c->frames, i, 1, CPR_FRAME_DIRTY);
}

/* Files cannot be mapped without a mount, but what they were may be pinned. */
static bool files_pinned(struct cpr *c)
{
	lockdep_assert_held(&c->lock);

	if (c->sb)
		return false;
	for (u32 i = 0; cpr_frames_find(&c->frames, CPR_FRAME_USED, &i); i++)
		if (cpr_region_frame_pinned(c, i))
			return true;
	return false;
}

/**
 * cpr_scrub_pins_locked - look after frames that somebody pins
 * @c: the region
 *
 * While there are some that no mount keeps the module for, this does.
 *
 * Return: whether they must be looked at again.
 */
bool cpr_scrub_pins_locked(struct cpr *c)
{
	bool pinned;

	lockdep_assert_held(&c->lock);

	if (!c->formatted)
		return false;
	release_unpinned(c);
	pinned = c->frames.count[CPR_FRAME_BUSY] || files_pinned(c);
	if (pinned && !c->keeps_module) {
		__module_get(THIS_MODULE);
		c->keeps_module = true;
	} else if (!pinned && c->keeps_module) {
		/* cpr_image_close() waits for this worker. */
		c->keeps_module = false;
		module_put(THIS_MODULE);
	}
	return pinned;
}

/**
 * cpr_scrubber - scrub all there is
 * @work: cpr->scrubber
 */
void cpr_scrubber(struct work_struct *work)
{
	struct cpr *c = container_of(to_delayed_work(work), struct cpr, scrubber);
	bool again;
	u32 frame;

	scoped_guard(cpr, c)
		again = cpr_scrub_pins_locked(c);
	while (begin_scrub(c, &frame)) {
		cpr_scrub_frame(c, frame);
		end_scrub(c, frame);
	}
	if (again)
		queue_delayed_work(system_dfl_wq, &c->scrubber, PIN_POLL);
}

/**
 * cpr_scrub_kick - there may be something to scrub, or to look after
 * @c: the region
 */
void cpr_scrub_kick(struct cpr *c)
{
	mod_delayed_work(system_dfl_wq, &c->scrubber, 0);
}
