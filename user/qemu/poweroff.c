// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "qemu/poweroff.h"

/* Nothing runs that could power off, or would lose anything. */
static const char *const off_states[] = { "shutdown", "guest-panicked", "internal-error" };

static int poweroff_refuse(struct err *err, const char *status)
{
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "guest", .value = status,
		    .why = "only a guest that runs can power off",
		    .remedy = "let it run ('cont' in QEMU's monitor), or end QEMU ('quit')");
}

static int poweroff_fail(struct err *err, int code, const struct err *why)
{
	return fail(err, code, .what = "guest", .why = code == -ETIMEDOUT ?
		    "it has not powered off so far" : code == -EINTR ? "interrupted" : why->why,
		    .remedy = "its power button was pressed, and it may still power off; else see "
		    "the guest's log, shut it down from inside, or allow more time with --timeout");
}

/* With -no-shutdown QEMU stays, and otherwise closes its monitor as it ends. */
static int poweroff_await(struct qemu *q, deadline_t deadline, struct err *err)
{
	_cleanup_err_ struct err why = { 0 };
	int status, r;

	do {
		_cleanup_json_ struct json_object *event = NULL;
		_cleanup_free_ char *now = NULL;

		r = qmp_event(q->qmp, deadline, &event, &why);
		if (r == 0)
			r = qmp_status(q->qmp, &now, &why);
		if (r == 0 && str_in(off_states, now))
			return qemu_quit(q, err);
	} while (r == 0);
	if ((r == -ECONNRESET || r == -EPIPE) && qemu_wait_exit(q, deadline, &status) == 0)
		return 0;
	return poweroff_fail(err, r, &why);
}

int guest_power_off(struct qemu *q, deadline_t deadline, struct err *err)
{
	_cleanup_free_ char *status = NULL;
	int r = qmp_status(q->qmp, &status, err);

	if (r < 0)
		return r;
	if (str_in(off_states, status))
		return qemu_quit(q, err);
	if (!streq(status, "running"))
		return poweroff_refuse(err, status);
	r = qmp_run(q->qmp, "system_powerdown", NULL, NULL, err);
	if (r < 0)
		return r;
	q->qmp->js->interruptible = true;
	return poweroff_await(q, deadline, err);
}
