/* SPDX-License-Identifier: GPL-2.0-only */
/* A process that somebody else started, as /proc shows it. */
#ifndef CPR_PROCESS_H
#define CPR_PROCESS_H

#include <sys/types.h>

#include "base/error.h"

/**
 * struct process - what it takes to start its program again
 * @binary: path, also if another file has that path now
 * @cwd: where it is
 * @argv: arguments without the program's name
 */
struct process {
	char *binary;
	char *cwd;
	struct strv argv;
};

/**
 * process_read - look at a process
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 if it sees other files than this program,
 * or is another user's: then nobody here could start it again as it is.
 */
int process_read(pid_t pid, struct process *p, struct err *err);
void process_free(struct process *p);
#define _cleanup_process_ _cleanup_(process_free)

/* Whether it lives, and was started with an argument. */
bool process_has_argument(pid_t pid, const char *argument);

/* Whether a thread is one of it. */
bool process_has_thread(pid_t pid, pid_t thread);

/*
 * "PID START-TIME", which no other process has until the host boots again; NULL if it
 * is gone. The caller frees it.
 */
char *process_identity(pid_t pid);

#endif
