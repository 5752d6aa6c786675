// SPDX-License-Identifier: GPL-2.0-only
/* Work on several VMs runs at the same time, and a failure is reported for the VM that has it. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#include "ktap.h"
#include "base/crew.h"
#include "base/interrupt.h"

static const struct strv names = { (char *[]){ "a", "b", "c", "d", NULL }, 4 };

/* More than any machine takes to begin a process, or to deliver a signal. */
#define PATIENCE_MS 60000

/*
 * Between the processes at work: how many are at work, the most there have been, and how
 * many have begun. Work goes on until @quorum processes have begun, but not that of the
 * first process if it is alone; or until a signal comes, which with @endless is the only
 * end for all but the second process.
 */
static struct { int busy, most, begun, quorum; bool first_alone, endless; } *shared;

static void share(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static bool goes_on(size_t i)
{
	if (shared->endless && i != 1)
		return true;
	if (shared->first_alone && i == 0)
		return false;
	return __atomic_load_n(&shared->begun, __ATOMIC_SEQ_CST) < shared->quorum;
}

/* A signal ends it early. */
static void pause_ms(int ms)
{
	ppoll(NULL, 0, &(struct timespec){ .tv_nsec = ms * 1000000L }, interrupt_mask());
}

static int work(size_t i, void *arg, struct json_object *result, struct err *err)
{
	const char *what = arg;
	int busy = __atomic_add_fetch(&shared->busy, 1, __ATOMIC_SEQ_CST), most = shared->most;

	__atomic_add_fetch(&shared->begun, 1, __ATOMIC_SEQ_CST);
	while (busy > most && !__atomic_compare_exchange_n(&shared->most, &most, busy, false,
							   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	jset_int(result, "i", i);
	for (int ms = 0; ms < PATIENCE_MS && !interrupted() && goes_on(i); ms += 10)
		pause_ms(10);
	/* Time for a process to begin that must not. */
	pause_ms(100);
	__atomic_sub_fetch(&shared->busy, 1, __ATOMIC_SEQ_CST);
	if (i != 1)
		return interrupted() ? fail(err, -EINTR, .what = "work", .why = "interrupted") : 0;
	if (streq(what, "killed"))
		raise(SIGKILL);
	if (streq(what, "silent"))
		_exit(0);
	return streq(what, "fails") ? fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "w",
					   .value = "v", .why = "y", .remedy = "r") : 0;
}

static struct crew_outcome *run(const char *what, unsigned int jobs, bool together, bool first_alone,
			   int quorum, bool endless)
{
	struct crew crew = {
		.names = &names, .jobs = jobs, .work = work, .arg = (void *)what,
		.together = together, .first_alone = first_alone,
	};

	memset(shared, 0, sizeof(*shared));
	shared->quorum = quorum;
	shared->first_alone = first_alone;
	shared->endless = endless;
	return crew_run(&crew);
}

TEST(all_at_the_same_time)
{
	struct crew_outcome *o = run("", 4, false, false, 4, false);

	for (size_t i = 0; i < names.n; i++)
		CHECK(o[i].begun && o[i].code == 0 && jint(o[i].result, "i", -1) == (int)i);
	CHECK_EQ(shared->most, 4);
	crew_outcomes_free(o, names.n);
}

TEST(not_more_than_wanted)
{
	crew_outcomes_free(run("", 2, false, false, 2, false), names.n);
	CHECK_EQ(shared->most, 2);
	crew_outcomes_free(run("", 1, false, false, 1, false), names.n);
	CHECK_EQ(shared->most, 1);
	CHECK_EQ(shared->begun, 4);
}

/* They wait rather than work, so that two CPUs are no reason for two jobs. */
TEST(all_if_nobody_says)
{
	crew_outcomes_free(run("", 0, false, false, 4, false), names.n);
	CHECK_EQ(shared->most, 4);
	CHECK_EQ(crew_default_jobs(1), 1);
	CHECK(crew_default_jobs(100000) >= 8 && crew_default_jobs(100000) <= CREW_JOBS_MAX);
}

TEST(a_failure_is_told_whole)
{
	struct crew_outcome *o = run("fails", 4, false, false, 4, false);
	char *failed = crew_outcomes_failed(o, &names);

	CHECK_STR(failed, "b");
	CHECK_EQ(o[1].code, -EBUSY);
	CHECK_EQ(o[1].err.exit, CPR_EXIT_BUSY);
	CHECK(streq(o[1].err.what, "w") && streq(o[1].err.value, "v") &&
	      streq(o[1].err.why, "y") && streq(o[1].err.remedy, "r") && !o[1].err.words);
	CHECK_EQ(o[2].code, 0);
	free(failed);
	crew_outcomes_free(o, names.n);
}

TEST(one_that_dies_is_a_failure_of_its_own)
{
	struct crew_outcome *o = run("killed", 4, false, false, 4, false);

	CHECK_STR(o[1].err.why, "killed by signal 9 (Killed)");
	CHECK(o[0].code == 0 && o[1].code < 0 && o[2].code == 0 && o[3].code == 0);
	crew_outcomes_free(o, names.n);
	o = run("silent", 4, false, false, 4, false);
	CHECK_STR(o[1].err.why, "it exited without a report");
	crew_outcomes_free(o, names.n);
}

TEST(together_they_stop)
{
	struct crew_outcome *o = run("fails", 2, true, false, 2, true);

	CHECK_EQ(o[0].code, -EINTR);
	CHECK_EQ(o[1].code, -EBUSY);
	CHECK(o[2].code == -ECANCELED && !o[2].begun && !o[3].begun);
	CHECK_EQ(shared->begun, 2);
	crew_outcomes_free(o, names.n);
}

TEST(the_first_goes_ahead)
{
	struct crew_outcome *o = run("fails", 1, true, true, 1, false);

	CHECK_EQ(shared->begun, 2);
	crew_outcomes_free(o, names.n);
	o = run("", 4, false, true, 4, false);
	CHECK_EQ(shared->most, 3);
	CHECK_EQ(shared->begun, 4);
	crew_outcomes_free(o, names.n);
}

static int work_then_wait(size_t i, void *arg, struct json_object *result, struct err *err)
{
	(void)arg;
	(void)err;
	if (i == 0)
		crew_job_waits();
	__atomic_add_fetch(&shared->begun, 1, __ATOMIC_SEQ_CST);
	for (int ms = 0; ms < PATIENCE_MS && i == 0 && shared->begun < (int)names.n; ms += 10)
		pause_ms(10);
	jset_int(result, "begun", shared->begun);
	return 0;
}

TEST(one_that_only_waits_keeps_no_other_from_work)
{
	struct crew crew = { .names = &names, .jobs = 1, .work = work_then_wait };
	struct crew_outcome *o;

	memset(shared, 0, sizeof(*shared));
	o = crew_run(&crew);
	CHECK_EQ(jint(o[0].result, "begun", 0), names.n);
	for (size_t i = 0; i < names.n; i++)
		CHECK(o[i].begun && o[i].code == 0 && jint(o[i].result, "begun", 0) > 0);
	crew_outcomes_free(o, names.n);
}

/*
 * Those that are together between two meetings count what happened in front of the first. The
 * last process comes to no meeting, and the second may fail on the way to it.
 */
static int work_and_meet(size_t i, void *arg, struct json_object *result, struct err *err)
{
	int r = 0;

	if (i + 1 == names.n)
		return 0;
	if (i == 1 && streq(arg, "fails"))
		return fail(err, -EBUSY, .what = "w");
	for (int meeting = 1; r == 0 && meeting <= 3; meeting++) {
		int busy = __atomic_add_fetch(&shared->busy, 1, __ATOMIC_SEQ_CST);

		if (busy > shared->most)
			shared->most = busy;
		pause_ms(10 * i);
		__atomic_add_fetch(&shared->begun, 1, __ATOMIC_SEQ_CST);
		__atomic_sub_fetch(&shared->busy, 1, __ATOMIC_SEQ_CST);
		r = crew_meet();
		jset_bool(result, "all", r == 0 && shared->begun >= 3 * meeting);
	}
	return r < 0 ? fail(err, r, .what = "work", .why = "interrupted") : 0;
}

static struct crew_outcome *run_meetings(const char *what, unsigned int jobs, bool meets)
{
	struct crew crew = { .names = &names, .jobs = jobs, .work = work_and_meet,
			     .arg = (void *)what, .together = true, .meets = meets };

	memset(shared, 0, sizeof(*shared));
	return crew_run(&crew);
}

TEST(nobody_leaves_a_meeting_before_all_have_come)
{
	for (unsigned int jobs = 1; jobs <= 4; jobs++) {
		struct crew_outcome *o = run_meetings("", jobs, true);

		for (size_t i = 0; i + 1 < names.n; i++)
			CHECK(o[i].code == 0 && jbool(o[i].result, "all", false));
		CHECK(o[3].code == 0);
		CHECK(shared->most <= (int)jobs);
		crew_outcomes_free(o, names.n);
	}
}

TEST(without_meetings_nobody_waits)
{
	struct crew_outcome *o = run_meetings("", 1, false);

	CHECK(o[0].code == 0 && !jbool(o[0].result, "all", true));
	CHECK_EQ(o[2].code, 0);
	CHECK_EQ(crew_meet(), 0);
	crew_outcomes_free(o, names.n);
}

TEST(who_waits_at_a_meeting_is_told_of_a_failure)
{
	struct crew_outcome *o = run_meetings("fails", 4, true);

	CHECK(o[0].code == -EINTR && o[1].code == -EBUSY && o[2].code == -EINTR);
	crew_outcomes_free(o, names.n);
}

TEST(a_signal_is_passed_on)
{
	struct crew_outcome *o;

	kill(getpid(), SIGTERM);
	o = run("", 2, false, false, 2, true);
	CHECK(interrupted());
	CHECK(o[0].begun && o[0].code == -EINTR && !o[3].begun && o[3].code == -ECANCELED);
	crew_outcomes_free(o, names.n);
}

int main(void)
{
	interrupt_init();
	share();
	return ktap_run();
}
