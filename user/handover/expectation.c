// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "handover/expectation.h"
#include "handover/pause.h"

static bool expectation_fits(struct json_object *pause, bool kexec)
{
	return !jbool(pause, "aborted", false) && jint(pause, "total_ms", -1) >= 0 &&
	       pause_crossed_kernels(pause) == kexec;
}

static int64_t expectation_rest(struct json_object *phases)
{
	int64_t rest = 0;
	bool after = false;

	for (size_t i = 0; i < json_object_array_length(phases); i++) {
		struct json_object *phase = json_object_array_get_idx(phases, i);
		const char *name = jstr(phase, "name");

		after |= name && streq(name, "seal");
		rest += after ? jint(phase, "ms", 0) : 0;
	}
	return rest;
}

struct expectation expectation_of(const char *dir, bool kexec)
{
	_cleanup_json_ struct json_object *pauses = pause_reports(dir);
	struct expectation e = { -1, 0 };

	for (size_t i = json_object_array_length(pauses); i-- > 0 && e.total_ms < 0; ) {
		struct json_object *pause = json_object_array_get_idx(pauses, i);
		struct json_object *phases = jget(pause, "phases");

		if (!expectation_fits(pause, kexec) ||
		    !json_object_is_type(phases, json_type_array))
			continue;
		e.total_ms = jint(pause, "total_ms", -1);
		e.rest_ms = expectation_rest(phases);
	}
	return e;
}
