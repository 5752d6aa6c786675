// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "pci.h"
#include "qemuopt.h"
#include "refuse.h"

const char *pci_root = "";

/* Drivers by which the host makes no DMA. */
static const char *const harmless[] = { "vfio-pci", "pci-stub", "pcieport" };

bool pci_address(const char *text, char address[PCI_ADDRESS_SIZE])
{
	unsigned int domain = 0, bus, slot, function;
	int end = -1;

	sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end);
	if (end < 0 || text[end]) {
		domain = 0;
		end = -1;
		sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function, &end);
	}
	if (end < 0 || text[end] || !strchr("0123456789abcdefABCDEF", *text) ||
	    bus > 0xff || slot > 0x1f || function > 7)
		return false;
	snprintf(address, PCI_ADDRESS_SIZE, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return true;
}

static bool address_of(struct json_object *kv, char address[PCI_ADDRESS_SIZE])
{
	const char *host = keyval(kv, "host"), *path = keyval(kv, "sysfsdev");

	if (host)
		return pci_address(host, address);
	return path && startswith(path, "/sys/") && pci_address(strrchr(path, '/') + 1, address);
}

static bool contains(const struct strv *sv, const char *s)
{
	for (size_t i = 0; i < sv->n; i++)
		if (streq(sv->v[i], s))
			return true;
	return false;
}

static int add_device(const struct qemuopt *opt, struct json_object *kv, struct strv *addresses,
		      struct err *err)
{
	char address[PCI_ADDRESS_SIZE];

	if (keyval(kv, "fd"))
		return refuse_with(err, opt, "the file descriptor does not exist after a kexec",
				   "name the device with host= instead");
	if (!address_of(kv, address))
		return refuse_with(err, opt, "it names no PCI device, and no other can be handed over",
				   "use host=BUS:SLOT.FUNCTION or sysfsdev=/sys/bus/pci/devices/ADDRESS");
	if (contains(addresses, address))
		return refuse_with(err, opt, fmt("%s is passed through already", address),
				   "leave one of them out");
	strv_push(addresses, address);
	return 0;
}

int pci_devices(const struct strv *argv, struct strv *addresses, struct err *err)
{
	struct qemuopt opt;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && qemuopt_next(argv, &pos, &opt)) {
		_cleanup_json_ struct json_object *kv = NULL;
		bool object = streq(opt.name, "object");
		const char *driver;

		if (!opt.value || (!object && !streq(opt.name, "device")))
			continue;
		kv = keyval_parse(opt.value, object ? "qom-type" : "driver");
		driver = keyval(kv, object ? "qom-type" : "driver");
		if (!object && driver && streq(driver, "vfio-pci"))
			r = add_device(&opt, kv, addresses, err);
		else if (object && driver && streq(driver, "iommufd") && keyval(kv, "fd"))
			r = refuse_with(err, &opt, "the file descriptor does not exist after a kexec",
					"leave fd= out: QEMU then opens /dev/iommu itself");
	}
	return r;
}

char *pci_dir(const char *address)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/devices/%s", pci_root, address);

	return realpath(path, NULL);
}

/* Last part of where a link of the device's directory leads. */
static char *link_name(const char *address, const char *link)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/devices/%s/%s", pci_root, address,
					      link);
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
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/devices/%s/iommu_group/name",
					      pci_root, address);
	_cleanup_free_ char *name = read_text(path, 64);

	return name && streq(name, "vfio-noiommu") ? NULL : link_name(address, "iommu_group");
}

static char *model_part(const char *address, const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/devices/%s/%s", pci_root, address,
					      file);

	return read_text(path, 16);
}

char *pci_model(const char *address)
{
	_cleanup_free_ char *vendor = model_part(address, "vendor");
	_cleanup_free_ char *device = model_part(address, "device");

	if (!vendor || !device || !startswith(vendor, "0x") || !startswith(device, "0x"))
		return NULL;
	return xasprintf("%s:%s", vendor + 2, device + 2);
}

static int check_member(const char *address, const char *member, const struct strv *addresses,
			struct err *err)
{
	_cleanup_free_ char *driver = pci_driver(member);

	if (!driver || contains(addresses, member))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (streq(driver, harmless[i]))
			return 0;
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "device", .value = address,
		    .why = fmt("%s is in the same IOMMU group, and the host's driver %s has it",
			       member, driver),
		    .remedy = "give the guest that one too, or unbind it from its driver");
}

static int check_group(const char *address, const struct strv *addresses, struct err *err)
{
	_cleanup_free_ char *group = pci_group(address);
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/devices/%s/iommu_group/devices",
					      pci_root, address);
	struct dirent *e;
	DIR *d;
	int r = 0;

	if (!group)
		return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "device",
			    .value = address,
			    .why = "it has no IOMMU group: nothing would keep its DMA to the guest",
			    .remedy = "boot the host with intel_iommu=on or amd_iommu=on, and turn "
				      "the IOMMU on in its firmware");
	d = opendir(path);
	if (!d)
		return fail(err, -errno, .what = "cannot read", .value = path,
			    .why = strerror(errno));
	while (r == 0 && (e = readdir(d)))
		if (*e->d_name != '.')
			r = check_member(address, e->d_name, addresses, err);
	closedir(d);
	return r;
}

static int check_device(const char *address, const struct strv *addresses, struct err *err)
{
	_cleanup_free_ char *dir = pci_dir(address);
	_cleanup_free_ char *use = NULL;

	if (!dir)
		return fail(err, -ENODEV, .exit = CPR_EXIT_NOTFOUND, .what = "device",
			    .value = address, .why = "there is no such PCI device",
			    .remedy = "'lspci -D' shows those that there are");
	use = pci_use(address);
	if (use)
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "device", .value = address,
			    .why = fmt("the host uses it: %s", use),
			    .remedy = "give the guest another device, or let the host do without "
				      "this one first");
	return check_group(address, addresses, err);
}

int pci_check(const struct strv *addresses, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < addresses->n; i++)
		r = check_device(addresses->v[i], addresses, err);
	return r;
}
