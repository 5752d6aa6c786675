// SPDX-License-Identifier: GPL-2.0-only
/* Which driver has a PCI device: by driver_override, which no reboot outlives. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include <libkmod.h>

#include "base/out.h"
#include "host/pci.h"

#define VFIO "vfio-pci"

static int put(const char *address, const char *file, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/devices/%s/%s", pci_root, address,
					      file);

	return pci_put(path, text);
}

static int override(const char *address, const char *driver)
{
	return put(address, "driver_override", driver ? driver : "\n");
}

static int unbind(const char *address)
{
	int r = put(address, "driver/unbind", address);

	return r == -ENOENT ? 0 : r;	/* it has no driver */
}

static int probe(const char *address)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/drivers_probe", pci_root);

	return pci_put(path, address);
}

static bool has_vfio(const char *address)
{
	_cleanup_free_ char *driver = pci_driver(address);

	return driver && streq(driver, VFIO);
}

static bool vfio_there(void)
{
	_cleanup_free_ char *dir = xasprintf("%s/sys/bus/pci/drivers/" VFIO, pci_root);

	return access(dir, F_OK) == 0;
}

/* Whether it came is seen by its place in sysfs. */
static void load_vfio(void)
{
	struct kmod_list *list = NULL, *l;
	struct kmod_ctx *ctx;

	if (vfio_there())
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

static int not_bound(const char *address, int r, struct err *err)
{
	bool there = vfio_there(), root = r != -EACCES && r != -EPERM;

	return fail(err, r, .what = "cannot give to " VFIO, .value = address,
		    .why = !there ? "the kernel does not have this driver" :
		    !root ? "needs root" :
		    r == -ENXIO ? "the driver does not take it" : strerror(-r),
		    .remedy = !there ? "install the modules of the running kernel" :
		    !root ? "run it with sudo" : "'dmesg' tells why");
}

int pci_bind_vfio(const char *address, struct err *err)
{
	_cleanup_free_ char *before = pci_driver(address);
	int r;

	if (before && streq(before, VFIO))
		return 0;
	load_vfio();
	r = override(address, VFIO);
	if (r < 0)
		return not_bound(address, r, err);
	r = unbind(address);
	if (r == 0)
		r = probe(address);
	if (has_vfio(address)) {
		detail("%s: given to " VFIO, address);
		return 0;
	}
	override(address, NULL);
	if (before)
		probe(address);
	return not_bound(address, r < 0 ? r : -ENXIO, err);
}

/* To unbind a device that somebody uses would wait for him, for ever. */
static bool in_use(const char *address)
{
	_cleanup_free_ char *group = pci_group(address);
	_cleanup_free_ char *path = xasprintf("%s/dev/vfio/%s", pci_root, group ? group : "-");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 && errno == EBUSY;
}

int pci_give_back(const char *address, bool driven, struct err *err)
{
	_cleanup_free_ char *dir = pci_dir(address), *driver = pci_driver(address);
	int r;

	if (!dir || (driver && !streq(driver, VFIO)))
		return 0;
	if (driver && in_use(address))
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "device", .value = address,
			    .why = "some process uses it");
	r = override(address, NULL);
	if (r == 0)
		r = unbind(address);
	if (r == 0 && driven)
		r = probe(address);
	return r == 0 ? 0 : fail(err, r, .what = "device", .value = address, .why = strerror(-r));
}
