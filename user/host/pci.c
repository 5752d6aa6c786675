// SPDX-License-Identifier: GPL-2.0-only
/* What sysfs says of a PCI device. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>

#include "host/pci.h"

const char *pci_root = "";

static char *path_of(const char *address, const char *file)
{
	return xasprintf("%s/sys/bus/pci/devices/%s/%s", pci_root, address, file);
}

char *pci_dir(const char *address)
{
	_cleanup_free_ char *path = path_of(address, ".");

	return realpath(path, NULL);
}

char *pci_text(const char *address, const char *file)
{
	_cleanup_free_ char *path = path_of(address, file);

	return read_text(path, 4096);
}

/* Last part of where a link of the device's directory leads. */
static char *link_name(const char *address, const char *link)
{
	_cleanup_free_ char *path = path_of(address, link);
	char to[4096];
	ssize_t len = readlink(path, to, sizeof(to) - 1);

	if (len < 0)
		return NULL;
	to[len] = '\0';
	return xstrdup(strrchr(to, '/') ? strrchr(to, '/') + 1 : to);
}

char *pci_driver(const char *address)
{
	return link_name(address, "driver");
}

/* VFIO makes groups of its own where there is no IOMMU; they protect nothing. */
char *pci_group(const char *address)
{
	_cleanup_free_ char *name = pci_text(address, "iommu_group/name");

	return name && streq(name, "vfio-noiommu") ? NULL : link_name(address, "iommu_group");
}

void pci_members(const char *address, struct strv *members)
{
	_cleanup_free_ char *path = path_of(address, "iommu_group/devices");
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (*e->d_name != '.')
			strv_push(members, e->d_name);
	if (d)
		closedir(d);
}

char *pci_model(const char *address)
{
	_cleanup_free_ char *vendor = pci_text(address, "vendor");
	_cleanup_free_ char *device = pci_text(address, "device");

	if (!vendor || !device || !startswith(vendor, "0x") || !startswith(device, "0x"))
		return NULL;
	return xasprintf("%s:%s", vendor + 2, device + 2);
}
