// SPDX-License-Identifier: GPL-2.0-only
/*
 * The digest of memory covers every byte, whatever the number of threads.
 *
 * How the digest is built, that it sees every change, and how its computation ends if it
 * cannot be had; and the line of progress.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ktap.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "handover/ramdigest.h"

static char dir[] = "/tmp/test-ramdigest-XXXXXX";
static struct strv files;

static char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* A file of @size bytes, sparse, with a word every 11 MiB and at its end. */
static void make(const char *name, uint64_t size)
{
	int fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0 && ftruncate(fd, size) == 0);
	for (uint64_t at = 5; at + 8 <= size; at += 11 * MIB)
		CHECK_EQ(pwrite(fd, &at, 8, at), 8);
	if (size)
		CHECK_EQ(pwrite(fd, "x", 1, size - 1), 1);
	close(fd);
	strv_push(&files, name);
}

static void poke(const char *name, uint64_t at, char byte)
{
	int fd = open(path_of(name), O_RDWR);

	CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void remove_all(void)
{
	for (size_t i = 0; i < files.n; i++)
		unlink(path_of(files.v[i]));
	strv_free(&files);
	files = (struct strv){ 0 };
}

static XXH128_canonical_t hash(const void *data, size_t len)
{
	XXH128_canonical_t canon;

	XXH128_canonicalFromHash(&canon, XXH3_128bits(data, len));
	return canon;
}

/* The same by the words of ramdigest.h, one byte after the other. */
static XXH128_canonical_t expected(void)
{
	uint8_t list[1024];
	size_t n = 0;

	for (size_t i = 0; i < files.n; i++) {
		int fd = open(path_of(files.v[i]), O_RDONLY);
		uint64_t size = lseek(fd, 0, SEEK_END), le = htole64(size);
		uint8_t *all = malloc(size + 1);

		CHECK_EQ(pread(fd, all, size, 0), size);
		close(fd);
		memcpy(list + n, &le, 8);
		n += 8;
		for (uint64_t at = 0; at < size; at += RAM_CHUNK, n += 16) {
			XXH128_canonical_t one = hash(all + at, size - at < RAM_CHUNK ? size - at :
						      RAM_CHUNK);

			memcpy(list + n, &one, 16);
		}
		free(all);
	}
	return hash(list, n);
}

static XXH128_canonical_t digest(void)
{
	_cleanup_err_ struct err err = { 0 };
	XXH128_canonical_t d;

	CHECK_EQ(ramdigest_compute(dir, &files, false, d.digest, &err), 0);
	return d;
}

static bool same(XXH128_canonical_t a, XXH128_canonical_t b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

TEST(it_is_what_its_description_says)
{
	static const uint64_t sizes[] = { 0, 1, 4096, RAM_CHUNK - 1, RAM_CHUNK, RAM_CHUNK + 1,
					  2 * RAM_CHUNK + 5 };

	CHECK(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		make("one", sizes[i]);
		CHECK(same(digest(), expected()));
		remove_all();
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		make(fmt("ram%zu", i), sizes[i]);
	for (int i = 0; i < 5; i++)
		CHECK(same(digest(), expected()));
	remove_all();
}

TEST(it_sees_every_change)
{
	XXH128_canonical_t before;

	make("a", RAM_CHUNK + 1);
	make("b", 3 * MIB);
	before = digest();
	for (int i = 0; i < 2; i++) {
		static const uint64_t at[] = { 0, RAM_CHUNK - 1 };

		poke("a", at[i], 1);
		CHECK(!same(digest(), before));
		poke("a", at[i], 0);
		CHECK(same(digest(), before));
	}
	poke("a", RAM_CHUNK, 'y');
	CHECK(!same(digest(), before));
	poke("a", RAM_CHUNK, 'x');
	poke("b", MIB, 1);
	CHECK(!same(digest(), before));
	poke("b", MIB, 0);
	/* The order of the files, and where one ends and the next begins. */
	remove_all();
	make("b", 3 * MIB);
	make("a", RAM_CHUNK + 1);
	CHECK(!same(digest(), before));
	remove_all();
	make("a", RAM_CHUNK);
	make("b", 0);
	before = digest();
	remove_all();
	make("b", 0);
	make("a", RAM_CHUNK);
	CHECK(!same(digest(), before));
	remove_all();
}

/* Blocks that a sparse file has, before and after. */
TEST(holes_stay_holes)
{
	struct stat before, after;

	make("a", 3 * RAM_CHUNK);
	CHECK(stat(path_of("a"), &before) == 0);
	digest();
	CHECK(stat(path_of("a"), &after) == 0);
	CHECK_EQ(after.st_blocks, before.st_blocks);
	remove_all();
}

static void fails_with(int code, const char *value, const char *why)
{
	_cleanup_err_ struct err err = { 0 };
	uint8_t bytes[DIGEST_BYTES];

	CHECK_EQ(ramdigest_compute(dir, &files, true, bytes, &err), code);
	CHECK_STR(err.value ? err.value : "", value);
	CHECK_STR(err.why, why);
}

TEST(what_cannot_be_read)
{
	make("a", MIB);
	strv_push(&files, "none");
	fails_with(-ENOENT, path_of("none"), "No such file or directory");
	CHECK(mkfifo(path_of("none"), 0600) == 0);
	fails_with(-EINVAL, path_of("none"), "Invalid argument");
	unlink(path_of("none"));
	CHECK(symlink("a", path_of("none")) == 0);
	fails_with(-ELOOP, path_of("none"), "Too many levels of symbolic links");
	remove_all();
}

TEST(it_can_be_interrupted_if_it_may)
{
	interrupt_init();
	make("a", 20 * RAM_CHUNK);
	raise(SIGTERM);
	/* Not where there is no way back. */
	digest();
	fails_with(-EINTR, "", "interrupted");
	remove_all();
	rmdir(dir);
}

TEST(a_line_of_progress)
{
	CHECK_STR(progress_text(0, 64 * MIB, 2000), "0 B of 64 MiB, 0%");
	CHECK_STR(progress_text(16 * MIB, 64 * MIB, 2000), "16 MiB of 64 MiB, 25%, 6 s left");
	CHECK_STR(progress_text(64 * MIB, 64 * MIB, 2000), "64 MiB of 64 MiB, 100%, 0 s left");
	CHECK_STR(progress_text(16 * MIB, 64 * MIB, 0), "16 MiB of 64 MiB, 25%");
	CHECK_STR(progress_text(0, 0, 5), "0 B of 0 B, 100%");
}

int main(void)
{
	return ktap_run();
}
