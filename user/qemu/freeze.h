/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Freeze a process for a moment: none of its threads executes an instruction.
 *
 * By ptrace(2), and not by the cgroup freezer or SIGSTOP: the kernel lets a frozen process
 * run on when the one that froze it ends, however it ends, and no earlier than its last
 * system call; a cgroup stays frozen, and it often has other processes as well. The
 * permission is the same that pidfd_getfd(2) takes.
 */
#ifndef CPR_FREEZE_H
#define CPR_FREEZE_H

#include <sys/types.h>

#include "base/error.h"

/**
 * struct frozen - a frozen process
 * @pid: the process
 * @threads: its threads, owned
 * @n: entries in @threads
 */
struct frozen {
	pid_t pid;
	struct frozen_thread *threads;
	size_t n;
};

#define _cleanup_frozen_ _cleanup_(freeze_end)

/**
 * freeze_begin - freeze a process
 * @pid: the process
 * @f: call freeze_end() in any case
 *
 * Waits until no thread is in a system call. Processes that it has started run on. Only
 * the calling thread may end the freeze.
 *
 * Returns: 0; -EBUSY with exit status 5 if another process traces it, such as a debugger,
 * or if a thread does not stop; -ESRCH if it has exited; or another negative errno.
 */
int freeze_begin(pid_t pid, struct frozen *f, struct err *err);

/* Let the process run on. */
void freeze_end(struct frozen *f);

#endif
