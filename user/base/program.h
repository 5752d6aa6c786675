/* SPDX-License-Identifier: GPL-2.0-only */
/* Another program that is asked something: it ends soon, or is ended. */
#ifndef CPR_PROGRAM_H
#define CPR_PROGRAM_H

#include <sys/types.h>

#include "base/error.h"

/* More of an answer than this ends the program that gives it. */
#define PROGRAM_MAX_OUTPUT (16 * MIB)

/**
 * struct program - what to ask
 * @argv: as for execv(3)
 * @seconds: until it is ended
 * @out: a file of this process that it has as PROGRAM_OUT; -1 without
 *
 * Its input is empty. It dies with the thread that runs it.
 */
struct program {
	char *const *argv;
	double seconds;
	int out;
};

/* The path by which the program can open its @out. */
#define PROGRAM_OUT 3
#define PROGRAM_OUT_PATH "/proc/self/fd/3"

/**
 * program_run - run it to its end
 * @words: what it wrote to stdout and stderr, owned by the caller; may be NULL
 *
 * Returns: 0 if its exit status was 0; -EIO and what became of it in @err if not;
 * -ETIMEDOUT; -EINTR on a signal; another negative errno if it could not be started.
 * In each of these @err has its words.
 */
int program_run(const struct program *program, char **words, struct err *err);

/* In a child, before it becomes another program: end with the thread that made it. */
void die_with_parent(pid_t parent);

#endif
