// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: What the devices of a VM can reach
 *
 * A snapshot is read from the IOMMU itself, not from what a process says it has
 * mapped, so mappings by VFIO's type 1 driver, by iommufd or by a later interface
 * look alike. The snapshot is taken before a VM is sealed and is kept in the image.
 * After the VM was restored under another kernel, the same is read again and
 * compared with the snapshot. A VM with a snapshot runs only after it was verified, see
 * vm.c.
 *
 * A walk over every page takes long, and whoever asks lets nothing unmap meanwhile. So a
 * snapshot can also be verified in parts, while the guest runs between them.
 *
 * Devices that share a domain reach the same, so each domain is read once a request.
 *
 * Locking: probing takes long and holds none of the module's locks. The VM's memory
 * is frozen meanwhile, and the VM's state is checked again before a snapshot is kept.
 */
#include <linux/iommu.h>
#include <linux/netlink.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "dma.h"
#include "memory.h"
#include "pci.h"
#include "probe.h"
#include "vfio.h"
#include "vm.h"

#define MAY_SNAPSHOT	(BIT(CPR_VM_STATE_RUNNING) | BIT(CPR_VM_STATE_SAVED))
#define MAY_VERIFY	(MAY_SNAPSHOT | BIT(CPR_VM_STATE_RESTORING))

/**
 * struct dma_walk - a domain that was read
 * @domain: the domain; not referenced, only compared
 * @table: what it translates to
 * @gap: the first part of the VM's memory that it does not translate to
 */
struct dma_walk {
	struct iommu_domain *domain;
	struct cpr_dma_table table;
	struct cpr_gap gap;
};

/**
 * struct dma_job - a request that is being carried out
 * @c: the region
 * @ask: the request
 * @memory: the VM's memory
 * @changes: of the VM when the request began
 * @window: the part to read, if only a part is verified
 * @walks: domains that were read so far, with room for one a device
 * @nr_walks: entries in @walks
 * @extack: reason of a refusal
 */
struct dma_job {
	struct cpr *c;
	const struct cpr_dma_request *ask;
	struct cpr_memory memory;
	u64 changes;
	struct cpr_window window;
	struct dma_walk *walks;
	u32 nr_walks;
	struct netlink_ext_ack *extack;
};

/* @dma, if not NULL, gets the VM's snapshot, and a VM without one is refused. */
static int dma_find(struct dma_job *job, u32 states, struct cpr_dma **dma)
{
	struct cpr *c = job->c;
	struct cpr_node *dir;
	int err;

	guard(cpr)(c);

	dir = cpr_vm_in(c, job->ask->name, states, job->extack);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	if (dma && !dir->vm->dma) {
		NL_SET_ERR_MSG(job->extack, "the VM has no snapshot to compare with");
		return -ENODATA;
	}
	err = cpr_memory_get(c, dir, &job->memory);
	if (err)
		return err;
	job->changes = dir->vm->changes;
	if (dma)
		*dma = cpr_dma_get(dir->vm->dma);
	return 0;
}

static int dma_make_room(struct dma_job *job, u32 devices)
{
	job->walks = kvcalloc(devices, sizeof(*job->walks), GFP_KERNEL);
	return job->walks ? 0 : -ENOMEM;
}

static void dma_end(struct dma_job *job)
{
	for (u32 i = 0; i < job->nr_walks; i++)
		cpr_dma_table_free(&job->walks[i].table);
	kvfree(job->walks);
	cpr_memory_free(&job->memory);
}

static int dma_probe(struct dma_job *job, struct dma_walk *walk)
{
	if (job->ask->length)
		return cpr_probe_pages(walk->domain, &job->memory, &job->window, &walk->table);
	return cpr_probe(walk->domain, &job->memory, job->ask->full, &walk->table, &walk->gap);
}

/* Read a domain, unless another device has shown it; @fresh tells. */
static struct dma_walk *dma_walk(struct dma_job *job, const char *address,
				 struct iommu_domain *domain, bool *fresh)
{
	struct dma_walk *walk = job->walks;
	int err;

	for (; walk < job->walks + job->nr_walks; walk++)
		if (walk->domain == domain) {
			*fresh = false;
			return walk;
		}
	*fresh = true;
	walk->domain = domain;
	job->nr_walks++;
	err = dma_probe(job, walk);
	if (!err)
		return walk;
	NL_SET_ERR_MSG_FMT(job->extack, "the mappings of %s could not be read", address);
	return ERR_PTR(err);
}

static struct pci_dev *dma_find_pci(const char *address, struct netlink_ext_ack *extack)
{
	struct device *dev = bus_find_device_by_name(&pci_bus_type, NULL, address);

	if (dev)
		return to_pci_dev(dev);
	NL_SET_ERR_MSG_FMT(extack, "there is no PCI device %s", address);
	return NULL;
}

/* The gap has the number of the file, so look up its name. */
static int dma_refuse_gap(struct dma_job *job, const char *address, const struct cpr_gap *gap)
{
	const struct cpr_node *dir, *node = NULL;
	struct cpr *c = job->c;
	u32 file = 0;

	guard(cpr)(c);

	dir = cpr_vm_find(c, job->ask->name, NULL);
	if (!IS_ERR(dir))
		cpr_for_each_child(node, dir)
			if (file++ == gap->file)
				break;
	NL_SET_ERR_MSG_FMT(job->extack, "%s does not reach %llu KiB at %#llx of %.*s", address,
			   gap->length >> 10, gap->offset,
			   node ? min_t(int, node->name_len, 20) : 1,
			   node ? node->name : "?");
	return -ENXIO;
}

/* ---- snapshot ---- */

static int dma_add_group(struct cpr_device *d, struct device *dev,
			 struct netlink_ext_ack *extack)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct cpr_pci *members = ERR_PTR(-ENODEV);

	if (group) {
		members = cpr_pci_group_members(group, &d->id.members);
		iommu_group_put(group);
	}
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

/* The next kernel refuses an image in which a VM has the same device twice. */
static int dma_check_first(const struct cpr_dma *dma, const struct cpr_pci *at,
			   struct netlink_ext_ack *extack)
{
	char name[CPR_DEVICE_ADDRESS_MAX + 1];

	for (u32 i = 0; i < dma->nr_devices; i++) {
		if (!cpr_pci_same(at, &dma->devices[i].id.address))
			continue;
		cpr_pci_name(at, name);
		NL_SET_ERR_MSG_FMT(extack, "%s is named twice", name);
		return -EINVAL;
	}
	return 0;
}

static int dma_check_walk(struct dma_job *job, const char *address,
			  const struct dma_walk *walk)
{
	const struct cpr_dma_owner *owner = &job->memory.owner;
	const struct cpr_dma_extent *foreign = cpr_dma_table_foreign(&walk->table, owner);

	if (foreign) {
		NL_SET_ERR_MSG_FMT(job->extack, "%s reaches memory that is not the VM's, at iova %#llx",
				   address, foreign->iova);
		return -EPERM;
	}
	if (walk->gap.length)
		return dma_refuse_gap(job, address, &walk->gap);
	if (cpr_dma_table_fits(&walk->table, owner))
		return 0;
	NL_SET_ERR_MSG_FMT(job->extack, "%s has more mappings than the VM's memory can need",
			   address);
	return -E2BIG;
}

/* Devices that share a domain share a table. */
static int dma_add_table(struct dma_job *job, const char *address,
			 struct iommu_domain *domain, u32 *table)
{
	bool fresh;
	struct dma_walk *walk = dma_walk(job, address, domain, &fresh);

	if (IS_ERR(walk))
		return PTR_ERR(walk);
	*table = walk - job->walks;
	return fresh ? dma_check_walk(job, address, walk) : 0;
}

static int dma_add_device(struct dma_job *job, const char *address, struct cpr_dma *dma)
{
	struct pci_dev *pdev __free(pci_dev_put) = dma_find_pci(address, job->extack);
	struct cpr_device *d = &dma->devices[dma->nr_devices];
	struct cpr_vfio v;
	int err;

	if (!pdev)
		return -ENODEV;
	cpr_pci_identify(pdev, &d->id);
	err = dma_check_first(dma, &d->id.address, job->extack);
	if (err)
		return err;
	/* From here on the device is freed with the snapshot. */
	dma->nr_devices++;
	err = dma_add_group(d, &pdev->dev, job->extack);
	if (err)
		return err;
	err = cpr_vfio_get(&pdev->dev, job->ask->files, job->ask->nr_files, &v, job->extack);
	if (err)
		return err;
	err = dma_add_table(job, address, v.domain, &d->id.dma);
	cpr_vfio_put(&v);
	return err;
}

/* The snapshot takes the tables over. */
static void dma_take_tables(struct dma_job *job, struct cpr_dma *dma)
{
	for (; dma->nr_tables < job->nr_walks; dma->nr_tables++)
		swap(dma->tables[dma->nr_tables], job->walks[dma->nr_tables].table);
}

static struct cpr_dma *dma_read_devices(struct dma_job *job)
{
	const struct cpr_dma_request *ask = job->ask;
	struct cpr_dma *dma __free(cpr_dma) = cpr_dma_new(ask->nr_devices, ask->nr_devices);
	int err = dma ? dma_make_room(job, ask->nr_devices) : -ENOMEM;

	for (u32 i = 0; i < ask->nr_devices && !err; i++)
		err = dma_add_device(job, ask->devices[i], dma);
	if (err)
		return ERR_PTR(err);
	dma_take_tables(job, dma);
	return_ptr(dma);
}

static int dma_keep(struct dma_job *job, struct cpr_dma *dma)
{
	struct cpr_node *dir;

	guard(cpr)(job->c);

	dir = cpr_vm_in(job->c, job->ask->name, MAY_SNAPSHOT, job->extack);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	return cpr_vm_set_dma(job->c, dir, dma, job->extack);
}

/**
 * cpr_dma_snapshot - record what devices of a VM can reach
 * @c: the region
 * @ask: the VM, its devices, and files that show that the caller has them
 * @report: filled in
 * @extack: reason of a refusal
 *
 * Return: 0; -ENOENT or -EBUSY if the VM does not exist or is not running; -ENODEV,
 * -EOPNOTSUPP, -EPERM, -EINVAL for a device; -ENXIO if a device does not reach all
 * of the VM's memory, -E2BIG if there is more than can be recorded; -ENOSPC, -ENOMEM,
 * -EINTR. On an error the VM keeps its old snapshot.
 */
int cpr_dma_snapshot(struct cpr *c, const struct cpr_dma_request *ask,
		     struct cpr_dma_report *report, struct netlink_ext_ack *extack)
{
	struct dma_job job = { .c = c, .ask = ask, .extack = extack };
	struct cpr_dma *dma;
	int err;

	if (ask->nr_devices > CPR_IMAGE_DEVICES_MAX) {
		NL_SET_ERR_MSG_FMT(extack, "a VM can have %u devices", CPR_IMAGE_DEVICES_MAX);
		return -E2BIG;
	}
	err = dma_find(&job, MAY_SNAPSHOT, NULL);
	if (err)
		return err;
	dma = dma_read_devices(&job);
	dma_end(&job);
	if (IS_ERR(dma))
		return PTR_ERR(dma);
	cpr_dma_sum(dma, report);
	err = dma_keep(&job, dma);
	cpr_dma_put(dma);
	return err;
}

/**
 * cpr_dma_sum - add up what the devices of a snapshot can reach
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

struct dma_compare {
	struct cpr_dma_report *report;
	struct cpr_pci device;
};

static void dma_note_difference(void *data, const struct cpr_dma_diff *diff)
{
	struct dma_compare *cmp = data;
	struct cpr_dma_report *r = cmp->report;

	if (r->differences < ARRAY_SIZE(r->first)) {
		r->first[r->differences].device = cmp->device;
		r->first[r->differences].diff = *diff;
	}
	r->differences++;
}

static int dma_compare_table(struct dma_job *job, const char *address,
			     struct iommu_domain *domain,
			     const struct cpr_dma_table *before, struct dma_compare *cmp)
{
	bool fresh;
	struct dma_walk *walk = dma_walk(job, address, domain, &fresh);

	if (IS_ERR(walk))
		return PTR_ERR(walk);
	/* A forged image may lack the mapping as well, so that no difference shows. */
	if (!cpr_dma_compare(before, &walk->table, &job->memory.owner, dma_note_difference,
			     cmp) && walk->gap.length)
		return dma_refuse_gap(job, address, &walk->gap);
	return 0;
}

/* Only that part of the snapshot that is verified. */
static int dma_compare_part(struct dma_job *job, const char *address,
			    struct iommu_domain *domain,
			    const struct cpr_dma_table *before, struct dma_compare *cmp)
{
	struct cpr_dma_table part;
	int err;

	if (!job->ask->length)
		return dma_compare_table(job, address, domain, before, cmp);
	err = cpr_dma_table_clip(before, job->window.start, job->window.end, &part);
	if (err)
		return err;
	err = dma_compare_table(job, address, domain, &part, cmp);
	cpr_dma_table_free(&part);
	return err;
}

static int dma_verify_device(struct dma_job *job, const struct cpr_dma *dma,
			     const struct cpr_device *d, struct cpr_dma_report *report)
{
	struct dma_compare cmp = { .report = report, .device = d->id.address };
	char address[CPR_DEVICE_ADDRESS_MAX + 1];
	struct cpr_vfio v;
	int err;

	cpr_pci_name(&d->id.address, address);
	struct pci_dev *pdev __free(pci_dev_put) = dma_find_pci(address, job->extack);
	if (!pdev)
		return -ENODEV;
	err = cpr_vfio_get(&pdev->dev, job->ask->files, job->ask->nr_files, &v, job->extack);
	if (err)
		return err;
	err = dma_compare_part(job, address, v.domain, &dma->tables[d->id.dma], &cmp);
	cpr_vfio_put(&v);
	return err;
}

static void dma_choose_window(struct dma_job *job, const struct cpr_dma *dma,
			      struct cpr_dma_report *report)
{
	u64 last = 0;

	for (u32 i = 0; i < dma->nr_tables; i++) {
		const struct cpr_dma_table *t = &dma->tables[i];

		if (t->nr)
			last = max(last, t->extents[t->nr - 1].iova);
	}
	cpr_probe_window(&job->memory, job->ask->start, job->ask->length, last, &job->window);
	report->next = job->window.next;
}

static int dma_verify_devices(struct dma_job *job, const struct cpr_dma *dma,
			      struct cpr_dma_report *report)
{
	int err = dma_make_room(job, dma->nr_devices);

	if (job->ask->length)
		dma_choose_window(job, dma, report);
	for (u32 i = 0; i < dma->nr_devices && !err; i++)
		err = dma_verify_device(job, dma, &dma->devices[i], report);
	return err;
}

/**
 * cpr_dma_verify - compare what devices of a VM can reach with its snapshot
 * @c: the region
 * @ask: the VM, and files that show that the caller has its devices
 * @report: filled in; differences are not an error
 * @extack: reason of a refusal
 *
 * Without differences, the VM may run, unless only a part was verified.
 *
 * Return: 0; -ENOENT or -EBUSY if the VM does not exist, or is not running, saved or
 * being restored; -ENODATA if it has no snapshot; -ENODEV, -EOPNOTSUPP, -EPERM, -EINVAL
 * for a device; -ENXIO if a device reaches a part of the VM's memory neither now nor in
 * the snapshot; -ENOMEM, -EINTR.
 */
int cpr_dma_verify(struct cpr *c, const struct cpr_dma_request *ask,
		   struct cpr_dma_report *report, struct netlink_ext_ack *extack)
{
	struct dma_job job = { .c = c, .ask = ask, .extack = extack };
	struct cpr_dma *dma;
	int err = dma_find(&job, MAY_VERIFY, &dma);

	if (err)
		return err;
	cpr_dma_sum(dma, report);
	err = dma_verify_devices(&job, dma, report);
	dma_end(&job);
	if (!ask->length || err || report->differences)
		cpr_vm_set_verified(c, ask->name, dma, job.changes,
				    !err && !report->differences);
	cpr_dma_put(dma);
	return err;
}
