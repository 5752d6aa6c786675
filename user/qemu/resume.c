// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "qemu/resume.h"

/* Runstates that nobody asked for; the guest does not leave them by itself. */
static const struct { const char *status, *why; } broken[] = {
	{ "internal-error", "KVM could not go on with it" },
	{ "io-error", "one of its disks fails" },
	{ "guest-panicked", "its kernel panicked" },
};

int guest_resume(struct qmp *qmp, struct err *err)
{
	return qmp_run(qmp, "cont", NULL, NULL, err);
}

static int check_status(const char *status, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
		if (streq(status, broken[i].status))
			return fail(err, -EIO, .what = "guest", .value = status,
				    .why = fmt("it was let run, and stopped: %s", broken[i].why),
				    .remedy = "its memory is kept while this QEMU lives; see the log of QEMU");
	return 0;
}

/* Until the guest stops or the time is over. A STOP of before is not this one's. */
static int await_stop(struct qmp *qmp, deadline_t deadline, struct err *err)
{
	bool resumed = false;

	for (;;) {
		_cleanup_json_ struct json_object *event = NULL;
		_cleanup_err_ struct err why = { 0 };
		int r = qmp_event(qmp, deadline, &event, &why);

		if (r == -ETIMEDOUT)
			return 0;
		if (r < 0)
			return fail(err, r, .what = "guest", .value = qmp->js->peer,
				    .why = fmt("it was let run, and its QEMU does not answer: %s",
					       why.why));
		if (streq(jstr(event, "event"), "RESUME"))
			resumed = true;
		else if (resumed && streq(jstr(event, "event"), "STOP"))
			return 0;
	}
}

int guest_watch(struct qmp *qmp, double seconds, char **status, struct err *err)
{
	int r = await_stop(qmp, deadline_in(seconds), err);

	*status = NULL;
	if (r == 0)
		r = qmp_status(qmp, status, err);
	return r < 0 ? r : check_status(*status, err);
}
