// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/faultpoint.h"

#ifdef CPR_FAULTS

/* In the order of an update; then what only a restore comes by, and an abort. */
static const char *const points[] = {
	"update-prepared",	/* everything is checked, nothing done */
	"update-loaded",	/* the next kernel is loaded */
	"save-noted",		/* the manifest tells that a save has begun */
	"save-set-up",		/* QEMU has the settings for it */
	"save-begun",		/* QEMU was told to write */
	"save-written",		/* QEMU is in postmigrate */
	"save-checked",		/* the file is proven */
	"save-recorded",	/* file and manifest are as they will be */
	"save-done",		/* the module knows */
	"update-saved",		/* all VMs are saved */
	"seal-begun",
	"seal-quit",		/* QEMU has quit */
	"seal-done",		/* the module knows */
	"update-sealed",	/* all are sealed: what is left is the jump */
	"restore-claimed",
	"restore-started",	/* there is a QEMU */
	"restore-loaded",	/* it has the state */
	"restore-pinned",	/* the guest may run */
	"restore-resumed",	/* it was let run */
	"abort-begun",		/* the module takes the VM for running again */
	"abort-resumed",	/* the guest was let run */
};

static const char *const actions[] = { "fail", "kill", "hang" };

static const char *wanted, *action, *wanted_vm;
static pid_t program;

static bool known(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (streq(word, words[i]))
			return true;
	return false;
}

static int malformed(const char *text, struct err *err)
{
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = FAULT_VARIABLE, .value = text,
		    .why = "it is not POINT:fail|kill|hang[:VM]",
		    .remedy = "'cpr-helper --fault-points' lists the points");
}

int fault_init(struct err *err)
{
	const char *text = getenv(FAULT_VARIABLE);
	char *next;

	program = getpid();
	if (!text)
		return 0;
	next = xstrdup(text);	/* its words are used to the end */
	wanted = strsep(&next, ":");
	action = strsep(&next, ":");
	wanted_vm = next;
	if (action && known(wanted, points, ARRAY_SIZE(points)) &&
	    known(action, actions, ARRAY_SIZE(actions)))
		return 0;
	return malformed(text, err);
}

int fault_point(const char *point, const char *vm, struct err *err)
{
	if (!known(point, points, ARRAY_SIZE(points)))
		abort();
	if (!wanted || !streq(wanted, point) || (wanted_vm && (!vm || !streq(wanted_vm, vm))))
		return 0;
	if (streq(action, "hang"))
		return raise(SIGSTOP) ? -errno : 0;
	if (streq(action, "kill")) {
		kill(program, SIGKILL);
		raise(SIGKILL);
	}
	wanted = NULL;		/* the way back may come by again */
	return fail(err, -EIO, .what = "fault point", .value = point, .why = "a test wants it so");
}

void fault_list(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		puts(points[i]);
}

#else

int fault_init(struct err *err)
{
	const char *text = getenv(FAULT_VARIABLE);

	if (!text)
		return 0;
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = FAULT_VARIABLE, .value = text,
		    .why = "it is for tests, and this is not a build for tests",
		    .remedy = "unset it");
}

#endif
