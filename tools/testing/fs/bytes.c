// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file holds exactly the bytes that were written to it, whichever call or mapping wrote them.
 *
 * DOC: One file against a model
 *
 * bytes [OPTION...] FILE - do random operations on FILE and on an array in memory, and
 * compare both. The idea is that of fsx.
 *
 *	--ops N		operations (10000)
 *	--seed S	determines all operations (the time)
 *	--limit BYTES	the file is never longer (9 MiB + 100 bytes)
 *	--tail		use a mapping to write behind the end of the file, into its last page:
 *			when the file grows, these bytes must read as zeros. tmpfs fails.
 *	--model MODEL	at the end, write the array to MODEL
 *
 * All operations are drawn before the first is executed. A child executes them, because it
 * may crash. If an operation fails, the program removes other operations as long as the run
 * still fails, and prints the remaining ones. It also prints which operations FILE's file
 * system does not support.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "options.h"
#include "random.h"

#define PAGE		4096ul
#define FRAME		(2ul << 20)
#define CHECK_EVERY	1000
#define SECONDS_TO_SHORTEN	60

struct op {
	uint32_t kind, offset, length, slice, other;
};

/* Written by the child. */
static struct report {
	volatile uint32_t at;
	char text[256];
	unsigned int unsupported[64];
} *report;

static const char *path;
static size_t limit = 9ul * 1024 * 1024 + 100;
static bool tails;
static const unsigned char *noise;

static unsigned char *model, *scratch, *map;
static size_t size;
static int fd = -1, direct = -1, append = -1;
static sigjmp_buf out, fault;

/* ---- failures ---- */

__attribute__((format(printf, 1, 2), noreturn))
static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(report->text, sizeof(report->text), format, args);
	va_end(args);
	siglongjmp(out, 1);
}

static void must(bool holds, const char *call)
{
	if (!holds)
		fail("%s: %s", call, strerror(errno));
}

static void must_count(ssize_t got, size_t want, const char *call)
{
	if (got < 0)
		fail("%s: %s", call, strerror(errno));
	if ((size_t)got != want)
		fail("%s: %zd bytes, not %zu", call, got, want);
}

/*
 * Did a call succeed that is optional for a file system? ENODEV is the error of MADV_REMOVE
 * on a file that is mapped like a device.
 */
static bool supported(const struct op *op, int result, const char *call)
{
	if (!result)
		return true;
	if (errno != EOPNOTSUPP && errno != ENODEV)
		fail("%s: %s", call, strerror(errno));
	report->unsupported[op->kind]++;
	return false;
}

static void compare(const unsigned char *got, size_t offset, size_t length, const char *how)
{
	size_t i = 0, bad = 0;

	if (!memcmp(got, model + offset, length))
		return;
	while (got[i] == model[offset + i])
		i++;
	for (size_t j = i; j < length; j++)
		bad += got[j] != model[offset + j];
	fail("%s: byte %#zx is %02x, not %02x; %zu of %zu bytes from %#zx differ", how,
	     offset + i, got[i], model[offset + i], bad, length, offset);
}

/* ---- the model ---- */

static void model_resize(size_t to)
{
	if (to < size)
		memset(model + to, 0, size - to);
	size = to;
}

static void model_write(size_t offset, const unsigned char *data, size_t length)
{
	if (length && offset + length > size)
		size = offset + length;
	memmove(model + offset, data, length);
}

/* The part of an operation's range that is in the file. */
static size_t within(const struct op *op)
{
	if (op->offset >= size)
		return 0;
	return op->length < size - op->offset ? op->length : size - op->offset;
}

static const unsigned char *data_of(const struct op *op)
{
	return noise_slice(noise, op->slice);
}

/* ---- reading ---- */

static void do_read(const struct op *op)
{
	size_t n = within(op);

	must_count(pread(fd, scratch, op->length, op->offset), n, "pread");
	compare(scratch, op->offset, n, "pread");
}

static void do_seek_read(const struct op *op)
{
	size_t n = within(op);

	must(lseek(fd, op->offset, SEEK_SET) == op->offset, "lseek");
	must_count(read(fd, scratch, op->length), n, "read");
	compare(scratch, op->offset, n, "read");
}

static void cut_in_three(const struct op *op, unsigned char *at, struct iovec *iov)
{
	size_t first = op->other % (op->length + 1), second = (op->length - first) / 2;

	iov[0] = (struct iovec){ at, first };
	iov[1] = (struct iovec){ at + first, second };
	iov[2] = (struct iovec){ at + first + second, op->length - first - second };
}

static void do_readv(const struct op *op)
{
	struct iovec iov[3];
	size_t n = within(op);

	cut_in_three(op, scratch, iov);
	must_count(preadv(fd, iov, 3, op->offset), n, "preadv");
	compare(scratch, op->offset, n, "preadv");
}

/* What O_DIRECT needs on every file system. */
static struct op aligned(const struct op *op, size_t to)
{
	struct op cut = *op;

	cut.offset -= op->offset % to;
	cut.length = op->length + to - 1;
	cut.length -= cut.length % to;
	if (cut.offset + cut.length > limit)
		cut.length = (limit - cut.offset) / to * to;
	return cut;
}

static void do_direct_read(const struct op *op)
{
	struct op cut = aligned(op, op->slice & 1 ? 512 : PAGE);
	size_t n = within(&cut);

	if (direct < 0) {
		report->unsupported[op->kind]++;
		return;
	}
	must_count(pread(direct, scratch, cut.length, cut.offset), n, "direct pread");
	compare(scratch, cut.offset, n, "direct pread");
}

static void do_map_read(const struct op *op)
{
	compare(map + op->offset, op->offset, within(op), "mapping");
}

/* ---- writing ---- */

static void do_write(const struct op *op)
{
	must_count(pwrite(fd, data_of(op), op->length, op->offset), op->length, "pwrite");
	model_write(op->offset, data_of(op), op->length);
}

static void do_seek_write(const struct op *op)
{
	must(lseek(fd, op->offset, SEEK_SET) == op->offset, "lseek");
	must_count(write(fd, data_of(op), op->length), op->length, "write");
	model_write(op->offset, data_of(op), op->length);
}

static void do_writev(const struct op *op)
{
	struct iovec iov[3];

	cut_in_three(op, (unsigned char *)data_of(op), iov);
	must_count(pwritev(fd, iov, 3, op->offset), op->length, "pwritev");
	model_write(op->offset, data_of(op), op->length);
}

static void do_append(const struct op *op)
{
	size_t n = op->length < limit - size ? op->length : limit - size;

	must_count(write(append, data_of(op), n), n, "append");
	model_write(size, data_of(op), n);
}

static void do_direct_write(const struct op *op)
{
	struct op cut = aligned(op, op->slice & 1 ? 512 : PAGE);

	if (direct < 0) {
		report->unsupported[op->kind]++;
		return;
	}
	memcpy(scratch, data_of(op), cut.length);
	must_count(pwrite(direct, scratch, cut.length, cut.offset), cut.length, "direct pwrite");
	model_write(cut.offset, scratch, cut.length);
}

static void do_map_write(const struct op *op)
{
	size_t n = within(op);

	memcpy(map + op->offset, data_of(op), n);
	memcpy(model + op->offset, data_of(op), n);
}

/* ---- from the file, through a mapping of it ---- */

/* Choose where to copy an operation's range to; @n is reduced until both do not overlap. */
static size_t apart(const struct op *op, size_t *n)
{
	size_t to;

	*n = within(op);
	if (*n > size / 2)
		*n = size / 2;
	if (!*n)
		return 0;
	to = op->other % (size - *n + 1);
	if (to + *n > op->offset && to < op->offset + *n)
		*n = to > op->offset ? to - op->offset : op->offset - to;
	return to;
}

static void do_read_to_map(const struct op *op)
{
	size_t n, to = apart(op, &n);

	must_count(pread(fd, map + to, n, op->offset), n, "pread to the mapping");
	memcpy(model + to, model + op->offset, n);
}

static void do_write_from_map(const struct op *op)
{
	size_t n, to = apart(op, &n);

	must_count(pwrite(fd, map + op->offset, n, to), n, "pwrite from the mapping");
	memcpy(model + to, model + op->offset, n);
}

static void do_copy_range(const struct op *op)
{
	size_t n, to = apart(op, &n);
	off_t in = op->offset, at = to;

	while (n) {
		ssize_t done = copy_file_range(fd, &in, fd, &at, n, 0);

		if (done <= 0) {
			if (supported(op, -1, "copy_file_range"))
				fail("copy_file_range copies nothing");
			return;
		}
		memcpy(model + at - done, model + in - done, done);
		n -= done;
	}
}

/* ---- private mappings, and mappings at the end of the file ---- */

static void do_private(const struct op *op)
{
	size_t skip = op->offset % PAGE, n = within(op);
	unsigned char *copy;

	if (!n)
		return;
	copy = mmap(NULL, skip + n, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, op->offset - skip);
	must(copy != MAP_FAILED, "mmap");
	if (op->slice & 1)
		compare(copy + skip, op->offset, n, "private mapping");
	memcpy(copy + skip, data_of(op), n);
	if (memcmp(copy + skip, data_of(op), n))
		fail("a private mapping does not keep what was written");
	munmap(copy, skip + n);
}

static void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(fault, 1);
}

static bool access_faults(volatile unsigned char *at, bool write)
{
	bool faults = sigsetjmp(fault, 1);

	if (faults)
		return true;
	signal(SIGBUS, on_sigbus);
	if (write)
		*at = 1;
	else
		(void)*at;
	signal(SIGBUS, SIG_DFL);
	return false;
}

/* An access to a page after the end of the file gets SIGBUS. */
static void do_touch_after(const struct op *op)
{
	size_t first = (size + PAGE - 1) / PAGE, pages = (limit + PAGE - 1) / PAGE;

	if (first == pages)
		return;
	if (op->slice & 2)
		first += op->other % (pages - first);
	if (!access_faults(map + first * PAGE, op->slice & 1))
		fail("the mapping has a page at %#zx, after the end of the file", first * PAGE);
}

static void do_tail(const struct op *op)
{
	size_t n = size % PAGE;

	if (tails && n)
		memcpy(map + size, data_of(op), PAGE - n);
}

static void do_forget(const struct op *op)
{
	struct op cut = aligned(op, PAGE);

	must(!madvise(map + cut.offset, cut.length, MADV_DONTNEED), "MADV_DONTNEED");
}

/* ---- the length, and holes ---- */

static void do_truncate(const struct op *op)
{
	if (op->slice & 1)
		must(!truncate(path, op->offset), "truncate");
	else
		must(!ftruncate(fd, op->offset), "ftruncate");
	model_resize(op->offset);
}

static void do_allocate(const struct op *op)
{
	int mode = op->slice & 1 ? FALLOC_FL_KEEP_SIZE : 0;

	if (supported(op, fallocate(fd, mode, op->offset, op->length), "fallocate") &&
	    !mode && op->offset + op->length > size)
		model_resize(op->offset + op->length);
}

static void do_punch(const struct op *op)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (supported(op, fallocate(fd, mode, op->offset, op->length), "punch"))
		memset(model + op->offset, 0, within(op));
}

static void do_zero_range(const struct op *op)
{
	int mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

	if (supported(op, fallocate(fd, mode, op->offset, op->length), "zero range"))
		memset(model + op->offset, 0, within(op));
}

static void do_remove_pages(const struct op *op)
{
	struct op cut = aligned(op, PAGE);

	if (cut.length &&
	    supported(op, madvise(map + cut.offset, cut.length, MADV_REMOVE), "MADV_REMOVE"))
		memset(model + cut.offset, 0, within(&cut));
}

/* SEEK_DATA skips only zeros; data and holes alternate up to the end of the file. */
static void do_seek_hole(const struct op *op)
{
	off_t data, hole = 0;

	(void)op;
	while ((size_t)hole < size) {
		data = lseek(fd, hole, SEEK_DATA);
		if (data < 0) {
			must(errno == ENXIO, "SEEK_DATA");
			data = size;
		}
		if (data < hole || (size_t)data > size)
			fail("SEEK_DATA from %#jx: %#jx", (intmax_t)hole, (intmax_t)data);
		for (off_t i = hole; i < data; i++)
			if (model[i])
				fail("SEEK_DATA from %#jx passes by data at %#jx",
				     (intmax_t)hole, (intmax_t)i);
		if ((size_t)data == size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data || (size_t)hole > size)
			fail("SEEK_HOLE from %#jx: %#jx", (intmax_t)data, (intmax_t)hole);
	}
	must(lseek(fd, size, SEEK_DATA) == -1 && errno == ENXIO, "SEEK_DATA at the end");
}

/* ---- operations that do not change the file ---- */

static void do_sync(const struct op *op)
{
	switch (op->slice % 4) {
	case 0:
		must(!fsync(fd), "fsync");
		break;
	case 1:
		must(!fdatasync(fd), "fdatasync");
		break;
	case 2:
		must(!msync(map, limit, MS_SYNC), "msync");
		break;
	case 3:
		must(!msync(map, limit, MS_ASYNC), "msync");
		break;
	}
}

static void do_reopen(const struct op *op)
{
	(void)op;
	if (map)
		munmap(map, limit);
	close(fd);
	close(direct);
	close(append);
	fd = open(path, O_RDWR);
	must(fd >= 0, "open");
	direct = open(path, O_RDWR | O_DIRECT);
	must(direct >= 0 || errno == EINVAL, "open with O_DIRECT");
	append = open(path, O_WRONLY | O_APPEND);
	must(append >= 0, "open with O_APPEND");
	map = mmap(NULL, limit, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED, "mmap");
}

static void do_compare_all(const struct op *op)
{
	(void)op;
	must_count(pread(fd, scratch, limit, 0), size, "pread of all");
	compare(scratch, 0, size, "pread of all");
	compare(map, 0, size, "mapping of all");
}

/* The probability of an operation is its weight, divided by the sum of all weights. */
static const struct kind {
	const char *name;
	void (*fn)(const struct op *op);
	unsigned int weight;
} kinds[] = {
	{ "read",		do_read,		80 },
	{ "seek-read",		do_seek_read,		20 },
	{ "readv",		do_readv,		20 },
	{ "direct-read",	do_direct_read,		40 },
	{ "map-read",		do_map_read,		80 },
	{ "write",		do_write,		80 },
	{ "seek-write",		do_seek_write,		20 },
	{ "writev",		do_writev,		20 },
	{ "append",		do_append,		10 },
	{ "direct-write",	do_direct_write,	40 },
	{ "map-write",		do_map_write,		80 },
	{ "read-to-map",	do_read_to_map,		20 },
	{ "write-from-map",	do_write_from_map,	20 },
	{ "copy-range",		do_copy_range,		20 },
	{ "private",		do_private,		20 },
	{ "touch-after",	do_touch_after,		10 },
	{ "tail",		do_tail,		20 },
	{ "forget",		do_forget,		10 },
	{ "truncate",		do_truncate,		40 },
	{ "allocate",		do_allocate,		20 },
	{ "punch",		do_punch,		40 },
	{ "zero-range",		do_zero_range,		2 },
	{ "remove-pages",	do_remove_pages,	2 },
	{ "seek-hole",		do_seek_hole,		2 },
	{ "sync",		do_sync,		4 },
	{ "reopen",		do_reopen,		4 },
};
#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))
_Static_assert(KINDS <= 64, "report->unsupported has a number for each");

/* ---- drawing operations ---- */

static uint32_t draw_kind(uint64_t *state)
{
	unsigned int total = 0, n;

	for (size_t i = 0; i < KINDS; i++)
		total += kinds[i].weight;
	n = random_below(state, total);
	for (uint32_t i = 0;; i++) {
		if (n < kinds[i].weight)
			return i;
		n -= kinds[i].weight;
	}
}

/* Most offsets are next to the boundary of a page or of a frame. */
static uint32_t draw_offset(uint64_t *state)
{
	size_t offset = random_below(state, limit), near = random_below(state, 17) - 8;

	switch (random_below(state, 4)) {
	case 0:
		return offset;
	case 1:
		offset = offset / FRAME * FRAME + near;
		break;
	default:
		offset = offset / PAGE * PAGE + near;
	}
	return offset < limit ? offset : 0;
}

/* The number of bits is uniform, so that short lengths are as frequent as long ones. */
static uint32_t draw_length(uint64_t *state, size_t room)
{
	unsigned int bits = 1 + random_below(state, random_below(state, 64) ? 19 : 22);
	size_t length = 1 + random_below(state, 1ul << bits);

	return length < room ? length : room;
}

static struct op *draw_ops(uint64_t seed, size_t n)
{
	struct op *ops = calloc(n, sizeof(*ops));

	if (!ops)
		abort();
	for (struct op *op = ops; op < ops + n; op++) {
		op->kind = draw_kind(&seed);
		op->offset = draw_offset(&seed);
		op->length = draw_length(&seed, limit - op->offset);
		op->slice = random_next(&seed);
		op->other = random_next(&seed);
	}
	return ops;
}

/* ---- executing operations ---- */

static void check_size(void)
{
	struct stat st;

	must(!fstat(fd, &st), "fstat");
	if ((size_t)st.st_size != size)
		fail("the file has %jd bytes, not %zu", (intmax_t)st.st_size, size);
}

static void save_model(const char *to)
{
	FILE *file = fopen(to, "w");

	must(file && fwrite(model, 1, size, file) == size && !fclose(file), "writing the model");
}

/* In the child: exit with 0 if the file always was as in the model. */
static void run(const struct op *ops, size_t n, const char *save)
{
	model = calloc(1, limit);
	if (!model || posix_memalign((void **)&scratch, PAGE, limit + PAGE))
		_exit(2);
	if (sigsetjmp(out, 1))
		_exit(1);
	unlink(path);
	close(open(path, O_CREAT | O_EXCL | O_RDWR, 0600));
	do_reopen(NULL);
	for (size_t i = 0; i < n; i++) {
		report->at = i;
		kinds[ops[i].kind].fn(&ops[i]);
		check_size();
		if (i % CHECK_EVERY == CHECK_EVERY - 1)
			do_compare_all(NULL);
	}
	do_compare_all(NULL);
	if (save)
		save_model(save);
	_exit(0);
}

static bool holds(const struct op *ops, size_t n, const char *save)
{
	int status;
	pid_t child;

	memset(report, 0, sizeof(*report));
	child = fork();
	if (!child)
		run(ops, n, save);
	if (child < 0 || waitpid(child, &status, 0) != child)
		abort();
	if (WIFSIGNALED(status))
		snprintf(report->text, sizeof(report->text), "signal %d", WTERMSIG(status));
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

/* ---- shortening a run that fails ---- */

/* Remove @count operations at @at if the remaining ones still fail. */
static bool leave_out(struct op *ops, size_t *n, size_t at, size_t count)
{
	struct op *fewer = malloc(*n * sizeof(*ops));
	size_t left = *n - count;
	bool fails;

	memcpy(fewer, ops, at * sizeof(*ops));
	memcpy(fewer + at, ops + at + count, (left - at) * sizeof(*ops));
	fails = !holds(fewer, left, NULL);
	if (fails) {
		memcpy(ops, fewer, left * sizeof(*ops));
		*n = report->at + 1;
	}
	free(fewer);
	return fails;
}

static size_t shorten(struct op *ops, size_t n)
{
	time_t end = time(NULL) + SECONDS_TO_SHORTEN;

	for (size_t count = n - n / 8; count && time(NULL) < end;) {
		bool fewer = false;

		for (size_t at = 0; at + count <= n && time(NULL) < end;) {
			if (leave_out(ops, &n, at, count))
				fewer = true;
			else
				at += count;
		}
		if (!fewer || count > n)
			count /= 2;
	}
	return n;
}

static void print_failure(struct op *ops, size_t n)
{
	size_t left;

	printf("# operation %u: %s\n", report->at, report->text);
	left = shorten(ops, report->at + 1 < n ? report->at + 1 : n);
	holds(ops, left, NULL);
	printf("# the shortest run found that fails, with: %s\n", report->text);
	for (size_t i = left > 50 ? left - 50 : 0; i < left; i++)
		printf("#   %-14s offset %#x length %#x slice %u other %u\n", kinds[ops[i].kind].name,
		       ops[i].offset, ops[i].length, ops[i].slice % NOISE_SLICES, ops[i].other);
}

static void print_unsupported(void)
{
	for (size_t i = 0; i < KINDS; i++)
		if (report->unsupported[i])
			printf("# not supported: %s\n", kinds[i].name);
}

int main(int argc, char **argv)
{
	unsigned long n = 10000, seed = time(NULL);
	const char *save = NULL;
	const struct tester_option options[] = {
		{ "ops", .number = &n },
		{ "seed", .number = &seed },
		{ "limit", .number = &limit },
		{ "tail", .flag = &tails },
		{ "model", .text = &save },
		{ }
	};
	struct op *ops;
	bool held;

	path = tester_options(argc, argv, options);
	setvbuf(stdout, NULL, _IOLBF, 0);
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	noise = noise_make(limit + PAGE);
	ops = draw_ops(seed, n);
	held = holds(ops, n, save);
	print_unsupported();
	if (!held)
		print_failure(ops, n);
	printf("%s 1 - %lu operations with seed %lu\n1..1\n", held ? "ok" : "not ok", n, seed);
	return held ? 0 : 1;
}
