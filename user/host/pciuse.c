// SPDX-License-Identifier: GPL-2.0-only
/* How the host uses a PCI device: by disks and network interfaces; see pci_host_use(). */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>

#include "host/pci.h"

#define MAX_TEXT (64 * MIB)
#define MAX_DEPTH 16		/* of stacked block devices */

static bool path_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

static bool disk_below(const char *disk, const char *dir, int depth);

/* Whether a symbolic link in @at with a name that starts with @prefix leads below @dir. */
static bool link_below(const char *at, const char *prefix, const char *dir, int depth)
{
	DIR *d = opendir(at);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		_cleanup_free_ char *path = NULL, *to = NULL;

		if (*e->d_name == '.' || !startswith(e->d_name, prefix))
			continue;
		path = xasprintf("%s/%s", at, e->d_name);
		to = realpath(path, NULL);
		found = to && !startswith(to, at) && disk_below(to, dir, depth + 1);
	}
	if (d)
		closedir(d);
	return found;
}

/* @disk: sysfs directory of a block device, or of the device below one. */
static bool disk_below(const char *disk, const char *dir, int depth)
{
	_cleanup_free_ char *slaves = xasprintf("%s/slaves", disk);
	_cleanup_free_ char *partition = xasprintf("%s/partition", disk);
	_cleanup_free_ char *parent = xstrndup(disk, strrchr(disk, '/') - disk);

	if (depth > MAX_DEPTH || path_below(disk, dir))
		return true;
	if (access(partition, F_OK) == 0)
		return disk_below(parent, dir, depth + 1);
	if (link_below(slaves, "", dir, depth))
		return true;
	return strstr(disk, "/nvme-subsystem/") && link_below(parent, "nvme", dir, depth);
}

static bool number_below(const char *number, const char *dir)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/dev/block/%s", pci_root, number);
	_cleanup_free_ char *disk = realpath(path, NULL);

	return disk && disk_below(disk, dir, 0);
}

/* @node: device node, like "/dev/vda1" or "/dev/mapper/swap" */
static bool node_below(const char *node, const char *dir)
{
	_cleanup_free_ char *full = xasprintf("%s%s", pci_root, node);
	_cleanup_free_ char *to = realpath(full, NULL), *path = NULL, *disk = NULL;
	const char *name = to ? to + strlen(pci_root) : node;

	if (!startswith(name, "/dev/"))
		return false;
	path = xasprintf("%s/sys/class/block/%s", pci_root, strrchr(name, '/') + 1);
	disk = realpath(path, NULL);
	return disk && disk_below(disk, dir, 0);
}

static char *proc_text(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/proc/%s", pci_root, name);

	return read_text(path, MAX_TEXT);
}

/* Lines: "36 35 98:0 /root /mountpoint options [optional...] - type source options" */
static char *find_mount(const char *dir)
{
	_cleanup_free_ char *text = proc_text("self/mountinfo");
	char *next = text, *line;

	if (!text)
		return xasprintf("its mounts cannot be checked: %s", strerror(errno));
	while ((line = strsep(&next, "\n"))) {
		char number[64], where[4096], source[4096] = "";
		const char *rest = strstr(line, " - ");

		if (sscanf(line, "%*s %*s %63s %*s %4095s", number, where) != 2)
			continue;
		if (rest)
			sscanf(rest, " - %*s %4095s", source);
		if (number_below(number, dir) || node_below(source, dir))
			return xasprintf("'%s' is mounted from it", where);
	}
	return NULL;
}

static char *find_swap(const char *dir)
{
	_cleanup_free_ char *text = proc_text("swaps");
	char *next = text, *line;

	while ((line = strsep(&next, "\n"))) {
		char node[4096];

		if (sscanf(line, "%4095s", node) == 1 && node_below(node, dir))
			return xasprintf("it swaps to %s", node);
	}
	return NULL;
}

/* Call @ask for the devices of a class that are below @dir, until it returns a text. */
static char *ask_class(const char *class, const char *dir,
		       char *(*ask)(const char *name, const char *path))
{
	_cleanup_free_ char *all = xasprintf("%s/sys/class/%s", pci_root, class);
	DIR *d = opendir(all);
	struct dirent *e;
	char *use = NULL;

	while (d && !use && (e = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("%s/%s", all, e->d_name);
		_cleanup_free_ char *to = *e->d_name == '.' ? NULL : realpath(path, NULL);

		if (to && path_below(to, dir))
			use = ask(e->d_name, to);
	}
	if (d)
		closedir(d);
	return use;
}

/*
 * open(2) with O_EXCL fails for a disk that the kernel has disk_is_claimed: for LVM, ZFS, a file
 * system on several disks, or a mount in another namespace.
 */
static char *disk_is_claimed(const char *name, const char *path)
{
	_cleanup_free_ char *node = xasprintf("%s/dev/%s", pci_root, name);
	_cleanup_close_ int fd = open(node, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);

	(void)path;
	return fd < 0 && errno == EBUSY ? xasprintf("its disk %s is in use", name) : NULL;
}

static char *net_is_up(const char *name, const char *path)
{
	_cleanup_free_ char *file = xasprintf("%s/flags", path);
	_cleanup_free_ char *text = read_text(file, 64);

	if (!text || !(strtoul(text, NULL, 0) & IFF_UP))
		return NULL;
	return xasprintf("its network interface %s is up", name);
}

char *pci_host_use(const char *address)
{
	_cleanup_free_ char *dir = pci_dir(address);
	char *use = dir ? find_mount(dir) : NULL;

	if (dir && !use)
		use = find_swap(dir);
	if (dir && !use)
		use = ask_class("block", dir, disk_is_claimed);
	if (dir && !use)
		use = ask_class("net", dir, net_is_up);
	return use;
}
