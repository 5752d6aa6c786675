// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "host/volatile.h"
#include "qemu/qemuopt.h"
#include "qemu/rehearsalargs.h"
#include "vm/manifest.h"
#include "vm/outlives.h"

static int outlives_refuse(struct err *err, const char *what, const char *value, const char *why)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = what, .value = value,
		    .why = why, .remedy = "move it to a disk, and start the VM with it there; a host "
		    "that keeps its kernel needs no disk: 'update --qemu', or 'save --no-kexec'");
}

static int outlives_check_file(const char *what, const char *cwd, const char *path, struct err *err)
{
	_cleanup_free_ char *full = *path == '/' ? xstrdup(path) : xasprintf("%s/%s", cwd, path);
	const char *why = volatile_why(full);

	return why ? outlives_refuse(err, what, full, why) : 0;
}

/**
 * struct outlives - an option whose files are looked at
 * @option: its name, for errors
 * @cwd: of QEMU
 */
struct outlives {
	const char *option, *cwd;
	struct err *err;
};

/* Whether this member is a file that QEMU reads, and that is lost. */
static bool outlives_is_lost(const char *key, const char *value, void *arg)
{
	static const char *const keys[] = { "file", "filename", "romfile" };
	const struct outlives *o = arg;

	return str_in(keys, key) && outlives_check_file(o->option, o->cwd, value, o->err) < 0;
}

/* What a rehearsal leaves out makes no machine: QEMU at most writes there. */
static int outlives_check_option(const struct qemuopt *opt, const char *cwd, struct err *err)
{
	struct outlives o = { .option = fmt("-%s", opt->name), .cwd = cwd, .err = err };

	if (opt->kind->rehearse == rehearsal_drop || !opt->value)
		return 0;
	if (opt->kind->arg == QEMUOPT_PATH)
		return outlives_check_file(*opt->name ? o.option : "disk", cwd, opt->value, err);
	return keyval_any(opt->kv, outlives_is_lost, &o) ? -EOPNOTSUPP : 0;
}

static int outlives_check_options(struct json_object *manifest, const char *cwd, struct err *err)
{
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	int r;

	manifest_argv(manifest, &argv);
	r = qemuopts_parse(&argv, &opts, err);
	qemuopts_for_each(opt, &opts)
		if (r == 0)
			r = outlives_check_option(opt, cwd, err);
	return r;
}

static int outlives_check_disks(struct json_object *disks, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && disks && i < json_object_array_length(disks); i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		const char *path = jstr(disk, "path"), *why = path ? volatile_why(path) : NULL;

		if (why)
			r = outlives_refuse(err, "disk", jstr(disk, "name"),
					    fmt("'%s': %s", path, why));
	}
	return r;
}

int outlives_check(struct json_object *manifest, const char *binary, struct json_object *disks,
		   struct err *err)
{
	const char *cwd = jstr(manifest, "cwd");
	int r = outlives_check_file("QEMU binary", cwd, binary, err);

	if (r == 0)
		r = outlives_check_file("working directory", cwd, cwd, err);
	if (r == 0)
		r = outlives_check_disks(disks, err);
	return r < 0 ? r : outlives_check_options(manifest, cwd, err);
}
