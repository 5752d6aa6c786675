// SPDX-License-Identifier: GPL-2.0-only
/*
 * A crash at any store leaves exactly the old or exactly the new catalog.
 *
 * The code that commits, and the states that a freed frame goes through, run over a
 * simulated memory. Workloads of one to three operations are generated exhaustively, after
 * CrashMonkey's ACE. The memory records every store of eight bytes and every write-back.
 * Stores that are not written back yet can reach the memory in any order, or not at all,
 * but those to one word keep their order. The tests cut each workload after every store,
 * and with many subsets of the stores that are not written back: all subsets if these are
 * few, else every prefix and suffix, each store alone, each store left out, and a fixed
 * sample. After each cut:
 *
 *  - the image opens, as the last catalog committed, or as the one being committed;
 *  - nothing is taken for damage;
 *  - no frame belongs to two files, and each has bytes of its own file, or zeros.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define CPR_PORT_OWN_WRITE
#include <stddef.h>
void cpr_port_write(void *dst, const void *src, size_t len);
void cpr_port_write_word(void *dst, const void *src);
void cpr_port_persist(void *dst, size_t len);
#include "../../../kmod/catalog.c"
#include "../../../kmod/frames.c"
#include "ktap.h"

#define SIZE	(16ull << 20)
#define START	(4ull << 30)
#define FRAME	((u64)CPR_IMAGE_FRAME_SIZE)

/* ---- the simulated memory ---- */

enum event_kind { STORE, PERSIST, COMMIT, COMMITTED };

/* @at and @len: bytes; @value: of a store. */
struct event {
	enum event_kind kind;
	u64 at;
	u64 len;
	u64 value;
};

#define EVENTS_MAX 65536

static u8 *image;	/* as the processor sees it */
static struct event events[EVENTS_MAX];
static u32 nr_events;

static void record(enum event_kind kind, u64 at, u64 len, u64 value)
{
	CHECK(nr_events < EVENTS_MAX);
	events[nr_events++] = (struct event){ kind, at, len, value };
}

static void store_word(u64 at, u64 value)
{
	u64 *word = (u64 *)(image + at);

	/* A store of the value that is there changes nothing, whenever it arrives. */
	if (*word != value)
		record(STORE, at, 8, value);
	*word = value;
}

void cpr_port_write_word(void *dst, const void *src)
{
	u64 value;

	memcpy(&value, src, 8);
	store_word((u8 *)dst - image, value);
}

/* The words at both ends keep the bytes that are not written. */
void cpr_port_write(void *dst, const void *src, size_t len)
{
	u64 begin = (u8 *)dst - image, end = begin + len;

	for (u64 at = begin & ~7ull; at < end; at += 8) {
		u64 from = at < begin ? begin : at, to = at + 8 < end ? at + 8 : end;
		u64 value;

		memcpy(&value, image + at, 8);
		memcpy((u8 *)&value + (from - at), (const u8 *)src + (from - begin), to - from);
		store_word(at, value);
	}
}

void cpr_port_persist(void *dst, size_t len)
{
	record(PERSIST, (u8 *)dst - image, len, 0);
}

/* ---- what is committed ---- */

#define FILES_MAX 8
#define FRAMES_MAX 8
enum { ROOT, DIR };

struct file {
	const char *name;
	u64 ino;
	u32 parent;
	u32 nr;
	u32 frames[FRAMES_MAX];
};

/* The current catalog is versions[committed]; the last one may be on its way. */
struct version {
	u64 length;
	u8 records[2048];
};

static struct cpr_geometry geo;
static struct cpr_frames frames;
static struct cpr_catalog_writer writer;
static struct file files[FILES_MAX];
static u32 nr_files, vm_state;
static u64 next_ino, generation;
static unsigned int slot;
static struct version versions[16];
static u32 nr_versions;
static u32 broken_release;	/* the test of the test: frames are free at once */

static int compare_files(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return x->parent != y->parent ? (x->parent < y->parent ? -1 : 1) :
	       strcmp(x->name, y->name);
}

static void put_dir(u32 parent, u64 ino, const char *name)
{
	struct cpr_catalog_node n = {
		.ino = ino, .parent = parent, .mode = S_IFDIR | 0700, .name = name,
		.name_len = strlen(name),
	};

	cpr_catalog_put_node(&writer, &n);
}

static void put_file(const struct file *f, u32 parent)
{
	struct cpr_catalog_node n = {
		.ino = f->ino, .parent = parent, .mode = S_IFREG | 0600, .name = f->name,
		.name_len = strlen(f->name), .size = f->nr * FRAME,
	};

	cpr_catalog_put_node(&writer, &n);
	for (u32 i = 0; i < f->nr; i++)
		cpr_catalog_put_frames(&writer, &(struct cpr_extent){ i, f->frames[i], 1 });
}

/* The directory's name, "m", sorts between those of the files of the root. */
static void put_all(void)
{
	u32 dir = 0;

	qsort(files, nr_files, sizeof(*files), compare_files);
	put_dir(0, CPR_IMAGE_ROOT_INO, "");
	for (u32 i = 0; i <= nr_files; i++) {
		bool root = i < nr_files && files[i].parent == ROOT;

		if (!dir && (!root || strcmp(files[i].name, "m") > 0)) {
			dir = writer.nodes;
			put_dir(0, 2, "m");
		}
		if (i < nr_files)
			put_file(&files[i], root ? 0 : dir);
	}
	if (vm_state)
		cpr_catalog_put_vm(&writer, &(struct cpr_catalog_vm){
			.node = dir, .state = vm_state, .kernel = "7.3.4-test" });
}

static void keep_version(void)
{
	struct version *v = &versions[nr_versions++];

	CHECK(nr_versions <= 16 && writer.length <= sizeof(v->records));
	v->length = writer.length;
	memcpy(v->records, image + geo.slot_offset[slot] + CPR_IMAGE_BLOCK_SIZE, v->length);
}

static void release_freed(void)
{
	for (u32 i = 0; cpr_frames_find(&frames, CPR_FRAME_FREED, &i); i++)
		cpr_frames_set(&frames, i, 1, CPR_FRAME_DIRTY);
}

static void write_catalog(void)
{
	static const struct cpr_stamp stamp = { .time = 1700000000, .kernel = "7.3.4-test" };

	record(COMMIT, 0, 0, 0);
	cpr_catalog_begin(&writer, image, &geo, !slot);
	put_all();
	slot = !slot;
	CHECK_EQ(cpr_catalog_commit(&writer, ++generation, next_ino, &stamp), 0);
	keep_version();
	record(COMMITTED, 0, 0, 0);
}

static void commit(bool twice)
{
	write_catalog();
	release_freed();
	if (twice)
		write_catalog();
}

/* ---- operations ---- */

static struct file *find_file(u32 parent, const char *name)
{
	for (u32 i = 0; i < nr_files; i++)
		if (files[i].parent == parent && !strcmp(files[i].name, name))
			return &files[i];
	return NULL;
}

/* A guest writes without writing back. */
static bool grow(struct file *f)
{
	struct cpr_run run;
	u64 at;

	if (!f || f->nr == FRAMES_MAX || !cpr_frames_take(&frames, f->nr, 1, &run))
		return false;
	at = run.frame * FRAME;
	if (run.dirty) {
		store_word(at, 0);
		cpr_port_persist(image + at, FRAME);
	}
	store_word(at, f->ino);
	f->frames[f->nr++] = run.frame;
	return true;
}

static bool shrink(struct file *f)
{
	if (!f || !f->nr)
		return false;
	cpr_frames_set(&frames, f->frames[--f->nr], 1,
		       broken_release ? CPR_FRAME_DIRTY : CPR_FRAME_FREED);
	return true;
}

static bool create(u32 parent, const char *name)
{
	if (find_file(parent, name) || nr_files == FILES_MAX)
		return false;
	files[nr_files++] = (struct file){ .name = name, .ino = next_ino++, .parent = parent };
	return true;
}

static bool unlink_file(struct file *f)
{
	if (!f)
		return false;
	while (shrink(f))
		;
	*f = files[--nr_files];
	return true;
}

static bool rename_file(struct file *f, u32 parent, const char *name)
{
	u64 ino = f ? f->ino : 0;

	if (!f || f == find_file(parent, name))
		return false;
	unlink_file(find_file(parent, name));
	for (u32 i = 0; i < nr_files; i++)
		if (files[i].ino == ino) {
			files[i].parent = parent;
			files[i].name = name;
		}
	return true;
}

/* Each step is committed by itself, sealing twice. */
static bool take_step(void)
{
	vm_state = vm_state % CPR_IMAGE_VM_SEALED + 1;
	commit(vm_state == CPR_IMAGE_VM_SEALED);
	return true;
}

static bool op_create(void)	{ return create(ROOT, "n"); }
static bool op_create_in(void)	{ return create(DIR, "n"); }
static bool op_unlink(void)	{ return unlink_file(find_file(ROOT, "a")); }
static bool op_rename(void)	{ return rename_file(find_file(ROOT, "a"), DIR, "b"); }
static bool op_replace(void)	{ return rename_file(find_file(DIR, "ram"), ROOT, "a"); }
static bool op_grow(void)	{ return grow(find_file(DIR, "ram")); }
static bool op_shrink(void)	{ return shrink(find_file(ROOT, "a")); }
static bool op_fill(void)	{ return grow(find_file(ROOT, "n")); }
static bool op_step(void)	{ return take_step(); }

static bool (*const operations[])(void) = {
	op_create, op_create_in, op_unlink, op_rename, op_replace, op_grow, op_shrink, op_fill,
	op_step,
};

#define OPERATIONS (sizeof(operations) / sizeof(*operations))

/* ---- cuts ---- */

static u8 *memory;	/* what is written back */
static struct event pending[EVENTS_MAX];
static u32 nr_pending;
static bool arrives[EVENTS_MAX];
static u32 committed;
static bool committing;
static u64 cuts;
static const char *wrong;

static u32 random_state;

static u32 rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

static bool is_version(const struct cpr_catalog *cat, u32 number)
{
	const struct version *v = &versions[number];

	return number < nr_versions && cat->length == v->length &&
	       !memcmp(cat->records, v->records, v->length);
}

static bool has_own_bytes(const struct cpr_catalog_node *n)
{
	for (u32 i = 0; i < n->extents; i++) {
		struct cpr_extent e = cpr_catalog_extent(n, i);

		for (u32 f = e.frame; f < e.frame + e.count; f++) {
			u64 word = *(u64 *)(memory + f * FRAME);

			if (word && word != n->ino)
				return false;
		}
	}
	return true;
}

static const char *find_wrong(void)
{
	struct cpr_catalog_entry e;
	struct cpr_geometry got;
	struct cpr_catalog cat;
	static struct cpr_reason why;
	u64 cursor = 0;

	cuts++;
	if (cpr_image_load(memory, SIZE, &got, &why) ||
	    cpr_catalog_open(memory, &geo, &cat, &why))
		return why.text;
	if (cat.other_damaged)
		return "a commit that was cut off is taken for damage";
	if (!is_version(&cat, committed) && !(committing && is_version(&cat, committed + 1)))
		return "neither the old nor the new catalog";
	while (cpr_catalog_next(&cat, &cursor, &e))
		if (e.type == CPR_IMAGE_REC_NODE && !has_own_bytes(&e.node))
			return "foreign bytes in a file";
	return NULL;
}

/* The stores of @arrives reach the memory; afterwards they are undone. */
static void cut(void)
{
	static u64 before[EVENTS_MAX];

	for (u32 i = 0; i < nr_pending; i++) {
		u64 *word = (u64 *)(memory + pending[i].at);

		before[i] = *word;
		if (arrives[i])
			*word = pending[i].value;
	}
	if (!wrong)
		wrong = find_wrong();
	for (u32 i = nr_pending; i--;)
		*(u64 *)(memory + pending[i].at) = before[i];
}

static void cut_with(bool (*with)(u32 i, u32 n), u32 n)
{
	for (u32 i = 0; i < nr_pending; i++)
		arrives[i] = with(i, n);
	cut();
}

static bool is_before(u32 i, u32 n)	{ return i < n; }
static bool is_from(u32 i, u32 n)	{ return i >= n; }
static bool is_only(u32 i, u32 n)	{ return i == n; }
static bool is_not(u32 i, u32 n)	{ return i != n; }
static bool is_bit(u32 i, u32 n)	{ return n >> i & 1; }
static bool is_random(u32 i, u32 n)	{ return (void)i, rnd() % 8 < n; }

static void cut_everywhere(void)
{
	if (nr_pending <= 6) {
		for (u32 n = 0; n < 1u << nr_pending; n++)
			cut_with(is_bit, n);
		return;
	}
	for (u32 n = 0; n < nr_pending; n++) {
		cut_with(is_before, n);
		cut_with(is_from, n);
		cut_with(is_only, n);
		cut_with(is_not, n);
	}
	for (u32 n = 0; n < 24; n++)
		cut_with(is_random, 1 + n % 7);
}

static void write_back(const struct event *range)
{
	u32 left = 0;

	for (u32 i = 0; i < nr_pending; i++) {
		if (pending[i].at >= range->at && pending[i].at < range->at + range->len)
			*(u64 *)(memory + pending[i].at) = pending[i].value;
		else
			pending[left++] = pending[i];
	}
	nr_pending = left;
}

/* Every state that the memory can have at a write-back is a cut before it. */
static void replay(void)
{
	for (u32 i = 0; i < nr_events && !wrong; i++) {
		const struct event *e = &events[i];

		if (e->kind == STORE)
			pending[nr_pending++] = *e;
		if (e->kind == COMMIT || e->kind == COMMITTED || e->kind == PERSIST)
			cut_everywhere();
		if (e->kind == PERSIST)
			write_back(e);
		if (e->kind == COMMITTED)
			committed++;
		if (e->kind == COMMIT || e->kind == COMMITTED)
			committing = e->kind == COMMIT;
	}
	nr_events = 0;
}

/* ---- workloads ---- */

static void begin(void)
{
	static const struct cpr_stamp stamp = { .time = 1700000000, .kernel = "7.3.4-test" };
	struct cpr_reason why;

	if (!image) {
		image = calloc(1, SIZE);
		memory = calloc(1, SIZE);
	}
	for (u32 i = 0; i < SIZE / FRAME; i++) {
		memset(image + i * FRAME, 0, 65536 + 4096);
		memset(memory + i * FRAME, 0, 65536 + 4096);
	}
	CHECK_EQ(cpr_image_layout(&geo, START, SIZE, &why), 0);
	CHECK_EQ(cpr_frames_init(&frames, &geo), 0);
	cpr_image_format(&writer, image, &geo, &stamp);
	generation = 2;
	slot = 1;
	next_ino = 3;
	nr_files = vm_state = nr_versions = 0;
	create(ROOT, "a");
	create(DIR, "ram");
	grow(find_file(ROOT, "a"));
	grow(find_file(DIR, "ram"));
	commit(false);
	commit(false);

	/* All of that is written back. */
	memcpy(memory, image, 65536 + 4096);
	for (u32 i = 1; i < SIZE / FRAME; i++)
		memcpy(memory + i * FRAME, image + i * FRAME, 65536);
	nr_events = nr_pending = 0;
	committed = nr_versions - 1;
	committing = false;
	wrong = NULL;
}

/* Then a file takes all frames that are free, and the kernel ends. */
static void end(void)
{
	commit(false);
	if (create(ROOT, "z"))
		while (grow(find_file(ROOT, "z")))
			;
	commit(true);
}

/* The workload of a number in base OPERATIONS; false if an operation is not possible. */
static bool run_workload(u32 number, u32 length)
{
	begin();
	for (u32 i = 0; i < length; i++, number /= OPERATIONS)
		if (!operations[number % OPERATIONS]())
			return false;
	end();
	return true;
}

static u32 run_workloads(u32 length)
{
	u32 count = 1, run = 0;

	for (u32 i = 0; i < length; i++)
		count *= OPERATIONS;
	for (u32 number = 0; number < count; number++) {
		random_state = 1 + number;
		if (run_workload(number, length)) {
			replay();
			run++;
		}
		cpr_frames_exit(&frames);
		CHECK_MSG(!wrong, "workload %u of %u operations: %s", number, length, wrong);
	}
	printf("# %u workloads of %u operations, %llu cuts so far\n", run, length,
	       (unsigned long long)cuts);
	return run;
}

TEST(workloads_of_one_operation)
{
	CHECK_EQ(run_workloads(1), OPERATIONS - 1);
}

TEST(workloads_of_two_operations)
{
	CHECK(run_workloads(2) > 40);
}

TEST(workloads_of_three_operations)
{
	CHECK(run_workloads(3) > 300);
}

/* The test of the test: a frame that is given out before the commit. */
TEST(a_frame_given_out_too_early_is_found)
{
	broken_release = 1;
	random_state = 1;
	begin();
	CHECK(op_unlink());
	CHECK(create(ROOT, "z"));
	while (grow(find_file(ROOT, "z")))
		;
	commit(false);
	replay();
	cpr_frames_exit(&frames);
	broken_release = 0;
	CHECK_STR(wrong, "foreign bytes in a file");
}

int main(void)
{
	return ktap_run();
}
