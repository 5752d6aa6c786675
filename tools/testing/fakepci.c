// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the PCI core does when sysfs is written to, in a tree of plain files below
 * pci_root: takes the place of user/host/pciwrite.c.
 *
 *	DEVICE/native	the host's driver for it; absent: none knows it
 *	DRIVER/refuses	address of a device that it does not take
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include "host/pci.h"

static char *driver_dir(const char *name)
{
	return xasprintf("%s/sys/bus/pci/drivers/%s", pci_root, name);
}

static bool takes(const char *name, const char *address)
{
	_cleanup_free_ char *dir = driver_dir(name);
	_cleanup_free_ char *path = xasprintf("%s/refuses", dir);
	_cleanup_free_ char *refused = read_text(path, 64);

	return access(dir, F_OK) == 0 && (!refused || !streq(refused, address));
}

/* The driver that is named by driver_override, or else the native one. */
static int probe(const char *address)
{
	_cleanup_free_ char *override = pci_text(address, "driver_override");
	_cleanup_free_ char *native = pci_text(address, "native");
	_cleanup_free_ char *bound = pci_driver(address);
	const char *name = override && *override ? override : native;
	_cleanup_free_ char *link = xasprintf("%s/sys/bus/pci/devices/%s/driver", pci_root, address);
	_cleanup_free_ char *dir = name ? driver_dir(name) : NULL;

	if (bound || !name || !takes(name, address))
		return 0;
	return symlink(dir, link) < 0 ? -errno : 0;
}

static int unbind(const char *driver)
{
	_cleanup_free_ char *link = xstrndup(driver, strrchr(driver, '/') - driver);

	return unlink(link) < 0 ? -errno : 0;
}

int pci_write(const char *path, const char *text)
{
	const char *file = strrchr(path, '/') + 1;
	int fd, r;

	if (streq(file, "drivers_probe"))
		return probe(text);
	if (streq(file, "unbind"))
		return unbind(path);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, strlen(text));
	close(fd);
	return r;
}
