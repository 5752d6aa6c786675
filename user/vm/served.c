// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "qemu/qemuopt.h"
#include "vm/manifest.h"
#include "vm/served.h"

/* Of drivers; the rest of their names tells how the guest sees the disk. */
static const char *const prefixes[] = { "vhost-user-blk", "vhost-user-scsi", "vhost-scsi" };

static bool served_by_other(const char *driver)
{
	for (size_t i = 0; driver && i < ARRAY_SIZE(prefixes); i++)
		if (startswith(driver, prefixes[i]))
			return true;
	return false;
}

/* As the operator calls it, or else what it is connected to. */
static const char *served_name(struct json_object *kv)
{
	static const char *const keys[] = { "id", "chardev", "wwpn", "driver" };
	const char *name = NULL;

	for (size_t i = 0; !name && i < ARRAY_SIZE(keys); i++)
		name = keyval(kv, keys[i]);
	return name;
}

void served_disks(struct json_object *manifest, struct json_object *disks)
{
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };

	manifest_argv(manifest, &argv);
	if (qemuopts_parse(&argv, &opts, NULL) < 0)
		return;		/* and so did run, or adopt */
	qemuopts_for_each(opt, &opts) {
		struct json_object *disk;

		if (opt->kind->id != QEMUOPT_DEVICE || !served_by_other(keyval(opt->kv, "driver")))
			continue;
		disk = json_object_new_object();
		jset_str(disk, "name", served_name(opt->kv));
		jset_str(disk, "unchecked", keyval(opt->kv, "driver"));
		json_object_array_add(disks, disk);
	}
}
