// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "qemu/foreign.h"
#include "qemu/refuse.h"

int foreign_chardev(const struct qemuopt *opt, const char *dir, struct err *err)
{
	(void)dir;
	if (!keyval_is(opt->kv, "id", "cpr-qmp"))
		return 0;
	return refuse_with(err, opt, "cpr-helper has started this QEMU",
			   "'cpr-helper list' shows its VM");
}

/* Where the device could write before it was adopted is not known. */
int foreign_device(const struct qemuopt *opt, const char *dir, struct err *err)
{
	const char *driver = keyval(opt->kv, "driver");

	(void)dir;
	if (!driver || !startswith(driver, "vfio-"))
		return 0;
	return refuse_with(err, opt, "a guest with passed-through devices is not adopted",
			   "start it with 'cpr-helper run'");
}

/* A protocol, or a driver, has a colon. */
static bool foreign_relative(const char *path)
{
	return *path && *path != '/' && !strchr(path, ':');
}

static bool foreign_names_relative(const char *key, const char *value, void *arg)
{
	static const char *const keys[] = {
		"file", "filename", "path", "mem-path", "romfile", "dir",
	};

	(void)arg;
	return str_in(keys, key) && foreign_relative(value);
}

/* A QEMU with -daemonize has changed to /, and nothing records where it was started. */
static int foreign_check_relative(const struct qemuopt *opt, struct err *err)
{
	if (!keyval_any(opt->kv, foreign_names_relative, NULL) &&
	    (opt->kind->arg != QEMUOPT_PATH || !foreign_relative(opt->value)))
		return 0;
	return refuse_with(err, opt, "the directory that this path is relative to is not known "
			   "after -daemonize", "start that QEMU with absolute paths");
}

int foreign_check(const struct qemuopts *opts, const char *dir, struct err *err)
{
	bool daemonized = false;
	int r = 0;

	qemuopts_for_each(opt, opts) {
		daemonized |= opt->kind->id == QEMUOPT_DAEMONIZE;
		if (r == 0 && opt->kind->adopt)
			r = opt->kind->adopt(opt, dir, err);
	}
	qemuopts_for_each(opt, opts) {
		if (opt->kind->once)
			continue;
		if (r == 0 && daemonized)
			r = foreign_check_relative(opt, err);
		if (r == 0)
			r = refuse_option(opt, dir, err);
	}
	return r;
}

bool foreign_in_place(const struct qemuopts *opts, const char *dir)
{
	size_t len = strlen(dir);

	qemuopts_for_each(opt, opts) {
		const char *path = opt->kind->id == QEMUOPT_MEM_PATH ? opt->value :
				   opt->kind->id == QEMUOPT_OBJECT ? keyval(opt->kv, "mem-path") : NULL;

		if (path && startswith(path, dir) && path[len] == '/')
			return true;
	}
	return false;
}
