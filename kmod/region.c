// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The region
 *
 * A handover region is a physical range that no kernel's page allocator ever
 * touches. Its carrier here is a range that the command line keeps out of RAM
 * (memmap=SIZE!START) or a persistent DIMM; only this file knows that. Above it
 * there are only frames: an address in the kernel, a page frame number, a folio.
 *
 * The range is claimed while the module is loaded and gets struct pages, one
 * folio of 2 MiB a frame, so that GUP, O_DIRECT and VFIO can pin what is mapped
 * from it. Each folio keeps a reference of its own, so one with more than that
 * reference is in use by somebody.
 *
 * A folio's mapping is looked at whenever somebody marks it dirty, which a pin
 * may do long after the file is gone. It therefore always points at something
 * that lives: the inode that maps it, or else @mapping of the region.
 *
 * Locking: a region does not change between claim and release.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ioport.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/pagemap.h>
#include <linux/seq_file.h>

#include "cpr_internal.h"

static const int persistent_descs[] = {
	IORES_DESC_PERSISTENT_MEMORY_LEGACY,
	IORES_DESC_PERSISTENT_MEMORY,
};

void cpr_port_persist(void *dst, size_t len)
{
	arch_wb_cache_pmem(dst, len);
	/* Whatever follows is written after this. */
	wmb();
}

/**
 * cpr_region_parse - parse the region= option
 * @option: SIZE!START, spelled as for memmap=
 * @start: physical address
 * @size: bytes
 *
 * Return: 0 or -EINVAL.
 */
int cpr_region_parse(const char *option, u64 *start, u64 *size)
{
	const char *at = option;
	char *end;

	*size = memparse(at, &end);
	if (end != at && *end == '!') {
		at = end + 1;
		*start = memparse(at, &end);
		if (end != at && !*end && *size)
			return 0;
	}
	pr_err("region=%s is not of the form SIZE!START, as in region=8G!16G\n",
	       option);
	return -EINVAL;
}

struct found {
	u64 start;
	u64 size;
	int err;
};

/* Look at the superblocks only: the rest may be terabytes. */
static int look_for_image(struct resource *res, void *arg)
{
	struct found *found = arg;
	struct cpr_geometry geo;
	struct cpr_reason why;
	void *tables;

	if (resource_size(res) < CPR_IMAGE_MIN_FRAMES * CPR_IMAGE_FRAME_SIZE)
		return 0;
	tables = memremap(res->start, CPR_IMAGE_SUPER_COPY + CPR_IMAGE_BLOCK_SIZE,
			  MEMREMAP_WB);
	if (!tables)
		return 0;
	found->err = cpr_image_load(tables, resource_size(res), &geo, &why);
	memunmap(tables);
	if (found->err == -ENODATA)
		return 0;
	if (found->err) {
		pr_err("refusing the region at %pa: %s; if nothing in it is needed, format it anew with 'cpr-helper format --force /dev/pmemN'\n",
		       &res->start, why.text);
		return 1;
	}
	found->start = res->start;
	found->size = geo.size;
	return 1;
}

/**
 * cpr_region_find - find the first persistent range that bears an image
 * @start: physical address
 * @size: bytes
 *
 * Return: 0, -ENODEV if there is none, or why the first one is unusable.
 */
int cpr_region_find(u64 *start, u64 *size)
{
	struct found found = { .err = -ENODATA };

	for (int i = 0; i < ARRAY_SIZE(persistent_descs); i++) {
		if (walk_iomem_res_desc(persistent_descs[i], IORESOURCE_MEM, 0,
					U64_MAX, &found, look_for_image) == 1)
			break;
	}
	if (found.err == -ENODATA) {
		pr_err("no persistent range bears a handover image; reserve one with memmap=SIZE!START on the kernel command line, load with region=SIZE!START and run 'cpr-helper format'\n");
		return -ENODEV;
	}
	*start = found.start;
	*size = found.size;
	return found.err;
}

static bool is_persistent(u64 start, u64 size)
{
	for (int i = 0; i < ARRAY_SIZE(persistent_descs); i++)
		if (region_intersects(start, size, IORESOURCE_MEM,
				      persistent_descs[i]) == REGION_INTERSECTS)
			return true;
	return false;
}

static int check_range(u64 start, u64 size)
{
	struct cpr_geometry geo;
	struct cpr_reason why;
	u64 end = start + size - 1;

	if (cpr_image_layout(&geo, start, size, &why)) {
		pr_err("refusing the region: %s\n", why.text);
		return -EINVAL;
	}
	if (region_intersects(start, size, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_DISJOINT) {
		pr_err("refusing the region [%#llx-%#llx]: it is System RAM that this kernel gives out; boot with memmap=%#llx!%#llx\n",
		       start, end, size, start);
		return -EBUSY;
	}
	if (!is_persistent(start, size)) {
		pr_err("refusing the region [%#llx-%#llx]: not a persistent range of the firmware map; reserve it with memmap=%#llx!%#llx, and see /proc/iomem\n",
		       start, end, size, start);
		return -ENXIO;
	}
	return 0;
}

/*
 * Who holds a range is known to /proc/iomem only: the resource tree's lock is
 * private, and a holder may vanish while one looks. Nothing depends on the
 * answer but the wording of a refusal.
 */
static void name_holder(u64 start, u64 end, char *name, size_t len)
{
	struct file *file = filp_open("/proc/iomem", O_RDONLY, 0);
	char *text = kvzalloc(SZ_64K, GFP_KERNEL), *line, *rest = text;
	loff_t pos = 0;
	ssize_t n = 0;
	size_t got = 0;

	strscpy(name, "another driver", len);
	if (IS_ERR(file) || !text)
		goto out;
	while (got < SZ_64K - 1 &&
	       (n = kernel_read(file, text + got, SZ_64K - 1 - got, &pos)) > 0)
		got += n;
	/* The last match is the innermost one. */
	while ((line = strsep(&rest, "\n"))) {
		unsigned long long from, to;
		char who[32];

		if (sscanf(line, " %llx-%llx : %31[^\n]", &from, &to, who) == 3 &&
		    from <= end && to >= start && !strstarts(who, "Persistent Memory"))
			strscpy(name, who, len);
	}
out:
	kvfree(text);
	if (!IS_ERR(file))
		filp_close(file, NULL);
}

static int report_busy(u64 start, u64 size)
{
	char holder[32];

	name_holder(start, start + size - 1, holder, sizeof(holder));
	if (strstarts(holder, "namespace"))
		pr_err("refusing the region [%#llx-%#llx]: nd_pmem holds it as %s; run 'echo %s > /sys/bus/nd/drivers/nd_pmem/unbind' or load cpr_handover before nd_e820\n",
		       start, start + size - 1, holder, holder);
	else
		pr_err("refusing the region [%#llx-%#llx]: '%s' holds it, see /proc/iomem; unbind or unload that driver first\n",
		       start, start + size - 1, holder);
	return -EBUSY;
}

/*
 * Device memory comes marked as reserved. VFIO's type 1 pins such a page and
 * then, taking it for device registers, never unpins it.
 */
static void unreserve_pages(u64 start, u64 size)
{
	unsigned long end = PHYS_PFN(start + size);

	for (unsigned long pfn = PHYS_PFN(start); pfn < end; pfn++)
		cpr_compat_clear_reserved(pfn_to_page(pfn));
}

/**
 * cpr_region_claim - take the range and give it struct pages
 * @r: the region
 * @start: physical address
 * @size: bytes
 *
 * Nothing is written to the range. A refusal is reported to the kernel log.
 *
 * Return: 0, -EINVAL for a range that cannot be a region, -EBUSY for one that
 * somebody uses, -ENXIO for one that is not persistent, -ENOMEM.
 */
int cpr_region_claim(struct cpr_region *r, u64 start, u64 size)
{
	int err = check_range(start, size);

	if (err)
		return err;
	if (!request_mem_region(start, size, KBUILD_MODNAME))
		return report_busy(start, size);

	r->start = start;
	r->size = size;
	r->pgmap.type = MEMORY_DEVICE_GENERIC;
	r->pgmap.range.start = start;
	r->pgmap.range.end = start + size - 1;
	r->pgmap.nr_range = 1;
	r->pgmap.vmemmap_shift = CPR_IMAGE_FRAME_SHIFT - PAGE_SHIFT;
	r->base = memremap_pages(&r->pgmap, phys_to_target_node(start));
	if (IS_ERR(r->base)) {
		err = PTR_ERR(r->base);
		pr_err("no struct pages for the region [%#llx-%#llx]: %pe\n",
		       start, start + size - 1, r->base);
		release_mem_region(start, size);
		return err;
	}
	unreserve_pages(start, size);
	address_space_init_once(&r->mapping);
	r->mapping.a_ops = &cpr_aops;
	return 0;
}

/**
 * cpr_region_release - undo cpr_region_claim()
 * @r: the region; nothing of it may be mapped or pinned
 */
void cpr_region_release(struct cpr_region *r)
{
	memunmap_pages(&r->pgmap);
	release_mem_region(r->start, r->size);
}

/**
 * cpr_region_frame_pinned - does somebody hold a reference on a frame?
 * @c: the region
 * @frame: a frame that is not mapped
 *
 * Where nothing maps the frame, nobody can pin it anew, so a frame that was
 * found free stays free.
 */
bool cpr_region_frame_pinned(const struct cpr *c, u32 frame)
{
	return folio_ref_count(pfn_folio(cpr_frame_pfn(c, frame))) > 1;
}

/**
 * cpr_region_set_mapping - tell who maps a frame
 * @c: the region
 * @frame: the frame
 * @mapping: of an inode, or NULL for nobody
 * @index: page offset within it
 */
void cpr_region_set_mapping(const struct cpr *c, u32 frame,
			    struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = pfn_folio(cpr_frame_pfn(c, frame));

	if (!mapping)
		mapping = (struct address_space *)&c->region.mapping;
	if (READ_ONCE(folio->mapping) == mapping)
		return;
	/* Whoever marks the folio dirty holds its lock while it looks. */
	folio_lock(folio);
	folio->mapping = mapping;
	folio->index = index;
	folio_unlock(folio);
}
