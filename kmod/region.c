// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The region
 *
 * A handover region is a physical range that no kernel's page allocator ever
 * touches. The range is reserved on the kernel command line (memmap=SIZE!START) or
 * is a persistent DIMM; only this file knows which. All other files see frames: a
 * kernel address, a page frame number, a folio.
 *
 * The module claims the range for as long as it is loaded and gives it struct
 * pages, one folio of 2 MiB a frame, so that GUP, O_DIRECT and VFIO can pin pages
 * that are mapped from it. Each folio holds one reference of its own. A folio with
 * more references is in use.
 *
 * The kernel reads folio->mapping whenever a folio is marked dirty, and a pin may
 * do that long after the file is gone. So the mapping always points to a live
 * object: the inode that maps the frame, or else @mapping of the region.
 *
 * The kernel reports a memory error of a page to the region, which passes it on; see
 * poison.c.
 *
 * Locking: a region does not change between claim and release. The folio lock
 * protects folio->mapping. Nobody allocates memory while holding the lock of such
 * a folio, so the lock may be taken in direct reclaim. A page fault may hold the lock
 * until the core of mm has mapped the page.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cc_platform.h>
#include <linux/ioport.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/pagemap.h>

#include "catalog.h"
#include "compat/compat.h"
#include "region.h"

static const int region_descs[] = {
	IORES_DESC_PERSISTENT_MEMORY_LEGACY,
	IORES_DESC_PERSISTENT_MEMORY,
};

/* Of the region's own mapping, and of the inodes that map its frames. */
const struct address_space_operations cpr_region_aops = {
	.dirty_folio	= noop_dirty_folio,
};

/**
 * cpr_region_parse - parse the region= parameter
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
	pr_err("region=%s is not of the form SIZE!START, as in 'region=8G!16G'\n",
	       option);
	return -EINVAL;
}

/**
 * cpr_region_check_kernel - can this kernel have a region at all?
 *
 * With memory encryption, the same bytes are read through encrypted and unencrypted
 * mappings, here and by the next kernel, which may have another key or none. An image
 * does not record how it was written.
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int cpr_region_check_kernel(void)
{
	if (!cc_platform_has(CC_ATTR_MEM_ENCRYPT))
		return 0;
	pr_err("refusing every region: this kernel encrypts memory (SME, SEV or TDX), and an image does not record that; boot with mem_encrypt=off\n");
	return -EOPNOTSUPP;
}

struct region_found {
	u64 start;
	u64 size;
	int err;
};

static int region_refuse(struct resource *res, int err, const char *why)
{
	pr_err("refusing the region at %pa: %s; 'cpr-helper inspect --check /dev/pmemN' shows details; if nothing in the region is needed, format it with 'cpr-helper format --force /dev/pmemN'\n",
	       &res->start, why);
	return err;
}

/* Map the tables only: the range may have terabytes. */
static int region_look_for_image(struct resource *res, void *arg)
{
	struct region_found *found = arg;
	struct cpr_geometry geo;
	struct cpr_reason why;
	u64 size = cpr_image_tables(resource_size(res));
	void *tables;

	if (!size)
		return 0;
	tables = memremap(res->start, size, MEMREMAP_WB);
	if (!tables) {
		found->err = region_refuse(res, -ENOMEM, "its tables cannot be mapped");
		return 1;
	}
	found->err = cpr_image_load(tables, resource_size(res), &geo, &why);
	memunmap(tables);
	if (found->err == -ENODATA)
		return 0;
	if (found->err) {
		region_refuse(res, found->err, why.text);
		return 1;
	}
	found->start = res->start;
	found->size = geo.size;
	return 1;
}

/**
 * cpr_region_find - find the first persistent range that has an image
 * @start: physical address
 * @size: bytes
 *
 * Return: 0; -ENODEV if no range has an image; or the reason why the first image
 * cannot be used.
 */
int cpr_region_find(u64 *start, u64 *size)
{
	struct region_found found = { .err = -ENODATA };

	for (int i = 0; i < ARRAY_SIZE(region_descs); i++) {
		if (walk_iomem_res_desc(region_descs[i], IORESOURCE_MEM, 0, U64_MAX,
					&found, region_look_for_image) == 1)
			break;
	}
	if (found.err == -ENODATA) {
		pr_err("no persistent range has a handover image; reserve a range with memmap=SIZE!START on the kernel command line, load the module with 'region=SIZE!START' and run 'cpr-helper format'\n");
		return -ENODEV;
	}
	*start = found.start;
	*size = found.size;
	return found.err;
}

/* How much of a region is in persistent ranges, and in how many of them. */
struct region_cover {
	unsigned int ranges;
	u64 size;
};

static int region_add_cover(struct resource *res, void *arg)
{
	struct region_cover *cover = arg;

	cover->ranges++;
	cover->size += resource_size(res);
	return 0;
}

static struct region_cover region_find_cover(u64 start, u64 end)
{
	struct region_cover cover = {};

	for (int i = 0; i < ARRAY_SIZE(region_descs); i++)
		walk_iomem_res_desc(region_descs[i], IORESOURCE_MEM, start, end, &cover,
				    region_add_cover);
	return cover;
}

/*
 * That memmap= has made a persistent range of memory, and not of registers or of nothing, is
 * checked by cpr-helper: no kernel gives the firmware's map to modules of others.
 */
static int region_check_range(u64 start, u64 size)
{
	u64 end = start + size - 1;
	struct region_cover cover;
	struct cpr_geometry geo;
	struct cpr_reason why;

	if (cpr_image_layout(&geo, start, size, &why)) {
		pr_err("refusing the region: %s\n", why.text);
		return -EINVAL;
	}
	if (region_intersects(start, size, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_DISJOINT) {
		pr_err("refusing the region [%#llx-%#llx]: it is System RAM, which this kernel allocates from; boot with memmap=%#llx!%#llx\n",
		       start, end, size, start);
		return -EBUSY;
	}
	cover = region_find_cover(start, end);
	if (cover.size < size) {
		pr_err("refusing the region [%#llx-%#llx]: not a persistent range of the firmware map; reserve the range with memmap=%#llx!%#llx, and see /proc/iomem\n",
		       start, end, size, start);
		return -ENXIO;
	}
	/* The kernel keeps adjacent ranges apart, so none of them can be claimed as a whole. */
	if (cover.ranges > 1) {
		pr_err("refusing the region [%#llx-%#llx]: it spans %u persistent ranges; reserve it as one range with memmap=%#llx!%#llx, or use a region within one of the ranges, see /proc/iomem\n",
		       start, end, cover.ranges, size, start);
		return -ENXIO;
	}
	return 0;
}

/*
 * Prepare the struct pages of all frames. Device memory is marked as reserved at
 * first: VFIO's type 1 driver pins such a page, takes it for device registers and
 * never unpins it.
 */
static void region_prepare_pages(struct cpr_region *r)
{
	unsigned long pfn = PHYS_PFN(r->start), end = PHYS_PFN(r->start + r->size);

	address_space_init_once(&r->mapping);
	r->mapping.a_ops = &cpr_region_aops;
	for (; pfn < end; pfn++)
		cpr_compat_clear_reserved(pfn_to_page(pfn));
	for (u32 i = 0; i < r->size >> CPR_IMAGE_FRAME_SHIFT; i++)
		cpr_region_folio(r, i)->mapping = &r->mapping;
}

/*
 * The kernel's own handling of an error in device memory would take the first page of the
 * frame for the one that has failed: the struct pages of a folio are partly shared, so
 * that the kernel marks only the first.
 */
static int region_memory_failure(struct dev_pagemap *pgmap, unsigned long pfn,
				 unsigned long nr_pages, int flags)
{
	struct cpr_region *r = container_of(pgmap, struct cpr_region, pgmap);

	return r->failed(r, pfn - PHYS_PFN(r->start));
}

static const struct dev_pagemap_ops region_pgmap_ops = {
	.memory_failure	= region_memory_failure,
};

/**
 * cpr_region_claim - claim the range and give it struct pages
 * @r: the region; @r->failed is set
 * @start: physical address
 * @size: bytes
 *
 * Nothing is written to the range. The reason of a refusal is in the kernel log.
 *
 * Return: 0; -EINVAL if the range cannot be a region, -EBUSY if it is in use,
 * -ENXIO if it is not within one persistent range; -ENOMEM.
 */
int cpr_region_claim(struct cpr_region *r, u64 start, u64 size)
{
	int err = region_check_range(start, size);

	if (err)
		return err;
	if (!request_mem_region(start, size, KBUILD_MODNAME)) {
		pr_err("refusing the region [%#llx-%#llx]: another driver has claimed it, see /proc/iomem; if that is namespaceN.M of nd_pmem, run 'echo namespaceN.M > /sys/bus/nd/drivers/nd_pmem/unbind' or load cpr_handover before nd_e820; else unload that driver\n",
		       start, start + size - 1);
		return -EBUSY;
	}

	r->start = start;
	r->size = size;
	r->pgmap.type = MEMORY_DEVICE_GENERIC;
	r->pgmap.ops = &region_pgmap_ops;
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
	region_prepare_pages(r);
	return 0;
}

/**
 * cpr_region_release - undo cpr_region_claim()
 * @r: the region; nothing in it may be mapped or pinned
 */
void cpr_region_release(struct cpr_region *r)
{
	for (u32 i = 0; i < r->size >> CPR_IMAGE_FRAME_SHIFT; i++)
		cpr_region_folio(r, i)->mapping = NULL;
	memunmap_pages(&r->pgmap);
	release_mem_region(r->start, r->size);
}

/**
 * cpr_region_frame_pinned - does anything hold a reference on a frame?
 * @r: the region
 * @frame: a frame that is not mapped
 *
 * A frame that is not mapped cannot be pinned anew. So a frame that was not
 * pinned stays so.
 */
bool cpr_region_frame_pinned(const struct cpr_region *r, u32 frame)
{
	return folio_ref_count(cpr_region_folio(r, frame)) > 1;
}

/**
 * cpr_region_set_mapping - set the mapping of a frame's folio
 * @r: the region
 * @frame: the frame
 * @mapping: of the inode that maps the frame; NULL for the region's own
 * @index: page offset within @mapping
 */
void cpr_region_set_mapping(struct cpr_region *r, u32 frame,
			    struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = cpr_region_folio(r, frame);

	if (!mapping)
		mapping = &r->mapping;
	if (READ_ONCE(folio->mapping) == mapping)
		return;
	/* A pin that marks the folio dirty reads the mapping under the folio lock. */
	folio_lock(folio);
	folio->mapping = mapping;
	folio->index = index;
	folio_unlock(folio);
}

/**
 * cpr_region_wait_unlocked - wait until nobody holds the lock of a frame's folio
 * @r: the region
 * @frame: the frame
 */
void cpr_region_wait_unlocked(const struct cpr_region *r, u32 frame)
{
	folio_wait_locked(cpr_region_folio(r, frame));
}

/**
 * cpr_region_unmap - remove a frame from all mappings
 * @r: the region
 * @frame: the frame
 *
 * Private copies of its pages stay. The folio lock keeps the inode of the mapping, which
 * must change the folio's mapping before it is freed.
 */
void cpr_region_unmap(struct cpr_region *r, u32 frame)
{
	struct folio *folio = cpr_region_folio(r, frame);

	folio_lock(folio);
	/* There is none while the region is being claimed or released. */
	if (folio->mapping && folio->mapping != &r->mapping)
		unmap_mapping_range(folio->mapping, (loff_t)folio->index << PAGE_SHIFT,
				    CPR_IMAGE_FRAME_SIZE, 0);
	folio_unlock(folio);
}
