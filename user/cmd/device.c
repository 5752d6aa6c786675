// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/pci_address.h"
#include "vm/devices.h"
#include "cmd/cmd.h"

static void device_print(struct json_object *devices, bool dry_run)
{
	struct json_object *out;

	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		say("%s: %s to the host, VM '%s' had it", jstr(d, "address"),
		    dry_run ? "would be released" : "released", jstr(d, "vm"));
	}
	if (!out_json)
		return;
	out = json_object_new_object();
	jset(out, "devices", json_object_get(devices));
	jset_bool(out, "released", !dry_run);
	out_object(out);
}

static int run_device(const struct args *args, struct err *err)
{
	_cleanup_json_ struct json_object *devices = json_object_new_array();
	_cleanup_genl_ struct genl *genl = NULL;
	char address[PCI_ADDRESS_SIZE];
	int r;

	if (!streq(args->argv[0], "release"))
		return usage(args, err, fmt("'%s' is no action of it", args->argv[0]));
	if (args->argc < 2)
		return usage(args, err, "ADDRESS is missing");
	if (!pci_address(args->argv[1], address))
		return usage(args, err, fmt("'%s' is no PCI address", args->argv[1]));
	genl = genl_open(err);
	if (!genl)
		return -ENOENT;
	r = args->dry_run ? devices_check_release(genl, address, devices, err) :
	    devices_release(genl, address, devices, err);
	if (r == 0)
		device_print(devices, args->dry_run);
	return r;
}

const struct cmd cmd_device = {
	.name = "device",
	.synopsis = "release ADDRESS",
	.summary = "give a quarantined device to the host",
	.examples = {
		"device release 0000:41:00.0",
	},
	.min_args = 1,
	.max_args = 2,
	.dry_run = true,
	.run = run_device,
};
