/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Work on several VMs at the same time, each in a process of its own: one that is
 * killed, or waits for a QEMU that hangs, takes no other along.
 */
#ifndef CPR_CREW_H
#define CPR_CREW_H

#include "base/error.h"

#define CREW_JOBS_MAX 16

/**
 * struct crew - what is to be done
 * @names: of the VMs; one job each
 * @jobs: how many at the same time, at least 1
 * @work: does the @i-th, in a process of its own, which ends with it; @result, an
 *	object to add to, and @err reach the caller of crew_run()
 * @arg: for @work
 * @together: once one has failed begin no other, and interrupt those at work
 * @first_alone: begin the others when the first is done: what fails for each then
 *	fails for one
 *
 * The process has copies of all that its parent had. Descriptors of files that
 * keep a state, as that of a netlink socket, it must not share: open new ones.
 * If its parent is killed, so is it.
 */
struct crew {
	const struct strv *names;
	unsigned int jobs;
	int (*work)(size_t i, void *arg, struct json_object *result, struct err *err);
	void *arg;
	bool together;
	bool first_alone;
};

/**
 * struct outcome - of one job
 * @begun: somebody was at work on it
 * @code: what @work returned; -ECANCELED if it was not begun
 * @result: owned
 */
struct outcome {
	bool begun;
	int code;
	struct json_object *result;
	struct err err;
};

/**
 * crew_run - do it, and wait until all are done
 *
 * A signal is passed on to those at work, and none is begun after it. Failures are
 * printed as they come, each with the name of its VM.
 *
 * Returns: an array in the order of the names, for outcomes_free().
 */
struct outcome *crew_run(const struct crew *crew);

void outcomes_free(struct outcome *outcomes, size_t n);

/* Names of those that failed, or were not begun; "" if there are none. Caller frees. */
char *outcomes_failed(const struct outcome *outcomes, const struct strv *names);

/* As many as there are CPUs, but not more than CREW_JOBS_MAX. */
unsigned int crew_default_jobs(void);

#endif
