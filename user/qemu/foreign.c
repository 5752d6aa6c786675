// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "qemu/foreign.h"
#include "qemu/qemuopt.h"
#include "qemu/refuse.h"

/* What was done once and is not to be done again: the state comes from the file. */
static const char *const once[] = { "S", "daemonize", "incoming", "loadvm" };

/* Options with arguments in which an open file may be named by its number. */
static const char *const takers[] = {
	"netdev", "nic", "net", "chardev", "device", "object", "spice", "vnc", "drive", "blockdev",
	"fsdev", "tpmdev",
};

static const char *const fd_keys[] = { "fd", "fds", "vhostfd", "vhostfds", "sock_fd" };

static const char *const fd_paths[] = { "/dev/fdset/", "/dev/fd/", "/proc/self/fd/" };

/* Key of a first word that has none, whatever QEMU calls it: "file" of a chardev. */
#define IMPLIED "driver"

#define INHERITED "its first parent opened this file for it, and nobody could again"

static bool has(const char *const *list, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (streq(list[i], s))
			return true;
	return false;
}

static const char *last_part(const char *key)
{
	const char *dot = strrchr(key, '.');

	return dot ? dot + 1 : key;
}

/* JSON that was parsed is not nested deeper than its parser allows. */
static bool names_fd(struct json_object *kv)
{
	if (!json_object_is_type(kv, json_type_object))
		return false;
	json_object_object_foreach(kv, key, value) {
		if (has(fd_keys, ARRAY_SIZE(fd_keys), last_part(key)) || names_fd(value))
			return true;
		if (streq(last_part(key), "type") && json_object_is_type(value, json_type_string) &&
		    streq(json_object_get_string(value), "fd"))
			return true;
	}
	return false;
}

static int check_fd(const struct qemuopt *opt, struct err *err)
{
	_cleanup_json_ struct json_object *kv = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(fd_paths); i++)
		if (!streq(opt->name, "append") && strstr(opt->value, fd_paths[i]))
			return refuse_with(err, opt, INHERITED, "start that QEMU with the file's path");
	if (!has(takers, ARRAY_SIZE(takers), opt->name))
		return 0;
	kv = keyval_parse(opt->value, IMPLIED);
	if (!names_fd(kv))
		return 0;
	return refuse_with(err, opt, INHERITED, "start that QEMU so that it opens the file itself, "
			   "by a path, a bridge or a script");
}

static int check_own(const struct qemuopt *opt, struct err *err)
{
	_cleanup_json_ struct json_object *kv = keyval_parse(opt->value, IMPLIED);
	const char *id = keyval(kv, "id");

	if (!id || !streq(id, "cpr-qmp"))
		return 0;
	return refuse_with(err, opt, "cpr-helper has started this QEMU",
			   "'cpr-helper list' shows the VM that it is of");
}

/* What its memory was given to before nobody here has seen. */
static int check_device(const struct qemuopt *opt, struct err *err)
{
	_cleanup_json_ struct json_object *kv = keyval_parse(opt->value, "driver");
	const char *driver = keyval(kv, "driver");

	if (!streq(opt->name, "device") || !driver || !startswith(driver, "vfio-"))
		return 0;
	return refuse_with(err, opt, "a guest with passed-through devices is not adopted",
			   "start it with 'cpr-helper run'");
}

static int check(const struct qemuopt *opt, struct err *err)
{
	int r = check_own(opt, err);

	if (r == 0)
		r = check_device(opt, err);
	return r < 0 ? r : check_fd(opt, err);
}

/* Where a QEMU with -daemonize was started is forgotten: it has gone to /. */
static const char *const file_keys[] = { "file", "filename", "path", "mem-path", "romfile", "dir" };
static const char *const file_options[] = {
	"", "kernel", "initrd", "dtb", "bios", "cdrom", "fda", "fdb", "pflash", "mem-path", "pidfile",
	"D",
};

/* "hd" and a letter is a disk, too. */
static bool takes_file(const char *option)
{
	return has(file_options, ARRAY_SIZE(file_options), option) ||
	       (startswith(option, "hd") && strlen(option) == 3);
}

/* A protocol, or a driver, has a colon. */
static bool is_relative(const char *path)
{
	return *path && *path != '/' && !strchr(path, ':');
}

static bool names_relative(struct json_object *kv)
{
	if (!json_object_is_type(kv, json_type_object))
		return false;
	json_object_object_foreach(kv, key, value) {
		if (names_relative(value))
			return true;
		if (has(file_keys, ARRAY_SIZE(file_keys), last_part(key)) &&
		    json_object_is_type(value, json_type_string) &&
		    is_relative(json_object_get_string(value)))
			return true;
	}
	return false;
}

static int check_relative(const struct qemuopt *opt, struct err *err)
{
	_cleanup_json_ struct json_object *kv = NULL;

	if (streq(opt->name, "append"))
		return 0;
	kv = keyval_parse(opt->value, IMPLIED);
	if (!names_relative(kv) && !(takes_file(opt->name) && is_relative(opt->value)))
		return 0;
	return refuse_with(err, opt, "-daemonize has QEMU forget what this path is relative to",
			   "start that QEMU with whole paths");
}

static bool has_option(const struct strv *argv, const char *name)
{
	struct qemuopt opt;
	size_t pos = 0;

	while (qemuopt_next(argv, &pos, &opt))
		if (streq(opt.name, name))
			return true;
	return false;
}

int foreign_argv(const struct strv *in, struct strv *out, struct err *err)
{
	bool daemon = has_option(in, "daemonize");
	struct qemuopt opt;
	size_t pos = 0;

	while (qemuopt_next(in, &pos, &opt)) {
		if (has(once, ARRAY_SIZE(once), opt.name))
			continue;
		if (opt.value && check(&opt, err) < 0)
			return -EOPNOTSUPP;
		if (opt.value && daemon && check_relative(&opt, err) < 0)
			return -EOPNOTSUPP;
		for (size_t i = 0; i < opt.words; i++)
			strv_push(out, in->v[opt.at + i]);
	}
	return 0;
}

bool foreign_in_place(const struct strv *argv, const char *dir)
{
	struct qemuopt opt;
	size_t pos = 0, len = strlen(dir);

	while (qemuopt_next(argv, &pos, &opt)) {
		_cleanup_json_ struct json_object *kv = NULL;
		const char *path;

		if (!opt.value || (!streq(opt.name, "object") && !streq(opt.name, "mem-path")))
			continue;
		kv = keyval_parse(opt.value, streq(opt.name, "object") ? "qom-type" : "mem-path");
		path = keyval(kv, "mem-path");
		if (path && startswith(path, dir) && path[len] == '/')
			return true;
	}
	return false;
}

void foreign_devices(const struct strv *argv, struct strv *ids)
{
	struct qemuopt opt;
	size_t pos = 0;

	while (qemuopt_next(argv, &pos, &opt)) {
		_cleanup_json_ struct json_object *kv = NULL;

		if (!opt.value || !streq(opt.name, "device"))
			continue;
		kv = keyval_parse(opt.value, "driver");
		if (keyval(kv, "id"))
			strv_push(ids, keyval(kv, "id"));
	}
}
