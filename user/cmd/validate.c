// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <libgen.h>

#include "base/size.h"
#include "stream/statefile.h"
#include "vm/manifest.h"
#include "cmd/cmd.h"

#define NO_DIGEST "none recorded: the contents of devices and pages are not proven"

static const char *show_words(struct json_object *value)
{
	_cleanup_strv_ struct strv words = { 0 };

	for (size_t i = 0; i < json_object_array_length(value); i++)
		strv_push(&words, json_object_get_string(json_object_array_get_idx(value, i)));
	return words.n ? show_joined(&words, ", ") : "none";
}

static const char *show_ram(struct json_object *ram)
{
	size_t n = json_object_array_length(jget(ram, "blocks"));

	return fmt("%s in %zu block%s: %s in place, %s in the file", show_size(jget(ram, "bytes")),
		   n, n == 1 ? "" : "s", show_size(jget(ram, "in_place")),
		   show_size(jget(ram, "in_file")));
}

static const char *show_digest(struct json_object *value)
{
	return fmt("%s, as it was saved", json_object_get_string(value));
}

static const struct out_field fields[] = {
	{ "file", "state file", NULL },
	{ "bytes", "size", show_size },
	{ "machine", "machine", NULL },
	{ "qemu_version", "QEMU", NULL },
	{ "runstate", "guest", NULL },
	{ "cpus", "CPUs", NULL },
	{ "capabilities", "capabilities", show_words },
	{ "sections", "sections", NULL },
	{ "devices", "devices", NULL },
	{ "ram", "RAM", show_ram },
	{ "digest", "digest", show_digest },
	{ "unproven", "digest", NULL },
	{ "verdict", "verdict", NULL },
};

/* The manifest may belong to another state file in the same directory. */
static bool validate_has_digest(struct json_object *manifest, const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);
	const char *file = jstr(jget(manifest, "saved"), "file");

	return file && streq(file, basename(copy));
}

/*
 * Other programs have files of that name, too. What has none of a VM's members is no damaged
 * manifest, which would have most of them.
 */
static bool validate_is_foreign(const char *file)
{
	_cleanup_free_ char *text = read_text(file, MIB);
	_cleanup_json_ struct json_object *obj = text ? json_parse(text, NULL) : NULL;

	return obj && !jget(obj, "argv") && !jget(obj, "memory") && !jget(obj, "binary");
}

/* Without a manifest fewer checks are made; a damaged manifest is an error. */
static int validate_find_manifest(const char *path, struct json_object **out, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(path), *file = NULL;
	const char *dir = dirname(copy);

	*out = NULL;
	file = xasprintf("%s/%s", dir, MANIFEST_FILE);
	if (access(file, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (validate_is_foreign(file)) {
		note("%s: not the manifest of a VM, ignored", file);
		return 0;
	}
	return manifest_read(dir, out, err);
}

static void validate_print(struct json_object *out)
{
	jset_str(out, "unproven", jget(out, "digest") ? NULL : NO_DIGEST);
	jset_str(out, "verdict", jget(out, "digest") ? "whole" : "whole in its form");
	out_fields(out, fields, ARRAY_SIZE(fields));
	json_object_put(out);
}

static int validate_file(const char *path, struct json_object *manifest, struct json_object *out,
			 struct err *err)
{
	bool digest = validate_has_digest(manifest, path);
	int r = statefile_check(path, manifest, digest, NULL, out, err);

	jset_bool(out, "valid", r == 0);
	jset_bool(out, "proven", r == 0 && digest);
	jset_str(out, "qemu_version", jstr(manifest, "qemu_version"));
	return r;
}

static int run_validate(const struct args *args, struct err *err)
{
	_cleanup_json_ struct json_object *manifest = NULL;
	const char *path = args->argv[0];
	struct json_object *out;
	int r = validate_find_manifest(path, &manifest, err);

	if (r < 0)
		return r;
	out = json_object_new_object();
	jset_str(out, "file", path);
	r = validate_file(path, manifest, out, err);
	if (r < 0 && out_json)
		jset(out, "error", err_json(err));
	if (out_json)
		out_object(out);
	else if (r == 0)
		validate_print(out);
	else
		json_object_put(out);
	return r;
}

const struct cmd cmd_validate = {
	.name = "validate",
	.synopsis = "FILE",
	.summary = "check a state file of QEMU to the last byte",
	.examples = { "validate /run/cpr/web1/state" },
	.min_args = 1,
	.max_args = 1,
	.run = run_validate,
};
