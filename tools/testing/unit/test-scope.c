// SPDX-License-Identifier: GPL-2.0-only
/* A scope holds a VM's QEMU with all that it starts, and ends with all of it. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ktap.h"
#include "base/util.h"
#include "qemu/process.h"
#include "qemu/scope.h"

static const char *vm;

/* A process that waits for a byte, then starts another, and tells its PID. */
static pid_t start(int *in, int *out)
{
	int to[2], from[2];
	pid_t pid, child;
	char go;

	if (pipe(to) < 0 || pipe(from) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		if (read(to[0], &go, 1) != 1)
			_exit(1);
		child = fork();
		if (child != 0)
			write_all(from[1], &child, sizeof(child));
		for (;;)
			pause();
	}
	*in = to[1];
	*out = from[0];
	return pid;
}

/* Within a second. It is a child of init once its parent has ended, and may stay a zombie. */
static bool has_ended(pid_t pid)
{
	for (int i = 0; i < 100; i++) {
		_cleanup_free_ char *stat = read_text(fmt("/proc/%d/stat", (int)pid), 4096);

		if (!stat || strstr(stat, ") Z "))
			return true;
		usleep(10000);
	}
	return false;
}

static pid_t start_in_scope(pid_t *child)
{
	int in = -1, out = -1;
	pid_t pid = start(&in, &out);

	*child = -1;
	scope_begin(vm, pid);
	if (write_all(in, "", 1) < 0 || read(out, child, sizeof(*child)) != sizeof(*child))
		*child = -1;
	return pid;
}

static void kill_it(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Whether a scope can be made here. */
static bool possible(void)
{
	pid_t child, pid = start_in_scope(&child);
	_cleanup_free_ char *scope = scope_of(vm, pid);

	kill_it(pid);
	if (child > 0)
		kill(child, SIGKILL);
	scope_clear(vm);
	return scope;
}

TEST(begin_and_end)
{
	pid_t child, pid = start_in_scope(&child);
	_cleanup_free_ char *scope = scope_of(vm, pid), *own = process_cgroup(getpid());
	_cleanup_free_ char *inherited = process_cgroup(child), *other = scope_of("other", pid);

	CHECK(scope && strstr(scope, fmt("/cpr-%s", vm)));
	CHECK_STR(inherited, scope);
	CHECK(!other);
	CHECK(!streq(own, scope));
	kill_it(pid);
	scope_end(scope);
	CHECK(has_ended(child));
}

TEST(what_is_left_has_no_part_in_the_next)
{
	pid_t left, child, pid = start_in_scope(&left);

	kill_it(pid);
	pid = start_in_scope(&child);
	CHECK(has_ended(left));
	kill_it(pid);
	CHECK(!has_ended(child));
	scope_clear(vm);
	CHECK(has_ended(child));
	scope_clear(vm);
}

int main(void)
{
	_cleanup_free_ char *name = xasprintf("test-%d", (int)getpid());

	vm = name;
	if (!possible()) {
		puts("TAP version 13\n1..0 # SKIP no cgroup can be made here");
		return 0;
	}
	return ktap_run();
}
