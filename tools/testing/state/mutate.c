// SPDX-License-Identifier: GPL-2.0-only
/*
 * mutate FILE MAP N STRIDE - damage a state file in many ways, one at a time, and check
 * that the parser refuses each result.
 *
 * The parser may accept a file that differs only in bytes that are free in MAP, or in a
 * section that MAP has as repeatable, and no file that differs if it has the digest. N is
 * the number of random damages, STRIDE the distance in bytes between the ends of prefixes.
 * The damages of a file are the same in each run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "stream/stream.h"

static uint8_t *whole, *now;
static bool *is_free;
static size_t size, len;
static int fd;
static struct digest digest;
static struct { size_t from, to; bool optional, repeatable, continued; } sections[STREAM_MAX_SECTIONS];
static size_t nsections;
static unsigned long checks, accepted, failures;
static uint64_t seed = 20251123;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void read_file(const char *path)
{
	int in = open(path, O_RDONLY);
	off_t end = in < 0 ? -1 : lseek(in, 0, SEEK_END);

	if (end < 0)
		die(path);
	size = end;
	whole = xcalloc(1, size);
	now = xcalloc(2, size);
	is_free = xcalloc(size, 1);
	if (pread(in, whole, size, 0) != (ssize_t)size || digest_fd(in, &digest) < 0)
		die(path);
	close(in);
	memcpy(now, whole, size);
	len = size;
	fd = memfd_create("state", MFD_CLOEXEC);
	if (fd < 0 || write_all(fd, whole, size) < 0)
		die("memfd");
}

static void add_section(const char *kind, size_t from, size_t to)
{
	sections[nsections].from = from;
	sections[nsections].to = to;
	sections[nsections].optional = streq(kind, "optional");
	sections[nsections++].repeatable = streq(kind, "repeatable");
}

static void read_map(const char *path)
{
	FILE *in = fopen(path, "r");
	size_t from, to;
	char word[16];

	if (!in)
		die(path);
	while (fscanf(in, "%15s %zu %zu", word, &from, &to) == 3) {
		if (to > size || from > to || nsections == STREAM_MAX_SECTIONS)
			continue;
		if (streq(word, "free"))
			memset(is_free + from, true, to - from);
		else if (streq(word, "continued"))
			sections[nsections - 1].continued = true;
		else
			add_section(word, from, to);
	}
	fclose(in);
}

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return below ? seed % below : 0;
}

static bool accepts(bool with_digest)
{
	struct stream_expect expect = { .digest = with_digest ? &digest : NULL };
	struct stream st;
	bool ok;

	ok = stream_check(&st, fd, &expect) == 0;
	checks++;
	/* A refusal has a place, which is in the file. */
	if (!ok && (!st.src.fault.kind || st.src.fault.offset > len || !*st.src.fault.meaning)) {
		printf("# a refusal without a place: %s\n", st.src.fault.expected);
		failures++;
	}
	stream_free(&st);
	return ok;
}

/* Write the bytes from @from to @to, which have changed, to the file. */
static void store(size_t from, size_t to)
{
	if (ftruncate(fd, len) < 0 ||
	    (to > from && pwrite(fd, now + from, to - from, from) != (ssize_t)(to - from)))
		die("memfd");
}

static bool is_whole(void)
{
	return len == size && memcmp(now, whole, size) == 0;
}

static bool all_free(size_t from, size_t to)
{
	if (len != size)
		return false;
	for (size_t i = from; i < to; i++)
		if (now[i] != whole[i] && !is_free[i])
			return false;
	return true;
}

/*
 * Check the file, whose bytes from @from to @to have changed, and restore it.
 * @valid: the change makes another valid file, which only a digest tells from this one
 */
static void see(const char *what, size_t from, size_t to, bool valid)
{
	store(from, to);
	if (!is_whole()) {
		bool ok = accepts(false);

		accepted += ok;
		/* If the file is refused already, check with the digest only now and then. */
		if ((ok && !valid && !all_free(from, to)) ||
		    ((ok || checks % 8 == 0) && accepts(true))) {
			printf("# accepted: %s, bytes %zu to %zu, %zu of %zu in all\n", what, from, to,
			       len, size);
			failures++;
		}
	}
	len = size;
	memcpy(now + from, whole + from, size - from);
	store(from, len);
}

/* The longest first: each is a prefix of the one before. */
static void prefixes(size_t stride)
{
	len = size;
	while (len > 0) {
		size_t step = is_free[len - 1] && stride < 509 ? 509 : stride;

		len -= step < len ? step : len;
		if (ftruncate(fd, len) < 0)
			die("memfd");
		if (accepts(false)) {
			printf("# accepted: the first %zu bytes of %zu\n", len, size);
			failures++;
		}
	}
	len = size;
	store(0, len);
}

static void zeros(size_t from, size_t n)
{
	if (n > size - from)
		n = size - from;
	memset(now + from, 0, n);
	see("zeros", from, from + n, false);
}

static void cut(size_t from, size_t n)
{
	memmove(now + from, now + from + n, len - from - n);
	len -= n;
	see("cut", from, len, false);
}

static void insert(size_t from, const uint8_t *bytes, size_t n, bool valid)
{
	memmove(now + from + n, now + from, len - from);
	memcpy(now + from, bytes, n);
	len += n;
	see("insert", from, len, valid);
}

/* The order of RAM blocks is QEMU's choice, so sections that name theirs may be swapped. */
static bool may_swap(size_t i)
{
	return sections[i].repeatable && !sections[i].continued &&
	       sections[i + 1].repeatable && !sections[i + 1].continued;
}

static void swap(size_t i)
{
	size_t from = sections[i].from, mid = sections[i].to, to = sections[i + 1].to;

	if (mid != sections[i + 1].from)
		return;
	memcpy(now + from, whole + mid, to - mid);
	memcpy(now + from + (to - mid), whole + from, mid - from);
	see("swap", from, to, may_swap(i));
}

static void each_section(void)
{
	for (size_t i = 0; i < nsections; i++) {
		size_t from = sections[i].from, to = sections[i].to;

		zeros(from, 1);
		zeros(from, 64);
		zeros(from, 4096);
		zeros(from, to - from);
		zeros(from, size);
		zeros(to - 5, 5);
		if (to - from > size / 2 || sections[i].optional)
			continue;
		cut(from, to - from);
		insert(from, whole + from, to - from, sections[i].repeatable);
		if (i + 1 < nsections && !sections[i + 1].optional)
			swap(i);
	}
}

/* Half of the places are in bytes that are not free, which may be few. */
static size_t somewhere(void)
{
	for (int tries = 0; tries < 2000; tries++) {
		size_t at = rnd(size);

		if (tries == 0 && (at & 1))
			return at;
		if (!is_free[at])
			return at;
	}
	return rnd(size);
}

static void garble(size_t at, size_t n)
{
	for (size_t i = at; i < at + n; i++)
		now[i] = rnd(256);
	see("random bytes", at, at + n, false);
}

static void random_damage(void)
{
	size_t at = somewhere(), n = 1 + rnd(rnd(4) ? 16 : 8192), other = rnd(size);

	if (n > size - at)
		n = size - at;
	if (n > size - other)
		n = size - other;
	switch (rnd(size > 8 << 20 ? 5 : 7)) {
	case 0:
		now[at] ^= 1 << rnd(8);
		see("bit", at, at + 1, false);
		break;
	case 1:
		now[at] = rnd(256);
		see("byte", at, at + 1, false);
		break;
	case 2:
		zeros(at, n);
		break;
	case 3:
		memmove(now + at, whole + other, n);
		see("copy", at, at + n, false);
		break;
	case 4:
		garble(at, n);
		break;
	case 5:
		cut(at, n);
		break;
	case 6:
		insert(at, whole + other, n, false);
		break;
	}
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	read_file(argv[1]);
	read_map(argv[2]);
	if (!accepts(false) || !accepts(true)) {
		printf("# the file itself is refused\n");
		return 1;
	}
	each_section();
	for (long i = 0; i < atol(argv[3]); i++)
		random_damage();
	if (atol(argv[4]))
		prefixes(atol(argv[4]));
	printf("# %s: %lu checks, %lu accepted as they differ in free bytes or repeat a section, %lu failures\n",
	       basename(argv[1]), checks, accepted, failures);
	return failures > 0;
}
