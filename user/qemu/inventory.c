// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "qemu/inventory.h"

#define PERIPHERAL "/machine/peripheral"
#define CHILD "child<"

#define PLUGGED "it was plugged after QEMU's start, and the next QEMU would not have it"
#define UNPLUGGED "QEMU was started with it, and has it no more; the next QEMU would have it"

static int inventory_refuse(struct err *err, const char *what, bool plugged)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU has changed",
		    .value = what, .why = plugged ? PLUGGED : UNPLUGGED,
		    .remedy = plugged ? "unplug it, or shut the guest down and start it with it" :
		    "plug it again, or shut the guest down and start it without it");
}

/* The type of a QOM child ("child<virtio-net-pci>"); NULL if it is none. Caller frees. */
static char *inventory_type(struct json_object *entry)
{
	const char *type = jstr(entry, "type");

	if (!type || !startswith(type, CHILD))
		return NULL;
	type += strlen(CHILD);
	return xstrndup(type, strcspn(type, ">"));
}

static int inventory_list_qom(struct qmp *qmp, const char *path, struct json_object **list,
			      struct err *err)
{
	struct json_object *args = json_object_new_object();

	jset_str(args, "path", path);
	return qmp_run(qmp, "qom-list", args, list, err);
}

/* Without an id a device is "device[N]". */
static int inventory_add_devices(struct qmp *qmp, const char *path, struct json_object *list,
				 struct err *err)
{
	_cleanup_json_ struct json_object *found = NULL;
	int r = inventory_list_qom(qmp, path, &found, err);

	for (size_t i = 0; r == 0 && i < json_object_array_length(found); i++) {
		struct json_object *entry = json_object_array_get_idx(found, i);
		_cleanup_free_ char *type = inventory_type(entry);

		if (type && jstr(entry, "name"))
			json_object_array_add(list, json_object_new_string(
				fmt("device %s (%s)", jstr(entry, "name"), type)));
	}
	return r;
}

/* A CPU by its place in the machine: {"core-id": 1, "socket-id": 0, ...}. */
static int inventory_add_cpus(struct qmp *qmp, struct json_object *list, struct err *err)
{
	_cleanup_json_ struct json_object *cpus = NULL;
	int r = qmp_run(qmp, "query-cpus-fast", NULL, &cpus, err);

	for (size_t i = 0; r == 0 && i < json_object_array_length(cpus); i++) {
		struct json_object *props = jget(json_object_array_get_idx(cpus, i), "props");

		json_object_array_add(list, json_object_new_string(
			fmt("CPU %s", props ? json_object_to_json_string_ext(props,
				JSON_C_TO_STRING_PLAIN) : fmt("%zu", i))));
	}
	return r;
}

int inventory_read(struct qmp *qmp, struct json_object **list, struct err *err)
{
	int r;

	*list = json_object_new_array();
	r = inventory_add_devices(qmp, PERIPHERAL, *list, err);
	if (r == 0)
		r = inventory_add_devices(qmp, PERIPHERAL "-anon", *list, err);
	if (r == 0)
		r = inventory_add_cpus(qmp, *list, err);
	if (r == 0)
		return 0;
	json_object_put(*list);
	*list = NULL;
	return r;
}

static bool inventory_has(struct json_object *list, const char *what)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (streq(json_object_get_string(json_object_array_get_idx(list, i)), what))
			return true;
	return false;
}

/* The first of @a that is not in @b; NULL if there is none. */
static const char *inventory_first_missing(struct json_object *a, struct json_object *b)
{
	for (size_t i = 0; i < json_object_array_length(a); i++) {
		const char *what = json_object_get_string(json_object_array_get_idx(a, i));

		if (!inventory_has(b, what))
			return what;
	}
	return NULL;
}

int inventory_compare(struct json_object *was, struct json_object *is, struct err *err)
{
	const char *plugged = inventory_first_missing(is, was);
	const char *unplugged = inventory_first_missing(was, is);

	if (plugged)
		return inventory_refuse(err, plugged, true);
	return unplugged ? inventory_refuse(err, unplugged, false) : 0;
}

/* All devices with an id, by their options and in QEMU. */
static void inventory_ids(const struct qemuopts *opts, struct json_object *found,
			  struct strv *then, struct strv *now)
{
	qemuopts_for_each(opt, opts) {
		const char *id = opt->kind->id == QEMUOPT_DEVICE ? keyval(opt->kv, "id") : NULL;

		if (id)
			strv_push(then, id);
	}
	for (size_t i = 0; i < json_object_array_length(found); i++) {
		struct json_object *entry = json_object_array_get_idx(found, i);
		_cleanup_free_ char *type = inventory_type(entry);

		if (type && jstr(entry, "name"))
			strv_push(now, jstr(entry, "name"));
	}
}

int inventory_check_options(struct qmp *qmp, const struct qemuopts *opts, struct err *err)
{
	_cleanup_json_ struct json_object *found = NULL;
	_cleanup_strv_ struct strv then = { 0 }, now = { 0 };
	int r = inventory_list_qom(qmp, PERIPHERAL, &found, err);

	if (r < 0)
		return r;
	inventory_ids(opts, found, &then, &now);
	for (size_t i = 0; i < now.n; i++)
		if (!strv_has(&then, now.v[i]))
			return inventory_refuse(err, fmt("device %s", now.v[i]), true);
	for (size_t i = 0; i < then.n; i++)
		if (!strv_has(&now, then.v[i]))
			return inventory_refuse(err, fmt("device %s", then.v[i]), false);
	return 0;
}
