// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>

#include "base/numbers.h"

struct numbers numbers_open(const char *path)
{
	DIR *dir = opendir(path);

	return (struct numbers){ .dir = dir, .error = dir ? 0 : -errno };
}

struct numbers numbers_of_process(pid_t pid, const char *what)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", (int)pid, what);

	return numbers_open(path);
}

bool numbers_next(struct numbers *numbers)
{
	struct dirent *e;

	while (numbers->dir && (e = readdir(numbers->dir))) {
		if (!isdigit((unsigned char)*e->d_name))
			continue;
		numbers->n = atoi(e->d_name);
		return true;
	}
	return false;
}

void numbers_close(struct numbers *numbers)
{
	if (numbers->dir)
		closedir(numbers->dir);
}
