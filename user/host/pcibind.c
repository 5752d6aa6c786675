// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bind a PCI device to vfio-pci, and unbind it, by means of driver_override. The override
 * is lost with the running kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include <libkmod.h>

#include "base/out.h"
#include "host/pci.h"

#define VFIO "vfio-pci"

static int pci_write_attribute(const char *address, const char *file, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/devices/%s/%s", pci_root, address,
					      file);

	return pci_write(path, text);
}

static int pci_set_override(const char *address, const char *driver)
{
	return pci_write_attribute(address, "driver_override", driver ? driver : "\n");
}

static int pci_unbind(const char *address)
{
	int r = pci_write_attribute(address, "driver/unbind", address);

	return r == -ENOENT ? 0 : r;	/* no driver is bound */
}

static int pci_probe(const char *address)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/drivers_probe", pci_root);

	return pci_write(path, address);
}

static bool vfio_is_bound(const char *address)
{
	_cleanup_free_ char *driver = pci_driver(address);

	return driver && streq(driver, VFIO);
}

static bool vfio_is_loaded(void)
{
	_cleanup_free_ char *dir = xasprintf("%s/sys/bus/pci/drivers/" VFIO, pci_root);

	return access(dir, F_OK) == 0;
}

/* Load the module vfio-pci. Errors show as the driver's absence in sysfs. */
static void vfio_load(void)
{
	struct kmod_list *list = NULL, *l;
	struct kmod_ctx *ctx;

	if (vfio_is_loaded())
		return;
	ctx = kmod_new(NULL, NULL);
	if (ctx && kmod_module_new_from_lookup(ctx, VFIO, &list) >= 0)
		kmod_list_foreach(l, list) {
			struct kmod_module *mod = kmod_module_get_module(l);

			kmod_module_probe_insert_module(mod, 0, NULL, NULL, NULL, NULL);
			kmod_module_unref(mod);
		}
	kmod_module_unref_list(list);
	kmod_unref(ctx);
}

static int vfio_bind_failed(const char *address, int r, struct err *err)
{
	bool there = vfio_is_loaded(), root = r != -EACCES && r != -EPERM;

	return fail(err, r, .what = "cannot bind to " VFIO, .value = address,
		    .why = !there ? "the kernel does not have this driver" :
		    !root ? "needs root" :
		    r == -ENXIO ? "the driver rejects the device" : strerror(-r),
		    .remedy = !there ? "install the modules of the running kernel" :
		    !root ? "run it with sudo" : "'dmesg' shows the reason");
}

int pci_bind_vfio(const char *address, struct err *err)
{
	_cleanup_free_ char *before = pci_driver(address);
	int r;

	if (before && streq(before, VFIO))
		return 0;
	vfio_load();
	r = pci_set_override(address, VFIO);
	if (r < 0)
		return vfio_bind_failed(address, r, err);
	r = pci_unbind(address);
	if (r == 0)
		r = pci_probe(address);
	if (vfio_is_bound(address)) {
		detail("%s: bound to " VFIO, address);
		return 0;
	}
	pci_set_override(address, NULL);
	if (before)
		pci_probe(address);
	return vfio_bind_failed(address, r < 0 ? r : -ENXIO, err);
}

/* Unbinding a device that a process uses would block until that process closes it. */
static bool vfio_group_busy(const char *address)
{
	_cleanup_free_ char *group = pci_group(address);
	_cleanup_free_ char *path = xasprintf("%s/dev/vfio/%s", pci_root, group ? group : "-");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 && errno == EBUSY;
}

int pci_unbind_vfio(const char *address, bool driven, struct err *err)
{
	_cleanup_free_ char *dir = pci_dir(address), *driver = pci_driver(address);
	int r;

	if (!dir || (driver && !streq(driver, VFIO)))
		return 0;
	if (driver && vfio_group_busy(address))
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "device", .value = address,
			    .why = "a process uses it",
			    .remedy = "'fuser -v /dev/vfio/*' shows the process; end it");
	r = pci_set_override(address, NULL);
	if (r == 0)
		r = pci_unbind(address);
	if (r == 0 && driven)
		r = pci_probe(address);
	return r == 0 ? 0 : fail(err, r, .what = "device", .value = address, .why = strerror(-r));
}
