/* SPDX-License-Identifier: GPL-2.0-only */
/* A QEMU process and its monitor. */
#ifndef CPR_QEMU_H
#define CPR_QEMU_H

#include <sys/types.h>

#include "qemu/qmp.h"

#define QEMU_START_S 60		/* from the start to the monitor's greeting */
#define QEMU_EXIT_S 60		/* from quit to the exit of the process */
#define QEMU_ATTACH_S 10	/* for the greeting of a running QEMU */

/* The oldest that is tested, and whose states validate checks. 9.1 is the first that could do. */
#define QEMU_MIN_MAJOR 10
#define QEMU_MIN_MINOR 0

/**
 * struct qemu - a running QEMU
 * @pid: pid of the process; 0 if there is none
 * @pidfd: pidfd of the process, owned; -1 if there is none
 * @child: the process is a child of this one
 * @qmp: its monitor, owned; NULL if not connected
 * @scope: the VM's scope, if the process is in it, owned; see scope.h
 * @log_from: offset in the VM's log at which its output begins, bytes
 * @output: of a trial: file with its output, owned; -1: the output is in the VM's log
 */
struct qemu {
	pid_t pid;
	int pidfd;
	bool child;
	struct qmp *qmp;
	char *scope;
	off_t log_from;
	int output;
};

#define QEMU_NONE ((struct qemu){ .pidfd = -1, .output = -1 })

/**
 * struct qemu_command - how to start a QEMU
 * @vm: name of the VM
 * @user: whose process it is; see account.h
 * @binary: path of the executable
 * @cwd: working directory
 * @argv: arguments without the program's name
 * @attributes: see attributes.h; a trial gets the environment alone; NULL: the caller's
 * @extra: further arguments, added after @argv; NULL-terminated; may be NULL
 * @trial: a trial run beside the VM's own QEMU: it has a monitor socket of its own, its
 *	output does not go to the VM's log, and the kernel kills it when its parent dies
 * @netless: run in a new network namespace, without access to the host's network
 * @until: deadline for the monitor's greeting; 0: QEMU_START_S from now
 *
 * qemu_start() adds the monitor and -S. It makes the monitor's socket itself, and that of the
 * channel for the guest agent that launch_plan() has added, in a directory of root's alone, and
 * QEMU listens on them. The process has a session of its own, and a scope if it is no trial. It
 * reads from /dev/null and writes to the VM's log, or to a file of its own with @trial.
 */
struct qemu_command {
	const char *vm;
	struct json_object *user;
	const char *binary;
	const char *cwd;
	const struct strv *argv;
	struct json_object *attributes;
	const char *const *extra;
	bool trial;
	bool netless;
	deadline_t until;
};

/**
 * qemu_start - start QEMU and connect to its monitor
 * @q: set to the running QEMU; QEMU_NONE on failure
 *
 * Returns: 0 or a negative errno. If QEMU exited, or its monitor did not answer, @err
 * includes the end of QEMU's output. -EINTR if a signal interrupted the start.
 */
int qemu_start(const struct qemu_command *cmd, struct qemu *q, struct err *err);

/**
 * qemu_attach - connect to the monitor of a VM's running QEMU
 * @seconds: time limit for the monitor's greeting
 *
 * Returns: 0; -ESRCH, without filling in @err, if no QEMU runs; or another negative errno.
 */
int qemu_attach(const char *vm, double seconds, struct qemu *q, struct err *err);

/**
 * qemu_adopt - make qemu_attach() find a QEMU that cpr-helper did not start
 * @socket: absolute path of its monitor socket
 * @pid: its pid. Another process that listens on @socket later is not taken for the VM's
 *
 * Returns: 0 or a negative errno.
 */
int qemu_adopt(const char *vm, const char *socket, pid_t pid, struct err *err);

/* Name of the VM as which the process was adopted; NULL if it was not. Caller frees. */
char *qemu_adopted_as(pid_t pid);

/*
 * Execute "quit" and wait until QEMU has exited; then end its scope, here and below. Returns: 0
 * or -errno.
 */
int qemu_quit(struct qemu *q, struct err *err);

/*
 * Wait until QEMU has exited, and end its scope. @status is as of waitpid(2), 0 if it is no
 * child. Returns: 0 or -ETIMEDOUT.
 */
int qemu_wait_exit(struct qemu *q, deadline_t deadline, int *status);

/* The pid of a VM's QEMU; 0 if none runs. Its monitor need not answer. */
pid_t qemu_pid(const char *vm);

/* Send SIGKILL and wait until QEMU has exited. */
void qemu_kill(struct qemu *q);

/* The same for the QEMU of a VM, if it runs; works also if its monitor does not answer. */
void qemu_kill_vm(const char *vm);

/* Whether the process has exited. */
bool qemu_has_exited(const struct qemu *q);

/* Close the monitor and all descriptors, and leave QEMU running. */
void qemu_release(struct qemu *q);

/* Add the last lines of QEMU's output, from offset @from of the VM's log, to an error. */
void qemu_log_tail(const char *vm, off_t from, struct err *err);

/* Add the last lines of a trial's output to an error. */
void qemu_trial_log_tail(const struct qemu *q, struct err *err);

/**
 * qemu_check_version - check whether a version of QEMU supports handovers
 * @text: the full version, for errors
 *
 * Returns: 0, or -EOPNOTSUPP with exit status 4.
 */
int qemu_check_version(int major, int minor, const char *text, struct err *err);

/*
 * Get QEMU's version by QMP and check it with qemu_check_version(). The caller frees @text,
 * which is also set if the version is too old.
 */
int qemu_version(struct qmp *qmp, char **text, struct err *err);

/* Absolute path of the executable that execvp(3) would run; NULL if none. Caller frees. */
char *qemu_find_binary(const char *name);

#endif
