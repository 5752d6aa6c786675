// SPDX-License-Identifier: GPL-2.0-only
/*
 * The content of an initramfs is listed by the tools of initramfs-tools and dracut: there
 * are many formats and compression methods, and a file may consist of several archives.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host/initrd.h"

/* Each of the two also reads the archives of the other. */
static const char *const listers[] = { "lsinitramfs", "lsinitrd" };

static int lister_spawn(const char *lister, const char *path, int out, pid_t *pid)
{
	char *const argv[] = { (char *)lister, (char *)path, NULL };
	posix_spawn_file_actions_t files;
	int r;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	r = posix_spawnp(pid, lister, &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

/* Whether a line of the list, which ends in a path, is the module, compressed or not. */
static bool line_is_module(const char *line)
{
	const char *at = strstr(line, "/cpr_handover.ko");

	return at && !strchr(at + 1, '/');
}

/* Read to the end of the list, so that the lister is not killed by SIGPIPE. */
static void lister_read(FILE *list, bool *modules, bool *found)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, list) >= 0) {
		*modules |= strstr(line, ".ko") != NULL;
		*found |= line_is_module(line);
	}
}

static bool lister_succeeded(pid_t pid)
{
	int status = 0;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int initrd_list_with(const char *lister, const char *path)
{
	bool modules = false, found = false, well;
	int fds[2], r;
	FILE *list;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = lister_spawn(lister, path, fds[1], &pid);
	close(fds[1]);
	list = r < 0 ? NULL : fdopen(fds[0], "r");
	if (!list) {
		close(fds[0]);
		return r < 0 ? r : -EIO;
	}
	lister_read(list, &modules, &found);
	fclose(list);
	well = lister_succeeded(pid);
	/* A list without any module: the lister may not have understood the archive. */
	return found ? 1 : well && modules ? 0 : -EBADMSG;
}

int initrd_has_module(const char *path)
{
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(listers) && r == -ENOENT; i++)
		r = initrd_list_with(listers[i], path);
	return r;
}

/* Of what the kernel unpacks: lib/decompress.c, and archives of cpio. */
static bool initrd_begins_well(const unsigned char *bytes, size_t len)
{
	static const struct { const char *bytes; size_t len; } magics[] = {
		{ "070701", 6 }, { "070702", 6 }, { "\x1f\x8b", 2 }, { "\x1f\x9e", 2 },
		{ "BZh", 3 }, { "\x5d\0\0", 3 }, { "\xfd" "7zXZ", 5 }, { "\x89LZO", 4 },
		{ "\x02\x21\x4c\x18", 4 }, { "\x28\xb5\x2f\xfd", 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (len >= magics[i].len && memcmp(bytes, magics[i].bytes, magics[i].len) == 0)
			return true;
	return false;
}

int initrd_check_format(const char *path, struct err *err)
{
	/* O_NONBLOCK: opening a FIFO must not block. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	unsigned char bytes[6];
	const char *why = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(err, -errno, .exit = CPR_EXIT_REFUSED, .what = "initrd", .value = path,
			    .why = strerror(errno));
	n = S_ISREG(st.st_mode) ? read(fd, bytes, sizeof(bytes)) : 0;
	if (!S_ISREG(st.st_mode))
		why = "it is not a regular file";
	else if (n < 0)
		why = strerror(errno);
	else if (n == 0)
		why = "it is empty";
	else if (!initrd_begins_well(bytes, n))
		why = "it is no archive that a kernel unpacks";
	return !why ? 0 :
	       fail(err, -EINVAL, .exit = CPR_EXIT_REFUSED, .what = "initrd", .value = path, .why = why,
		    .remedy = "make it again ('update-initramfs -c -k VERSION', or dracut), or name "
		    "another with --initrd");
}
