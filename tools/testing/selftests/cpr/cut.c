// SPDX-License-Identifier: GPL-2.0-only
/*
 * cut run SEED - keep cprfs busy until a signal comes. Prints the physical address of the
 * progress page.
 * cut check SEED PAGE - compare cprfs with what the workload of SEED had done when PAGE, a
 * copy of the progress page, was made at the same moment as the image.
 *
 * Several workers work in directories of their own, so that a commit which one of them
 * causes comes in the middle of others' operations. A worker's operations follow from SEED
 * alone. The progress page says of each worker how many operations it has begun, and how
 * many of these a commit has completed for certain, because fsync or sync returned.
 *
 * So `check` repeats the operations on a model in memory. For each worker there must be a
 * number of operations between these two after which the model has the same names, sizes and
 * frames as cprfs: one moment for all of the worker's files. Only the file of the operation
 * that follows may have a size and frames in between.
 *
 * Data is in the region as soon as it is written. So a sector has the value of that moment
 * or one that it was given later. Each 8 bytes of data name the worker, the file, the
 * sector and the operation: bytes that belong elsewhere are recognized.
 *
 * `check` prints a line for each defect, which begins with its kind:
 *
 *	names	there is no such moment
 *	data	a sector of a file has a value that is too old, too new, or none of these
 *	foreign	a sector of a file has bytes of another file, sector or seed
 *	frames	the frames in use are not those of the files
 *	tail	a file that grows shows bytes that are not zero
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpr.h"

#define WORKERS		3
#define DIRS		3	/* the worker's own, and those in it */
#define NAMES		8	/* of files, in each directory */
#define SECTOR		512u
#define FRAME_SECTORS	(FRAME / SECTOR)
#define FILE_FRAMES	3
#define FILE_SECTORS	(FILE_FRAMES * FRAME_SECTORS)
#define MOST_FRAMES	4	/* of a worker; a region of 32 MiB has 13 */
#define MOST_DEFECTS	8	/* that are printed, of each kind */

#define MIN(a, b)	((a) < (b) ? (a) : (b))
#define MAX(a, b)	((a) > (b) ? (a) : (b))

/* ---- the progress page ---- */

#define PROGRESS_MAGIC	0x6375742d70616765ull

struct progress {
	uint64_t magic, seed;
	struct {
		volatile uint64_t begun, completed;
	} of[WORKERS];
};

/* ---- the model ---- */

/* Sizes and positions are in sectors; data has the operation that wrote it, or 0. */
struct file {
	uint32_t id, size, frames;
	uint32_t data[FILE_SECTORS];
};

struct dir {
	uint32_t id;	/* 0: does not exist */
	struct file *files[NAMES];
};

struct model {
	uint64_t random;
	uint32_t worker, op, ids;
	struct dir dirs[DIRS];
};

enum kind {
	CREATE, WRITE, STORE, TRUNCATE, PUNCH, ALLOCATE, PREALLOCATE,
	RENAME, UNLINK, MKDIR, RMDIR, RENAMEDIR, FSYNC, SYNC, KINDS
};

/* How often, of 200. */
static const unsigned char weights[KINDS] = {
	[CREATE] = 26, [WRITE] = 40, [STORE] = 20, [TRUNCATE] = 20, [PUNCH] = 12,
	[ALLOCATE] = 4, [PREALLOCATE] = 4, [RENAME] = 16, [UNLINK] = 12, [MKDIR] = 6,
	[RMDIR] = 4, [RENAMEDIR] = 6, [FSYNC] = 26, [SYNC] = 4,
};

struct op {
	enum kind kind;
	uint32_t dir, name, to_dir, to_name;
	uint32_t start, count;
	struct file *file;	/* of @dir and @name, if it exists */
};

static uint32_t pick(struct model *m, uint32_t n)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (m->random >> 16) % n;
}

static enum kind pick_kind(struct model *m)
{
	uint32_t n = pick(m, 200);
	enum kind kind = 0;

	while (n >= weights[kind])
		n -= weights[kind++];
	return kind;
}

/* Mostly small, so that there are many; now and then over several frames. */
static void pick_range(struct model *m, struct op *op, uint32_t end)
{
	uint32_t most = pick(m, 16) ? 64 : FILE_SECTORS;

	op->start = pick(m, end);
	op->count = 1 + pick(m, MIN(end - op->start, most));
}

static uint32_t frames_of(uint32_t start, uint32_t count)
{
	uint32_t frames = 0;

	for (uint32_t i = start / FRAME_SECTORS; i <= (start + count - 1) / FRAME_SECTORS; i++)
		frames |= 1 << i;
	return frames;
}

static uint32_t frames_of_worker(const struct model *m)
{
	uint32_t n = 0;

	for (int d = 0; d < DIRS; d++)
		for (int i = 0; i < NAMES; i++)
			if (m->dirs[d].files[i])
				n += __builtin_popcount(m->dirs[d].files[i]->frames);
	return n;
}

static bool is_empty(const struct dir *dir)
{
	for (int i = 0; i < NAMES; i++)
		if (dir->files[i])
			return false;
	return true;
}

/* Can this be done, and is there room for it? Picks what else the operation needs. */
static bool pick_rest(struct model *m, struct op *op)
{
	const struct dir *dir = &m->dirs[op->dir], *to = &m->dirs[op->to_dir];
	uint32_t fills = 0;

	switch (op->kind) {
	case CREATE:
		return dir->id && !op->file;
	case WRITE:
	case ALLOCATE:
	case PREALLOCATE:
		if (!op->file)
			return false;
		pick_range(m, op, FILE_SECTORS);
		if (pick(m, 2))
			op->start = MIN(op->file->size, FILE_SECTORS - op->count);
		fills = frames_of(op->start, op->count) & ~op->file->frames;
		return frames_of_worker(m) + __builtin_popcount(fills) <= MOST_FRAMES;
	case STORE:
		if (!op->file || !op->file->size)
			return false;
		pick_range(m, op, op->file->size);
		fills = frames_of(op->start, op->count) & ~op->file->frames;
		return frames_of_worker(m) + __builtin_popcount(fills) <= MOST_FRAMES;
	case TRUNCATE:
		op->start = pick(m, FILE_SECTORS);
		return op->file && op->start != op->file->size;
	case PUNCH:
		pick_range(m, op, FILE_SECTORS);
		return op->file;
	case RENAME:
		return op->file && to->id && (op->dir != op->to_dir || op->name != op->to_name);
	case UNLINK:
		return op->file;
	case MKDIR:
		return op->dir && !dir->id;
	case RMDIR:
		return op->dir && dir->id && is_empty(dir);
	case RENAMEDIR:
		return op->dir && op->to_dir && op->dir != op->to_dir && dir->id && is_empty(to);
	default:
		return true;
	}
}

static struct op next_op(struct model *m)
{
	struct op op;

	do {
		op = (struct op){
			.kind = pick_kind(m),
			.dir = pick(m, DIRS), .name = pick(m, NAMES),
			.to_dir = pick(m, DIRS), .to_name = pick(m, NAMES),
		};
		op.file = m->dirs[op.dir].files[op.name];
	} while (!pick_rest(m, &op));
	m->op++;
	return op;
}

static void set_data(struct file *f, uint32_t start, uint32_t end, uint32_t op)
{
	for (uint32_t i = start; i < end; i++)
		f->data[i] = op;
}

static void fill_frames(struct file *f, const struct op *op)
{
	f->frames |= frames_of(op->start, op->count);
}

static void punch_frames(struct file *f, uint32_t start, uint32_t end)
{
	for (uint32_t i = 0; i < FILE_FRAMES; i++)
		if (start <= i * FRAME_SECTORS && (i + 1) * FRAME_SECTORS <= end)
			f->frames &= ~(1 << i);
}

static void apply(struct model *m, const struct op *op)
{
	struct dir *dir = &m->dirs[op->dir], *to = &m->dirs[op->to_dir];
	uint32_t end = op->start + op->count;
	struct file *f = op->file;

	switch (op->kind) {
	case CREATE:
		f = dir->files[op->name] = calloc(1, sizeof(*f));
		if (!f)
			err(2, "no memory");
		f->id = ++m->ids;
		break;
	case WRITE:
		fill_frames(f, op);
		set_data(f, op->start, end, m->op);
		f->size = MAX(f->size, end);
		break;
	case STORE:
		fill_frames(f, op);
		set_data(f, op->start, end, m->op);
		break;
	case TRUNCATE:
		set_data(f, op->start, f->size, 0);
		/* A file that grows keeps what was allocated beyond its end. */
		if (op->start < f->size)
			punch_frames(f, op->start, FILE_SECTORS);
		f->size = op->start;
		break;
	case PUNCH:
		set_data(f, op->start, MIN(end, f->size), 0);
		punch_frames(f, op->start, end);
		break;
	case ALLOCATE:
		f->size = MAX(f->size, end);
		/* fallthrough */
	case PREALLOCATE:
		fill_frames(f, op);
		break;
	case RENAME:
		free(to->files[op->to_name]);
		to->files[op->to_name] = f;
		dir->files[op->name] = NULL;
		break;
	case UNLINK:
		free(f);
		dir->files[op->name] = NULL;
		break;
	case MKDIR:
		dir->id = ++m->ids;
		break;
	case RMDIR:
		dir->id = 0;
		break;
	case RENAMEDIR:
		*to = *dir;
		*dir = (struct dir){ 0 };
		break;
	default:
		break;
	}
}

static void model_init(struct model *m, uint32_t seed, uint32_t worker)
{
	*m = (struct model){
		.random = 0x9e3779b97f4a7c15ull * (seed * WORKERS + worker + 1),
		.worker = worker,
		.ids = 1,
		.dirs[0].id = 1,
	};
}

/* What each 8 bytes of a sector are. */
static uint64_t tag(uint32_t seed, uint32_t worker, uint32_t id, uint32_t sector, uint32_t op)
{
	if (!op)
		return 0;
	return (uint64_t)(seed & 0xff) << 56 | (uint64_t)(worker + 1) << 52 |
	       (uint64_t)(id & 0x3ffff) << 34 | (uint64_t)sector << 20 | (op & 0xfffff);
}

/* The permissions have a part of the identity, which nothing else of an inode tells. */
static mode_t mode_of(uint32_t id)
{
	return id % 0777 + 1;
}

static const char *dir_path(uint32_t worker, uint32_t dir)
{
	static char paths[2][64];
	static int n;
	char *path = paths[n++ % 2];

	if (dir)
		snprintf(path, sizeof(paths[0]), MNT "/w%u/d%u", worker, dir);
	else
		snprintf(path, sizeof(paths[0]), MNT "/w%u", worker);
	return path;
}

static const char *file_path(uint32_t worker, uint32_t dir, uint32_t name)
{
	static char paths[2][80];
	static int n;
	char *path = paths[n++ % 2];

	snprintf(path, sizeof(paths[0]), "%s/f%u", dir_path(worker, dir), name);
	return path;
}

/* ---- run ---- */

static void must(bool done, const struct model *m, const char *what)
{
	int error = errno;
	struct region r;

	if (done)
		return;
	if (!nl_region(&r))
		fprintf(stderr, "cut: of %u frames are %u clean, %u dirty, %u busy\n", r.frames,
			r.clean, r.dirty, r.busy);
	errno = error;
	err(1, "worker %u, operation %u: %s", m->worker, m->op, what);
}

static void fill_buffer(uint64_t *buf, uint32_t seed, const struct model *m, const struct op *op)
{
	for (uint32_t i = 0; i < op->count; i++)
		for (uint32_t k = 0; k < SECTOR / 8; k++)
			*buf++ = tag(seed, m->worker, op->file->id, op->start + i, m->op);
}

static bool store(int fd, const void *buf, const struct op *op)
{
	uint64_t from = (uint64_t)op->start * SECTOR, length = (uint64_t)op->count * SECTOR;
	uint64_t skip = from % FRAME;
	char *at = mmap(NULL, skip + length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, from - skip);

	if (at == MAP_FAILED)
		return false;
	memcpy(at + skip, buf, length);
	return !munmap(at, skip + length);
}

static bool change_file(int fd, const void *buf, const struct op *op)
{
	off_t start = (off_t)op->start * SECTOR, length = (off_t)op->count * SECTOR;

	switch (op->kind) {
	case WRITE:
		return pwrite(fd, buf, length, start) == length;
	case STORE:
		return store(fd, buf, op);
	case TRUNCATE:
		return !ftruncate(fd, start);
	case PUNCH:
		return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, length);
	case ALLOCATE:
		return !fallocate(fd, 0, start, length);
	default:
		return !fallocate(fd, FALLOC_FL_KEEP_SIZE, start, length);
	}
}

static void perform(const struct model *m, const struct op *op, uint32_t seed)
{
	static uint64_t buf[FILE_SECTORS * SECTOR / 8];
	const char *path = file_path(m->worker, op->dir, op->name);
	int fd;

	switch (op->kind) {
	case CREATE:
		fd = open(path, O_CREAT | O_EXCL | O_RDWR, mode_of(m->ids + 1));
		must(fd >= 0, m, "create");
		close(fd);
		break;
	case RENAME:
		must(!rename(path, file_path(m->worker, op->to_dir, op->to_name)), m, "rename");
		break;
	case UNLINK:
		must(!unlink(path), m, "unlink");
		break;
	case MKDIR:
		must(!mkdir(dir_path(m->worker, op->dir), mode_of(m->ids + 1)), m, "mkdir");
		break;
	case RMDIR:
		must(!rmdir(dir_path(m->worker, op->dir)), m, "rmdir");
		break;
	case RENAMEDIR:
		must(!rename(dir_path(m->worker, op->dir), dir_path(m->worker, op->to_dir)), m,
		     "rename of a directory");
		break;
	case FSYNC:
	case SYNC:
		fd = open(dir_path(m->worker, 0), O_RDONLY | O_DIRECTORY);
		must(fd >= 0, m, "open of the directory");
		must(!(op->kind == SYNC ? syncfs(fd) : fsync(fd)), m, "sync");
		close(fd);
		break;
	default:
		if (op->kind == WRITE || op->kind == STORE)
			fill_buffer(buf, seed, m, op);
		fd = open(path, O_RDWR);
		must(fd >= 0, m, "open");
		must(change_file(fd, buf, op), m, "change of a file");
		close(fd);
	}
}

static void work(struct progress *p, uint32_t seed, uint32_t worker)
{
	struct model m;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	model_init(&m, seed, worker);
	for (;;) {
		struct op op = next_op(&m);

		p->of[worker].begun = m.op;
		perform(&m, &op, seed);
		if (op.kind == FSYNC || op.kind == SYNC)
			p->of[worker].completed = m.op;
		apply(&m, &op);
	}
}

static uint64_t physical_address(const void *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)page / PAGE * 8) != 8)
		err(1, "/proc/self/pagemap");
	close(fd);
	return (entry & ((1ull << 55) - 1)) * PAGE;
}

/* The page stays where it is: compaction must not move locked memory, see cuts.sh. */
static struct progress *new_progress(uint32_t seed)
{
	struct progress *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED || mlock(p, PAGE))
		err(1, "progress page");
	p->seed = seed;
	p->magic = PROGRESS_MAGIC;
	return p;
}

static int run(uint32_t seed)
{
	struct progress *p = new_progress(seed);

	umask(0);
	for (uint32_t i = 0; i < WORKERS; i++)
		if (mkdir(dir_path(i, 0), mode_of(1)))
			err(1, "%s", dir_path(i, 0));
	sync();
	for (uint32_t i = 0; i < WORKERS; i++)
		if (!fork())
			work(p, seed, i);
	printf("%#llx\n", (unsigned long long)physical_address(p));
	fflush(stdout);
	wait(NULL);
	return 1;
}

/* ---- check: names, sizes and frames ---- */

static int defects;

__attribute__((format(printf, 2, 3)))
static void defect(const char *kind, const char *format, ...)
{
	static const char *last;
	static int n;
	va_list args;

	defects++;
	n = last == kind ? n + 1 : 1;
	last = kind;
	if (n > MOST_DEFECTS)
		return;
	printf("%s: ", kind);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

struct found {
	bool dirs[DIRS], files[DIRS][NAMES];
	struct stat dir_stat[DIRS], file_stat[DIRS][NAMES];
};

static bool scan_name(struct found *on, uint32_t worker, uint32_t dir, const char *name)
{
	uint32_t n = name[0] && name[1] ? name[1] - '0' : 0;

	if (name[0] == 'f' && n < NAMES && !name[2]) {
		on->files[dir][n] = true;
		return !stat(file_path(worker, dir, n), &on->file_stat[dir][n]);
	}
	return !dir && name[0] == 'd' && n && n < DIRS && !name[2];
}

static void scan_dir(struct found *on, uint32_t worker, uint32_t dir)
{
	DIR *stream = opendir(dir_path(worker, dir));
	struct dirent *e;

	if (!stream || fstat(dirfd(stream), &on->dir_stat[dir])) {
		if (errno != ENOENT)
			defect("names", "%s: %s", dir_path(worker, dir), strerror(errno));
		return;
	}
	on->dirs[dir] = true;
	while ((e = readdir(stream)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		    !scan_name(on, worker, dir, e->d_name))
			defect("names", "%s has '%s'", dir_path(worker, dir), e->d_name);
	closedir(stream);
}

static bool has_mode(const struct stat *st, uint32_t id)
{
	return (st->st_mode & 07777) == mode_of(id);
}

static bool is_between(uint64_t value, uint64_t a, uint64_t b)
{
	return MIN(a, b) <= value && value <= MAX(a, b);
}

/* The frames and the size that an operation gives its file. */
static void sizes_after(const struct model *m, const struct op *op, uint32_t *size,
			uint32_t *frames)
{
	struct file f = { .size = op->file->size, .frames = op->file->frames };
	struct op on_copy = *op;
	struct model copy = *m;

	on_copy.file = &f;
	apply(&copy, &on_copy);
	*size = f.size;
	*frames = f.frames;
}

static bool changes_file(const struct op *op)
{
	return op && op->kind >= WRITE && op->kind <= PREALLOCATE;
}

static const char *differs_file(const struct model *m, const struct found *on, uint32_t dir,
				uint32_t name, const struct op *next)
{
	const struct stat *st = &on->file_stat[dir][name];
	const struct file *f = m->dirs[dir].files[name];
	uint32_t size, frames;

	if (on->files[dir][name] != !!f)
		return f ? "does not exist" : "exists";
	if (!f)
		return NULL;
	if (!has_mode(st, f->id))
		return "is another file";
	size = f->size;
	frames = f->frames;
	if (changes_file(next) && next->file == f)
		sizes_after(m, next, &size, &frames);
	if (!is_between(st->st_size, (uint64_t)f->size * SECTOR, (uint64_t)size * SECTOR))
		return "has another size";
	if (!is_between(st->st_blocks * 512 / FRAME, __builtin_popcount(f->frames),
			__builtin_popcount(frames)))
		return "has another number of frames";
	return NULL;
}

/* Return: what differs, or NULL. @next: the operation that may be half done. */
static const char *differs(const struct model *m, const struct found *on, const struct op *next)
{
	static char text[160];

	for (uint32_t d = 0; d < DIRS; d++) {
		const struct dir *dir = &m->dirs[d];

		snprintf(text, sizeof(text), "%s", dir_path(m->worker, d));
		if (on->dirs[d] != !!dir->id || (dir->id && !has_mode(&on->dir_stat[d], dir->id)))
			return text;
		for (uint32_t i = 0; i < NAMES; i++) {
			const char *what = differs_file(m, on, d, i, next);

			if (!what)
				continue;
			snprintf(text, sizeof(text), "%s %s", file_path(m->worker, d, i), what);
			return text;
		}
	}
	return NULL;
}

/* ---- check: data ---- */

/* A value that a sector was given after the moment; 0 for zeros. */
struct change {
	uint32_t id, start, end, value, op;
};

struct changes {
	uint32_t nr, room, last_op;
	struct change *at;
};

static void note_change(struct changes *all, const struct model *m, const struct op *op)
{
	struct change c = { .op = m->op };

	switch (op->kind) {
	case WRITE:
	case STORE:
		c.value = m->op;
		/* fallthrough */
	case PUNCH:
		c.start = op->start;
		c.end = op->start + op->count;
		break;
	case TRUNCATE:
		c.start = op->start;
		c.end = FILE_SECTORS;
		break;
	default:
		return;
	}
	c.id = op->file->id;
	if (all->nr == all->room) {
		all->room = 2 * all->room + 64;
		all->at = reallocarray(all->at, all->room, sizeof(c));
		if (!all->at)
			err(2, "no memory");
	}
	all->at[all->nr++] = c;
}

/* The values that a sector may have; the last operation may be half done, by bytes. */
struct allowed {
	uint64_t tags[256];
	uint32_t nr;
	bool torn;
};

static void allow_sector(struct allowed *a, const struct changes *all, uint32_t seed,
			 uint32_t worker, const struct file *f, uint32_t sector)
{
	a->tags[0] = tag(seed, worker, f->id, sector, f->data[sector]);
	a->nr = 1;
	a->torn = false;
	for (uint32_t i = 0; i < all->nr && a->nr < 256; i++) {
		const struct change *c = &all->at[i];

		if (c->id != f->id || sector < c->start || sector >= c->end)
			continue;
		a->tags[a->nr++] = tag(seed, worker, f->id, sector, c->value);
		a->torn |= c->op == all->last_op;
	}
}

static bool is_allowed(const struct allowed *a, uint64_t word)
{
	for (uint32_t i = 0; i < a->nr; i++)
		if (word == a->tags[i])
			return true;
	if (!a->torn)
		return false;
	for (int shift = 0; shift < 64; shift += 8) {
		bool found = false;

		for (uint32_t i = 0; i < a->nr; i++)
			found |= !((word ^ a->tags[i]) >> shift & 0xff);
		if (!found)
			return false;
	}
	return true;
}

static void check_sector(const struct changes *all, uint32_t seed, uint32_t worker,
			 const struct file *f, uint32_t sector, const uint64_t *words)
{
	uint64_t now = tag(seed, worker, f->id, sector, f->data[sector]);
	struct allowed a = { 0 };

	for (uint32_t i = 0; i < SECTOR / 8; i++) {
		if (words[i] == now)
			continue;
		if (!a.nr)
			allow_sector(&a, all, seed, worker, f, sector);
		if (is_allowed(&a, words[i]))
			continue;
		/* Apart from the operation, it names this sector. */
		defect(words[i] && (words[i] ^ tag(seed, worker, f->id, sector, 1)) >> 20 ?
		       "foreign" : "data",
		       "worker %u, file %u, sector %u has %#llx, not %#llx or one of %u later values",
		       worker, f->id, sector, (unsigned long long)words[i],
		       (unsigned long long)now, a.nr - 1);
		return;
	}
}

static uint64_t buffer[FRAME / 8];

static void check_data(const struct changes *all, uint32_t seed, uint32_t worker,
		       const struct file *f, const char *path, off_t size)
{
	int fd = open(path, O_RDONLY);

	for (off_t at = 0; at < size; at += FRAME) {
		size_t length = MIN((off_t)FRAME, size - at);

		if (pread(fd, buffer, length, at) != (ssize_t)length) {
			defect("data", "%s: %s", path, strerror(errno));
			break;
		}
		for (size_t i = 0; i < length / SECTOR; i++)
			check_sector(all, seed, worker, f, at / SECTOR + i,
				     buffer + i * SECTOR / 8);
	}
	close(fd);
}

static bool is_zero(const uint64_t *words, size_t length)
{
	for (size_t i = 0; i < length / 8; i++)
		if (words[i])
			return false;
	return true;
}

/* Only frames are read; holes are zero anyway. */
static void check_tail(const char *path, off_t size)
{
	const off_t end = FILE_FRAMES * FRAME;
	int fd = open(path, O_RDWR);
	off_t at = size;

	if (fd < 0 || ftruncate(fd, end))
		defect("tail", "%s does not grow: %s", path, strerror(errno));
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		size_t length = FRAME - at % FRAME;

		if (pread(fd, buffer, length, at) != (ssize_t)length || !is_zero(buffer, length))
			defect("tail", "%s of %lld bytes grew, and is not zero after %lld", path,
			       (long long)size, (long long)at);
		at += length;
	}
	close(fd);
}

/* ---- check ---- */

/* The files at the moment; the model goes on changing its own. */
static void copy_files(struct model *copy, const struct model *m)
{
	*copy = *m;
	for (int d = 0; d < DIRS; d++) {
		for (int i = 0; i < NAMES; i++) {
			if (!m->dirs[d].files[i])
				continue;
			copy->dirs[d].files[i] = malloc(sizeof(struct file));
			if (!copy->dirs[d].files[i])
				err(2, "no memory");
			*copy->dirs[d].files[i] = *m->dirs[d].files[i];
		}
	}
}

/* Find the moment, and record what came after it. */
static bool find_moment(struct model *at, struct changes *after, const struct found *on,
			uint32_t seed, uint32_t worker, uint64_t completed, uint64_t begun)
{
	char first[160] = "", last[160] = "";
	bool found = false;
	struct model m;

	model_init(&m, seed, worker);
	for (;;) {
		uint32_t op_now = m.op;
		struct op next = next_op(&m);
		const char *why = "";

		if (!found && op_now >= completed) {
			why = differs(&m, on, op_now < begun ? &next : NULL);
			found = !why;
			if (found)
				copy_files(at, &m);
			else
				snprintf(op_now == completed ? first : last, sizeof(last), "%s", why);
		}
		if (op_now == begun)
			break;
		if (found)
			note_change(after, &m, &next);
		apply(&m, &next);
	}
	after->last_op = begun;
	if (!found)
		defect("names", "worker %u: none of the moments after %llu to %llu operations: %s; ... %s",
		       worker, (unsigned long long)completed, (unsigned long long)begun, first, last);
	return found;
}

static uint64_t check_worker(const struct progress *p, uint32_t seed, uint32_t worker)
{
	struct changes after = { 0 };
	struct found on = { 0 };
	uint64_t frames = 0;
	struct model at;

	for (uint32_t d = 0; d < DIRS; d++)
		scan_dir(&on, worker, d);
	for (uint32_t d = 0; d < DIRS; d++)
		for (uint32_t i = 0; i < NAMES; i++)
			frames += on.file_stat[d][i].st_blocks * 512 / FRAME;
	if (!find_moment(&at, &after, &on, seed, worker, p->of[worker].completed,
			 p->of[worker].begun))
		return frames;
	for (uint32_t d = 0; d < DIRS; d++)
		for (uint32_t i = 0; i < NAMES; i++)
			if (at.dirs[d].files[i])
				check_data(&after, seed, worker, at.dirs[d].files[i],
					   file_path(worker, d, i), on.file_stat[d][i].st_size);
	for (uint32_t d = 0; d < DIRS; d++)
		for (uint32_t i = 0; i < NAMES; i++)
			if (on.files[d][i])
				check_tail(file_path(worker, d, i), on.file_stat[d][i].st_size);
	return frames;
}

static void check_frames(uint64_t of_files)
{
	struct region r;
	uint64_t used;

	if (nl_region(&r) < 0)
		errx(2, "no module");
	used = (uint64_t)r.frames - r.clean - r.dirty - r.busy;
	if (used != of_files || r.dirty || r.busy)
		defect("frames", "of %u frames are %u clean, %u dirty, %u busy; files have %llu",
		       r.frames, r.clean, r.dirty, r.busy, (unsigned long long)of_files);
}

static int check(uint32_t seed, const char *page)
{
	uint64_t frames = 0, begun = 0, completed = 0;
	struct progress p;
	int fd = open(page, O_RDONLY);

	if (fd < 0 || read(fd, &p, sizeof(p)) != sizeof(p))
		err(2, "%s", page);
	if (p.magic != PROGRESS_MAGIC || p.seed != seed)
		errx(2, "%s is not the progress page of seed %u", page, seed);
	/* A frame that is scrubbed although a file has it shows below. */
	wait_clean();
	for (uint32_t i = 0; i < WORKERS; i++) {
		frames += check_worker(&p, seed, i);
		begun += p.of[i].begun;
		completed += p.of[i].completed;
	}
	check_frames(frames);
	printf("operations: %llu begun, %llu of them completed by fsync, %llu frames\n",
	       (unsigned long long)begun, (unsigned long long)completed,
	       (unsigned long long)frames);
	return defects ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "run"))
		return run(atoi(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "check"))
		return check(atoi(argv[2]), argv[3]);
	errx(2, "usage: cut run SEED | cut check SEED PAGE");
}
