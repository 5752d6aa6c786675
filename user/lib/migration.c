// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "migration.h"

/* Events are what is waited for; the poll is for one that was lost. */
#define POLL_MS 1000
/* The step from "completed" to the guest's final state comes without an event. */
#define STATUS_POLL_MS 20
#define CANCEL_S 10

/*
 * What must be on, and what must be off: with RAM left in place mapped-ram
 * writes files that cannot be loaded, and the others are refused by CPR or use
 * more than one stream.
 */
static const struct { const char *name; bool state; bool needed; } wanted[] = {
	{ "x-ignore-shared", true, true },
	{ "events", true, true },
	{ "mapped-ram", false, false },
	{ "multifd", false, false },
	{ "postcopy-ram", false, false },
	{ "background-snapshot", false, false },
	{ "x-colo", false, false },
	{ "xbzrle", false, false },
	{ "auto-converge", false, false },
};

static struct json_object *capability(const char *name, bool state)
{
	struct json_object *cap = json_object_new_object();

	jset_str(cap, "capability", name);
	jset_bool(cap, "state", state);
	return cap;
}

static int set_capabilities(struct qmp *qmp, struct json_object *list, struct err *err)
{
	struct json_object *args;

	if (!list || !json_object_array_length(list))
		return 0;
	args = json_object_new_object();
	jset(args, "capabilities", json_object_get(list));
	return qmp_run(qmp, "migrate-set-capabilities", args, NULL, err);
}

/* The state of a capability: 1, 0, or -1 if QEMU does not know it. */
static int find_capability(struct json_object *list, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *cap = json_object_array_get_idx(list, i);
		const char *this = jstr(cap, "capability");

		if (this && streq(this, name))
			return jbool(cap, "state", false);
	}
	return -1;
}

static int too_old(struct err *err, const char *what)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU lacks",
		    .value = what, .why = "it cannot hand its guest over",
		    .remedy = "use QEMU 9.1 or newer");
}

static int setup_capabilities(struct qmp *qmp, struct json_object *previous, struct err *err)
{
	_cleanup_json_ struct json_object *have = NULL, *change = json_object_new_array();
	struct json_object *old = json_object_new_array();
	int r = qmp_run(qmp, "query-migrate-capabilities", NULL, &have, err);

	jset(previous, "capabilities", old);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		int state = find_capability(have, wanted[i].name);

		if (state < 0 && wanted[i].needed)
			return too_old(err, wanted[i].name);
		if (state < 0 || state == wanted[i].state)
			continue;
		json_object_array_add(change, capability(wanted[i].name, wanted[i].state));
		json_object_array_add(old, capability(wanted[i].name, state));
	}
	return set_capabilities(qmp, change, err);
}

static int set_parameters(struct qmp *qmp, const char *mode, int64_t bandwidth, struct err *err)
{
	struct json_object *args = json_object_new_object();

	jset_str(args, "mode", mode);
	jset_int(args, "max-bandwidth", bandwidth);
	return qmp_run(qmp, "migrate-set-parameters", args, NULL, err);
}

/* The guest stands still meanwhile: no limit to the bandwidth. */
static int setup_parameters(struct qmp *qmp, struct json_object *previous, struct err *err)
{
	_cleanup_json_ struct json_object *have = NULL;
	struct json_object *old = json_object_new_object();
	int r = qmp_run(qmp, "query-migrate-parameters", NULL, &have, err);

	jset(previous, "parameters", old);
	if (r < 0)
		return r;
	if (!jstr(have, "mode"))
		return too_old(err, "cpr-reboot");
	r = set_parameters(qmp, "cpr-reboot", 0, err);
	if (r < 0)
		return r;
	jset_str(old, "mode", jstr(have, "mode"));
	jset_int(old, "max-bandwidth", jint(have, "max-bandwidth", 128 * (int64_t)MIB));
	return 0;
}

int migration_setup(struct qmp *qmp, struct json_object **previous, struct err *err)
{
	int r;

	*previous = json_object_new_object();
	r = setup_parameters(qmp, *previous, err);
	return r < 0 ? r : setup_capabilities(qmp, *previous, err);
}

int migration_reset(struct qmp *qmp, struct json_object *previous, struct err *err)
{
	struct json_object *params = jget(previous, "parameters");
	int r = set_capabilities(qmp, jget(previous, "capabilities"), err);

	if (!jstr(params, "mode"))
		return r;
	return qmp_run(qmp, "migrate-set-parameters", json_object_get(params), NULL,
		       r < 0 ? NULL : err) < 0 ? -EREMOTEIO : r;
}

int migration_save_uri(struct qmp *qmp, const char *uri, struct err *err)
{
	struct json_object *args = json_object_new_object();

	jset_str(args, "uri", uri);
	return qmp_run(qmp, "migrate", args, NULL, err);
}

int migration_load_uri(struct qmp *qmp, const char *uri, struct err *err)
{
	struct json_object *args = json_object_new_object();

	jset_str(args, "uri", uri);
	jset_bool(args, "exit-on-error", false);
	return qmp_run(qmp, "migrate-incoming", args, NULL, err);
}

int migration_save(struct qmp *qmp, const char *path, struct err *err)
{
	_cleanup_free_ char *uri = xasprintf("file:%s", path);

	return migration_save_uri(qmp, uri, err);
}

int migration_load(struct qmp *qmp, const char *path, struct err *err)
{
	_cleanup_free_ char *uri = xasprintf("file:%s", path);

	return migration_load_uri(qmp, uri, err);
}

/* 0 while it is under way, 1 when completed, or -EIO. */
static int progress(struct qmp *qmp, struct err *err)
{
	_cleanup_json_ struct json_object *info = NULL;
	int r = qmp_run(qmp, "query-migrate", NULL, &info, err);
	const char *status = jstr(info, "status"), *desc = jstr(info, "error-desc");

	if (r < 0 || !status)
		return r;
	if (streq(status, "completed"))
		return 1;
	if (streq(status, "failed") || streq(status, "cancelled"))
		return fail(err, -EIO, .what = "QEMU's migration", .value = status,
			    .why = desc ? desc : "it gives no reason");
	return 0;
}

/* Any event may mean progress; time passing may as well. */
static int next_event(struct qmp *qmp, deadline_t deadline, int poll_ms, const char *what,
		      struct err *err)
{
	_cleanup_json_ struct json_object *event = NULL;
	_cleanup_err_ struct err why = { 0 };
	int r;

	if (!deadline_left(deadline))
		return fail(err, -ETIMEDOUT, .what = "QEMU's migration", .value = what,
			    .why = "timed out", .remedy = "give it longer with --timeout");
	r = qmp_event(qmp, deadline_cap(deadline, poll_ms), &event, &why);
	if (r == 0 || r == -ETIMEDOUT)
		return 0;
	return fail(err, r, .what = "QEMU's migration", .value = what, .why = why.why);
}

int migration_wait(struct qmp *qmp, deadline_t deadline, struct err *err)
{
	int r;

	while ((r = progress(qmp, err)) == 0) {
		r = next_event(qmp, deadline, POLL_MS, "under way", err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int migration_await_status(struct qmp *qmp, const char *status, deadline_t deadline,
			   struct err *err)
{
	for (;;) {
		_cleanup_free_ char *now = NULL;
		int r = qmp_status(qmp, &now, err);

		if (r < 0 || streq(now, status))
			return r;
		r = next_event(qmp, deadline, STATUS_POLL_MS, now, err);
		if (r < 0)
			return r;
	}
}

void migration_cancel(struct qmp *qmp)
{
	_cleanup_json_ struct json_object *info = NULL;

	qmp->js->interruptible = false;
	if (qmp_run(qmp, "query-migrate", NULL, &info, NULL) == 0 && !jstr(info, "status"))
		return;		/* there never was one to wait for */
	if (qmp_run(qmp, "migrate_cancel", NULL, NULL, NULL) == 0)
		migration_wait(qmp, deadline_in(CANCEL_S), NULL);
}
