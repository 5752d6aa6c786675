// SPDX-License-Identifier: GPL-2.0-only
/* Attributes of a PCI device in sysfs. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>

#include "host/pci.h"

const char *pci_root = "";

static char *pci_path(const char *address, const char *file)
{
	return xasprintf("%s/sys/bus/pci/devices/%s/%s", pci_root, address, file);
}

char *pci_dir(const char *address)
{
	_cleanup_free_ char *path = pci_path(address, ".");

	return realpath(path, NULL);
}

char *pci_text(const char *address, const char *file)
{
	_cleanup_free_ char *path = pci_path(address, file);

	return read_text(path, 4096);
}

char *pci_link_name(const char *address, const char *link)
{
	_cleanup_free_ char *path = pci_path(address, link);
	char to[4096];
	ssize_t len = readlink(path, to, sizeof(to) - 1);

	if (len < 0)
		return NULL;
	to[len] = '\0';
	return xstrdup(strrchr(to, '/') ? strrchr(to, '/') + 1 : to);
}

char *pci_driver(const char *address)
{
	return pci_link_name(address, "driver");
}

/* Without an IOMMU, VFIO creates groups in no-IOMMU mode, which isolate nothing. */
char *pci_group(const char *address)
{
	_cleanup_free_ char *name = pci_text(address, "iommu_group/name");

	return name && streq(name, "vfio-noiommu") ? NULL : pci_link_name(address, "iommu_group");
}

void pci_group_members(const char *address, struct strv *members)
{
	_cleanup_free_ char *path = pci_path(address, "iommu_group/devices");
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (*e->d_name != '.')
			strv_push(members, e->d_name);
	if (d)
		closedir(d);
}

char *pci_interface(const char *address)
{
	_cleanup_free_ char *path = pci_path(address, "net");
	DIR *d = opendir(path);
	char *name = NULL;
	struct dirent *e;

	while (d && !name && (e = readdir(d)))
		if (*e->d_name != '.')
			name = xstrdup(e->d_name);
	if (d)
		closedir(d);
	return name;
}

char *pci_model(const char *address)
{
	_cleanup_free_ char *vendor = pci_text(address, "vendor");
	_cleanup_free_ char *device = pci_text(address, "device");

	if (!vendor || !device || !startswith(vendor, "0x") || !startswith(device, "0x"))
		return NULL;
	return xasprintf("%s:%s", vendor + 2, device + 2);
}
