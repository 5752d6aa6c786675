// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/faultpoint.h"

#ifdef CPR_FAULTS

/* In the order in which an update passes them; then those of restore and of abort. */
static const char *const points[] = {
	"save-asked",		/* QEMU has the mode of a save, to say what forbids one */
	"update-prepared",	/* all checks have passed, nothing is changed */
	"update-loaded",	/* the next kernel is loaded */
	"save-noted",		/* the manifest records that a save has begun */
	"save-set-up",		/* QEMU has the settings for the migration */
	"save-begun",		/* QEMU has the command to write the state */
	"save-written",		/* QEMU is in postmigrate */
	"save-checked",		/* the state file is checked and proven */
	"save-recorded",	/* state file and manifest are in their final form */
	"save-done",		/* the module has the VM as saved */
	"update-saved",		/* all VMs are saved */
	"seal-begun",
	"seal-quit",		/* QEMU has quit */
	"seal-done",		/* the module has the VM as sealed */
	"update-sealed",	/* all VMs are sealed; only the jump is left */
	"restore-claimed",
	"restore-started",	/* the new QEMU runs */
	"restore-loaded",	/* it has loaded the state */
	"restore-pinned",	/* the module allows the guest to run */
	"restore-resumed",	/* the guest was resumed */
	"abort-begun",		/* the module has the VM as running again */
	"abort-resumed",	/* the guest was resumed */
};

static const char *const actions[] = { "fail", "kill", "hang" };

static const char *wanted, *action, *wanted_vm;
static pid_t program;

static int faultpoint_malformed(const char *text, struct err *err)
{
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = FAULTPOINT_VARIABLE, .value = text,
		    .why = "it is not POINT:fail|kill|hang[:VM]",
		    .remedy = "'cpr-helper --fault-points' lists the points");
}

int faultpoint_init(struct err *err)
{
	const char *text = getenv(FAULTPOINT_VARIABLE);
	char *next;

	program = getpid();
	if (!text)
		return 0;
	next = xstrdup(text);	/* kept: the variables below point into it */
	wanted = strsep(&next, ":");
	action = strsep(&next, ":");
	wanted_vm = next;
	if (action && str_in(points, wanted) &&
	    str_in(actions, action))
		return 0;
	return faultpoint_malformed(text, err);
}

int faultpoint(const char *point, const char *vm, struct err *err)
{
	if (!str_in(points, point))
		abort();
	if (!wanted || !streq(wanted, point) || (wanted_vm && (!vm || !streq(wanted_vm, vm))))
		return 0;
	if (streq(action, "hang"))
		return raise(SIGSTOP) ? -errno : 0;
	if (streq(action, "kill")) {
		kill(program, SIGKILL);
		raise(SIGKILL);
	}
	wanted = NULL;		/* a rollback may pass the point again */
	return fail(err, -EIO, .what = "fault point", .value = point, .why = "a test makes it fail");
}

void faultpoint_list(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		puts(points[i]);
}

#else

int faultpoint_init(struct err *err)
{
	const char *text = getenv(FAULTPOINT_VARIABLE);

	if (!text)
		return 0;
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = FAULTPOINT_VARIABLE, .value = text,
		    .why = "it is for tests, and this build has no fault points",
		    .remedy = "unset it");
}

#endif
