// SPDX-License-Identifier: GPL-2.0-only
/* Which driver has a PCI device: by driver_override, which outlives no reboot. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <libkmod.h>

#include "out.h"
#include "pci.h"

#define VFIO "vfio-pci"

static int put(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_all(fd, text, strlen(text));
}

static int override(const char *address, const char *driver)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/devices/%s/driver_override",
					      pci_root, address);

	return put(path, driver ? driver : "\n");
}

static int unbind(const char *address)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/devices/%s/driver/unbind", pci_root,
					      address);
	int r = put(path, address);

	return r == -ENOENT ? 0 : r;
}

/* That no driver wants it is no error. */
static int probe(const char *address)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/drivers_probe", pci_root);
	int r = put(path, address);

	return r == -ENODEV || r == -EINVAL ? 0 : r;
}

static bool has_vfio(const char *address)
{
	_cleanup_free_ char *driver = pci_driver(address);

	return driver && streq(driver, VFIO);
}

/* vfio-pci may also be built in. */
static void load_vfio(void)
{
	struct kmod_ctx *ctx = kmod_new(NULL, NULL);
	struct kmod_list *list = NULL, *l;

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
	_cleanup_free_ char *dir = xasprintf("%s/sys/bus/pci/drivers/" VFIO, pci_root);
	bool driver = access(dir, F_OK) == 0;

	return fail(err, r, .what = "cannot give to " VFIO, .value = address,
		    .why = !driver ? "the kernel does not have this driver" :
		    r == -EACCES || r == -EPERM ? "needs root" :
		    r == -ENXIO ? "the driver does not take it" : strerror(-r),
		    .remedy = !driver ? "install the module of the running kernel" :
		    r == -EACCES || r == -EPERM ? "run it with sudo" : "'dmesg' tells why");
}

int pci_bind_vfio(const char *address, struct err *err)
{
	int r;

	if (has_vfio(address))
		return 0;
	load_vfio();
	r = override(address, VFIO);
	if (r == 0)
		r = unbind(address);
	if (r == 0)
		r = probe(address);
	if (r == 0 && has_vfio(address)) {
		detail("%s: given to " VFIO, address);
		return 0;
	}
	override(address, NULL);
	probe(address);
	return not_bound(address, r < 0 ? r : -ENXIO, err);
}

/* To unbind a device that somebody uses would wait for him, for ever. */
static bool in_use(const char *address)
{
	_cleanup_free_ char *group = pci_group(address);
	_cleanup_free_ char *path = xasprintf("/dev/vfio/%s", group ? group : "-");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 && errno == EBUSY;
}

int pci_give_back(const char *address, struct err *err)
{
	int r;

	if (!has_vfio(address))
		return 0;
	if (in_use(address))
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "device", .value = address,
			    .why = "some process uses it; it stays with " VFIO);
	r = override(address, NULL);
	if (r == 0)
		r = unbind(address);
	if (r == 0)
		r = probe(address);
	return r == 0 ? 0 : fail(err, r, .what = "cannot give back", .value = address,
				 .why = strerror(-r));
}
