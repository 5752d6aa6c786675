// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/size.h"
#include "qemu/inquire.h"
#include "qemu/inventory.h"
#include "qemu/qemu.h"

int inquire_version(struct qmp *qmp, struct json_object *manifest, struct err *err)
{
	_cleanup_free_ char *version = NULL;
	int r = qemu_version(qmp, &version, err);

	jset_str(manifest, "qemu_version", version);
	return r;
}

/* "q35" stands for another machine type in each version of QEMU; the resolved type does not. */
int inquire_machine(struct qmp *qmp, struct json_object *manifest, struct err *err)
{
	_cleanup_json_ struct json_object *type = NULL;
	_cleanup_free_ char *name = NULL;
	int r = qmp_qom_get(qmp, "/machine", "type", &type, err);

	if (r < 0)
		return r;
	name = xstrdup(json_object_get_string(type) ?: "");
	cut_suffix(name, "-machine");
	jset_str(manifest, "machine", name);
	return 0;
}

int inquire_inventory(struct qmp *qmp, struct json_object *manifest, struct err *err)
{
	struct json_object *list;
	int r = inventory_read(qmp, &list, err);

	if (r == 0)
		jset(manifest, "inventory", list);
	return r;
}

static int inquire_refuse_memory(const char *id, const char *why, struct err *err)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU's memory",
		    .value = id, .why = why,
		    .remedy = "remove the options that make QEMU use other memory than "
			      "cpr-helper's");
}

static int inquire_check_memdev(struct qmp *qmp, const char *dir, struct json_object *dev,
				struct err *err)
{
	_cleanup_json_ struct json_object *value = NULL;
	const char *id = jstr(dev, "id"), *path;
	size_t len = strlen(dir);

	if (!id)
		return inquire_refuse_memory("(no id)", "it does not come from an -object", err);
	if (!jbool(dev, "share", false))
		return inquire_refuse_memory(id, "it is not shared", err);
	if (qmp_qom_get(qmp, fmt("/objects/%s", id), "mem-path", &value, NULL) < 0)
		return inquire_refuse_memory(id, "it is not a file", err);
	path = json_object_get_string(value);
	if (!path || strncmp(path, dir, len) != 0 || path[len] != '/')
		return inquire_refuse_memory(id, fmt("it is outside %s", dir), err);
	return 0;
}

/* All memory backends must be files in @dir, and their sizes must add up to the plan. */
int inquire_memory(struct qmp *qmp, const char *dir, const struct launch_plan *plan, struct err *err)
{
	_cleanup_json_ struct json_object *devs = NULL, *summary = NULL;
	int64_t sum = 0;
	int r = qmp_run(qmp, "query-memdev", NULL, &devs, err);

	if (r == 0)
		r = qmp_run(qmp, "query-memory-size-summary", NULL, &summary, err);
	for (size_t i = 0; r == 0 && i < json_object_array_length(devs); i++) {
		struct json_object *dev = json_object_array_get_idx(devs, i);

		r = inquire_check_memdev(qmp, dir, dev, err);
		sum += jint(dev, "size", 0);
	}
	if (r < 0)
		return r;
	if (jint(summary, "base-memory", -1) != (int64_t)plan->base ||
	    sum != (int64_t)launch_plan_bytes(plan))
		return inquire_refuse_memory(size_exact(jint(summary, "base-memory", 0)),
					     fmt("the guest should have %s",
						 size_exact(plan->base)), err);
	return 0;
}

int inquire_size(struct qmp *qmp, uint64_t *size, struct err *err)
{
	_cleanup_json_ struct json_object *summary = NULL;
	int r = qmp_run(qmp, "query-memory-size-summary", NULL, &summary, err);

	if (r == 0)
		*size = jint(summary, "base-memory", 0) + jint(summary, "plugged-memory", 0);
	return r;
}
