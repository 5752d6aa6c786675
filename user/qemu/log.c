// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/paths.h"
#include "qemu/log.h"

#define TAIL_MAX 4096
#define TAIL_LINES 20
#define LOG_MAX (4 * MIB)
#define LOG_KEPT 65536

off_t log_size(const char *vm)
{
	_cleanup_free_ char *path = vm_path(vm, LOG_FILE);
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : 0;
}

int log_open(const char *vm, struct err *err)
{
	_cleanup_free_ char *path = vm_path(vm, LOG_FILE);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	return fd >= 0 ? fd : fail(err, -errno, .what = "cannot open", .value = path);
}

/* QEMU appends, so that its next line comes after what is kept. */
void log_trim(const char *vm)
{
	_cleanup_free_ char *path = vm_path(vm, LOG_FILE), *kept = xcalloc(1, LOG_KEPT + 1);
	_cleanup_close_ int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
	const char *line;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= (off_t)LOG_MAX)
		return;
	n = pread(fd, kept, LOG_KEPT, st.st_size - LOG_KEPT);
	if (n <= 0 || ftruncate(fd, 0) < 0)
		return;
	line = memchr(kept, '\n', n);
	line = line ? line + 1 : kept;
	write_all(fd, line, kept + n - line);
}

/* A pointer to the last TAIL_LINES lines of @text. */
static const char *last_lines(const char *text)
{
	const char *p = text + strlen(text);

	for (int lines = 0; p > text; p--)
		if (p[-1] == '\n' && p[0] && ++lines == TAIL_LINES)
			break;
	return p;
}

char *log_lines(int fd, off_t from)
{
	char buf[TAIL_MAX + 1];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	if (from > st.st_size)		/* it was trimmed meanwhile */
		from = 0;
	if (st.st_size - from > TAIL_MAX)
		from = st.st_size - TAIL_MAX;
	n = pread(fd, buf, TAIL_MAX, from);
	while (n > 0 && buf[n - 1] == '\n')
		n--;
	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	return xstrdup(last_lines(buf));
}

char *log_tail(const char *vm, off_t from)
{
	_cleanup_free_ char *path = vm_path(vm, LOG_FILE);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	return log_lines(fd, from);
}
