// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "vfio.h"

#define VFIO_DIR "/dev/vfio/"

void vfio_files_close(struct vfio_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		close(files->v[i]);
	free(files->v);
	*files = (struct vfio_files){ 0 };
}

/* /dev/vfio/vfio is a container, which has devices only through their groups. */
static bool is_vfio(int dir, const char *name)
{
	char to[256];
	ssize_t len = readlinkat(dir, name, to, sizeof(to) - 1);

	if (len < 0)
		return false;
	to[len] = '\0';
	return startswith(to, VFIO_DIR) && !streq(to, VFIO_DIR "vfio");
}

static int take(int pidfd, const char *name, struct vfio_files *files)
{
	int fd = syscall(SYS_pidfd_getfd, pidfd, atoi(name), 0);

	if (fd < 0)
		return -errno;
	files->v = xrealloc(files->v, files->n + 1, sizeof(*files->v));
	files->v[files->n++] = fd;
	return 0;
}

static int take_all(pid_t pid, struct vfio_files *files)
{
	_cleanup_close_ int pidfd = syscall(SYS_pidfd_open, pid, 0);
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", (int)pid);
	DIR *d = pidfd < 0 ? NULL : opendir(path);
	struct dirent *e;
	int r = d ? 0 : -errno;

	while (r == 0 && (e = readdir(d)))
		if (is_vfio(dirfd(d), e->d_name))
			r = take(pidfd, e->d_name, files);
	if (d)
		closedir(d);
	return r;
}

int vfio_files(pid_t pid, struct vfio_files *files, struct err *err)
{
	int r;

	*files = (struct vfio_files){ 0 };
	r = take_all(pid, files);
	if (r == 0 && files->n)
		return 0;
	vfio_files_close(files);
	return fail(err, r < 0 ? r : -ENODEV, .what = "QEMU", .value = fmt("pid %d", (int)pid),
		    .why = r < 0 ? fmt("its VFIO files cannot be reached: %s", strerror(-r)) :
		    "it has no VFIO device open");
}
