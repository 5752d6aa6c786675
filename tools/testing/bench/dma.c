// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma ADDRESS SIZE-MIB - how long the module takes to read what a device can
 * reach. One line a case: what is mapped, in how many extents, milliseconds, and
 * what that is for a TiB of guest memory. Then what a guest notices of a proof that
 * looks at every page: all of it while the guest stands still, or before that and in
 * parts. Needs a device that vfio-pci has.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cpr.h"
#include "iommu.h"

#define ROUNDS	5
/* As in kmod/probe.c: what is read is this, and twice the memory. */
#define ABOVE	(8ull << 30)
#define TIB	(1ull << 40)
#define PART	(64ull << 20)

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void do_or_die(int err, const char *what)
{
	if (err)
		errx(1, "%s: %d %s", what, err, nl_said());
}

static double measure(const struct iommu *m, const char *what, uint64_t size, int full)
{
	double best = 1e9, per_byte;
	const char *devices[] = { m->address, NULL };
	struct reach reach;

	for (int i = 0; i < ROUNDS; i++) {
		double begin = now_ms();

		do_or_die(nl_snapshot("bench", devices, m->fds, full, &reach), what);
		if (now_ms() - begin < best)
			best = now_ms() - begin;
	}
	per_byte = best / (ABOVE + 2 * size);
	printf("# %-24s %8u extents %10.1f ms %10.1f s per TiB\n", what, reach.extents, best,
	       per_byte * 2 * TIB / 1e3);
	return best;
}

static double verify_all(const struct iommu *m)
{
	double best = 1e9;
	struct reach reach;

	for (int i = 0; i < ROUNDS; i++) {
		double begin = now_ms();

		do_or_die(nl_verify("bench", m->fds, 0, &reach), "verify");
		if (now_ms() - begin < best)
			best = now_ms() - begin;
	}
	return best;
}

static void measure_parts(const struct iommu *m, double full)
{
	double longest = 0, sum = 0, pause;
	struct reach reach = { 0 };
	int parts = 0;

	do {
		double begin = now_ms(), took;

		do_or_die(nl_verify_part("bench", m->fds, reach.next, PART, &reach), "part");
		took = now_ms() - begin;
		sum += took;
		longest = took > longest ? took : longest;
		parts++;
	} while (reach.next);
	pause = verify_all(m);
	printf("# every page before the pause: %d parts, %.2f of the full snapshot in all, %.4f the longest\n",
	       parts, sum / full, longest / full);
	printf("# left in the pause: %.4f of the full snapshot\n", pause / full);
}

static void map_pieces(struct iommu *m, char *ram, uint64_t size, uint64_t piece)
{
	/* In reverse, so that no two continue each other. */
	for (uint64_t at = 0; at < size; at += piece)
		do_or_die(iommu_map(m, at, ram + size - piece - at, piece), "map");
}

static void run_case(const char *address, char *ram, uint64_t size, uint64_t piece, const char *what,
		     int full)
{
	struct iommu m;
	double took;

	do_or_die(iommu_open_type1(&m, address), "VFIO");
	map_pieces(&m, ram, size, piece ? piece : size);
	took = measure(&m, what, size, full);
	if (full)
		measure_parts(&m, took);
	iommu_close(&m);
}

int main(int argc, char **argv)
{
	const char *const memory[] = { "ram0", NULL };
	uint64_t size;
	char *ram;
	int fd;

	if (argc != 3)
		errx(2, "usage: dma ADDRESS SIZE-MIB");
	size = strtoull(argv[2], NULL, 0) << 20;
	mkdir(MNT "/bench", 0700);
	fd = make_file("bench/ram0", size);
	if (fd < 0 || posix_fallocate(fd, 0, size))
		err(1, "ram0");
	ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ram == MAP_FAILED)
		err(1, "mmap");
	close(fd);
	do_or_die(nl_step(CPR_CMD_VM_PIN, "bench", memory), "pin");
	run_case(argv[1], ram, size, 0, "in one call", 0);
	run_case(argv[1], ram, size, FRAME, "2 MiB a call, scattered", 0);
	run_case(argv[1], ram, size, 0, "in one call, full", 1);
	munmap(ram, size);
	do_or_die(nl_step(CPR_CMD_VM_UNPIN, "bench", NULL), "unpin");
	return 0;
}
