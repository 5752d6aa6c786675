// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "qemu/blockers.h"

/*
 * QEMU tells the reasons against the mode that is set, and a passed-through device is one
 * against the normal mode only. So the mode of a save is set for the question, and is then
 * as before.
 */
static int blockers_query(struct qmp *qmp, const struct migration_way *way,
			  struct json_object *previous, struct json_object **ret, struct err *err)
{
	_cleanup_json_ struct json_object *change = json_object_new_object();
	struct json_object *mode = jget(jget(previous, "parameters"), "mode");
	struct json_object *params = json_object_new_object();
	int back, r;

	jset(change, "capabilities", json_object_new_array());
	jset(change, "parameters", params);
	if (mode)
		jset(params, "mode", json_object_get(mode));
	r = migration_apply(qmp, way, change, err);
	if (r < 0)
		return r;
	r = qmp_run(qmp, "query-migrate", NULL, ret, err);
	back = migration_reset(qmp, change, r < 0 ? NULL : err);
	return r < 0 ? r : back;
}

/* Present while there is a reason: a device without vmstate, -only-migratable's opposite, ... */
static int blockers_check_reasons(struct qmp *qmp, const struct migration_way *way,
				  struct json_object *previous, struct err *err)
{
	_cleanup_json_ struct json_object *ret = NULL;
	int r = blockers_query(qmp, way, previous, &ret, err);
	struct json_object *reasons = jget(ret, "blocked-reasons");

	if (r < 0 || !json_object_is_type(reasons, json_type_array) ||
	    !json_object_array_length(reasons))
		return r;
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU",
		    .value = "query-migrate",
		    .why = json_object_get_string(json_object_array_get_idx(reasons, 0)),
		    .remedy = "remove what QEMU names, and start the VM without it");
}

/* A job that has ended can wait for job-dismiss; it does nothing any more. */
static bool blockers_job_is_over(const char *status)
{
	static const char *const over[] = { "concluded", "null" };

	return str_in(over, status);
}

static int blockers_check_jobs(struct qmp *qmp, struct err *err)
{
	_cleanup_json_ struct json_object *jobs = NULL;
	int r = qmp_run(qmp, "query-jobs", NULL, &jobs, err);

	for (size_t i = 0; r == 0 && i < json_object_array_length(jobs); i++) {
		struct json_object *job = json_object_array_get_idx(jobs, i);
		const char *type = jstr(job, "type"), *status = jstr(job, "status");

		if (!blockers_job_is_over(status))
			r = fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "job",
				 .value = jstr(job, "id"),
				 .why = fmt("QEMU is working on it (%s, %s), and the next QEMU would "
					    "not go on with it", type ? type : "of unknown type",
					    status ? status : "of unknown status"),
				 .remedy = "wait for its end, or end it ('job-complete' or "
					   "'job-cancel' in QEMU's monitor)");
	}
	return r;
}

static int blockers_check_exports(struct qmp *qmp, struct err *err)
{
	_cleanup_json_ struct json_object *exports = NULL;
	int r = qmp_run(qmp, "query-block-exports", NULL, &exports, err);
	struct json_object *first = r < 0 ? NULL : json_object_array_get_idx(exports, 0);

	if (!first)
		return r;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "export", .value = jstr(first, "id"),
		    .why = fmt("QEMU exports '%s' to other programs (%s), and the next QEMU would not",
			       jstr(first, "node-name") ?: "a disk", jstr(first, "type") ?: "?"),
		    .remedy = "end it ('block-export-del' in QEMU's monitor)");
}

int blockers_check(struct qmp *qmp, const struct migration_way *way, struct json_object *previous,
		   struct err *err)
{
	int r = blockers_check_reasons(qmp, way, previous, err);

	if (r == 0)
		r = blockers_check_jobs(qmp, err);
	return r < 0 ? r : blockers_check_exports(qmp, err);
}
