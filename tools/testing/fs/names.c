// SPDX-License-Identifier: GPL-2.0-only
/*
 * A directory has exactly the names that were created in it, and each leads to its own file.
 *
 * DOC: A tree of names against a model
 *
 * names [OPTION...] DIR - processes do random operations, each in its own directory below
 * DIR. A model in memory predicts the result or the error of each operation. Then all
 * processes work in one directory, without a model: only errors that a race can cause are
 * allowed, and the tree must be sound afterwards. The idea is that of fsstress.
 *
 *	--ops N		operations of each process (2000)
 *	--processes N	(2)
 *	--seed S	determines all operations but those in one directory (the time)
 *	--state FILE	write the models of all processes to FILE at the end
 *
 * names --check FILE DIR - compare DIR with the models in FILE: no name is missing, there is
 * no other name, and type, mode, link count, size and bytes of each file are the model's.
 *
 * The program first probes the optional operations: hard and symbolic links, and exchange.
 * The model then predicts that they are refused.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "options.h"
#include "random.h"

#define NAMES		14
#define LONGEST		20000
#define DEEPEST		8
#define HELD		8
#define LAST		20
#define NO_SUCH		(-1)

/* ---- the model ---- */

struct file {
	unsigned int names;
	mode_t mode;
	uint32_t slice;
	size_t size;
	char target[16];
};

/* A name; @parent is the place of its directory in names[], and 0 is the root. */
static struct name {
	bool used;
	int parent;
	unsigned int label;
	struct file *file;
} names[256];
#define PLACES	(int)(sizeof(names) / sizeof(names[0]))

static struct { int fd; struct file *file; } held[HELD];
static unsigned int nr_held;

static bool can_link, can_symlink, can_exchange;
static const unsigned char *noise;
static uint64_t state;
static jmp_buf out;
static char last[LAST][600], why[400];
static unsigned int nr_ops;

__attribute__((format(printf, 1, 2), noreturn))
static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	longjmp(out, 1);
}

__attribute__((format(printf, 1, 2)))
static void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(last[nr_ops % LAST], sizeof(last[0]), format, args);
	va_end(args);
}

/* The names in directories come from a small set: short names, and two of 255 bytes. */
static const char *label_of(unsigned int label)
{
	static char labels[NAMES][256];

	if (!labels[label][0]) {
		if (label < 2)
			memset(labels[label], 'x' + label, 255);
		else
			snprintf(labels[label], sizeof(labels[0]), "n%u", label);
	}
	return labels[label];
}

static bool is_dir(int at)
{
	return S_ISDIR(names[at].file->mode);
}

static int find(int parent, unsigned int label)
{
	for (int i = 1; i < PLACES; i++)
		if (names[i].used && names[i].parent == parent && names[i].label == label)
			return i;
	return NO_SUCH;
}

static bool is_empty(int dir)
{
	for (int i = 1; i < PLACES; i++)
		if (names[i].used && names[i].parent == dir)
			return false;
	return true;
}

static bool is_below(int at, int dir)
{
	for (; at; at = names[at].parent)
		if (at == dir)
			return true;
	return !dir;
}

static unsigned int depth(int at)
{
	unsigned int n = 0;

	for (; at; at = names[at].parent)
		n++;
	return n;
}

static unsigned int height(int at)
{
	unsigned int most = 0, own = depth(at);

	for (int i = 1; i < PLACES; i++)
		if (names[i].used && is_below(i, at) && depth(i) - own > most)
			most = depth(i) - own;
	return most;
}

static unsigned int links(int at)
{
	unsigned int n = 2;

	if (!is_dir(at))
		return names[at].file->names;
	for (int i = 1; i < PLACES; i++)
		n += names[i].used && names[i].parent == at && is_dir(i);
	return n;
}

static int free_place(void)
{
	for (int i = 1; i < PLACES; i++)
		if (!names[i].used)
			return i;
	return NO_SUCH;
}

static void add_name(int parent, unsigned int label, struct file *file)
{
	names[free_place()] = (struct name){ true, parent, label, file };
	file->names++;
}

/* The file stays in memory: a descriptor may refer to it. */
static void remove_name(int at)
{
	names[at].used = false;
	names[at].file->names--;
}

static struct file *new_file(mode_t mode)
{
	struct file *file = calloc(1, sizeof(*file));

	file->mode = mode;
	return file;
}

static char *path_in(int dir, unsigned int label, char *path)
{
	char rest[4096];

	snprintf(path, 4096, "%s", label_of(label));
	for (; dir; dir = names[dir].parent) {
		strcpy(rest, path);
		snprintf(path, 4096, "%s/%.3800s", label_of(names[dir].label), rest);
	}
	return path;
}

static char *path_of(int at, char *path)
{
	if (!at)
		return strcpy(path, ".");
	return path_in(names[at].parent, names[at].label, path);
}

/* ---- random places ---- */

struct spot {
	int dir, at;
	unsigned int label;
	char path[4096];
};

static int random_name(bool (*wanted)(int))
{
	int start = random_below(&state, PLACES), i;

	for (int n = 0; n < PLACES; n++) {
		i = (start + n) % PLACES;
		if (names[i].used && (!wanted || wanted(i)))
			return i;
	}
	return NO_SUCH;
}

/* Choose a name, which more often exists than not. */
static void random_spot(struct spot *spot)
{
	int at = random_name(NULL);

	if (at > 0 && random_below(&state, 3)) {
		spot->dir = names[at].parent;
		spot->label = names[at].label;
	} else {
		spot->dir = random_name(is_dir);
		spot->label = random_below(&state, NAMES);
	}
	spot->at = find(spot->dir, spot->label);
	path_in(spot->dir, spot->label, spot->path);
}

static bool room_for(const struct spot *spot)
{
	return free_place() != NO_SUCH && depth(spot->dir) < DEEPEST;
}

/* ---- results ---- */

/* Check that a call ended with the error @want, or with 0; return true if it succeeded. */
static bool as_predicted(int result, int want, const char *call)
{
	int got = result ? errno : 0;

	if (got != want)
		fail("%s: %s, not %s", call, strerrorname_np(got) ?: "success",
		     want ? strerrorname_np(want) : "success");
	return !want;
}

static void must(bool holds, const char *text)
{
	if (!holds)
		fail("%s does not hold (errno %s)", text, strerrorname_np(errno));
}
#define MUST(_cond) must(_cond, #_cond)

/* ---- the bytes of files ---- */

static void put_bytes(int fd, struct file *file)
{
	file->size = random_below(&state, 8) ? random_below(&state, 100) :
		     random_below(&state, LONGEST);
	file->slice = random_next(&state) % NOISE_SLICES;
	MUST(!ftruncate(fd, 0));
	MUST(pwrite(fd, noise_slice(noise, file->slice), file->size, 0) == (ssize_t)file->size);
}

static bool has_bytes(int fd, const struct file *file)
{
	static unsigned char buf[LONGEST + 1];

	return pread(fd, buf, sizeof(buf), 0) == (ssize_t)file->size &&
	       !memcmp(buf, noise_slice(noise, file->slice), file->size);
}

/* ---- operations ---- */

static void do_create(void)
{
	struct spot s;
	int want = 0, fd;

	random_spot(&s);
	note("create %s", s.path);
	if (s.at != NO_SUCH)
		want = EEXIST;
	else if (!room_for(&s))
		return;
	fd = open(s.path, O_CREAT | O_EXCL | O_RDWR, 0640);
	if (!as_predicted(fd < 0, want, "open"))
		return;
	add_name(s.dir, s.label, new_file(S_IFREG | 0640));
	put_bytes(fd, names[find(s.dir, s.label)].file);
	close(fd);
}

static void do_mkdir(void)
{
	struct spot s;

	random_spot(&s);
	note("mkdir %s", s.path);
	if (s.at == NO_SUCH && !room_for(&s))
		return;
	if (as_predicted(mkdir(s.path, 0750), s.at == NO_SUCH ? 0 : EEXIST, "mkdir"))
		add_name(s.dir, s.label, new_file(S_IFDIR | 0750));
}

static void do_symlink(void)
{
	struct spot s;
	struct file *file;
	int want = 0;

	random_spot(&s);
	note("symlink %s", s.path);
	if (s.at != NO_SUCH)
		want = EEXIST;
	else if (!can_symlink)
		want = EPERM;
	else if (!room_for(&s))
		return;
	file = new_file(S_IFLNK | 0777);
	file->size = snprintf(file->target, sizeof(file->target), "to-%u", nr_ops);
	if (as_predicted(symlink(file->target, s.path), want, "symlink"))
		add_name(s.dir, s.label, file);
}

static void do_link(void)
{
	struct spot from, to;
	int want = 0;

	random_spot(&from);
	random_spot(&to);
	note("link %s %s", from.path, to.path);
	if (from.at == NO_SUCH)
		want = ENOENT;
	else if (to.at != NO_SUCH)
		want = EEXIST;
	else if (is_dir(from.at) || !can_link)
		want = EPERM;
	else if (!room_for(&to))
		return;
	if (as_predicted(link(from.path, to.path), want, "link"))
		add_name(to.dir, to.label, names[from.at].file);
}

static void do_unlink(void)
{
	struct spot s;
	int want = 0;

	random_spot(&s);
	note("unlink %s", s.path);
	if (s.at == NO_SUCH)
		want = ENOENT;
	else if (is_dir(s.at))
		want = EISDIR;
	if (as_predicted(unlink(s.path), want, "unlink"))
		remove_name(s.at);
}

static void do_rmdir(void)
{
	struct spot s;
	int want = 0;

	random_spot(&s);
	note("rmdir %s", s.path);
	if (s.at == NO_SUCH)
		want = ENOENT;
	else if (!is_dir(s.at))
		want = ENOTDIR;
	else if (!is_empty(s.at))
		want = ENOTEMPTY;
	if (as_predicted(rmdir(s.path), want, "rmdir"))
		remove_name(s.at);
}

static int predict_exchange(const struct spot *from, const struct spot *to)
{
	if (from->at == NO_SUCH || to->at == NO_SUCH)
		return ENOENT;
	if (is_below(to->dir, from->at) || is_below(from->dir, to->at))
		return EINVAL;
	if (names[from->at].file == names[to->at].file)
		return 0;
	return can_exchange ? 0 : EINVAL;
}

static int predict_rename(const struct spot *from, const struct spot *to, unsigned int flags)
{
	if (flags & RENAME_EXCHANGE)
		return predict_exchange(from, to);
	if (from->at == NO_SUCH)
		return ENOENT;
	if (flags & RENAME_NOREPLACE && to->at != NO_SUCH)
		return EEXIST;
	if (is_below(to->dir, from->at))
		return EINVAL;
	if (to->at == NO_SUCH)
		return 0;
	if (is_below(from->dir, to->at))
		return ENOTEMPTY;
	if (names[from->at].file == names[to->at].file)
		return 0;
	if (is_dir(from->at) && !is_dir(to->at))
		return ENOTDIR;
	if (!is_dir(from->at) && is_dir(to->at))
		return EISDIR;
	return is_dir(to->at) && !is_empty(to->at) ? ENOTEMPTY : 0;
}

static void move_name(int at, const struct spot *to)
{
	names[at].parent = to->dir;
	names[at].label = to->label;
}

static void do_rename(void)
{
	static const unsigned int all[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	unsigned int flags = all[random_below(&state, 5)];
	struct spot from, to;
	int want;

	random_spot(&from);
	random_spot(&to);
	note("rename flags %u: %s %s", flags, from.path, to.path);
	want = predict_rename(&from, &to, flags);
	if (!want && depth(to.dir) + height(from.at) >= DEEPEST)
		return;
	if (!as_predicted(renameat2(AT_FDCWD, from.path, AT_FDCWD, to.path, flags), want, "rename") ||
	    (to.at != NO_SUCH && names[from.at].file == names[to.at].file))
		return;
	if (flags & RENAME_EXCHANGE)
		move_name(to.at, &from);
	else if (to.at != NO_SUCH)
		remove_name(to.at);
	move_name(from.at, &to);
}

static bool is_regular(int at)
{
	return S_ISREG(names[at].file->mode);
}

static void do_overwrite(void)
{
	int at = random_name(is_regular), fd;
	char path[4096];

	if (at == NO_SUCH)
		return;
	note("overwrite %s", path_of(at, path));
	fd = open(path, O_WRONLY);
	MUST(fd >= 0);
	put_bytes(fd, names[at].file);
	MUST(!random_below(&state, 8) || !fsync(fd));
	close(fd);
}

static void do_read(void)
{
	int at = random_name(is_regular), fd;
	char path[4096];

	if (at == NO_SUCH)
		return;
	note("read %s", path_of(at, path));
	fd = open(path, O_RDONLY);
	MUST(fd >= 0);
	MUST(has_bytes(fd, names[at].file));
	close(fd);
}

/* A path with a file as one of its directories. */
static void do_through(void)
{
	int at = random_name(is_regular);
	char path[4096];
	struct stat st;

	if (at == NO_SUCH)
		return;
	strcat(path_of(at, path), "/x");
	note("stat %s", path);
	as_predicted(stat(path, &st), ENOTDIR, "stat");
	as_predicted(mkdir(path, 0700), ENOTDIR, "mkdir");
	as_predicted(unlink(path), ENOTDIR, "unlink");
}

static void do_chmod(void)
{
	int at = random_name(NULL);
	struct file *file = names[at].file;
	char path[4096];

	if (S_ISLNK(file->mode) || !at)
		return;
	file->mode = (file->mode & S_IFMT) | 0600 | random_below(&state, 01000);
	note("chmod %s", path_of(at, path));
	MUST(!chmod(path, file->mode & 07777));
}

static void do_stat(void)
{
	struct stat st;
	struct spot s;

	random_spot(&s);
	note("stat %s", s.path);
	if (!as_predicted(lstat(s.path, &st), s.at == NO_SUCH ? ENOENT : 0, "lstat"))
		return;
	MUST(st.st_mode == names[s.at].file->mode);
	MUST(st.st_nlink == links(s.at));
	MUST(is_dir(s.at) || (size_t)st.st_size == names[s.at].file->size);
}

static void do_readlink(void)
{
	struct spot s;
	char target[64] = "";
	int want = 0;

	random_spot(&s);
	note("readlink %s", s.path);
	if (s.at == NO_SUCH)
		want = ENOENT;
	else if (!S_ISLNK(names[s.at].file->mode))
		want = EINVAL;
	if (as_predicted(readlink(s.path, target, sizeof(target) - 1) < 0, want, "readlink"))
		MUST(!strcmp(target, names[s.at].file->target));
}

static void check_entry(DIR *d, const struct dirent *e, int dir)
{
	struct stat st;

	MUST(!fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW));
	MUST(e->d_ino == st.st_ino);
	MUST(e->d_type == IFTODT(st.st_mode));
	for (unsigned int label = 0; label < NAMES; label++)
		if (!strcmp(e->d_name, label_of(label)) && find(dir, label) != NO_SUCH)
			return;
	fail("readdir: '%s' is not in the model", e->d_name);
}

static void do_readdir(void)
{
	int dir = random_name(is_dir), n = 0;
	char path[4096];
	DIR *d;

	note("readdir %s", path_of(dir, path));
	d = opendir(path);
	MUST(d);
	for (struct dirent *e; (e = readdir(d));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		check_entry(d, e, dir);
		n++;
	}
	closedir(d);
	for (int i = 1; i < PLACES; i++)
		n -= names[i].used && names[i].parent == dir;
	MUST(n == 0);
}

static void do_hold(void)
{
	int at = random_name(is_regular);
	char path[4096];

	if (at == NO_SUCH)
		return;
	note("hold %s", path_of(at, path));
	if (nr_held == HELD)
		close(held[--nr_held].fd);
	held[nr_held].fd = open(path, O_RDWR);
	held[nr_held].file = names[at].file;
	MUST(held[nr_held++].fd >= 0);
}

/* An open file stays the same file after its names have changed. */
static void do_use_held(void)
{
	struct file *file;
	unsigned int i;
	struct stat st;
	int fd;

	if (!nr_held)
		return;
	i = random_below(&state, nr_held);
	fd = held[i].fd;
	file = held[i].file;
	note("use a held file with %u names", file->names);
	MUST(!fstat(fd, &st));
	MUST(st.st_nlink == file->names && st.st_mode == file->mode);
	MUST(has_bytes(fd, file));
	if (random_below(&state, 2))
		put_bytes(fd, file);
}

static void do_sync(void)
{
	int dir = random_name(is_dir), fd;
	char path[4096];

	note("fsync %s", path_of(dir, path));
	fd = open(path, O_RDONLY | O_DIRECTORY);
	MUST(fd >= 0 && !fsync(fd));
	close(fd);
}

static const struct { void (*fn)(void); unsigned int weight; } kinds[] = {
	{ do_create, 20 }, { do_mkdir, 12 }, { do_symlink, 3 }, { do_link, 5 },
	{ do_unlink, 10 }, { do_rmdir, 8 }, { do_rename, 30 }, { do_overwrite, 6 },
	{ do_read, 6 }, { do_through, 1 }, { do_chmod, 4 }, { do_stat, 10 },
	{ do_readlink, 2 }, { do_readdir, 6 }, { do_hold, 4 }, { do_use_held, 6 },
	{ do_sync, 1 },
};

static void do_something(void)
{
	unsigned int total = 0, n;
	size_t i = 0;

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		total += kinds[k].weight;
	for (n = random_below(&state, total); n >= kinds[i].weight; i++)
		n -= kinds[i].weight;
	nr_ops++;
	note("-");
	kinds[i].fn();
}

/* ---- the state ---- */

/* A line for each name: PATH TYPE-AND-MODE LINKS SIZE SLICE TARGET */
static void print_state(FILE *to, const char *dir)
{
	char path[4096];

	for (int i = 0; i < PLACES; i++) {
		const struct file *file = names[i].file;

		if (names[i].used)
			fprintf(to, "%s/%s %o %u %zu %u %s\n", dir, path_of(i, path), file->mode,
				links(i), file->size, file->slice, *file->target ? file->target : "-");
	}
}

static unsigned int found, wrong;

__attribute__((format(printf, 2, 3)))
static void is_wrong(const char *path, const char *format, ...)
{
	va_list args;

	if (wrong++ > 20)
		return;
	printf("# %s: ", path);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void check_line(const char *path, const struct file *file, unsigned int nlink)
{
	char target[64] = "";
	struct stat st;
	int fd;

	if (lstat(path, &st)) {
		is_wrong(path, "%s", strerror(errno));
		return;
	}
	if (st.st_mode != file->mode || st.st_nlink != nlink)
		is_wrong(path, "mode %o and %ju links, not %o and %u", st.st_mode,
			 (uintmax_t)st.st_nlink, file->mode, nlink);
	if (S_ISLNK(file->mode) && (readlink(path, target, sizeof(target) - 1) < 0 ||
				    strcmp(target, file->target)))
		is_wrong(path, "leads to '%s', not '%s'", target, file->target);
	if (!S_ISREG(file->mode))
		return;
	fd = open(path, O_RDONLY);
	if (fd < 0 || (size_t)st.st_size != file->size || !has_bytes(fd, file))
		is_wrong(path, "its bytes are others");
	close(fd);
}

static int count_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path, (void)st, (void)type;
	/* The directory of each process is in the state, that of them all is not. */
	found += at->level > 0;
	return 0;
}

static int check_state(const char *from, const char *dir)
{
	char path[4096], target[64];
	FILE *lines = fopen(from, "r");
	unsigned int n = 0, nlink;
	struct file file;

	if (!lines || chdir(dir)) {
		perror(from);
		return 2;
	}
	while (fscanf(lines, "%4095s %o %u %zu %u %63s", path, &file.mode, &nlink, &file.size,
		      &file.slice, target) == 6) {
		snprintf(file.target, sizeof(file.target), "%.15s", target);
		check_line(path, &file, nlink);
		n++;
	}
	nftw(".", count_one, 20, FTW_PHYS);
	if (found != n)
		is_wrong(dir, "%u names, not %u", found, n);
	printf("%s 1 - all %u names and files are as in the model\n1..1\n", wrong || !n ? "not ok" : "ok",
	       n);
	return wrong || !n;
}

/* ---- processes ---- */

static void probe(void)
{
	close(open("try", O_CREAT | O_WRONLY, 0600));
	close(open("try2", O_CREAT | O_WRONLY, 0600));
	can_link = !link("try", "l");
	can_symlink = !symlink("try", "s");
	can_exchange = !renameat2(AT_FDCWD, "try", AT_FDCWD, "try2", RENAME_EXCHANGE);
	unlink("l");
	unlink("s");
	unlink("try");
	unlink("try2");
	printf("# links: %s, symbolic links: %s, exchange: %s\n", can_link ? "yes" : "no",
	       can_symlink ? "yes" : "no", can_exchange ? "yes" : "no");
}

/* In a child: exit with 0 if every result was predicted. */
static void run_with_model(unsigned int number, unsigned long ops, uint64_t seed, const char *to)
{
	char dir[32];
	FILE *file;

	snprintf(dir, sizeof(dir), "p%u", number);
	state = seed + number;
	names[0] = (struct name){ true, 0, 0, new_file(S_IFDIR | 0700) };
	if (setjmp(out)) {
		printf("# process %u, operation %u: %.300s\n# after these:\n", number, nr_ops, why);
		for (unsigned int i = nr_ops < LAST ? 1 : nr_ops - LAST + 1; i <= nr_ops; i++)
			printf("#   %.500s\n", last[i % LAST]);
		exit(1);
	}
	MUST(!mkdir(dir, 0700) && !chdir(dir));
	for (unsigned long i = 0; i < ops; i++)
		do_something();
	for (int i = 0; i < 100; i++) {
		do_readdir();
		do_stat();
		do_read();
	}
	while (nr_held)
		close(held[--nr_held].fd);
	file = to ? fopen(to, "a") : NULL;
	if (file) {
		setvbuf(file, NULL, _IOFBF, 1 << 20);
		print_state(file, dir);
		fclose(file);
	}
	exit(0);
}

/* EPERM: a link to a directory, or any link if the file system has none. */
static bool a_race_explains(int err)
{
	return err == ENOENT || err == EEXIST || err == ENOTEMPTY || err == ENOTDIR ||
	       err == EISDIR || err == EINVAL || err == EPERM;
}

/* Few names in few directories, so that the processes often use the same name. */
static void random_race_path(char *path)
{
	unsigned int n = random_below(&state, 36);

	if (n % 3)
		snprintf(path, 32, "shared/r%u/r%u", n / 9, n % 9 / 3);
	else
		snprintf(path, 32, "shared/r%u", n / 9);
}

static int race_once(const char *path, const char *to)
{
	int fd = 0;

	switch (random_below(&state, 10)) {
	case 0: case 1:
		fd = open(path, O_CREAT | O_RDWR, 0600);
		break;
	case 2: case 3:
		return mkdir(path, 0700);
	case 4:
		return unlink(path);
	case 5:
		return rmdir(path);
	case 6: case 7:
		return rename(path, to);
	case 8:
		return link(path, to);
	case 9:
		fd = open(path, O_RDONLY);
		break;
	}
	if (fd < 0)
		return -1;
	if (write(fd, path, 20) < 0 && errno != EBADF && errno != EISDIR)
		return -1;
	return close(fd);
}

static void run_race(unsigned int number, unsigned long ops, uint64_t seed)
{
	char path[32], to[32];

	state = seed + 1000 + number;
	for (unsigned long i = 0; i < ops; i++) {
		random_race_path(path);
		random_race_path(to);
		if (race_once(path, to) && !a_race_explains(errno)) {
			printf("# process %u, %s, %s: %s\n", number, path, to, strerror(errno));
			exit(1);
		}
	}
	exit(0);
}

static int remove_sound(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)at;
	/* nftw() has removed everything below. */
	if (type == FTW_DP && st->st_nlink < 2)
		is_wrong(path, "%ju links", (uintmax_t)st->st_nlink);
	if (type == FTW_NS || remove(path))
		is_wrong(path, "%s", strerror(errno));
	return 0;
}

static bool all_end_well(unsigned int n)
{
	bool well = true;
	int status;

	while (n--)
		if (wait(&status) < 0 || status)
			well = false;
	return well;
}

static int run_all(unsigned int processes, unsigned long ops, uint64_t seed, const char *to)
{
	bool modelled, sound;

	probe();
	for (unsigned int i = 0; i < processes; i++)
		if (!fork())
			run_with_model(i, ops, seed, to);
	modelled = all_end_well(processes);
	printf("%s 1 - %u processes, %lu operations each, as predicted, with seed %ju\n",
	       modelled ? "ok" : "not ok", processes, ops, (uintmax_t)seed);

	mkdir("shared", 0700);
	for (unsigned int i = 0; i < processes; i++)
		if (!fork())
			run_race(i, ops, seed);
	sound = all_end_well(processes);
	nftw("shared", remove_sound, 20, FTW_PHYS | FTW_DEPTH);
	printf("%s 2 - %u processes in one directory, which is sound and can be removed\n1..2\n",
	       sound && !wrong ? "ok" : "not ok", processes);
	return !modelled || !sound || wrong;
}

int main(int argc, char **argv)
{
	unsigned long ops = 2000, processes = 2, seed = time(NULL);
	const char *to = NULL, *from = NULL, *dir;
	const struct tester_option options[] = {
		{ "ops", .number = &ops },
		{ "processes", .number = &processes },
		{ "seed", .number = &seed },
		{ "state", .text = &to },
		{ "check", .text = &from },
		{ }
	};

	dir = tester_options(argc, argv, options);
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(0);
	noise = noise_make(LONGEST);
	if (from)
		return check_state(from, dir);
	if (chdir(dir)) {
		perror(dir);
		return 2;
	}
	return run_all(processes, ops, seed, to);
}
