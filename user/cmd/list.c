// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "cmd/cmd.h"

static const struct out_field columns[] = {
	{ "name", "NAME", NULL },
	{ "state", "STATE", NULL },
	{ "qemu.status", "GUEST", NULL },
	{ "qemu.pid", "PID", NULL },
	{ "memory_bytes", "RAM", show_size },
	{ "since", "SINCE", show_time },
	/* The last: only if a VM has any. */
	{ "bad_pages", "BAD PAGES", NULL },
};

static int run_list(const struct args *args, struct err *err)
{
	_cleanup_genl_ struct genl *genl = genl_open(err);
	_cleanup_vms_ struct cpr_vms vms = { 0 };
	struct json_object *out, *list;
	bool bad = false;
	int r;

	(void)args;
	if (!genl)
		return -ENOENT;
	r = genl_vms(genl, &vms, err);
	if (r < 0)
		return r;
	out = json_object_new_object();
	list = json_object_new_array();
	jset(out, "vms", list);
	for (size_t i = 0; i < vms.n; i++) {
		json_object_array_add(list, vm_json(&vms.v[i]));
		bad |= vms.v[i].bad_pages;
	}
	if (out_json) {
		out_object(out);
		return 0;
	}
	if (vms.n)
		out_table(list, columns, ARRAY_SIZE(columns) - !bad);
	json_object_put(out);
	return 0;
}

const struct cmd cmd_list = {
	.name = "list",
	.synopsis = "",
	.summary = "list the VMs and their states",
	.examples = {
		"list",
		"list --json",
	},
	.run = run_list,
};
