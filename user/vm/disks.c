// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/numbers.h"
#include "base/out.h"
#include "vm/diskfile.h"
#include "vm/disks.h"
#include "vm/manifest.h"
#include "vm/served.h"

#define JSON_PREFIX "json:"
#define FLASH "/machine/system.flash"

/* Block drivers that open a local file or device. Others are filters, formats, or remote. */
static const char *const local[] = { "file", "host_device", "host_cdrom" };

/**
 * struct block_info - the block devices of a QEMU
 * @vm: the VM, with its QEMU attached
 * @nodes: reply to query-named-block-nodes: for each layer of a disk a format node and a
 *	file node
 * @devices: reply to query-block: the guest's disks
 * @stats: reply to query-blockstats: one entry for each node
 * @disks: the result, in the format of "saved.disks" in the manifest
 */
struct block_info {
	const struct vm *vm;
	struct json_object *nodes;
	struct json_object *devices;
	struct json_object *stats;
	struct json_object *disks;
};

static void block_info_free(struct block_info *info)
{
	json_object_put(info->nodes);
	json_object_put(info->devices);
	json_object_put(info->stats);
	json_object_put(info->disks);
}

static struct json_object *jarray_at(struct json_object *array, size_t i)
{
	return json_object_array_get_idx(array, i);
}

static size_t jarray_length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* Whether @file is a "filename" in @obj or in an object nested in it. */
static bool json_has_filename(struct json_object *obj, const char *file)
{
	const char *name = jstr(obj, "filename");

	if (name && streq(name, file))
		return true;
	if (!json_object_is_type(obj, json_type_object))
		return false;
	json_object_object_foreach(obj, key, value) {
		(void)key;
		if (json_has_filename(value, file))
			return true;
	}
	return false;
}

static bool image_is_named(const char *image, const char *file)
{
	_cleanup_json_ struct json_object *obj = NULL;

	if (!image)
		return false;
	if (!startswith(image, JSON_PREFIX))
		return streq(image, file);
	obj = json_parse(image + strlen(JSON_PREFIX), NULL);
	return json_has_filename(obj, file);
}

/* Whether @file is the image of a device or one of its backing files. */
static bool has_layer(struct json_object *device, const char *file)
{
	struct json_object *image = jget(jget(device, "inserted"), "image");

	for (; image; image = jget(image, "backing-image"))
		if (image_is_named(jstr(image, "filename"), file))
			return true;
	return false;
}

/* The operator's name of a disk: -drive id=, or -device id=, or -blockdev node-name=. */
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

/*
 * Whether @file is only a firmware image that the guest cannot write to. QEMU has copied it
 * into memory, which is part of the saved state, so that the file is not read again: its
 * content may change, but not its size.
 */
static bool is_firmware(const struct block_info *info, const char *file)
{
	bool flash = false;

	for (size_t i = 0; i < jarray_length(info->devices); i++) {
		struct json_object *device = jarray_at(info->devices, i);
		const char *qdev = jstr(device, "qdev");

		if (!has_layer(device, file))
			continue;
		flash = qdev && startswith(qdev, FLASH) && jbool(jget(device, "inserted"), "ro", false);
		if (!flash)
			return false;
	}
	return flash;
}

static const char *disk_name(const struct block_info *info, struct json_object *node,
			     const char *file)
{
	const char *name = jstr(node, "node-name");

	for (size_t i = 0; i < jarray_length(info->devices); i++) {
		struct json_object *device = jarray_at(info->devices, i);

		if (has_layer(device, file) && device_name(device))
			return device_name(device);
	}
	return name && *name != '#' ? name : file;
}

/* The file name that QEMU opened, which may be inside a JSON object. Caller frees. */
static char *node_file(struct json_object *node)
{
	_cleanup_json_ struct json_object *obj = NULL;
	const char *file = jstr(node, "file");

	if (!file || !startswith(file, JSON_PREFIX))
		return file ? xstrdup(file) : NULL;
	obj = json_parse(file + strlen(JSON_PREFIX), NULL);
	return jstr(obj, "filename") ? xstrdup(jstr(obj, "filename")) : NULL;
}

static char *disk_full_path(const struct vm *vm, const char *file)
{
	return *file == '/' ? xstrdup(file) : xasprintf("%s/%s", jstr(vm->manifest, "cwd"), file);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether @path still leads to a file that QEMU has open. */
static bool qemu_has_open(const struct vm *vm, const char *path)
{
	_cleanup_numbers_ struct numbers fds = numbers_of_process(vm->qemu.pid, "fd");
	struct stat want, is;

	if (stat(path, &want) < 0)
		return false;
	while (numbers_next(&fds))
		if (fstatat(dirfd(fds.dir), fmt("%d", fds.n), &is, 0) == 0 &&
		    same_file(&want, &is))
			return true;
	return false;
}

/* Whether QEMU has written nothing to a node since it opened the node. */
static bool is_unwritten(const struct block_info *info, const char *name)
{
	struct json_object *entry = name ? jfind(info->stats, "node-name", name) : NULL;

	return entry && jint(jget(entry, "stats"), "wr_highest_offset", 1) == 0;
}

/* For snapshot=on QEMU creates a file "vl.XXXXXX" and unlinks it at once. */
static bool is_temporary(const char *path)
{
	const char *name = strrchr(path, '/');

	return access(path, F_OK) < 0 && name && startswith(name, "/vl.") && strlen(name) == 10;
}

static int disk_refuse(const char *name, const char *why, const char *remedy, struct err *err)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "disk", .value = name,
		    .why = why, .remedy = remedy);
}

/* The file was removed or replaced, so that the next QEMU would not find it. */
static int disk_check_lost(const struct block_info *info, struct json_object *node,
			   const char *name, const char *path, struct err *err)
{
	if (!is_temporary(path))
		return disk_refuse(name, fmt("its file '%s' %s", path, access(path, F_OK) < 0 ?
					     "was removed" : "is not the one that QEMU has open"),
				   "put back the file that QEMU has open, or shut the guest down",
				   err);
	if (is_unwritten(info, jstr(node, "node-name")))
		return 0;
	return disk_refuse(name,
			   "the guest has written to it, and with snapshot=on the data is in a "
			   "temporary file of QEMU",
			   "commit the data to the image ('commit' in QEMU's monitor), and start "
			   "the VM without snapshot=on", err);
}

/*
 * Data that the guest considers written must be on disk before the kexec, and so must the
 * modification time. With cache=unsafe QEMU does not sync. A read-only file system has
 * nothing to sync.
 */
static int disk_sync(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	return fsync(fd) == 0 || errno == EINVAL || errno == EROFS ? 0 : -errno;
}

/* Whether a file has taken the place of a firmware image, as when its package is upgraded. */
static bool firmware_replaced(const struct block_info *info, struct json_object *node,
			      const char *file, const char *path)
{
	struct stat st;

	return is_firmware(info, file) && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_size == jint(jget(node, "image"), "virtual-size", -1);
}

static bool disks_have_path(struct json_object *disks, const char *path)
{
	for (size_t i = 0; i < jarray_length(disks); i++)
		if (jstr(jarray_at(disks, i), "path") &&
		    streq(jstr(jarray_at(disks, i), "path"), path))
			return true;
	return false;
}

static int disks_add_node(struct block_info *info, struct json_object *node, struct err *err)
{
	_cleanup_free_ char *file = node_file(node), *path = NULL;
	struct json_object *disk;
	const char *name;
	int r;

	if (!file)
		return disk_refuse(jstr(node, "node-name"), "QEMU does not report its file name",
				   NULL, err);
	path = disk_full_path(info->vm, file);
	name = disk_name(info, node, file);
	if (disks_have_path(info->disks, path))
		return 0;
	if (!qemu_has_open(info->vm, path)) {
		if (!firmware_replaced(info, node, file, path))
			return disk_check_lost(info, node, name, path, err);
		note("VM '%s': firmware '%s' was replaced; the guest keeps what it has loaded "
		     "until its QEMU is started anew", info->vm->name, path);
	}
	disk = json_object_new_object();
	if (is_firmware(info, file))
		jset_bool(disk, "firmware", true);
	json_object_array_add(info->disks, disk);
	jset_str(disk, "name", name);
	jset_str(disk, "path", path);
	r = disk_sync(path);
	if (r == 0)
		r = diskfile_measure(disk, path);
	if (r < 0)
		return fail(err, r, .what = "disk", .value = name,
			    .why = fmt("'%s' cannot be read: %s", path, strerror(-r)));
	return 0;
}

/* Add a disk without a local file in any layer; cpr-helper cannot check such a disk. */
static void disks_add_remote(struct block_info *info, struct json_object *device)
{
	struct json_object *disk, *inserted = jget(device, "inserted");
	const char *driver = jstr(inserted, "drv"), *name = device_name(device);

	if (!driver || !name)
		return;
	for (size_t i = 0; i < jarray_length(info->nodes); i++) {
		_cleanup_free_ char *file = node_file(jarray_at(info->nodes, i));

		if (str_in(local, jstr(jarray_at(info->nodes, i), "drv")) && file &&
		    has_layer(device, file))
			return;
	}
	disk = json_object_new_object();
	jset_str(disk, "name", name);
	jset_str(disk, "unchecked", driver);
	json_object_array_add(info->disks, disk);
}

static void disks_add_unchecked(struct block_info *info)
{
	for (size_t i = 0; i < jarray_length(info->devices); i++)
		disks_add_remote(info, jarray_at(info->devices, i));
	served_disks(info->vm->manifest, info->disks);
}

static int block_query(struct qmp *qmp, const char *command, const char *option,
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
		    .why = fmt("the reply to %s is not a list", command));
}

static int block_info_nodes(struct block_info *info, struct err *err)
{
	return block_query(info->vm->qemu.qmp, "query-named-block-nodes", "flat", &info->nodes,
			   err);
}

/* Paths of the local files that QEMU has open, except its temporary files. */
static void node_paths(const struct block_info *info, struct strv *paths)
{
	for (size_t i = 0; i < jarray_length(info->nodes); i++) {
		_cleanup_free_ char *file = node_file(jarray_at(info->nodes, i)), *path = NULL;

		if (!file || !str_in(local, jstr(jarray_at(info->nodes, i), "drv")))
			continue;
		path = disk_full_path(info->vm, file);
		if (!is_temporary(path))
			strv_push(paths, path);
	}
}

static int block_info_devices(struct block_info *info, struct err *err)
{
	int r = block_info_nodes(info, err);

	return r < 0 ? r : block_query(info->vm->qemu.qmp, "query-block", NULL, &info->devices, err);
}

static int block_info_all(struct block_info *info, struct err *err)
{
	int r = block_info_devices(info, err);

	return r < 0 ? r : block_query(info->vm->qemu.qmp, "query-blockstats", "query-nodes",
				       &info->stats, err);
}

/* Whether a removable drive has this file as its medium. */
static bool disk_is_medium(const struct block_info *info, const char *path)
{
	for (size_t i = 0; i < jarray_length(info->devices); i++) {
		struct json_object *device = jarray_at(info->devices, i);
		const char *file = jstr(jget(device, "inserted"), "file");
		_cleanup_free_ char *full = file ? disk_full_path(info->vm, file) : NULL;

		if (full && jbool(device, "removable", false) && streq(full, path))
			return true;
	}
	return false;
}

/*
 * The next QEMU gets the same arguments as this one. They do not include disks that were
 * plugged or exchanged since, nor files made by mirrors and snapshots. The media of removable
 * drives may differ, see drives.h.
 */
static int disks_check_same_files(const struct block_info *info, struct err *err)
{
	static const char remedy[] = "undo the change, or shut the guest down and start it with "
				     "the disks that it has now";
	struct json_object *list = jget(info->vm->manifest, "disks");
	_cleanup_strv_ struct strv now = { 0 }, then = { 0 }, media = { 0 };

	strv_push_array(&then, list);
	strv_push_array(&media, jget(info->vm->manifest, "media"));
	node_paths(info, &now);
	for (size_t i = 0; list && i < now.n; i++)
		if (!strv_has(&then, now.v[i]) && !disk_is_medium(info, now.v[i]))
			return disk_refuse(now.v[i],
					   "QEMU was not started with it, and the next QEMU "
					   "would not open it", remedy, err);
	for (size_t i = 0; i < then.n; i++)
		if (!strv_has(&now, then.v[i]) && !strv_has(&media, then.v[i]))
			return disk_refuse(then.v[i],
					   "QEMU was started with it, and does not have it "
					   "open any more", remedy, err);
	return 0;
}

int disks_record_opened(struct vm *vm, struct err *err)
{
	_cleanup_(block_info_free) struct block_info info = {
		.vm = vm, .disks = json_object_new_array(),
	};
	_cleanup_strv_ struct strv paths = { 0 }, media = { 0 };
	int r = block_info_devices(&info, err);

	if (r < 0)
		return r;
	node_paths(&info, &paths);
	for (size_t i = 0; i < paths.n; i++)
		if (disk_is_medium(&info, paths.v[i]))
			strv_push(&media, paths.v[i]);
	jset(vm->manifest, "disks", manifest_strings(&paths));
	jset(vm->manifest, "media", manifest_strings(&media));
	disks_add_unchecked(&info);
	jset(vm->manifest, "unchecked", json_object_get(info.disks));
	return 0;
}

int disks_inspect(struct vm *vm, struct json_object **disks, struct err *err)
{
	_cleanup_(block_info_free) struct block_info info = {
		.vm = vm, .disks = json_object_new_array(),
	};
	int r = block_info_all(&info, err);

	for (size_t i = 0; r == 0 && i < jarray_length(info.nodes); i++)
		if (str_in(local, jstr(jarray_at(info.nodes, i), "drv")))
			r = disks_add_node(&info, jarray_at(info.nodes, i), err);
	if (r == 0)
		r = disks_check_same_files(&info, err);
	if (r < 0)
		return r;
	disks_add_unchecked(&info);
	*disks = json_object_get(info.disks);
	return 0;
}

void disks_note_unchecked(struct json_object *disks, const char *vm)
{
	for (size_t i = 0; i < jarray_length(disks); i++) {
		struct json_object *disk = jarray_at(disks, i);

		if (jstr(disk, "unchecked"))
			note("VM '%s': disk '%s' (%s) is not a local file: that it does not change "
			     "while the guest stands still is not checked", vm, jstr(disk, "name"),
			     jstr(disk, "unchecked"));
	}
}

int disks_remeasure(struct json_object *disks, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < jarray_length(disks); i++) {
		const char *path = jstr(jarray_at(disks, i), "path");

		if (path)
			r = diskfile_measure(jarray_at(disks, i), path);
		if (r < 0)
			fail(err, r, .what = "disk", .value = path, .why = strerror(-r));
	}
	return r;
}

static bool is_forced(const char *forced, const char *name, const char *path)
{
	return list_has_word(forced, name) || list_has_word(forced, path);
}

int disks_check_opened(struct vm *vm, struct json_object *disks, const char *forced,
		       struct err *err)
{
	_cleanup_(block_info_free) struct block_info info = { .vm = vm };
	_cleanup_strv_ struct strv paths = { 0 };
	int r = block_info_nodes(&info, err);

	node_paths(&info, &paths);
	for (size_t i = 0; r == 0 && i < jarray_length(disks); i++) {
		const char *name = jstr(jarray_at(disks, i), "name");
		const char *path = jstr(jarray_at(disks, i), "path");

		if (!path || strv_has(&paths, path) || is_forced(forced, name, path))
			continue;
		r = disk_refuse(name,
				fmt("the guest had '%s', and QEMU was not started with it", path),
				NULL, err);
	}
	return r;
}

/* ---- comparison with the recorded traits ---- */

static int disk_missing(struct json_object *disk, int r, struct err *err)
{
	return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "disk",
		    .value = jstr(disk, "name"),
		    .why = fmt("'%s': %s", jstr(disk, "path"), strerror(-r)),
		    .remedy = "bring the file back unchanged, then restore again; if it is elsewhere "
			      "now: 'cpr-helper restore NAME --replace OLD=NEW'");
}

static bool firmware_fits(struct json_object *disk, struct json_object *now)
{
	return jbool(disk, "firmware", false) && jstr(now, "kind") &&
	       streq(jstr(now, "kind"), "file") && jint(now, "size", -1) == jint(disk, "size", -2);
}

/* If a disk has changed, add its name to @changed; set @why for the first one. */
static int disk_compare(struct json_object *disk, const char *vm, const char *forced,
			struct strv *changed, char **why, struct err *err)
{
	_cleanup_json_ struct json_object *now = json_object_new_object();
	const char *name = jstr(disk, "name"), *path = jstr(disk, "path");
	_cleanup_free_ char *what = NULL;
	int r = path ? diskfile_measure(now, path) : 0;

	if (!path)
		return 0;
	if (r < 0)
		return disk_missing(disk, r, err);
	what = diskfile_difference(disk, now);
	if (what && firmware_fits(disk, now)) {
		note("VM '%s': firmware '%s' ('%s') has changed; the guest keeps what it has loaded "
		     "until its QEMU is started anew", vm, name, path);
	} else if (what && is_forced(forced, name, path)) {
		note("VM '%s': disk '%s' ('%s') has changed, and --force accepts it: %s", vm,
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

int disks_check_forced(struct json_object *disks, const struct strv *others, const char *forced,
		       struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(forced ? forced : ""), *list = NULL;
	_cleanup_strv_ struct strv names = { 0 };
	char *next = forced ? copy : NULL, *word;

	for (size_t i = 0; i < jarray_length(disks); i++)
		strv_push(&names, jstr(jarray_at(disks, i), "name"));
	list = strv_join(&names, ", ");
	while ((word = strsep(&next, ",")))
		if (!strv_has(&names, word) && !disks_have_path(disks, word) && !strv_has(others, word))
			return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "--force",
				    .value = word, .why = "the guest has no such disk",
				    .remedy = names.n ? fmt("its disks are: %s", list) :
				    "leave out --force");
	return 0;
}

int disks_compare(struct json_object *disks, const char *vm, const char *forced, struct err *err)
{
	_cleanup_strv_ struct strv changed = { 0 };
	_cleanup_free_ char *why = NULL, *list = NULL;

	for (size_t i = 0; i < jarray_length(disks); i++) {
		int r = disk_compare(jarray_at(disks, i), vm, forced, &changed, &why, err);

		if (r < 0)
			return r;
	}
	if (!changed.n)
		return 0;
	list = strv_join(&changed, ",");
	return fail(err, -ESTALE, .exit = CPR_EXIT_REFUSED, .what = "disk", .value = changed.v[0],
		    .why = why, .remedy =
		    fmt("bring the file back unchanged: the guest has cached data of it, and would "
			"damage it. 'cpr-helper restore %s --force %s' accepts the change", vm,
			list));
}
