// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "cmd/cmd.h"

static const char *show_quarantined(struct json_object *addresses)
{
	_cleanup_strv_ struct strv words = { 0 };

	for (size_t i = 0; i < json_object_array_length(addresses); i++)
		strv_push(&words, json_object_get_string(json_object_array_get_idx(addresses, i)));
	return show_joined(&words, " ");
}

static const struct out_field columns[] = {
	{ "name", "NAME", NULL },
	{ "state", "STATE", NULL },
	{ "qemu.status", "GUEST", NULL },
	{ "qemu.pid", "PID", NULL },
	{ "memory_bytes", "RAM", show_size },
	{ "used.bytes", "USED", show_size },
	{ "room.bytes", "ROOM", show_size },
	{ "since", "SINCE", show_time },
	/* The last two: only if a VM has any. */
	{ "quarantined", "QUARANTINED", show_quarantined },
	{ "bad_pages", "BAD PAGES", NULL },
};

/* Without a column that is empty. */
static size_t list_columns(bool quarantined, bool bad, struct out_field *out)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if ((quarantined || !streq(columns[i].key, "quarantined")) &&
		    (bad || !streq(columns[i].key, "bad_pages")))
			out[n++] = columns[i];
	return n;
}

/* Where the quarantined devices of a VM are; NULL if it has none. */
static struct json_object *list_quarantined(const struct cpr_devices *devices, const char *vm)
{
	struct json_object *list = NULL;

	for (size_t i = 0; i < devices->n; i++) {
		const struct cpr_device *d = &devices->v[i];

		if (d->hold != CPR_DEVICE_HOLD_QUARANTINED || !streq(d->vm, vm))
			continue;
		if (!list)
			list = json_object_new_array();
		json_object_array_add(list, json_object_new_string(*d->found ? d->found :
								   d->address));
	}
	return list;
}

static int run_list(const struct args *args, struct err *err)
{
	_cleanup_genl_ struct genl *genl = genl_open(err);
	_cleanup_devices_ struct cpr_devices devices = { 0 };
	_cleanup_vms_ struct cpr_vms vms = { 0 };
	struct out_field shown[ARRAY_SIZE(columns)];
	bool bad = false, quarantined = false;
	struct json_object *out, *list;
	int r;

	(void)args;
	if (!genl)
		return -ENOENT;
	r = genl_vms(genl, &vms, err);
	if (r == 0)
		r = genl_devices(genl, NULL, &devices, err);
	if (r < 0)
		return r;
	out = json_object_new_object();
	list = json_object_new_array();
	jset(out, "vms", list);
	for (size_t i = 0; i < vms.n; i++) {
		struct json_object *vm = vm_json(&vms.v[i]);
		struct json_object *addresses = list_quarantined(&devices, vms.v[i].name);

		if (addresses)
			jset(vm, "quarantined", addresses);
		json_object_array_add(list, vm);
		quarantined |= addresses != NULL;
		bad |= vms.v[i].bad_pages;
	}
	if (out_json) {
		out_object(out);
		return 0;
	}
	if (vms.n)
		out_table(list, shown, list_columns(quarantined, bad, shown));
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
