// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "base/out.h"
#include "handover/pause.h"
#include "cmd/print.h"

void print_restored(const char *vm, struct json_object *result)
{
	struct json_object *pause = jget(result, "pause");
	const char *runstate = jstr(result, "runstate");

	if (pause && streq(runstate, "running"))
		say("%s: restored, the guest stood still %s", vm, pause_text(pause));
	else
		say("%s: restored, the guest is %s", vm, runstate);
}

/* "pid" is there if the guest was restored. */
void print_aborted(const char *vm, struct json_object *result)
{
	const char *runstate = jstr(result, "runstate");

	if (jget(result, "pid"))
		print_restored(vm, result);
	if (streq(runstate, "running"))
		say("%s: the guest runs on", vm);
	else
		say("%s: the guest stays %s", vm, runstate);
}
