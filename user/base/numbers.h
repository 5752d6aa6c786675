/* SPDX-License-Identifier: GPL-2.0-only */
/* The entries of a directory whose names are numbers: /proc, /proc/PID/fd, /proc/PID/task. */
#ifndef CPR_NUMBERS_H
#define CPR_NUMBERS_H

#include <dirent.h>
#include <sys/types.h>

#include "base/util.h"

/**
 * struct numbers - a walk through such a directory
 * @dir: the directory; NULL if it cannot be read
 * @error: the reason, a negative errno; 0 if @dir can be read
 * @n: the current entry, after numbers_next() has returned true
 */
struct numbers {
	DIR *dir;
	int error;
	int n;
};

/* numbers_close() is due, also after an error. Without a directory there are no entries. */
struct numbers numbers_open(const char *path);
struct numbers numbers_of_process(pid_t pid, const char *what);
bool numbers_next(struct numbers *numbers);
void numbers_close(struct numbers *numbers);
#define _cleanup_numbers_ _cleanup_(numbers_close)

#endif
