// SPDX-License-Identifier: GPL-2.0-only
/* A frozen process does nothing, and runs on in every case. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ktap.h"
#include "base/deadline.h"
#include "qemu/freeze.h"

#define THREADS 8
#define SLEEPER (THREADS - 1)

/* Between the test and the process: what each thread has counted, and signals handled. */
static struct { unsigned long counts[THREADS], signals, started; } *shared;

static pid_t victim;

static void on_signal(int sig)
{
	(void)sig;
	__atomic_add_fetch(&shared->signals, 1, __ATOMIC_SEQ_CST);
}

/* The last one sleeps between; it is interrupted in a system call. */
static void *count(void *arg)
{
	unsigned long i = (unsigned long)arg;

	for (;;) {
		__atomic_add_fetch(&shared->counts[i], 1, __ATOMIC_SEQ_CST);
		if (i == SLEEPER)
			usleep(1000);
	}
	return NULL;
}

static void *start_another(void *arg)
{
	pthread_t next;

	__atomic_add_fetch(&shared->started, 1, __ATOMIC_SEQ_CST);
	usleep(100);
	pthread_create(&next, NULL, start_another, arg);
	pthread_detach(next);
	return NULL;
}

static void victim_main(bool breeds)
{
	signal(SIGUSR1, on_signal);
	for (unsigned long i = 0; i < THREADS; i++)
		pthread_create(&(pthread_t){ 0 }, NULL, count, (void *)i);
	if (breeds)
		start_another(NULL);
	for (;;)
		pause();
}

static void kill_victim(void)
{
	if (victim > 0) {
		kill(victim, SIGKILL);
		waitpid(victim, NULL, 0);
	}
	victim = 0;
}

static void sleep_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

static unsigned long total(void)
{
	unsigned long sum = 0;

	for (int i = 0; i < THREADS; i++)
		sum += __atomic_load_n(&shared->counts[i], __ATOMIC_SEQ_CST);
	return sum + __atomic_load_n(&shared->started, __ATOMIC_SEQ_CST);
}

/* Every thread counts on, within the time that any machine takes. */
static bool all_count(void)
{
	unsigned long before[THREADS];
	deadline_t deadline = deadline_in(60);

	memcpy(before, shared->counts, sizeof(before));
	for (int i = 0; i < THREADS; i++)
		while (__atomic_load_n(&shared->counts[i], __ATOMIC_SEQ_CST) == before[i]) {
			if (!deadline_left(deadline))
				return false;
			sleep_ms(1);
		}
	return true;
}

static bool stands_still(void)
{
	unsigned long before = total();

	sleep_ms(50);
	return total() == before;
}

static void begin(bool breeds)
{
	kill_victim();
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	victim = fork();
	CHECK(victim >= 0);
	if (!victim)
		victim_main(breeds);
	CHECK(all_count());
}

static void end(void)
{
	kill_victim();
	munmap(shared, 4096);
}

TEST(all_threads_stand_still_and_run_on)
{
	struct frozen f;

	begin(false);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(freeze_begin(victim, &f, NULL), 0);
		CHECK_EQ(f.n, THREADS + 1);
		CHECK(stands_still());
		freeze_end(&f);
		CHECK(all_count());
	}
	end();
}

TEST(threads_that_start_threads_stand_still)
{
	struct frozen f;

	begin(true);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(freeze_begin(victim, &f, NULL), 0);
		CHECK(stands_still());
		freeze_end(&f);
		CHECK(all_count());
	}
	end();
}

/* Signals are neither lost nor handled while the process is frozen. */
TEST(signals_are_kept)
{
	deadline_t deadline = deadline_in(60);
	struct frozen f;

	begin(false);
	CHECK_EQ(freeze_begin(victim, &f, NULL), 0);
	kill(victim, SIGUSR1);
	CHECK(stands_still());
	CHECK_EQ(shared->signals, 0);
	freeze_end(&f);
	while (!__atomic_load_n(&shared->signals, __ATOMIC_SEQ_CST) && deadline_left(deadline))
		sleep_ms(1);
	CHECK_EQ(shared->signals, 1);
	/* Those that come just before, too. */
	for (int i = 0; i < 50; i++) {
		unsigned long before = __atomic_load_n(&shared->signals, __ATOMIC_SEQ_CST);

		kill(victim, SIGUSR1);
		CHECK_EQ(freeze_begin(victim, &f, NULL), 0);
		freeze_end(&f);
		while (__atomic_load_n(&shared->signals, __ATOMIC_SEQ_CST) == before &&
		       deadline_left(deadline))
			sleep_ms(1);
		CHECK_EQ(shared->signals, before + 1);
	}
	end();
}

TEST(the_process_runs_on_when_the_freezer_is_killed)
{
	struct frozen f;
	int ready[2];
	pid_t freezer;
	char byte;

	begin(false);
	CHECK(!pipe(ready));
	freezer = fork();
	CHECK(freezer >= 0);
	if (!freezer) {
		if (freeze_begin(victim, &f, NULL) == 0)
			write(ready[1], "f", 1);
		pause();
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	CHECK(stands_still());
	kill(freezer, SIGKILL);
	waitpid(freezer, NULL, 0);
	CHECK(all_count());
	close(ready[0]);
	close(ready[1]);
	end();
}

TEST(a_process_that_is_traced_already_is_refused)
{
	_cleanup_err_ struct err err = { 0 };
	struct frozen f;
	int ready[2];
	pid_t tracer;
	char byte;

	begin(false);
	CHECK(!pipe(ready));
	tracer = fork();
	CHECK(tracer >= 0);
	if (!tracer) {
		ptrace(PTRACE_SEIZE, victim, NULL, NULL);
		write(ready[1], "t", 1);
		pause();
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	CHECK_EQ(freeze_begin(victim, &f, &err), -EBUSY);
	CHECK_EQ(err.exit, CPR_EXIT_BUSY);
	CHECK(strstr(err.why, "another process traces it"));
	CHECK(all_count());
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	end();
}

TEST(a_process_that_was_stopped_stays_stopped)
{
	struct frozen f;
	int status;

	begin(false);
	kill(victim, SIGSTOP);
	CHECK_EQ(waitpid(victim, &status, WUNTRACED), victim);
	CHECK_EQ(freeze_begin(victim, &f, NULL), 0);
	freeze_end(&f);
	CHECK(stands_still());
	kill(victim, SIGCONT);
	CHECK(all_count());
	end();
}

TEST(a_process_that_ends_is_not_waited_for)
{
	_cleanup_err_ struct err err = { 0 };
	struct frozen f;
	int status;

	begin(false);
	CHECK_EQ(freeze_begin(victim, &f, NULL), 0);
	kill(victim, SIGKILL);
	freeze_end(&f);
	/* Its exit status is still there for its parent. */
	CHECK_EQ(waitpid(victim, &status, 0), victim);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(freeze_begin(victim, &f, &err), -ESRCH);
	victim = 0;
	end();
}

int main(void)
{
	int status = ktap_run();

	kill_victim();
	return status;
}
