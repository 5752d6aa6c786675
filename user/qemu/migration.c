// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/out.h"
#include "qemu/migration.h"
#include "qemu/qemu.h"

/* Interval for polling in addition to waiting for events, in case an event was lost. */
#define POLL_MS 1000
/* QEMU sends no event when the guest enters its final run state after "completed". */
#define STATUS_POLL_MS 20
#define CANCEL_S 10
#define STUCK_S 20		/* without any progress */

enum migration_want { OFF, ON, REFUSED };

#define SAME(want) { want, want, want, want }

const struct migration_way migration_in_place = { .kind = MIGRATION_IN_PLACE };

/*
 * All capabilities of QEMU 10.0 to 11.1: the value that each kind of migration needs, in the
 * order of enum migration_kind. REFUSED: if the user has enabled the capability, the save
 * is refused, because disabling it would break what the user needs it for, or because the
 * state would differ. An abort resets all others. An enabled capability that is not
 * listed is refused, because its effect on the state is unknown.
 */
static const struct {
	const char *name;
	enum migration_want want[MIGRATION_KINDS];
	const char *why;
} capabilities[] = {
	{ "x-ignore-shared", { ON, OFF, OFF, OFF }, "it decides whether RAM stays in the region" },
	{ "events", SAME(ON), "cpr-helper waits for migration events" },
	{ "postcopy-ram", SAME(REFUSED),
	  "the guest would run before its state is complete; QEMU refuses it with cpr-reboot" },
	{ "dirty-bitmaps", SAME(REFUSED),
	  "QEMU treats it as postcopy and refuses it with cpr-reboot; bitmaps would be lost" },
	{ "background-snapshot", SAME(REFUSED),
	  "the guest would run while its state is written; QEMU refuses it with cpr-reboot" },
	{ "x-colo", SAME(REFUSED),
	  "the guest would run twice, and its state never end; QEMU refuses it with cpr-reboot" },
	{ "mapped-ram", { REFUSED, ON, ON, OFF },
	  "while RAM stays in the region, QEMU writes a file that it cannot load" },
	{ "multifd", { OFF, OFF, ON, OFF },
	  "QEMU crashes if a save by several channels fails, see enum migration_kind" },
	{ "zero-copy-send", SAME(OFF), "it is for sockets, and needs multifd" },
	{ "xbzrle", SAME(OFF), "no page is written twice" },
	{ "compress", SAME(OFF), "cpr-helper cannot check compressed pages" },
	{ "auto-converge", SAME(OFF), "the guest is stopped" },
	{ "dirty-limit", SAME(OFF), "the guest is stopped" },
	{ "return-path", SAME(OFF), "a file does not answer" },
	{ "switchover-ack", SAME(OFF), "QEMU would wait for an answer from the file" },
	{ "pause-before-switchover", SAME(OFF), "no client would continue the migration" },
	{ "release-ram", SAME(OFF), "memory must not be freed" },
	{ "rdma-pin-all", SAME(OFF), "it is for RDMA" },
	{ "block", SAME(OFF), "disks are not migrated" },
	{ "zero-blocks", SAME(OFF), "disks are not migrated" },
	{ "postcopy-preempt", SAME(OFF), "it needs postcopy" },
	{ "postcopy-blocktime", SAME(OFF), "it needs postcopy" },
	{ "late-block-activate", SAME(OFF), "the QEMU that loads the state activates the disks" },
	{ "validate-uuid", SAME(OFF), "the manifest identifies the VM" },
};

/*
 * Parameters that a save needs; values are JSON, or NULL if struct migration_way has the
 * value. With TLS, QEMU would wait for a handshake with the file. Without zero page
 * detection, pages of zeros could not be distinguished from lost pages.
 */
static const struct {
	const char *name, *value;
	bool needed;
} parameters[] = {
	{ "mode", "\"cpr-reboot\"", true },
	{ "max-bandwidth", "0", false },	/* no limit, as the guest is stopped */
	{ "tls-creds", "\"\"", false },
	{ "zero-page-detection", "\"multifd\"", false },	/* also effective without multifd */
	{ "multifd-channels", NULL, false },
	{ "direct-io", NULL, false },
};

/* The values of "status" when no migration is under way. */
static const char *const over[] = { "none", "completed", "failed", "cancelled" };

/* @status: "status" of query-migrate; NULL if there has been no migration. */
static bool migration_is_over(const char *status)
{
	return !status || str_in(over, status);
}

static struct json_object *capability_json(const char *name, bool state)
{
	struct json_object *cap = json_object_new_object();

	jset_str(cap, "capability", name);
	jset_bool(cap, "state", state);
	return cap;
}

static int migration_too_old(struct err *err, const char *what)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU lacks",
		    .value = what, .why = "this version does not support handovers",
		    .remedy = fmt("use QEMU %d.%d or newer", QEMU_MIN_MAJOR, QEMU_MIN_MINOR));
}

static int migration_bad_reply(struct qmp *qmp, const char *command, struct err *err)
{
	return fail(err, -EPROTO, .what = "no answer from", .value = qmp->js->peer,
		    .why = fmt("the reply to %s has an unexpected form", command));
}

static int inspect_status(struct qmp *qmp, struct err *err)
{
	_cleanup_json_ struct json_object *info = NULL;
	int r = qmp_run(qmp, "query-migrate", NULL, &info, err);
	const char *status = jstr(info, "status");

	if (r < 0 || migration_is_over(status))
		return r;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "QEMU's migration",
		    .value = status, .why = "another migration is under way",
		    .remedy = "wait until that migration has ended, or 'migrate_cancel' in QEMU's "
			      "monitor");
}

static int capability_refuse(const char *name, const char *why, struct err *err)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU's capability",
		    .value = name, .why = fmt("it is enabled: %s", why),
		    .remedy = fmt("'migrate_set_capability %s off' in QEMU's monitor, then try again",
				  name));
}

/* If the capability has to change, add its current value to @old. */
static int inspect_capability(const char *name, bool state, const struct migration_way *way,
			      struct json_object *old, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		enum migration_want want = capabilities[i].want[way->kind];

		if (!streq(capabilities[i].name, name))
			continue;
		if (want == REFUSED && state)
			return capability_refuse(name, capabilities[i].why, err);
		if (want != REFUSED && state != (want == ON)) {
			detail("QEMU's capability '%s' is %s for the save: %s", name,
			       state ? "disabled" : "enabled", capabilities[i].why);
			json_object_array_add(old, capability_json(name, state));
		}
		return 0;
	}
	return state ? capability_refuse(name, "this cpr-helper does not know what it does", err) :
	0;
}

static int inspect_capabilities(struct qmp *qmp, const struct migration_way *way,
				struct json_object *old, struct err *err)
{
	_cleanup_json_ struct json_object *have = NULL;
	int r = qmp_run(qmp, "query-migrate-capabilities", NULL, &have, err);

	if (r == 0 && !json_object_is_type(have, json_type_array))
		r = migration_bad_reply(qmp, "query-migrate-capabilities", err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(capabilities); i++)
		if (capabilities[i].want[way->kind] == ON &&
		    !jfind(have, "capability", capabilities[i].name))
			r = migration_too_old(err, capabilities[i].name);
	for (size_t i = 0; r == 0 && i < json_object_array_length(have); i++) {
		struct json_object *cap = json_object_array_get_idx(have, i);
		const char *name = jstr(cap, "capability");

		r = name ? inspect_capability(name, jbool(cap, "state", false), way, old, err) :
			   migration_bad_reply(qmp, "query-migrate-capabilities", err);
	}
	return r;
}

/* The value that parameter @i needs; NULL if any value will do. Caller owns it. */
static struct json_object *parameter_wanted(size_t i, const struct migration_way *way)
{
	if (parameters[i].value)
		return json_tokener_parse(parameters[i].value);
	if (way->kind != MIGRATION_COPY_LOAD)
		return NULL;
	return streq(parameters[i].name, "direct-io") ? json_object_new_boolean(way->direct) :
	       json_object_new_int(way->channels);
}

static int inspect_parameters(struct qmp *qmp, const struct migration_way *way,
			      struct json_object *old, struct err *err)
{
	_cleanup_json_ struct json_object *have = NULL;
	int r = qmp_run(qmp, "query-migrate-parameters", NULL, &have, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		_cleanup_json_ struct json_object *want = parameter_wanted(i, way);
		struct json_object *is = jget(have, parameters[i].name);

		if (!is && parameters[i].needed)
			return migration_too_old(err, "cpr-reboot");
		if (is && want && !json_object_equal(is, want))
			jset(old, parameters[i].name, json_object_get(is));
	}
	return 0;
}

int migration_inspect(struct qmp *qmp, const struct migration_way *way,
		      struct json_object **previous, struct err *err)
{
	struct json_object *caps = json_object_new_array(), *params = json_object_new_object();
	int r;

	*previous = json_object_new_object();
	jset(*previous, "capabilities", caps);
	jset(*previous, "parameters", params);
	r = inspect_status(qmp, err);
	if (r == 0)
		r = inspect_capabilities(qmp, way, caps, err);
	return r < 0 ? r : inspect_parameters(qmp, way, params, err);
}

static int set_capabilities(struct qmp *qmp, struct json_object *list, struct err *err)
{
	struct json_object *args;

	if (!json_object_is_type(list, json_type_array) || !json_object_array_length(list))
		return 0;
	args = json_object_new_object();
	jset(args, "capabilities", json_object_get(list));
	return qmp_run(qmp, "migrate-set-capabilities", args, NULL, err);
}

static int set_parameters(struct qmp *qmp, struct json_object *params, struct err *err)
{
	if (!json_object_is_type(params, json_type_object) || !json_object_object_length(params))
		return 0;
	return qmp_run(qmp, "migrate-set-parameters", json_object_get(params), NULL, err);
}

int migration_apply(struct qmp *qmp, const struct migration_way *way,
		    struct json_object *previous, struct err *err)
{
	_cleanup_json_ struct json_object *caps = json_object_new_array();
	_cleanup_json_ struct json_object *params = json_object_new_object();
	struct json_object *old = jget(previous, "capabilities");
	int r;

	for (size_t i = 0; i < json_object_array_length(old); i++) {
		struct json_object *cap = json_object_array_get_idx(old, i);

		json_object_array_add(caps, capability_json(jstr(cap, "capability"),
							    !jbool(cap, "state", false)));
	}
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++)
		if (jget(jget(previous, "parameters"), parameters[i].name))
			jset(params, parameters[i].name, parameter_wanted(i, way));
	r = set_parameters(qmp, params, err);
	return r < 0 ? r : set_capabilities(qmp, caps, err);
}

int migration_setup(struct qmp *qmp, const struct migration_way *way,
		    struct json_object **previous, struct err *err)
{
	int r = migration_inspect(qmp, way, previous, err);

	return r < 0 ? r : migration_apply(qmp, way, *previous, err);
}

/* Reset the parameters even if resetting the capabilities fails. */
int migration_reset(struct qmp *qmp, struct json_object *previous, struct err *err)
{
	int caps = set_capabilities(qmp, jget(previous, "capabilities"), err);
	int params = set_parameters(qmp, jget(previous, "parameters"), err);

	return caps < 0 ? caps : params;
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

/* Returns 0 while the migration is under way, 1 when it has completed, or -EIO. */
static int migration_status(struct qmp *qmp, struct err *err)
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
			    .why = desc ? desc : "QEMU gives no reason");
	return 0;
}

/* Wait for an event, at most @poll_ms: its kind does not matter, as the caller polls. */
static int migration_next_event(struct qmp *qmp, deadline_t deadline, int poll_ms, const char *what,
				struct err *err)
{
	_cleanup_json_ struct json_object *event = NULL;
	_cleanup_err_ struct err why = { 0 };
	int r;

	if (!deadline_left(deadline))
		return fail(err, -ETIMEDOUT, .what = "QEMU's migration", .value = what,
			    .why = "timed out", .remedy = "allow more time with --timeout");
	r = qmp_event(qmp, deadline_cap(deadline, poll_ms), &event, &why);
	if (r == 0 || r == -ETIMEDOUT)
		return 0;
	return fail(err, r, .what = "QEMU's migration", .value = what, .why = why.why);
}

int migration_wait(struct qmp *qmp, deadline_t deadline, struct err *err)
{
	int r;

	while ((r = migration_status(qmp, err)) == 0) {
		r = migration_next_event(qmp, deadline, POLL_MS, "under way", err);
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
		r = migration_next_event(qmp, deadline, STATUS_POLL_MS, now, err);
		if (r < 0)
			return r;
	}
}

/* A sum of counters of the migration, which changes while it makes progress. */
static int64_t migration_progress(struct json_object *info)
{
	static const char *const counters[] = {
		"transferred", "multifd-bytes", "normal", "duplicate", "dirty-sync-count",
	};
	int64_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		sum += jint(jget(info, "ram"), counters[i], 0);
	return sum;
}

/* Returns 0 when no migration is under way, -ETIMEDOUT if one makes no progress. */
static int migration_await_end(struct qmp *qmp, double patience, struct err *err)
{
	deadline_t deadline = deadline_in(patience);
	int64_t so_far = 0;
	int r;

	do {
		_cleanup_json_ struct json_object *info = NULL;

		r = qmp_run(qmp, "query-migrate", NULL, &info, err);
		if (r < 0 || migration_is_over(jstr(info, "status")))
			return r;
		if (migration_progress(info) != so_far)
			deadline = deadline_in(patience);
		so_far = migration_progress(info);
		r = migration_next_event(qmp, deadline, POLL_MS, "under way", err);
	} while (r == 0);
	return r;
}

int migration_await_other_status(struct qmp *qmp, const char *left, deadline_t deadline,
				 char **status, struct err *err)
{
	for (;;) {
		int r = qmp_status(qmp, status, err);

		if (r < 0 || !streq(*status, left))
			return r;
		free(*status);
		*status = NULL;
		if (!deadline_left(deadline))
			return fail(err, -ETIMEDOUT, .what = "QEMU's migration", .value = left,
				    .why = "it has ended, but QEMU stays in this runstate");
		r = migration_next_event(qmp, deadline, STATUS_POLL_MS, "under way", err);
		if (r < 0)
			return r;
	}
}

/*
 * QEMU ends its channels by the settings that it finds when it cleans up, so no setting may
 * be changed before it has done that.
 */
static int migration_await_cleanup(struct qmp *qmp, struct err *err)
{
	deadline_t deadline = deadline_in(CANCEL_S);

	for (;;) {
		_cleanup_json_ struct json_object *instances = NULL;
		int r = qmp_run(qmp, "query-yank", NULL, &instances, err);

		/* What this lists of a migration goes last. */
		if (r < 0 || !jfind(instances, "type", "migration"))
			return r;
		if (!deadline_left(deadline))
			return fail(err, -ETIMEDOUT, .what = "QEMU's migration",
				    .value = "ended", .why = "QEMU does not clean up after it");
		r = migration_next_event(qmp, deadline, STATUS_POLL_MS, "ended", err);
		if (r < 0)
			return r;
	}
}

int migration_end(struct qmp *qmp, bool cancel, char **status, struct err *err)
{
	int r;

	*status = NULL;
	qmp->js->interruptible = false;
	r = migration_await_end(qmp, STUCK_S, NULL);
	if (r == -ETIMEDOUT && cancel) {
		r = qmp_run(qmp, "migrate_cancel", NULL, NULL, NULL);
		if (r == 0)
			r = migration_await_end(qmp, CANCEL_S, NULL);
	}
	if (r < 0)
		return fail(err, r, .what = "QEMU's migration", .value = "under way",
			    .why = "it neither makes progress nor ends");
	/*
	 * After "completed" or "failed" QEMU resumes the guest or sets postmigrate, and only
	 * then cleans up.
	 */
	r = migration_await_other_status(qmp, "finish-migrate", deadline_in(CANCEL_S), status, err);
	return r < 0 ? r : migration_await_cleanup(qmp, err);
}
