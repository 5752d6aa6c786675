// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "base/out.h"
#include "qemu/bitmaps.h"

/* A bitmap without a name is a job's, and goes with the job. */
static void bitmap_note(const char *vm, struct json_object *node, struct json_object *bitmap)
{
	const char *name = jstr(bitmap, "name");

	if (name && !jbool(bitmap, "persistent", false))
		note("VM '%s': the dirty bitmap '%s' of '%s' is not persistent, and is lost: the next "
		     "backup must be a full one", vm, name, jstr(node, "file"));
}

int bitmaps_note(struct qmp *qmp, const char *vm, struct err *err)
{
	_cleanup_json_ struct json_object *nodes = NULL;
	struct json_object *args = json_object_new_object();
	int r;

	jset_bool(args, "flat", true);
	r = qmp_run(qmp, "query-named-block-nodes", args, &nodes, err);
	for (size_t i = 0; r == 0 && i < json_object_array_length(nodes); i++) {
		struct json_object *node = json_object_array_get_idx(nodes, i);
		struct json_object *bitmaps = jget(node, "dirty-bitmaps");

		for (size_t j = 0; bitmaps && j < json_object_array_length(bitmaps); j++)
			bitmap_note(vm, node, json_object_array_get_idx(bitmaps, j));
	}
	return r;
}
