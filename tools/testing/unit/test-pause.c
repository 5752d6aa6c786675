// SPDX-License-Identifier: GPL-2.0-only
/* The length of a pause is computed from clocks that can be trusted, or it is unknown. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "ktap.h"
#include "base/instant.h"
#include "vm/manifest.h"
#include "handover/pause.h"

#define GHZ INT64_C(1000000000)

static char dir[] = "/tmp/cpr-pause-XXXXXX";

/* These are the program's; what they say is not the matter here. */
const char *kernel_release(void)
{
	return "7.3.0-test";
}

int vm_manifest_save(struct vm *vm, struct err *err)
{
	return manifest_write(vm->dir, vm->manifest, err);
}

static struct vm vm;

TEST(a_vm)
{
	CHECK(mkdtemp(dir));
	vm = (struct vm){ .name = "a", .dir = dir, .manifest = json_object_new_object() };
}

/* A mark in a manifest, as if it had been made then. */
struct at { const char *phase, *boot; int64_t up_ms, wall_ms, tsc; };

static struct json_object *manifest(const struct at *at, size_t n, int64_t hz, int64_t hz_after)
{
	struct json_object *m = json_object_new_object(), *record = json_object_new_object();
	struct json_object *marks = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		struct json_object *mark = json_object_new_object();

		jset_str(mark, "phase", at[i].phase);
		jset_str(mark, "boot", at[i].boot);
		jset_int(mark, "up_us", at[i].up_ms * 1000);
		jset_int(mark, "wall_us", at[i].wall_ms * 1000);
		if (at[i].tsc)
			jset_int(mark, "tsc", at[i].tsc);
		json_object_array_add(marks, mark);
	}
	jset(record, "marks", marks);
	if (hz)
		jset_int(record, "tsc_hz", hz);
	jset_int(record, "tsc_hz_after", hz_after);
	jset(m, "pause", record);
	return m;
}

static int64_t phase_ms(struct json_object *pause, const char *name)
{
	struct json_object *phases = jget(pause, "phases");

	for (size_t i = 0; i < json_object_array_length(phases); i++)
		if (streq(jstr(json_object_array_get_idx(phases, i), "name"), name))
			return jint(json_object_array_get_idx(phases, i), "ms", -1);
	return -2;
}

/* Ten seconds by the TSC, of which the new kernel has run for eight. */
static const struct at jump[] = {
	{ "begin", "one", 100000, 1000000, 100 * GHZ },
	{ "write", "one", 100100, 1000100, 100 * GHZ + GHZ / 10 },
	{ "seal", "one", 100300, 1000300, 100 * GHZ + 3 * GHZ / 10 },
	{ "jump", "two", 8000, 1007300, 110 * GHZ + 3 * GHZ / 10 },
	{ "resume", "two", 8500, 1007800, 110 * GHZ + 8 * GHZ / 10 },
};

struct want { const char *clock; int64_t total, jump; const char *why, *text; };

static void check_pause(const struct at *at, size_t n, int64_t hz, int64_t after,
			const struct want *want)
{
	_cleanup_json_ struct json_object *m = manifest(at, n, hz, after);
	_cleanup_json_ struct json_object *pause = pause_json(m);

	CHECK(pause);
	CHECK_STR(jstr(pause, "clock"), want->clock);
	CHECK_EQ(jint(pause, "total_ms", -1), want->total);
	CHECK_EQ(phase_ms(pause, "jump"), want->jump);
	CHECK_EQ(phase_ms(pause, "write"), 100);
	CHECK_EQ(phase_ms(pause, "resume"), 500);
	if (want->why)
		CHECK_STR(jstr(pause, "why"), want->why);
	CHECK_STR(pause_text(pause), want->text);
}

TEST(over_a_kexec_by_the_tsc)
{
	check_pause(jump, ARRAY_SIZE(jump), GHZ, GHZ,
		    &(struct want){ "tsc", 10800, 10000, NULL, "10.8 s" });
}

/* By the wall clock it would have been seven seconds, or less than none. */
TEST(the_wall_clock_is_of_no_matter)
{
	struct at at[ARRAY_SIZE(jump)];

	memcpy(at, jump, sizeof(at));
	at[3].wall_ms = at[4].wall_ms = 5;
	check_pause(at, ARRAY_SIZE(at), GHZ, GHZ,
		    &(struct want){ "tsc", 10800, 10000, NULL, "10.8 s" });
}

/* One of the kernels does not trust it. */
TEST(without_a_steady_tsc)
{
	for (size_t i = 2; i < 4; i++) {
		struct at at[ARRAY_SIZE(jump)];

		memcpy(at, jump, sizeof(at));
		at[i].tsc = 0;
		check_pause(at, ARRAY_SIZE(at), GHZ, GHZ, &(struct want){
			"realtime", 7800, 7000, NULL, "7.8 s by the wall clock" });
		at[3].wall_ms = 1000300 + 5000;		/* in a kernel that is up for 8 s */
		check_pause(at, ARRAY_SIZE(at), GHZ, GHZ, &(struct want){
			"unknown", -1, -1, "the wall clock was set back, and the TSC is not steady",
			"an unknown time: the wall clock was set back, and the TSC is not steady" });
	}
}

static const struct { int64_t from, to, hz, after; const char *why; } bad_tsc[] = {
	{ 100 * GHZ, 90 * GHZ, GHZ, GHZ, "the TSC went backwards" },
	{ 100 * GHZ, 107 * GHZ, GHZ, GHZ,
	  "the TSC was reset: by it the kernel has run for longer than the pause" },
	{ 100 * GHZ, 110 * GHZ, GHZ, 0, "the rate of the TSC could not be measured" },
	{ 100 * GHZ, 110 * GHZ, GHZ, -GHZ, "the rate of the TSC could not be measured" },
	{ 100 * GHZ, 110 * GHZ, GHZ, INT64_MAX, "the rate of the TSC could not be measured" },
	{ 100 * GHZ, 110 * GHZ, GHZ, 2 * GHZ, "the TSC runs at another rate than before" },
	{ 100 * GHZ, 110 * GHZ, INT64_MIN, GHZ, "the TSC runs at another rate than before" },
};

/* Never a number that may be wrong, not that of another clock either. */
TEST(a_tsc_that_lies)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_tsc); i++) {
		struct at at[ARRAY_SIZE(jump)];

		memcpy(at, jump, sizeof(at));
		at[2].tsc = bad_tsc[i].from;
		at[3].tsc = bad_tsc[i].to;
		check_pause(at, ARRAY_SIZE(at), bad_tsc[i].hz, bad_tsc[i].after, &(struct want){
			"unknown", -1, -1, bad_tsc[i].why, fmt("an unknown time: %s", bad_tsc[i].why) });
	}
}

TEST(a_tsc_that_wraps)
{
	struct at at[ARRAY_SIZE(jump)];

	memcpy(at, jump, sizeof(at));
	at[2].tsc = -4 * GHZ;
	at[3].tsc = 6 * GHZ;
	check_pause(at, ARRAY_SIZE(at), GHZ, GHZ,
		    &(struct want){ "tsc", 10800, 10000, NULL, "10.8 s" });
	at[2].tsc = INT64_MAX - 4 * GHZ;
	at[3].tsc = INT64_MIN + 6 * GHZ;
	check_pause(at, ARRAY_SIZE(at), GHZ, GHZ,
		    &(struct want){ "tsc", 10800, 10000, NULL, "10.8 s" });
}

/* The rate is measured, and the old kernel may not have done it. */
TEST(a_rate_that_is_about_the_same)
{
	check_pause(jump, ARRAY_SIZE(jump), GHZ + GHZ / 1000, GHZ,
		    &(struct want){ "tsc", 10800, 10000, NULL, "10.8 s" });
	check_pause(jump, ARRAY_SIZE(jump), 0, GHZ,
		    &(struct want){ "tsc", 10800, 10000, NULL, "10.8 s" });
}

TEST(missing_marks_are_part_of_the_next)
{
	static const struct at at[] = {
		{ "begin", "one", 1000, 1000, 0 },
		{ "write", "one", 1100, 1100, 0 },
		{ "jump", "one", 3100, 3100, 0 },
		{ "resume", "one", 3600, 3600, 0 },
	};

	check_pause(at, ARRAY_SIZE(at), 0, 0,
		    &(struct want){ "boottime", 2600, 2000, NULL, "2.6 s" });
}

TEST(phases_add_up_though_each_is_rounded)
{
	_cleanup_json_ struct json_object *m = NULL, *pause = NULL;
	struct at at[40];
	int64_t sum = 0;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		at[i] = (struct at){ "p", "one", i, i, 0 };
	m = manifest(at, ARRAY_SIZE(at), 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		jset_int(json_object_array_get_idx(jget(jget(m, "pause"), "marks"), i), "up_us",
			 i * 1499);
	pause = pause_json(m);
	n = json_object_array_length(jget(pause, "phases"));
	CHECK_EQ(n, ARRAY_SIZE(at) - 1);
	for (size_t i = 0; i < n; i++)
		sum += jint(json_object_array_get_idx(jget(pause, "phases"), i), "ms", -1);
	CHECK_EQ(sum, jint(pause, "total_ms", -1));
	CHECK_EQ(sum, 39 * 1499 / 1000);
}

/* Whatever stands there: no crash, and no number. */
static const char *const damaged[] = {
	"5", "[]", "{}", "null", "\"x\"", "{\"marks\":5}", "{\"marks\":[]}", "{\"marks\":[5]}",
	"{\"marks\":[{\"phase\":\"begin\"},{\"phase\":7}]}", "{\"marks\":[null,null]}",
	"{\"clock\":\"tsc\"}", "{\"clock\":5,\"phases\":[]}", "{\"clock\":\"tsc\",\"phases\":{}}",
};

static const char *const doubtful[] = {
	"{\"marks\":[{\"phase\":\"begin\"},{\"phase\":\"x\"}]}",
	"{\"marks\":[{\"phase\":\"begin\",\"boot\":\"a\",\"up_us\":5},"
		"{\"phase\":\"x\",\"boot\":\"a\",\"up_us\":4}]}",
	"{\"marks\":[{\"phase\":\"begin\",\"boot\":\"a\",\"up_us\":-9223372036854775808},"
		"{\"phase\":\"x\",\"boot\":\"a\",\"up_us\":9223372036854775807}]}",
	"{\"marks\":[{\"phase\":\"begin\",\"boot\":\"a\",\"up_us\":0},"
		"{\"phase\":\"x\",\"boot\":\"a\",\"up_us\":9223372036854775807}]}",
	"{\"marks\":[{\"phase\":\"begin\",\"boot\":\"a\",\"wall_us\":0},"
		"{\"phase\":\"x\",\"boot\":\"b\",\"wall_us\":5,\"up_us\":-9223372036854775808}]}",
	"{\"tsc_hz_after\":1000000000,\"marks\":[{\"phase\":\"begin\",\"boot\":\"a\",\"tsc\":1},"
		"{\"phase\":\"x\",\"boot\":\"b\",\"tsc\":9223372036854775807,\"up_us\":9223372036854775807}]}",
	"{\"clock\":\"tsc\",\"phases\":[5,{\"name\":5},{\"ms\":\"x\"}],\"total_ms\":\"long\"}",
};

TEST(damaged_records)
{
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		_cleanup_json_ struct json_object *m = json_object_new_object();

		jset(m, "pause", json_tokener_parse(damaged[i]));
		CHECK_MSG(!pause_json(m), "believed: %s", damaged[i]);
		pause_mark(&(struct vm){ .manifest = m, .name = "a", .dir = dir }, "x");
		pause_mark_jump(&(struct vm){ .manifest = m, .name = "a", .dir = dir });
		CHECK(!pause_json(m));
	}
	for (size_t i = 0; i < ARRAY_SIZE(doubtful); i++) {
		_cleanup_json_ struct json_object *m = json_object_new_object(), *pause = NULL;

		jset(m, "pause", json_tokener_parse(doubtful[i]));
		pause = pause_json(m);
		CHECK_MSG(pause && startswith(pause_text(pause), "an unknown time"), "%s: %s",
			  doubtful[i], pause ? pause_text(pause) : "none");
		CHECK(pause_phases_text(pause));
	}
	CHECK(!pause_json(NULL));
}

/* A manifest full of marks is not summed up; nor does it grow. */
TEST(too_many_marks)
{
	_cleanup_json_ struct json_object *first = NULL, *pause = NULL;

	pause_begin(&vm);
	for (int i = 0; i < 100; i++)
		pause_mark(&vm, "x");
	pause = pause_json(vm.manifest);
	CHECK_EQ(json_object_array_length(jget(pause, "phases")), 63);
	json_object_array_add(jget(jget(vm.manifest, "pause"), "marks"), json_object_get(
			      json_object_array_get_idx(jget(jget(vm.manifest, "pause"), "marks"), 0)));
	CHECK(!pause_json(vm.manifest));
}

TEST(a_life)
{
	_cleanup_json_ struct json_object *pause = NULL, *so_far = NULL;

	pause_begin(&vm);
	pause_mark(&vm, "write");
	pause_mark(&vm, "seal");
	pause_mark_jump(&vm);
	pause_mark(&vm, "load");
	pause_mark_jump(&vm);		/* once more, after a failure */
	so_far = pause_json(vm.manifest);
	CHECK_EQ(json_object_array_length(jget(so_far, "phases")), 3);
	usleep(20000);
	pause_mark(&vm, "resume");
	pause_end(&vm);
	pause = pause_json(vm.manifest);
	CHECK_STR(jstr(pause, "clock"), "boottime");
	CHECK(jint(pause, "total_ms", -1) >= 20 && jint(pause, "total_ms", -1) < 60000);
	CHECK(phase_ms(pause, "resume") >= 20 && phase_ms(pause, "load") == -2);
	CHECK_STR(jstr(pause, "to"), "7.3.0-test");
	CHECK(!jget(pause, "marks") && !jget(pause, "aborted"));
	pause_mark(&vm, "late");	/* nothing has begun */
	pause_abort(&vm);
	CHECK(json_object_equal(pause, jget(vm.manifest, "pause")));
}

static size_t kept(void)
{
	_cleanup_free_ char *path = xasprintf("%s/" REPORT_FILE, dir);
	_cleanup_json_ struct json_object *report = json_object_from_file(path);

	return json_object_array_length(jget(report, "pauses"));
}

static void one_pause(void)
{
	pause_begin(&vm);
	pause_mark(&vm, "resume");
	pause_end(&vm);
}

TEST(the_last_are_kept)
{
	_cleanup_free_ char *path = xasprintf("%s/" REPORT_FILE, dir);
	_cleanup_close_ int fd = -1;

	CHECK_EQ(kept(), 1);
	for (int i = 0; i < PAUSES_KEPT + 5; i++)
		one_pause();
	CHECK_EQ(kept(), PAUSES_KEPT);
	fd = open(path, O_WRONLY | O_TRUNC);
	CHECK(fd >= 0 && write(fd, "{\"version\":1,\"pauses\":5}", 24) == 24);
	one_pause();
	CHECK_EQ(kept(), 1);
}

static int64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/*
 * The TSC's rate, from two instants, against the clock: the time between the instants is
 * less than that around both, and more than that between them, whenever the scheduler
 * takes the CPU away.
 */
TEST(the_rate)
{
	int64_t hz = tsc_hz(true), again, around, between;
	struct instant a, b;
	double s;

	CHECK(hz > 0);
	around = clock_us();
	instant_now(&a);
	between = clock_us();
	usleep(50000);
	between = clock_us() - between;
	instant_now(&b);
	around = clock_us() - around;
	again = tsc_hz(true);
	CHECK(again > hz - hz / 100 && again < hz + hz / 100);
	CHECK(b.up_us - a.up_us >= 50000 && streq(a.boot, b.boot) && a.steady == b.steady);
	s = (double)(b.tsc - a.tsc) / hz;
	CHECK(s >= between / 1e6 * 0.99 && s <= around / 1e6 * 1.01);
}

TEST(nothing_is_left_behind)
{
	json_object_put(vm.manifest);
	unlink(fmt("%s/" REPORT_FILE, dir));
	CHECK(rmdir(dir) == 0);
}

int main(void)
{
	return ktap_run();
}
