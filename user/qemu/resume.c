// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "qemu/resume.h"

/* Run states after an error, which the guest does not leave without a command. */
static const struct { const char *status, *why; } error_states[] = {
	{ "internal-error", "KVM failed to run it" },
	{ "io-error", "one of its disks has an I/O error" },
	{ "guest-panicked", "its kernel panicked" },
};

int guest_resume(struct qmp *qmp, bool *ran, struct err *err)
{
	int r = qmp_run(qmp, "cont", NULL, NULL, err);

	if (ran)
		*ran = qmp->js->sent && r != -EREMOTEIO;
	return r;
}

static int resume_check_status(const char *status, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(error_states); i++)
		if (streq(status, error_states[i].status))
			return fail(err, -EIO, .what = "guest", .value = status,
				    .why = fmt("it was resumed, and stopped: %s",
					       error_states[i].why),
				    .remedy = "see QEMU's log; the guest's memory is kept while "
					      "this QEMU runs");
	return 0;
}

/* Wait until the guest stops or the time is over. Ignore STOP events before RESUME. */
static int resume_await_stop(struct qmp *qmp, deadline_t deadline, struct err *err)
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
				    .why = fmt("it was resumed, and its QEMU does not answer: %s",
					       why.why));
		if (streq(jstr(event, "event"), "RESUME"))
			resumed = true;
		else if (resumed && streq(jstr(event, "event"), "STOP"))
			return 0;
	}
}

int guest_watch(struct qmp *qmp, double seconds, char **status, struct err *err)
{
	int r = resume_await_stop(qmp, deadline_in(seconds), err);

	*status = NULL;
	if (r == 0)
		r = qmp_status(qmp, status, err);
	return r < 0 ? r : resume_check_status(*status, err);
}
