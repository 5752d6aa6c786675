// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: What the devices of a VM can reach
 *
 * Read from the IOMMU itself, not from what anyone says was mapped: VFIO's two
 * ways of mapping, and whatever comes, look alike. A snapshot is taken before a
 * VM is sealed and kept in the image; after it was restored under another
 * kernel, the same is read again and compared.
 *
 * There is no list of what a domain maps, so it is probed, at both ends of every
 * 2 MiB, and page by page where these do not continue each other. Small windows
 * to device memory inside of 2 MiB that both ends miss are seen only when every
 * page is asked for. Memory of the VM cannot be missed: that all of it is
 * reached is counted afterwards.
 *
 * A domain lives as long as VFIO has its file open. The caller therefore shows
 * the files that it has of the VM's QEMU, and for each device there must be one:
 * it cannot go away before the call returns, however QEMU ends.
 *
 * Locking: probing takes long and holds no lock; the VM's memory is frozen
 * meanwhile, and its state is looked at again before a snapshot is kept. A
 * snapshot is counted, and does not change but for who has its devices, which
 * is under cpr->lock, see hold.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/ioport.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vfio.h>

#include "cpr_internal.h"

/* What a PC hides of the RAM at address 0: VGA and firmware. */
#define PC_HOLE_START	(640 * SZ_1K)
#define PC_HOLE_END	SZ_1M

/* Room above the guest's RAM for windows to devices. */
#define ABOVE_RAM	(8ull * SZ_1G)
/* Where AMD's machines put the RAM that would lie above it. */
#define AMD_RAM_START	SZ_1T

/* ---- a snapshot's life ---- */

static void destroy(struct cpr_dma *dma)
{
	for (u32 i = 0; i < dma->nr_tables; i++)
		cpr_dma_table_free(&dma->tables[i]);
	for (u32 i = 0; i < dma->nr_devices; i++)
		kvfree(dma->devices[i].members);
	kvfree(dma->tables);
	kvfree(dma->devices);
	kfree(dma);
}

/**
 * cpr_dma_put - let go of a snapshot
 * @dma: the snapshot, or NULL
 */
void cpr_dma_put(struct cpr_dma *dma)
{
	if (dma && refcount_dec_and_test(&dma->refs))
		destroy(dma);
}

DEFINE_FREE(cpr_dma, struct cpr_dma *, cpr_dma_put(_T))

/**
 * cpr_dma_new - an empty snapshot
 * @tables: how many there can be
 * @devices: how many there can be
 *
 * Return: the snapshot, or NULL without memory.
 */
struct cpr_dma *cpr_dma_new(u32 tables, u32 devices)
{
	struct cpr_dma *dma = kzalloc(sizeof(*dma), GFP_KERNEL);

	if (!dma)
		return NULL;
	refcount_set(&dma->refs, 1);
	dma->tables = kvcalloc(tables, sizeof(*dma->tables), GFP_KERNEL);
	dma->devices = kvcalloc(devices, sizeof(*dma->devices), GFP_KERNEL);
	if (dma->tables && dma->devices)
		return dma;
	cpr_dma_put(dma);
	return NULL;
}

/**
 * cpr_dma_catalog_size - bytes that a snapshot takes in the catalog
 * @dma: the snapshot, or NULL
 */
u64 cpr_dma_catalog_size(const struct cpr_dma *dma)
{
	u64 bytes = 0;

	if (!dma)
		return 0;
	for (u32 i = 0; i < dma->nr_tables; i++)
		bytes += cpr_catalog_dma_size(dma->tables[i].nr);
	for (u32 i = 0; i < dma->nr_devices; i++)
		bytes += cpr_catalog_device_size(dma->devices[i].id.members);
	return bytes;
}

/* ---- the VM's memory ---- */

/**
 * cpr_memory_get - where a VM's memory is
 * @c: the region
 * @dir: directory of the VM
 * @m: filled in; free it with cpr_memory_free()
 *
 * Return: 0, -ENOMEM or -E2BIG.
 */
int cpr_memory_get(struct cpr *c, struct cpr_node *dir, struct cpr_memory *m)
{
	u32 file = 0;

	lockdep_assert_held(&c->lock);

	memset(m, 0, sizeof(*m));
	m->owner.geo = &c->geo;
	m->frames = kvzalloc(BITS_TO_LONGS(c->geo.frames) * sizeof(long), GFP_KERNEL);
	if (!m->frames)
		return -ENOMEM;
	m->owner.frames = m->frames;
	m->bytes = cpr_vm_memory_bytes(dir);
	for (struct rb_node *rb = rb_first(&dir->children); rb; rb = rb_next(rb), file++) {
		struct cpr_node *node = rb_entry(rb, struct cpr_node, rb);
		unsigned long i;
		void *entry;

		if (!(node->flags & CPR_IMAGE_NODE_MEMORY))
			continue;
		xa_for_each(&node->frames, i, entry) {
			const struct cpr_dma_extent e = {
				.iova = (u64)i << CPR_IMAGE_FRAME_SHIFT,
				.phys = PFN_PHYS(cpr_frame_pfn(c, xa_to_value(entry))),
				.length = CPR_IMAGE_FRAME_SIZE,
				.class = file,
			};
			int err = cpr_dma_table_add(&m->runs, &e);

			if (err) {
				cpr_memory_free(m);
				return err;
			}
			__set_bit(xa_to_value(entry), m->frames);
		}
	}
	return 0;
}

/**
 * cpr_memory_free - free what cpr_memory_get() filled in
 * @m: it
 */
void cpr_memory_free(struct cpr_memory *m)
{
	cpr_dma_table_free(&m->runs);
	kvfree(m->frames);
	m->frames = NULL;
}

/* ---- probing ---- */

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

	if (p->full)
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

/**
 * struct gap - memory that is not reached
 * @file: number of the entry in the VM's directory
 * @offset: in the file
 * @length: bytes; 0 if there is no gap
 */
struct gap {
	u32 file;
	u64 offset;
	u64 length;
};

static bool is_pc_hole(const struct cpr_dma_table *t, u64 phys, u64 length)
{
	const struct cpr_dma_extent *zero = t->extents;

	return t->nr && !zero->iova && zero->class == CPR_IMAGE_DMA_REGION &&
	       phys >= zero->phys + PC_HOLE_START &&
	       phys + length <= zero->phys + PC_HOLE_END;
}

static void find_gap(const struct cpr_dma_table *t, const struct cpr_dma_table *reached,
		     const struct cpr_memory *m, struct gap *gap)
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
			  struct gap *gap)
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

static int probe_domain(struct probe *p, const struct cpr_memory *m, struct gap *gap)
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

/* ---- devices ---- */

static int find_vfio(struct device *dev, void *data)
{
	struct device **found = data;

	if (!dev->class || strcmp(dev->class->name, "vfio-dev"))
		return 0;
	*found = get_device(dev);
	return 1;
}

/* A file of the group that the device is in. */
static bool is_group_file(struct file *file, struct vfio_device *vdev)
{
	bool (*has_dev)(struct file *file, struct vfio_device *device) =
		symbol_get(vfio_file_has_dev);
	bool is = has_dev && has_dev(file, vdev);

	if (has_dev)
		symbol_put(vfio_file_has_dev);
	return is;
}

/* A file of the device itself, as it is opened for iommufd. */
static bool is_device_file(struct file *file, struct vfio_device *vdev)
{
	bool (*is_valid)(struct file *file) = symbol_get(vfio_file_is_valid);
	struct inode *inode = file_inode(file);
	bool is = is_valid && is_valid(file) && S_ISCHR(inode->i_mode) &&
		  inode->i_rdev == vdev->device.devt;

	if (is_valid)
		symbol_put(vfio_file_is_valid);
	return is;
}

static bool has_file(const struct cpr_dma_request *ask, struct device *dev)
{
	struct device *child = NULL;
	struct vfio_device *vdev;
	bool has = false;

	device_for_each_child(dev, &child, find_vfio);
	if (!child)
		return false;
	vdev = container_of(child, struct vfio_device, device);
	for (u32 i = 0; i < ask->nr_files && !has; i++)
		has = is_group_file(ask->files[i], vdev) ||
		      is_device_file(ask->files[i], vdev);
	put_device(child);
	return has;
}

/* The domain by which VFIO translates for a device; it stays while the call lasts. */
static struct iommu_domain *domain_of(const struct cpr_dma_request *ask, struct device *dev,
				      struct netlink_ext_ack *extack)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct iommu_domain *domain;
	bool open;

	if (!group) {
		NL_SET_ERR_MSG_FMT(extack, "no IOMMU translates for %s; is it on?",
				   dev_name(dev));
		return ERR_PTR(-EOPNOTSUPP);
	}
	open = has_file(ask, dev);
	iommu_group_put(group);
	if (!open) {
		NL_SET_ERR_MSG_FMT(extack, "none of the given files is VFIO's of %s",
				   dev_name(dev));
		return ERR_PTR(-EPERM);
	}
	domain = iommu_get_domain_for_dev(dev);
	if (!domain || domain->type != IOMMU_DOMAIN_UNMANAGED) {
		NL_SET_ERR_MSG_FMT(extack, "VFIO has mapped nothing for %s", dev_name(dev));
		return ERR_PTR(-EINVAL);
	}
	return domain;
}

static struct pci_dev *find_pci(const char *address, struct netlink_ext_ack *extack)
{
	struct device *dev = bus_find_device_by_name(&pci_bus_type, NULL, address);

	if (dev)
		return to_pci_dev(dev);
	NL_SET_ERR_MSG_FMT(extack, "there is no PCI device %s", address);
	return NULL;
}

/**
 * cpr_pci_identify - what tells a device from others
 * @pdev: the device
 * @id: filled in, but for its group and its table
 */
void cpr_pci_identify(struct pci_dev *pdev, struct cpr_catalog_device *id)
{
	id->address.segment = pci_domain_nr(pdev->bus);
	id->address.bus = pdev->bus->number;
	id->address.devfn = pdev->devfn;
	id->vendor = pdev->vendor;
	id->device = pdev->device;
	id->subsystem_vendor = pdev->subsystem_vendor;
	id->subsystem_device = pdev->subsystem_device;
	id->class = pdev->class << 8 | pdev->revision;
	id->serial = pci_get_dsn(pdev);
	id->has_serial = id->serial;
}

struct members {
	struct cpr_pci *v;
	u32 nr;
	u32 room;
};

static int count_member(struct device *dev, void *data)
{
	struct members *m = data;

	if (!dev_is_pci(dev))
		return -EOPNOTSUPP;
	if (m->v && m->nr < m->room) {
		struct pci_dev *pdev = to_pci_dev(dev);

		m->v[m->nr].segment = pci_domain_nr(pdev->bus);
		m->v[m->nr].bus = pdev->bus->number;
		m->v[m->nr].devfn = pdev->devfn;
	}
	m->nr++;
	return 0;
}

/**
 * cpr_group_members - the PCI devices of an IOMMU group
 * @group: the group
 * @nr: how many
 *
 * Return: their addresses, to be freed with kfree(); or ERR_PTR of -EOPNOTSUPP
 * if there is another device in it, -EAGAIN if it just changed, -ENOMEM.
 */
struct cpr_pci *cpr_group_members(struct iommu_group *group, u32 *nr)
{
	struct members m = { 0 };
	int err = iommu_group_for_each_dev(group, &m, count_member);

	if (err)
		return ERR_PTR(err);
	m.room = m.nr;
	m.nr = 0;
	m.v = kcalloc(m.room, sizeof(*m.v), GFP_KERNEL);
	if (!m.v)
		return ERR_PTR(-ENOMEM);
	err = iommu_group_for_each_dev(group, &m, count_member);
	if (!err && m.nr == m.room) {
		*nr = m.nr;
		return m.v;
	}
	kfree(m.v);
	return ERR_PTR(err ?: -EAGAIN);
}

static int add_group(struct cpr_device *d, struct device *dev, struct netlink_ext_ack *extack)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct cpr_pci *members = group ? cpr_group_members(group, &d->id.members) :
					  ERR_PTR(-ENODEV);

	if (group)
		iommu_group_put(group);
	if (IS_ERR(members)) {
		NL_SET_ERR_MSG_FMT(extack, "the IOMMU group of %s cannot be recorded",
				   dev_name(dev));
		return PTR_ERR(members);
	}
	d->members = members;
	if (cpr_pci_among(&d->id.address, members, d->id.members))
		return 0;
	NL_SET_ERR_MSG_FMT(extack, "%s has just left its IOMMU group", dev_name(dev));
	return -EAGAIN;
}

/* ---- snapshot ---- */

static const char *file_name(const struct cpr_node *dir, u32 file, char *buf, size_t len)
{
	struct rb_node *rb = rb_first(&dir->children);

	while (rb && file--)
		rb = rb_next(rb);
	if (rb) {
		const struct cpr_node *node = rb_entry(rb, struct cpr_node, rb);

		snprintf(buf, len, "%.*s", node->name_len, node->name);
	}
	return buf;
}

static int refuse_gap(struct cpr *c, const struct cpr_dma_request *ask, const char *address,
		      const struct gap *gap, struct netlink_ext_ack *extack)
{
	char name[24] = "?";
	struct cpr_node *dir;

	guard(cpr)(c);

	dir = cpr_vm_find(c, ask->name);
	if (dir)
		file_name(dir, gap->file, name, sizeof(name));
	NL_SET_ERR_MSG_FMT(extack, "%s misses %llu KiB at %#llx of %s", address,
			   gap->length >> 10, gap->offset, name);
	return -ENXIO;
}

/* The next kernel refuses an image in which a VM has a device twice. */
static int check_first(const struct cpr_dma *dma, const struct cpr_pci *at,
		       struct netlink_ext_ack *extack)
{
	char name[CPR_DEVICE_ADDRESS_MAX + 1];

	for (u32 i = 0; i < dma->nr_devices; i++) {
		if (!cpr_pci_among(at, &dma->devices[i].id.address, 1))
			continue;
		cpr_pci_name(at, name);
		NL_SET_ERR_MSG_FMT(extack, "%s is named twice", name);
		return -EINVAL;
	}
	return 0;
}

/* The table of a domain, which devices may share. */
static int find_table(struct cpr_dma *dma, struct iommu_domain **domains,
		      struct iommu_domain *domain)
{
	u32 i = 0;

	while (i < dma->nr_tables && domains[i] != domain)
		i++;
	return i;
}

static int read_table(struct cpr *c, const struct cpr_dma_request *ask, const char *address,
		      struct iommu_domain *domain, const struct cpr_memory *m,
		      struct cpr_dma_table *table, struct netlink_ext_ack *extack)
{
	struct probe p = {
		.domain = domain, .geo = &c->geo, .full = ask->full, .table = table,
	};
	const struct cpr_dma_extent *foreign;
	struct gap gap;
	int err = probe_domain(&p, m, &gap);

	if (err) {
		NL_SET_ERR_MSG_FMT(extack, "the mappings of %s could not be read", address);
		return err;
	}
	foreign = cpr_dma_table_foreign(table, &m->owner);
	if (foreign) {
		NL_SET_ERR_MSG_FMT(extack, "%s reaches memory that is not the VM's, at iova %#llx",
				   address, foreign->iova);
		return -EPERM;
	}
	return gap.length ? refuse_gap(c, ask, address, &gap, extack) : 0;
}

static int snapshot_device(struct cpr *c, const struct cpr_dma_request *ask,
			   const char *address, const struct cpr_memory *m,
			   struct iommu_domain **domains, struct cpr_dma *dma,
			   struct netlink_ext_ack *extack)
{
	struct pci_dev *pdev __free(pci_dev_put) = find_pci(address, extack);
	struct cpr_device *d = &dma->devices[dma->nr_devices];
	struct iommu_domain *domain;
	int err;

	if (!pdev)
		return -ENODEV;
	domain = domain_of(ask, &pdev->dev, extack);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	cpr_pci_identify(pdev, &d->id);
	err = check_first(dma, &d->id.address, extack);
	if (err)
		return err;
	/* From here on it is freed with the snapshot. */
	dma->nr_devices++;
	err = add_group(d, &pdev->dev, extack);
	if (err)
		return err;
	d->id.dma = find_table(dma, domains, domain);
	if (d->id.dma < dma->nr_tables)
		return 0;
	domains[dma->nr_tables++] = domain;
	return read_table(c, ask, address, domain, m, &dma->tables[d->id.dma], extack);
}

static struct cpr_dma *read_devices(struct cpr *c, const struct cpr_dma_request *ask,
				    const struct cpr_memory *m,
				    struct netlink_ext_ack *extack)
{
	struct cpr_dma *dma __free(cpr_dma) = cpr_dma_new(ask->nr_devices, ask->nr_devices);
	struct iommu_domain **domains __free(kvfree) =
		kvcalloc(ask->nr_devices, sizeof(struct iommu_domain *), GFP_KERNEL);

	if (!dma || !domains)
		return ERR_PTR(-ENOMEM);
	for (u32 i = 0; i < ask->nr_devices; i++) {
		int err = snapshot_device(c, ask, ask->devices[i], m, domains, dma, extack);

		if (err)
			return ERR_PTR(err);
	}
	return_ptr(dma);
}

/* Begins a request: the VM's memory, if its state allows to look at it. */
static int begin(struct cpr *c, const char *name, u32 states, struct cpr_memory *m,
		 struct cpr_dma **dma, struct netlink_ext_ack *extack)
{
	struct cpr_node *dir;
	int err;

	guard(cpr)(c);

	dir = cpr_vm_in(c, name, states, extack);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	if (dma && !dir->vm->dma) {
		NL_SET_ERR_MSG(extack, "the VM has no snapshot to compare with");
		return -ENODATA;
	}
	err = cpr_memory_get(c, dir, m);
	if (!err && dma) {
		*dma = dir->vm->dma;
		refcount_inc(&(*dma)->refs);
	}
	return err;
}

#define MAY_SNAPSHOT	(BIT(CPR_VM_STATE_RUNNING) | BIT(CPR_VM_STATE_SAVED))
#define MAY_VERIFY	BIT(CPR_VM_STATE_RESTORING)

/* Keeps the snapshot, or what was before. */
static int keep(struct cpr *c, const char *name, struct cpr_dma *dma,
		struct netlink_ext_ack *extack)
{
	struct cpr_node *dir;

	guard(cpr)(c);

	dir = cpr_vm_in(c, name, MAY_SNAPSHOT, extack);
	return IS_ERR(dir) ? PTR_ERR(dir) : cpr_vm_set_dma(c, dir, dma, extack);
}

/**
 * cpr_dma_snapshot - record what devices of a VM can reach
 * @c: the region
 * @ask: the VM, its devices, and files that keep them open
 * @report: filled in: what was found
 * @extack: reason of a refusal
 *
 * Return: 0; -ENOENT, -EBUSY for a VM that is not there or not running; -ENODEV,
 * -EOPNOTSUPP, -EPERM, -EINVAL for a device; -ENXIO if memory of the VM is not
 * reached; -ENOSPC, -ENOMEM, -EINTR. Then the snapshot is what it was.
 */
int cpr_dma_snapshot(struct cpr *c, const struct cpr_dma_request *ask,
		     struct cpr_dma_report *report, struct netlink_ext_ack *extack)
{
	struct cpr_memory m;
	struct cpr_dma *dma;
	int err = begin(c, ask->name, MAY_SNAPSHOT, &m, NULL, extack);

	if (err)
		return err;
	dma = read_devices(c, ask, &m, extack);
	cpr_memory_free(&m);
	if (IS_ERR(dma))
		return PTR_ERR(dma);
	cpr_dma_sum(dma, report);
	err = keep(c, ask->name, dma, extack);
	cpr_dma_put(dma);
	return err;
}

/**
 * cpr_dma_sum - how much the devices of a snapshot can reach
 * @dma: the snapshot
 * @report: filled in, without differences
 */
void cpr_dma_sum(const struct cpr_dma *dma, struct cpr_dma_report *report)
{
	memset(report, 0, sizeof(*report));
	report->devices = dma->nr_devices;
	for (u32 i = 0; i < dma->nr_tables; i++) {
		struct cpr_dma_sum sum;

		cpr_dma_table_sum(&dma->tables[i], &sum);
		report->extents += sum.extents[CPR_IMAGE_DMA_REGION];
		report->bytes += sum.bytes[CPR_IMAGE_DMA_REGION];
	}
}

/* ---- verify ---- */

struct compare {
	struct cpr_dma_report *report;
	struct cpr_pci device;
};

static void note_difference(void *data, const struct cpr_dma_diff *diff)
{
	struct compare *cmp = data;
	struct cpr_dma_report *r = cmp->report;

	if (r->differences < ARRAY_SIZE(r->first)) {
		r->first[r->differences].device = cmp->device;
		r->first[r->differences].diff = *diff;
	}
	r->differences++;
}

static int verify_device(struct cpr *c, const struct cpr_dma_request *ask,
			 const struct cpr_dma *dma, const struct cpr_device *d,
			 const struct cpr_memory *m, struct cpr_dma_report *report,
			 struct netlink_ext_ack *extack)
{
	struct compare cmp = { .report = report, .device = d->id.address };
	char address[CPR_DEVICE_ADDRESS_MAX + 1];
	struct cpr_dma_table now = { 0 };
	struct iommu_domain *domain;
	struct probe p;
	struct gap gap;
	int err;

	cpr_pci_name(&d->id.address, address);
	struct pci_dev *pdev __free(pci_dev_put) = find_pci(address, extack);
	if (!pdev)
		return -ENODEV;
	domain = domain_of(ask, &pdev->dev, extack);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	p = (struct probe){
		.domain = domain, .geo = &c->geo, .full = ask->full, .table = &now,
	};
	err = probe_domain(&p, m, &gap);
	if (!err)
		cpr_dma_compare(&dma->tables[d->id.dma], &now, &m->owner,
				note_difference, &cmp);
	else
		NL_SET_ERR_MSG_FMT(extack, "the mappings of %s could not be read", address);
	cpr_dma_table_free(&now);
	return err;
}

/**
 * cpr_dma_verify - compare what devices of a VM can reach with its snapshot
 * @c: the region
 * @ask: the VM, and files that keep its devices open
 * @report: filled in; differences are no error
 * @extack: reason of a refusal
 *
 * Return: 0; -ENOENT, -EBUSY for a VM that is not there or not restoring;
 * -ENODATA if it has no snapshot; -ENODEV, -EOPNOTSUPP, -EPERM, -EINVAL for a
 * device; -ENOMEM, -EINTR.
 */
int cpr_dma_verify(struct cpr *c, const struct cpr_dma_request *ask,
		   struct cpr_dma_report *report, struct netlink_ext_ack *extack)
{
	struct cpr_memory m;
	struct cpr_dma *dma;
	int err = begin(c, ask->name, MAY_VERIFY, &m, &dma, extack);

	if (err)
		return err;
	cpr_dma_sum(dma, report);
	for (u32 i = 0; i < dma->nr_devices && !err; i++)
		err = verify_device(c, ask, dma, &dma->devices[i], &m, report, extack);
	cpr_memory_free(&m);
	cpr_dma_put(dma);
	return err;
}
