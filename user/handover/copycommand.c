// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "base/paths.h"
#include "qemu/account.h"
#include "qemu/migration.h"
#include "qemu/process.h"
#include "vm/manifest.h"
#include "handover/copycommand.h"

#define START_S 5		/* for the shell to write its first line */
#define AGAIN_US 20000

bool copycommand_used(const struct vm *vm)
{
	return jstr(jget(vm->manifest, "target"), "uri");
}

/*
 * Empty before QEMU starts the command. Then the command's shell writes two lines: its pid
 * and, at its end, its exit status.
 */
static char *copycommand_status_file(const struct vm *vm)
{
	return runtime_path(vm->name, "exec");
}

/* The manifest has no other URIs than "exec:COMMAND". */
static const char *copycommand_of(const struct vm *vm, const char *key)
{
	return jstr(jget(vm->manifest, "target"), key) + strlen(TARGET_EXEC);
}

static int copycommand_make_status_file(const struct vm *vm, const char *path, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : account_give(jget(vm->manifest, "user"), fd);

	return r == 0 ? 0 : fail(err, r, .what = "cannot create", .value = path,
				 .why = strerror(-r));
}

/* In a session of its own, so that all of its processes can be killed. */
int copycommand_save(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *script = xasprintf("echo $$ >\"$0\"; ( %s\n); echo $? >>\"$0\"",
						copycommand_of(vm, "uri"));
	_cleanup_free_ char *status = copycommand_status_file(vm);
	_cleanup_free_ char *script_word = shell_quote(script), *status_word = shell_quote(status);
	_cleanup_free_ char *uri = xasprintf(TARGET_EXEC "exec setsid sh -c %s %s", script_word,
					     status_word);
	int r = copycommand_make_status_file(vm, status, err);

	return r < 0 ? r : migration_save_uri(vm->qemu.qmp, uri, err);
}

/*
 * QEMU keeps waiting if a command ends without output, but fails on a byte that begins no
 * state. After a whole state QEMU does not read that byte.
 */
int copycommand_load(struct vm *vm, struct err *err)
{
	_cleanup_free_ char *uri = xasprintf(TARGET_EXEC "( %s\n); printf '\\377'",
					     copycommand_of(vm, "restore_uri"));

	return migration_load_uri(vm->qemu.qmp, uri, err);
}

/* The exit status as text; NULL while the command runs. */
static char *copycommand_status(const char *path)
{
	_cleanup_free_ char *text = read_text(path, 64);
	char *line = text ? strchr(text, '\n') : NULL;

	return line && line[1] ? xstrdup(line + 1) : NULL;
}

int copycommand_wait(struct vm *vm, deadline_t deadline, struct err *err)
{
	const char *uri = jstr(jget(vm->manifest, "target"), "uri");
	_cleanup_free_ char *path = copycommand_status_file(vm), *status = NULL;

	while (!(status = copycommand_status(path))) {
		if (!deadline_left(deadline))
			return fail(err, -ETIMEDOUT, .what = "command", .value = uri,
				    .why = "it does not end",
				    .remedy = "give it longer with --timeout");
		usleep(AGAIN_US);
	}
	unlink(path);
	if (streq(status, "0"))
		return 0;
	return fail(err, -EIO, .what = "command", .value = uri,
		    .why = fmt("it ended with status %s", status),
		    .remedy = "repair what it needs; nothing is saved");
}

/* 0 if the command was not started, or its shell does not write its first line. */
static pid_t copycommand_pid(const char *path)
{
	deadline_t deadline = deadline_in(START_S);
	int pid = 0;

	while (!pid && deadline_left(deadline)) {
		_cleanup_free_ char *text = read_text(path, 64);

		if (!text)
			return 0;
		pid = atoi(text);
		if (!pid)
			usleep(AGAIN_US);
	}
	return pid;
}

void copycommand_kill(const struct vm *vm)
{
	_cleanup_free_ char *path = copycommand_status_file(vm);
	pid_t pid;

	if (!copycommand_used(vm))
		return;
	pid = copycommand_pid(path);
	if (pid > 1 && process_has_argument(pid, path))
		kill(-pid, SIGKILL);
	unlink(path);
}
