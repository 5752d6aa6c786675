// SPDX-License-Identifier: GPL-2.0-only
/* A change of a guest's disk between save and restore is found. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "ktap.h"
#include "vm/diskfile.h"
#include "vm/disks.h"
#include "vm/served.h"

#define TIME INT64_C(1700000000)

static char path[] = "/tmp/cpr-disks-XXXXXX";

/* 100 bytes, last written to at TIME and 5 ns. */
static void make_disk(void)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	const struct timespec times[] = { { TIME, 5 }, { TIME, 5 } };
	char text[100] = "disk";

	CHECK(fd >= 0 && write_all(fd, text, sizeof(text)) == 0 && futimens(fd, times) == 0);
}

static char head[64] = "none";

/* As save would have it, but for one member if @key is not NULL. */
static struct json_object *record(const char *key, struct json_object *value)
{
	struct json_object *disks = json_object_new_array(), *disk = json_object_new_object();
	struct stat st;

	CHECK(stat(path, &st) == 0);
	jset_str(disk, "name", "data");
	jset_str(disk, "path", path);
	jset_str(disk, "kind", "file");
	jset_int(disk, "size", 100);
	jset_int(disk, "inode", st.st_ino);
	jset_int(disk, "mtime", TIME * 1000000000 + 5);
	jset_str(disk, "head", head);
	if (key)
		jset(disk, key, value);
	json_object_array_add(disks, disk);
	return disks;
}

/* What the digest should be is taken from a comparison in which it is all that differs. */
TEST(head)
{
	static const char words[] = "the digest of its first 64 KiB was none, and is now ";
	_cleanup_json_ struct json_object *disks = NULL;
	_cleanup_err_ struct err err = { 0 };
	int fd = mkstemp(path);
	const char *found;

	CHECK(fd >= 0 && close(fd) == 0);
	make_disk();
	disks = record(NULL, NULL);
	CHECK_EQ(disks_compare(disks, "a", NULL, &err), -ESTALE);
	found = strstr(err.why, words);
	CHECK(found && startswith(found + strlen(words), "xxh3-128:"));
	snprintf(head, sizeof(head), "%s", found ? found + strlen(words) : "");
}

TEST(unchanged)
{
	_cleanup_json_ struct json_object *disks = record(NULL, NULL);

	CHECK_EQ(disks_compare(disks, "a", NULL, NULL), 0);
	CHECK_EQ(disks_compare(NULL, "a", NULL, NULL), 0);
}

TEST(each_trait)
{
	const struct { const char *key; struct json_object *value; const char *words; } cases[] = {
		{ "kind", json_object_new_string("device"), "it was a device, and is now a file" },
		{ "identity", json_object_new_string("wwid x"), "it was wwid x, and is now unknown" },
		{ "inode", json_object_new_int64(1), "another file: its inode was 1, and is now " },
		{ "size", json_object_new_int64(99), "its size was 99, and is now 100" },
		{ "size", NULL, "its size was unknown, and is now 100" },
		{ "size", json_object_new_string("100"), "its size was 100, and is now 100" },
		{ "mtime", json_object_new_int64(TIME * 1000000000 + 6),
		  "its modification time was 2023-11-14 22:13:20.000000006, and is now "
		  "2023-11-14 22:13:20.000000005" },
		{ "mtime", json_object_new_int64(INT64_MIN),
		  "its modification time was 1677-09-21 00:12:43.145224192, and is now " },
		{ "mtime", json_object_new_array(), "its modification time was " },
		{ "head", json_object_new_string("other"), "64 KiB was other, and is now xxh3-128:" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *disks = record(cases[i].key, cases[i].value);
		_cleanup_err_ struct err err = { 0 };

		CHECK_EQ(disks_compare(disks, "a", NULL, &err), -ESTALE);
		CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
		CHECK_STR(err.value, "data");
		CHECK_MSG(strstr(err.why, cases[i].words), "'%s' lacks '%s'", err.why, cases[i].words);
		CHECK(strstr(err.remedy, "'cpr-helper restore a --force data'"));
		CHECK_EQ(disks_compare(disks, "a", "data", NULL), 0);
	}
}

TEST(names_that_are_forced)
{
	_cleanup_json_ struct json_object *disks = record("size", NULL);
	const struct { const char *list; int r; } cases[] = {
		{ "data", 0 }, { "x,data", 0 }, { "data,x", 0 }, { ",,data,", 0 }, { path, 0 },
		{ "", -ESTALE }, { "dat", -ESTALE }, { "data2", -ESTALE }, { "x,y", -ESTALE },
		{ "data x", -ESTALE }, { ",", -ESTALE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_MSG(disks_compare(disks, "a", cases[i].list, NULL) == cases[i].r,
			  "'%s'", cases[i].list);
}

/* A package's upgrade replaces it under the guest, which has it in memory. */
TEST(firmware_may_change_but_not_its_size)
{
	static const struct { const char *key; int r; } cases[] = {
		{ "inode", 0 }, { "mtime", 0 }, { "head", 0 }, { "size", -ESTALE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *disks =
			record(cases[i].key, json_object_new_int64(7));
		struct json_object *disk = json_object_array_get_idx(disks, 0);

		CHECK_EQ(disks_compare(disks, "a", NULL, NULL), -ESTALE);
		jset_bool(disk, "firmware", true);
		CHECK_EQ(disks_compare(disks, "a", NULL, NULL), cases[i].r);
	}
}

/* Two layers of one disk, and a disk that is not looked at. */
TEST(several)
{
	_cleanup_json_ struct json_object *disks = record("size", NULL), *other = record("size", NULL);
	struct json_object *remote = json_object_new_object();
	_cleanup_err_ struct err err = { 0 };

	jset_str(remote, "name", "far");
	jset_str(remote, "unchecked", "nbd");
	json_object_array_add(disks, json_object_get(json_object_array_get_idx(other, 0)));
	json_object_array_add(disks, remote);
	CHECK_EQ(disks_compare(disks, "a", NULL, &err), -ESTALE);
	CHECK(strstr(err.remedy, "--force data'"));
}

/* No file system has to end where 64 bits of nanoseconds do. */
TEST(written_to_in_2400)
{
	const struct timespec times[] = { { INT64_C(13569465600), 0 }, { INT64_C(13569465600), 0 } };
	_cleanup_json_ struct json_object *disks = record(NULL, NULL);
	_cleanup_err_ struct err err = { 0 };

	CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
	CHECK_EQ(disks_compare(disks, "a", NULL, &err), -ESTALE);
	CHECK(strstr(err.why, "its modification time was 2023-11-14 22:13:20.000000005, and is now "));
}

/* Opening one of these may do something: QEMU can be wrong about its disks. */
TEST(only_files_and_block_devices_are_opened)
{
	_cleanup_json_ struct json_object *disk = json_object_new_object();
	static const char fifo[] = "/tmp/cpr-disks-fifo";
	_cleanup_close_ int watch = inotify_init1(IN_NONBLOCK);
	char event[512];

	unlink(fifo);
	CHECK(!mkfifo(fifo, 0600));
	CHECK(inotify_add_watch(watch, fifo, IN_OPEN) >= 0);
	CHECK_EQ(diskfile_measure(disk, fifo), 0);
	CHECK_STR(jstr(disk, "kind"), "special file");
	CHECK(read(watch, event, sizeof(event)) < 0 && errno == EAGAIN);
	CHECK(!unlink(fifo));
}

TEST(gone)
{
	_cleanup_json_ struct json_object *disks = record(NULL, NULL);
	_cleanup_err_ struct err err = { 0 };

	CHECK(unlink(path) == 0);
	CHECK_EQ(disks_compare(disks, "a", "data", &err), -ENOENT);
	CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
}

/* QEMU itself has no list of these. */
TEST(disks_that_others_serve)
{
	static const char manifest[] = "{\"argv\":["
		"\"-chardev\",\"socket,id=c,path=/x\","
		"\"-device\",\"vhost-user-blk-pci,chardev=c,id=data\","
		"\"-device\",\"{\\\"driver\\\":\\\"vhost-user-scsi-pci\\\",\\\"chardev\\\":\\\"d\\\"}\","
		"\"-device\",\"vhost-scsi-pci,wwpn=naa.5\",\"-device\",\"vhost-user-blk\","
		"\"-device\",\"vhost-user-fs-pci,chardev=e\",\"-device\",\"virtio-blk-pci,drive=f\","
		"\"-nographic\"]}";
	static const char *const found[][2] = {
		{ "data", "vhost-user-blk-pci" }, { "d", "vhost-user-scsi-pci" },
		{ "naa.5", "vhost-scsi-pci" }, { "vhost-user-blk", "vhost-user-blk" },
	};
	_cleanup_json_ struct json_object *m = json_tokener_parse(manifest);
	_cleanup_json_ struct json_object *disks = json_object_new_array();

	served_disks(m, disks);
	CHECK_EQ(json_object_array_length(disks), ARRAY_SIZE(found));
	for (size_t i = 0; i < ARRAY_SIZE(found); i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		CHECK_STR(jstr(disk, "name"), found[i][0]);
		CHECK_STR(jstr(disk, "unchecked"), found[i][1]);
	}
}

int main(void)
{
	setenv("TZ", "UTC", 1);
	return ktap_run();
}
