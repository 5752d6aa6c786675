// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/faultpoint.h"
#include "qemu/blockers.h"

int blockers_ask(struct qmp *qmp, const char *vm, const struct migration_way *way,
		 struct json_object *previous, struct json_object **reasons, struct err *err)
{
	_cleanup_json_ struct json_object *change = json_object_new_object(), *ret = NULL;
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
	r = faultpoint("save-asked", vm, err);
	if (r == 0)
		r = qmp_run(qmp, "query-migrate", NULL, &ret, err);
	back = migration_reset(qmp, change, r < 0 ? NULL : err);
	*reasons = json_object_get(jget(ret, "blocked-reasons"));
	return r < 0 ? r : back;
}

/* A device without vmstate, -only-migratable's opposite, ... */
static int blockers_check_reasons(struct json_object *reasons, struct err *err)
{
	if (!json_object_is_type(reasons, json_type_array) || !json_object_array_length(reasons))
		return 0;
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

int blockers_check(struct qmp *qmp, struct json_object *reasons, struct err *err)
{
	int r = blockers_check_reasons(reasons, err);

	if (r == 0)
		r = blockers_check_jobs(qmp, err);
	return r < 0 ? r : blockers_check_exports(qmp, err);
}
