// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>

#include "base/out.h"
#include "base/size.h"
#include "host/kernel.h"
#include "host/vfio.h"
#include "vm/devices.h"
#include "vm/dma.h"
#include "vm/manifest.h"

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

static int dma_open_files(struct vm *vm, struct strv *addresses, struct vfio_files *files,
			  struct err *err)
{
	int r = vfio_files(vm->qemu.pid, files, err);

	manifest_devices(vm->manifest, addresses);
	return r < 0 ? r : dma_check_count(addresses, files, err);
}

int dma_snapshot(struct vm *vm, struct err *err)
{
	_cleanup_vfio_ struct vfio_files files = { 0 };
	_cleanup_strv_ struct strv addresses = { 0 };
	struct cpr_dma dma = { 0 };
	struct cpr_scan scan;
	int r = dma_open_files(vm, &addresses, &files, err);

	if (r < 0 || !addresses.n)
		return r;
	scan = (struct cpr_scan){ files.v, files.n, vm->full };
	r = genl_snapshot(vm->genl, vm->name, &addresses, &scan, &dma, err);
	if (r == 0)
		detail("%s: snapshot of %u devices, %u mappings, %s", vm->name, dma.devices,
		       dma.extents, size_human(dma.bytes));
	return r;
}

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
	_cleanup_vfio_ struct vfio_files files = { 0 };
	_cleanup_strv_ struct strv addresses = { 0 };
	struct cpr_scan scan;
	int r = dma_open_files(vm, &addresses, &files, err);

	if (r < 0 || !addresses.n)
		return r;
	scan = (struct cpr_scan){ files.v, files.n, vm->full };
	r = genl_verify(vm->genl, vm->name, &scan, &verdict, err);
	if (r < 0)
		return r;
	dma_record(vm, &verdict);
	return dma_check_verdict(vm, &addresses, &verdict, err);
}
