// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <fcntl.h>

#include "base/deadline.h"
#include "handover/diskspeed.h"

#define PROBE_BYTES (64 * MIB)
#define PROBE_CHUNK (4 * MIB)
#define PROBE_MS 1000
#define PROBE_ALIGN 4096

static double diskspeed_seconds_since(int64_t begin)
{
	int64_t ms = now_ms() - begin;

	return (ms > 0 ? ms : 1) / 1000.0;
}

/* Bytes a second, until they are on the disk; 0 if the file cannot be written this way. */
static double diskspeed_write_rate(int fd, const void *chunk, uint64_t most, uint64_t *done)
{
	int64_t begin = now_ms();

	for (*done = 0; *done < most && now_ms() - begin < PROBE_MS; *done += PROBE_CHUNK)
		if (pwrite(fd, chunk, PROBE_CHUNK, *done) != PROBE_CHUNK)
			return 0;
	return fdatasync(fd) < 0 ? 0 : *done / diskspeed_seconds_since(begin);
}

static double diskspeed_read_rate(int fd, void *chunk, uint64_t done)
{
	int64_t begin = now_ms();

	for (uint64_t at = 0; at < done; at += PROBE_CHUNK)
		if (pread(fd, chunk, PROBE_CHUNK, at) != PROBE_CHUNK)
			return 0;
	return done / diskspeed_seconds_since(begin);
}

/* Data that a disk cannot compress. */
static void diskspeed_fill_random(uint64_t *p, size_t words)
{
	uint64_t v = 0x9e3779b97f4a7c15;

	for (size_t i = 0; i < words; i++) {
		v ^= v << 13;
		v ^= v >> 7;
		p[i] = v ^= v << 17;
	}
}

static int diskspeed_open_direct(const char *path, int flags)
{
	return open(path, flags | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);
}

double diskspeed_probe(const char *path, uint64_t bytes, double *rate)
{
	uint64_t most = bytes < PROBE_BYTES ? bytes & ~(PROBE_CHUNK - 1) : PROBE_BYTES;
	_cleanup_close_ int fd = diskspeed_open_direct(path, O_RDWR);
	_cleanup_free_ void *chunk = NULL;
	double back = 0;
	uint64_t done;

	if (posix_memalign(&chunk, PROBE_ALIGN, PROBE_CHUNK) != 0)
		return 0;
	diskspeed_fill_random(chunk, PROBE_CHUNK / sizeof(uint64_t));
	*rate = fd < 0 ? 0 : diskspeed_write_rate(fd, chunk, most, &done);
	if (*rate > 0) {
		back = diskspeed_read_rate(fd, chunk, done);
	} else {
		if (fd >= 0)
			close(fd);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		*rate = fd < 0 ? 0 : diskspeed_write_rate(fd, chunk, most, &done);
	}
	if (truncate(path, 0) < 0 || *rate <= 0)
		return 0;
	return bytes / *rate + (back > 0 ? 2 * bytes / back : 0);
}
