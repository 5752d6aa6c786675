// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <sys/pidfd.h>

#include "host/pci.h"
#include "host/vfio.h"

#define DIR_VFIO "/dev/vfio/"

/*
 * What the links of a process lead to. By a group a device is opened without a
 * name; /dev/vfio/vfio is a container, which has devices only through groups.
 */
enum kind { OTHER, GROUP, DEVICE, OPENED };

void vfio_files_close(struct vfio_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		close(files->v[i]);
	free(files->v);
	*files = (struct vfio_files){ 0 };
}

static enum kind kind_of(int dir, const char *name)
{
	size_t root = strlen(pci_root);
	char to[4096];
	ssize_t len = readlinkat(dir, name, to, sizeof(to) - 1);

	if (len < 0)
		return OTHER;
	to[len] = '\0';
	if (streq(to, "anon_inode:[vfio-device]"))
		return OPENED;
	if (!startswith(to, pci_root) || !startswith(to + root, DIR_VFIO) ||
	    streq(to + root, DIR_VFIO "vfio"))
		return OTHER;
	return startswith(to + root, DIR_VFIO "devices/") ? DEVICE : GROUP;
}

static int take(int pidfd, const char *name, struct vfio_files *files)
{
	int fd = pidfd_getfd(pidfd, atoi(name), 0);

	if (fd < 0)
		return -errno;
	files->v = xrealloc(files->v, files->n + 1, sizeof(*files->v));
	files->v[files->n++] = fd;
	return 0;
}

static int look_at(int pidfd, int dir, const char *name, struct vfio_files *files)
{
	enum kind kind = kind_of(dir, name);

	files->devices += kind == DEVICE || kind == OPENED;
	return kind == DEVICE || kind == GROUP ? take(pidfd, name, files) : 0;
}

static int take_all(pid_t pid, struct vfio_files *files)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", (int)pid);
	DIR *d = pidfd < 0 ? NULL : opendir(path);
	struct dirent *e;
	int r = d ? 0 : -errno;

	while (r == 0 && (e = readdir(d)))
		r = look_at(pidfd, dirfd(d), e->d_name, files);
	if (d)
		closedir(d);
	return r;
}

int vfio_files(pid_t pid, struct vfio_files *files, struct err *err)
{
	int r;

	*files = (struct vfio_files){ 0 };
	r = take_all(pid, files);
	if (r == 0)
		return 0;
	vfio_files_close(files);
	return fail(err, r, .what = "QEMU", .value = fmt("pid %d", (int)pid),
		    .why = fmt("its VFIO files cannot be reached: %s", strerror(-r)));
}
