// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/deadline.h"
#include "base/paths.h"
#include "host/kexec.h"
#include "vm/lock.h"

#define LOCK_S 1	/* a killed cpr-helper and its workers have exited by then */

/* Open and lock a file. -EWOULDBLOCK, without @err, if another process holds the lock. */
static int lock_file(const char *path, int how, struct err *err)
{
	deadline_t deadline = deadline_in(LOCK_S);
	int fd, r = runtime_dir(err);

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(err, -errno, .what = "cannot open", .value = path,
			    .why = errno == EACCES ? "needs root" : strerror(errno),
			    .remedy = errno == EACCES ? "run it with sudo" : NULL);
	while ((r = flock(fd, how | LOCK_NB)) < 0 && deadline_left(deadline))
		usleep(20000);
	if (r == 0)
		return fd;
	close(fd);
	return -EWOULDBLOCK;
}

int host_lock(bool leaving, struct err *err)
{
	/* Distinct from the locks of VMs, as no VM's name begins with a dot. */
	int fd = lock_file(RUNTIME_DIR "/.host.lock", leaving ? LOCK_EX : LOCK_SH, err);

	if (fd >= 0 && !leaving && kexec_under_way()) {
		close(fd);
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "host",
			    .why = "it is shutting down: a VM that runs then is lost",
			    .remedy = "'cpr-helper restore --all' under the next kernel");
	}
	if (fd != -EWOULDBLOCK)
		return fd;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "host", .why = leaving ?
		    "another cpr-helper is starting or restoring a VM, or updating the kernel" :
		    "'cpr-helper update' is running, and will switch kernels",
		    .remedy = "wait until that command has finished");
}

int vm_lock(const char *name, struct err *err)
{
	_cleanup_free_ char *path = runtime_path(name, "lock");
	int fd = lock_file(path, LOCK_EX, err);

	if (fd != -EWOULDBLOCK)
		return fd;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = name,
		    .why = "another cpr-helper is working on it",
		    .remedy = "wait until that command has finished");
}
