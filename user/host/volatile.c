// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <linux/magic.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/util.h"
#include "host/volatile.h"

static const struct { long magic; const char *why; } memory[] = {
	{ TMPFS_MAGIC, "this is a tmpfs: it is memory, and lost at the kexec" },
	{ RAMFS_MAGIC, "this is a ramfs: it is memory, and lost at the kexec" },
	{ HUGETLBFS_MAGIC, "this is a hugetlbfs: it is memory, and lost at the kexec" },
	{ OVERLAYFS_SUPER_MAGIC, "this is an overlay: it may be memory, and lost at the kexec" },
};

/* brd and zram. */
static bool volatile_is_memory_disk(dev_t disk)
{
	_cleanup_free_ char *path = xasprintf("/sys/dev/block/%u:%u", major(disk), minor(disk));
	char link[PATH_MAX];
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	const char *name;

	if (n < 0)
		return false;
	link[n] = '\0';
	name = strrchr(link, '/');
	return name && (startswith(name, "/ram") || startswith(name, "/zram"));
}

const char *volatile_why(const char *path)
{
	struct statfs fs;
	struct stat st;

	if (statfs(path, &fs) < 0 || stat(path, &st) < 0)
		return NULL;
	/* The file system of a device node is not where its data is. */
	if (!S_ISBLK(st.st_mode))
		for (size_t i = 0; i < ARRAY_SIZE(memory); i++)
			if ((long)fs.f_type == memory[i].magic)
				return memory[i].why;
	return volatile_is_memory_disk(S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev) ?
	       "its disk is memory, and lost at the kexec" : NULL;
}
