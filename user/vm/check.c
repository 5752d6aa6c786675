// SPDX-License-Identifier: GPL-2.0-only
/*
 * catalog.c reports what a reader refuses. This file adds what a reader accepts, but no
 * writer of this version writes: copies that differ, unknown record types, reserved bits
 * and bytes, and DMA to memory that is not the VM's own.
 */
#define _GNU_SOURCE
#include <stddef.h>

#include "catalog.h"
#include "vm/check.h"

/**
 * struct check - a check in progress
 * @report: given to catalog.c
 * @img: the image
 * @geo: its geometry
 * @defects: all so far
 * @place: the place that is being checked
 * @offset: of the place
 */
struct check {
	struct cpr_report report;
	const struct image *img;
	struct cpr_geometry geo;
	struct json_object *defects;
	const char *place;
	uint64_t offset;
};

static void check_add(struct check *c, const char *kind, const char *defect)
{
	struct json_object *obj = json_object_new_object();

	jset_str(obj, "kind", kind);
	jset_str(obj, "place", c->place);
	jset_int(obj, "offset", c->offset);
	jset_str(obj, "defect", defect);
	json_object_array_add(c->defects, obj);
}

static void check_report(struct cpr_report *report, const struct cpr_reason *why)
{
	check_add((struct check *)((char *)report - offsetof(struct check, report)), why->kind,
		  why->text);
}

static void check_set_place(struct check *c, const char *place, uint64_t offset)
{
	c->place = place;
	c->offset = offset;
}

/* The first byte that is not zero, or @len. */
static size_t check_find_nonzero(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	size_t i = 0;

	while (i < len && !p[i])
		i++;
	return i;
}

static void check_zero(struct check *c, const char *of, const void *bytes, size_t len)
{
	size_t at = check_find_nonzero(bytes, len);

	if (at < len)
		check_add(c, "reserved", fmt("%s: reserved byte %zu of %zu is %#x", of, at, len,
					     ((const uint8_t *)bytes)[at]));
}

/* ---- superblocks ---- */

static const void *check_super_at(const struct check *c, unsigned int copy)
{
	return (const uint8_t *)c->img->base + (copy ? CPR_IMAGE_SUPER_COPY : 0);
}

static bool check_super(struct check *c, unsigned int copy)
{
	static const char *const places[] = { "superblock", "superblock copy" };
	const struct cpr_image_super *sb = check_super_at(c, copy);
	struct cpr_reason why;

	check_set_place(c, places[copy], copy ? CPR_IMAGE_SUPER_COPY : 0);
	if (cpr_image_check_super(c->img->base, c->img->size, copy, &c->geo, &why) < 0) {
		check_add(c, why.kind, why.text);
		return false;
	}
	if (c->geo.minor == CPR_IMAGE_VERSION_MINOR)
		check_zero(c, "superblock", sb->reserved, sizeof(sb->reserved));
	return true;
}

/* Returns: whether the geometry is known. */
static bool check_supers(struct check *c)
{
	bool first = check_super(c, 0), second = check_super(c, 1);
	const uint8_t *a = check_super_at(c, 0), *b = check_super_at(c, 1);
	size_t at = 0;
	struct cpr_reason why;

	while (first && second && at < CPR_IMAGE_BLOCK_SIZE && a[at] == b[at])
		at++;
	if (first && second && at < CPR_IMAGE_BLOCK_SIZE)
		check_add(c, "super-copies", fmt("byte %zu is %#x, in the superblock %#x", at,
						 b[at], a[at]));
	return cpr_image_load(c->img->base, c->img->size, &c->geo, &why) == 0;
}

/* ---- records that verify ---- */

static void check_node(struct check *c, const struct cpr_image_node *n, size_t size, uint32_t number)
{
	uint16_t flags = le16_to_cpu(n->rec.flags) & ~CPR_IMAGE_NODE_MEMORY;
	size_t name = le16_to_cpu(n->name_len), extents = ALIGN(name, (size_t)8);
	size_t end = extents + le32_to_cpu(n->extents) * sizeof(struct cpr_image_extent);
	const char *of = fmt("node %u", number);

	if (flags)
		check_add(c, "reserved", fmt("%s: unknown flags %#x", of, flags));
	check_zero(c, of, n->name + name, extents - name);
	check_zero(c, of, n->name + end, size - sizeof(*n) - end);
}

static void check_dma(struct check *c, const struct cpr_image_dma *d)
{
	if (d->rec.flags)
		check_add(c, "reserved", fmt("DMA record: unknown flags %#x",
					     le16_to_cpu(d->rec.flags)));
	check_zero(c, "DMA record", &d->pad, sizeof(d->pad));
	for (uint32_t i = 0; i < le32_to_cpu(d->extents); i++)
		check_zero(c, fmt("DMA extent %u", i), &d->extent[i].pad, sizeof(d->extent[i].pad));
}

static void check_device(struct check *c, const struct cpr_image_device *d)
{
	uint16_t flags = le16_to_cpu(d->rec.flags) & ~CPR_IMAGE_DEVICE_SERIAL;

	if (flags)
		check_add(c, "reserved", fmt("device record: unknown flags %#x", flags));
	check_zero(c, "device record", &d->pad, sizeof(d->pad));
	check_zero(c, "device record", &d->address.pad, sizeof(d->address.pad));
	for (uint32_t i = 0; i < le32_to_cpu(d->members); i++)
		check_zero(c, fmt("group member %u", i), &d->member[i].pad,
			   sizeof(d->member[i].pad));
}

static void check_bad(struct check *c, const struct cpr_image_bad *b)
{
	if (b->rec.flags)
		check_add(c, "reserved", fmt("record of memory errors: unknown flags %#x",
					     le16_to_cpu(b->rec.flags)));
	check_zero(c, "record of memory errors", &b->pad, sizeof(b->pad));
}

static void check_record(struct check *c, const void *rec, uint32_t *nodes)
{
	const struct cpr_image_rec *head = rec;
	uint16_t type = le16_to_cpu(head->type);

	if (type == CPR_IMAGE_REC_NODE)
		check_node(c, rec, le32_to_cpu(head->size), (*nodes)++);
	else if (type == CPR_IMAGE_REC_VM)
		check_zero(c, "VM record", &((const struct cpr_image_vm *)rec)->pad, 4);
	else if (type == CPR_IMAGE_REC_DMA)
		check_dma(c, rec);
	else if (type == CPR_IMAGE_REC_DEVICE)
		check_device(c, rec);
	else if (type == CPR_IMAGE_REC_BAD)
		check_bad(c, rec);
	else
		check_add(c, "record-type", fmt("a record of unknown type %u", type));
}

static void check_reserved(struct check *c, const struct cpr_catalog *cat)
{
	const struct cpr_image_slot *h = (const void *)((const uint8_t *)c->img->base + c->offset);
	uint32_t nodes = 0;

	if (le64_to_cpu(h->inverse) != ~cat->generation)
		check_add(c, "slot-inverse", fmt("%#llx is not the complement of generation %llu",
						 (unsigned long long)le64_to_cpu(h->inverse),
						 (unsigned long long)cat->generation));
	check_zero(c, "header", &h->pad, sizeof(h->pad));
	check_zero(c, "header", h->reserved, sizeof(h->reserved));
	for (uint64_t at = 0; at < cat->length;) {
		const struct cpr_image_rec *rec = (const void *)(cat->records + at);

		check_record(c, rec, &nodes);
		at += le32_to_cpu(rec->size);
	}
}

/* ---- memory that devices reach ---- */

/* The directory whose memory file has each frame; UINT32_MAX: none. */
static uint32_t *check_owners(const struct check *c, const struct cpr_catalog *cat)
{
	uint32_t *owners = xcalloc(c->geo.frames, sizeof(*owners));
	struct cpr_catalog_entry e;
	uint64_t cursor = 0;

	memset(owners, 0xff, c->geo.frames * sizeof(*owners));
	while (cpr_catalog_next(cat, &cursor, &e)) {
		if (e.type != CPR_IMAGE_REC_NODE || !(e.node.flags & CPR_IMAGE_NODE_MEMORY))
			continue;
		for (uint32_t i = 0; i < e.node.extents; i++) {
			struct cpr_extent x = cpr_catalog_extent(&e.node, i);

			for (uint32_t f = 0; f < x.count; f++)
				owners[x.frame + f] = e.node.parent;
		}
	}
	return owners;
}

static void check_reach(struct check *c, const struct cpr_catalog_dma *dma, uint32_t dir,
			const uint32_t *owners)
{
	for (uint32_t i = 0; i < dma->extents; i++) {
		struct cpr_dma_extent e = cpr_catalog_dma_extent(dma, i);
		uint64_t first = (e.phys - c->geo.start) >> CPR_IMAGE_FRAME_SHIFT;
		uint64_t last = (e.phys - c->geo.start + e.length - 1) >> CPR_IMAGE_FRAME_SHIFT;

		if (e.class != CPR_IMAGE_DMA_REGION)
			continue;
		while (first <= last && owners[first] == dir)
			first++;
		if (first <= last)
			check_add(c, "dma-owner",
				  fmt("DMA at iova %#llx leads to frame %llu, which is no memory of node %u",
				      (unsigned long long)e.iova, (unsigned long long)first, dir));
	}
}

static void check_dma_owners(struct check *c, const struct cpr_catalog *cat)
{
	_cleanup_free_ uint32_t *owners = check_owners(c, cat);
	struct cpr_catalog_entry e;
	uint64_t cursor = 0;
	uint32_t dir = 0;

	while (cpr_catalog_next(cat, &cursor, &e)) {
		if (e.type == CPR_IMAGE_REC_VM)
			dir = e.vm.node;
		else if (e.type == CPR_IMAGE_REC_DMA)
			check_reach(c, &e.dma, dir, owners);
	}
}

/* ---- slots ---- */

static int check_slot(struct check *c, unsigned int slot)
{
	struct cpr_catalog cat;
	struct cpr_reason why;
	int r;

	check_set_place(c, slot ? "slot 1" : "slot 0", c->geo.slot_offset[slot]);
	r = cpr_catalog_report(c->img->base, &c->geo, slot, &c->report);
	if (r < 0 || cpr_catalog_check(c->img->base, &c->geo, slot, &cat, &why) < 0)
		return r;
	if (c->geo.minor == CPR_IMAGE_VERSION_MINOR)
		check_reserved(c, &cat);
	check_dma_owners(c, &cat);
	return 0;
}

static int check_slots(struct check *c)
{
	struct cpr_catalog cat;
	struct cpr_reason why;
	int r = 0;

	for (unsigned int i = 0; i < CPR_IMAGE_SLOTS && r == 0; i++)
		r = check_slot(c, i);
	/* Every other reason why it cannot be opened is a defect of a slot. */
	if (r == 0 && cpr_catalog_open(c->img->base, &c->geo, &cat, &why) < 0 &&
	    streq(why.kind, "slot-generation"))
		check_add(c, why.kind, why.text);
	return r;
}

struct json_object *image_check(const struct image *img)
{
	struct check c = {
		.report.defect = check_report,
		.img = img,
		.defects = json_object_new_array(),
	};
	int r = 0;

	if (!cpr_image_tables(img->size)) {
		check_set_place(&c, "superblock", 0);
		check_add(&c, "super-size", fmt("%llu bytes are too few for an image",
						(unsigned long long)img->size));
	} else if (check_supers(&c)) {
		r = check_slots(&c);
	}
	if (r == 0)
		return c.defects;
	json_object_put(c.defects);
	return NULL;
}
