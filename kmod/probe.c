// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The translations of an IOMMU domain
 *
 * A domain has no list of its mappings, so it is probed: at both ends of every
 * 2 MiB, and page by page where the two ends do not continue each other. The first
 * 2 MiB are always probed page by page, because a PC has a hole there. A page that
 * differs in the middle of 2 MiB is found only if every page is asked for. When the
 * domain has been read, the result is compared with the list of the VM's memory.
 *
 * The probed range is where QEMU puts the memory of a PC: the first 8 GiB plus twice
 * the VM's memory. If that does not lead to all of the memory, a range of the same
 * size from 1 TiB on is probed too, because QEMU puts memory there on AMD hosts.
 *
 * The same ranges can be read in parts, each of which takes a short time, with every
 * page looked up.
 *
 * Locking: none here. The caller makes sure that the domain stays, see vfio.c.
 */
#include <linux/ioport.h>
#include <linux/iommu.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "probe.h"

/* VGA memory and firmware hide this part of the RAM at address 0 of a PC. */
#define PC_HOLE_START	(640 * SZ_1K)
#define PC_HOLE_END	SZ_1M

/* Room above the guest's RAM for windows to devices. */
#define ABOVE_RAM	(8ull * SZ_1G)
/* Where QEMU puts RAM that would overlap the HyperTransport range of an AMD host. */
#define AMD_RAM_START	SZ_1T

/**
 * struct probe - a domain that is being read
 * @domain: the domain
 * @geo: geometry of the region
 * @full: probe every page
 * @table: translations found so far
 */
struct probe {
	struct iommu_domain *domain;
	const struct cpr_geometry *geo;
	bool full;
	struct cpr_dma_table *table;
};

static u32 probe_class(const struct cpr_geometry *geo, u64 phys)
{
	if (cpr_dma_in_region(geo, phys))
		return CPR_IMAGE_DMA_REGION;
	if (region_intersects(phys, PAGE_SIZE, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) == REGION_DISJOINT)
		return CPR_IMAGE_DMA_MMIO;
	return CPR_IMAGE_DMA_RAM;
}

static int probe_add(struct probe *p, u64 iova, u64 phys, u64 length)
{
	const struct cpr_dma_extent e = {
		.iova = iova,
		.phys = phys,
		.length = length,
		.class = probe_class(p->geo, phys),
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
			err = probe_add(p, iova, phys & PAGE_MASK, PAGE_SIZE);
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
		return probe_add(p, iova, first, CPR_IMAGE_FRAME_SIZE);
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

static bool probe_is_pc_hole(const struct cpr_dma_table *t, u64 phys, u64 length)
{
	const struct cpr_dma_extent *zero = t->extents;

	return t->nr && !zero->iova && zero->class == CPR_IMAGE_DMA_REGION &&
	       phys >= zero->phys + PC_HOLE_START &&
	       phys + length <= zero->phys + PC_HOLE_END;
}

static void probe_find_gap(const struct cpr_dma_table *t,
			   const struct cpr_dma_table *reached,
			   const struct cpr_memory *m, struct cpr_gap *gap)
{
	for (u32 i = 0; i < m->runs.nr; i++) {
		const struct cpr_dma_extent *run = &m->runs.extents[i];
		u64 at, phys = run->phys, end = run->phys + run->length;
		u64 length;

		for (; (length = cpr_dma_gap(reached, phys, end, &at)); phys = at + length) {
			if (probe_is_pc_hole(t, at, length))
				continue;
			gap->file = run->class;
			gap->offset = run->iova + (at - run->phys);
			gap->length = length;
			return;
		}
	}
}

/* Find the first part of the VM's memory that a table does not lead to. */
static int probe_check_coverage(const struct cpr_dma_table *t,
				const struct cpr_memory *m, struct cpr_gap *gap)
{
	struct cpr_dma_table reached;
	int err = cpr_dma_reached(t, &reached);

	memset(gap, 0, sizeof(*gap));
	if (err)
		return err;
	probe_find_gap(t, &reached, m, gap);
	cpr_dma_table_free(&reached);
	return 0;
}

/* Where QEMU puts memory on most hosts: the first iova after it. */
static u64 probe_near(const struct cpr_memory *m)
{
	return ABOVE_RAM + 2 * m->bytes;
}

/**
 * cpr_probe - read the translations of a domain
 * @domain: the domain
 * @m: the VM's memory
 * @full: probe every page
 * @table: empty; filled in
 * @gap: filled in: the first part of @m that the domain does not lead to
 *
 * The hole in the first MiB of a PC is no gap.
 *
 * Return: 0; -ENOMEM, -E2BIG, -EINTR. On an error @table has the translations found
 * so far.
 */
int cpr_probe(struct iommu_domain *domain, const struct cpr_memory *m, bool full,
	      struct cpr_dma_table *table, struct cpr_gap *gap)
{
	struct probe p = {
		.domain = domain, .geo = m->owner.geo, .full = full, .table = table,
	};
	u64 near = probe_near(m);
	int err = probe_range(&p, 0, near);

	if (!err)
		err = probe_check_coverage(table, m, gap);
	if (err || !gap->length)
		return err;
	/* The rest may be where QEMU avoids AMD's HyperTransport range. */
	p.full = false;
	err = probe_range(&p, max(near, AMD_RAM_START), AMD_RAM_START + near);
	if (!err)
		err = probe_check_coverage(table, m, gap);
	return err;
}

/**
 * cpr_probe_window - find out what part of a domain to read
 * @m: the VM's memory
 * @start: first iova that is wanted
 * @length: bytes that are wanted
 * @last: last iova that the VM's devices are known to use
 * @w: filled in; it is empty if there is nothing to read any more
 */
void cpr_probe_window(const struct cpr_memory *m, u64 start, u64 length, u64 last,
		      struct cpr_window *w)
{
	u64 near = probe_near(m), far = max(near, AMD_RAM_START), end = near;

	start = round_down(start, CPR_IMAGE_FRAME_SIZE);
	if (start >= near && last >= near) {
		start = max(start, far);
		end = AMD_RAM_START + near;
	}
	w->start = min(start, end);
	w->end = end - w->start <= length ? end :
		 w->start + max(round_down(length, CPR_IMAGE_FRAME_SIZE), CPR_IMAGE_FRAME_SIZE);
	w->next = w->end < end ? w->end : end == near && last >= near ? far : 0;
}

/**
 * cpr_probe_pages - read every page of a part of a domain
 * @domain: the domain
 * @m: the VM's memory
 * @w: the part
 * @table: empty; filled in
 *
 * Return: as cpr_probe().
 */
int cpr_probe_pages(struct iommu_domain *domain, const struct cpr_memory *m,
		    const struct cpr_window *w, struct cpr_dma_table *table)
{
	struct probe p = {
		.domain = domain, .geo = m->owner.geo, .full = true, .table = table,
	};

	return probe_range(&p, w->start, w->end);
}
