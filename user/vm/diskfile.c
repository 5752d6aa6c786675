// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/digest.h"
#include "vm/diskfile.h"

#define NS_PER_S INT64_C(1000000000)

/* The default cluster size of qcow2, whose header is in the first cluster. */
#define HEAD_SIZE (64 * 1024)

/*
 * Attributes in sysfs that identify a block device across boots; the first one that
 * exists counts. For a partition, those of its disk are used.
 */
static const char *const identities[] = {
	"dm/uuid", "md/uuid", "loop/backing_file", "wwid", "device/wwid", "serial",
	"device/serial", "device/cid",
};

static char *block_identity(const char *dir)
{
	for (size_t i = 0; i < ARRAY_SIZE(identities); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, identities[i]);
		_cleanup_free_ char *text = read_text(path, 4096);

		if (text && *text)
			return xasprintf("%s %s", identities[i], text);
	}
	return NULL;
}

static void diskfile_add_identity(struct json_object *disk, dev_t dev)
{
	_cleanup_free_ char *dir = xasprintf("/sys/dev/block/%u:%u", major(dev), minor(dev));
	_cleanup_free_ char *start = xasprintf("%s/start", dir);
	_cleanup_free_ char *parent = xasprintf("%s/..", dir);
	_cleanup_free_ char *sector = read_text(start, 64);
	_cleanup_free_ char *id = block_identity(sector ? parent : dir);

	if (id)
		jset_str(disk, "identity", sector ? fmt("%s, from sector %s", id, sector) : id);
}

static int diskfile_add_head(struct json_object *disk, int fd)
{
	_cleanup_free_ char *head = xcalloc(1, HEAD_SIZE);
	XXH3_state_t *state = XXH3_createState();
	struct digest digest;
	ssize_t n = pread(fd, head, HEAD_SIZE, 0);
	int r = n < 0 ? -errno : !state ? -ENOMEM : 0;

	if (r == 0) {
		XXH3_128bits_reset(state);
		XXH3_128bits_update(state, head, n);
		digest_finish(state, n, &digest);
		jset_str(disk, "head", digest.text);
	}
	XXH3_freeState(state);
	return r == -ENOMEDIUM ? 0 : r;	/* an empty drive is no failure */
}

/* A time after the year 2262 wraps around, but always to the same value. */
static int64_t nanoseconds(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * NS_PER_S + ts->tv_nsec;
}

static int diskfile_measure_fd(struct json_object *disk, int fd)
{
	uint64_t size;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, &size) < 0)
			return -errno;
		jset_str(disk, "kind", "device");
		jset_int(disk, "size", size);
		diskfile_add_identity(disk, st.st_rdev);
	} else {
		jset_str(disk, "kind", "file");
		jset_int(disk, "size", st.st_size);
		jset_int(disk, "inode", st.st_ino);
		jset_int(disk, "mtime", nanoseconds(&st.st_mtim));
	}
	return diskfile_add_head(disk, fd);
}

/* Opening another kind of file may do something: QEMU, which names it, can be wrong. */
int diskfile_measure(struct json_object *disk, const char *path)
{
	_cleanup_close_ int at = open(path, O_PATH | O_CLOEXEC), fd = -1;
	struct stat st;

	if (at < 0 || fstat(at, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		jset_str(disk, "kind", "special file");
		return 0;
	}
	fd = open(fmt("/proc/self/fd/%d", at), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : diskfile_measure_fd(disk, fd);
}

static const char *show_text(struct json_object *value)
{
	return json_object_get_string(value);
}

static const char *show_mtime(struct json_object *value)
{
	int64_t ns = json_object_get_int64(value), rest = ns % NS_PER_S;
	time_t seconds = ns / NS_PER_S - (rest < 0);
	char text[64] = "?";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%F %T", &tm);
	return fmt("%s.%09lld", text, (long long)(rest < 0 ? rest + NS_PER_S : rest));
}

/* The traits of a disk, the most telling first. */
static const struct {
	const char *key;
	const char *was;
	const char *is;
	const char *(*show)(struct json_object *value);
} traits[] = {
	{ "kind", "it was a", "and is now a", show_text },
	{ "identity", "it is another device: it was", "and is now", show_text },
	{ "inode", "it is another file: its inode was", "and is now", show_text },
	{ "size", "its size was", "and is now", show_text },
	{ "mtime", "its modification time was", "and is now", show_mtime },
	{ "head", "the digest of its first 64 KiB was", "and is now", show_text },
};

char *diskfile_difference(struct json_object *then, struct json_object *now)
{
	for (size_t i = 0; i < ARRAY_SIZE(traits); i++) {
		struct json_object *a = jget(then, traits[i].key), *b = jget(now, traits[i].key);

		if (!json_object_equal(a, b))
			return xasprintf("%s %s, %s %s", traits[i].was,
					 a ? traits[i].show(a) : "unknown", traits[i].is,
					 b ? traits[i].show(b) : "unknown");
	}
	return NULL;
}
