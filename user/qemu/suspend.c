// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/out.h"
#include "qemu/q35.h"
#include "qemu/qga.h"
#include "qemu/suspend.h"

#define AGENT_S 10
#define LATE_S 20		/* in which a guest may still suspend after a timeout */
#define WAKE_S 30

static int suspend_refuse(struct err *err, int code, const char *why, const char *remedy)
{
	return fail(err, code, .exit = CPR_EXIT_REFUSED, .what = "guest", .why = why,
		    .remedy = remedy);
}

/* A guest that cannot wake up must not be suspended. */
static int suspend_check_wakeup(struct qmp *qmp, struct err *err)
{
	_cleanup_json_ struct json_object *machine = NULL;
	int r = qmp_run(qmp, "query-current-machine", NULL, &machine, err);

	if (r < 0 || jbool(machine, "wakeup-suspend-support", false))
		return r;
	return suspend_refuse(err, -EOPNOTSUPP, "this machine type cannot wake up from suspend",
			      "use q35 for guests with passed-through devices");
}

/* QEMU sends an event with each change of the run state. */
static int suspend_await_status(struct qmp *qmp, const char *status, deadline_t deadline,
				struct err *err)
{
	for (;;) {
		_cleanup_json_ struct json_object *event = NULL;
		_cleanup_free_ char *now = NULL;
		int r = qmp_status(qmp, &now, err);

		if (r < 0 || streq(now, status))
			return r;
		r = qmp_event(qmp, deadline, &event, err);
		if (r < 0)
			return r;
	}
}

/* The run state is "running" before QEMU has reset the machine; WAKEUP comes afterwards. */
static int suspend_await_wakeup(struct qmp *qmp, struct err *err)
{
	deadline_t deadline = deadline_in(WAKE_S);

	for (;;) {
		_cleanup_json_ struct json_object *event = NULL;
		int r = qmp_event(qmp, deadline, &event, err);

		if (r < 0)
			return r;
		if (streq(jstr(event, "event"), "WAKEUP"))
			return suspend_await_status(qmp, "running", deadline, err);
	}
}

/* Returns 1 if the guest is suspended, 0 if it still runs. */
static int suspend_check_suspended(struct qmp *qmp, struct err *err)
{
	_cleanup_free_ char *now = NULL;
	int r = qmp_status(qmp, &now, err);

	if (r < 0 || streq(now, "running"))
		return r;
	if (streq(now, "suspended"))
		return 1;
	return suspend_refuse(err, -EBUSY, fmt("its run state is '%s' instead of 'suspended'", now),
			      NULL);
}

/* Read what has arrived: an event, or an error of the agent. Does not wait. */
static int suspend_read_events(struct qmp *qmp, struct jsonsock *agent, struct err *err)
{
	_cleanup_json_ struct json_object *event = NULL;
	_cleanup_err_ struct err why = { 0 };
	int r = qga_check_refusal(agent, now_ms(), err);

	if (r < 0)
		return r;
	r = qmp_event(qmp, now_ms(), &event, &why);
	if (r == 0 || r == -ETIMEDOUT)
		return 0;
	return fail(err, r, .what = why.what, .value = why.value, .why = why.why);
}

static int suspend_await_suspended(struct qmp *qmp, struct jsonsock *agent, deadline_t deadline,
				   struct err *err)
{
	int r;

	while ((r = suspend_check_suspended(qmp, err)) == 0) {
		if (json_object_array_length(qmp->events) == 0)
			r = jsonsock_wait(qmp->js, agent, deadline, NULL);
		if (r == -ETIMEDOUT)
			return suspend_refuse(err, r, "it does not suspend",
					      "see the guest's log: a driver or an inhibitor may "
					      "prevent it; or allow more time with --timeout");
		if (r < 0)
			return fail(err, r, .what = "guest",
				    .why = r == -EINTR ? "interrupted" : NULL);
		r = suspend_read_events(qmp, agent, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* A guest may still suspend after the request timed out: then wake it up. */
static void suspend_wake_late(struct qmp *qmp)
{
	_cleanup_err_ struct err why = { 0 };

	if (suspend_await_status(qmp, "suspended", deadline_in(LATE_S), NULL) == 0 &&
	    guest_wake(qmp, &why) < 0)
		note("the guest suspended late, and does not wake up: %s", why.why);
}

int guest_suspend_by(struct qmp *qmp, struct jsonsock *agent, deadline_t deadline,
		     struct err *err)
{
	deadline_t answer = deadline_in(AGENT_S);
	int r = suspend_check_wakeup(qmp, err);

	if (r == 0)
		r = qga_suspend(agent, answer < deadline ? answer : deadline, err);
	if (r < 0)
		return r;
	qmp->js->interruptible = true;
	r = suspend_await_suspended(qmp, agent, deadline, err);
	qmp->js->interruptible = false;
	if (r == -ETIMEDOUT || r == -EINTR)
		suspend_wake_late(qmp);
	return r;
}

int guest_suspend(struct qmp *qmp, const char *agent, struct json_object *user,
		  deadline_t deadline, struct err *err)
{
	struct jsonsock *js;
	int r;

	if (!agent)
		return suspend_refuse(err, -EOPNOTSUPP,
				      "it has no guest agent, which is needed to suspend it",
				      "suspend the guest from inside, then save it");
	js = qga_connect(agent, user, deadline_in(AGENT_S), &r, err);
	if (js)
		r = guest_suspend_by(qmp, js, deadline, err);
	jsonsock_free(js);
	return r;
}

int guest_wake(struct qmp *qmp, struct err *err)
{
	_cleanup_free_ char *now = NULL;
	struct q35 q35;
	int r = qmp_status(qmp, &now, err);

	if (r < 0 || streq(now, "running"))
		return r;
	q35_read(qmp, &q35);
	r = qmp_run(qmp, "system_wakeup", NULL, NULL, err);
	if (r == 0)
		r = suspend_await_wakeup(qmp, NULL);
	if (r == 0)
		r = q35_restore(qmp, &q35, err);
	return r == 0 ? 0 : fail(err, r, .what = "guest", .value = now,
				 .why = "it does not wake up",
				 .remedy = "its memory is intact; 'cpr-helper abort' tries again");
}
