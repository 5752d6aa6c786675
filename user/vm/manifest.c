// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/pci_address.h"
#include "vm/manifest.h"

#define MAX_BYTES (4 * MIB)

static const struct { const char *key; enum json_type type; } required[] = {
	{ "name", json_type_string },
	{ "binary", json_type_string },
	{ "machine", json_type_string },
	{ "cwd", json_type_string },
	{ "argv", json_type_array },
	{ "memory", json_type_array },
};

static int manifest_damaged(struct err *err, const char *why)
{
	return fail(err, -EINVAL, .what = "manifest", .value = MANIFEST_FILE, .why = why,
		    .remedy = "cpr-helper cannot restore the VM without it; the VM's memory is "
			      "untouched");
}

static bool string_ok(struct json_object *string)
{
	return json_object_is_type(string, json_type_string);
}

/* Whether an optional member is an array, and @ok for each of its elements. */
static bool list_ok(struct json_object *list, bool (*ok)(struct json_object *element))
{
	if (!list)
		return true;
	if (!json_object_is_type(list, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (!ok(json_object_array_get_idx(list, i)))
			return false;
	return true;
}

bool manifest_copied(struct json_object *manifest)
{
	const char *mode = jstr(manifest, "ram_mode");

	return mode && streq(mode, RAM_MODE_COPY);
}

/* A list of files; in copy mode an empty list. */
static bool memory_ok(struct json_object *memory, bool copy)
{
	size_t n = json_object_array_length(memory);

	for (size_t i = 0; i < n; i++) {
		struct json_object *m = json_object_array_get_idx(memory, i);
		const char *file = jstr(m, "file");

		if (!file || !*file || *file == '.' || strchr(file, '/') || jint(m, "size", 0) <= 0)
			return false;
	}
	return copy == (n == 0);
}

static bool device_ok(struct json_object *device)
{
	const char *address = jstr(device, "address"), *driver = jstr(device, "driver");
	char same[PCI_ADDRESS_SIZE];

	return address && pci_address(address, same) && streq(address, same) &&
	       (!jget(device, "driver") || (driver && *driver && !strchr(driver, '/')));
}

static bool need_ok(struct json_object *need)
{
	return jstr(need, "kind") && jstr(need, "name");
}

static bool disk_ok(struct json_object *disk)
{
	const char *path = jstr(disk, "path");

	if (!jstr(disk, "name"))
		return false;
	return path ? *path == '/' && jstr(disk, "kind") : jstr(disk, "unchecked") != NULL;
}

static bool is_command(const char *uri)
{
	return uri && startswith(uri, TARGET_EXEC);
}

static bool user_ok(struct json_object *user)
{
	return !user || (jstr(user, "name") && jint(user, "uid", -1) > 0 &&
			 jint(user, "gid", -1) >= 0);
}

static bool target_ok(struct json_object *target)
{
	const char *file = jstr(target, "file");

	if (!target || file)
		return !target || *file == '/';
	return is_command(jstr(target, "uri")) && is_command(jstr(target, "restore_uri"));
}

/* A state that QEMU wrote to a command (@stream) has no digest and no size. */
static bool saved_ok(struct json_object *saved, bool stream)
{
	struct json_object *qemu = jget(saved, "qemu");

	return !saved || (jstr(saved, "runstate") && (!qemu || jstr(qemu, "binary")) &&
			  (stream || (jstr(saved, "digest") && jint(saved, "size", -1) >= 0)));
}

int manifest_check(struct json_object *manifest, struct err *err)
{
	if (!json_object_is_type(manifest, json_type_object))
		return manifest_damaged(err, "not a JSON object");
	if (jint(manifest, "version", 0) != MANIFEST_VERSION)
		return manifest_damaged(err, fmt("version %lld, and this cpr-helper supports "
						 "version %d",
						 (long long)jint(manifest, "version", 0),
						 MANIFEST_VERSION));
	for (size_t i = 0; i < ARRAY_SIZE(required); i++)
		if (!json_object_is_type(jget(manifest, required[i].key), required[i].type))
			return manifest_damaged(err, fmt("'%s' is missing or of the wrong type",
							 required[i].key));
	if (!list_ok(jget(manifest, "argv"), string_ok))
		return manifest_damaged(err, "'argv' is not a list of strings");
	if (!memory_ok(jget(manifest, "memory"), manifest_copied(manifest)))
		return manifest_damaged(err, "'memory' is not a list of files");
	if (!list_ok(jget(manifest, "devices"), device_ok))
		return manifest_damaged(err, "'devices' is not a list of PCI devices");
	if (!list_ok(jget(manifest, "disks"), string_ok))
		return manifest_damaged(err, "'disks' is not a list of paths");
	if (!list_ok(jget(manifest, "unchecked"), disk_ok))
		return manifest_damaged(err, "'unchecked' is not a list of disks");
	if (!list_ok(jget(manifest, "inventory"), string_ok))
		return manifest_damaged(err, "'inventory' is not a list of names");
	if (!list_ok(jget(manifest, "needs"), need_ok))
		return manifest_damaged(err, "'needs' is not a list of what the host has");
	if (!user_ok(jget(manifest, "user")))
		return manifest_damaged(err, "'user' is no user");
	if (!target_ok(jget(manifest, "target")))
		return manifest_damaged(err, "'target' is neither a file nor a stream");
	if (!saved_ok(jget(manifest, "saved"), jstr(jget(manifest, "target"), "uri")))
		return manifest_damaged(err, "'saved' is incomplete");
	if (!list_ok(jget(jget(manifest, "saved"), "disks"), disk_ok))
		return manifest_damaged(err, "'saved.disks' is not a list of disks");
	return 0;
}

/* What cannot be looked at cannot be read either. */
static int manifest_check_owner(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0 ||
	    (st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH))))
		return 0;
	return fail(err, -EPERM, .exit = CPR_EXIT_REFUSED, .what = "manifest", .value = path,
		    .why = fmt("user %u, mode %o: others than root could choose what root executes",
			       (unsigned int)st.st_uid, (unsigned int)st.st_mode & 07777),
		    .remedy = fmt("see that the manifest is what it was, then 'chown root %s' and "
				  "'chmod go-w %s'", path, path));
}

int manifest_read(const char *dir, struct json_object **out, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, MANIFEST_FILE), *text = NULL;
	enum json_tokener_error why;
	int r = manifest_check_owner(dir, err);

	*out = NULL;
	if (r == 0)
		r = manifest_check_owner(path, err);
	if (r < 0)
		return r;
	text = read_text(path, MAX_BYTES);
	if (!text)
		return fail(err, -errno, .what = "cannot read", .value = path,
			    .why = strerror(errno));
	*out = json_parse(text, &why);
	r = *out ? manifest_check(*out, err) : manifest_damaged(err, json_tokener_error_desc(why));
	if (r < 0) {
		json_object_put(*out);
		*out = NULL;
	}
	return r;
}

static int file_write_new(const char *path, const char *text)
{
	_cleanup_close_ int fd = -1;
	int r;

	unlink(path);	/* it may be another user's, of before the directory was adopted */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, strlen(text));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

int manifest_write_json(const char *dir, const char *file, struct json_object *obj, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, file);
	_cleanup_free_ char *next = xasprintf("%s.new", path);
	_cleanup_free_ char *text = NULL;
	int r;

	text = xasprintf("%s\n", json_object_to_json_string_ext(obj,
			 JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	r = file_write_new(next, text);
	if (r == 0 && rename(next, path) < 0)
		r = -errno;
	if (r == 0)
		r = sync_dir(dir);
	if (r == 0)
		return 0;
	unlink(next);
	return fail(err, r, .what = "cannot write", .value = path, .why = strerror(-r));
}

int manifest_write(const char *dir, struct json_object *manifest, struct err *err)
{
	return manifest_write_json(dir, MANIFEST_FILE, manifest, err);
}

void manifest_argv(struct json_object *manifest, struct strv *argv)
{
	strv_push_array(argv, jget(manifest, "argv"));
}

/* A command line may name it as QEMU sees it, from its working directory. */
char *manifest_agent(struct json_object *manifest)
{
	const char *path = jstr(manifest, "agent"), *cwd = jstr(manifest, "cwd");

	if (!path)
		return NULL;
	return *path == '/' || !cwd ? xstrdup(path) : xasprintf("%s/%s", cwd, path);
}

void manifest_files(struct json_object *manifest, struct strv *files)
{
	struct json_object *memory = jget(manifest, "memory");

	for (size_t i = 0; i < json_object_array_length(memory); i++)
		strv_push(files, jstr(json_object_array_get_idx(memory, i), "file"));
}

void manifest_devices(struct json_object *manifest, struct strv *addresses)
{
	struct json_object *devices = jget(manifest, "devices");

	for (size_t i = 0; devices && i < json_object_array_length(devices); i++)
		strv_push(addresses, jstr(json_object_array_get_idx(devices, i), "address"));
}

bool manifest_suspended(struct json_object *record)
{
	return jbool(record, "suspended", false);
}

bool manifest_asleep(struct json_object *record)
{
	const char *runstate = jstr(record, "runstate");

	return manifest_suspended(record) || (runstate && streq(runstate, "suspended"));
}

struct json_object *manifest_strings(const struct strv *sv)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < sv->n; i++)
		json_object_array_add(array, json_object_new_string(sv->v[i]));
	return array;
}

struct json_object *manifest_memory(const struct ram_file *files, size_t n)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		struct json_object *m = json_object_new_object();

		jset_str(m, "file", files[i].name);
		jset_str(m, "id", files[i].id);
		jset_int(m, "size", files[i].size);
		json_object_array_add(array, m);
	}
	return array;
}
