// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "base/pci_address.h"
#include "qemu/pciargs.h"
#include "qemu/refuse.h"

static bool pciargs_is_device(const struct qemuopt *opt)
{
	return opt->kind->id == QEMUOPT_DEVICE && keyval_is(opt->kv, "driver", "vfio-pci");
}

/* With both, QEMU uses sysfsdev=. */
static bool pciargs_address(struct json_object *kv, char address[PCI_ADDRESS_SIZE])
{
	const char *host = keyval(kv, "host"), *path = keyval(kv, "sysfsdev");

	if (path)
		return startswith(path, "/sys/") && pci_address(strrchr(path, '/') + 1, address);
	return host && pci_address(host, address);
}

int pciargs_devices(const struct qemuopts *opts, struct strv *addresses, struct err *err)
{
	char address[PCI_ADDRESS_SIZE];

	qemuopts_for_each(opt, opts) {
		if (!pciargs_is_device(opt))
			continue;
		if (!pciargs_address(opt->kv, address))
			return refuse_with(err, opt, "it names no PCI device, and no other can be handed "
					   "over", "use host=BUS:SLOT.FUNCTION or "
					   "sysfsdev=/sys/bus/pci/devices/ADDRESS");
		if (strv_has(addresses, address))
			return refuse_with(err, opt, fmt("%s is passed through already", address),
					   "leave one of them out");
		strv_push(addresses, address);
	}
	return 0;
}

const char *pciargs_shared_iommufd(const struct qemuopts *opts)
{
	_cleanup_strv_ struct strv seen = { 0 };

	qemuopts_for_each(opt, opts) {
		const char *id = pciargs_is_device(opt) ? keyval(opt->kv, "iommufd") : NULL;

		if (id && strv_has(&seen, id))
			return id;
		if (id)
			strv_push(&seen, id);
	}
	return NULL;
}

bool pciargs_has_viommu(const struct qemuopts *opts)
{
	qemuopts_for_each(opt, opts) {
		const char *driver = opt->kind->id == QEMUOPT_DEVICE ?
				     keyval(opt->kv, "driver") : NULL;

		if (driver && strstr(driver, "-iommu"))
			return true;
	}
	return false;
}
