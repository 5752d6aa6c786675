// SPDX-License-Identifier: GPL-2.0-only
/*
 * Without a file the module writes the image on its own region. With a file the same code,
 * which is linked in here, writes it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "catalog.h"
#include "base/size.h"
#include "host/firmware.h"
#include "host/kcmdline.h"
#include "host/kernel.h"
#include "vm/genl.h"
#include "vm/image.h"
#include "vm/signature.h"
#include "cmd/cmd.h"

static int format_refuse(const char *what, const char *value, struct err *err)
{
	return fail(err, -EEXIST, .exit = CPR_EXIT_REFUSED, .what = what, .value = value,
		    .why = "it has an image already; formatting destroys all VMs in it",
		    .remedy = "'cpr-helper inspect' or 'list' shows them; --force formats anyway");
}

static void format_print(const char *what, uint64_t start, uint64_t size, bool dry_run)
{
	struct json_object *out;

	say("%s: %s, %s at 0x%llx", what, dry_run ? "would be formatted" : "formatted",
	    size_human(size), (unsigned long long)start);
	if (!out_json)
		return;
	out = json_object_new_object();
	jset_str(out, "region", what);
	jset_int(out, "start", start);
	jset_int(out, "size", size);
	jset_bool(out, "formatted", !dry_run);
	out_object(out);
}

static int format_region(const struct args *args, struct err *err)
{
	_cleanup_genl_ struct genl *genl = genl_open(err);
	struct cpr_region region;
	int r;

	if (!genl)
		return -ENOENT;
	r = genl_region(genl, &region, err);
	if (r < 0)
		return r;
	if (region.formatted && !arg(args, "force"))
		return format_refuse("handover region", *region.label ? region.label : NULL, err);
	r = firmware_check_memory(region.start, region.size, err);
	if (r == 0 && !args->dry_run)
		r = genl_format(genl, &region, arg(args, "label"), arg(args, "force"), err);
	if (r == 0)
		format_print("handover region", region.start, region.size, args->dry_run);
	return r;
}

static int format_find_start(const struct args *args, uint64_t *start, struct err *err)
{
	const char *text = arg(args, "start");
	const char *end;

	if (text) {
		*start = memparse(text, &end);
		if (!*end && end != text)
			return 0;
		return usage_value(args, err, "start", "no address like 8G or 0x200000000");
	}
	if (image_device_start(args->argv[0], start))
		return 0;
	return usage(args, err, "--start ADDRESS is missing: an image is bound to where its region "
		     "lies in memory");
}

/* The module refuses every region of a kernel that encrypts memory. */
static int format_check_encryption(const struct args *args, struct err *err)
{
	_cleanup_free_ char *line = read_text("/proc/cmdline", 65536);
	uint64_t start;

	if (!line || !kcmdline_encrypts_memory(line) || !image_device_start(args->argv[0], &start))
		return 0;
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "format",
		    .value = args->argv[0],
		    .why = "mem_encrypt=on: an image does not record how memory is encrypted",
		    .remedy = "boot with mem_encrypt=off");
}

static int format_check_signature(const char *path, struct err *err)
{
	_cleanup_free_ char *found = NULL;
	int r = signature_find(path, &found, err);

	if (r < 0 || !found)
		return r;
	return fail(err, -EEXIST, .exit = CPR_EXIT_REFUSED, .what = "image", .value = path,
		    .why = fmt("it has something else on it, which formatting destroys: %s", found),
		    .remedy = "name another file or device; --force formats anyway");
}

/* Without --force nothing but the absence of an image allows to write one. */
static int format_check_empty(const struct image *img, const struct args *args, struct err *err)
{
	struct cpr_geometry geo;
	struct cpr_reason why;

	if (arg(args, "force"))
		return 0;
	if (cpr_image_load(img->base, img->size, &geo, &why) != -ENODATA)
		return format_refuse("image", img->path, err);
	return format_check_signature(img->path, err);
}

static void format_identify(struct cpr_geometry *geo, const char *label)
{
	if (getrandom(geo->uuid, sizeof(geo->uuid), 0) != sizeof(geo->uuid))
		memset(geo->uuid, 0, sizeof(geo->uuid));
	geo->uuid[6] = (geo->uuid[6] & 0x0f) | 0x40;
	geo->uuid[8] = (geo->uuid[8] & 0x3f) | 0x80;
	geo->format_time = time(NULL);
	if (label)
		memcpy(geo->label, label, strlen(label));
}

static int format_write_image(struct image *img, const struct args *args, uint64_t start,
			      struct err *err)
{
	const struct cpr_stamp stamp = { .time = time(NULL), .kernel = kernel_release() };
	struct cpr_catalog_writer writer;
	struct cpr_geometry geo;
	struct cpr_reason why;
	int r = cpr_image_layout(&geo, start, img->size, &why);

	if (r < 0)
		return fail(err, r, .what = "image", .value = img->path, .why = why.text,
			    .remedy = "choose another size or --start");
	r = format_check_empty(img, args, err);
	if (r < 0 || args->dry_run)
		return r;
	format_identify(&geo, arg(args, "label"));
	cpr_image_format(&writer, img->base, &geo, &stamp);
	return 0;
}

static int format_file(const struct args *args, struct err *err)
{
	struct image img;
	uint64_t start;
	int r = format_find_start(args, &start, err), closed;

	if (r == 0)
		r = format_check_encryption(args, err);
	if (r == 0)
		r = image_open(args->argv[0], true, &img, err);
	if (r < 0)
		return r;
	r = format_write_image(&img, args, start, err);
	closed = image_close(&img);
	if (r == 0 && closed < 0)
		r = fail(err, closed, .what = "cannot write", .value = args->argv[0],
			 .why = strerror(-closed));
	if (r == 0)
		format_print(args->argv[0], start, img.size, args->dry_run);
	return r;
}

static int run_format(const struct args *args, struct err *err)
{
	const char *label = arg(args, "label");

	if (label && strlen(label) >= CPR_IMAGE_LABEL_LEN)
		return usage_value(args, err, "label", "longer than 31 bytes");
	if (!args->argc && arg(args, "start"))
		return usage(args, err, "--start is for a FILE; the module knows its region");
	return args->argc ? format_file(args, err) : format_region(args, err);
}

const struct cmd cmd_format = {
	.name = "format",
	.synopsis = "[FILE|/dev/pmemN] [--start ADDRESS] [--label LABEL] [--force]",
	.summary = "write an empty image on the module's region, or on FILE",
	.opts = {
		{ "start", "ADDRESS", "where the region of FILE lies in memory" },
		{ "label", "LABEL", "a name for the region" },
		{ "force", NULL, "even if that destroys an image, or what else is there" },
	},
	.examples = {
		"format --label vms",
		"format region.img --start 8G",
	},
	.max_args = 1,
	.dry_run = true,
	.run = run_format,
};
