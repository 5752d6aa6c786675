// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <linux/cpr.h>

#include "cprfs.h"
#include "deadline.h"
#include "kernel.h"

#define LOCK_S 1	/* a helper that was killed is gone by then, with all its processes */

int name_check(const char *name, struct err *err)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789._-";
	const char *why = NULL;

	if (!*name)
		why = "the name is empty";
	else if (strlen(name) > CPR_VM_NAME_MAX)
		why = "the name is longer than 64 bytes";
	else if (*name == '.' || *name == '-')
		why = "a name must not begin with a dot or a dash";
	else if (name[strspn(name, ok)])
		why = "a name is made of letters, digits, dot, underscore and dash";
	if (!why)
		return 0;
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "VM name", .value = name,
		    .why = why, .remedy = "choose a name like web1");
}

char *vm_path(const char *name, const char *file)
{
	return xasprintf(CPRFS_ROOT "/%s%s%s", name, file ? "/" : "", file ? file : "");
}

char *runtime_path(const char *name, const char *suffix)
{
	return xasprintf(RUNTIME_DIR "/%s.%s", name, suffix);
}

int runtime_dir(struct err *err)
{
	if (mkdir(RUNTIME_DIR, 0700) < 0 && errno != EEXIST)
		return fail(err, -errno, .what = "cannot create", .value = RUNTIME_DIR,
			    .why = errno == EACCES || errno == EPERM ? "needs root" :
			    strerror(errno),
			    .remedy = errno == EACCES || errno == EPERM ? "run it with sudo" : NULL);
	return 0;
}

/* The file, locked; -EWOULDBLOCK without a word if somebody else has it. */
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
	/* No VM's name begins with a dot. */
	int fd = lock_file(RUNTIME_DIR "/.host.lock", leaving ? LOCK_EX : LOCK_SH, err);

	if (fd >= 0 && !leaving && kexec_under_way()) {
		close(fd);
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "host",
			    .why = "it is going down: a VM that runs then is lost",
			    .remedy = "'cpr-helper restore --all' under the next kernel");
	}
	if (fd != -EWOULDBLOCK)
		return fd;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "host", .why = leaving ?
		    "a VM is being started or restored, or the host leaves its kernel already" :
		    "it is about to leave its kernel ('cpr-helper update' is at work)",
		    .remedy = "wait until that has finished");
}

int vm_lock(const char *name, struct err *err)
{
	_cleanup_free_ char *path = runtime_path(name, "lock");
	int fd = lock_file(path, LOCK_EX, err);

	if (fd != -EWOULDBLOCK)
		return fd;
	return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = name,
		    .why = "another cpr-helper is at work on it",
		    .remedy = "wait until that has finished");
}

void remove_vm_files(const char *name)
{
	static const char *const files[] = {
		"manifest.json", "manifest.json.new", LOG_FILE, STATE_FILE, STATE_PART,
		"report.json", "report.json.new",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *path = vm_path(name, files[i]);

		unlink(path);
	}
}
