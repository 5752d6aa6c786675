// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "base/deadline.h"
#include "base/numbers.h"
#include "qemu/freeze.h"

#define FREEZE_S 5		/* for a system call that cannot be interrupted */
#define POLL_NS 200000

/**
 * struct frozen_thread - a thread that is traced
 * @tid: its thread ID
 * @state: whether it executes instructions
 * @signal: signal that it has received but not handled; 0 if there is none
 */
struct frozen_thread {
	pid_t tid;
	enum { THREAD_RUNS, THREAD_STOPPED, THREAD_GONE } state;
	int signal;
};

static int freeze_refuse(struct err *err, pid_t pid, int code, const char *why)
{
	return fail(err, code, .exit = code == -EBUSY ? CPR_EXIT_BUSY : CPR_EXIT_FAILED,
		    .what = "QEMU", .value = fmt("pid %d", (int)pid), .why = why,
		    .remedy = code == -EBUSY ? "end what traces it, such as gdb or strace, or try "
		    "again" : NULL);
}

/* A thread that is ending executes no instruction any more, and cannot be traced. */
static bool freeze_is_ending(pid_t pid, pid_t tid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task/%d/stat", (int)pid, (int)tid);
	_cleanup_free_ char *text = read_text(path, 4096);
	const char *state = text ? strrchr(text, ')') : NULL;

	return !state || strchr("XZ", state[2]);
}

/* Returns: 1, 0 if the thread has ended, or -errno. */
static int freeze_seize(struct frozen *f, pid_t tid, struct err *err)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0) {
		int code = errno;

		if (code == ESRCH || freeze_is_ending(f->pid, tid))
			return 0;
		return freeze_refuse(err, f->pid, code == EPERM ? -EBUSY : -code,
				     fmt("thread %d cannot be stopped: %s", (int)tid,
					 code == EPERM ? "another process traces it, or the "
					 "security policy forbids it" : strerror(code)));
	}
	f->threads = xrealloc(f->threads, f->n + 1, sizeof(*f->threads));
	f->threads[f->n++] = (struct frozen_thread){ .tid = tid };
	/* Fails if the thread has just ended, which freeze_poll() finds. */
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	return 1;
}

/* The ID of a thread that has ended may be that of a new one. */
static bool freeze_has(const struct frozen *f, pid_t tid)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->threads[i].tid == tid && f->threads[i].state != THREAD_GONE)
			return true;
	return false;
}

/* Returns: the number of threads that were not traced yet, or -errno. */
static int freeze_seize_new(struct frozen *f, struct err *err)
{
	_cleanup_numbers_ struct numbers tids = numbers_of_process(f->pid, "task");
	int found = 0;

	if (tids.error)
		return freeze_refuse(err, f->pid, -ESRCH, "it has exited");
	while (numbers_next(&tids)) {
		int r = freeze_has(f, tids.n) ? 0 : freeze_seize(f, tids.n, err);

		if (r < 0)
			return r;
		found += r > 0;
	}
	return found;
}

/*
 * A thread that has ended is reaped, because the process does not end before. The process
 * is not: its parent, which may be this process, wants its exit status.
 */
static void freeze_poll(const struct frozen *f, struct frozen_thread *t)
{
	int options = WSTOPPED | WEXITED | WNOHANG | __WALL | (t->tid == f->pid ? WNOWAIT : 0);
	siginfo_t info = { 0 };

	if (waitid(P_PID, t->tid, &info, options) < 0) {
		t->state = THREAD_GONE;
	} else if (info.si_pid && info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) {
		t->state = THREAD_GONE;
	} else if (info.si_pid) {
		t->state = THREAD_STOPPED;
		/* Without an event, a signal has stopped it before PTRACE_INTERRUPT did. */
		t->signal = info.si_status >> 8 ? 0 : info.si_status;
	}
}

/* Returns: whether all have stopped. */
static bool freeze_poll_all(struct frozen *f)
{
	bool stopped = true;

	for (size_t i = 0; i < f->n; i++) {
		if (f->threads[i].state == THREAD_RUNS)
			freeze_poll(f, &f->threads[i]);
		stopped &= f->threads[i].state != THREAD_RUNS;
	}
	return stopped;
}

static bool freeze_await_stopped(struct frozen *f, deadline_t deadline)
{
	while (!freeze_poll_all(f)) {
		if (!deadline_left(deadline))
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
	}
	return true;
}

/*
 * A thread that runs may start another. So all are stopped once two passes in a row find
 * none that is new: the second begins after the last thread has stopped.
 */
static int freeze_all(struct frozen *f, deadline_t deadline, struct err *err)
{
	for (int quiet = 0; quiet < 2;) {
		int found = freeze_seize_new(f, err);

		if (found < 0)
			return found;
		if (!freeze_await_stopped(f, deadline) || (found && !deadline_left(deadline)))
			return freeze_refuse(err, f->pid, -EBUSY,
					     "its threads do not stop: one is in a system call "
					     "that takes long, or they start ever new ones");
		quiet = found ? 0 : quiet + 1;
	}
	return f->n ? 0 : freeze_refuse(err, f->pid, -ESRCH, "it has exited");
}

int freeze_begin(pid_t pid, struct frozen *f, struct err *err)
{
	int r;

	*f = (struct frozen){ .pid = pid };
	r = freeze_all(f, deadline_in(FREEZE_S), err);
	if (r < 0)
		freeze_end(f);
	return r;
}

static void freeze_detach_stopped(struct frozen *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct frozen_thread *t = &f->threads[i];

		if (t->state != THREAD_STOPPED)
			continue;
		/* Fails for a thread that was killed meanwhile, and is still to be reaped. */
		t->state = ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(long)t->signal) == 0 ?
			   THREAD_GONE : THREAD_RUNS;
	}
}

/*
 * A thread can only be detached while it is stopped. One that does not stop in time is
 * detached when this process ends.
 */
void freeze_end(struct frozen *f)
{
	freeze_detach_stopped(f);
	freeze_await_stopped(f, deadline_in(FREEZE_S));
	freeze_detach_stopped(f);
	free(f->threads);
	*f = (struct frozen){ 0 };
}
