// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kcmp.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>

#include "base/numbers.h"
#include "host/pci.h"
#include "host/vfio.h"

#define DIR_VFIO "/dev/vfio/"

/*
 * Targets of the links in /proc/PID/fd. A device opened through its group is an anonymous
 * inode; /dev/vfio/vfio is a container, which has devices only through groups, and has the
 * mappings, as an iommufd has.
 */
enum vfio_link { LINK_OTHER, LINK_MAPPINGS, LINK_GROUP, LINK_DEVICE, LINK_OPENED };

void vfio_files_close(struct vfio_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		close(files->v[i]);
	free(files->v);
	*files = (struct vfio_files){ 0 };
}

/* Of the descriptor that @fds is at. */
static enum vfio_link vfio_link_kind(const struct numbers *fds)
{
	size_t root = strlen(pci_root);
	char to[4096];
	ssize_t len = readlinkat(dirfd(fds->dir), fmt("%d", fds->n), to, sizeof(to) - 1);

	if (len < 0)
		return LINK_OTHER;
	to[len] = '\0';
	if (streq(to, "anon_inode:[vfio-device]"))
		return LINK_OPENED;
	if (!startswith(to, pci_root))
		return LINK_OTHER;
	if (streq(to + root, DIR_VFIO "vfio") || streq(to + root, "/dev/iommu"))
		return LINK_MAPPINGS;
	if (!startswith(to + root, DIR_VFIO))
		return LINK_OTHER;
	return startswith(to + root, DIR_VFIO "devices/") ? LINK_DEVICE : LINK_GROUP;
}

static int vfio_duplicate(int pidfd, int theirs, struct vfio_files *files)
{
	int fd = pidfd_getfd(pidfd, theirs, 0);

	if (fd < 0)
		return -errno;
	files->v = xrealloc(files->v, files->n + 1, sizeof(*files->v));
	files->v[files->n++] = fd;
	return 0;
}

static int vfio_take_link(int pidfd, const struct numbers *fds, struct vfio_files *files)
{
	enum vfio_link kind = vfio_link_kind(fds);

	files->devices += kind == LINK_DEVICE || kind == LINK_OPENED;
	return kind == LINK_DEVICE || kind == LINK_GROUP ? vfio_duplicate(pidfd, fds->n, files) : 0;
}

static int vfio_duplicate_all(pid_t pid, struct vfio_files *files)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	int r = pidfd < 0 ? -errno : 0;
	_cleanup_numbers_ struct numbers fds = numbers_of_process(pid, "fd");

	if (r == 0)
		r = fds.error;
	while (r == 0 && numbers_next(&fds))
		r = vfio_take_link(pidfd, &fds, files);
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

/* ---- files that another process has as well ---- */

/**
 * struct vfio_fds - descriptors of VFIO files in a process
 * @pid: the process
 * @v: their numbers there, owned
 * @n: number of them
 */
struct vfio_fds {
	pid_t pid;
	int *v;
	size_t n;
};

static void vfio_fds_free(struct vfio_fds *fds)
{
	free(fds->v);
}

/* Of a process that has exited, there are none. */
static void vfio_list_fds(pid_t pid, struct vfio_fds *fds)
{
	_cleanup_numbers_ struct numbers all = numbers_of_process(pid, "fd");

	*fds = (struct vfio_fds){ .pid = pid };
	while (numbers_next(&all)) {
		if (vfio_link_kind(&all) == LINK_OTHER)
			continue;
		fds->v = xrealloc(fds->v, fds->n + 1, sizeof(*fds->v));
		fds->v[fds->n++] = all.n;
	}
}

static int vfio_refuse_shared(pid_t pid, pid_t other, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/comm", (int)other);
	_cleanup_free_ char *comm = read_text(path, 4096);

	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "QEMU",
		    .value = fmt("pid %d", (int)pid),
		    .why = fmt("process %d (%s) has the same VFIO file open, and could change what "
			       "the devices reach", (int)other, comm ? comm : "?"),
		    .remedy = "end that process");
}

/* Returns: whether both are one open file; -ESRCH or -EBADF if one is gone. */
static int vfio_same_file(pid_t a, int a_fd, pid_t b, int b_fd)
{
	long r = syscall(SYS_kcmp, a, b, KCMP_FILE, a_fd, b_fd);

	return r < 0 ? -errno : r == 0;
}

static int vfio_check_other(const struct vfio_fds *ours, pid_t pid, struct err *err)
{
	_cleanup_(vfio_fds_free) struct vfio_fds theirs;

	vfio_list_fds(pid, &theirs);
	for (size_t i = 0; i < ours->n * theirs.n; i++) {
		int r = vfio_same_file(ours->pid, ours->v[i / theirs.n], pid,
				       theirs.v[i % theirs.n]);

		if (r == 1)
			return vfio_refuse_shared(ours->pid, pid, err);
		if (r < 0 && r != -ESRCH && r != -EBADF)
			return fail(err, r, .exit = CPR_EXIT_REFUSED, .what = "QEMU",
				    .value = fmt("pid %d", (int)ours->pid),
				    .why = fmt("it is not known whether process %d has the same "
					       "VFIO file open: kcmp: %s", (int)pid, strerror(-r)),
				    .remedy = "use a kernel with CONFIG_KCMP");
	}
	return 0;
}

int vfio_check_shared(pid_t pid, struct err *err)
{
	_cleanup_(vfio_fds_free) struct vfio_fds ours;
	_cleanup_numbers_ struct numbers all = numbers_open("/proc");
	int r = 0;

	if (all.error)
		r = fail(err, all.error, .what = "cannot read", .value = "/proc",
			 .why = strerror(-all.error));
	vfio_list_fds(pid, &ours);
	while (r == 0 && numbers_next(&all))
		if (all.n != pid && all.n != getpid())
			r = vfio_check_other(&ours, all.n, err);
	return r;
}
