// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin FILE - pin the file's first frame for long, let go of everything else,
 * say "pinned" and stay.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cpr.h"

int main(int argc, char **argv)
{
	struct io_uring_params params = { 0 };
	struct iovec iov = { NULL, FRAME };
	int fd, ring;

	if (argc != 2)
		errx(2, "usage: pin FILE");
	fd = open(argv[1], O_RDWR);
	iov.iov_base = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (iov.iov_base == MAP_FAILED)
		err(1, "%s", argv[1]);
	ring = syscall(SYS_io_uring_setup, 1, &params);
	if (ring < 0 || syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1))
		err(1, "io_uring");
	munmap(iov.iov_base, FRAME);
	close(fd);
	puts("pinned");
	fflush(stdout);
	pause();
}
