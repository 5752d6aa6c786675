// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: What the devices of a VM can reach
 *
 * Read from the IOMMU itself, not from what anyone says was mapped: VFIO's two
 * ways of mapping, and whatever comes, look alike. A snapshot is taken before a
 * VM is sealed and kept in the image; after it was restored under another
 * kernel, the same is read again and compared.
 *
 * Locking: probing takes long and holds no lock; the VM's memory is frozen
 * meanwhile, and its state is looked at again before a snapshot is kept. A
 * snapshot is counted, and does not change but for who has its devices, which
 * is under cpr->lock, see hold.c.
 */
#include <linux/iommu.h>
#include <linux/netlink.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "cpr_internal.h"

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

/* ---- snapshot ---- */

static struct pci_dev *find_pci(const char *address, struct netlink_ext_ack *extack)
{
	struct device *dev = bus_find_device_by_name(&pci_bus_type, NULL, address);

	if (dev)
		return to_pci_dev(dev);
	NL_SET_ERR_MSG_FMT(extack, "there is no PCI device %s", address);
	return NULL;
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
	if (d->id.members > CPR_IMAGE_GROUP_MAX) {
		kfree(members);
		NL_SET_ERR_MSG_FMT(extack, "the IOMMU group of %s has more than %u devices",
				   dev_name(dev), CPR_IMAGE_GROUP_MAX);
		return -E2BIG;
	}
	d->members = members;
	if (cpr_pci_among(&d->id.address, members, d->id.members))
		return 0;
	NL_SET_ERR_MSG_FMT(extack, "%s has just left its IOMMU group", dev_name(dev));
	return -EAGAIN;
}

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
		      const struct cpr_gap *gap, struct netlink_ext_ack *extack)
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

static int read_table(struct cpr *c, const struct cpr_dma_request *ask, const char *address,
		      struct iommu_domain *domain, const struct cpr_memory *m,
		      struct cpr_dma_table *table, struct netlink_ext_ack *extack)
{
	const struct cpr_dma_extent *foreign;
	struct cpr_gap gap;
	int err = cpr_probe(domain, m, ask->full, table, &gap);

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
	if (gap.length)
		return refuse_gap(c, ask, address, &gap, extack);
	if (cpr_dma_table_fits(table, &m->owner))
		return 0;
	NL_SET_ERR_MSG_FMT(extack, "%s has more mappings than the VM's memory can need",
			   address);
	return -E2BIG;
}

/* The table of the device's domain, which it may share with an earlier one. */
static int add_table(struct cpr *c, const struct cpr_dma_request *ask, const char *address,
		     struct iommu_domain *domain, const struct cpr_memory *m,
		     struct iommu_domain **domains, struct cpr_dma *dma, u32 *table,
		     struct netlink_ext_ack *extack)
{
	*table = 0;
	while (*table < dma->nr_tables && domains[*table] != domain)
		++*table;
	if (*table < dma->nr_tables)
		return 0;
	domains[dma->nr_tables++] = domain;
	return read_table(c, ask, address, domain, m, &dma->tables[*table], extack);
}

static int snapshot_device(struct cpr *c, const struct cpr_dma_request *ask,
			   const char *address, const struct cpr_memory *m,
			   struct iommu_domain **domains, struct cpr_dma *dma,
			   struct netlink_ext_ack *extack)
{
	struct pci_dev *pdev __free(pci_dev_put) = find_pci(address, extack);
	struct cpr_device *d = &dma->devices[dma->nr_devices];
	struct cpr_vfio v;
	int err;

	if (!pdev)
		return -ENODEV;
	cpr_pci_identify(pdev, &d->id);
	err = check_first(dma, &d->id.address, extack);
	if (err)
		return err;
	/* From here on it is freed with the snapshot. */
	dma->nr_devices++;
	err = add_group(d, &pdev->dev, extack);
	if (err)
		return err;
	err = cpr_vfio_get(&pdev->dev, ask, &v, extack);
	if (err)
		return err;
	err = add_table(c, ask, address, v.domain, m, domains, dma, &d->id.dma, extack);
	cpr_vfio_put(&v);
	return err;
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
 * reached, -E2BIG if there is more than may be recorded; -ENOSPC, -ENOMEM,
 * -EINTR. Then the snapshot is what it was.
 */
int cpr_dma_snapshot(struct cpr *c, const struct cpr_dma_request *ask,
		     struct cpr_dma_report *report, struct netlink_ext_ack *extack)
{
	struct cpr_memory m;
	struct cpr_dma *dma;
	int err;

	if (ask->nr_devices > CPR_IMAGE_DEVICES_MAX) {
		NL_SET_ERR_MSG_FMT(extack, "a VM can have %u devices", CPR_IMAGE_DEVICES_MAX);
		return -E2BIG;
	}
	err = begin(c, ask->name, MAY_SNAPSHOT, &m, NULL, extack);
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

static int compare(struct cpr *c, const struct cpr_dma_request *ask, const char *address,
		   struct iommu_domain *domain, const struct cpr_dma_table *before,
		   const struct cpr_memory *m, struct compare *cmp,
		   struct netlink_ext_ack *extack)
{
	struct cpr_dma_table now = { 0 };
	struct cpr_gap gap;
	u32 differences = 0;
	int err = cpr_probe(domain, m, ask->full, &now, &gap);

	if (!err)
		differences = cpr_dma_compare(before, &now, &m->owner, note_difference, cmp);
	else
		NL_SET_ERR_MSG_FMT(extack, "the mappings of %s could not be read", address);
	cpr_dma_table_free(&now);
	/* The image may know of no mapping where there should be one. */
	if (!err && !differences && gap.length)
		err = refuse_gap(c, ask, address, &gap, extack);
	return err;
}

static int verify_device(struct cpr *c, const struct cpr_dma_request *ask,
			 const struct cpr_dma *dma, const struct cpr_device *d,
			 const struct cpr_memory *m, struct cpr_dma_report *report,
			 struct netlink_ext_ack *extack)
{
	struct compare cmp = { .report = report, .device = d->id.address };
	char address[CPR_DEVICE_ADDRESS_MAX + 1];
	struct cpr_vfio v;
	int err;

	cpr_pci_name(&d->id.address, address);
	struct pci_dev *pdev __free(pci_dev_put) = find_pci(address, extack);
	if (!pdev)
		return -ENODEV;
	err = cpr_vfio_get(&pdev->dev, ask, &v, extack);
	if (err)
		return err;
	err = compare(c, ask, address, v.domain, &dma->tables[d->id.dma], m, &cmp, extack);
	cpr_vfio_put(&v);
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
 * device; -ENXIO if memory of the VM is reached neither now nor in the snapshot;
 * -ENOMEM, -EINTR.
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
