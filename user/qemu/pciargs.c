// SPDX-License-Identifier: GPL-2.0-only
/* The PCI devices that a command line of QEMU passes through. */
#define _GNU_SOURCE
#include "base/pci_address.h"
#include "qemu/pciargs.h"
#include "qemu/qemuopt.h"
#include "qemu/refuse.h"

/* QEMU takes sysfsdev=, should there be both. */
static bool address_of(struct json_object *kv, char address[PCI_ADDRESS_SIZE])
{
	const char *host = keyval(kv, "host"), *path = keyval(kv, "sysfsdev");

	if (path)
		return startswith(path, "/sys/") && pci_address(strrchr(path, '/') + 1, address);
	return host && pci_address(host, address);
}

static int check_device(const struct qemuopt *opt, struct json_object *kv, struct strv *addresses,
			struct err *err)
{
	const char *driver = keyval(kv, "driver");
	char address[PCI_ADDRESS_SIZE];

	if (!driver || !streq(driver, "vfio-pci"))
		return 0;
	if (keyval(kv, "fd"))
		return refuse_with(err, opt, "the file descriptor does not exist after a kexec",
				   "name the device with host= instead");
	if (!address_of(kv, address))
		return refuse_with(err, opt, "it names no PCI device, and no other can be handed over",
				   "use host=BUS:SLOT.FUNCTION or sysfsdev=/sys/bus/pci/devices/ADDRESS");
	if (strv_has(addresses, address))
		return refuse_with(err, opt, fmt("%s is passed through already", address),
				   "leave one of them out");
	strv_push(addresses, address);
	return 0;
}

static int check_object(const struct qemuopt *opt, struct json_object *kv, struct strv *addresses,
			struct err *err)
{
	const char *type = keyval(kv, "qom-type");

	(void)addresses;
	if (!type || !streq(type, "iommufd") || !keyval(kv, "fd"))
		return 0;
	return refuse_with(err, opt, "the file descriptor does not exist after a kexec",
			   "leave fd= out: QEMU then opens /dev/iommu itself");
}

static const struct {
	const char *name;
	const char *implied;
	int (*check)(const struct qemuopt *opt, struct json_object *kv, struct strv *addresses,
		     struct err *err);
} options[] = {
	{ "device", "driver", check_device },
	{ "object", "qom-type", check_object },
};

static int check_option(const struct qemuopt *opt, struct strv *addresses, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && opt->value && i < ARRAY_SIZE(options); i++) {
		_cleanup_json_ struct json_object *kv = NULL;

		if (!streq(opt->name, options[i].name))
			continue;
		kv = keyval_parse(opt->value, options[i].implied);
		r = options[i].check(opt, kv, addresses, err);
	}
	return r;
}

/* The iommufd object of a passed-through device; NULL without one. */
static const char *iommufd_of(const struct qemuopt *opt, struct json_object **kv)
{
	const char *driver;

	if (!streq(opt->name, "device") || !opt->value)
		return NULL;
	*kv = keyval_parse(opt->value, "driver");
	driver = keyval(*kv, "driver");
	return driver && streq(driver, "vfio-pci") ? keyval(*kv, "iommufd") : NULL;
}

char *pci_shared_iommufd(const struct strv *argv)
{
	_cleanup_strv_ struct strv seen = { 0 };
	struct qemuopt opt;
	size_t pos = 0;

	while (qemuopt_next(argv, &pos, &opt)) {
		_cleanup_json_ struct json_object *kv = NULL;
		const char *id = iommufd_of(&opt, &kv);

		if (id && strv_has(&seen, id))
			return xstrdup(id);
		if (id)
			strv_push(&seen, id);
	}
	return NULL;
}

int pci_devices(const struct strv *argv, struct strv *addresses, struct err *err)
{
	struct qemuopt opt;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && qemuopt_next(argv, &pos, &opt))
		r = check_option(&opt, addresses, err);
	return r;
}
