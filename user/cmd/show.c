// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE

#include "base/paths.h"
#include "base/size.h"
#include "qemu/log.h"
#include "vm/devices.h"
#include "vm/manifest.h"
#include "handover/integrity.h"
#include "handover/pause.h"
#include "cmd/cmd.h"
#include "cmd/print.h"

static const char *show_memory(struct json_object *memory)
{
	_cleanup_strv_ struct strv files = { 0 };

	for (size_t i = 0; i < json_object_array_length(memory); i++) {
		struct json_object *m = json_object_array_get_idx(memory, i);

		strv_pushf(&files, "%s (%s)", jstr(m, "file"), size_human(jint(m, "size", 0)));
	}
	return files.n ? show_joined(&files, ", ") : NULL;
}

static const char *show_devices(struct json_object *devices)
{
	_cleanup_strv_ struct strv words = { 0 };

	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		const char *model = jstr(d, "model"), *reason = jstr(d, "reason");
		const char *group = jstr(d, "group"), *driver = jstr(d, "driver");

		strv_pushf(&words, "%s  %s  group %s  %s  %s%s%s", jstr(d, "address"),
			   model ? model : "-", group ? group : "-", driver ? driver : "no driver",
			   jstr(d, "hold"), reason ? ": " : "", reason ? reason : "");
	}
	return words.n ? show_joined(&words, "\n") : NULL;
}

static const char *show_unchecked(struct json_object *disks)
{
	_cleanup_strv_ struct strv words = { 0 };

	for (size_t i = 0; i < json_object_array_length(disks); i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		strv_pushf(&words, "%s (%s)", jstr(disk, "name"), jstr(disk, "unchecked"));
	}
	return words.n ? show_joined(&words, ", ") : NULL;
}

static const char *show_mappings(struct json_object *mappings)
{
	int64_t n = jint(mappings, "extents", 0);

	return fmt("%lld mapping%s, %s", (long long)n, n == 1 ? "" : "s",
		   size_human(jint(mappings, "bytes", 0)));
}

static const char *show_verified(struct json_object *verified)
{
	int64_t differences = jint(verified, "differences", 0);

	return fmt("%s under %s, %s, %s", show_time(jget(verified, "time")),
		   jstr(verified, "kernel"), show_mappings(verified),
		   differences ? fmt("%lld differences", (long long)differences) :
		   "all as they were");
}

static const char *show_bad_pages(struct json_object *pages)
{
	int64_t n = json_object_get_int64(pages);

	return n ? fmt("%lld page%s of 4 KiB", (long long)n, n == 1 ? "" : "s") : NULL;
}

static const char *show_room(struct json_object *room)
{
	int64_t names = jint(room, "names", 0);

	return fmt("%s, %lld name%s", size_human(jint(room, "bytes", 0)), (long long)names,
		   names == 1 ? "" : "s");
}

static const struct out_field lines[] = {
	{ "name", "name", NULL },
	{ "state", "state", NULL },
	{ "since", "since", show_time },
	{ "kernel", "kernel then", NULL },
	{ "qemu.pid", "pid", NULL },
	{ "qemu.cgroup", "cgroup", NULL },
	{ "qemu.status", "guest", NULL },
	{ "memory_bytes", "pinned RAM", show_size },
	{ "mapped", "RAM in use", show_bool },
	{ "used", "used", show_room },
	{ "room", "room", show_room },
	{ "bad_pages", "memory errors", show_bad_pages },
	{ "manifest.machine", "machine", NULL },
	{ "manifest.qemu_version", "QEMU", NULL },
	{ "manifest.binary", "binary", NULL },
	{ "manifest.user.name", "its user", NULL },
	{ "manifest.ram_mode", "RAM mode", NULL },
	{ "manifest.memory", "RAM files", show_memory },
	{ "manifest.agent", "guest agent", NULL },
	{ "manifest.unchecked", "unchecked disks", show_unchecked },
	{ "devices", "devices", show_devices },
	{ "mappings", "DMA reaches", show_mappings },
	{ "verified", "last verify", show_verified },
	{ "pause", "last pause", pause_phases_text },
	{ "manifest.created", "created", show_time },
	{ "manifest.saved.size", "saved state", show_size },
	{ "manifest.target.file", "it is in", NULL },
	{ "manifest.target.uri", "it went to", NULL },
	{ "manifest.saved.digest", "its digest", NULL },
	{ "manifest.saved.time", "saved", show_time },
	{ "manifest.saved.kernel", "saved under", NULL },
	{ "manifest.saved.runstate", "guest before", NULL },
	{ "digests.manifest", "sealed manifest", NULL },
	{ "digests.ram", "sealed RAM", NULL },
	{ "manifest.argv", "arguments", show_argv },
	{ "log", "log", NULL },
};

/* From the snapshot of the devices' mappings; a running VM has none. */
static struct json_object *mappings_json(const struct cpr_vm *info)
{
	struct json_object *obj;

	if (!info->dma.devices)
		return NULL;
	obj = json_object_new_object();
	jset_int(obj, "extents", info->dma.extents);
	jset_int(obj, "bytes", info->dma.bytes);
	return obj;
}

static int run_show(const struct args *args, struct err *err)
{
	_cleanup_genl_ struct genl *genl = NULL;
	_cleanup_vm_info_ struct cpr_vm info = { 0 };
	_cleanup_free_ char *dir = NULL, *log = NULL;
	_cleanup_json_ struct json_object *manifest = NULL;
	_cleanup_err_ struct err why = { 0 };
	struct json_object *out;
	int r = arg_vm(args, &genl, &info, err);

	if (r < 0)
		return r;
	dir = vm_path(info.name, NULL);
	if (manifest_read(dir, &manifest, &why) < 0)
		note("%s: %s", why.value, why.why);
	out = vm_json(&info);
	jset(out, "devices", devices_json(genl, info.name, manifest));
	jset(out, "mappings", mappings_json(&info));
	jset(out, "digests", integrity_json(&info.digests));
	jset(out, "verified", json_object_get(jget(manifest, "verified")));
	jset(out, "pause", pause_json(manifest));
	jset(out, "manifest", json_object_get(manifest));
	log = log_tail(info.name, 0);
	jset_str(out, "log", log);
	if (out_json) {
		print_vm(out);
		return 0;
	}
	out_fields(out, lines, ARRAY_SIZE(lines));
	json_object_put(out);
	return 0;
}

const struct cmd cmd_show = {
	.name = "show",
	.synopsis = "NAME",
	.summary = "show the details of a VM",
	.examples = { "show web1" },
	.min_args = 1,
	.max_args = 1,
	.run = run_show,
};
