/* SPDX-License-Identifier: GPL-2.0-only */
/* A process that was not started by cpr-helper, as shown by /proc. */
#ifndef CPR_PROCESS_H
#define CPR_PROCESS_H

#include <sys/types.h>

#include "base/error.h"

/**
 * struct process - everything needed to start the program of a process again
 * @binary: path of the executable, without " (deleted)", owned
 * @cwd: working directory, owned
 * @argv: arguments without the program's name, owned
 * @user: whose process it is, owned; see account.h
 */
struct process {
	struct json_object *user;
	char *binary;
	char *cwd;
	struct strv argv;
};

/**
 * process_read - get binary, working directory and arguments of a process
 * @p: free with process_free()
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 if the process has another root or namespace, or
 * ids and groups that are no user's, so that cpr-helper could not start it again unchanged, or
 * if a service of systemd supervises it;
 * -ESRCH if it has exited; or another negative errno.
 */
int process_read(pid_t pid, struct process *p, struct err *err);
void process_free(struct process *p);
#define _cleanup_process_ _cleanup_(process_free)

/*
 * Append the words of /proc/PID/@file, which end with a NUL each: cmdline or environ. Returns:
 * 0; -E2BIG above 2 MiB; or another negative errno.
 */
int process_read_words(pid_t pid, const char *file, struct strv *words);

/* Whether the process exists and @argument is one of its arguments. */
bool process_has_argument(pid_t pid, const char *argument);

/* Path of the process's cgroup (v2); NULL without cgroups, or if it has exited. Caller frees. */
char *process_cgroup(pid_t pid);

/* Whether @thread is a thread of the process. */
bool process_has_thread(pid_t pid, pid_t thread);

/*
 * "PID START-TIME", which is unique until the next boot; NULL if the process has exited.
 * Caller frees.
 */
char *process_identity(pid_t pid);

#endif
