/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Run one job for each VM, several at a time, each in a worker process. A worker that
 * is killed, or waits for a QEMU that hangs, does not affect the others.
 */
#ifndef CPR_CREW_H
#define CPR_CREW_H

#include "base/error.h"

#define CREW_JOBS_MAX 256

/**
 * struct crew - the jobs and how to run them
 * @names: names of the VMs; one job for each
 * @jobs: number of workers that run at the same time; 0: crew_default_jobs()
 * @work: run job @i in a worker process, which exits when @work returns.
 *	crew_run() hands @result (an object to add to) and @err to its caller.
 * @arg: passed to @work
 * @together: after one job fails, start no other job and interrupt the running ones
 * @first_alone: start the other jobs only after the first has finished, so that an
 *	error that every job would hit is hit by one job alone
 * @meets: crew_meet() waits; not with @first_alone, as the others would not come
 *
 * A worker is a fork of the caller. @work must not use inherited descriptors that
 * carry state, such as a netlink socket: it opens its own. The kernel kills a worker
 * when its parent dies.
 */
struct crew {
	const struct strv *names;
	unsigned int jobs;
	int (*work)(size_t i, void *arg, struct json_object *result, struct err *err);
	void *arg;
	bool together;
	bool first_alone;
	bool meets;
};

/**
 * struct crew_outcome - result of one job
 * @begun: a worker was started for the job
 * @code: return value of @work; -ECANCELED if no worker was started
 * @result: the object that @work filled in, owned
 * @err: the error that @work recorded, owned
 */
struct crew_outcome {
	bool begun;
	int code;
	struct json_object *result;
	struct err err;
};

/**
 * crew_run - run all jobs and wait for them
 *
 * When a signal interrupts this process, crew_run() sends SIGTERM to the running
 * workers and starts no further job. It prints each error as it occurs, prefixed with
 * the name of the VM.
 *
 * Returns: an array in the order of @names, to be freed with crew_outcomes_free().
 */
struct crew_outcome *crew_run(const struct crew *crew);

/**
 * crew_job_waits - let another job start, because this one only waits from now on
 *
 * Called in @work, for a wait that may be long and needs nothing of this host. crew_run()
 * still waits for the job. Does nothing outside of @work.
 */
void crew_job_waits(void);

/**
 * crew_meet - wait until each other job has called this as often, or has ended
 *
 * Called in @work. A job that waits here lets another one start; no more than @jobs go on at
 * the same time.
 *
 * Returns: 0, at once if the crew has no meetings and outside of @work; -EINTR on a signal,
 * also because another job has failed.
 */
int crew_meet(void);

void crew_outcomes_free(struct crew_outcome *outcomes, size_t n);

/* Names of the VMs whose job failed or was not started, separated by spaces. Caller frees. */
char *crew_outcomes_failed(const struct crew_outcome *outcomes, const struct strv *names);

/*
 * How many of @n jobs run at the same time if nobody says: all, up to 8 for each online CPU and
 * CREW_JOBS_MAX. They wait for QEMU, for disks and for guests rather than for a CPU.
 */
unsigned int crew_default_jobs(size_t n);

#endif
