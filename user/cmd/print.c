// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "base/out.h"
#include "base/size.h"
#include "handover/pause.h"
#include "cmd/print.h"

static const char *rehearsal_text(struct json_object *result)
{
	struct json_object *rehearsal = jget(result, "rehearsal");

	if (!rehearsal)
		return fmt("not rehearsed: %s", jstr(result, "rehearsal_note"));
	return fmt("rehearsed with %s of memory in %lld ms",
		   size_human(jint(rehearsal, "memory_bytes", 0)),
		   (long long)jint(rehearsal, "ms", 0));
}

void print_saved(const char *vm, struct json_object *result)
{
	long long ms = jint(result, "ms", 0);

	if (!jbool(result, "proven", true))
		say("%s: saved in %lld ms by a command, whose result is not checked", vm, ms);
	else
		say("%s: saved, %s of state in %lld ms, %s", vm,
		    size_human(jint(result, "state_bytes", 0)), ms, rehearsal_text(result));
}

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

void print_vm(struct json_object *vm)
{
	struct json_object *out = json_object_new_object();

	jset(out, "vm", vm);
	out_object(out);
}
