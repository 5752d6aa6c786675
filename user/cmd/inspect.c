// SPDX-License-Identifier: GPL-2.0-only
/*
 * The image may be damaged or forged: only a catalog that the module's own checks have
 * accepted is decoded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "catalog.h"
#include "base/digest.h"
#include "base/size.h"
#include "vm/check.h"
#include "vm/image.h"
#include "cmd/cmd.h"

/* In text; JSON has all of them. */
#define SHOWN_EXTENTS 4
#define SHOWN_MEMBERS 4

static const char *uuid_text(const uint8_t *u)
{
	return fmt("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		   u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		   u[12], u[13], u[14], u[15]);
}

/* Bytes from the image as text: \xNN for all but printable ASCII. */
static char *inspect_printable(const char *s, size_t len)
{
	char *out = xcalloc(len + 1, 4), *p = out;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = s[i];

		if (c >= 0x20 && c < 0x7f && c != '\\')
			*p++ = c;
		else
			p += sprintf(p, "\\x%02x", c);
	}
	return out;
}

static void inspect_set_bytes(struct json_object *obj, const char *key, const char *s, size_t len)
{
	_cleanup_free_ char *text = inspect_printable(s, strnlen(s, len));

	jset_str(obj, key, text);
}

static struct json_object *superblock_json(const struct cpr_geometry *geo,
					   struct json_object *problems)
{
	static const char *const copies[] = { "the superblock", "the copy of the superblock" };
	struct json_object *obj = json_object_new_object();

	jset_str(obj, "image_version", fmt("%u.%u", geo->major, geo->minor));
	jset_str(obj, "uuid", uuid_text(geo->uuid));
	inspect_set_bytes(obj, "label", geo->label, CPR_IMAGE_LABEL_LEN);
	jset_int(obj, "start", geo->start);
	jset_int(obj, "size", geo->size);
	jset_int(obj, "frame_size", CPR_IMAGE_FRAME_SIZE);
	jset_int(obj, "data_frames", geo->frames - geo->first_frame);
	jset_int(obj, "first_data_frame", geo->first_frame);
	jset_int(obj, "format_time", geo->format_time);
	for (int i = 0; i < 2; i++)
		if (geo->copies_bad & 1 << i)
			json_object_array_add(problems, json_object_new_string(
				fmt("%s does not verify; the other one was used", copies[i])));
	return obj;
}

static struct json_object *slot_json(const struct image *img, const struct cpr_geometry *geo,
				     unsigned int slot, const struct cpr_catalog *current)
{
	struct json_object *obj = json_object_new_object();
	struct cpr_catalog cat;
	struct cpr_reason why;
	int r = cpr_catalog_check(img->base, geo, slot, &cat, &why);

	jset_int(obj, "slot", slot);
	jset_int(obj, "offset", geo->slot_offset[slot]);
	jset_bool(obj, "valid", r == 0);
	jset_bool(obj, "current", current && current->slot == slot);
	if (r < 0) {
		jset_str(obj, "problem", why.text);
		return obj;
	}
	jset_int(obj, "generation", cat.generation);
	jset_int(obj, "nodes", cat.nodes);
	jset_int(obj, "vms", cat.vms);
	jset_int(obj, "bytes", cat.length);
	jset_int(obj, "commit_time", cat.commit_time);
	inspect_set_bytes(obj, "kernel", cat.kernel, CPR_IMAGE_KERNEL_LEN);
	return obj;
}

/* Paths of directories, indexed by the number of their record. */
struct paths {
	char **v;
	size_t n;
};

static void paths_free(struct paths *paths)
{
	for (size_t i = 0; i < paths->n; i++)
		free(paths->v[i]);
	free(paths->v);
}

static const char *paths_add(struct paths *paths, const struct cpr_catalog_node *node)
{
	_cleanup_free_ char *name = inspect_printable(node->name, node->name_len);
	const char *parent = node->parent < paths->n ? paths->v[node->parent] : "";
	char *path;

	/* A forged image could nest names until the paths fill the memory. */
	if (strlen(parent) + strlen(name) >= PATH_MAX)
		parent = "...";
	path = paths->n == 0 ? xstrdup("/") :
		xasprintf("%s%s%s", parent, streq(parent, "/") ? "" : "/", name);

	paths->v = xrealloc(paths->v, paths->n + 1, sizeof(*paths->v));
	paths->v[paths->n++] = path;
	return path;
}

static struct json_object *extents_json(const struct cpr_catalog_node *node)
{
	struct json_object *list = json_object_new_array();

	for (u32 i = 0; i < node->extents; i++) {
		struct cpr_extent e = cpr_catalog_extent(node, i);
		struct json_object *obj = json_object_new_object();

		jset_int(obj, "file_frame", e.file_frame);
		jset_int(obj, "frame", e.frame);
		jset_int(obj, "count", e.count);
		json_object_array_add(list, obj);
	}
	return list;
}

static struct json_object *room_json(const struct cpr_catalog_node *node)
{
	struct json_object *obj;

	if (!node->room_names)
		return NULL;
	obj = json_object_new_object();
	jset_int(obj, "bytes", (uint64_t)node->room_frames << CPR_IMAGE_FRAME_SHIFT);
	jset_int(obj, "names", node->room_names);
	return obj;
}

static struct json_object *node_json(const struct cpr_catalog_node *node, const char *path)
{
	struct json_object *obj = json_object_new_object();
	bool dir = S_ISDIR(node->mode);

	jset_str(obj, "path", path);
	jset_str(obj, "type", dir ? "dir" : "file");
	jset_str(obj, "mode", fmt("%04o", node->mode & 07777));
	jset_int(obj, "uid", node->uid);
	jset_int(obj, "gid", node->gid);
	jset_int(obj, "ino", node->ino);
	jset_int(obj, "mtime", node->mtime.sec);
	if (dir) {
		jset(obj, "room", room_json(node));
		return obj;
	}
	jset_int(obj, "size", node->size);
	jset_bool(obj, "memory", node->flags & CPR_IMAGE_NODE_MEMORY);
	jset(obj, "extents", extents_json(node));
	return obj;
}

static struct json_object *vm_record_json(const struct cpr_catalog_vm *vm,
					  const struct paths *paths)
{
	static const char *const states[] = {
		[CPR_IMAGE_VM_RUNNING] = "running", [CPR_IMAGE_VM_SAVED] = "saved",
		[CPR_IMAGE_VM_SEALED] = "sealed", [CPR_IMAGE_VM_RESTORING] = "restoring",
	};
	struct json_object *obj = json_object_new_object();
	const struct cpr_digests *d = &vm->digests;
	bool known = vm->state < ARRAY_SIZE(states) && states[vm->state];

	jset_str(obj, "name", vm->node < paths->n ? paths->v[vm->node] + 1 : "?");
	jset_str(obj, "state", known ? states[vm->state] : fmt("unknown (%u)", vm->state));
	jset_int(obj, "since", vm->since.sec);
	inspect_set_bytes(obj, "kernel", vm->kernel, CPR_IMAGE_KERNEL_LEN);
	jset_digest(obj, "manifest_digest",
		    d->flags & CPR_IMAGE_VM_MANIFEST_DIGEST ? d->manifest : NULL);
	jset_digest(obj, "ram_digest", d->flags & CPR_IMAGE_VM_RAM_DIGEST ? d->ram : NULL);
	jset(obj, "devices", json_object_new_array());
	jset(obj, "dma", json_object_new_array());
	return obj;
}

static const char *pci_text_of(struct cpr_pci p)
{
	return fmt("%04x:%02x:%02x.%x", p.segment, p.bus, p.devfn >> 3, p.devfn & 7);
}

static struct json_object *members_json(const struct cpr_catalog_device *dev)
{
	struct json_object *list = json_object_new_array();

	for (u32 i = 0; i < dev->members; i++)
		json_object_array_add(list, json_object_new_string(
			pci_text_of(cpr_catalog_member(dev, i))));
	return list;
}

static struct json_object *inspect_device_json(const struct cpr_catalog_device *dev)
{
	struct json_object *obj = json_object_new_object();

	jset_str(obj, "address", pci_text_of(dev->address));
	jset_str(obj, "model", fmt("%04x:%04x", dev->vendor, dev->device));
	jset_str(obj, "subsystem", fmt("%04x:%04x", dev->subsystem_vendor, dev->subsystem_device));
	jset_str(obj, "class", fmt("%06x", dev->class >> 8));
	jset_str(obj, "revision", fmt("%02x", dev->class & 0xff));
	jset_str(obj, "serial", dev->has_serial ?
		 fmt("%016llx", (unsigned long long)dev->serial) : NULL);
	jset_int(obj, "dma", dev->dma);
	jset(obj, "members", members_json(dev));
	return obj;
}

static const char *const classes[] = {
	[CPR_IMAGE_DMA_REGION] = "region", [CPR_IMAGE_DMA_MMIO] = "mmio",
	[CPR_IMAGE_DMA_RAM] = "ram",
};

static struct json_object *sum_json(u32 extents, u64 bytes)
{
	struct json_object *obj = json_object_new_object();

	jset_int(obj, "extents", extents);
	jset(obj, "bytes", json_object_new_uint64(bytes));
	return obj;
}

/* The extents do not overlap, so their lengths add up to less than 2^64. */
static struct json_object *dma_json(const struct cpr_catalog_dma *dma)
{
	struct json_object *obj = json_object_new_object();
	u32 extents[ARRAY_SIZE(classes)] = { 0 };
	u64 bytes[ARRAY_SIZE(classes)] = { 0 };

	for (u32 i = 0; i < dma->extents; i++) {
		struct cpr_dma_extent e = cpr_catalog_dma_extent(dma, i);

		extents[e.class]++;
		bytes[e.class] += e.length;
	}
	for (u32 i = CPR_IMAGE_DMA_REGION; i < ARRAY_SIZE(classes); i++)
		jset(obj, classes[i], sum_json(extents[i], bytes[i]));
	return obj;
}

static void inspect_add_bad(struct json_object *list, const struct cpr_catalog_bad *bad)
{
	for (u32 i = 0; i < bad->runs; i++) {
		struct cpr_bad_run run = cpr_catalog_bad_run(bad, i);
		struct json_object *obj = json_object_new_object();

		jset_int(obj, "page", run.page);
		jset_int(obj, "count", run.count);
		jset_int(obj, "offset", run.page * CPR_IMAGE_BLOCK_SIZE);
		jset_int(obj, "frame", run.page / CPR_PAGES_PER_FRAME);
		json_object_array_add(list, obj);
	}
}

static void inspect_walk(const struct cpr_catalog *cat, struct json_object *files,
			 struct json_object *vms, struct json_object *bad)
{
	_cleanup_(paths_free) struct paths paths = { 0 };
	struct json_object *vm = NULL;
	struct cpr_catalog_entry e;
	u64 cursor = 0;

	while (cpr_catalog_next(cat, &cursor, &e)) {
		if (e.type == CPR_IMAGE_REC_NODE) {
			json_object_array_add(files, node_json(&e.node, paths_add(&paths, &e.node)));
		} else if (e.type == CPR_IMAGE_REC_VM) {
			vm = vm_record_json(&e.vm, &paths);
			json_object_array_add(vms, vm);
		} else if (e.type == CPR_IMAGE_REC_DMA) {
			json_object_array_add(jget(vm, "dma"), dma_json(&e.dma));
		} else if (e.type == CPR_IMAGE_REC_DEVICE) {
			json_object_array_add(jget(vm, "devices"), inspect_device_json(&e.device));
		} else if (e.type == CPR_IMAGE_REC_BAD) {
			inspect_add_bad(bad, &e.bad);
		}
	}
}

static const char *show_extents(struct json_object *list)
{
	_cleanup_strv_ struct strv texts = { 0 };
	size_t n = json_object_array_length(list);

	for (size_t i = 0; i < n && i < SHOWN_EXTENTS; i++) {
		struct json_object *e = json_object_array_get_idx(list, i);

		strv_pushf(&texts, "%d:%d+%d", (int)jint(e, "file_frame", 0),
			   (int)jint(e, "frame", 0), (int)jint(e, "count", 0));
	}
	if (n > SHOWN_EXTENTS)
		strv_pushf(&texts, "... (%zu in all)", n);
	return show_joined(&texts, " ");
}

static const char *show_members(struct json_object *list)
{
	_cleanup_strv_ struct strv words = { 0 };
	size_t n = json_object_array_length(list);

	for (size_t i = 0; i < n && i < SHOWN_MEMBERS; i++)
		strv_push(&words, json_object_get_string(json_object_array_get_idx(list, i)));
	if (n > SHOWN_MEMBERS)
		strv_pushf(&words, "... (%zu in all)", n);
	return show_joined(&words, " ");
}

static const char *show_sum(struct json_object *sum)
{
	int64_t n = jint(sum, "extents", 0);

	return n ? fmt("%lld extent%s, %s", (long long)n, n == 1 ? "" : "s",
		       size_human(json_object_get_uint64(jget(sum, "bytes")))) : "-";
}

static const char *show_hex(struct json_object *value)
{
	return fmt("0x%llx", (unsigned long long)json_object_get_int64(value));
}

static const char *show_memory_flag(struct json_object *value)
{
	return json_object_get_boolean(value) ? "memory" : "-";
}

static const struct out_field super_lines[] = {
	{ "image_version", "image version", NULL },
	{ "uuid", "uuid", NULL },
	{ "label", "label", NULL },
	{ "start", "start", show_hex },
	{ "size", "size", show_size },
	{ "data_frames", "data frames", NULL },
	{ "first_data_frame", "first of them", NULL },
	{ "format_time", "formatted", show_time },
};

static const struct out_field slot_columns[] = {
	{ "slot", "SLOT", NULL },
	{ "current", "CURRENT", show_bool },
	{ "generation", "GENERATION", NULL },
	{ "nodes", "FILES", NULL },
	{ "vms", "VMS", NULL },
	{ "commit_time", "COMMITTED", show_time },
	{ "kernel", "KERNEL", NULL },
	{ "problem", "PROBLEM", NULL },
};

static const struct out_field file_columns[] = {
	{ "path", "PATH", NULL },
	{ "type", "TYPE", NULL },
	{ "mode", "MODE", NULL },
	{ "uid", "UID", NULL },
	{ "gid", "GID", NULL },
	{ "size", "SIZE", NULL },
	{ "memory", "USE", show_memory_flag },
	{ "extents", "EXTENTS (file frame:frame+count)", show_extents },
};

static const struct out_field vm_columns[] = {
	{ "name", "VM", NULL },
	{ "state", "STATE", NULL },
	{ "since", "SINCE", show_time },
	{ "kernel", "KERNEL", NULL },
	{ "manifest_digest", "DIGEST OF ITS MANIFEST", NULL },
	{ "ram_digest", "OF ITS RAM", NULL },
};

static const struct out_field bad_columns[] = {
	{ "offset", "MEMORY ERROR AT", show_hex },
	{ "count", "PAGES", NULL },
	{ "frame", "FRAME", NULL },
};

/* Of rows that inspect_add_rows() makes: VM, index in the VM's list, and the entry. */
static const struct out_field device_columns[] = {
	{ "vm", "VM", NULL },
	{ "of.address", "DEVICE", NULL },
	{ "of.model", "MODEL", NULL },
	{ "of.subsystem", "SUBSYSTEM", NULL },
	{ "of.class", "CLASS", NULL },
	{ "of.revision", "REV", NULL },
	{ "of.serial", "SERIAL", NULL },
	{ "of.dma", "DMA", NULL },
	{ "of.members", "IOMMU GROUP", show_members },
};

static const struct out_field dma_columns[] = {
	{ "vm", "VM", NULL },
	{ "number", "DMA", NULL },
	{ "of.region", "REGION", show_sum },
	{ "of.mmio", "MMIO", show_sum },
	{ "of.ram", "RAM", show_sum },
};

static void inspect_add_rows(struct json_object *rows, struct json_object *vm, const char *key)
{
	struct json_object *list = jget(vm, key);

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *row = json_object_new_object();

		jset(row, "vm", json_object_get(jget(vm, "name")));
		jset_int(row, "number", i);
		jset(row, "of", json_object_get(json_object_array_get_idx(list, i)));
		json_object_array_add(rows, row);
	}
}

/* Print the lists that the VMs have under @key as one table. */
static void inspect_print_of_vms(struct json_object *vms, const char *key, const struct out_field *fields,
				 size_t n)
{
	_cleanup_json_ struct json_object *rows = json_object_new_array();

	for (size_t i = 0; vms && i < json_object_array_length(vms); i++)
		inspect_add_rows(rows, json_object_array_get_idx(vms, i), key);
	if (!json_object_array_length(rows))
		return;
	puts("");
	out_table(rows, fields, n);
}

static void inspect_print_section(struct json_object *out, const char *key, const struct out_field *fields,
				  size_t n)
{
	struct json_object *list = jget(out, key);

	if (!list || !json_object_array_length(list))
		return;
	puts("");
	out_table(list, fields, n);
}

static void inspect_print(struct json_object *out)
{
	struct json_object *problems = jget(out, "problems");

	out_fields(jget(out, "superblock"), super_lines, ARRAY_SIZE(super_lines));
	inspect_print_section(out, "slots", slot_columns, ARRAY_SIZE(slot_columns));
	inspect_print_section(out, "files", file_columns, ARRAY_SIZE(file_columns));
	inspect_print_section(out, "vms", vm_columns, ARRAY_SIZE(vm_columns));
	inspect_print_of_vms(jget(out, "vms"), "devices", device_columns, ARRAY_SIZE(device_columns));
	inspect_print_of_vms(jget(out, "vms"), "dma", dma_columns, ARRAY_SIZE(dma_columns));
	inspect_print_section(out, "bad_pages", bad_columns, ARRAY_SIZE(bad_columns));
	for (size_t i = 0; i < json_object_array_length(problems); i++)
		say("\nproblem: %s", json_object_get_string(json_object_array_get_idx(problems, i)));
}

/* All that can be decoded; @problems gets what does not verify. */
static struct json_object *inspect_decode(const struct image *img, const struct cpr_geometry *geo,
					  struct json_object *problems)
{
	struct json_object *out = json_object_new_object();
	struct json_object *slots = json_object_new_array();
	struct cpr_catalog cat;
	struct cpr_reason why;
	int r = cpr_catalog_open(img->base, geo, &cat, &why);

	jset(out, "superblock", superblock_json(geo, problems));
	for (unsigned int i = 0; i < CPR_IMAGE_SLOTS; i++)
		json_object_array_add(slots, slot_json(img, geo, i, r == 0 ? &cat : NULL));
	jset(out, "slots", slots);
	if (r == 0) {
		jset(out, "files", json_object_new_array());
		jset(out, "vms", json_object_new_array());
		jset(out, "bad_pages", json_object_new_array());
		inspect_walk(&cat, jget(out, "files"), jget(out, "vms"), jget(out, "bad_pages"));
	}
	if (r == 0 && cat.other_damaged)
		json_object_array_add(problems, json_object_new_string(
			fmt("slot %u is damaged: %s; slot %u was used", !cat.slot, why.text, cat.slot)));
	else if (r < 0)
		json_object_array_add(problems, json_object_new_string(why.text));
	jset(out, "problems", problems);
	return out;
}

static int inspect_no_image(const char *path, int code, const char *why, struct err *err)
{
	return fail(err, code, .exit = code == -ENODATA ? CPR_EXIT_NOTFOUND :
		    code == -EPROTONOSUPPORT ? CPR_EXIT_REFUSED : CPR_EXIT_FAILED,
		    .what = "image", .value = path, .why = why,
		    .remedy = code == -EPROTONOSUPPORT ? "use the cpr-helper that came with the "
		    "module that wrote it" : code == -ENODATA ?
		    "name a copy of a region, or /dev/pmemN; 'cpr-helper format' makes an image" :
		    NULL);
}

static int inspect_image(const struct image *img, struct err *err)
{
	struct json_object *out, *problems;
	struct cpr_geometry geo;
	struct cpr_reason why;
	int r = cpr_image_load(img->base, img->size, &geo, &why);
	size_t bad;

	if (r < 0)
		return inspect_no_image(img->path, r, why.text, err);
	problems = json_object_new_array();
	out = inspect_decode(img, &geo, problems);
	bad = json_object_array_length(problems);
	if (bad)
		r = fail(err, -EUCLEAN, .what = "image", .value = img->path, .why =
			 fmt("damaged: %s", json_object_get_string(
			     json_object_array_get_idx(problems, 0))));
	if (bad && out_json)
		jset(out, "error", err_json(err));
	if (out_json) {
		out_object(out);
		return r;
	}
	inspect_print(out);
	json_object_put(out);
	fflush(stdout);
	return r;
}

static const struct out_field defect_columns[] = {
	{ "kind", "KIND", NULL },
	{ "place", "PLACE", NULL },
	{ "offset", "OFFSET", show_hex },
	{ "defect", "DEFECT", NULL },
};

static int inspect_check(const struct image *img, struct err *err)
{
	struct json_object *defects = image_check(img), *out;
	size_t n = defects ? json_object_array_length(defects) : 0;
	int r = 0;

	if (!defects)
		return fail(err, -ENOMEM, .what = "image", .value = img->path,
			    .why = "no memory to check it");
	if (n)
		r = fail(err, -EUCLEAN, .what = "image", .value = img->path,
			 .why = fmt("%zu defect%s", n, n == 1 ? "" : "s"));
	if (!out_json) {
		if (n)
			out_table(defects, defect_columns, ARRAY_SIZE(defect_columns));
		else
			say("%s: no defect", img->path);
		json_object_put(defects);
		fflush(stdout);
		return r;
	}
	out = json_object_new_object();
	jset(out, "defects", defects);
	if (n)
		jset(out, "error", err_json(err));
	out_object(out);
	return r;
}

static int run_inspect(const struct args *args, struct err *err)
{
	struct image img;
	int r = image_open(args->argv[0], false, &img, err);

	if (r < 0)
		return r;
	r = arg(args, "check") ? inspect_check(&img, err) : inspect_image(&img, err);
	image_close(&img);
	return r;
}

const struct cmd cmd_inspect = {
	.name = "inspect",
	.synopsis = "FILE|/dev/pmemN",
	.summary = "show the contents of an image, without the module",
	.opts = {
		{ "check", NULL, "report everything that is wrong with it", 0 },
	},
	.examples = {
		"inspect /dev/pmem0",
		"inspect region.img --check",
	},
	.min_args = 1,
	.max_args = 1,
	.run = run_inspect,
};
