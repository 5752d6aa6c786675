// SPDX-License-Identifier: GPL-2.0-only
/* In a file of its own because tests substitute it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include "host/pci.h"

int pci_write(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_all(fd, text, strlen(text));
}
