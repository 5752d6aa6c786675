/* SPDX-License-Identifier: GPL-2.0-only */
/* A QEMU process and its monitor. */
#ifndef CPR_QEMU_H
#define CPR_QEMU_H

#include <sys/types.h>

#include "qemu/qmp.h"

#define QEMU_START_S 60		/* until the monitor greets */
#define QEMU_EXIT_S 60		/* from quit to gone */
#define QEMU_ATTACH_S 10

/* migrate-incoming got exit-on-error in 9.1; without it a failed load ends QEMU. */
#define QEMU_MIN_MAJOR 9
#define QEMU_MIN_MINOR 1

/**
 * struct qemu - a QEMU that runs
 * @pid: 0 if there is none
 * @pidfd: of @pid, or -1
 * @child: this process started it
 * @qmp: its monitor
 * @log_from: where its words begin in the log, bytes
 * @words: file with its words, of a trial; -1: they are in the VM's log
 */
struct qemu {
	pid_t pid;
	int pidfd;
	bool child;
	struct qmp *qmp;
	off_t log_from;
	int words;
};

#define QEMU_NONE ((struct qemu){ .pidfd = -1, .words = -1 })

/**
 * struct qemu_command - what to start
 * @vm: name
 * @binary: path
 * @cwd: where to start it
 * @argv: arguments without the program's name
 * @extra: more arguments, after @argv; NULL-terminated
 * @trial: beside the VM's own QEMU, of which nothing is touched: it has another
 *	monitor, its words do not go to the log, and it ends with who started it
 * @netless: it sees no network but one of its own
 * @until: when its monitor must have greeted; 0: in QEMU_START_S
 *
 * The monitor and -S are added. The process has a session of its own, reads
 * from /dev/null and writes to the VM's log.
 */
struct qemu_command {
	const char *vm;
	const char *binary;
	const char *cwd;
	const struct strv *argv;
	const char *const *extra;
	bool trial;
	bool netless;
	deadline_t until;
};

/**
 * qemu_start - start QEMU and wait for its monitor
 *
 * Returns: 0; if QEMU ended instead, its words are in @err; -EINTR, of a trial, on
 * a signal.
 */
int qemu_start(const struct qemu_command *cmd, struct qemu *q, struct err *err);

/**
 * qemu_attach - reach the QEMU of a VM
 *
 * Returns: 0, -ESRCH (without filling in @err) if none runs, or another errno.
 */
int qemu_attach(const char *vm, double seconds, struct qemu *q, struct err *err);

/**
 * qemu_adopt - have qemu_attach() find a QEMU that someone else started
 * @socket: absolute path of its monitor
 *
 * For as long as @pid lives: another process on that socket is not the VM's.
 */
int qemu_adopt(const char *vm, const char *socket, pid_t pid, struct err *err);

/* The VM that a process was adopted as, or NULL. The caller frees it. */
char *qemu_adopted_as(pid_t pid);

/* Ask it to quit and wait until it has. */
int qemu_quit(struct qemu *q, struct err *err);

/* End it at once and wait until it has. */
void qemu_kill(struct qemu *q);

/* The same for a VM's QEMU if one runs, also if it hangs or somebody else has its monitor. */
void qemu_end(const char *vm);

/* Whether the process is gone, however it went. */
bool qemu_has_ended(const struct qemu *q);

/* Leave it running. */
void qemu_release(struct qemu *q);

/* Add the last lines that QEMU wrote since @from to a failure. */
void qemu_words(const char *vm, off_t from, struct err *err);

/* The same of a trial. */
void qemu_trial_words(const struct qemu *q, struct err *err);

/**
 * qemu_check_version - whether it can hand a guest over
 * @text: the version in full, for messages
 *
 * Returns: 0, or -EOPNOTSUPP with exit status 4.
 */
int qemu_check_version(int major, int minor, const char *text, struct err *err);

/* Ask it for its version, as text, which the caller frees, and check that. */
int qemu_version(struct qmp *qmp, char **text, struct err *err);

/* Bytes in the VM's log now. */
off_t qemu_log_size(const char *vm);

/* Full path of an executable as execvp(3) would find it, or NULL. Caller frees. */
char *find_binary(const char *name);

#endif
