// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: What an IOMMU domain translates
 *
 * There is no list of what a domain maps, so it is probed, at both ends of every
 * 2 MiB, and page by page where these do not continue each other, as in the first
 * 2 MiB, where a PC has its hole. What differs in the midst of others is seen only
 * when every page is asked for. Whether the VM's memory is reached is looked at
 * afterwards, from the memory's side.
 *
 * Probed is where QEMU puts the memory of a PC: the first 8 GiB and twice the
 * VM's memory; and if that did not lead to all of it, as much from 1 TiB on,
 * where it goes on AMD's machines.
 *
 * Locking: none. Who asks keeps the domain, see vfio.c.
 */
#include <linux/ioport.h>
#include <linux/iommu.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "cpr_internal.h"

/* What a PC hides of the RAM at address 0: VGA and firmware. */
#define PC_HOLE_START	(640 * SZ_1K)
#define PC_HOLE_END	SZ_1M

/* Room above the guest's RAM for windows to devices. */
#define ABOVE_RAM	(8ull * SZ_1G)
/* Where AMD's machines put the RAM that would lie above it. */
#define AMD_RAM_START	SZ_1T

/**
 * struct probe - a domain that is being read
 * @domain: the domain
 * @geo: of the region
 * @full: look at every page
 * @table: what was found so far
 */
struct probe {
	struct iommu_domain *domain;
	const struct cpr_geometry *geo;
	bool full;
	struct cpr_dma_table *table;
};

static u32 class_of(const struct cpr_geometry *geo, u64 phys)
{
	if (cpr_dma_in_region(geo, phys))
		return CPR_IMAGE_DMA_REGION;
	return region_intersects(phys, PAGE_SIZE, IORESOURCE_SYSTEM_RAM,
				 IORES_DESC_NONE) == REGION_DISJOINT ?
	       CPR_IMAGE_DMA_MMIO : CPR_IMAGE_DMA_RAM;
}

static int add(struct probe *p, u64 iova, u64 phys, u64 length)
{
	const struct cpr_dma_extent e = {
		.iova = iova,
		.phys = phys,
		.length = length,
		.class = class_of(p->geo, phys),
	};

	return cpr_dma_table_add(p->table, &e);
}

static int probe_pages(struct probe *p, u64 iova)
{
	u64 end = iova + CPR_IMAGE_FRAME_SIZE;
	int err = 0;

	for (; iova < end && !err; iova += PAGE_SIZE) {
		u64 phys = iommu_iova_to_phys(p->domain, iova);

		if (phys)
			err = add(p, iova, phys & PAGE_MASK, PAGE_SIZE);
	}
	return err;
}

static int probe_block(struct probe *p, u64 iova)
{
	const u64 span = CPR_IMAGE_FRAME_SIZE - PAGE_SIZE;
	u64 first, last;

	if (p->full || !iova)
		return probe_pages(p, iova);
	first = iommu_iova_to_phys(p->domain, iova);
	last = iommu_iova_to_phys(p->domain, iova + span);
	if (!first && !last)
		return 0;
	if (first && last == first + span &&
	    cpr_dma_in_region(p->geo, first) == cpr_dma_in_region(p->geo, last))
		return add(p, iova, first, CPR_IMAGE_FRAME_SIZE);
	return probe_pages(p, iova);
}

static int probe_range(struct probe *p, u64 iova, u64 end)
{
	u64 limit = p->domain->geometry.aperture_end;
	int err = 0;

	if (end > limit)
		end = limit;
	for (; iova < end && !err; iova += CPR_IMAGE_FRAME_SIZE) {
		err = probe_block(p, iova);
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return err;
}

static bool is_pc_hole(const struct cpr_dma_table *t, u64 phys, u64 length)
{
	const struct cpr_dma_extent *zero = t->extents;

	return t->nr && !zero->iova && zero->class == CPR_IMAGE_DMA_REGION &&
	       phys >= zero->phys + PC_HOLE_START &&
	       phys + length <= zero->phys + PC_HOLE_END;
}

static void find_gap(const struct cpr_dma_table *t, const struct cpr_dma_table *reached,
		     const struct cpr_memory *m, struct cpr_gap *gap)
{
	for (u32 i = 0; i < m->runs.nr; i++) {
		const struct cpr_dma_extent *run = &m->runs.extents[i];
		u64 at, phys = run->phys, end = run->phys + run->length;
		u64 length;

		for (; (length = cpr_dma_gap(reached, phys, end, &at)); phys = at + length) {
			if (is_pc_hole(t, at, length))
				continue;
			gap->file = run->class;
			gap->offset = run->iova + (at - run->phys);
			gap->length = length;
			return;
		}
	}
}

/* Does a table lead to all of the VM's memory? */
static int check_coverage(const struct cpr_dma_table *t, const struct cpr_memory *m,
			  struct cpr_gap *gap)
{
	struct cpr_dma_table reached;
	int err = cpr_dma_reached(t, &reached);

	memset(gap, 0, sizeof(*gap));
	if (err)
		return err;
	find_gap(t, &reached, m, gap);
	cpr_dma_table_free(&reached);
	return 0;
}

static int probe_all(struct probe *p, const struct cpr_memory *m, struct cpr_gap *gap)
{
	u64 near = ABOVE_RAM + 2 * m->bytes;
	int err = probe_range(p, 0, near);

	if (!err)
		err = check_coverage(p->table, m, gap);
	if (err || !gap->length)
		return err;
	/* It may be where RAM goes that would lie over AMD's HyperTransport. */
	p->full = false;
	err = probe_range(p, max(near, AMD_RAM_START), AMD_RAM_START + near);
	return err ?: check_coverage(p->table, m, gap);
}

/**
 * cpr_probe - read what a domain translates
 * @domain: the domain
 * @m: the VM's memory
 * @full: look at every page
 * @table: empty; filled in
 * @gap: filled in: the first part of @m that is not reached
 *
 * What a PC hides of its first MiB is no gap.
 *
 * Return: 0; -ENOMEM, -E2BIG, -EINTR. Then @table has what was found up to there.
 */
int cpr_probe(struct iommu_domain *domain, const struct cpr_memory *m, bool full,
	      struct cpr_dma_table *table, struct cpr_gap *gap)
{
	struct probe p = {
		.domain = domain, .geo = m->owner.geo, .full = full, .table = table,
	};

	return probe_all(&p, m, gap);
}
