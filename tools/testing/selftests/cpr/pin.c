// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin FILE - pin the file's first frame for long, let go of everything else,
 * say "pinned" and stay.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpr.h"

int main(int argc, char **argv)
{
	void *at;
	int fd;

	if (argc != 2)
		errx(2, "usage: pin FILE");
	fd = open(argv[1], O_RDWR);
	at = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		err(1, "%s", argv[1]);
	if (pin_longterm(at, FRAME) < 0)
		err(1, "io_uring");
	munmap(at, FRAME);
	close(fd);
	puts("pinned");
	fflush(stdout);
	pause();
}
