/* SPDX-License-Identifier: GPL-2.0-only */
/* Run another program to its end, with a time limit, and capture its output. */
#ifndef CPR_PROGRAM_H
#define CPR_PROGRAM_H

#include <sys/types.h>

#include "base/error.h"

/**
 * struct program - the program to run
 * @argv: as for execve(2)
 * @env: its environment; NULL: that of this process
 * @seconds: time limit; the program and its group are killed when it expires
 * @out: file descriptor that the program gets as PROGRAM_OUT; -1 for none
 * @max_file: a program that writes a larger file is killed (RLIMIT_FSIZE); 0: no such limit
 *
 * The program reads from /dev/null, in a session of its own. The kernel kills it when the
 * thread that called program_run() dies.
 */
struct program {
	char *const *argv;
	char *const *env;
	double seconds;
	int out;
	uint64_t max_file;
};

/* The program can open @out by this path. */
#define PROGRAM_OUT 3
#define PROGRAM_OUT_PATH "/proc/self/fd/3"

/**
 * program_run - run a program and wait until it exits
 * @words: what the program wrote to stdout and stderr, owned by the caller; may be NULL. After
 *	256 KiB its writes fail
 *
 * Returns: 0 if the exit status was 0; -EIO for another exit status or death by a
 * signal; -ETIMEDOUT; -EINTR if a signal interrupted the wait; another negative errno
 * if the program could not be started. After a failure @err includes the output.
 */
int program_run(const struct program *program, char **words, struct err *err);

/*
 * In a child process: have the kernel kill it when the thread that forked it dies.
 * @parent: pid of the forking process; if that is gone already, the child exits.
 */
void die_with_parent(pid_t parent);

#endif
