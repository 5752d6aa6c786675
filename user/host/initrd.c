// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is in an initramfs is found out by the tools of those who make them: there
 * are many formats, compressed in many ways, and one file may be several archives.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#include "host/initrd.h"

extern char **environ;

/* Both know the archives of the other. */
static const char *const listers[] = { "lsinitramfs", "lsinitrd" };

static int spawn_lister(const char *lister, const char *path, int out, pid_t *pid)
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

/* A line ends in the file's name; it may be compressed. */
static bool is_module(const char *line)
{
	const char *at = strstr(line, "/cpr_handover.ko");

	return at && !strchr(at + 1, '/');
}

/* All is read, so that the lister does not end by a signal. */
static void read_list(FILE *list, bool *modules, bool *found)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, list) >= 0) {
		*modules |= strstr(line, ".ko") != NULL;
		*found |= is_module(line);
	}
}

static bool ended_well(pid_t pid)
{
	int status = 0;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int look_with(const char *lister, const char *path)
{
	bool modules = false, found = false, well;
	int fds[2], r;
	FILE *list;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = spawn_lister(lister, path, fds[1], &pid);
	close(fds[1]);
	list = r < 0 ? NULL : fdopen(fds[0], "r");
	if (!list) {
		close(fds[0]);
		return r < 0 ? r : -EIO;
	}
	read_list(list, &modules, &found);
	fclose(list);
	well = ended_well(pid);
	/* A list without any module may be of something that was not understood. */
	return found ? 1 : well && modules ? 0 : -EBADMSG;
}

int initrd_has_module(const char *path)
{
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(listers) && r == -ENOENT; i++)
		r = look_with(listers[i], path);
	return r;
}
