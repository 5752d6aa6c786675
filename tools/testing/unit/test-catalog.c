// SPDX-License-Identifier: GPL-2.0-only
/*
 * A commit that is cut off at any byte leaves the last one valid.
 *
 * What is written is read back. A crash at any byte leaves the last commit current. Damage
 * is reported as damage, and never answered with an older state. Nothing that is forged is
 * believed.
 */
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Allocations of the code under test, so that they can fail. */
static bool no_memory;
static void *test_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : calloc(n, size);
}

#define calloc test_calloc
/* Every store into the image goes through these, so that it can be cut short. */
#define CPR_PORT_OWN_WRITE
void cpr_port_write(void *dst, const void *src, size_t len);
void cpr_port_write_word(void *dst, const void *src);
void cpr_port_persist(void *dst, size_t len);
/* Memory that has failed: AddressSanitizer reports every access. */
#define CPR_PORT_OWN_READ
bool cpr_port_readable(const void *p, size_t len);
#include "../../../kmod/catalog.c"
#undef calloc
#include "ktap.h"
#include "node.h"

#define SIZE	(32ull << 20)
#define START	(4ull << 30)

static u8 *image;
static struct cpr_geometry geo;
static struct cpr_reason why;
static const struct cpr_stamp stamp = { .time = 1700000000, .kernel = "7.3.4-test" };

static long budget = -1;	/* bytes until the power goes; negative: never */
static jmp_buf power_cut;
static u64 written;

void cpr_port_write(void *dst, const void *src, size_t len)
{
	size_t n = budget < 0 || (size_t)budget > len ? len : (size_t)budget;

	memcpy(dst, src, n);
	written += n;
	if (n < len)
		longjmp(power_cut, 1);
	if (budget >= 0)
		budget -= n;
}

/* By one store: all of it or nothing. */
void cpr_port_write_word(void *dst, const void *src)
{
	if (budget >= 0 && budget < 8)
		longjmp(power_cut, 1);
	cpr_port_write(dst, src, 8);
}

void cpr_port_persist(void *dst, size_t len)
{
	(void)dst;
	(void)len;
}

bool cpr_port_readable(const void *p, size_t len)
{
	return !__asan_region_is_poisoned((void *)p, len);
}

static void fail_page(u64 offset)
{
	ASAN_POISON_MEMORY_REGION(image + offset, CPR_IMAGE_BLOCK_SIZE);
}

static void mend_page(u64 offset)
{
	ASAN_UNPOISON_MEMORY_REGION(image + offset, CPR_IMAGE_BLOCK_SIZE);
}

static void format(void)
{
	static struct cpr_catalog_writer w;

	cpr_image_format(&w, image, &geo, &stamp);
}

static void fresh_image(void)
{
	no_memory = false;
	free(image);
	image = calloc(1, SIZE);
	CHECK_EQ(cpr_image_layout(&geo, START, SIZE, &why), 0);
	geo.uuid[0] = 42;
	strcpy(geo.label, "test");
	format();
}

/* Three directories, three files; the generation is in the file's size. */
static void put_nodes(struct cpr_catalog_writer *w, u64 generation)
{
	struct cpr_catalog_node n[] = {
		node_of(0, S_IFDIR | 0755, 1, ""),
		node_of(0, S_IFDIR | 0700, 2, "db"),
		node_of(0, S_IFDIR | 0700, 3, "web"),
		node_of(2, S_IFREG | 0600, 9, "manifest.json"),
		node_of(2, S_IFREG | 0600, 5, "ram0"),
		node_of(2, S_IFREG | 0600, 6, "state"),
	};

	n[2].room_frames = 5;
	n[2].room_names = 65535;
	n[4].flags = CPR_IMAGE_NODE_MEMORY;
	n[4].size = 8 << 20;
	n[4].mtime = (struct cpr_time){ -3, 999999999 };
	n[5].size = generation;
	for (int i = 0; i < 6; i++) {
		cpr_catalog_put_node(w, &n[i]);
		if (i == 4)
			for (u32 f = 0; f < 4; f++)
				cpr_catalog_put_frames(w, &(struct cpr_extent){
					f, (f < 3 ? 6 : 8) + f, 1 });
	}
}

static const struct cpr_digests digests = {
	CPR_IMAGE_VM_MANIFEST_DIGEST | CPR_IMAGE_VM_RAM_DIGEST, { 1, [15] = 2 }, { [15] = 3 },
};

static void put_vm(struct cpr_catalog_writer *w, u32 node)
{
	cpr_catalog_put_vm(w, &(struct cpr_catalog_vm){
		.node = node, .state = CPR_IMAGE_VM_SEALED, .kernel = "6.12.0",
		.since = { 5, 6 }, .digests = digests });
}

static int commit(unsigned int slot, u64 generation)
{
	struct cpr_catalog_writer w;

	cpr_catalog_begin(&w, image, &geo, slot);
	put_nodes(&w, generation);
	put_vm(&w, 2);
	return cpr_catalog_commit(&w, generation, 10, &stamp);
}

/* The generation in force, or 0; and what is in it is what was put there. */
static u64 in_force(void)
{
	struct cpr_catalog_entry e;
	struct cpr_catalog cat;
	u64 cursor = 0, size = 0;
	u32 nodes = 0;

	if (cpr_catalog_open(image, &geo, &cat, &why))
		return 0;
	while (cpr_catalog_next(&cat, &cursor, &e)) {
		if (e.type == CPR_IMAGE_REC_NODE && ++nodes == 6)
			size = e.node.size;
	}
	if (nodes > 1)
		CHECK_EQ(size, cat.generation);
	return cat.generation;
}

TEST(the_layout_of_a_region)
{
	CHECK_EQ(cpr_image_layout(&geo, START, 1ull << 30, &why), 0);
	CHECK_EQ(geo.frames, 512);
	CHECK_EQ(geo.first_frame, 5);
	CHECK_EQ(geo.slot_offset[1], 6 << 20);
	CHECK_EQ(cpr_image_layout(&geo, START, 1ull << 40, &why), 0);
	CHECK_EQ(geo.slot_size, 70 << 20);
	/* Whatever the size, there is room for names when every frame is an extent. */
	for (u64 size = 16 << 20; size <= 1ull << 48; size *= 2) {
		CHECK_EQ(cpr_image_layout(&geo, START, size, &why), 0);
		CHECK(cpr_catalog_capacity(&geo) >= 1 << 20);
		CHECK(cpr_catalog_capacity(&geo) < geo.slot_size);
		CHECK(geo.first_frame < geo.frames);
	}
	CHECK_EQ(cpr_image_layout(&geo, START + 4096, 1ull << 30, &why), -EINVAL);
	CHECK_EQ(cpr_image_layout(&geo, START, (1ull << 30) + 4096, &why), -EINVAL);
	CHECK_EQ(cpr_image_layout(&geo, START, 14 << 20, &why), -EINVAL);
	CHECK_EQ(cpr_image_layout(&geo, START, 0, &why), -EINVAL);
	CHECK_EQ(cpr_image_layout(&geo, START, 1ull << 50, &why), -EINVAL);
	CHECK_EQ(cpr_image_layout(&geo, -(2ull << 20), 32 << 20, &why), -EINVAL);
}

TEST(format_and_load)
{
	struct cpr_geometry got;

	fresh_image();
	CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), 0);
	CHECK_EQ(got.start, START);
	CHECK_EQ(got.size, SIZE);
	CHECK_EQ(got.copies_bad, 0);
	CHECK_EQ(got.uuid[0], 42);
	CHECK_STR(got.label, "test");
	CHECK_EQ(in_force(), 2);
	CHECK_EQ(cpr_image_load(image, SIZE - 1, &got, &why), -EUCLEAN);
	CHECK_EQ(cpr_image_load(image, 1 << 20, &got, &why), -ENODATA);
	memset(image, 0, SIZE);
	CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), -ENODATA);
}

TEST(what_is_committed_is_read_back)
{
	struct cpr_catalog_entry e;
	struct cpr_catalog cat;
	struct cpr_extent x;
	u64 cursor = 0;

	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	CHECK_EQ(cpr_catalog_open(image, &geo, &cat, &why), 0);
	CHECK_EQ(cat.slot, 1);
	CHECK_EQ(cat.nodes, 6);
	CHECK_EQ(cat.vms, 1);
	CHECK_EQ(cat.next_ino, 10);
	CHECK_STR(cat.kernel, "7.3.4-test");
	for (int i = 0; i < 3; i++)
		CHECK(cpr_catalog_next(&cat, &cursor, &e));
	CHECK_EQ(e.node.room_frames, 5);
	CHECK_EQ(e.node.room_names, 65535);
	for (int i = 3; i < 5; i++)
		CHECK(cpr_catalog_next(&cat, &cursor, &e));
	CHECK_EQ(e.node.room_frames, 0);
	CHECK_EQ(e.node.name_len, 4);
	CHECK(!memcmp(e.node.name, "ram0", 4));
	CHECK_EQ(e.node.flags, CPR_IMAGE_NODE_MEMORY);
	CHECK_EQ(e.node.mtime.sec, -3);
	CHECK_EQ(e.node.mtime.nsec, 999999999);
	/* Runs that touch were merged. */
	CHECK_EQ(e.node.extents, 2);
	x = cpr_catalog_extent(&e.node, 0);
	CHECK(x.file_frame == 0 && x.frame == 6 && x.count == 3);
	x = cpr_catalog_extent(&e.node, 1);
	CHECK(x.file_frame == 3 && x.frame == 11 && x.count == 1);
	CHECK(cpr_catalog_next(&cat, &cursor, &e) && cpr_catalog_next(&cat, &cursor, &e));
	CHECK_EQ(e.type, CPR_IMAGE_REC_VM);
	CHECK_EQ(e.vm.node, 2);
	CHECK_EQ(e.vm.state, CPR_IMAGE_VM_SEALED);
	CHECK_STR(e.vm.kernel, "6.12.0");
	CHECK_EQ(e.vm.digests.flags, digests.flags);
	CHECK(!memcmp(e.vm.digests.manifest, digests.manifest, CPR_IMAGE_DIGEST_LEN));
	CHECK(!memcmp(e.vm.digests.ram, digests.ram, CPR_IMAGE_DIGEST_LEN));
	CHECK(!cpr_catalog_next(&cat, &cursor, &e));
}

/* What the cut code had allocated is lost with it: that is no leak. */
static bool cut_short(long after, void (*fn)(void))
{
	bool cut;

	__lsan_disable();
	budget = after;
	cut = setjmp(power_cut);
	if (!cut)
		fn();
	budget = -1;
	__lsan_enable();
	return cut;
}

static void commit_4(void)
{
	commit(1, 4);
}

/* Cut the power after each byte of a commit in turn. */
TEST(a_crash_at_any_byte_of_a_commit)
{
	u8 *before = malloc(SIZE);
	u64 total;

	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	CHECK_EQ(commit(0, 3), 0);
	memcpy(before, image, SIZE);
	written = 0;
	CHECK_EQ(commit(1, 4), 0);
	total = written;
	CHECK_EQ(in_force(), 4);
	for (u64 cut = 0; cut < total; cut++) {
		u64 now;

		memcpy(image + geo.slot_offset[1], before + geo.slot_offset[1], 65536);
		CHECK(cut_short(cut, commit_4));
		now = in_force();
		/* The header's last bytes are its checksum: old until all but these are there. */
		CHECK_MSG(now == 3, "after %llu of %llu bytes generation %llu is in force: %s",
			  (unsigned long long)cut, (unsigned long long)total,
			  (unsigned long long)now, why.text);
	}
	free(before);
}

TEST(a_crash_at_any_byte_of_a_format)
{
	struct cpr_geometry got;
	u64 total;

	fresh_image();
	written = 0;
	format();
	total = written;
	for (u64 cut = 0; cut < total; cut += cut < 100 || cut > total - 9000 ? 1 : 97) {
		int err;

		/* Over an image with something in it. */
		format();
		commit(1, 2);
		CHECK(cut_short(cut, format));
		err = cpr_image_load(image, SIZE, &got, &why);
		/* The catalogs of the old image, or of the new one, say that there was an image. */
		CHECK_MSG(err == -EUCLEAN || (!err && in_force()),
			  "after %llu of %llu bytes: %d, %s", (unsigned long long)cut,
			  (unsigned long long)total, err, why.text);
	}
}

/* ---- bit rot ---- */

static void sign_super(int copy)
{
	struct cpr_image_super *sb = (void *)(image + (copy ? CPR_IMAGE_SUPER_COPY : 0));

	sb->crc = cpu_to_le32(cpr_port_crc32c(sb, offsetof(struct cpr_image_super, crc)));
}

static void flip(u64 bit)
{
	image[bit / 8] ^= 1 << bit % 8;
}

/* Bits of a slot's header and records. */
static u64 slot_bits(unsigned int slot)
{
	struct cpr_catalog cat;

	CHECK_EQ(cpr_catalog_check(image, &geo, slot, &cat, &why), 0);
	return 8 * (CPR_IMAGE_BLOCK_SIZE + cat.length);
}

TEST(a_flipped_bit_of_a_superblock_is_repaired_from_the_other)
{
	struct cpr_geometry got;

	fresh_image();
	for (int copy = 0; copy < 2; copy++)
		for (u64 bit = 0; bit < 8 * CPR_IMAGE_BLOCK_SIZE; bit++) {
			u64 at = 8 * copy * CPR_IMAGE_SUPER_COPY + bit;

			flip(at);
			CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), 0);
			CHECK_EQ(got.copies_bad, 1 << copy);
			flip(at);
		}
}

TEST(two_damaged_superblocks_are_damage_and_not_an_empty_region)
{
	struct cpr_geometry got;

	fresh_image();
	/* The first has no magic: a bit of the magic, a bit of the version. */
	flip(3);
	for (u64 bit = 0; bit < 8 * CPR_IMAGE_BLOCK_SIZE; bit++) {
		flip(8 * CPR_IMAGE_SUPER_COPY + bit);
		CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), -EUCLEAN);
		flip(8 * CPR_IMAGE_SUPER_COPY + bit);
	}
	flip(3);
	/* A version without a checksum is no version. */
	flip(8 * 8);
	flip(8 * CPR_IMAGE_SUPER_COPY + 8 * 9);
	CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), -EUCLEAN);
	CHECK_STR(why.text, "superblock checksum is wrong");
}

TEST(a_catalog_without_a_superblock_is_damage)
{
	struct cpr_geometry got;

	for (int slot = 0; slot < 2; slot++) {
		fresh_image();
		memset(image, 0, CPR_IMAGE_BLOCK_SIZE);
		memset(image + CPR_IMAGE_SUPER_COPY, 0, CPR_IMAGE_BLOCK_SIZE);
		memset(image + geo.slot_offset[slot], 0, CPR_IMAGE_BLOCK_SIZE);
		CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), -EUCLEAN);
		CHECK(strstr(why.text, slot ? "a catalog at 0x200000" : "a catalog at 0x400000"));
		/* Nothing beyond these tables is read, and nothing of a range that is too small. */
		CHECK_EQ(cpr_image_tables(SIZE), geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE);
		CHECK_EQ(cpr_image_tables(SIZE + 4096), geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE);
		memset(image + geo.slot_offset[!slot], 0, CPR_IMAGE_BLOCK_SIZE);
		CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), -ENODATA);
	}
	CHECK_EQ(cpr_image_tables((16 << 20) - 1), 0);
	CHECK(cpr_image_tables(1ull << 60) > 0);
}

TEST(superblocks_that_differ)
{
	struct cpr_geometry got;

	fresh_image();
	memset(image + CPR_IMAGE_SUPER_COPY + 200, 1, 1);
	sign_super(1);
	CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), 0);
	CHECK_EQ(got.copies_bad, 2);
}

TEST(a_flipped_bit_of_the_current_catalog_is_no_older_state)
{
	u64 bits;

	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	CHECK_EQ(commit(0, 3), 0);
	bits = slot_bits(0);
	for (u64 bit = 0; bit < bits; bit++) {
		flip(8 * geo.slot_offset[0] + bit);
		CHECK_EQ(in_force(), 0);
		CHECK_MSG(strstr(why.text, "slot 0 is damaged"), "%s", why.text);
		flip(8 * geo.slot_offset[0] + bit);
	}
	CHECK_EQ(in_force(), 3);
}

TEST(a_flipped_bit_of_the_older_catalog_does_no_harm)
{
	u64 bits, refused = 0;

	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	CHECK_EQ(commit(0, 3), 0);
	bits = slot_bits(1);
	for (u64 bit = 0; bit < bits; bit++) {
		u64 now;

		flip(8 * geo.slot_offset[1] + bit);
		now = in_force();
		CHECK(now == 3 || now == 0);
		refused += !now;
		flip(8 * geo.slot_offset[1] + bit);
	}
	/* Only if the generation is not known any more. */
	CHECK_EQ(refused, 2 * 64);
}

static int repeat(unsigned int slot, u64 generation)
{
	struct cpr_catalog_writer w;

	cpr_catalog_begin(&w, image, &geo, slot);
	put_nodes(&w, 3);
	put_vm(&w, 2);
	return cpr_catalog_commit(&w, generation, 10, &stamp);
}

TEST(a_flipped_bit_of_a_repeated_commit_does_no_harm)
{
	struct cpr_catalog cat;

	fresh_image();
	CHECK_EQ(repeat(0, 3), 0);
	CHECK_EQ(repeat(1, 4), 0);
	for (unsigned int slot = 0; slot < 2; slot++) {
		u64 bits = slot_bits(slot);

		for (u64 bit = 0; bit < bits; bit++) {
			flip(8 * geo.slot_offset[slot] + bit);
			CHECK_EQ(cpr_catalog_open(image, &geo, &cat, &why), 0);
			CHECK_EQ(cat.slot, !slot);
			CHECK(cat.other_damaged);
			flip(8 * geo.slot_offset[slot] + bit);
		}
	}
	CHECK_EQ(cpr_catalog_open(image, &geo, &cat, &why), 0);
	CHECK_EQ(cat.slot, 1);
	CHECK(!cat.other_damaged);
	CHECK(cpr_catalog_is_repeated(image, &geo));
	CHECK_EQ(commit(0, 5), 0);
	CHECK(!cpr_catalog_is_repeated(image, &geo));
}

TEST(the_next_commit_rewrites_a_damaged_slot)
{
	struct cpr_catalog cat;

	fresh_image();
	CHECK_EQ(repeat(0, 3), 0);
	CHECK_EQ(repeat(1, 4), 0);
	flip(8 * (geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE + 100));
	CHECK_EQ(cpr_catalog_open(image, &geo, &cat, &why), 0);
	CHECK_EQ(cat.generation, 3);
	CHECK_STR(why.text, "checksum of the records is wrong");
	CHECK_EQ(commit(!cat.slot, cat.generation + 1), 0);
	CHECK_EQ(in_force(), 4);
}

/* Such a header is what is left when the memory that had it was cleared. */
TEST(an_erased_header_is_damage)
{
	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	CHECK_EQ(commit(0, 3), 0);
	memset(image + geo.slot_offset[0], 0, CPR_IMAGE_BLOCK_SIZE);
	CHECK_EQ(in_force(), 0);
	CHECK_STR(why.text,
		  "slot 0 is damaged: no catalog header; slot 1 has generation 2, which may be older");
	memset(image + geo.slot_offset[0], 0xff, CPR_IMAGE_BLOCK_SIZE);
	CHECK_EQ(in_force(), 0);
}

/* A write that never arrived: the header is of a commit, the records are of another. */
TEST(a_header_above_older_records_is_damage)
{
	u8 before[4096];
	u8 *at;

	fresh_image();
	at = image + geo.slot_offset[0] + CPR_IMAGE_BLOCK_SIZE;
	CHECK_EQ(commit(0, 3), 0);
	memcpy(before, at, sizeof(before));
	CHECK_EQ(commit(1, 4), 0);
	CHECK_EQ(commit(0, 5), 0);
	memcpy(at, before, sizeof(before));
	CHECK_EQ(in_force(), 0);
	/* Even of the commit that the other slot has. */
	memcpy(at, image + geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE, sizeof(before));
	CHECK_EQ(in_force(), 0);
}

TEST(two_bad_slots_are_refused)
{
	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	image[geo.slot_offset[0]] ^= 1;
	CHECK_EQ(in_force(), 2);
	image[geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE] ^= 1;
	CHECK_EQ(in_force(), 0);
	CHECK(strstr(why.text, "slot 0: no catalog header; slot 1: checksum of the records"));
	fresh_image();
	CHECK_EQ(commit(1, 1), 0);
	CHECK_EQ(in_force(), 0);
	CHECK(strstr(why.text, "both catalogs claim generation 1"));
}

TEST(numbers_that_could_wrap_around)
{
	const u64 end = CPR_IMAGE_COUNTER_END;
	struct cpr_image_slot *h;
	struct cpr_catalog cat;

	for (int i = 0; i < 4; i++) {
		u64 value = i & 1 ? end : end - 1;

		fresh_image();
		CHECK_EQ(commit(1, 2), 0);
		h = (void *)(image + geo.slot_offset[1]);
		if (i & 2)
			h->next_ino = cpu_to_le64(value);
		else
			h->generation = cpu_to_le64(value);
		h->crc = cpu_to_le32(cpr_port_crc32c(h, offsetof(struct cpr_image_slot, crc)));
		CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), i & 1 ? -EUCLEAN : 0);
		CHECK(!(i & 1) || strstr(why.text, "is not below 2^62"));
	}
	/* And none is written. */
	fresh_image();
	CHECK_EQ(commit(1, end), -EOVERFLOW);
	CHECK_EQ(in_force(), 1);
}

TEST(a_commit_needs_no_memory)
{
	fresh_image();
	no_memory = true;
	CHECK_EQ(commit(1, 2), 0);
	format();
	CHECK_EQ(commit(0, 3), 0);
	no_memory = false;
	CHECK_EQ(in_force(), 3);
}

TEST(versions_and_features)
{
	struct cpr_image_super *sb;
	struct cpr_geometry got;

	fresh_image();
	sb = (void *)image;
	sb->minor = cpu_to_le16(9);
	sign_super(0);
	CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), 0);
	CHECK_EQ(got.minor, 9);
	sb->incompat = cpu_to_le64(1ull << 40);
	sign_super(0);
	CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), -EPROTONOSUPPORT);
	CHECK(strstr(why.text, "0x10000000000"));
	/* A newer copy alone is no empty region either. */
	memcpy(image + CPR_IMAGE_SUPER_COPY, image, CPR_IMAGE_BLOCK_SIZE);
	memset(image, 0, CPR_IMAGE_BLOCK_SIZE);
	CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), -EPROTONOSUPPORT);
	memcpy(image, image + CPR_IMAGE_SUPER_COPY, CPR_IMAGE_BLOCK_SIZE);
	sb->major = cpu_to_le16(2);
	sign_super(0);
	CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), -EPROTONOSUPPORT);
	CHECK(strstr(why.text, "version 2.9"));
}

TEST(a_bad_superblock_is_repaired_from_the_other)
{
	struct cpr_geometry got;

	for (int copy = 0; copy < 2; copy++) {
		u8 *at;

		fresh_image();
		/* Fields of a newer minor version survive. */
		for (int i = 0; i < 2; i++) {
			at = image + (i ? CPR_IMAGE_SUPER_COPY : 0);
			((struct cpr_image_super *)at)->reserved[7] = 77;
			sign_super(i);
		}
		at = image + (copy ? CPR_IMAGE_SUPER_COPY : 0);
		at[50] ^= 1;
		CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), 0);
		CHECK_EQ(got.copies_bad, 1 << copy);
		cpr_image_repair(image, &got);
		CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), 0);
		CHECK_EQ(got.copies_bad, 0);
		CHECK_EQ(((struct cpr_image_super *)at)->reserved[7], 77);
	}
}

TEST(forged_superblocks)
{
	struct cpr_image_super *sb;
	struct cpr_geometry got;
	u8 saved[CPR_IMAGE_BLOCK_SIZE];

	fresh_image();
	sb = (void *)image;
	memcpy(saved, sb, sizeof(saved));
	memset(image + CPR_IMAGE_SUPER_COPY, 0, CPR_IMAGE_BLOCK_SIZE);
#define FORGED(_field, _value)						\
	do {								\
		memcpy(sb, saved, sizeof(saved));			\
		sb->_field = _value;					\
		sign_super(0);						\
		CHECK(cpr_image_load(image, SIZE, &got, &why) < 0);	\
	} while (0)
	FORGED(frame_shift, cpu_to_le32(12));
	FORGED(region_size, cpu_to_le64(SIZE * 2));
	FORGED(region_size, cpu_to_le64(SIZE / 2 + 4096));
	FORGED(region_size, cpu_to_le64(0));
	FORGED(region_start, cpu_to_le64(START + 1));
	FORGED(slot_offset[0], cpu_to_le64(0));
	FORGED(slot_offset[1], cpu_to_le64(1ull << 60));
	FORGED(slot_size, cpu_to_le64(1ull << 60));
	FORGED(data_offset, cpu_to_le64(0));
}

/* ---- forged catalogs: all checksums right, the content wrong ---- */

static void *records;

static void resign(void)
{
	struct cpr_image_slot *h = (void *)(image + geo.slot_offset[1]);

	if (le64_to_cpu(h->length) <= geo.slot_size - CPR_IMAGE_BLOCK_SIZE)
		h->records_crc = cpu_to_le32(cpr_port_crc32c(records, le64_to_cpu(h->length)));
	h->crc = cpu_to_le32(cpr_port_crc32c(h, offsetof(struct cpr_image_slot, crc)));
}

static struct cpr_image_node *node(int i)
{
	u8 *at = records;

	while (i--)
		at += le32_to_cpu(((struct cpr_image_rec *)at)->size);
	return (void *)at;
}

static struct cpr_image_extent *extent(int i)
{
	return (struct cpr_image_extent *)(node(4)->name + 8) + i;
}

static struct cpr_image_vm *vm_record(void)
{
	return (void *)node(6);
}

static void refused_as(const char *text)
{
	struct cpr_catalog cat;

	resign();
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), -EUCLEAN);
	CHECK_MSG(strstr(why.text, text), "'%s' says nothing of '%s'", why.text, text);
}

#define FORGE_OF(_commit, _text, _change)		\
	do {						\
		fresh_image();				\
		_commit(1, 2);				\
		records = image + geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE; \
		_change;				\
		refused_as(_text);			\
	} while (0)
#define FORGE(_text, _change) FORGE_OF(commit, _text, _change)

TEST(forged_catalogs)
{
	struct cpr_image_slot *h;

	FORGE("not a root", node(0)->mode = cpu_to_le32(S_IFREG));
	FORGE("not a root", node(0)->ino = cpu_to_le64(7));
	FORGE("parent 5 is not a directory before it", node(3)->parent = cpu_to_le32(5));
	FORGE("parent 3 is not a directory before it", node(4)->parent = cpu_to_le32(3));
	FORGE("parent 1 is not", node(1)->parent = cpu_to_le32(1));
	FORGE("out of order", node(5)->parent = cpu_to_le32(1));
	FORGE("out of order", memcpy(node(2)->name, "aaa", 3));
	FORGE("its name is used twice", (node(2)->name_len = cpu_to_le16(2), memcpy(node(2)->name, "db", 3)));
	FORGE("bad name", memcpy(node(1)->name, "..", 2));
	FORGE("bad name", memcpy(node(1)->name, "a/", 2));
	FORGE("bad name", memcpy(node(1)->name, "a\0", 2));
	FORGE("bad name of 0", (node(1)->name_len = 0, node(1)->rec.size = cpu_to_le32(88),
				memmove((u8 *)records + 2 * 88, (u8 *)records + 2 * 88 + 8, 600)));
	FORGE("for a name of 65535", node(4)->name_len = cpu_to_le16(65535));
	FORGE("extents", node(4)->extents = cpu_to_le32(0x80000000));
	FORGE("neither directory nor file", node(4)->mode = cpu_to_le32(S_IFLNK | 0777));
	FORGE("neither directory nor file", node(4)->mode = cpu_to_le32(0x80000000 | S_IFREG));
	FORGE("a directory with data", node(1)->size = cpu_to_le64(1));
	FORGE("too large", node(4)->size = cpu_to_le64(1ull << 63));
	FORGE("nanoseconds", node(4)->ctime.nsec = cpu_to_le32(1000000000));
	FORGE("inode number 5 is used twice", node(5)->ino = cpu_to_le64(5));
	FORGE("the next is 10", node(5)->ino = cpu_to_le64(10));
	FORGE("inode numbers from 0", node(5)->ino = 0);
	FORGE("room of 0 frames and 1 names", node(0)->room_names = cpu_to_le16(1));
	FORGE("room of 0 frames and 1 names", node(3)->room_names = cpu_to_le16(1));
	FORGE("room of 1 frames and 0 names", node(1)->room_frames = cpu_to_le32(1));
	FORGE("room of 14 frames and 65535 names", node(2)->room_frames = cpu_to_le32(14));
	/* Somebody else's frames, and the catalog's own. */
	FORGE("outside of 3 to 16", extent(1)->frame = cpu_to_le32(2));
	FORGE("outside of 3 to 16", extent(1)->frame = cpu_to_le32(16));
	FORGE("outside of 3 to 16", extent(1)->count = cpu_to_le32(6));
	FORGE("outside of 3 to 16", extent(1)->frame = cpu_to_le32(0xffffffff));
	FORGE("covers frames 3+0", extent(1)->count = 0);
	FORGE("covers frames 4294967295+2", (extent(1)->file_frame = cpu_to_le32(0xffffffff),
					     extent(1)->count = cpu_to_le32(2)));
	FORGE("covers frames 2+1", extent(1)->file_frame = cpu_to_le32(2));
	FORGE("frame 8 belongs to two", extent(1)->frame = cpu_to_le32(8));
	FORGE("node 3 is not a directory of the root", vm_record()->node = cpu_to_le32(3));
	FORGE("node 0 is not a directory of the root", vm_record()->node = 0);
	FORGE("node 99 is not", vm_record()->node = cpu_to_le32(99));
	FORGE("unknown state 0", vm_record()->state = 0);
	FORGE("unknown state 77", vm_record()->state = cpu_to_le32(77));
	FORGE("malformed time or kernel", memset(vm_record()->kernel, 'x', CPR_IMAGE_KERNEL_LEN));
	FORGE("has size 136, 128 bytes are left", vm_record()->rec.size = cpu_to_le32(136));
	FORGE("has size 0", node(2)->rec.size = 0);
	FORGE("has size 12", node(2)->rec.size = cpu_to_le32(12));
	FORGE("has size 4294967288", node(2)->rec.size = cpu_to_le32(-8));
	h = (void *)(image + geo.slot_offset[1]);
	FORGE("the header says 7", (h = (void *)(image + geo.slot_offset[1]), h->nodes = cpu_to_le32(7)));
	FORGE("do not fit", (h = (void *)(image + geo.slot_offset[1]), h->length = cpu_to_le64(1ull << 40)));
}

static int commit_memory_files(u32 files)
{
	struct cpr_catalog_writer w;
	char name[256];

	cpr_catalog_begin(&w, image, &geo, 1);
	cpr_catalog_put_node(&w, &(struct cpr_catalog_node){ .ino = 1, .mode = S_IFDIR });
	for (u32 dir = 0; dir < 2; dir++) {
		struct cpr_catalog_node n = node_of(0, S_IFDIR | 0700, 2 + dir, dir ? "b" : "a");

		cpr_catalog_put_node(&w, &n);
	}
	for (u32 i = 0; i < 2 * files; i++) {
		struct cpr_catalog_node n;

		snprintf(name, sizeof(name), "%0200u", i);
		n = node_of(1 + i / files, S_IFREG | 0600, 4 + i, name);
		n.flags = CPR_IMAGE_NODE_MEMORY;
		cpr_catalog_put_node(&w, &n);
	}
	return cpr_catalog_commit(&w, 2, 4 + 2 * files, &stamp);
}

TEST(names_of_memory_files_are_limited_in_each_directory)
{
	struct cpr_catalog cat;

	fresh_image();
	CHECK_EQ(commit_memory_files(9), 0);
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), 0);
	CHECK_EQ(commit_memory_files(10), 0);
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), -EUCLEAN);
	CHECK_STR(why.text,
		  "node 12: the names of memory files in node 1 count 2080, more than 2048");
}

static void set_vm(u32 state, u16 flags)
{
	vm_record()->state = cpu_to_le32(state);
	vm_record()->rec.flags = cpu_to_le16(flags);
}

static u8 *zero(u8 *digest)
{
	return memset(digest, 0, CPR_IMAGE_DIGEST_LEN);
}

TEST(forged_digests)
{
	FORGE("VM 0: unknown flags 0x4", vm_record()->rec.flags = cpu_to_le16(7));
	FORGE("VM 0: unknown flags 0xfffc", vm_record()->rec.flags = cpu_to_le16(0xffff));
	FORGE("flags 0x1 do not fit the digest of its memory", vm_record()->rec.flags = cpu_to_le16(1));
	FORGE("flags 0x2 do not fit the digest of its manifest", vm_record()->rec.flags = cpu_to_le16(2));
	FORGE("flags 0 do not fit the digest of its manifest", vm_record()->rec.flags = 0);
	FORGE("flags 0x3 do not fit the digest of its manifest", zero(vm_record()->manifest_digest));
	FORGE("flags 0x3 do not fit the digest of its memory", zero(vm_record()->ram_digest));
	FORGE("VM 0: digests in state 1", set_vm(CPR_IMAGE_VM_RUNNING, 3));
	FORGE("VM 0: digests in state 2", set_vm(CPR_IMAGE_VM_SAVED, 3));
	FORGE("VM 0: digests in state 2", (set_vm(CPR_IMAGE_VM_SAVED, 2),
					   zero(vm_record()->manifest_digest)));
	/* Of an image that was written before there were digests. */
	FORGE("VM 0: record of 96 bytes",
	      (vm_record()->rec.size = cpu_to_le32(96),
	       ((struct cpr_image_slot *)(image + geo.slot_offset[1]))->length =
		cpu_to_le64((u8 *)vm_record() + 96 - (u8 *)records)));
}

static int check_with(u32 state, u16 flags)
{
	struct cpr_catalog cat;

	fresh_image();
	commit(1, 2);
	records = image + geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE;
	set_vm(state, flags);
	if (!(flags & CPR_IMAGE_VM_MANIFEST_DIGEST))
		zero(vm_record()->manifest_digest);
	if (!(flags & CPR_IMAGE_VM_RAM_DIGEST))
		zero(vm_record()->ram_digest);
	resign();
	return cpr_catalog_check(image, &geo, 1, &cat, &why);
}

TEST(digests_that_are_allowed)
{
	for (u16 flags = 0; flags <= CPR_IMAGE_VM_FLAGS_KNOWN; flags++) {
		CHECK_EQ(check_with(CPR_IMAGE_VM_SEALED, flags), 0);
		CHECK_EQ(check_with(CPR_IMAGE_VM_RESTORING, flags), 0);
		CHECK_EQ(check_with(CPR_IMAGE_VM_RUNNING, flags), flags ? -EUCLEAN : 0);
		CHECK_EQ(check_with(CPR_IMAGE_VM_SAVED, flags), flags ? -EUCLEAN : 0);
	}
}

/* ---- devices and what they reach ---- */

#define PAGE	4096ull
#define FRAME	((u64)CPR_IMAGE_FRAME_SIZE)
#define DATA	(START + 3 * FRAME)
#define END	(START + SIZE)
#define REGION	CPR_IMAGE_DMA_REGION
#define MMIO	CPR_IMAGE_DMA_MMIO
#define RAM	CPR_IMAGE_DMA_RAM

/* To the edges of what is allowed. */
static const struct cpr_dma_extent reach[] = {
	{ 0, DATA, FRAME, REGION },
	{ FRAME, START - PAGE, PAGE, RAM },
	{ FRAME + PAGE, END, 2 * PAGE, MMIO },
	{ 1ull << 40, DATA, END - DATA, REGION },
	{ -2 * PAGE, -2 * PAGE, PAGE, MMIO },
};

static const struct cpr_dma_extent reach_less[] = {
	{ 5 * FRAME, END - PAGE, PAGE, REGION },
};

static const struct cpr_pci group[] = { { 0, 0, 8 }, { 0x10000, 0x41, 0xff } };

static const struct cpr_catalog_device devices[] = {
	{ { 0x10000, 0x41, 0xff }, 0x8086, 0x10d3, 0x1af4, 0x1100, 0x02000003, true,
	  0x1234567890abcdef, 1, 2, NULL },
	{ { 0, 0, 8 }, 0x144d, 0xa80a, 0, 0, 0x01080200, false, 0, 0, 1, NULL },
};

static void put_devices(struct cpr_catalog_writer *w)
{
	cpr_catalog_put_dma(w, reach, 5);
	cpr_catalog_put_dma(w, reach_less, 1);
	cpr_catalog_put_device(w, &devices[0], group);
	cpr_catalog_put_device(w, &devices[1], group);
}

/* Records 6 to 10 are a VM with two tables and two devices, 11 to 15 as well. */
static int commit_devices(unsigned int slot, u64 generation)
{
	struct cpr_catalog_writer w;

	cpr_catalog_begin(&w, image, &geo, slot);
	put_nodes(&w, generation);
	for (u32 vm = 1; vm <= 2; vm++) {
		put_vm(&w, vm);
		put_devices(&w);
	}
	return cpr_catalog_commit(&w, generation, 10, &stamp);
}

static void table_is(const struct cpr_catalog_entry *e, const struct cpr_dma_extent *want,
		     u32 nr)
{
	CHECK_EQ(e->type, CPR_IMAGE_REC_DMA);
	CHECK_EQ(e->dma.extents, nr);
	for (u32 i = 0; i < nr; i++) {
		struct cpr_dma_extent x = cpr_catalog_dma_extent(&e->dma, i);

		CHECK_EQ(x.iova, want[i].iova);
		CHECK_EQ(x.phys, want[i].phys);
		CHECK_EQ(x.length, want[i].length);
		CHECK_EQ(x.class, want[i].class);
	}
}

static bool same_address(struct cpr_pci a, struct cpr_pci b)
{
	return a.segment == b.segment && a.bus == b.bus && a.devfn == b.devfn;
}

static void device_is(const struct cpr_catalog_entry *e, const struct cpr_catalog_device *want)
{
	const struct cpr_catalog_device *d = &e->device;

	CHECK_EQ(e->type, CPR_IMAGE_REC_DEVICE);
	CHECK(same_address(d->address, want->address));
	CHECK_EQ(d->vendor, want->vendor);
	CHECK_EQ(d->device, want->device);
	CHECK_EQ(d->subsystem_vendor, want->subsystem_vendor);
	CHECK_EQ(d->subsystem_device, want->subsystem_device);
	CHECK_EQ(d->class, want->class);
	CHECK_EQ(d->has_serial, want->has_serial);
	CHECK_EQ(d->serial, want->serial);
	CHECK_EQ(d->dma, want->dma);
	CHECK_EQ(d->members, want->members);
	for (u32 i = 0; i < d->members; i++)
		CHECK(same_address(cpr_catalog_member(d, i), group[i]));
}

/* Two VMs may have the same device, see struct cpr_image_device. */
TEST(devices_are_read_back)
{
	struct cpr_catalog_entry e;
	struct cpr_catalog cat;
	u64 cursor = 0;

	fresh_image();
	CHECK_EQ(commit_devices(1, 2), 0);
	CHECK_EQ(cpr_catalog_open(image, &geo, &cat, &why), 0);
	CHECK_EQ(cat.generation, 2);
	CHECK_EQ(cat.vms, 2);
	for (int i = 0; i < 6; i++)
		CHECK(cpr_catalog_next(&cat, &cursor, &e));
	for (u32 vm = 1; vm <= 2; vm++) {
		u64 begin;

		CHECK(cpr_catalog_next(&cat, &cursor, &e));
		CHECK_EQ(e.type, CPR_IMAGE_REC_VM);
		CHECK_EQ(e.vm.node, vm);
		begin = cursor;
		CHECK(cpr_catalog_next(&cat, &cursor, &e));
		table_is(&e, reach, 5);
		CHECK(cpr_catalog_next(&cat, &cursor, &e));
		table_is(&e, reach_less, 1);
		CHECK_EQ(cursor - begin, cpr_catalog_dma_size(5) + cpr_catalog_dma_size(1));
		begin = cursor;
		CHECK(cpr_catalog_next(&cat, &cursor, &e));
		device_is(&e, &devices[0]);
		CHECK(cpr_catalog_next(&cat, &cursor, &e));
		device_is(&e, &devices[1]);
		CHECK_EQ(cursor - begin, cpr_catalog_device_size(2) + cpr_catalog_device_size(1));
	}
	CHECK(!cpr_catalog_next(&cat, &cursor, &e));
}

/* A VM without devices has no such records; a table may be empty. */
TEST(the_least_of_a_device)
{
	struct cpr_catalog_device d = devices[1];
	struct cpr_catalog_writer w;
	struct cpr_catalog cat;

	fresh_image();
	cpr_catalog_begin(&w, image, &geo, 1);
	put_nodes(&w, 2);
	put_vm(&w, 1);
	cpr_catalog_put_dma(&w, NULL, 0);
	cpr_catalog_put_device(&w, &d, group);
	put_vm(&w, 2);
	CHECK_EQ(cpr_catalog_commit(&w, 2, 10, &stamp), 0);
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), 0);
}

static struct cpr_image_rec *rec(int i)
{
	return &node(i)->rec;
}

static struct cpr_image_dma_extent *dma_extent(int i)
{
	return ((struct cpr_image_dma *)node(7))->extent + i;
}

static struct cpr_image_device *device(int i)
{
	return (void *)node(9 + i);
}

static void set_type(int i, u16 type)
{
	rec(i)->type = cpu_to_le16(type);
}

#define FORGE_DEVICES(...) FORGE_OF(commit_devices, __VA_ARGS__)

TEST(forged_records_of_devices)
{
	FORGE_DEVICES("a DMA record that follows no VM", set_type(6, 99));
	FORGE_DEVICES("a DMA record that follows no VM", set_type(5, CPR_IMAGE_REC_DMA));
	FORGE_DEVICES("a device record that follows no VM", set_type(5, CPR_IMAGE_REC_DEVICE));
	FORGE_DEVICES("a device record that follows no VM",
		      (set_type(6, 99), set_type(7, 99), set_type(8, 99)));
	FORGE_DEVICES("VM 0: a DMA record after a device", set_type(10, CPR_IMAGE_REC_DMA));
	FORGE_DEVICES("node 6 comes after a VM", set_type(10, CPR_IMAGE_REC_NODE));
	/* The tables of another VM do not count. */
	FORGE_DEVICES("VM 1: a device has DMA record 1 of 0", (set_type(12, 99), set_type(13, 99)));
	FORGE_DEVICES("VM 0: a device has DMA record 1 of 1", set_type(8, 99));
	FORGE_DEVICES("a device has DMA record 2 of 2", device(0)->dma = cpu_to_le32(2));
	FORGE_DEVICES("a device has DMA record 4294967295 of 2", device(0)->dma = cpu_to_le32(-1));
}

TEST(forged_sizes_of_devices)
{
	FORGE_DEVICES("DMA record of 8 bytes", rec(7)->size = cpu_to_le32(8));
	FORGE_DEVICES("DMA record of 48 bytes for 5 extents", rec(7)->size = cpu_to_le32(48));
	FORGE_DEVICES("DMA record of 176 bytes for 4 extents",
		      ((struct cpr_image_dma *)node(7))->extents = cpu_to_le32(4));
	FORGE_DEVICES("DMA record of 176 bytes for 6 extents",
		      ((struct cpr_image_dma *)node(7))->extents = cpu_to_le32(6));
	/* 32 times that, and 16, is 176 in 32 bits. */
	FORGE_DEVICES("DMA record of 176 bytes for 134217733 extents",
		      ((struct cpr_image_dma *)node(7))->extents = cpu_to_le32((1u << 27) + 5));
	FORGE_DEVICES("device record of 40 bytes", rec(9)->size = cpu_to_le32(40));
	FORGE_DEVICES("device record of 56 bytes for a group of 2", rec(9)->size = cpu_to_le32(56));
	FORGE_DEVICES("device record of 64 bytes for a group of 1",
		      device(0)->members = cpu_to_le32(1));
	FORGE_DEVICES("device record of 64 bytes for a group of 3",
		      device(0)->members = cpu_to_le32(3));
	FORGE_DEVICES("device record of 64 bytes for a group of 536870914",
		      device(0)->members = cpu_to_le32((1u << 29) + 2));
	FORGE_DEVICES("has size 4294967288", rec(15)->size = cpu_to_le32(-8));
	FORGE_DEVICES("has size 64, 56 bytes are left", rec(15)->size = cpu_to_le32(64));
}

#define FORGE_EXTENT(_text, _i, _field, _value) \
	FORGE_DEVICES(_text, dma_extent(_i)->_field = cpu_to_le64(_value))

TEST(forged_extents_of_dma)
{
	FORGE_EXTENT("VM 0: DMA of 0 bytes at iova 0 is bad or out of order", 0, length, 0);
	FORGE_EXTENT("DMA of 0x200001 bytes at iova 0 is bad or out of order", 0, length, FRAME + 1);
	FORGE_EXTENT("DMA of 0x800 bytes at iova 0 is bad or out of order", 0, length, PAGE / 2);
	FORGE_EXTENT("at iova 0x800 is bad or out of order", 0, iova, PAGE / 2);
	FORGE_EXTENT("at iova 0 is bad or out of order", 0, phys, DATA + PAGE / 2);
	/* Over the one before; before it; the same. */
	FORGE_EXTENT("at iova 0x1ff000 is bad or out of order", 1, iova, FRAME - PAGE);
	FORGE_EXTENT("at iova 0 is bad or out of order", 2, iova, 0);
	FORGE_EXTENT("at iova 0x200000 is bad or out of order", 2, iova, FRAME);
	FORGE_EXTENT("at iova 0x200000 is bad or out of order", 0, length, 2 * FRAME);
	/* Around the end of either address space, and just up to it. */
	FORGE_EXTENT("is bad", 4, length, 3 * PAGE);
	FORGE_EXTENT("is bad", 4, length, 2 * PAGE);
	FORGE_EXTENT("is bad", 4, iova, -PAGE);
	FORGE_EXTENT("is bad", 4, phys, -PAGE);
	FORGE_EXTENT("is bad", 3, length, -(1ull << 40));
	FORGE_EXTENT("is bad", 0, length, -DATA);
	FORGE_EXTENT("is bad", 0, length, -PAGE);
	FORGE_DEVICES("DMA of unknown class 0", dma_extent(1)->class = 0);
	FORGE_DEVICES("DMA of unknown class 4", dma_extent(1)->class = cpu_to_le32(4));
	FORGE_DEVICES("DMA of unknown class 4294967295", dma_extent(1)->class = cpu_to_le32(-1));
}

TEST(forged_classes_of_dma)
{
	/* The VM's memory that is not, or only in part, in the frames with data. */
	FORGE_EXTENT("leads to 0x1005ff000, which is not of class 1", 0, phys, DATA - PAGE);
	FORGE_EXTENT("leads to 0x100000000, which is not of class 1", 0, phys, START);
	FORGE_EXTENT("leads to 0xffe00000, which is not of class 1", 0, phys, START - FRAME);
	FORGE_EXTENT("leads to 0, which is not of class 1", 0, phys, 0);
	FORGE_EXTENT("leads to 0x101e01000, which is not of class 1", 0, phys, END - FRAME + PAGE);
	FORGE_EXTENT("leads to 0x102000000, which is not of class 1", 0, phys, END);
	FORGE_EXTENT("which is not of class 1", 3, length, END - DATA + PAGE);
	FORGE_EXTENT("which is not of class 1", 3, length, 1ull << 60);
	/* What calls itself something else, and is the region's, or reaches into it. */
	FORGE_DEVICES("leads to 0x100600000, which is not of class 2",
		      dma_extent(0)->class = cpu_to_le32(MMIO));
	FORGE_DEVICES("leads to 0x100600000, which is not of class 3",
		      dma_extent(0)->class = cpu_to_le32(RAM));
	FORGE_EXTENT("which is not of class 3", 1, phys, START);
	FORGE_DEVICES("leads to 0xfffff000, which is not of class 3",
		      (dma_extent(1)->length = cpu_to_le64(2 * PAGE),
		       dma_extent(2)->iova = cpu_to_le64(FRAME + 2 * PAGE)));
	FORGE_EXTENT("leads to 0x101fff000, which is not of class 2", 2, phys, END - PAGE);
	FORGE_EXTENT("leads to 0, which is not of class 2", 4, phys,
		     (dma_extent(4)->iova = cpu_to_le64(1ull << 50),
		      dma_extent(4)->length = cpu_to_le64(1ull << 50), 0));
}

TEST(forged_devices)
{
	FORGE_DEVICES("VM 0: a device is not in its own IOMMU group of 2",
		      device(0)->address.devfn = 0);
	FORGE_DEVICES("VM 0: a device is not in its own IOMMU group of 2",
		      device(0)->address.bus = 0);
	FORGE_DEVICES("VM 0: a device is not in its own IOMMU group of 2",
		      device(0)->address.segment = cpu_to_le32(1));
	FORGE_DEVICES("VM 0: a device is not in its own IOMMU group of 1",
		      device(1)->member[0].devfn = 9);
	/* Eight bytes less, which a record of no known type takes. */
	FORGE_DEVICES("VM 0: a device is not in its own IOMMU group of 0",
		      (device(1)->members = 0, device(1)->rec.size = cpu_to_le32(48),
		       *(struct cpr_image_rec *)device(1)->member =
			(struct cpr_image_rec){ cpu_to_le16(99), 0, cpu_to_le32(8) }));
	FORGE_DEVICES("VM 0: device 0000:00:01.0 is listed twice",
		      device(0)->address = device(0)->member[0]);
	/* Of the last VM, too. */
	FORGE_DEVICES("VM 1: device 10000:41:1f.7 is listed twice",
		      (device(6)->address = device(5)->address,
		       device(6)->member[0] = device(5)->address));
}

/* Not one after the other, either. */
TEST(a_device_that_is_there_twice)
{
	struct cpr_catalog_writer w;

	fresh_image();
	cpr_catalog_begin(&w, image, &geo, 1);
	put_nodes(&w, 2);
	put_vm(&w, 1);
	put_devices(&w);
	cpr_catalog_put_device(&w, &devices[0], group);
	put_vm(&w, 2);
	CHECK_EQ(cpr_catalog_commit(&w, 2, 10, &stamp), 0);
	records = image + geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE;
	refused_as("VM 0: device 10000:41:1f.7 is listed twice");
}

/* Nobody has told what they mean: they are no reason to refuse. */
TEST(what_is_reserved_is_ignored)
{
	struct cpr_catalog cat;

	fresh_image();
	commit_devices(1, 2);
	records = image + geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE;
	rec(7)->flags = cpu_to_le16(0xffff);
	((struct cpr_image_dma *)node(7))->pad = cpu_to_le32(-1);
	dma_extent(0)->pad = cpu_to_le32(-1);
	device(0)->rec.flags = cpu_to_le16(0xffff);
	device(0)->pad = cpu_to_le32(-1);
	device(0)->address.pad = cpu_to_le16(7);
	resign();
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), 0);
}

/* The last record does not fit: the commit before stays in force. */
TEST(no_room_for_devices)
{
	struct cpr_catalog_writer w;

	fresh_image();
	for (u64 room = 0; room < 200; room += 8) {
		CHECK_EQ(commit(0, 3), 0);
		cpr_catalog_begin(&w, image, &geo, 1);
		put_nodes(&w, 4);
		put_vm(&w, 1);
		w.capacity = w.length + room;
		put_devices(&w);
		CHECK_EQ(cpr_catalog_commit(&w, 4, 10, &stamp), -ENOSPC);
		CHECK_EQ(in_force(), 3);
	}
}

static u32 random_state = 1;

static u32 rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

static void node_is_sound(const struct cpr_catalog_node *n)
{
	for (u32 i = 0; i < n->extents; i++) {
		struct cpr_extent x = cpr_catalog_extent(n, i);

		CHECK(x.frame >= geo.first_frame && (u64)x.frame + x.count <= geo.frames);
	}
}

static void dma_is_sound(const struct cpr_catalog_dma *dma)
{
	u64 end = 0;

	for (u32 i = 0; i < dma->extents; i++) {
		struct cpr_dma_extent x = cpr_catalog_dma_extent(dma, i);
		u64 last = x.phys + x.length - 1;

		CHECK(x.length && x.iova >= end && x.iova + x.length > x.iova && last >= x.phys);
		CHECK(x.class == REGION ? x.phys >= DATA && last < END :
		      (x.class == MMIO || x.class == RAM) && (last < START || x.phys >= END));
		end = x.iova + x.length;
	}
}

static void device_is_sound(const struct cpr_catalog_device *d, u32 dmas)
{
	bool itself = false;

	for (u32 i = 0; i < d->members; i++)
		itself = itself || same_address(cpr_catalog_member(d, i), d->address);
	CHECK(itself && d->dma < dmas);
}

static bool is_zero(const u8 *digest)
{
	static const u8 none[CPR_IMAGE_DIGEST_LEN];

	return !memcmp(digest, none, sizeof(none));
}

static void vm_is_sound(const struct cpr_catalog_vm *vm)
{
	const struct cpr_digests *d = &vm->digests;

	CHECK(d->flags <= 3 && is_zero(d->manifest) == !(d->flags & 1));
	CHECK(is_zero(d->ram) == !(d->flags & 2));
	CHECK(!d->flags || vm->state == CPR_IMAGE_VM_SEALED || vm->state == CPR_IMAGE_VM_RESTORING);
}

static void is_sound(const struct cpr_catalog *cat)
{
	struct cpr_catalog_entry e;
	u64 cursor = 0;
	u32 dmas = 0;

	while (cpr_catalog_next(cat, &cursor, &e)) {
		dmas = e.type == CPR_IMAGE_REC_VM ? 0 : dmas + (e.type == CPR_IMAGE_REC_DMA);
		if (e.type == CPR_IMAGE_REC_NODE)
			node_is_sound(&e.node);
		else if (e.type == CPR_IMAGE_REC_VM)
			vm_is_sound(&e.vm);
		else if (e.type == CPR_IMAGE_REC_DMA)
			dma_is_sound(&e.dma);
		else if (e.type == CPR_IMAGE_REC_DEVICE)
			device_is_sound(&e.device, dmas);
	}
	CHECK_EQ(cursor, cat->length);
}

/* Whatever is in the records: no crash, and what is believed is sound. */
static void mutate(int (*commit_fn)(unsigned int slot, u64 generation), int times)
{
	struct cpr_image_slot *h;
	struct cpr_catalog cat;
	u8 saved[4096];
	int believed = 0;

	fresh_image();
	commit_fn(1, 2);
	h = (void *)(image + geo.slot_offset[1]);
	records = h + 1;
	memcpy(saved, records, sizeof(saved));
	for (int i = 0; i < times; i++) {
		memcpy(records, saved, sizeof(saved));
		for (u32 n = 1 + rnd() % 4; n; n--)
			((u8 *)records)[rnd() % le64_to_cpu(h->length)] = rnd() % 3 ? rnd() : 0;
		resign();
		if (cpr_catalog_check(image, &geo, 1, &cat, &why))
			continue;
		believed++;
		is_sound(&cat);
	}
	CHECK(believed > 100 && believed < times - 100);
}

TEST(fifty_thousand_mutations)
{
	mutate(commit, 50000);
}

TEST(twenty_thousand_mutations_with_devices)
{
	mutate(commit_devices, 20000);
}

/* ---- memory errors ---- */

static const struct cpr_bad some_bad = {
	3, { { 3, 1 }, { 10 * CPR_PAGES_PER_FRAME + 7, 20 }, { 16 * CPR_PAGES_PER_FRAME - 1, 1 } },
};

static int commit_with(unsigned int slot, u64 generation, const struct cpr_bad *bad)
{
	struct cpr_catalog_writer w;

	cpr_catalog_begin(&w, image, &geo, slot);
	put_nodes(&w, generation);
	put_vm(&w, 2);
	cpr_catalog_put_bad(&w, bad);
	return cpr_catalog_commit(&w, generation, 10, &stamp);
}

static int commit_bad(unsigned int slot, u64 generation)
{
	return commit_with(slot, generation, &some_bad);
}

static int commit_listing(unsigned int slot, u64 generation, u64 page)
{
	struct cpr_bad bad = { 1, { { page, 1 } } };

	return commit_with(slot, generation, &bad);
}

TEST(memory_errors_are_read_back)
{
	static const struct cpr_bad none;
	struct cpr_catalog_entry e = { 0 };
	struct cpr_catalog_writer w;
	struct cpr_catalog cat;
	u64 cursor = 0, length;

	fresh_image();
	CHECK_EQ(commit(1, 3), 0);
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), 0);
	length = cat.length;
	CHECK_EQ(commit_bad(1, 3), 0);
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), 0);
	while (cpr_catalog_next(&cat, &cursor, &e))
		;
	CHECK_EQ(e.type, CPR_IMAGE_REC_BAD);
	CHECK_EQ(e.bad.runs, 3);
	for (u32 i = 0; i < 3; i++) {
		struct cpr_bad_run run = cpr_catalog_bad_run(&e.bad, i);

		CHECK(run.page == some_bad.run[i].page && run.count == some_bad.run[i].count);
	}
	/* None: no record, and the same bytes as before there was one. */
	cpr_catalog_begin(&w, image, &geo, 1);
	put_nodes(&w, 3);
	put_vm(&w, 2);
	cpr_catalog_put_bad(&w, &none);
	CHECK_EQ(cpr_catalog_commit(&w, 3, 10, &stamp), 0);
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), 0);
	CHECK_EQ(cat.length, length);
}

static struct cpr_image_bad *bad_rec(void)
{
	struct cpr_catalog cat;

	fresh_image();
	CHECK_EQ(commit_bad(1, 2), 0);
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), 0);
	records = image + geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE;
	return (struct cpr_image_bad *)(records + cat.length - catalog_bad_size(3));
}

#define FORGE_BAD(_text, _change)				\
	do {							\
		struct cpr_image_bad *bad = bad_rec();		\
								\
		_change;					\
		resign();					\
		refused_as(_text);				\
	} while (0)

TEST(forged_memory_errors)
{
	FORGE_BAD("memory errors: record of 64 bytes for 0 runs", bad->runs = 0);
	FORGE_BAD("memory errors: record of 64 bytes for 4 runs", bad->runs = cpu_to_le32(4));
	FORGE_BAD("memory errors: record of 64 bytes for 4294967295 runs",
		  bad->runs = cpu_to_le32(-1));
	FORGE_BAD("run 1 of 0 pages at page 5127 is empty or out of order", bad->run[1].count = 0);
	FORGE_BAD("run 1 of 20 pages at page 4 is empty or out of order",
		  bad->run[1].page = cpu_to_le64(4));
	FORGE_BAD("run 2 of 1 pages at page 5147 is empty or out of order",
		  bad->run[2].page = cpu_to_le64(5127 + 20));
	FORGE_BAD("run 2 of 1 pages at page 8192 is outside of the region",
		  bad->run[2].page = cpu_to_le64(8192));
	FORGE_BAD("run 2 of 2 pages at page 8191 is outside of the region",
		  bad->run[2].count = cpu_to_le64(2));
	FORGE_BAD("run 2 of 18446744073709551615 pages at page 8191 is outside of the region",
		  bad->run[2].count = cpu_to_le64(-1));
	FORGE_BAD("run 2 of 1 pages at page 18446744073709551615 is outside of the region",
		  bad->run[2].page = cpu_to_le64(-1));
	/* 64 bytes as two records of 32, each with one run. */
	FORGE_BAD("a second record of memory errors",
		  (bad->rec.size = cpu_to_le32(32), bad->runs = cpu_to_le32(1),
		   memcpy((u8 *)bad + 32, bad, 32)));
	FORGE_BAD("a record of type 3 after the memory errors",
		  (bad->rec.size = cpu_to_le32(32), bad->runs = cpu_to_le32(1),
		   memcpy((u8 *)bad + 32, bad, 32),
		   ((struct cpr_image_rec *)((u8 *)bad + 32))->type = cpu_to_le16(3)));
}

/* As many as there can be, when the rest of the slot is full. */
TEST(memory_errors_always_fit)
{
	static struct cpr_bad most = { .nr = CPR_IMAGE_BAD_MAX };
	struct cpr_catalog_writer w;
	struct cpr_catalog cat;
	int n = 0;

	for (u32 i = 0; i < CPR_IMAGE_BAD_MAX; i++)
		most.run[i] = (struct cpr_bad_run){ 4 * i, 2 };
	fresh_image();
	cpr_catalog_begin(&w, image, &geo, 1);
	cpr_catalog_put_node(&w, &(struct cpr_catalog_node){ .ino = 1, .mode = S_IFDIR });
	for (u64 used = cpr_catalog_node_size(0); used + cpr_catalog_node_size(200) <=
	     cpr_catalog_capacity(&geo); used += cpr_catalog_node_size(200)) {
		struct cpr_catalog_node one;
		char name[256];

		snprintf(name, sizeof(name), "%0200d", n);
		one = node_of(0, S_IFREG | 0600, 2 + n++, name);
		cpr_catalog_put_node(&w, &one);
		if (n <= 6)
			cpr_catalog_put_frames(&w, &(struct cpr_extent){ 0, geo.first_frame + 2 * n, 1 });
	}
	cpr_catalog_put_bad(&w, &most);
	CHECK_EQ(cpr_catalog_commit(&w, 3, 2 + n, &stamp), 0);
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), 0);
}

TEST(a_superblock_in_memory_that_has_failed)
{
	struct cpr_geometry got;

	for (unsigned int copy = 0; copy < 2; copy++) {
		fresh_image();
		fail_page(copy ? CPR_IMAGE_SUPER_COPY : 0);
		CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), 0);
		CHECK_EQ(got.copies_bad, 1 << copy);
		CHECK_EQ(in_force(), 2);
	}
	fail_page(0);
	CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), -EUCLEAN);
	CHECK_STR(why.text, "superblock is in memory that has failed");
	/* Both: whatever the slots are. */
	fail_page(geo.slot_offset[0]);
	fail_page(geo.slot_offset[1]);
	CHECK_EQ(cpr_image_load(image, SIZE, &got, &why), -EUCLEAN);
	mend_page(0);
	mend_page(CPR_IMAGE_SUPER_COPY);
	mend_page(geo.slot_offset[0]);
	mend_page(geo.slot_offset[1]);
}

/* @page of slot 0 fails; slot 1 has the other commit. Returns the generation in force. */
static u64 fails(u64 page)
{
	u64 at = geo.slot_offset[0] + page * CPR_IMAGE_BLOCK_SIZE, now;
	struct cpr_catalog cat;

	fail_page(at);
	now = cpr_catalog_open(image, &geo, &cat, &why) ? 0 : cat.generation;
	if (now)
		CHECK(cat.slot == 1 && cat.other_damaged);
	mend_page(at);
	return now;
}

TEST(a_slot_in_memory_that_has_failed)
{
	/* It was the current one, or may have been. */
	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	CHECK_EQ(commit(0, 3), 0);
	CHECK_EQ(fails(0), 0);
	CHECK_STR(why.text, "slot 0 is damaged: header is in memory that has failed; slot 1 has generation 2, which may be older");
	CHECK_EQ(fails(1), 0);
	CHECK(strstr(why.text, "records are in memory that has failed"));
	/* It was not: its header says so. */
	CHECK_EQ(commit(1, 4), 0);
	CHECK_EQ(fails(0), 0);
	CHECK_EQ(fails(1), 4);
	/* The other one lists its header. */
	CHECK_EQ(commit_listing(1, 4, geo.slot_offset[0] / CPR_IMAGE_BLOCK_SIZE), 0);
	CHECK_EQ(fails(0), 4);
	CHECK_EQ(fails(1), 4);
	CHECK_EQ(commit_listing(1, 4, geo.slot_offset[0] / CPR_IMAGE_BLOCK_SIZE + 1), 0);
	CHECK_EQ(fails(0), 0);
	/* Both have the same: unless the header is the evidence. */
	CHECK_EQ(repeat(1, 4), 0);
	CHECK_EQ(repeat(0, 5), 0);
	CHECK_EQ(fails(1), 4);
	CHECK_EQ(fails(0), 0);
}

/* The slot that is abandoned is not taken when the other one is unfinished. */
TEST(an_abandoned_slot_is_no_older_state)
{
	struct cpr_catalog_writer w;

	fresh_image();
	CHECK_EQ(commit(0, 3), 0);
	CHECK_EQ(commit_listing(1, 4, geo.slot_offset[0] / CPR_IMAGE_BLOCK_SIZE), 0);
	CHECK_EQ(in_force(), 4);
	for (unsigned int block = 2; block--;) {
		cpr_catalog_abandon(image, &geo, 0, block);
		CHECK_EQ(in_force(), 4);
		cpr_catalog_begin(&w, image, &geo, 1);
		CHECK_EQ(in_force(), 0);
		CHECK(strstr(why.text, "no catalog verifies"));
		CHECK_EQ(commit_listing(1, 4, geo.slot_offset[0] / CPR_IMAGE_BLOCK_SIZE), 0);
	}
}

TEST(a_limit_is_kept)
{
	u64 room = CPR_IMAGE_BLOCK_SIZE;
	struct cpr_catalog_writer w;
	struct cpr_catalog cat;
	int err;

	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	CHECK_EQ(cpr_catalog_check(image, &geo, 1, &cat, &why), 0);
	do {
		room += 8;
		cpr_catalog_begin(&w, image, &geo, 0);
		cpr_catalog_limit(&w, room);
		put_nodes(&w, 3);
		put_vm(&w, 2);
		err = cpr_catalog_commit(&w, 3, 10, &stamp);
		CHECK_EQ(in_force(), err ? 2 : 3);
	} while (err == -ENOSPC);
	CHECK_EQ(err, 0);
	CHECK_EQ(room, CPR_IMAGE_BLOCK_SIZE + cat.length);
}

TEST(twenty_thousand_mutations_with_memory_errors)
{
	mutate(commit_bad, 20000);
}

TEST(a_full_slot)
{
	struct cpr_catalog_writer w;
	struct cpr_catalog cat;
	char name[256];
	u64 used;
	int n = 0;

	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	cpr_catalog_begin(&w, image, &geo, 0);
	cpr_catalog_put_node(&w, &(struct cpr_catalog_node){ .ino = 1, .mode = S_IFDIR });
	for (used = cpr_catalog_node_size(0); used + cpr_catalog_node_size(200) <=
	     cpr_catalog_capacity(&geo); used += cpr_catalog_node_size(200)) {
		struct cpr_catalog_node one;

		snprintf(name, sizeof(name), "%0200d", n);
		one = node_of(0, S_IFREG | 0600, 2 + n++, name);
		cpr_catalog_put_node(&w, &one);
		/* As many extents as there can be, each alone. */
		if (n <= 6)
			cpr_catalog_put_frames(&w, &(struct cpr_extent){ 0, geo.first_frame + 2 * n, 1 });
	}
	CHECK_EQ(cpr_catalog_commit(&w, 3, 2 + n, &stamp), 0);
	CHECK_EQ(cpr_catalog_open(image, &geo, &cat, &why), 0);
	CHECK_EQ(cat.generation, 3);
	CHECK_EQ(cat.nodes, n + 1);
	/* One that does not fit leaves the last in force. */
	cpr_catalog_begin(&w, image, &geo, 1);
	for (int i = 0; i < 20000; i++)
		cpr_catalog_put_node(&w, &(struct cpr_catalog_node){ .name = name, .name_len = 200 });
	CHECK_EQ(cpr_catalog_commit(&w, 4, 2, &stamp), -ENOSPC);
}

int main(void)
{
	return ktap_run();
}
