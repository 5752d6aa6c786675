// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/out.h"
#include "vm/diskfile.h"
#include "vm/disks.h"
#include "vm/manifest.h"

#define JSON_PREFIX "json:"

/* Drivers that open a local file or device; all others stand above one, or are remote. */
static const char *const local[] = { "file", "host_device", "host_cdrom" };

/**
 * struct look - what a QEMU says of its disks
 * @nodes: of query-named-block-nodes: each layer of each disk, twice: format and file
 * @devices: of query-block: what the guest has
 * @stats: of query-blockstats, a node each
 * @disks: what comes of it
 */
struct look {
	const struct vm *vm;
	struct json_object *nodes;
	struct json_object *devices;
	struct json_object *stats;
	struct json_object *disks;
};

static void look_free(struct look *look)
{
	json_object_put(look->nodes);
	json_object_put(look->devices);
	json_object_put(look->stats);
	json_object_put(look->disks);
}

static struct json_object *at(struct json_object *array, size_t i)
{
	return json_object_array_get_idx(array, i);
}

static size_t count(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static bool is_local(const char *driver)
{
	for (size_t i = 0; driver && i < ARRAY_SIZE(local); i++)
		if (streq(driver, local[i]))
			return true;
	return false;
}

/* Whether a name of an image, which may be JSON with further names in it, has @file. */
static bool object_names(struct json_object *obj, const char *file)
{
	const char *name = jstr(obj, "filename");

	if (name && streq(name, file))
		return true;
	if (!json_object_is_type(obj, json_type_object))
		return false;
	json_object_object_foreach(obj, key, value) {
		(void)key;
		if (object_names(value, file))
			return true;
	}
	return false;
}

static bool names(const char *image, const char *file)
{
	_cleanup_json_ struct json_object *obj = NULL;

	if (!image)
		return false;
	if (!startswith(image, JSON_PREFIX))
		return streq(image, file);
	obj = json_tokener_parse(image + strlen(JSON_PREFIX));
	return object_names(obj, file);
}

/* An image, or one that it is based on. */
static bool has_layer(struct json_object *device, const char *file)
{
	struct json_object *image = jget(jget(device, "inserted"), "image");

	for (; image; image = jget(image, "backing-image"))
		if (names(jstr(image, "filename"), file))
			return true;
	return false;
}

/* As the operator calls a disk: -drive id=, or -device id=, or -blockdev node-name=. */
static const char *device_name(struct json_object *device)
{
	static const char peripheral[] = "/machine/peripheral/";
	const char *name = jstr(device, "device"), *qdev = jstr(device, "qdev");

	if (name && *name)
		return name;
	if (!qdev || !startswith(qdev, peripheral))
		return jstr(jget(device, "inserted"), "node-name");
	qdev += strlen(peripheral);
	return fmt("%.*s", (int)strcspn(qdev, "/"), qdev);
}

static const char *name_of(const struct look *look, struct json_object *node, const char *file)
{
	const char *name = jstr(node, "node-name");

	for (size_t i = 0; i < count(look->devices); i++) {
		struct json_object *device = at(look->devices, i);

		if (has_layer(device, file) && device_name(device))
			return device_name(device);
	}
	return name && *name != '#' ? name : file;
}

/* The name that QEMU opened; it may be JSON, with options beside the name. */
static char *file_of(struct json_object *node)
{
	_cleanup_json_ struct json_object *obj = NULL;
	const char *file = jstr(node, "file");

	if (!file || !startswith(file, JSON_PREFIX))
		return file ? xstrdup(file) : NULL;
	obj = json_tokener_parse(file + strlen(JSON_PREFIX));
	return jstr(obj, "filename") ? xstrdup(jstr(obj, "filename")) : NULL;
}

static char *full_path(const struct vm *vm, const char *file)
{
	return *file == '/' ? xstrdup(file) : xasprintf("%s/%s", jstr(vm->manifest, "cwd"), file);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether the path still leads to a file that QEMU has open. */
static bool has_open(const struct vm *vm, const char *path)
{
	_cleanup_free_ char *dir = xasprintf("/proc/%d/fd", (int)vm->qemu.pid);
	struct stat want, is;
	struct dirent *e;
	bool found = false;
	DIR *d;

	if (stat(path, &want) < 0)
		return false;
	d = opendir(dir);
	while (d && !found && (e = readdir(d)))
		found = fstatat(dirfd(d), e->d_name, &is, 0) == 0 && same_file(&want, &is);
	if (d)
		closedir(d);
	return found;
}

/* Whether QEMU has not written to a node since it opened it. */
static bool is_unwritten(const struct look *look, const char *name)
{
	for (size_t i = 0; name && i < count(look->stats); i++) {
		struct json_object *entry = at(look->stats, i);
		const char *this = jstr(entry, "node-name");

		if (this && streq(this, name))
			return jint(jget(entry, "stats"), "wr_highest_offset", 1) == 0;
	}
	return false;
}

/* QEMU makes such a file for snapshot=on, and takes its name away at once. */
static bool is_temporary(const char *path)
{
	const char *name = strrchr(path, '/');

	return access(path, F_OK) < 0 && name && startswith(name, "/vl.") && strlen(name) == 10;
}

static int refuse(const char *name, const char *why, const char *remedy, struct err *err)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "disk", .value = name,
		    .why = why, .remedy = remedy);
}

/* A file without a name, or whose name leads elsewhere: the next QEMU would miss it. */
static int check_lost(const struct look *look, struct json_object *node, const char *name,
		      const char *path, struct err *err)
{
	if (!is_temporary(path))
		return refuse(name, fmt("its file '%s' is %s", path, access(path, F_OK) < 0 ?
					"gone" : "another one than QEMU has open"),
			      "put back the file that QEMU has open, or shut the guest down", err);
	if (is_unwritten(look, jstr(node, "node-name")))
		return 0;
	return refuse(name, "the guest has written to it, and snapshot=on keeps that in a "
		      "file that goes away with QEMU",
		      "write it to the image ('commit' in QEMU's monitor), and start the VM "
		      "without snapshot=on", err);
}

/*
 * What the guest was told is on disk must be there under the next kernel, and so
 * must the time of it; with cache=unsafe QEMU does not see to that. A file system
 * that cannot be written to has nothing to sync.
 */
static int sync_disk(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	return fsync(fd) == 0 || errno == EINVAL || errno == EROFS ? 0 : -errno;
}

static bool is_known(struct json_object *disks, const char *path)
{
	for (size_t i = 0; i < count(disks); i++)
		if (jstr(at(disks, i), "path") && streq(jstr(at(disks, i), "path"), path))
			return true;
	return false;
}

static int add_node(struct look *look, struct json_object *node, struct err *err)
{
	_cleanup_free_ char *file = file_of(node), *path = NULL;
	struct json_object *disk;
	const char *name;
	int r;

	if (!file)
		return refuse(jstr(node, "node-name"), "QEMU does not tell which file it is",
			      NULL, err);
	path = full_path(look->vm, file);
	name = name_of(look, node, file);
	if (is_known(look->disks, path))
		return 0;
	if (!has_open(look->vm, path))
		return check_lost(look, node, name, path, err);
	disk = json_object_new_object();
	json_object_array_add(look->disks, disk);
	jset_str(disk, "name", name);
	jset_str(disk, "path", path);
	r = sync_disk(path);
	if (r == 0)
		r = diskfile_measure(disk, path);
	if (r < 0)
		return fail(err, r, .what = "disk", .value = name,
			    .why = fmt("'%s' cannot be read: %s", path, strerror(-r)));
	return 0;
}

/* A disk that has no local file in any layer: what happens to it, nobody here sees. */
static void add_remote(struct look *look, struct json_object *device)
{
	struct json_object *disk, *inserted = jget(device, "inserted");
	const char *driver = jstr(inserted, "drv"), *name = device_name(device);

	if (!driver || !name)
		return;
	for (size_t i = 0; i < count(look->nodes); i++) {
		_cleanup_free_ char *file = file_of(at(look->nodes, i));

		if (is_local(jstr(at(look->nodes, i), "drv")) && file && has_layer(device, file))
			return;
	}
	disk = json_object_new_object();
	jset_str(disk, "name", name);
	jset_str(disk, "unchecked", driver);
	json_object_array_add(look->disks, disk);
	detail("VM '%s': disk '%s' (%s) is no local file, and not looked at", look->vm->name,
	       name, driver);
}

static int query(struct qmp *qmp, const char *command, const char *option,
		 struct json_object **ret, struct err *err)
{
	struct json_object *args = NULL;
	int r;

	if (option) {
		args = json_object_new_object();
		jset_bool(args, option, true);
	}
	r = qmp_run(qmp, command, args, ret, err);
	if (r < 0 || json_object_is_type(*ret, json_type_array))
		return r;
	return fail(err, -EPROTO, .what = "no answer from", .value = qmp->js->peer,
		    .why = fmt("%s without a list", command));
}

static int look_nodes(struct look *look, struct err *err)
{
	return query(look->vm->qemu.qmp, "query-named-block-nodes", "flat", &look->nodes, err);
}

/* What QEMU has open, by name; a file without one is its own affair. */
static void node_paths(const struct look *look, struct strv *paths)
{
	for (size_t i = 0; i < count(look->nodes); i++) {
		_cleanup_free_ char *file = file_of(at(look->nodes, i)), *path = NULL;

		if (!file || !is_local(jstr(at(look->nodes, i), "drv")))
			continue;
		path = full_path(look->vm, file);
		if (!is_temporary(path))
			strv_push(paths, path);
	}
}

static int look_all(struct look *look, struct err *err)
{
	struct qmp *qmp = look->vm->qemu.qmp;
	int r = look_nodes(look, err);

	if (r == 0)
		r = query(qmp, "query-block", NULL, &look->devices, err);
	return r < 0 ? r : query(qmp, "query-blockstats", "query-nodes", &look->stats, err);
}

/*
 * The next QEMU gets the arguments that this one got. What was plugged, exchanged,
 * mirrored or snapshot since is not in them.
 */
static int check_started(const struct look *look, struct err *err)
{
	static const char remedy[] = "undo that, or shut the guest down and start it as it is now";
	struct json_object *list = jget(look->vm->manifest, "disks");
	_cleanup_strv_ struct strv now = { 0 }, then = { 0 };

	for (size_t i = 0; i < count(list); i++)
		strv_push(&then, json_object_get_string(at(list, i)));
	node_paths(look, &now);
	for (size_t i = 0; list && i < now.n; i++)
		if (!strv_has(&then, now.v[i]))
			return refuse(now.v[i], "QEMU was not started with it, and would not "
				      "find it again", remedy, err);
	for (size_t i = 0; i < then.n; i++)
		if (!strv_has(&now, then.v[i]))
			return refuse(then.v[i], "QEMU was started with it, and has it no more",
				      remedy, err);
	return 0;
}

int disks_started(struct vm *vm, struct err *err)
{
	_cleanup_(look_free) struct look look = { .vm = vm };
	_cleanup_strv_ struct strv paths = { 0 };
	int r = look_nodes(&look, err);

	if (r < 0)
		return r;
	node_paths(&look, &paths);
	jset(vm->manifest, "disks", manifest_strings(&paths));
	return 0;
}

int disks_inspect(struct vm *vm, struct json_object **disks, struct err *err)
{
	_cleanup_(look_free) struct look look = { .vm = vm, .disks = json_object_new_array() };
	int r = look_all(&look, err);

	for (size_t i = 0; r == 0 && i < count(look.nodes); i++)
		if (is_local(jstr(at(look.nodes, i), "drv")))
			r = add_node(&look, at(look.nodes, i), err);
	if (r == 0)
		r = check_started(&look, err);
	for (size_t i = 0; r == 0 && i < count(look.devices); i++)
		add_remote(&look, at(look.devices, i));
	if (r == 0)
		*disks = json_object_get(look.disks);
	return r;
}

int disks_again(struct json_object *disks, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count(disks); i++) {
		const char *path = jstr(at(disks, i), "path");

		if (path)
			r = diskfile_measure(at(disks, i), path);
		if (r < 0)
			fail(err, r, .what = "disk", .value = path, .why = strerror(-r));
	}
	return r;
}

static bool in_list(const char *list, const char *word)
{
	for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
		if (strcspn(list, ",") == strlen(word) && startswith(list, word))
			return true;
	return false;
}

static bool is_forced(const char *forced, const char *name, const char *path)
{
	return in_list(forced, name) || in_list(forced, path);
}

int disks_opened(struct vm *vm, struct json_object *disks, const char *forced, struct err *err)
{
	_cleanup_(look_free) struct look look = { .vm = vm };
	_cleanup_strv_ struct strv paths = { 0 };
	int r = look_nodes(&look, err);

	node_paths(&look, &paths);
	for (size_t i = 0; r == 0 && i < count(disks); i++) {
		const char *name = jstr(at(disks, i), "name"), *path = jstr(at(disks, i), "path");

		if (!path || strv_has(&paths, path) || is_forced(forced, name, path))
			continue;
		r = refuse(name, fmt("the guest had '%s', and QEMU was not started with it", path),
			   NULL, err);
	}
	return r;
}

/* ---- then and now ---- */

static int gone(struct json_object *disk, int r, struct err *err)
{
	return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "disk",
		    .value = jstr(disk, "name"),
		    .why = fmt("'%s': %s", jstr(disk, "path"), strerror(-r)),
		    .remedy = "bring it back as it was, then restore again");
}

/* Adds its name to @changed if it has, and @why of the first. */
static int compare(struct json_object *disk, const char *vm, const char *forced,
		   struct strv *changed, char **why, struct err *err)
{
	_cleanup_json_ struct json_object *now = json_object_new_object();
	const char *name = jstr(disk, "name"), *path = jstr(disk, "path");
	_cleanup_free_ char *what = NULL;
	int r = path ? diskfile_measure(now, path) : 0;

	if (!path)
		return 0;
	if (r < 0)
		return gone(disk, r, err);
	what = diskfile_difference(disk, now);
	if (what && is_forced(forced, name, path)) {
		note("VM '%s': disk '%s' ('%s') has changed, and is taken all the same: %s", vm,
		     name, path, what);
	} else if (what) {
		if (!changed->n)
			*why = xasprintf("'%s' has changed since the guest was saved: %s", path,
					 what);
		if (!strv_has(changed, name))
			strv_push(changed, name);
	}
	return 0;
}

int disks_known(struct json_object *disks, const char *forced, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(forced ? forced : ""), *list = NULL;
	_cleanup_strv_ struct strv names = { 0 };
	char *next = forced ? copy : NULL, *word;

	for (size_t i = 0; i < count(disks); i++)
		strv_push(&names, jstr(at(disks, i), "name"));
	list = strv_join(&names, ", ");
	while ((word = strsep(&next, ",")))
		if (!strv_has(&names, word) && !is_known(disks, word))
			return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "--force",
				    .value = word, .why = "the guest has no such disk",
				    .remedy = names.n ? fmt("its disks are: %s", list) : "leave it out");
	return 0;
}

int disks_compare(struct json_object *disks, const char *vm, const char *forced, struct err *err)
{
	_cleanup_strv_ struct strv changed = { 0 };
	_cleanup_free_ char *why = NULL, *list = NULL;

	for (size_t i = 0; i < count(disks); i++) {
		int r = compare(at(disks, i), vm, forced, &changed, &why, err);

		if (r < 0)
			return r;
	}
	if (!changed.n)
		return 0;
	list = strv_join(&changed, ",");
	return fail(err, -ESTALE, .exit = CPR_EXIT_REFUSED, .what = "disk", .value = changed.v[0],
		    .why = why, .remedy =
		    fmt("bring it back as it was; the guest would go on with what it knows of it. "
			"'cpr-helper restore %s --force %s' takes it as it is", vm, list));
}
