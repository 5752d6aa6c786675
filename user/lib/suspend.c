// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "out.h"
#include "qga.h"
#include "suspend.h"

#define AGENT_S 10
#define LATE_S 5		/* in which a guest may still suspend that should have */
#define POLL_MS 20

static int unable(struct err *err, int code, const char *why, const char *remedy)
{
	return fail(err, code, .exit = CPR_EXIT_REFUSED, .what = "guest",
		    .value = "suspend-to-RAM", .why = why, .remedy = remedy);
}

/* Not to be put to sleep for ever. */
static int check_wakes(struct qmp *qmp, struct err *err)
{
	_cleanup_json_ struct json_object *machine = NULL;
	int r = qmp_run(qmp, "query-current-machine", NULL, &machine, err);

	if (r < 0 || jbool(machine, "wakeup-suspend-support", false))
		return r;
	return unable(err, -EOPNOTSUPP, "this machine type has no wake-up from it",
		      "use q35 for guests with passed-through devices");
}

/* 1 when the guest is in @status, 0 when it is not after a moment. */
static int reached(struct qmp *qmp, const char *status, deadline_t deadline, struct err *err)
{
	_cleanup_json_ struct json_object *event = NULL;
	_cleanup_free_ char *now = NULL;
	int r = qmp_status(qmp, &now, err);

	if (r < 0 || streq(now, status))
		return r < 0 ? r : 1;
	r = qmp_event(qmp, deadline_cap(deadline, POLL_MS), &event, NULL);
	if (r == 0 || r == -ETIMEDOUT)
		return 0;
	return fail(err, r, .what = "guest", .value = now, .why = "its QEMU does not answer");
}

static int await_asleep(struct qmp *qmp, struct jsonsock *agent, deadline_t deadline,
			struct err *err)
{
	int r;

	while ((r = reached(qmp, "suspended", deadline, err)) == 0) {
		if (!deadline_left(deadline))
			return unable(err, -ETIMEDOUT, "it does not suspend",
				      "see the guest's log: some driver or inhibitor may keep it awake");
		r = qga_refusal(agent, deadline_cap(deadline, POLL_MS), err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* What was asked for and given up may still happen. */
static void wake_late(struct qmp *qmp, double seconds)
{
	_cleanup_err_ struct err why = { 0 };
	deadline_t deadline = deadline_in(seconds);
	int r;

	while ((r = reached(qmp, "suspended", deadline, NULL)) == 0 && deadline_left(deadline))
		;
	if (r == 1 && guest_wake(qmp, &why) < 0)
		note("the guest suspended late, and does not wake: %s", why.why);
}

static int suspend_by(struct qmp *qmp, struct jsonsock *agent, double seconds, struct err *err)
{
	int r = qga_suspend(agent, deadline_in(AGENT_S), err);

	if (r < 0)
		return r;
	r = await_asleep(qmp, agent, deadline_in(seconds), err);
	if (r < 0)
		wake_late(qmp, r == -EREMOTEIO ? 0 : LATE_S);
	return r;
}

int guest_suspend(struct qmp *qmp, const char *agent, double seconds, struct err *err)
{
	_cleanup_err_ struct err why = { 0 };
	struct jsonsock *js;
	int r;

	if (!agent)
		return unable(err, -EOPNOTSUPP, "there is no channel to a guest agent, which would do it",
			      "suspend it from inside, or run it with --agent");
	r = check_wakes(qmp, err);
	if (r < 0)
		return r;
	js = jsonsock_connect(agent, &r, &why);
	if (js)
		r = suspend_by(qmp, js, seconds, &why);
	jsonsock_free(js);
	if (r < 0)
		unable(err, r, fmt("%s: %s", why.what, why.why), why.remedy ? why.remedy :
		       "install and start qemu-guest-agent in the guest, and see that it can suspend");
	return r;
}

int guest_wake(struct qmp *qmp, struct err *err)
{
	deadline_t deadline = deadline_in(WAKE_S);
	int r = qmp_run(qmp, "system_wakeup", NULL, NULL, err);

	if (r < 0)
		return r;
	while ((r = reached(qmp, "running", deadline, err)) == 0)
		if (!deadline_left(deadline))
			return fail(err, -ETIMEDOUT, .what = "guest", .value = "suspended",
				    .why = "it does not wake",
				    .remedy = "it sleeps with all its memory; 'cpr-helper abort' "
					      "tries again");
	return r < 0 ? r : 0;
}
