// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>

#include "base/deadline.h"
#include "base/interrupt.h"
#include "base/out.h"
#include "base/size.h"
#include "host/kernel.h"
#include "host/vfio.h"
#include "qemu/freeze.h"
#include "qemu/pciargs.h"
#include "vm/devices.h"
#include "vm/dma.h"
#include "vm/manifest.h"

/* QEMU is frozen for about PART_MS at a time, which a guest hardly notices. */
#define PART_MS 10
#define PART_MIN (64 * MIB)
#define PART_MAX (UINT64_C(1) << 40)

/* The operator may have plugged or unplugged devices through QEMU's monitor. */
static int dma_check_count(const struct strv *addresses, const struct vfio_files *files,
			   struct err *err)
{
	if (files->devices == addresses->n)
		return 0;
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU",
		    .value = fmt("%zu VFIO devices", files->devices),
		    .why = fmt("'cpr-helper run' gave it %zu; the others could not be handed over",
			       addresses->n),
		    .remedy = "undo the plugging or unplugging of devices through QEMU's monitor");
}

/**
 * struct dma_job - a request to the module
 * @frozen: QEMU, if it has devices: the module must not read mappings that change
 * @files: QEMU's VFIO files
 * @addresses: of its devices
 */
struct dma_job {
	struct frozen frozen;
	struct vfio_files files;
	struct strv addresses;
};

/* QEMU runs on only when its files are closed here. */
static void dma_end(struct dma_job *job)
{
	strv_free(&job->addresses);
	vfio_files_close(&job->files);
	freeze_end(&job->frozen);
}

#define _cleanup_dma_ _cleanup_(dma_end)

static int dma_begin(struct vm *vm, struct dma_job *job, struct err *err)
{
	int r = 0;

	manifest_devices(vm->manifest, &job->addresses);
	if (job->addresses.n)
		r = freeze_begin(vm->qemu.pid, &job->frozen, err);
	if (r == 0)
		r = vfio_files(vm->qemu.pid, &job->files, err);
	if (r == 0)
		r = dma_check_count(&job->addresses, &job->files, err);
	if (r == 0 && job->addresses.n)
		r = vfio_check_shared(vm->qemu.pid, err);
	return r;
}

static int dma_take(struct vm *vm, const struct dma_job *job, bool full, struct err *err)
{
	struct cpr_scan scan = { .fds = job->files.v, .nfds = job->files.n, .full = full };
	struct cpr_dma dma = { 0 };
	int r = genl_snapshot(vm->genl, vm->name, &job->addresses, &scan, &dma, err);

	if (r == 0)
		detail("%s: snapshot of %u devices, %u mappings, %s", vm->name, dma.devices,
		       dma.extents, size_human(dma.bytes));
	return r;
}

/* Whether the devices still reach what dma_prove() has recorded. */
static bool dma_unchanged(struct vm *vm, const struct dma_job *job)
{
	struct cpr_scan scan = { .fds = job->files.v, .nfds = job->files.n };
	_cleanup_verdict_ struct cpr_verdict verdict = { 0 };

	return vm->proven && genl_verify(vm->genl, vm->name, &scan, &verdict, NULL) == 0 &&
	       !verdict.differences;
}

int dma_snapshot(struct vm *vm, struct err *err)
{
	_cleanup_dma_ struct dma_job job = { 0 };
	int r = dma_begin(vm, &job, err);

	if (r < 0 || !job.addresses.n || dma_unchanged(vm, &job))
		return r;
	return dma_take(vm, &job, vm->full || vm->proven, err);
}

/* ---- before the guest stops ---- */

static int dma_take_early(struct vm *vm, struct err *err)
{
	_cleanup_dma_ struct dma_job job = { 0 };
	int r = dma_begin(vm, &job, err);

	return r < 0 ? r : dma_take(vm, &job, false, err);
}

/* Returns: 0, also if there are @differences. Sets @start for the next part; 0: none. */
static int dma_prove_part(struct vm *vm, uint64_t *start, uint64_t length,
			  uint32_t *differences, struct err *err)
{
	_cleanup_verdict_ struct cpr_verdict verdict = { 0 };
	_cleanup_dma_ struct dma_job job = { 0 };
	struct cpr_scan scan;
	int r = dma_begin(vm, &job, err);

	if (r < 0)
		return r;
	scan = (struct cpr_scan){ .fds = job.files.v, .nfds = job.files.n, .start = *start,
				  .length = length };
	r = genl_verify(vm->genl, vm->name, &scan, &verdict, err);
	*start = verdict.next;
	*differences = verdict.differences;
	return r;
}

static uint64_t dma_next_length(uint64_t length, int64_t ms)
{
	if (ms < PART_MS && length < PART_MAX)
		return length * 2;
	return ms > 2 * PART_MS && length > PART_MIN ? length / 2 : length;
}

static int dma_prove_parts(struct vm *vm, uint32_t *differences, struct err *err)
{
	uint64_t start = 0, length = PART_MIN;
	int r = 0;

	do {
		int64_t begin = now_ms(), ms;

		r = dma_prove_part(vm, &start, length, differences, err);
		ms = now_ms() - begin;
		length = dma_next_length(length, ms);
		nanosleep(&(struct timespec){ .tv_sec = ms / 1000,
					      .tv_nsec = ms % 1000 * 1000000 }, NULL);
		if (r == 0 && interrupt_arrived())
			r = fail(err, -EINTR, .what = "VM", .value = vm->name,
				 .why = "interrupted");
	} while (r == 0 && start && !*differences);
	return r;
}

static bool dma_may_change(struct vm *vm)
{
	_cleanup_(qemuopts_free) struct qemuopts options = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };

	manifest_argv(vm->manifest, &argv);
	return qemuopts_parse(&argv, &options, NULL) < 0 || pciargs_has_viommu(&options);
}

int dma_prove(struct vm *vm, struct err *err)
{
	_cleanup_strv_ struct strv addresses = { 0 };
	uint32_t differences = 0;
	int r;

	manifest_devices(vm->manifest, &addresses);
	if (!addresses.n || vm->full || vm->proven || dma_may_change(vm))
		return 0;
	r = dma_take_early(vm, err);
	if (r == 0)
		r = dma_prove_parts(vm, &differences, err);
	if (r < 0)
		return r;
	vm->proven = !differences;
	vm->full = differences;
	return 0;
}

/* ---- after the kexec ---- */

static void dma_record(struct vm *vm, const struct cpr_verdict *verdict)
{
	struct json_object *verified = json_object_new_object();

	jset_int(verified, "time", time(NULL));
	jset_str(verified, "kernel", kernel_release());
	jset_int(verified, "extents", verdict->dma.extents);
	jset_int(verified, "bytes", verdict->dma.bytes);
	jset_int(verified, "differences", verdict->differences);
	jset(vm->manifest, "verified", verified);
}

static const char *dma_target(bool somewhere, uint64_t at)
{
	return somewhere ? fmt("%#llx", (unsigned long long)at) : "nowhere";
}

/* Add the differences to the message, one in each line. */
static void dma_list(const struct cpr_verdict *verdict, struct err *err)
{
	_cleanup_strv_ struct strv lines = { 0 };
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < verdict->n; i++) {
		const struct cpr_difference *d = &verdict->v[i];

		strv_pushf(&lines, "%s: %s at %#llx led to %s, leads to %s: %s", d->device,
			   size_exact(d->length), (unsigned long long)d->iova,
			   dma_target(d->led, d->expected), dma_target(d->leads, d->found),
			   cpr_difference_name(d->kind));
	}
	if (verdict->differences > verdict->n)
		strv_pushf(&lines, "and %zu more", verdict->differences - verdict->n);
	text = strv_join(&lines, "\n");
	err_words(err, text);
}

/* A device that was not checked is an error, too. */
static int dma_check_verdict(struct vm *vm, const struct strv *addresses,
			     const struct cpr_verdict *verdict, struct err *err)
{
	static const char remedy[] = "the guest has not run; restore it under the kernel and with "
				     "the QEMU that it was saved with";
	int r;

	if (verdict->dma.devices != addresses->n)
		return fail(err, -EIO, .what = "DMA of VM", .value = vm->name,
			    .why = fmt("the module checked %u of its %zu devices",
				       verdict->dma.devices, addresses->n), .remedy = remedy);
	if (!verdict->differences)
		return 0;
	r = fail(err, -EIO, .what = "DMA of VM", .value = vm->name,
		 .why = fmt("its devices do not reach the same memory as before: %u ranges differ",
			    verdict->differences), .remedy = remedy);
	dma_list(verdict, err);
	return r;
}

int dma_verify(struct vm *vm, struct err *err)
{
	_cleanup_verdict_ struct cpr_verdict verdict = { 0 };
	_cleanup_dma_ struct dma_job job = { 0 };
	struct cpr_scan scan;
	int r = dma_begin(vm, &job, err);

	if (r < 0 || !job.addresses.n)
		return r;
	scan = (struct cpr_scan){ .fds = job.files.v, .nfds = job.files.n, .full = vm->full };
	r = genl_verify(vm->genl, vm->name, &scan, &verdict, err);
	if (r < 0)
		return r;
	dma_record(vm, &verdict);
	return dma_check_verdict(vm, &job.addresses, &verdict, err);
}
