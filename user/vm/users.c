// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/numbers.h"
#include "vm/users.h"

#define USERS_SHOWN 8

/**
 * struct users - a search for the users of files
 * @inos, @names: inode numbers and names of the files
 * @dev: device that all files are on
 * @n: number of files
 * @found: a text for each process that uses one
 */
struct users {
	ino_t *inos;
	struct strv names;
	dev_t dev;
	size_t n;
	struct strv found;
};

static void users_free(struct users *u)
{
	free(u->inos);
	strv_free(&u->names);
	strv_free(&u->found);
}

/* The files in @dir and below. */
static void users_add_files(struct users *u, const char *dir)
{
	char *const roots[] = { (char *)dir, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *e;

	while (fts && (e = fts_read(fts))) {
		if (e->fts_info != FTS_F)
			continue;
		u->inos = xrealloc(u->inos, u->n + 1, sizeof(*u->inos));
		u->inos[u->n++] = e->fts_statp->st_ino;
		u->dev = e->fts_statp->st_dev;
		strv_push(&u->names, e->fts_path + strlen(dir) + 1);
	}
	if (fts)
		fts_close(fts);
}

static const char *users_name_of(const struct users *u, ino_t ino)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->inos[i] == ino)
			return u->names.v[i];
	return NULL;
}

/* The name of a file that the process has mapped; NULL for none. */
static const char *users_mapped(const struct users *u, pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/maps", (int)pid), *line = NULL;
	FILE *f = fopen(path, "re");
	const char *name = NULL;
	unsigned int major, minor;
	unsigned long ino;
	size_t size = 0;

	while (f && !name && getline(&line, &size, f) >= 0)
		if (sscanf(line, "%*s %*s %*s %x:%x %lu", &major, &minor, &ino) == 3 &&
		    makedev(major, minor) == u->dev)
			name = users_name_of(u, ino);
	if (f)
		fclose(f);
	return name;
}

/*
 * The name of the file behind a descriptor that can write; NULL if it is another file. Asks a
 * file system only about a file with the right inode number, and for what it knows already:
 * one that a process serves may never answer.
 */
static const char *users_written(const struct users *u, pid_t pid, int fd)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fdinfo/%d", (int)pid, fd);
	_cleanup_free_ char *link = xasprintf("/proc/%d/fd/%d", (int)pid, fd);
	_cleanup_free_ char *info = read_text(path, 65536);
	const char *flags = info ? strstr(info, "flags:") : NULL;
	const char *ino = info ? strstr(info, "ino:") : NULL;
	const char *name;
	struct statx st;

	if (!flags || !ino || (strtoul(flags + 6, NULL, 8) & O_ACCMODE) == O_RDONLY)
		return NULL;
	name = users_name_of(u, strtoul(ino + 4, NULL, 10));
	if (!name || statx(AT_FDCWD, link, AT_STATX_DONT_SYNC, STATX_INO, &st) < 0 ||
	    makedev(st.stx_dev_major, st.stx_dev_minor) != u->dev)
		return NULL;
	return name;
}

/* The name of a file that the process can write to; NULL for none. */
static const char *users_open(const struct users *u, pid_t pid)
{
	_cleanup_numbers_ struct numbers fds = numbers_of_process(pid, "fd");
	const char *name = NULL;

	while (!name && numbers_next(&fds))
		name = users_written(u, pid, fds.n);
	return name;
}

static void users_check_process(struct users *u, pid_t pid)
{
	const char *mapped = users_mapped(u, pid);
	const char *open = mapped ? NULL : users_open(u, pid);
	_cleanup_free_ char *path = xasprintf("/proc/%d/comm", (int)pid), *comm = NULL, *shown = NULL;

	if (!mapped && !open)
		return;
	comm = read_text(path, 64);
	shown = comm ? printable(comm, strlen(comm)) : xstrdup("?");
	strv_pushf(&u->found, "pid %d (%s) %s %s", (int)pid, shown, mapped ? "maps" : "can write to",
		   mapped ?: open);
}

static void users_check_all(struct users *u)
{
	_cleanup_numbers_ struct numbers all = numbers_open("/proc");

	while (numbers_next(&all))
		if (all.n != getpid())
			users_check_process(u, all.n);
}

char *users_find(const char *dir)
{
	_cleanup_(users_free) struct users u = { 0 };
	size_t more;

	users_add_files(&u, dir);
	if (u.n)
		users_check_all(&u);
	if (!u.found.n)
		return NULL;
	more = u.found.n > USERS_SHOWN ? u.found.n - USERS_SHOWN : 0;
	while (u.found.n > USERS_SHOWN)
		free(u.found.v[--u.found.n]);
	if (more)
		strv_pushf(&u.found, "and %zu more", more);
	return strv_join(&u.found, ", ");
}

void users_blame(const char *dir, bool revoked, struct err *err)
{
	_cleanup_free_ char *users = err && err->set ? users_find(dir) : NULL;
	char *why;

	if (!err || !err->set)
		return;
	why = xasprintf("%s: %s", err->why, users ?: "no process was found that uses its files");
	free(err->why);
	err->why = why;
	err_remedy(err, xasprintf("%s%s", users ? "end these processes" : "end the user",
				  revoked ? "" : ", or repeat the command with --revoke, which "
				  "takes the files from all users"));
}
