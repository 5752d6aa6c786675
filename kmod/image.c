// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The image in a region
 *
 * Opening one: the superblock, the catalog in force, frames, tree. Nothing is
 * written before all of it has been checked. Creating one: only on request, and
 * not over one that is there unless that is forced.
 *
 * Locking: cpr->lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>

#include "cpr_internal.h"

static int refuse(const struct cpr *c, int err, const char *why)
{
	pr_err("refusing the region at %#llx: %s; nothing was written; 'cpr-helper inspect' tells more, 'cpr-helper format --force' on its /dev/pmemN discards it\n",
	       c->region.start, why);
	return err;
}

static int check_place(struct cpr *c)
{
	struct cpr_reason why;

	if (c->geo.start == c->region.start && c->geo.size == c->region.size)
		return 0;
	snprintf(why.text, sizeof(why.text),
		 "its image is one of %#llx bytes at %#llx, not of %#llx at %#llx",
		 c->geo.size, c->geo.start, c->region.size, c->region.start);
	return refuse(c, -EINVAL, why.text);
}

static void forget(struct cpr *c)
{
	c->formatted = false;
	cpr_tree_free(c);
	cpr_frames_exit(&c->frames);
}

/* The scrubber works on frames without the lock. */
static void stop_scrubber(struct cpr *c)
{
	scoped_guard(cpr, c)
		c->no_scrubbing = true;
	cancel_delayed_work_sync(&c->scrubber);
}

static void start_scrubber(struct cpr *c)
{
	scoped_guard(cpr, c)
		c->no_scrubbing = false;
	cpr_scrub_kick(c);
}

static int load(struct cpr *c, const struct cpr_catalog *cat)
{
	int err = cpr_frames_init(&c->frames, &c->geo);

	if (!err)
		err = cpr_tree_load(c, cat);
	if (err) {
		forget(c);
		return err;
	}
	for (u32 i = c->geo.first_frame; i < c->geo.frames; i++)
		cpr_region_set_mapping(c, i, NULL, 0);
	c->generation = cat->generation;
	c->slot = cat->slot;
	c->dirty = false;
	c->formatted = true;
	return 0;
}

static void report(const struct cpr *c, const struct cpr_catalog *cat)
{
	pr_info("region of %llu MiB at %#llx, commit %llu by %s: %u nodes, %u VMs, %u of %u frames free\n",
		c->geo.size >> 20, c->geo.start, cat->generation, cat->kernel,
		cat->nodes, cat->vms, cpr_frames_free(&c->frames),
		cpr_frames_total(&c->frames));
}

/**
 * cpr_image_open - make a region's image usable
 * @c: the region, claimed
 *
 * A region without an image is left as it is, unformatted.
 *
 * Return: 0, -EUCLEAN, -EPROTONOSUPPORT or -EINVAL for an image that cannot be
 * used, -ENOMEM. Refusals are reported to the kernel log.
 */
int cpr_image_open(struct cpr *c)
{
	struct cpr_catalog cat;
	struct cpr_reason why;
	int err;

	guard(cpr)(c);

	/* Netlink is there already, and may have been faster. */
	if (c->formatted)
		return 0;
	err = cpr_image_load(c->region.base, c->region.size, &c->geo, &why);
	if (err == -ENODATA) {
		pr_info("region of %llu MiB at %#llx is not formatted; run 'cpr-helper format'\n",
			c->region.size >> 20, c->region.start);
		return 0;
	}
	if (err)
		return refuse(c, err, why.text);
	err = check_place(c);
	if (err)
		return err;
	err = cpr_catalog_open(c->region.base, &c->geo, &cat, &why);
	if (err)
		return refuse(c, err, why.text);
	err = load(c, &cat);
	if (err)
		return err;
	if (c->geo.copies_bad) {
		pr_warn("superblock copy %d did not verify and was written anew\n",
			c->geo.copies_bad >> 1);
		cpr_image_repair(c->region.base, &c->geo);
	}
	report(c, &cat);
	cpr_scrub_kick(c);
	return 0;
}

/**
 * cpr_image_close - commit what is left, and let go
 * @c: the region; not mounted
 */
void cpr_image_close(struct cpr *c)
{
	cancel_delayed_work_sync(&c->committer);
	if (c->formatted)
		cpr_commit(c);
	stop_scrubber(c);
	if (!c->formatted)
		return;
	for (u32 i = c->geo.first_frame; i < c->geo.frames; i++)
		pfn_folio(cpr_frame_pfn(c, i))->mapping = NULL;
	scoped_guard(cpr, c)
		forget(c);
}

static int may_create(struct cpr *c, bool force, struct netlink_ext_ack *extack)
{
	if (c->sb) {
		NL_SET_ERR_MSG(extack, "cprfs is mounted; unmount it before formatting");
		return -EBUSY;
	}
	if (cpr_scrub_pins_locked(c)) {
		NL_SET_ERR_MSG(extack, "pages of the region are still pinned by a process or a device; stop it before formatting");
		return -EBUSY;
	}
	if (force)
		return 0;
	if (c->formatted) {
		NL_SET_ERR_MSG_FMT(extack, "region is formatted ('%s'); force discards its content",
				   c->geo.label);
		return -EEXIST;
	}
	return 0;
}

static int create(struct cpr *c, const char *label, struct netlink_ext_ack *extack)
{
	const struct cpr_stamp stamp = {
		.time = ktime_get_real_seconds(),
		.kernel = init_utsname()->release,
	};
	struct cpr_catalog cat;
	struct cpr_reason why;
	int err;

	/* The claim has checked the range already. */
	err = cpr_image_layout(&c->geo, c->region.start, c->region.size, &why);
	if (err)
		return err;
	get_random_bytes(c->geo.uuid, sizeof(c->geo.uuid));
	strscpy(c->geo.label, label, sizeof(c->geo.label));
	c->geo.format_time = stamp.time;
	cpr_image_format(c->region.base, &c->geo, &stamp);

	err = cpr_catalog_open(c->region.base, &c->geo, &cat, &why);
	if (!err)
		err = load(c, &cat);
	if (err)
		NL_SET_ERR_MSG(extack, "the new image cannot be read back");
	else
		report(c, &cat);
	return err;
}

/**
 * cpr_image_create - format the region
 * @c: the region, claimed
 * @label: operator's name of it
 * @force: over an image that is there
 * @extack: reason of a refusal
 *
 * Return: 0, -EBUSY, -EEXIST, -EUCLEAN, -ENOMEM.
 */
int cpr_image_create(struct cpr *c, const char *label, bool force,
		     struct netlink_ext_ack *extack)
{
	int err;

	stop_scrubber(c);
	scoped_guard(cpr, c) {
		err = may_create(c, force, extack);
		if (!err && c->formatted)
			forget(c);
		if (!err)
			err = create(c, label, extack);
	}
	start_scrubber(c);
	return err;
}
