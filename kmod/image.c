// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The image in a region
 *
 * How an image is opened, created and closed. Opening checks the superblock and both
 * catalogs before anything is written. If one of two copies is damaged, the other one is
 * used, and the damaged one is rewritten: a superblock at once, a catalog by the next
 * commit. An image is created on request only, and replaces an image that is there only
 * if that is forced.
 *
 * Locking: cpr->lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>

#include "events.h"
#include "image.h"
#include "poison.h"
#include "scrub.h"
#include "store.h"

static int image_refuse(const struct cpr *c, int err, const char *why)
{
	pr_err("refusing the region at %#llx: %s; nothing was written; 'cpr-helper inspect --check' shows details, 'cpr-helper format --force' on its /dev/pmemN discards the image\n",
	       c->region.start, why);
	return err;
}

static int image_check_place(struct cpr *c)
{
	struct cpr_reason why;

	if (c->geo.start == c->region.start && c->geo.size == c->region.size)
		return 0;
	snprintf(why.text, sizeof(why.text),
		 "its image is for %#llx bytes at %#llx, not for %#llx at %#llx",
		 c->geo.size, c->geo.start, c->region.size, c->region.start);
	return image_refuse(c, -EINVAL, why.text);
}

/* The scrubber works on frames without the lock. */
static void image_stop_scrubber(struct cpr *c)
{
	scoped_guard(cpr, c)
		c->no_scrubbing = true;
	cancel_delayed_work_sync(&c->scrubber);
}

static void image_start_scrubber(struct cpr *c)
{
	scoped_guard(cpr, c)
		c->no_scrubbing = false;
	cpr_scrub_kick(c);
}

static void image_forget(struct cpr *c)
{
	c->formatted = false;
	cpr_store_forget(c);
	cpr_frames_exit(&c->frames);
}

/* The tree and the frames are there; nothing fails any more. */
static void image_begin(struct cpr *c, const struct cpr_catalog *cat)
{
	cpr_poison_apply(c);
	c->generation = cat->generation;
	c->slot = cat->slot;
	c->repeated = false;
	smp_store_release(&c->committed, atomic64_read(&c->changes));
	c->formatted = true;
	pr_info("region of %llu MiB at %#llx, commit %llu by %s: %u nodes, %u VMs, %u of %u frames free\n",
		c->geo.size >> 20, c->geo.start, cat->generation, cat->kernel,
		cat->nodes, cat->vms, cpr_frames_free(&c->frames),
		cpr_frames_total(&c->frames));
}

static int image_load(struct cpr *c, const struct cpr_catalog *cat)
{
	int err = cpr_frames_init(&c->frames, &c->geo);

	if (!err)
		err = cpr_store_load(c, cat);
	if (err) {
		image_forget(c);
		return err;
	}
	image_begin(c, cat);
	return 0;
}

/* Put the pages of a range on record that cannot be read. */
static void image_probe(struct cpr *c, u64 start, u64 len)
{
	for (u64 at = start; at < start + len; at += PAGE_SIZE) {
		if (cpr_port_readable(c->region.base + at, PAGE_SIZE))
			continue;
		pr_err("memory error at %#llx, in the tables of the region\n",
		       c->region.start + at);
		if (!cpr_bad_add(&c->bad, at / PAGE_SIZE, 1))
			cpr_dirty_now(c);
	}
}

static void image_repair(struct cpr *c, const struct cpr_catalog *cat,
			 const struct cpr_reason *why)
{
	u64 super = c->geo.copies_bad & 1 ? 0 : CPR_IMAGE_SUPER_COPY, bad;
	u64 slot = c->geo.slot_offset[!cat->slot] / PAGE_SIZE;
	u64 slot_pages = c->geo.slot_size / PAGE_SIZE;

	if (c->geo.copies_bad)
		image_probe(c, super, CPR_IMAGE_BLOCK_SIZE);
	if (cat->other_damaged)
		image_probe(c, c->geo.slot_offset[!cat->slot], c->geo.slot_size);
	if (c->geo.copies_bad && !cpr_bad_find(&c->bad, super / PAGE_SIZE, 1, &bad)) {
		pr_warn("superblock copy %d did not verify and was rewritten\n",
			c->geo.copies_bad >> 1);
		cpr_image_repair(c->region.base, &c->geo);
	}
	if (cat->other_damaged && cpr_bad_find(&c->bad, slot, slot_pages, &bad))
		pr_warn("catalog slot %u is damaged: %s; it has memory errors, and slot %u is used\n",
			!cat->slot, why->text, cat->slot);
	else if (cat->other_damaged)
		pr_warn("catalog slot %u is damaged: %s; slot %u is used, and the next commit rewrites slot %u\n",
			!cat->slot, why->text, cat->slot, !cat->slot);
}

/**
 * cpr_image_open - open the image of a region
 * @c: the region, claimed
 *
 * A region without an image stays unformatted.
 *
 * Return: 0; -EUCLEAN, -EPROTONOSUPPORT or -EINVAL if the image cannot be used;
 * -ENOMEM. The reason of a refusal is in the kernel log.
 */
int cpr_image_open(struct cpr *c)
{
	struct cpr_catalog cat;
	struct cpr_reason why;
	int err;

	guard(cpr)(c);

	err = cpr_image_load(c->region.base, c->region.size, &c->geo, &why);
	if (err == -ENODATA) {
		pr_info("region of %llu MiB at %#llx is not formatted; run 'cpr-helper format'\n",
			c->region.size >> 20, c->region.start);
		return 0;
	}
	if (err)
		return image_refuse(c, err, why.text);
	err = image_check_place(c);
	if (err)
		return err;
	err = cpr_catalog_open(c->region.base, &c->geo, &cat, &why);
	if (err)
		return image_refuse(c, err, why.text);
	err = image_load(c, &cat);
	if (err)
		return err;
	image_repair(c, &cat, &why);
	cpr_scrub_kick(c);
	return 0;
}

/**
 * cpr_image_close - commit and close the image
 * @c: the region; not mounted
 */
void cpr_image_close(struct cpr *c)
{
	cpr_commit_twice(c);
	image_stop_scrubber(c);
	scoped_guard(cpr, c)
		if (c->formatted)
			image_forget(c);
	/* Last: a memory error may still start a commit while there is an image. */
	cancel_delayed_work_sync(&c->committer);
}

static int image_may_create(struct cpr *c, bool force, struct netlink_ext_ack *extack)
{
	struct cpr_geometry geo;
	struct cpr_reason why;
	u64 bad;

	if (c->sb) {
		NL_SET_ERR_MSG(extack, "cprfs is mounted; unmount it before formatting");
		return -EBUSY;
	}
	if (cpr_scrub_pins_locked(c)) {
		NL_SET_ERR_MSG(extack, "pages of the region are still pinned by a process or a device; stop it before formatting");
		return -EBUSY;
	}
	if (!cpr_image_layout(&geo, c->region.start, c->region.size, &why) &&
	    cpr_bad_find(&c->bad, 0, (u64)geo.first_frame * CPR_PAGES_PER_FRAME, &bad)) {
		NL_SET_ERR_MSG(extack, "memory of the region's tables has failed; reserve another range with memmap=SIZE!START");
		return -EIO;
	}
	if (c->formatted && !force) {
		NL_SET_ERR_MSG_FMT(extack, "the region has an image ('%s'); force discards it",
				   c->geo.label);
		return -EEXIST;
	}
	return 0;
}

/*
 * What an empty image takes. All of it is allocated before anything is written, so that an
 * image is not discarded for one that there is no memory for.
 */
struct image_parts {
	struct cpr_frames frames;
	struct cpr_node *root;
};

static int image_allocate(const struct cpr_geometry *geo, struct image_parts *parts,
			  struct netlink_ext_ack *extack)
{
	int err = cpr_frames_init(&parts->frames, geo);

	if (!err) {
		parts->root = cpr_root_alloc();
		if (parts->root)
			return 0;
		cpr_frames_exit(&parts->frames);
		err = -ENOMEM;
	}
	NL_SET_ERR_MSG(extack, "no memory; nothing was written");
	return err;
}

static void image_free(struct image_parts *parts)
{
	cpr_node_free(parts->root);
	cpr_frames_exit(&parts->frames);
}

static int image_write(struct cpr *c, const struct cpr_geometry *geo, const struct cpr_stamp *stamp,
		       struct image_parts *parts, struct netlink_ext_ack *extack)
{
	struct cpr_catalog cat;
	struct cpr_reason why;
	int err;

	if (c->formatted)
		image_forget(c);
	c->geo = *geo;
	cpr_image_format(&c->writer, c->region.base, geo, stamp);
	err = cpr_catalog_open(c->region.base, geo, &cat, &why);
	if (err) {
		NL_SET_ERR_MSG(extack, "the new image cannot be read back");
		image_free(parts);
		return err;
	}
	c->frames = parts->frames;
	cpr_store_load_empty(c, &cat, parts->root);
	image_begin(c, &cat);
	return 0;
}

static int image_create(struct cpr *c, const char *label, struct netlink_ext_ack *extack)
{
	const struct cpr_stamp stamp = {
		.time = ktime_get_real_seconds(),
		.kernel = init_utsname()->release,
	};
	struct image_parts parts;
	struct cpr_geometry geo;
	struct cpr_reason why;
	int err;

	/* cpr_region_claim() has checked the range. */
	err = cpr_image_layout(&geo, c->region.start, c->region.size, &why);
	if (err)
		return err;
	get_random_bytes(geo.uuid, sizeof(geo.uuid));
	strscpy(geo.label, label, sizeof(geo.label));
	geo.format_time = stamp.time;
	err = image_allocate(&geo, &parts, extack);
	if (err)
		return err;
	return image_write(c, &geo, &stamp, &parts, extack);
}

/**
 * cpr_image_create - format the region
 * @c: the region, claimed
 * @label: name that the operator gives the region
 * @force: replace an image that is there
 * @extack: reason of a refusal
 *
 * Return: 0; -EBUSY, -EEXIST, -EIO or -ENOMEM, and nothing has changed; -EUCLEAN.
 */
int cpr_image_create(struct cpr *c, const char *label, bool force,
		     struct netlink_ext_ack *extack)
{
	int err;

	image_stop_scrubber(c);
	scoped_guard(cpr, c) {
		err = image_may_create(c, force, extack);
		if (!err)
			err = image_create(c, label, extack);
		/* The memory is what it was. */
		if (!err && c->bad.nr)
			cpr_dirty_now(c);
		if (!err)
			cpr_event_region(c);
	}
	image_start_scrubber(c);
	return err;
}
