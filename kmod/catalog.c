// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The persistent tables of a region
 *
 * Encoding, decoding, checking and committing of superblock and catalog. The file is
 * pure C. It is compiled into the module, which does not trust what an earlier kernel
 * left; into cpr-helper, which shows images offline; and into the unit tests, which
 * damage images.
 *
 * A reader looks first whether the memory of a block can be read at all, because memory
 * errors are fatal otherwise. Then it checks everything once, in the order magic,
 * version, checksum, bounds, cross-references. Afterwards it walks the records without
 * further checks. The writer marks the slot that is not current as unfinished, encodes
 * into it, and makes it current by one store. So after a crash at any instruction, the
 * last committed catalog is current, and damage is not taken for a commit that was cut
 * off.
 *
 * Locking: none here. Nobody else may write to the region during a commit; the module
 * serialises commits with cpr->lock.
 */
#include "catalog.h"

#define CPR_MODE_PERMS 07777

_Static_assert(sizeof(struct cpr_image_super) == CPR_IMAGE_BLOCK_SIZE, "");
_Static_assert(sizeof(struct cpr_image_slot) == CPR_IMAGE_BLOCK_SIZE, "");
_Static_assert(sizeof(struct cpr_image_node) == 88, "");
_Static_assert(sizeof(struct cpr_image_extent) == 12, "");
_Static_assert(sizeof(struct cpr_image_vm) == 128, "");
_Static_assert(sizeof(struct cpr_image_dma) == 16, "");
_Static_assert(sizeof(struct cpr_image_dma_extent) == 32, "");
_Static_assert(sizeof(struct cpr_image_device) == 48, "");
_Static_assert(sizeof(struct cpr_image_pci) == 8, "");
_Static_assert(sizeof(struct cpr_image_bad) == 16, "");
_Static_assert(sizeof(struct cpr_image_bad_run) == 16, "");

_Static_assert(sizeof(CPR_IMAGE_SLOT_UNFINISHED) - 1 == CPR_IMAGE_MAGIC_LEN, "");

static const u8 catalog_zeros[CPR_IMAGE_DIGEST_LEN];

__printf(4, 5)
static int catalog_refuse(struct cpr_reason *why, int err, const char *kind,
			  const char *fmt, ...)
{
	va_list ap;

	why->kind = kind;
	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return err;
}

static u64 catalog_pad8(u64 n)
{
	return ALIGN(n, (u64)8);
}

static u64 catalog_bad_size(u32 runs)
{
	return sizeof(struct cpr_image_bad) + (u64)runs * sizeof(struct cpr_image_bad_run);
}

/* ---- layout and superblock ---- */

/**
 * cpr_image_layout - divide a region into tables and frames
 * @geo: filled in; the caller adds identity, label and time
 * @start: physical address, 2 MiB aligned
 * @size: bytes, a multiple of 2 MiB
 * @why: reason of a refusal
 *
 * Return: 0, or -EINVAL if such a region cannot have an image.
 */
int cpr_image_layout(struct cpr_geometry *geo, u64 start, u64 size,
		     struct cpr_reason *why)
{
	u64 frames = size >> CPR_IMAGE_FRAME_SHIFT;
	/* Frames for names, plus room for an extent for each frame. */
	u64 slot_frames = min(1 + frames / 512, (u64)CPR_IMAGE_SLOT_NAME_FRAMES) +
			  frames * sizeof(struct cpr_image_extent) / CPR_IMAGE_FRAME_SIZE;

	if (!IS_ALIGNED(start | size, (u64)CPR_IMAGE_FRAME_SIZE))
		return catalog_refuse(why, -EINVAL, "super-layout",
				      "region %#llx bytes at %#llx is not aligned to 2 MiB",
				      (unsigned long long)size, (unsigned long long)start);
	if (frames < CPR_IMAGE_MIN_FRAMES || frames > CPR_IMAGE_MAX_FRAMES)
		return catalog_refuse(why, -EINVAL, "super-layout",
				      "region of %llu MiB is outside of 16 MiB to 256 TiB",
				      (unsigned long long)(size >> 20));
	if (start + size < start)
		return catalog_refuse(why, -EINVAL, "super-layout",
				      "region at %#llx wraps around", (unsigned long long)start);

	memset(geo, 0, sizeof(*geo));
	geo->start = start;
	geo->size = size;
	geo->frames = frames;
	geo->slot_size = slot_frames << CPR_IMAGE_FRAME_SHIFT;
	geo->slot_offset[0] = CPR_IMAGE_FRAME_SIZE;
	geo->slot_offset[1] = geo->slot_offset[0] + geo->slot_size;
	geo->first_frame = 1 + CPR_IMAGE_SLOTS * slot_frames;
	geo->major = CPR_IMAGE_VERSION_MAJOR;
	geo->minor = CPR_IMAGE_VERSION_MINOR;
	return 0;
}

static void catalog_encode_super(struct cpr_image_super *sb,
				 const struct cpr_geometry *geo)
{
	memset(sb, 0, sizeof(*sb));
	memcpy(sb->magic, CPR_IMAGE_SUPER_MAGIC, CPR_IMAGE_MAGIC_LEN);
	sb->major = cpu_to_le16(geo->major);
	sb->minor = cpu_to_le16(geo->minor);
	sb->frame_shift = cpu_to_le32(CPR_IMAGE_FRAME_SHIFT);
	sb->incompat = cpu_to_le64(geo->incompat);
	memcpy(sb->uuid, geo->uuid, sizeof(sb->uuid));
	sb->region_start = cpu_to_le64(geo->start);
	sb->region_size = cpu_to_le64(geo->size);
	for (int i = 0; i < CPR_IMAGE_SLOTS; i++)
		sb->slot_offset[i] = cpu_to_le64(geo->slot_offset[i]);
	sb->slot_size = cpu_to_le64(geo->slot_size);
	sb->data_offset = cpu_to_le64((u64)geo->first_frame << CPR_IMAGE_FRAME_SHIFT);
	sb->format_time = cpu_to_le64(geo->format_time);
	memcpy(sb->label, geo->label, sizeof(sb->label));
	sb->crc = cpu_to_le32(cpr_port_crc32c(sb, offsetof(struct cpr_image_super, crc)));
}

static void *catalog_super_at(const void *base, unsigned int copy)
{
	return (u8 *)base + (copy ? CPR_IMAGE_SUPER_COPY : 0);
}

static void catalog_write_word(void *dst, const void *src)
{
	cpr_port_write_word(dst, src);
	cpr_port_persist(dst, sizeof(u64));
}

static void catalog_write_super(void *dst, const struct cpr_image_super *sb)
{
	cpr_port_write(dst, sb, sizeof(*sb));
	cpr_port_persist(dst, sizeof(*sb));
}

/**
 * cpr_image_format - write an empty image
 * @w: a writer; its content does not matter
 * @base: the region, mapped
 * @geo: from cpr_image_layout(), with identity, label and time added
 * @stamp: kernel and time of the format
 *
 * An earlier image is invalidated first, and the superblock is written last. So a crash
 * leaves the earlier image, or the new one, or a region that cpr_image_load() takes
 * for damaged or for not formatted.
 */
void cpr_image_format(struct cpr_catalog_writer *w, void *base,
		      const struct cpr_geometry *geo, const struct cpr_stamp *stamp)
{
	static const u8 blank[CPR_IMAGE_MAGIC_LEN];
	const struct cpr_catalog_node root = {
		.ino = CPR_IMAGE_ROOT_INO,
		.mode = S_IFDIR | 0711,
		.atime.sec = stamp->time,
		.mtime.sec = stamp->time,
		.ctime.sec = stamp->time,
	};

	for (unsigned int copy = 0; copy < CPR_IMAGE_SUPERS; copy++)
		catalog_write_word(catalog_super_at(base, copy), blank);
	for (unsigned int slot = 0; slot < CPR_IMAGE_SLOTS; slot++) {
		cpr_catalog_begin(w, base, geo, slot);
		cpr_catalog_put_node(w, &root);
		cpr_catalog_commit(w, 1 + slot, CPR_IMAGE_ROOT_INO + 1, stamp);
	}
	catalog_encode_super(&w->block.super, geo);
	for (unsigned int copy = CPR_IMAGE_SUPERS; copy--;)
		catalog_write_super(catalog_super_at(base, copy), &w->block.super);
}

/**
 * cpr_image_repair - rewrite the superblock that did not verify
 * @base: the region, mapped
 * @geo: from cpr_image_load(); @geo->copies_bad has one of the two superblocks
 *
 * The good superblock is copied as it is: it may have fields that this code does not
 * know.
 */
void cpr_image_repair(void *base, const struct cpr_geometry *geo)
{
	unsigned int bad = geo->copies_bad & 1 ? 0 : 1;

	catalog_write_super(catalog_super_at(base, bad), catalog_super_at(base, !bad));
}

/**
 * cpr_image_check_super - check one of the two superblocks
 * @base: the region, or the image of one
 * @avail: bytes of the range that has the region
 * @copy: 0 for the superblock, 1 for its copy
 * @geo: filled in
 * @why: reason of a refusal
 *
 * Return: 0, -ENODATA if there is no superblock, -EPROTONOSUPPORT if this code does not
 * know its version or features, -EUCLEAN if it is damaged.
 */
int cpr_image_check_super(const void *base, u64 avail, unsigned int copy,
			  struct cpr_geometry *geo, struct cpr_reason *why)
{
	const struct cpr_image_super *sb = catalog_super_at(base, copy);
	struct cpr_reason layout;
	struct cpr_geometry expect;
	u64 unknown;

	if (!cpr_port_readable(sb, sizeof(*sb)))
		return catalog_refuse(why, -EUCLEAN, "super-unreadable",
				      "superblock is in memory that has failed");
	if (memcmp(sb->magic, CPR_IMAGE_SUPER_MAGIC, CPR_IMAGE_MAGIC_LEN))
		return catalog_refuse(why, -ENODATA, "super-magic", "no superblock");
	/* Before the version: a damaged block is not a block of another version. */
	if (le32_to_cpu(sb->crc) !=
	    cpr_port_crc32c(sb, offsetof(struct cpr_image_super, crc)))
		return catalog_refuse(why, -EUCLEAN, "super-checksum",
				      "superblock checksum is wrong");
	if (le16_to_cpu(sb->major) != CPR_IMAGE_VERSION_MAJOR)
		return catalog_refuse(why, -EPROTONOSUPPORT, "super-version",
				      "image version %u.%u, this code reads %u.x",
				      le16_to_cpu(sb->major), le16_to_cpu(sb->minor),
				      CPR_IMAGE_VERSION_MAJOR);
	unknown = le64_to_cpu(sb->incompat) & ~(u64)CPR_IMAGE_INCOMPAT_KNOWN;
	if (unknown)
		return catalog_refuse(why, -EPROTONOSUPPORT, "super-features",
				      "image has unknown incompatible features %#llx",
				      (unsigned long long)unknown);
	if (le32_to_cpu(sb->frame_shift) != CPR_IMAGE_FRAME_SHIFT)
		return catalog_refuse(why, -EPROTONOSUPPORT, "super-features",
				      "image has frames of 2^%u bytes, this code knows 2^%u",
				      le32_to_cpu(sb->frame_shift), CPR_IMAGE_FRAME_SHIFT);
	if (le64_to_cpu(sb->region_size) > avail)
		return catalog_refuse(why, -EUCLEAN, "super-size",
				      "image has %llu bytes, but only %llu are available",
				      (unsigned long long)le64_to_cpu(sb->region_size),
				      (unsigned long long)avail);
	/* The layout follows from the size, so compare it instead of trusting it. */
	if (cpr_image_layout(&expect, le64_to_cpu(sb->region_start),
			     le64_to_cpu(sb->region_size), &layout))
		return catalog_refuse(why, -EUCLEAN, layout.kind, "superblock: %.160s",
				      layout.text);
	for (int i = 0; i < CPR_IMAGE_SLOTS; i++)
		if (le64_to_cpu(sb->slot_offset[i]) != expect.slot_offset[i])
			return catalog_refuse(why, -EUCLEAN, "super-layout",
					      "superblock puts slot %d at %#llx, not %#llx", i,
					      (unsigned long long)le64_to_cpu(sb->slot_offset[i]),
					      (unsigned long long)expect.slot_offset[i]);
	if (le64_to_cpu(sb->slot_size) != expect.slot_size ||
	    le64_to_cpu(sb->data_offset) >> CPR_IMAGE_FRAME_SHIFT != expect.first_frame)
		return catalog_refuse(why, -EUCLEAN, "super-layout",
				      "superblock has slots of %#llx bytes and data at %#llx",
				      (unsigned long long)le64_to_cpu(sb->slot_size),
				      (unsigned long long)le64_to_cpu(sb->data_offset));

	*geo = expect;
	geo->minor = le16_to_cpu(sb->minor);
	geo->incompat = le64_to_cpu(sb->incompat);
	geo->format_time = le64_to_cpu(sb->format_time);
	memcpy(geo->uuid, sb->uuid, sizeof(geo->uuid));
	memcpy(geo->label, sb->label, sizeof(sb->label));
	return 0;
}

/* The layout of a region as large as can be in a range of @avail bytes. */
static int catalog_largest_layout(struct cpr_geometry *geo, u64 avail, struct cpr_reason *why)
{
	u64 most = (u64)CPR_IMAGE_MAX_FRAMES << CPR_IMAGE_FRAME_SHIFT;

	return cpr_image_layout(geo, 0, min(avail, most) & ~(u64)(CPR_IMAGE_FRAME_SIZE - 1), why);
}

/**
 * cpr_image_tables - bytes from the start of a range that cpr_image_load() reads
 * @avail: bytes of the range
 *
 * Return: up to the end of the header of the second slot; 0 if the range is too small
 * for an image.
 */
u64 cpr_image_tables(u64 avail)
{
	struct cpr_geometry geo;
	struct cpr_reason discard;

	if (catalog_largest_layout(&geo, avail, &discard))
		return 0;
	return geo.slot_offset[CPR_IMAGE_SLOTS - 1] + CPR_IMAGE_BLOCK_SIZE;
}

/* Without a superblock: a catalog says that there was one. */
static int catalog_look_for_slots(const void *base, u64 avail, struct cpr_reason *why)
{
	struct cpr_geometry geo;
	int err = catalog_largest_layout(&geo, avail, why);

	if (err)
		return err;
	for (int i = 0; i < CPR_IMAGE_SLOTS; i++)
		if (cpr_port_readable((const u8 *)base + geo.slot_offset[i], CPR_IMAGE_MAGIC_LEN) &&
		    !memcmp((const u8 *)base + geo.slot_offset[i], CPR_IMAGE_SLOT_MAGIC,
			    CPR_IMAGE_MAGIC_LEN))
			return catalog_refuse(why, -EUCLEAN, "super-magic",
					      "no superblock, but a catalog at %#llx",
					      (unsigned long long)geo.slot_offset[i]);
	return catalog_refuse(why, -ENODATA, "super-magic", "no superblock");
}

/**
 * cpr_image_load - find and check the superblock
 * @base: the region, or the image of one
 * @avail: bytes of the range; the first cpr_image_tables() of them are readable
 * @geo: filled in; @geo->copies_bad has the superblock that does not verify, or a copy
 *	that differs from the superblock
 * @why: reason of a refusal
 *
 * Nothing is written. If the first superblock is of a newer version, the second is
 * not tried: it may be left over from an older image.
 *
 * Return: 0, -ENODATA if there is no image, -EPROTONOSUPPORT if this code does
 * not know its version or features, -EUCLEAN if it is damaged.
 */
int cpr_image_load(const void *base, u64 avail, struct cpr_geometry *geo,
		   struct cpr_reason *why)
{
	struct cpr_reason second;
	int err, second_err;

	if (!cpr_image_tables(avail))
		return catalog_refuse(why, -ENODATA, "super-size",
				      "%llu bytes are too few for an image",
				      (unsigned long long)avail);

	err = cpr_image_check_super(base, avail, 0, geo, why);
	if (err == -EPROTONOSUPPORT)
		return err;
	if (!err) {
		if (!cpr_port_readable(catalog_super_at(base, 1), CPR_IMAGE_BLOCK_SIZE) ||
		    memcmp(base, catalog_super_at(base, 1), CPR_IMAGE_BLOCK_SIZE))
			geo->copies_bad = 2;
		return 0;
	}
	second_err = cpr_image_check_super(base, avail, 1, geo, &second);
	if (!second_err) {
		geo->copies_bad = 1;
		return 0;
	}
	/* Report the most that either of the two says: a version, damage, nothing. */
	if (second_err == -EPROTONOSUPPORT || err == -ENODATA) {
		*why = second;
		err = second_err;
	}
	return err == -ENODATA ? catalog_look_for_slots(base, avail, why) : err;
}

/* ---- reading the catalog ---- */

static void catalog_decode_node(const struct cpr_image_node *n,
				struct cpr_catalog_node *node)
{
	node->ino = le64_to_cpu(n->ino);
	node->size = le64_to_cpu(n->size);
	node->atime.sec = le64_to_cpu(n->atime.sec);
	node->atime.nsec = le32_to_cpu(n->atime.nsec);
	node->mtime.sec = le64_to_cpu(n->mtime.sec);
	node->mtime.nsec = le32_to_cpu(n->mtime.nsec);
	node->ctime.sec = le64_to_cpu(n->ctime.sec);
	node->ctime.nsec = le32_to_cpu(n->ctime.nsec);
	node->parent = le32_to_cpu(n->parent);
	node->mode = le32_to_cpu(n->mode);
	node->uid = le32_to_cpu(n->uid);
	node->gid = le32_to_cpu(n->gid);
	node->flags = le16_to_cpu(n->rec.flags);
	node->extents = le32_to_cpu(n->extents);
	node->room_frames = le32_to_cpu(n->room_frames);
	node->room_names = le16_to_cpu(n->room_names);
	node->name_len = le16_to_cpu(n->name_len);
	node->name = (const char *)n->name;
	node->extent_table = (const void *)(n->name + catalog_pad8(node->name_len));
}

static void catalog_decode_vm(const struct cpr_image_vm *v, struct cpr_catalog_vm *vm)
{
	vm->node = le32_to_cpu(v->node);
	vm->state = le32_to_cpu(v->state);
	vm->since.sec = le64_to_cpu(v->since.sec);
	vm->since.nsec = le32_to_cpu(v->since.nsec);
	vm->kernel = (const char *)v->kernel;
	vm->digests.flags = le16_to_cpu(v->rec.flags);
	memcpy(vm->digests.manifest, v->manifest_digest, sizeof(v->manifest_digest));
	memcpy(vm->digests.ram, v->ram_digest, sizeof(v->ram_digest));
}

static void catalog_decode_dma(const struct cpr_image_dma *d, struct cpr_catalog_dma *dma)
{
	dma->extents = le32_to_cpu(d->extents);
	dma->table = d->extent;
}

static struct cpr_pci catalog_decode_pci(const struct cpr_image_pci *p)
{
	return (struct cpr_pci){
		.segment = le32_to_cpu(p->segment),
		.bus = p->bus,
		.devfn = p->devfn,
	};
}

static void catalog_decode_device(const struct cpr_image_device *d,
				  struct cpr_catalog_device *dev)
{
	dev->address = catalog_decode_pci(&d->address);
	dev->vendor = le16_to_cpu(d->vendor);
	dev->device = le16_to_cpu(d->device);
	dev->subsystem_vendor = le16_to_cpu(d->subsystem_vendor);
	dev->subsystem_device = le16_to_cpu(d->subsystem_device);
	dev->class = le32_to_cpu(d->class);
	dev->has_serial = le16_to_cpu(d->rec.flags) & CPR_IMAGE_DEVICE_SERIAL;
	dev->serial = le64_to_cpu(d->serial);
	dev->dma = le32_to_cpu(d->dma);
	dev->members = le32_to_cpu(d->members);
	dev->table = d->member;
}

static void catalog_decode_bad(const struct cpr_image_bad *b, struct cpr_catalog_bad *bad)
{
	bad->runs = le32_to_cpu(b->runs);
	bad->table = b->run;
}

/* Return: false for a record of an unknown type. */
static bool catalog_decode_entry(const void *rec, struct cpr_catalog_entry *entry)
{
	switch (entry->type) {
	case CPR_IMAGE_REC_NODE:
		catalog_decode_node(rec, &entry->node);
		return true;
	case CPR_IMAGE_REC_VM:
		catalog_decode_vm(rec, &entry->vm);
		return true;
	case CPR_IMAGE_REC_DMA:
		catalog_decode_dma(rec, &entry->dma);
		return true;
	case CPR_IMAGE_REC_DEVICE:
		catalog_decode_device(rec, &entry->device);
		return true;
	case CPR_IMAGE_REC_BAD:
		catalog_decode_bad(rec, &entry->bad);
		return true;
	default:
		return false;
	}
}

/**
 * cpr_catalog_next - read the next record
 * @cat: a catalog that was checked
 * @cursor: 0 to begin; updated
 * @entry: filled in
 *
 * Records of unknown types are skipped.
 *
 * Return: false at the end.
 */
bool cpr_catalog_next(const struct cpr_catalog *cat, u64 *cursor,
		      struct cpr_catalog_entry *entry)
{
	while (*cursor < cat->length) {
		const struct cpr_image_rec *rec = (const void *)(cat->records + *cursor);

		*cursor += le32_to_cpu(rec->size);
		entry->type = le16_to_cpu(rec->type);
		if (catalog_decode_entry(rec, entry))
			return true;
	}
	return false;
}

/**
 * cpr_catalog_extent - one extent of a node
 * @node: from cpr_catalog_next()
 * @i: below @node->extents
 */
struct cpr_extent cpr_catalog_extent(const struct cpr_catalog_node *node, u32 i)
{
	const struct cpr_image_extent *e = &node->extent_table[i];

	return (struct cpr_extent){
		.file_frame = le32_to_cpu(e->file_frame),
		.frame = le32_to_cpu(e->frame),
		.count = le32_to_cpu(e->count),
	};
}

/**
 * cpr_catalog_dma_extent - one extent of a DMA record
 * @dma: from cpr_catalog_next()
 * @i: below @dma->extents
 */
struct cpr_dma_extent cpr_catalog_dma_extent(const struct cpr_catalog_dma *dma, u32 i)
{
	const struct cpr_image_dma_extent *e = &dma->table[i];

	return (struct cpr_dma_extent){
		.iova = le64_to_cpu(e->iova),
		.phys = le64_to_cpu(e->phys),
		.length = le64_to_cpu(e->length),
		.class = le32_to_cpu(e->class),
	};
}

/**
 * cpr_catalog_member - one member of a device's IOMMU group
 * @dev: from cpr_catalog_next()
 * @i: below @dev->members
 */
struct cpr_pci cpr_catalog_member(const struct cpr_catalog_device *dev, u32 i)
{
	return catalog_decode_pci(&dev->table[i]);
}

/**
 * cpr_catalog_bad_run - one run of pages that have memory errors
 * @bad: from cpr_catalog_next()
 * @i: below @bad->runs
 */
struct cpr_bad_run cpr_catalog_bad_run(const struct cpr_catalog_bad *bad, u32 i)
{
	return (struct cpr_bad_run){
		.page = le64_to_cpu(bad->table[i].page),
		.count = le64_to_cpu(bad->table[i].count),
	};
}

/* ---- checking the catalog ---- */

/**
 * struct catalog_checker - state of a check
 * @geo: geometry of the region
 * @why: reason of a refusal
 * @report: receives every defect, and the check goes on after each; or NULL
 * @undecoded: records that could not be decoded, after a defect
 * @used: bitmap of the frames that belong to a file
 * @dirs: bitmap of the nodes that are directories
 * @top: bitmap of the nodes that are directories of the root
 * @inos: of the nodes so far
 * @max_nodes: bits in @dirs and @top, entries in @inos
 * @nodes: node records so far
 * @vms: VM records so far
 * @dmas: DMA records of the last VM so far
 * @devices: device records of the last VM so far
 * @addresses: of these devices
 * @max_devices: entries in @addresses
 * @memory_names: what the names of memory files of one directory count so far
 * @prev: the previous node
 * @prev_vm: node of the previous VM
 * @bads: records of memory errors so far
 */
struct catalog_checker {
	const struct cpr_geometry *geo;
	struct cpr_reason *why;
	struct cpr_report *report;
	u32 undecoded;
	unsigned long *used;
	unsigned long *dirs;
	unsigned long *top;
	u64 *inos;
	u32 max_nodes;
	u32 nodes;
	u32 vms;
	u32 dmas;
	u32 devices;
	u64 *addresses;
	u32 max_devices;
	u32 memory_names;
	struct cpr_catalog_node prev;
	u32 prev_vm;
	u32 bads;
};

#define BAD(c, kind, fmt, ...) \
	catalog_refuse((c)->why, -EUCLEAN, kind, fmt, ##__VA_ARGS__)

/* A check for a report goes on after a defect. */
static int catalog_defect(struct catalog_checker *c, int err)
{
	if (err != -EUCLEAN || !c->report)
		return err;
	c->report->defect(c->report, c->why);
	return 0;
}

static bool catalog_name_is_valid(const struct cpr_catalog_node *n)
{
	if (!n->name_len || n->name_len > CPR_IMAGE_NAME_MAX)
		return false;
	if (n->name[0] == '.' &&
	    (n->name_len == 1 || (n->name_len == 2 && n->name[1] == '.')))
		return false;
	return !memchr(n->name, '/', n->name_len) && !memchr(n->name, 0, n->name_len);
}

static bool catalog_comes_after(const struct cpr_catalog_node *a,
				const struct cpr_catalog_node *b)
{
	int cmp;

	if (a->parent != b->parent)
		return a->parent > b->parent;
	cmp = memcmp(a->name, b->name, min(a->name_len, b->name_len));
	return cmp > 0 || (cmp == 0 && a->name_len > b->name_len);
}

static int catalog_check_extents(struct catalog_checker *c, const struct cpr_catalog_node *n)
{
	u64 end = 0;

	for (u32 i = 0; i < n->extents; i++) {
		struct cpr_extent e = cpr_catalog_extent(n, i);
		u64 last = (u64)e.file_frame + e.count;

		if (!e.count || e.file_frame < end || last > U32_MAX)
			return BAD(c, "extent-order",
				   "node %u: extent %u covers frames %u+%u of the file",
				   c->nodes, i, e.file_frame, e.count);
		if (e.frame < c->geo->first_frame ||
		    (u64)e.frame + e.count > c->geo->frames)
			return BAD(c, "extent-outside",
				   "node %u: extent %u is frames %u+%u, outside of %u to %u",
				   c->nodes, i, e.frame, e.count,
				   c->geo->first_frame, c->geo->frames);
		for (u32 f = e.frame; f < e.frame + e.count; f++)
			if (__test_and_set_bit(f, c->used))
				return BAD(c, "extent-shared",
					   "node %u: frame %u belongs to two extents",
					   c->nodes, f);
		end = last;
	}
	return 0;
}

static int catalog_check_place(struct catalog_checker *c, const struct cpr_catalog_node *n)
{
	u32 i = c->nodes;

	if (!i) {
		if (n->parent || n->name_len || !S_ISDIR(n->mode) ||
		    n->ino != CPR_IMAGE_ROOT_INO)
			return BAD(c, "node-root", "node 0 is not a root directory");
		return 0;
	}
	if (n->parent >= i || !test_bit(n->parent, c->dirs))
		return BAD(c, "node-parent",
			   "node %u: its parent %u is not a directory before it",
			   i, n->parent);
	if (!catalog_name_is_valid(n))
		return BAD(c, "node-name", "node %u: bad name of %u bytes", i, n->name_len);
	if (i > 1 && !catalog_comes_after(n, &c->prev))
		return BAD(c, "node-order",
			   "node %u: out of order, or its name is used twice", i);
	return 0;
}

static int catalog_check_attributes(struct catalog_checker *c, const struct cpr_catalog_node *n)
{
	u32 i = c->nodes, type = n->mode & ~CPR_MODE_PERMS;

	if (type != S_IFDIR && type != S_IFREG)
		return BAD(c, "node-mode",
			   "node %u: mode %#o is neither directory nor file", i, n->mode);
	if (type == S_IFDIR && (n->size || n->extents))
		return BAD(c, "node-size", "node %u: a directory with data", i);
	if (n->size > (u64)U32_MAX << CPR_IMAGE_FRAME_SHIFT)
		return BAD(c, "node-size", "node %u: size %llu is too large", i,
			   (unsigned long long)n->size);
	if (n->atime.nsec >= NSEC_PER_SEC || n->mtime.nsec >= NSEC_PER_SEC ||
	    n->ctime.nsec >= NSEC_PER_SEC)
		return BAD(c, "node-time", "node %u: more than a second of nanoseconds", i);
	return 0;
}

static int catalog_check_room(struct catalog_checker *c, const struct cpr_catalog_node *n)
{
	bool may = c->nodes && !n->parent && S_ISDIR(n->mode);

	if (!n->room_names && !n->room_frames)
		return 0;
	if (!may || !n->room_names || n->room_frames > c->geo->frames - c->geo->first_frame)
		return BAD(c, "node-room",
			   "node %u: a room of %u frames and %u names, which it cannot have",
			   c->nodes, n->room_frames, n->room_names);
	return 0;
}

static int catalog_check_memory_names(struct catalog_checker *c,
				      const struct cpr_catalog_node *n)
{
	/* The nodes of a directory follow each other. */
	if (n->parent != c->prev.parent)
		c->memory_names = 0;
	if (n->flags & CPR_IMAGE_NODE_MEMORY)
		c->memory_names += cpr_catalog_memory_name_size(n->name_len);
	if (c->memory_names > CPR_IMAGE_MEMORY_NAMES_MAX)
		return BAD(c, "node-names",
			   "node %u: the names of memory files in node %u count %u, more than %u",
			   c->nodes, n->parent, c->memory_names, CPR_IMAGE_MEMORY_NAMES_MAX);
	return 0;
}

static int catalog_check_node(struct catalog_checker *c,
			      const struct cpr_image_node *rec, u32 size)
{
	struct cpr_catalog_node n;
	int err;

	if (c->vms)
		return BAD(c, "record-place", "node %u comes after a VM", c->nodes);
	if (size < sizeof(*rec) || c->nodes == c->max_nodes)
		return BAD(c, "record-size", "node %u: record of %u bytes", c->nodes, size);
	catalog_decode_node(rec, &n);
	if (size != catalog_pad8(sizeof(*rec) + catalog_pad8(n.name_len) +
				 (u64)n.extents * sizeof(struct cpr_image_extent)))
		return BAD(c, "record-size",
			   "node %u: record of %u bytes for a name of %u and %u extents",
			   c->nodes, size, n.name_len, n.extents);

	err = catalog_defect(c, catalog_check_place(c, &n));
	if (!err)
		err = catalog_defect(c, catalog_check_attributes(c, &n));
	if (!err)
		err = catalog_defect(c, catalog_check_extents(c, &n));
	if (!err)
		err = catalog_defect(c, catalog_check_room(c, &n));
	if (!err)
		err = catalog_defect(c, catalog_check_memory_names(c, &n));
	if (err)
		return err;

	if (S_ISDIR(n.mode)) {
		__set_bit(c->nodes, c->dirs);
		if (c->nodes && !n.parent)
			__set_bit(c->nodes, c->top);
	}
	c->inos[c->nodes++] = n.ino;
	c->prev = n;
	return 0;
}

static int catalog_compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* The last VM must not have a device twice. */
static int catalog_check_addresses(struct catalog_checker *c)
{
	sort(c->addresses, c->devices, sizeof(*c->addresses), catalog_compare_u64, NULL);
	for (u32 i = 1; i < c->devices; i++) {
		u64 at = c->addresses[i];

		if (at == c->addresses[i - 1])
			return BAD(c, "device-twice",
				   "VM %u: device %04x:%02x:%02x.%x is listed twice",
				   c->vms - 1, (u32)(at >> 16), (u32)(at >> 8 & 0xff),
				   (u32)(at >> 3 & 0x1f), (u32)(at & 7));
	}
	return 0;
}

static bool catalog_digest_fits(const u8 *digest, bool claimed)
{
	return claimed == !!memcmp(digest, catalog_zeros, CPR_IMAGE_DIGEST_LEN);
}

/* Only a VM whose files cannot change may have digests of them. */
static int catalog_check_digests(struct catalog_checker *c, const struct cpr_catalog_vm *vm)
{
	const struct cpr_digests *d = &vm->digests;

	if (d->flags & ~CPR_IMAGE_VM_FLAGS_KNOWN)
		return BAD(c, "vm-flags", "VM %u: unknown flags %#x", c->vms,
			   d->flags & ~CPR_IMAGE_VM_FLAGS_KNOWN);
	if (!catalog_digest_fits(d->manifest, d->flags & CPR_IMAGE_VM_MANIFEST_DIGEST))
		return BAD(c, "vm-digest",
			   "VM %u: flags %#x do not fit the digest of its manifest",
			   c->vms, d->flags);
	if (!catalog_digest_fits(d->ram, d->flags & CPR_IMAGE_VM_RAM_DIGEST))
		return BAD(c, "vm-digest",
			   "VM %u: flags %#x do not fit the digest of its memory",
			   c->vms, d->flags);
	if (d->flags && vm->state != CPR_IMAGE_VM_SEALED &&
	    vm->state != CPR_IMAGE_VM_RESTORING)
		return BAD(c, "vm-digest", "VM %u: digests in state %u", c->vms, vm->state);
	return 0;
}

static int catalog_check_vm_state(struct catalog_checker *c, const struct cpr_image_vm *rec,
				  const struct cpr_catalog_vm *vm)
{
	if (vm->node >= c->nodes || !test_bit(vm->node, c->top))
		return BAD(c, "vm-node", "VM %u: node %u is not a directory of the root",
			   c->vms, vm->node);
	if (c->vms && vm->node <= c->prev_vm)
		return BAD(c, "vm-node", "VM %u: node %u is out of order", c->vms, vm->node);
	if (vm->state < CPR_IMAGE_VM_RUNNING || vm->state > CPR_IMAGE_VM_RESTORING)
		return BAD(c, "vm-state", "VM %u: unknown state %u", c->vms, vm->state);
	if (vm->since.nsec >= NSEC_PER_SEC || rec->kernel[CPR_IMAGE_KERNEL_LEN - 1])
		return BAD(c, "vm-text", "VM %u: malformed time or kernel release", c->vms);
	return 0;
}

static int catalog_check_vm(struct catalog_checker *c, const struct cpr_image_vm *rec, u32 size)
{
	int err = catalog_defect(c, catalog_check_addresses(c));
	struct cpr_catalog_vm vm;

	if (err)
		return err;
	if (size != sizeof(*rec))
		return BAD(c, "record-size", "VM %u: record of %u bytes", c->vms, size);
	catalog_decode_vm(rec, &vm);
	err = catalog_defect(c, catalog_check_vm_state(c, rec, &vm));
	if (!err)
		err = catalog_defect(c, catalog_check_digests(c, &vm));
	if (err)
		return err;
	c->prev_vm = vm.node;
	c->vms++;
	c->dmas = 0;
	c->devices = 0;
	return 0;
}

/* @end: end of the previous extent; updated. */
static int catalog_check_dma_extent(struct catalog_checker *c,
				    const struct cpr_dma_extent *e, u64 *end)
{
	const struct cpr_geometry *geo = c->geo;
	u64 data = geo->start + ((u64)geo->first_frame << CPR_IMAGE_FRAME_SHIFT);
	u64 region_end = geo->start + geo->size;
	bool inside = e->phys >= data && e->phys + e->length <= region_end;
	bool outside = e->phys >= region_end || e->phys + e->length <= geo->start;

	if (!e->length || !IS_ALIGNED(e->iova | e->phys | e->length, (u64)CPR_IMAGE_DMA_PAGE) ||
	    e->iova + e->length <= e->iova || e->phys + e->length <= e->phys ||
	    e->iova < *end)
		return BAD(c, "dma-extent",
			   "VM %u: DMA of %#llx bytes at iova %#llx is bad or out of order",
			   c->vms - 1, (unsigned long long)e->length,
			   (unsigned long long)e->iova);
	if (e->class < CPR_IMAGE_DMA_REGION || e->class > CPR_IMAGE_DMA_RAM)
		return BAD(c, "dma-class",
			   "VM %u: DMA of unknown class %u", c->vms - 1, e->class);
	if (e->class == CPR_IMAGE_DMA_REGION ? !inside : !outside)
		return BAD(c, "dma-class",
			   "VM %u: DMA at iova %#llx leads to %#llx, which is not of class %u",
			   c->vms - 1, (unsigned long long)e->iova,
			   (unsigned long long)e->phys, e->class);
	*end = e->iova + e->length;
	return 0;
}

static int catalog_check_dma(struct catalog_checker *c, const struct cpr_image_dma *rec, u32 size)
{
	struct cpr_catalog_dma dma;
	u64 end = 0;
	int err = 0;

	if (!c->vms)
		return BAD(c, "record-place", "a DMA record that follows no VM");
	if (c->devices)
		return BAD(c, "record-place",
			   "VM %u: a DMA record after a device", c->vms - 1);
	c->dmas++;
	if (size < sizeof(*rec))
		return BAD(c, "record-size",
			   "VM %u: DMA record of %u bytes", c->vms - 1, size);
	catalog_decode_dma(rec, &dma);
	if (size != cpr_catalog_dma_size(dma.extents))
		return BAD(c, "record-size", "VM %u: DMA record of %u bytes for %u extents",
			   c->vms - 1, size, dma.extents);
	for (u32 i = 0; i < dma.extents && !err; i++) {
		struct cpr_dma_extent e = cpr_catalog_dma_extent(&dma, i);

		err = catalog_check_dma_extent(c, &e, &end);
	}
	return err;
}

static bool catalog_is_own_member(const struct cpr_catalog_device *dev)
{
	u64 own = cpr_pci_key(&dev->address);

	for (u32 i = 0; i < dev->members; i++) {
		struct cpr_pci member = cpr_catalog_member(dev, i);

		if (cpr_pci_key(&member) == own)
			return true;
	}
	return false;
}

static int catalog_check_device(struct catalog_checker *c,
				const struct cpr_image_device *rec, u32 size)
{
	struct cpr_catalog_device dev;

	if (!c->vms)
		return BAD(c, "record-place", "a device record that follows no VM");
	if (size < sizeof(*rec) || c->devices == c->max_devices)
		return BAD(c, "record-size",
			   "VM %u: device record of %u bytes", c->vms - 1, size);
	catalog_decode_device(rec, &dev);
	if (size != cpr_catalog_device_size(dev.members))
		return BAD(c, "record-size",
			   "VM %u: device record of %u bytes for a group of %u",
			   c->vms - 1, size, dev.members);
	if (c->devices == CPR_IMAGE_DEVICES_MAX)
		return BAD(c, "device-group", "VM %u: more than %u devices", c->vms - 1,
			   CPR_IMAGE_DEVICES_MAX);
	if (dev.members > CPR_IMAGE_GROUP_MAX)
		return BAD(c, "device-group",
			   "VM %u: a device has a group of %u, more than %u", c->vms - 1,
			   dev.members, CPR_IMAGE_GROUP_MAX);
	if (dev.dma >= c->dmas)
		return BAD(c, "device-dma",
			   "VM %u: a device has DMA record %u of %u", c->vms - 1,
			   dev.dma, c->dmas);
	if (!catalog_is_own_member(&dev))
		return BAD(c, "device-group",
			   "VM %u: a device is not in its own IOMMU group of %u",
			   c->vms - 1, dev.members);
	c->addresses[c->devices++] = cpr_pci_key(&dev.address);
	return 0;
}

static int catalog_check_bad_runs(struct catalog_checker *c, const struct cpr_catalog_bad *bad)
{
	u64 pages = (u64)c->geo->frames * CPR_PAGES_PER_FRAME, end = 0;

	for (u32 i = 0; i < bad->runs; i++) {
		struct cpr_bad_run run = cpr_catalog_bad_run(bad, i);

		if (!run.count || (i && run.page <= end))
			return BAD(c, "bad-order",
				   "memory errors: run %u of %llu pages at page %llu is empty or out of order",
				   i, (unsigned long long)run.count, (unsigned long long)run.page);
		if (run.page >= pages || run.count > pages - run.page)
			return BAD(c, "bad-outside",
				   "memory errors: run %u of %llu pages at page %llu is outside of the region",
				   i, (unsigned long long)run.count, (unsigned long long)run.page);
		end = run.page + run.count;
	}
	return 0;
}

static int catalog_check_bad(struct catalog_checker *c, const struct cpr_image_bad *rec, u32 size)
{
	struct cpr_catalog_bad bad;

	if (c->bads++)
		return BAD(c, "record-place", "a second record of memory errors");
	if (size < sizeof(*rec))
		return BAD(c, "record-size", "memory errors: record of %u bytes", size);
	catalog_decode_bad(rec, &bad);
	if (!bad.runs || bad.runs > CPR_IMAGE_BAD_MAX || size != catalog_bad_size(bad.runs))
		return BAD(c, "record-size", "memory errors: record of %u bytes for %u runs",
			   size, bad.runs);
	return catalog_check_bad_runs(c, &bad);
}

static int catalog_check_record(struct catalog_checker *c, const void *rec, u32 size)
{
	unsigned int type = le16_to_cpu(((const struct cpr_image_rec *)rec)->type);

	if (c->bads && type != CPR_IMAGE_REC_BAD && type <= CPR_IMAGE_REC_BAD)
		return BAD(c, "record-place", "a record of type %u after the memory errors", type);
	switch (type) {
	case CPR_IMAGE_REC_NODE:
		return catalog_check_node(c, rec, size);
	case CPR_IMAGE_REC_VM:
		return catalog_check_vm(c, rec, size);
	case CPR_IMAGE_REC_DMA:
		return catalog_check_dma(c, rec, size);
	case CPR_IMAGE_REC_DEVICE:
		return catalog_check_device(c, rec, size);
	case CPR_IMAGE_REC_BAD:
		return catalog_check_bad(c, rec, size);
	default:
		return 0;
	}
}

/* Keep the numbers of the other records right. */
static void catalog_skip_record(struct catalog_checker *c, const struct cpr_image_rec *rec)
{
	c->undecoded++;
	if (le16_to_cpu(rec->type) == CPR_IMAGE_REC_NODE && !c->vms && c->nodes < c->max_nodes)
		c->nodes++;
}

static int catalog_check_records(struct catalog_checker *c, const u8 *records, u64 length)
{
	int err = 0;

	for (u64 at = 0; at < length && !err;) {
		const struct cpr_image_rec *rec = (const void *)(records + at);
		u64 left = length - at;
		u32 size;

		if (left < sizeof(*rec))
			return BAD(c, "record-size", "record at %llu is cut short",
				   (unsigned long long)at);
		size = le32_to_cpu(rec->size);
		if (size < sizeof(*rec) || size > left || !IS_ALIGNED(size, 8u))
			return BAD(c, "record-size",
				   "record at %llu has size %u, %llu bytes are left",
				   (unsigned long long)at, size, (unsigned long long)left);
		err = catalog_check_record(c, rec, size);
		if (err) {
			catalog_skip_record(c, rec);
			err = catalog_defect(c, err);
		}
		at += size;
	}
	return err;
}

static int catalog_check_inos(struct catalog_checker *c, u64 next_ino)
{
	sort(c->inos, c->nodes, sizeof(*c->inos), catalog_compare_u64, NULL);
	for (u32 i = 1; i < c->nodes; i++)
		if (c->inos[i] == c->inos[i - 1])
			return BAD(c, "node-ino", "inode number %llu is used twice",
				   (unsigned long long)c->inos[i]);
	/* The root has the lowest number. */
	if (c->inos[0] != CPR_IMAGE_ROOT_INO || c->inos[c->nodes - 1] >= next_ino)
		return BAD(c, "node-ino", "inode numbers from %llu to %llu, the next is %llu",
			   (unsigned long long)c->inos[0],
			   (unsigned long long)c->inos[c->nodes - 1],
			   (unsigned long long)next_ino);
	return 0;
}

static int catalog_check_totals(struct catalog_checker *c, const struct cpr_catalog *cat)
{
	if (!c->nodes || c->nodes != cat->nodes || c->vms != cat->vms)
		return BAD(c, "slot-count", "%u nodes and %u VMs, the header says %u and %u",
			   c->nodes, c->vms, cat->nodes, cat->vms);
	return catalog_check_inos(c, cat->next_ino);
}

static int catalog_check_all(struct catalog_checker *c, const struct cpr_catalog *cat)
{
	int err = catalog_check_records(c, cat->records, cat->length);

	if (err)
		return catalog_defect(c, err);
	err = catalog_defect(c, catalog_check_addresses(c));
	if (err || c->undecoded)
		return err;
	return catalog_defect(c, catalog_check_totals(c, cat));
}

static int catalog_check_with_scratch(struct catalog_checker *c, const struct cpr_catalog *cat)
{
	int err = -ENOMEM;

	c->max_nodes = cat->length / sizeof(struct cpr_image_node) + 1;
	c->used = cpr_port_zalloc(BITS_TO_LONGS(c->geo->frames) * sizeof(long));
	c->dirs = cpr_port_zalloc(BITS_TO_LONGS(c->max_nodes) * sizeof(long));
	c->top = cpr_port_zalloc(BITS_TO_LONGS(c->max_nodes) * sizeof(long));
	c->inos = cpr_port_zalloc(c->max_nodes * sizeof(u64));
	c->max_devices = cat->length / sizeof(struct cpr_image_device) + 1;
	c->addresses = cpr_port_zalloc(c->max_devices * sizeof(u64));
	if (c->used && c->dirs && c->top && c->inos && c->addresses)
		err = catalog_check_all(c, cat);
	else
		catalog_refuse(c->why, err, "", "no memory to check the catalog");
	cpr_port_free(c->addresses);
	cpr_port_free(c->inos);
	cpr_port_free(c->top);
	cpr_port_free(c->dirs);
	cpr_port_free(c->used);
	return err;
}

static const struct cpr_image_slot *catalog_slot_at(const void *base,
						    const struct cpr_geometry *geo,
						    unsigned int slot)
{
	return (const void *)((const u8 *)base + geo->slot_offset[slot]);
}

static int catalog_decode_header(const struct cpr_image_slot *h,
				 const struct cpr_geometry *geo, struct cpr_catalog *cat,
				 struct cpr_reason *why)
{
	if (!cpr_port_readable(h, sizeof(*h)))
		return catalog_refuse(why, -EUCLEAN, "slot-unreadable",
				      "header is in memory that has failed");
	if (!memcmp(h->magic, CPR_IMAGE_SLOT_UNFINISHED, CPR_IMAGE_MAGIC_LEN))
		return catalog_refuse(why, -ENODATA, "slot-unfinished",
				      "a commit was cut off");
	if (memcmp(h->magic, CPR_IMAGE_SLOT_MAGIC, CPR_IMAGE_MAGIC_LEN))
		return catalog_refuse(why, -EUCLEAN, "slot-magic", "no catalog header");
	if (le32_to_cpu(h->crc) !=
	    cpr_port_crc32c(h, offsetof(struct cpr_image_slot, crc)))
		return catalog_refuse(why, -EUCLEAN, "slot-checksum",
				      "header checksum is wrong");
	cat->generation = le64_to_cpu(h->generation);
	cat->length = le64_to_cpu(h->length);
	cat->nodes = le32_to_cpu(h->nodes);
	cat->vms = le32_to_cpu(h->vms);
	cat->next_ino = le64_to_cpu(h->next_ino);
	cat->commit_time = le64_to_cpu(h->commit_time);
	memcpy(cat->kernel, h->kernel, sizeof(h->kernel));
	cat->kernel[CPR_IMAGE_KERNEL_LEN] = 0;
	cat->records = (const u8 *)h + CPR_IMAGE_BLOCK_SIZE;
	if (cat->length > geo->slot_size - CPR_IMAGE_BLOCK_SIZE)
		return catalog_refuse(why, -EUCLEAN, "slot-range",
				      "%llu bytes of records do not fit",
				      (unsigned long long)cat->length);
	if (cat->generation >= CPR_IMAGE_COUNTER_END || cat->next_ino >= CPR_IMAGE_COUNTER_END)
		return catalog_refuse(why, -EUCLEAN, "slot-range",
				      "generation %llu or next inode number %llu is not below 2^62",
				      (unsigned long long)cat->generation,
				      (unsigned long long)cat->next_ino);
	return 0;
}

static int catalog_check_records_crc(const struct cpr_image_slot *h,
				     const struct cpr_catalog *cat, struct cpr_reason *why)
{
	if (!cpr_port_readable(cat->records, cat->length))
		return catalog_refuse(why, -EUCLEAN, "slot-unreadable",
				      "records are in memory that has failed");
	if (le32_to_cpu(h->records_crc) == cpr_port_crc32c(cat->records, cat->length))
		return 0;
	return catalog_refuse(why, -EUCLEAN, "slot-records",
			      "checksum of the records is wrong");
}

/**
 * cpr_catalog_check - check all bytes of a slot
 * @base: the region, or the image of one
 * @geo: from cpr_image_load()
 * @slot: below CPR_IMAGE_SLOTS
 * @cat: filled in
 * @why: reason of a refusal
 *
 * Return: 0, -ENODATA if a commit into the slot was cut off, -EUCLEAN if the slot is
 * damaged, -ENOMEM.
 */
int cpr_catalog_check(const void *base, const struct cpr_geometry *geo,
		      unsigned int slot, struct cpr_catalog *cat,
		      struct cpr_reason *why)
{
	const struct cpr_image_slot *h = catalog_slot_at(base, geo, slot);
	struct catalog_checker c = { .geo = geo, .why = why };
	int err;

	memset(cat, 0, sizeof(*cat));
	cat->slot = slot;
	err = catalog_decode_header(h, geo, cat, why);
	if (!err)
		err = catalog_check_records_crc(h, cat, why);
	if (!err)
		err = catalog_check_with_scratch(&c, cat);
	return err;
}

/**
 * cpr_catalog_report - report everything that is wrong with a slot
 * @base: the region, or the image of one
 * @geo: from cpr_image_load()
 * @slot: below CPR_IMAGE_SLOTS
 * @report: receives each defect
 *
 * Return: 0 or -ENOMEM.
 */
int cpr_catalog_report(const void *base, const struct cpr_geometry *geo,
		       unsigned int slot, struct cpr_report *report)
{
	const struct cpr_image_slot *h = catalog_slot_at(base, geo, slot);
	struct cpr_reason why;
	struct catalog_checker c = { .geo = geo, .why = &why, .report = report };
	struct cpr_catalog cat = { .slot = slot };

	/* Only a header that verifies says what the records are. */
	if (catalog_decode_header(h, geo, &cat, &why)) {
		report->defect(report, &why);
		return 0;
	}
	catalog_defect(&c, catalog_check_records_crc(h, &cat, &why));
	return catalog_check_with_scratch(&c, &cat);
}

/*
 * Did a slot that does not verify have the content of a valid one? A header whose
 * checksum is wrong is no evidence alone, but the bytes of the records are. Then one of
 * length and checksum suffices, because the damage may be in the other.
 */
static bool catalog_has_content(const struct cpr_image_slot *bad, bool header_valid,
				const struct cpr_image_slot *good)
{
	bool length = bad->length == good->length;
	bool crc = bad->records_crc == good->records_crc;

	if (header_valid)
		return length && crc && bad->next_ino == good->next_ino;
	return (length || crc) &&
	       cpr_port_readable(bad + 1, le64_to_cpu(good->length)) &&
	       !memcmp(bad + 1, good + 1, le64_to_cpu(good->length));
}

/* Does a catalog list a page of the region as bad? */
static bool catalog_lists(const struct cpr_catalog *cat, u64 page)
{
	struct cpr_catalog_entry entry;
	u64 cursor = 0;

	while (cpr_catalog_next(cat, &cursor, &entry)) {
		if (entry.type != CPR_IMAGE_REC_BAD)
			continue;
		for (u32 i = 0; i < entry.bad.runs; i++) {
			struct cpr_bad_run run = cpr_catalog_bad_run(&entry.bad, i);

			if (page >= run.page && page - run.page < run.count)
				return true;
		}
	}
	return false;
}

/* Is one slot current, although the other one is damaged? */
static bool catalog_is_current(const void *base, const struct cpr_geometry *geo,
			       const struct cpr_catalog *cat)
{
	const struct cpr_image_slot *good = catalog_slot_at(base, geo, cat->slot);
	const struct cpr_image_slot *bad = catalog_slot_at(base, geo, !cat->slot);
	struct cpr_reason discard;
	struct cpr_catalog other;
	bool valid, known;

	/* Nothing is written to a slot after its header is known to be bad. */
	if (catalog_lists(cat, geo->slot_offset[!cat->slot] / CPR_IMAGE_BLOCK_SIZE))
		return true;
	if (!cpr_port_readable(bad, sizeof(*bad)))
		return false;
	valid = !catalog_decode_header(bad, geo, &other, &discard);
	known = valid || bad->generation == ~bad->inverse;
	if (known && le64_to_cpu(bad->generation) < cat->generation)
		return true;
	return catalog_has_content(bad, valid, good);
}

/**
 * cpr_catalog_open - find the current catalog
 * @base: the region, or the image of one
 * @geo: from cpr_image_load()
 * @cat: filled in
 * @why: reason of a refusal; if @cat->other_damaged, what is wrong with the other slot
 *
 * &struct cpr_image_slot has the rules. A slot that may have been current and is damaged
 * is never answered with the other slot, which may be older.
 *
 * Return: 0, -EUCLEAN if the current catalog is damaged, -ENOMEM.
 */
int cpr_catalog_open(const void *base, const struct cpr_geometry *geo,
		     struct cpr_catalog *cat, struct cpr_reason *why)
{
	struct cpr_catalog slot[CPR_IMAGE_SLOTS];
	struct cpr_reason reason[CPR_IMAGE_SLOTS];
	int err[CPR_IMAGE_SLOTS];
	unsigned int current_slot;

	for (int i = 0; i < CPR_IMAGE_SLOTS; i++) {
		err[i] = cpr_catalog_check(base, geo, i, &slot[i], &reason[i]);
		if (err[i] == -ENOMEM) {
			*why = reason[i];
			return -ENOMEM;
		}
	}
	if (err[0] && err[1])
		return catalog_refuse(why, -EUCLEAN, reason[0].kind,
				      "no catalog verifies: slot 0: %.92s; slot 1: %.92s",
				      reason[0].text, reason[1].text);
	if (!err[0] && !err[1] && slot[0].generation == slot[1].generation)
		return catalog_refuse(why, -EUCLEAN, "slot-generation",
				      "both catalogs claim generation %llu",
				      (unsigned long long)slot[0].generation);
	current_slot = err[0] || (!err[1] && slot[1].generation > slot[0].generation);
	*cat = slot[current_slot];
	if (err[!current_slot] != -EUCLEAN)
		return 0;
	*why = reason[!current_slot];
	cat->other_damaged = true;
	if (catalog_is_current(base, geo, cat))
		return 0;
	return catalog_refuse(why, -EUCLEAN, reason[!current_slot].kind,
			      "slot %u is damaged: %.92s; slot %u has generation %llu, which may be older",
			      !current_slot, reason[!current_slot].text, current_slot,
			      (unsigned long long)cat->generation);
}

/**
 * cpr_catalog_is_repeated - do both slots have the same content?
 * @base: the region, mapped
 * @geo: its geometry; both slots are valid
 */
bool cpr_catalog_is_repeated(const void *base, const struct cpr_geometry *geo)
{
	return catalog_has_content(catalog_slot_at(base, geo, 0), true,
				   catalog_slot_at(base, geo, 1));
}

/* ---- writing the catalog ---- */

/**
 * cpr_catalog_node_size - bytes of a node record without its extents
 * @name_len: bytes of its name
 */
u64 cpr_catalog_node_size(u16 name_len)
{
	/* With the padding that may follow the extents. */
	return sizeof(struct cpr_image_node) + catalog_pad8(name_len) + 8;
}

/**
 * cpr_catalog_dma_size - bytes of a DMA record
 * @extents: number of extents
 */
u64 cpr_catalog_dma_size(u32 extents)
{
	return sizeof(struct cpr_image_dma) +
	       (u64)extents * sizeof(struct cpr_image_dma_extent);
}

/**
 * cpr_catalog_device_size - bytes of a device record
 * @members: devices in its IOMMU group
 */
u64 cpr_catalog_device_size(u32 members)
{
	return sizeof(struct cpr_image_device) +
	       (u64)members * sizeof(struct cpr_image_pci);
}

/**
 * cpr_catalog_capacity - bytes of a slot for nodes, VMs and their devices
 * @geo: geometry of the region
 *
 * The rest of the slot has room for an extent for each frame, and for the record of memory
 * errors. So a catalog within the capacity can always be committed.
 */
u64 cpr_catalog_capacity(const struct cpr_geometry *geo)
{
	return geo->slot_size - CPR_IMAGE_BLOCK_SIZE - catalog_bad_size(CPR_IMAGE_BAD_MAX) -
	       (u64)geo->frames * sizeof(struct cpr_image_extent);
}

/**
 * cpr_catalog_begin - begin a commit
 * @w: the writer
 * @base: the region, mapped
 * @geo: its geometry
 * @slot: the slot that is not current
 *
 * From here on, the old content of the slot is lost. The writer keeps the first error,
 * and cpr_catalog_commit() returns it.
 */
void cpr_catalog_begin(struct cpr_catalog_writer *w, void *base,
		       const struct cpr_geometry *geo, unsigned int slot)
{
	memset(w, 0, sizeof(*w));
	w->slot = (u8 *)base + geo->slot_offset[slot];
	catalog_write_word(w->slot, CPR_IMAGE_SLOT_UNFINISHED);
	w->capacity = geo->slot_size - CPR_IMAGE_BLOCK_SIZE;
	w->open = U64_MAX;
}

/**
 * cpr_catalog_abandon - make a slot invalid that is not used any more
 * @base: the region, mapped
 * @geo: its geometry
 * @slot: the slot, not the current one
 * @block: block of the slot that is written to: 0, the header, or 1, the first record
 *
 * What has failed may become readable again. Then the slot must not be taken for current
 * when a commit into the other one was cut off.
 */
void cpr_catalog_abandon(void *base, const struct cpr_geometry *geo, unsigned int slot,
			 unsigned int block)
{
	catalog_write_word((u8 *)base + geo->slot_offset[slot] + block * CPR_IMAGE_BLOCK_SIZE,
			   CPR_IMAGE_SLOT_UNFINISHED);
}

/**
 * cpr_catalog_limit - use the front of the slot only
 * @w: the writer, after cpr_catalog_begin()
 * @room: bytes of the slot, from its header on; more than the header has
 */
void cpr_catalog_limit(struct cpr_catalog_writer *w, u64 room)
{
	w->capacity = min(w->capacity, room - CPR_IMAGE_BLOCK_SIZE);
}

static void *catalog_record_at(struct cpr_catalog_writer *w, u64 at)
{
	return w->slot + CPR_IMAGE_BLOCK_SIZE + at;
}

static void catalog_append(struct cpr_catalog_writer *w, const void *data, u64 len)
{
	if (!w->error && len > w->capacity - w->length)
		w->error = -ENOSPC;
	if (w->error || !len)
		return;
	cpr_port_write(catalog_record_at(w, w->length), data, len);
	w->length += len;
}

static void catalog_flush_extent(struct cpr_catalog_writer *w)
{
	struct cpr_image_extent e = {
		.file_frame = cpu_to_le32(w->last.file_frame),
		.frame = cpu_to_le32(w->last.frame),
		.count = cpu_to_le32(w->last.count),
	};

	if (!w->last.count)
		return;
	catalog_append(w, &e, sizeof(e));
	w->node.extents = cpu_to_le32(le32_to_cpu(w->node.extents) + 1);
	w->last.count = 0;
}

static void catalog_close_node(struct cpr_catalog_writer *w)
{
	if (w->open == U64_MAX)
		return;
	catalog_flush_extent(w);
	catalog_append(w, catalog_zeros, catalog_pad8(w->length) - w->length);
	if (w->error)
		return;
	w->node.rec.size = cpu_to_le32(w->length - w->open);
	cpr_port_write(catalog_record_at(w, w->open), &w->node, sizeof(w->node));
	w->open = U64_MAX;
}

static struct cpr_image_time catalog_encode_time(struct cpr_time t)
{
	return (struct cpr_image_time){
		.sec = cpu_to_le64(t.sec),
		.nsec = cpu_to_le32(t.nsec),
	};
}

/**
 * cpr_catalog_put_node - add a node
 * @w: the writer
 * @node: in the order that struct cpr_image_node requires; its extents follow
 *	by cpr_catalog_put_frames()
 */
void cpr_catalog_put_node(struct cpr_catalog_writer *w,
			  const struct cpr_catalog_node *node)
{
	catalog_close_node(w);
	memset(&w->node, 0, sizeof(w->node));
	w->node.rec.type = cpu_to_le16(CPR_IMAGE_REC_NODE);
	w->node.rec.flags = cpu_to_le16(node->flags);
	w->node.parent = cpu_to_le32(node->parent);
	w->node.mode = cpu_to_le32(node->mode);
	w->node.uid = cpu_to_le32(node->uid);
	w->node.gid = cpu_to_le32(node->gid);
	w->node.ino = cpu_to_le64(node->ino);
	w->node.size = cpu_to_le64(node->size);
	w->node.atime = catalog_encode_time(node->atime);
	w->node.mtime = catalog_encode_time(node->mtime);
	w->node.ctime = catalog_encode_time(node->ctime);
	w->node.name_len = cpu_to_le16(node->name_len);
	w->node.room_frames = cpu_to_le32(node->room_frames);
	w->node.room_names = cpu_to_le16(node->room_names);
	w->open = w->length;
	w->nodes++;
	catalog_append(w, &w->node, sizeof(w->node));
	catalog_append(w, node->name, node->name_len);
	catalog_append(w, catalog_zeros, catalog_pad8(node->name_len) - node->name_len);
}

/**
 * cpr_catalog_put_frames - add frames to the last node
 * @w: the writer
 * @ext: a run; merged with the last run if it continues that
 */
void cpr_catalog_put_frames(struct cpr_catalog_writer *w,
			    const struct cpr_extent *ext)
{
	if (w->last.count &&
	    w->last.file_frame + w->last.count == ext->file_frame &&
	    w->last.frame + w->last.count == ext->frame) {
		w->last.count += ext->count;
		return;
	}
	catalog_flush_extent(w);
	w->last = *ext;
}

/**
 * cpr_catalog_put_vm - add a VM
 * @w: the writer
 * @vm: after all nodes, in ascending order of @vm->node
 */
void cpr_catalog_put_vm(struct cpr_catalog_writer *w,
			const struct cpr_catalog_vm *vm)
{
	struct cpr_image_vm rec = {
		.rec.type = cpu_to_le16(CPR_IMAGE_REC_VM),
		.rec.flags = cpu_to_le16(vm->digests.flags),
		.rec.size = cpu_to_le32(sizeof(rec)),
		.node = cpu_to_le32(vm->node),
		.state = cpu_to_le32(vm->state),
		.since = catalog_encode_time(vm->since),
	};

	catalog_close_node(w);
	memcpy(rec.kernel, vm->kernel,
	       min(strlen(vm->kernel), sizeof(rec.kernel) - 1));
	memcpy(rec.manifest_digest, vm->digests.manifest, sizeof(rec.manifest_digest));
	memcpy(rec.ram_digest, vm->digests.ram, sizeof(rec.ram_digest));
	catalog_append(w, &rec, sizeof(rec));
	w->vms++;
}

/**
 * cpr_catalog_put_dma - add a table to the last VM
 * @w: the writer
 * @extents: what devices can reach, in ascending order of iova
 * @nr: number of extents
 */
void cpr_catalog_put_dma(struct cpr_catalog_writer *w,
			 const struct cpr_dma_extent *extents, u32 nr)
{
	const struct cpr_image_dma rec = {
		.rec.type = cpu_to_le16(CPR_IMAGE_REC_DMA),
		.rec.size = cpu_to_le32(cpr_catalog_dma_size(nr)),
		.extents = cpu_to_le32(nr),
	};

	catalog_append(w, &rec, sizeof(rec));
	for (u32 i = 0; i < nr; i++) {
		const struct cpr_image_dma_extent e = {
			.iova = cpu_to_le64(extents[i].iova),
			.phys = cpu_to_le64(extents[i].phys),
			.length = cpu_to_le64(extents[i].length),
			.class = cpu_to_le32(extents[i].class),
		};

		catalog_append(w, &e, sizeof(e));
	}
}

static struct cpr_image_pci catalog_encode_pci(struct cpr_pci p)
{
	return (struct cpr_image_pci){
		.segment = cpu_to_le32(p.segment),
		.bus = p.bus,
		.devfn = p.devfn,
	};
}

/**
 * cpr_catalog_put_device - add a device to the last VM
 * @w: the writer
 * @dev: the device; after all DMA records of the VM
 * @members: devices of its IOMMU group, @dev->members of them
 */
void cpr_catalog_put_device(struct cpr_catalog_writer *w,
			    const struct cpr_catalog_device *dev,
			    const struct cpr_pci *members)
{
	const struct cpr_image_device rec = {
		.rec.type = cpu_to_le16(CPR_IMAGE_REC_DEVICE),
		.rec.flags = cpu_to_le16(dev->has_serial ? CPR_IMAGE_DEVICE_SERIAL : 0),
		.rec.size = cpu_to_le32(cpr_catalog_device_size(dev->members)),
		.address = catalog_encode_pci(dev->address),
		.vendor = cpu_to_le16(dev->vendor),
		.device = cpu_to_le16(dev->device),
		.subsystem_vendor = cpu_to_le16(dev->subsystem_vendor),
		.subsystem_device = cpu_to_le16(dev->subsystem_device),
		.class = cpu_to_le32(dev->class),
		.dma = cpu_to_le32(dev->dma),
		.members = cpu_to_le32(dev->members),
		.serial = cpu_to_le64(dev->serial),
	};

	catalog_append(w, &rec, sizeof(rec));
	for (u32 i = 0; i < dev->members; i++) {
		const struct cpr_image_pci p = catalog_encode_pci(members[i]);

		catalog_append(w, &p, sizeof(p));
	}
}

/**
 * cpr_catalog_put_bad - add the pages that have memory errors
 * @w: the writer; everything else was added
 * @bad: the pages; no record is added if there are none
 */
void cpr_catalog_put_bad(struct cpr_catalog_writer *w, const struct cpr_bad *bad)
{
	const struct cpr_image_bad rec = {
		.rec.type = cpu_to_le16(CPR_IMAGE_REC_BAD),
		.rec.size = cpu_to_le32(catalog_bad_size(bad->nr)),
		.runs = cpu_to_le32(bad->nr),
	};

	if (!bad->nr)
		return;
	catalog_close_node(w);
	catalog_append(w, &rec, sizeof(rec));
	for (u32 i = 0; i < bad->nr; i++) {
		const struct cpr_image_bad_run run = {
			.page = cpu_to_le64(bad->run[i].page),
			.count = cpu_to_le64(bad->run[i].count),
		};

		catalog_append(w, &run, sizeof(run));
	}
}

/**
 * cpr_catalog_commit - make the slot current
 * @w: the writer
 * @generation: greater than that of the current catalog
 * @next_ino: above every inode number
 * @stamp: kernel and time of the commit
 *
 * Return: 0, or the first error of the writer; then the current catalog stays
 * current.
 */
int cpr_catalog_commit(struct cpr_catalog_writer *w, u64 generation,
		       u64 next_ino, const struct cpr_stamp *stamp)
{
	struct cpr_image_slot *h = &w->block.slot;

	catalog_close_node(w);
	if (!w->error && (generation >= CPR_IMAGE_COUNTER_END || next_ino >= CPR_IMAGE_COUNTER_END))
		w->error = -EOVERFLOW;
	if (w->error)
		return w->error;
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, CPR_IMAGE_SLOT_MAGIC, CPR_IMAGE_MAGIC_LEN);
	h->generation = cpu_to_le64(generation);
	h->length = cpu_to_le64(w->length);
	h->nodes = cpu_to_le32(w->nodes);
	h->vms = cpu_to_le32(w->vms);
	h->next_ino = cpu_to_le64(next_ino);
	h->commit_time = cpu_to_le64(stamp->time);
	memcpy(h->kernel, stamp->kernel,
	       min(strlen(stamp->kernel), sizeof(h->kernel) - 1));
	h->records_crc = cpu_to_le32(cpr_port_crc32c(catalog_record_at(w, 0), w->length));
	h->inverse = cpu_to_le64(~generation);
	h->crc = cpu_to_le32(cpr_port_crc32c(h, offsetof(struct cpr_image_slot, crc)));

	cpr_port_write(w->slot + CPR_IMAGE_MAGIC_LEN, (u8 *)h + CPR_IMAGE_MAGIC_LEN,
		       sizeof(*h) - CPR_IMAGE_MAGIC_LEN);
	cpr_port_persist(w->slot, sizeof(*h) + w->length);
	catalog_write_word(w->slot, h->magic);
	return 0;
}
