// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/interrupt.h"
#include "base/out.h"
#include "base/paths.h"
#include "base/program.h"
#include "vm/manifest.h"
#include "handover/hooks.h"

/* As run-parts(8): what editors and packagers leave behind has other characters. */
static int hook_is_named(const struct dirent *entry)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789_-";

	return entry->d_name[strspn(entry->d_name, ok)] == '\0';
}

static int hook_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool hook_is_executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

static int hook_refuse(struct err *err, const char *hook, const char *why, const char *remedy)
{
	return fail(err, -EPERM, .exit = CPR_EXIT_REFUSED, .what = "hook", .value = hook,
		    .why = why, .remedy = remedy);
}

/* Whoever can write to a hook, or replace a directory that leads to it, would be root. */
static int hook_check_rights(const char *hook, struct err *err)
{
	_cleanup_free_ char *path = realpath(hook, NULL);
	struct stat st;

	while (path) {
		const char *at = *path ? path : "/";

		if (stat(at, &st) < 0)
			break;
		if (st.st_uid != 0)
			return hook_refuse(err, hook, fmt("'%s' does not belong to root", at),
					   fmt("chown root %s", at));
		if (st.st_mode & (S_IWGRP | S_IWOTH))
			return hook_refuse(err, hook, fmt("others than root may write to '%s'", at),
					   fmt("chmod go-w %s", at));
		if (!*path)
			return 0;
		*strrchr(path, '/') = '\0';
	}
	return hook_refuse(err, hook, strerror(errno), NULL);
}

static int hooks_find(struct strv *hooks, struct err *err)
{
	struct dirent **found = NULL;
	int n = scandir(HOOKS_DIR, &found, hook_is_named, hook_order), r = 0;

	if (n < 0 && errno != ENOENT)
		r = fail(err, -errno, .exit = CPR_EXIT_REFUSED, .what = "cannot read",
			 .value = HOOKS_DIR, .why = strerror(errno));
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf(HOOKS_DIR "/%s", found[i]->d_name);

		free(found[i]);
		if (r < 0 || !hook_is_executable(path))
			continue;
		r = hook_check_rights(path, err);
		strv_push(hooks, path);
	}
	free(found);
	return r;
}

/* Nothing of the caller's environment: a hook does the same whoever calls cpr-helper. */
static void hook_environment(const struct vm *vm, const char *step, const char *when,
			     struct strv *env)
{
	pid_t pid = vm->qemu.pid > 0 ? vm->qemu.pid : qemu_pid(vm->name);

	strv_push(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	strv_pushf(env, "CPR_STEP=%s", step);
	strv_pushf(env, "CPR_WHEN=%s", when);
	strv_pushf(env, "CPR_VM=%s", vm->name);
	strv_pushf(env, "CPR_DIR=%s", vm->dir);
	strv_pushf(env, "CPR_MANIFEST=%s/" MANIFEST_FILE, vm->dir);
	if (pid > 0)
		strv_pushf(env, "CPR_QEMU_PID=%d", (int)pid);
}

static int hook_run(const char *hook, const struct vm *vm, const char *step, const char *when,
		    struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 }, env = { 0 };
	struct program program = { .seconds = HOOK_S, .out = -1 };

	strv_push(&argv, hook);
	strv_push(&argv, step);
	strv_push(&argv, when);
	strv_push(&argv, vm->name);
	hook_environment(vm, step, when, &env);
	program.argv = argv.v;
	program.env = env.v;
	return program_run(&program, NULL, err);
}

/* As it is called, for messages. */
static const char *hook_call(const char *hook, const struct vm *vm, const char *step,
			     const char *when)
{
	return fmt("%s %s %s %s", hook, step, when, vm->name);
}

/* The step has been taken, or has not: nothing that a hook says changes that. */
static void hook_tell(const char *hook, const struct vm *vm, const char *step, const char *when)
{
	_cleanup_err_ struct err why = { 0 };
	const char *words;

	if (hook_run(hook, vm, step, when, &why) == 0)
		return;
	words = why.words ? why.words : "";
	note("hook '%s': %s%s%.*s", hook_call(hook, vm, step, when), why.why, *words ? ": " : "",
	     (int)strcspn(words, "\n"), words);
}

static void hooks_tell(const struct strv *hooks, size_t n, const struct vm *vm, const char *step,
		       const char *when)
{
	bool deferred = interrupt_defer(true);

	for (size_t i = 0; i < n; i++)
		hook_tell(hooks->v[i], vm, step, when);
	interrupt_defer(deferred);
}

/* @r: what hook_run() has returned, with the reason @why. */
static int hook_objects(const char *hook, const struct vm *vm, const char *step, int r,
			const struct err *why, struct err *err)
{
	fail(err, r, .exit = r == -EINTR ? CPR_EXIT_FAILED : CPR_EXIT_REFUSED, .what = "hook",
	     .value = hook_call(hook, vm, step, "before"), .why = why->why,
	     .remedy = "nothing has been done; do what the hook says, or correct it");
	err_words(err, why->words);
	return r;
}

bool hooks_exist(void)
{
	_cleanup_strv_ struct strv hooks = { 0 };

	return hooks_find(&hooks, NULL) < 0 || hooks.n;
}

int hooks_check(struct err *err)
{
	_cleanup_strv_ struct strv hooks = { 0 };

	return hooks_find(&hooks, err);
}

int hooks_before(const struct vm *vm, const char *step, struct err *err)
{
	_cleanup_strv_ struct strv hooks = { 0 };
	_cleanup_err_ struct err why = { 0 };
	int r = hooks_find(&hooks, err);

	for (size_t i = 0; r == 0 && i < hooks.n; i++) {
		r = hook_run(hooks.v[i], vm, step, "before", &why);
		if (r == 0)
			continue;
		hook_objects(hooks.v[i], vm, step, r, &why, err);
		hooks_tell(&hooks, i + 1, vm, step, "failed");
	}
	return r;
}

static void hooks_tell_all(const struct vm *vm, const char *step, const char *when)
{
	_cleanup_strv_ struct strv hooks = { 0 };
	_cleanup_err_ struct err why = { 0 };

	if (hooks_find(&hooks, &why) < 0)
		note("VM '%s': no hook runs for %s (%s): %s '%s': %s", vm->name, step, when, why.what,
		     why.value, why.why);
	else
		hooks_tell(&hooks, hooks.n, vm, step, when);
}

void hooks_announce(const struct vm *vm, const char *step)
{
	hooks_tell_all(vm, step, "before");
}

int hooks_after(const struct vm *vm, const char *step, int code)
{
	hooks_tell_all(vm, step, code < 0 ? "failed" : "after");
	return code;
}
