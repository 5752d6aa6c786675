// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/instant.h"
#include "base/out.h"
#include "host/kernel.h"
#include "vm/manifest.h"
#include "handover/pause.h"

#define BEGIN "begin"
#define MAX_MARKS 64
#define MAX_REPORT MIB

/* 31 years: a longer pause is a damaged record. */
#define MAX_US INT64_C(1000000000000000)

/*
 * A pause across a kexec is at least as long as the new kernel's uptime, less an error: the
 * rate of the TSC is measured, and the wall clock comes from an RTC that counts whole seconds.
 */
#define TSC_SLACK_US 100000
#define WALL_SLACK_US 2000000
#define RATE_SLACK 100				/* 1/100 */

/* From best to worst; the worst clock of any phase is the clock of the whole pause. */
enum clock { CLOCK_BOOT, CLOCK_TSC, CLOCK_WALL, CLOCK_NONE };

static const char *const clock_names[] = { "boottime", "tsc", "realtime", "unknown" };

struct span {
	enum clock clock;
	int64_t us;
	const char *why;
};

static struct span pause_unknown(const char *why)
{
	return (struct span){ .clock = CLOCK_NONE, .why = why };
}

/* Unsigned, to wrap as the TSC does, and because a damaged file may hold any number. */
static int64_t pause_difference(struct json_object *from, struct json_object *to, const char *key)
{
	return (int64_t)((uint64_t)jint(to, key, 0) - (uint64_t)jint(from, key, 0));
}

static struct span pause_plausible(enum clock clock, int64_t us, int64_t least, const char *why)
{
	if (us < 0 || us > MAX_US || us < least)
		return pause_unknown(why);
	return (struct span){ .clock = clock, .us = us };
}

/* The least time between @to and a mark under an earlier kernel. */
static int64_t pause_least(struct json_object *to, int64_t slack)
{
	int64_t up = jint(to, "up_us", 0);

	return up < 0 || up > MAX_US ? INT64_MAX : up - up / RATE_SLACK - slack;
}

static struct span pause_span_by_tsc(struct json_object *record, struct json_object *from,
				     struct json_object *to)
{
	int64_t ticks = pause_difference(from, to, "tsc");
	int64_t hz = jint(record, "tsc_hz_after", 0), before = jint(record, "tsc_hz", hz);

	if (hz <= 0 || hz > MAX_US)
		return pause_unknown("the rate of the TSC could not be measured");
	if (before < hz - hz / RATE_SLACK || before > hz + hz / RATE_SLACK)
		return pause_unknown("the TSC runs at another rate than before");
	if (ticks < 0)
		return pause_unknown("the TSC went backwards");
	return pause_plausible(CLOCK_TSC, (int64_t)((double)ticks / hz * 1e6),
			       pause_least(to, TSC_SLACK_US), "the TSC was reset: by it the kernel "
			       "has run for longer than the pause");
}

static struct span pause_span(struct json_object *record, struct json_object *from,
			      struct json_object *to)
{
	const char *a = jstr(from, "boot"), *b = jstr(to, "boot");

	if (!a || !b)
		return pause_unknown("its record is damaged");
	if (streq(a, b))
		return pause_plausible(CLOCK_BOOT, pause_difference(from, to, "up_us"), 0,
				       "its record is damaged");
	if (jget(from, "tsc") && jget(to, "tsc"))
		return pause_span_by_tsc(record, from, to);
	return pause_plausible(CLOCK_WALL, pause_difference(from, to, "wall_us"),
			       pause_least(to, WALL_SLACK_US),
			       "the wall clock was set back, and the TSC is not steady");
}

static bool pause_is_open(struct json_object *record)
{
	struct json_object *marks = jget(record, "marks");
	size_t n = json_object_is_type(marks, json_type_array) ? json_object_array_length(marks) : 0;

	for (size_t i = 0; i < n; i++)
		if (!jstr(json_object_array_get_idx(marks, i), "phase"))
			return false;
	return n > 0 && n <= MAX_MARKS;
}

static void pause_add_phase(struct json_object *phases, const char *name, struct json_object *ms)
{
	struct json_object *phase = json_object_new_object();

	jset_str(phase, "name", name);
	jset(phase, "ms", ms);
	json_object_array_add(phases, phase);
}

static int64_t pause_ms(int64_t us)
{
	return (us + 500) / 1000;
}

/* Rounds the sum and not the phases, so that these add up to it. */
static struct json_object *pause_measure(struct json_object *record)
{
	struct json_object *out = json_object_new_object(), *phases = json_object_new_array();
	struct json_object *marks = jget(record, "marks");
	struct span worst = { 0 };
	int64_t sum = 0;

	for (size_t i = 1; i < json_object_array_length(marks); i++) {
		struct json_object *to = json_object_array_get_idx(marks, i);
		struct span span = pause_span(record, json_object_array_get_idx(marks, i - 1), to);

		if (span.clock > worst.clock)
			worst = span;
		pause_add_phase(phases, jstr(to, "phase"), span.clock == CLOCK_NONE ? NULL :
				json_object_new_int64(pause_ms(sum + span.us) - pause_ms(sum)));
		sum += span.us;
	}
	jset_str(out, "clock", clock_names[worst.clock]);
	if (worst.clock == CLOCK_NONE)
		jset_str(out, "why", worst.why);
	jset(out, "total_ms",
	     worst.clock == CLOCK_NONE ? NULL : json_object_new_int64(pause_ms(sum)));
	jset(out, "phases", phases);
	jset_int(out, "begin", jint(json_object_array_get_idx(marks, 0), "wall_us", 0) / 1000000);
	jset_str(out, "from", jstr(record, "kernel"));
	if (jbool(record, "aborted", false))
		jset_bool(out, "aborted", true);
	return out;
}

static struct json_object *pause_record(struct vm *vm)
{
	struct json_object *record = jget(vm->manifest, "pause");

	return pause_is_open(record) ? record : NULL;
}

static void pause_add_mark(struct json_object *record, const char *phase)
{
	struct json_object *mark = json_object_new_object();
	int64_t hz = tsc_hz(false);
	struct instant now;

	instant_now(&now);
	jset_str(mark, "phase", phase);
	jset_str(mark, "boot", *now.boot ? now.boot : NULL);
	jset_int(mark, "up_us", now.up_us);
	jset_int(mark, "wall_us", now.wall_us);
	if (now.steady)
		jset_int(mark, "tsc", (int64_t)now.tsc);
	json_object_array_add(jget(record, "marks"), mark);
	if (now.steady && hz && !jget(record, "tsc_hz"))
		jset_int(record, "tsc_hz", hz);
}

void pause_begin(struct vm *vm)
{
	struct json_object *record = json_object_new_object();

	jset(record, "marks", json_object_new_array());
	jset_str(record, "kernel", kernel_release());
	pause_add_mark(record, BEGIN);
	jset(vm->manifest, "pause", record);
}

void pause_forget(struct vm *vm)
{
	json_object_object_del(vm->manifest, "pause");
}

void pause_mark(struct vm *vm, const char *phase)
{
	struct json_object *record = pause_record(vm);

	if (record && json_object_array_length(jget(record, "marks")) < MAX_MARKS)
		pause_add_mark(record, phase);
}

void pause_abort(struct vm *vm)
{
	struct json_object *record = pause_record(vm);

	if (record)
		jset_bool(record, "aborted", true);
}

void pause_write(struct vm *vm)
{
	_cleanup_err_ struct err why = { 0 };

	if (pause_record(vm) && vm_manifest_save(vm, &why) < 0)
		detail("%s: the marks of its pause are not written: %s", vm->name, why.why);
}

void pause_mark_jump(struct vm *vm)
{
	static const char jump[] = "jump";
	struct json_object *marks = jget(pause_record(vm), "marks");
	size_t n = marks ? json_object_array_length(marks) : 0;

	for (size_t i = 0; i < n; i++) {
		if (!streq(jstr(json_object_array_get_idx(marks, i), "phase"), jump))
			continue;
		json_object_array_del_idx(marks, i, n - i);
		break;
	}
	pause_mark(vm, jump);
}

static struct json_object *pause_read_report(const char *dir)
{
	_cleanup_free_ char *path = xasprintf("%s/" REPORT_FILE, dir);
	_cleanup_free_ char *text = read_text(path, MAX_REPORT);
	struct json_object *report = text ? json_parse(text, NULL) : NULL;

	if (jint(report, "version", 0) == REPORT_VERSION &&
	    json_object_is_type(jget(report, "pauses"), json_type_array))
		return report;
	json_object_put(report);
	report = json_object_new_object();
	jset_int(report, "version", REPORT_VERSION);
	jset(report, "pauses", json_object_new_array());
	return report;
}

static void pause_append_report(struct vm *vm, struct json_object *pause)
{
	_cleanup_json_ struct json_object *report = pause_read_report(vm->dir);
	struct json_object *pauses = jget(report, "pauses");
	_cleanup_err_ struct err why = { 0 };
	size_t n;

	json_object_array_add(pauses, json_object_get(pause));
	n = json_object_array_length(pauses);
	if (n > PAUSES_KEPT)
		json_object_array_del_idx(pauses, 0, n - PAUSES_KEPT);
	if (manifest_write_json(vm->dir, REPORT_FILE, report, &why) < 0)
		detail("%s: its pause is not added to " REPORT_FILE ": %s", vm->name, why.why);
}

void pause_end(struct vm *vm)
{
	struct json_object *record = pause_record(vm), *pause;

	if (!record)
		return;
	jset_int(record, "tsc_hz_after", tsc_hz(true));
	pause = pause_measure(record);
	jset_str(pause, "to", kernel_release());
	jset(vm->manifest, "pause", pause);
	pause_append_report(vm, pause);
}

int64_t pause_so_far(struct vm *vm)
{
	struct json_object *marks = jget(pause_record(vm), "marks");
	struct instant now;

	if (!marks)
		return 0;
	instant_now(&now);
	return pause_ms(now.up_us - jint(json_object_array_get_idx(marks, 0), "up_us", now.up_us));
}

struct json_object *pause_reports(const char *dir)
{
	_cleanup_json_ struct json_object *report = pause_read_report(dir);

	return json_object_get(jget(report, "pauses"));
}

bool pause_crossed_kernels(struct json_object *pause)
{
	const char *clock = jstr(pause, "clock");

	return clock && !streq(clock, clock_names[CLOCK_BOOT]);
}

struct json_object *pause_json(struct json_object *manifest)
{
	struct json_object *pause = jget(manifest, "pause");

	if (pause_is_open(pause))
		return pause_measure(pause);
	return jstr(pause, "clock") && json_object_is_type(jget(pause, "phases"), json_type_array) ?
		json_object_get(pause) : NULL;
}

const char *pause_duration(int64_t ms)
{
	return ms < 1000 ? fmt("%lld ms", (long long)ms) : fmt("%.1f s", (double)ms / 1000);
}

const char *pause_text(struct json_object *pause)
{
	const char *clock = jstr(pause, "clock"), *why = jstr(pause, "why");

	if (!json_object_is_type(jget(pause, "total_ms"), json_type_int))
		return fmt("an unknown time%s%s", why ? ": " : "", why ? why : "");
	return fmt("%s%s", pause_duration(jint(pause, "total_ms", 0)),
		   clock && streq(clock, clock_names[CLOCK_WALL]) ? " by the wall clock" : "");
}

const char *pause_phases_text(struct json_object *pause)
{
	struct json_object *phases = jget(pause, "phases");
	_cleanup_strv_ struct strv words = { 0 };

	for (size_t i = 0; i < json_object_array_length(phases); i++) {
		struct json_object *phase = json_object_array_get_idx(phases, i);
		const char *name = jstr(phase, "name");

		strv_pushf(&words, "%s %s", name ? name : "?",
			   jget(phase, "ms") ? pause_duration(jint(phase, "ms", 0)) : "unknown");
	}
	return fmt("%s%s (%s)", pause_text(pause), jbool(pause, "aborted", false) ? ", aborted" : "",
		   show_joined(&words, ", "));
}
