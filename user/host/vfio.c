// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <sys/pidfd.h>

#include "host/pci.h"
#include "host/vfio.h"

#define DIR_VFIO "/dev/vfio/"

/*
 * Targets of the links in /proc/PID/fd. A device opened through its group is an anonymous
 * inode; /dev/vfio/vfio is a container, which has devices only through groups.
 */
enum vfio_link { LINK_OTHER, LINK_GROUP, LINK_DEVICE, LINK_OPENED };

void vfio_files_close(struct vfio_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		close(files->v[i]);
	free(files->v);
	*files = (struct vfio_files){ 0 };
}

static enum vfio_link vfio_link_kind(int dir, const char *name)
{
	size_t root = strlen(pci_root);
	char to[4096];
	ssize_t len = readlinkat(dir, name, to, sizeof(to) - 1);

	if (len < 0)
		return LINK_OTHER;
	to[len] = '\0';
	if (streq(to, "anon_inode:[vfio-device]"))
		return LINK_OPENED;
	if (!startswith(to, pci_root) || !startswith(to + root, DIR_VFIO) ||
	    streq(to + root, DIR_VFIO "vfio"))
		return LINK_OTHER;
	return startswith(to + root, DIR_VFIO "devices/") ? LINK_DEVICE : LINK_GROUP;
}

static int vfio_duplicate(int pidfd, const char *name, struct vfio_files *files)
{
	int fd = pidfd_getfd(pidfd, atoi(name), 0);

	if (fd < 0)
		return -errno;
	files->v = xrealloc(files->v, files->n + 1, sizeof(*files->v));
	files->v[files->n++] = fd;
	return 0;
}

static int vfio_take_link(int pidfd, int dir, const char *name, struct vfio_files *files)
{
	enum vfio_link kind = vfio_link_kind(dir, name);

	files->devices += kind == LINK_DEVICE || kind == LINK_OPENED;
	return kind == LINK_DEVICE || kind == LINK_GROUP ? vfio_duplicate(pidfd, name, files) : 0;
}

static int vfio_duplicate_all(pid_t pid, struct vfio_files *files)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", (int)pid);
	DIR *d = pidfd < 0 ? NULL : opendir(path);
	struct dirent *e;
	int r = d ? 0 : -errno;

	while (r == 0 && (e = readdir(d)))
		r = vfio_take_link(pidfd, dirfd(d), e->d_name, files);
	if (d)
		closedir(d);
	return r;
}

int vfio_files(pid_t pid, struct vfio_files *files, struct err *err)
{
	int r;

	*files = (struct vfio_files){ 0 };
	r = vfio_duplicate_all(pid, files);
	if (r == 0)
		return 0;
	vfio_files_close(files);
	return fail(err, r, .what = "QEMU", .value = fmt("pid %d", (int)pid),
		    .why = fmt("its VFIO files cannot be duplicated: %s", strerror(-r)));
}
