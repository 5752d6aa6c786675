// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/out.h"
#include "qemu/migration.h"

/* Events are what is waited for; the poll is for one that was lost. */
#define POLL_MS 1000
/* The step from "completed" to the guest's final state comes without an event. */
#define STATUS_POLL_MS 20
#define CANCEL_S 10
#define STUCK_S 20		/* without a byte */

enum want { OFF, ON, REFUSED };

#define SAME(want) { want, want, want }

const struct migration_way migration_in_place = { .kind = MIGRATION_IN_PLACE };

/*
 * All capabilities of QEMU 9.1 to 11.1: what each way wants of each, in the order of
 * enum migration_kind. One that the user needs on, or that would make another state
 * of it, is a refusal; the others are put back after an abort. What is not listed is
 * refused when it is on: nobody can tell what it does to the state.
 */
static const struct {
	const char *name;
	enum want want[MIGRATION_KINDS];
	const char *why;
} capabilities[] = {
	{ "x-ignore-shared", { ON, OFF, OFF }, "it says whether RAM stays where it is" },
	{ "events", SAME(ON), "they tell when it is done" },
	{ "postcopy-ram", SAME(REFUSED),
	  "the guest would run before all of its state is there; QEMU refuses it with cpr-reboot" },
	{ "dirty-bitmaps", SAME(REFUSED),
	  "QEMU takes it for postcopy, and refuses it with cpr-reboot; named bitmaps would be lost" },
	{ "background-snapshot", SAME(REFUSED),
	  "the guest would run on while its state is written; QEMU refuses it with cpr-reboot" },
	{ "x-colo", SAME(REFUSED),
	  "the guest would be doubled, and its state never be whole; QEMU refuses it with cpr-reboot" },
	{ "mapped-ram", { REFUSED, ON, OFF },
	  "while RAM stays in place it writes a file that cannot be loaded" },
	{ "multifd", { OFF, ON, OFF }, "all but the pages of a file is one stream" },
	{ "zero-copy-send", SAME(OFF), "is for sockets, and needs multifd" },
	{ "xbzrle", SAME(OFF), "no page is written twice" },
	{ "compress", SAME(OFF), "the state is kept as it is checked" },
	{ "auto-converge", SAME(OFF), "the guest stands still" },
	{ "dirty-limit", SAME(OFF), "the guest stands still" },
	{ "return-path", SAME(OFF), "a file does not answer" },
	{ "switchover-ack", SAME(OFF), "a file does not answer, and it would be waited for" },
	{ "pause-before-switchover", SAME(OFF), "nobody would let it go on" },
	{ "release-ram", SAME(OFF), "memory must not be given up" },
	{ "rdma-pin-all", SAME(OFF), "is for RDMA" },
	{ "block", SAME(OFF), "disks stay where they are" },
	{ "zero-blocks", SAME(OFF), "disks stay where they are" },
	{ "postcopy-preempt", SAME(OFF), "needs postcopy" },
	{ "postcopy-blocktime", SAME(OFF), "needs postcopy" },
	{ "late-block-activate", SAME(OFF), "who loads the state takes the disks" },
	{ "validate-uuid", SAME(OFF), "the manifest tells which VM it is" },
};

/*
 * Values are JSON; NULL: what the way says. With TLS, QEMU would wait for a file to
 * answer its greeting; and zeros that were not looked for cannot be told from what
 * was lost.
 */
static const struct {
	const char *name, *value;
	bool needed;
} parameters[] = {
	{ "mode", "\"cpr-reboot\"", true },
	{ "max-bandwidth", "0", false },	/* no limit: the guest stands still */
	{ "tls-creds", "\"\"", false },
	{ "zero-page-detection", "\"multifd\"", false },	/* without multifd, too */
	{ "multifd-channels", NULL, false },
	{ "direct-io", NULL, false },
};

/* What "status" says of a migration that is over. */
static const char *const over[] = { "none", "completed", "failed", "cancelled" };

/* NULL: there never was one. */
static bool is_over(const char *status)
{
	for (size_t i = 0; status && i < ARRAY_SIZE(over); i++)
		if (streq(status, over[i]))
			return true;
	return !status;
}

static struct json_object *capability(const char *name, bool state)
{
	struct json_object *cap = json_object_new_object();

	jset_str(cap, "capability", name);
	jset_bool(cap, "state", state);
	return cap;
}

static bool has_capability(struct json_object *list, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *this = jstr(json_object_array_get_idx(list, i), "capability");

		if (this && streq(this, name))
			return true;
	}
	return false;
}

static int too_old(struct err *err, const char *what)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU lacks",
		    .value = what, .why = "it cannot hand its guest over",
		    .remedy = "use QEMU 9.1 or newer");
}

static int bad_answer(struct qmp *qmp, const char *command, struct err *err)
{
	return fail(err, -EPROTO, .what = "no answer from", .value = qmp->js->peer,
		    .why = fmt("%s without what was asked for", command));
}

static int inspect_status(struct qmp *qmp, struct err *err)
{
	_cleanup_json_ struct json_object *info = NULL;
	int r = qmp_run(qmp, "query-migrate", NULL, &info, err);
	const char *status = jstr(info, "status");

	if (r < 0 || is_over(status))
		return r;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "QEMU's migration",
		    .value = status, .why = "somebody else's is under way",
		    .remedy = "wait until it is done, or 'migrate_cancel' in QEMU's monitor");
}

static int refuse_capability(const char *name, const char *why, struct err *err)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU's capability",
		    .value = name, .why = fmt("it is on: %s", why),
		    .remedy = fmt("'migrate_set_capability %s off' in QEMU's monitor, then try again",
				  name));
}

/* Notes in @old what it has to be put back to, if it has to be changed. */
static int inspect_capability(const char *name, bool state, const struct migration_way *way,
			      struct json_object *old, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		enum want want = capabilities[i].want[way->kind];

		if (!streq(capabilities[i].name, name))
			continue;
		if (want == REFUSED && state)
			return refuse_capability(name, capabilities[i].why, err);
		if (want != REFUSED && state != (want == ON)) {
			detail("QEMU's capability '%s' is switched %s: %s", name,
			       state ? "off" : "on", capabilities[i].why);
			json_object_array_add(old, capability(name, state));
		}
		return 0;
	}
	return state ? refuse_capability(name, "this cpr-helper does not know what it does", err) : 0;
}

static int inspect_capabilities(struct qmp *qmp, const struct migration_way *way,
				struct json_object *old, struct err *err)
{
	_cleanup_json_ struct json_object *have = NULL;
	int r = qmp_run(qmp, "query-migrate-capabilities", NULL, &have, err);

	if (r == 0 && !json_object_is_type(have, json_type_array))
		r = bad_answer(qmp, "query-migrate-capabilities", err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(capabilities); i++)
		if (capabilities[i].want[way->kind] == ON &&
		    !has_capability(have, capabilities[i].name))
			r = too_old(err, capabilities[i].name);
	for (size_t i = 0; r == 0 && i < json_object_array_length(have); i++) {
		struct json_object *cap = json_object_array_get_idx(have, i);
		const char *name = jstr(cap, "capability");

		r = name ? inspect_capability(name, jbool(cap, "state", false), way, old, err) :
			   bad_answer(qmp, "query-migrate-capabilities", err);
	}
	return r;
}

/* What a parameter is to be; NULL if the way does not care. The caller owns it. */
static struct json_object *wanted(size_t i, const struct migration_way *way)
{
	if (parameters[i].value)
		return json_tokener_parse(parameters[i].value);
	if (way->kind != MIGRATION_COPY)
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
		_cleanup_json_ struct json_object *want = wanted(i, way);
		struct json_object *is = jget(have, parameters[i].name);

		if (!is && parameters[i].needed)
			return too_old(err, "cpr-reboot");
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

		json_object_array_add(caps, capability(jstr(cap, "capability"),
						       !jbool(cap, "state", false)));
	}
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++)
		if (jget(jget(previous, "parameters"), parameters[i].name))
			jset(params, parameters[i].name, wanted(i, way));
	r = set_parameters(qmp, params, err);
	return r < 0 ? r : set_capabilities(qmp, caps, err);
}

int migration_setup(struct qmp *qmp, const struct migration_way *way,
		    struct json_object **previous, struct err *err)
{
	int r = migration_inspect(qmp, way, previous, err);

	return r < 0 ? r : migration_apply(qmp, way, *previous, err);
}

/* Both are tried: one that fails is no reason to leave the other. */
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

/* What it has got through so far: if it is another number, it goes on. */
static int64_t amount(struct json_object *info)
{
	static const char *const counters[] = {
		"transferred", "multifd-bytes", "normal", "duplicate", "dirty-sync-count",
	};
	int64_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		sum += jint(jget(info, "ram"), counters[i], 0);
	return sum;
}

/* 0 when it is over, -ETIMEDOUT if it gets nowhere. */
static int await_end(struct qmp *qmp, double patience, struct err *err)
{
	deadline_t deadline = deadline_in(patience);
	int64_t so_far = 0;
	int r;

	do {
		_cleanup_json_ struct json_object *info = NULL;

		r = qmp_run(qmp, "query-migrate", NULL, &info, err);
		if (r < 0 || is_over(jstr(info, "status")))
			return r;
		if (amount(info) != so_far)
			deadline = deadline_in(patience);
		so_far = amount(info);
		r = next_event(qmp, deadline, POLL_MS, "under way", err);
	} while (r == 0);
	return r;
}

/*
 * "completed" and "failed" come first: then QEMU lets the guest run, or puts it into
 * postmigrate, and only after that cleans up.
 */
static int settle(struct qmp *qmp, char **status, struct err *err)
{
	deadline_t deadline = deadline_in(CANCEL_S);

	for (;;) {
		int r = qmp_status(qmp, status, err);

		if (r < 0 || !streq(*status, "finish-migrate"))
			return r;
		free(*status);
		*status = NULL;
		if (!deadline_left(deadline))
			return fail(err, -ETIMEDOUT, .what = "QEMU's migration",
				    .value = "finish-migrate", .why = "it does not end");
		r = next_event(qmp, deadline, STATUS_POLL_MS, "under way", err);
		if (r < 0)
			return r;
	}
}

int migration_end(struct qmp *qmp, bool cancel, char **status, struct err *err)
{
	int r;

	*status = NULL;
	qmp->js->interruptible = false;
	r = await_end(qmp, STUCK_S, NULL);
	if (r == -ETIMEDOUT && cancel) {
		r = qmp_run(qmp, "migrate_cancel", NULL, NULL, NULL);
		if (r == 0)
			r = await_end(qmp, CANCEL_S, NULL);
	}
	if (r < 0)
		return fail(err, r, .what = "QEMU's migration", .value = "under way",
			    .why = "it neither goes on nor ends");
	return settle(qmp, status, err);
}
