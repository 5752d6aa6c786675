// SPDX-License-Identifier: GPL-2.0-only
/*
 * The image: what is written is read back, a crash at any byte leaves the last
 * commit in force, and nothing that is damaged or forged is believed.
 */
#include <sanitizer/lsan_interface.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

/* Every store into the image goes through these, so that it can be cut short. */
#define CPR_PORT_OWN_WRITE
#include "../../../kmod/catalog.c"
#include "ktap.h"

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

void cpr_port_persist(void *dst, size_t len)
{
	(void)dst;
	(void)len;
}

static void fresh_image(void)
{
	free(image);
	image = calloc(1, SIZE);
	CHECK_EQ(cpr_image_layout(&geo, START, SIZE, &why), 0);
	geo.uuid[0] = 42;
	strcpy(geo.label, "test");
	cpr_image_format(image, &geo, &stamp);
}

static struct cpr_catalog_node node_of(u32 parent, u32 mode, u64 ino, const char *name)
{
	return (struct cpr_catalog_node){
		.ino = ino, .parent = parent, .mode = mode, .name = name,
		.name_len = strlen(name),
	};
}

/* Three directories, three files, one VM; @generation is in the file's size. */
static int commit(unsigned int slot, u64 generation)
{
	struct cpr_catalog_node n[] = {
		node_of(0, S_IFDIR | 0755, 1, ""),
		node_of(0, S_IFDIR | 0700, 2, "db"),
		node_of(0, S_IFDIR | 0700, 3, "web"),
		node_of(2, S_IFREG | 0600, 9, "manifest.json"),
		node_of(2, S_IFREG | 0600, 5, "ram0"),
		node_of(2, S_IFREG | 0600, 6, "state"),
	};
	struct cpr_catalog_vm vm = {
		.node = 2, .state = CPR_IMAGE_VM_SEALED, .kernel = "6.12.0", .since = { 5, 6 },
	};
	struct cpr_catalog_writer w;

	n[4].flags = CPR_IMAGE_NODE_MEMORY;
	n[4].size = 8 << 20;
	n[4].mtime = (struct cpr_time){ -3, 999999999 };
	n[5].size = generation;
	cpr_catalog_begin(&w, image, &geo, slot);
	for (int i = 0; i < 6; i++) {
		cpr_catalog_put_node(&w, &n[i]);
		if (i == 4)
			for (u32 f = 0; f < 4; f++)
				cpr_catalog_put_frames(&w, &(struct cpr_extent){
					f, (f < 3 ? 6 : 8) + f, 1 });
	}
	cpr_catalog_put_vm(&w, &vm);
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
	if (cat.generation > 1)
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
	CHECK_EQ(in_force(), 1);
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
	for (int i = 0; i < 5; i++)
		CHECK(cpr_catalog_next(&cat, &cursor, &e));
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

static void format(void)
{
	cpr_image_format(image, &geo, &stamp);
}

/* Cut the power after each byte of a commit in turn. */
TEST(a_crash_at_any_byte_of_a_commit)
{
	u8 *before = malloc(SIZE);
	u64 total, first_new = 0;

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
		CHECK_MSG(now == 3 || (now == 4 && cut > total - 4096),
			  "after %llu of %llu bytes generation %llu is in force",
			  (unsigned long long)cut, (unsigned long long)total,
			  (unsigned long long)now);
		if (now == 4 && !first_new)
			first_new = cut;
	}
	CHECK(first_new == 0 || first_new > total - 8);
	free(before);
}

TEST(a_crash_at_any_byte_of_a_format)
{
	struct cpr_geometry got;
	u64 total;

	fresh_image();
	written = 0;
	cpr_image_format(image, &geo, &stamp);
	total = written;
	for (u64 cut = 0; cut < total; cut += cut < 100 || cut > total - 9000 ? 1 : 97) {
		int err;

		/* Over an image with something in it. */
		cpr_image_format(image, &geo, &stamp);
		commit(1, 2);
		CHECK(cut_short(cut, format));
		err = cpr_image_load(image, SIZE, &got, &why);
		CHECK_MSG(err == -ENODATA || (!err && in_force()),
			  "after %llu of %llu bytes: %d, %s", (unsigned long long)cut,
			  (unsigned long long)total, err, why.text);
	}
}

/* No bit of the tables can change without being noticed. */
TEST(every_flipped_bit_is_noticed)
{
	const u64 slot = geo.slot_offset[0];
	struct cpr_geometry got;
	struct cpr_catalog cat;

	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	CHECK_EQ(commit(0, 3), 0);
	CHECK_EQ(cpr_catalog_check(image, &geo, 0, &cat, &why), 0);
	for (u64 bit = 0; bit < 8 * CPR_IMAGE_BLOCK_SIZE; bit++) {
		image[bit / 8] ^= 1 << bit % 8;
		if (cpr_image_load(image, SIZE, &got, &why) != -EPROTONOSUPPORT)
			CHECK_EQ(got.copies_bad, 1);
		image[bit / 8] ^= 1 << bit % 8;
	}
	for (u64 bit = 0; bit < 8 * (CPR_IMAGE_BLOCK_SIZE + cat.length); bit++) {
		image[slot + bit / 8] ^= 1 << bit % 8;
		CHECK_EQ(in_force(), 2);
		image[slot + bit / 8] ^= 1 << bit % 8;
	}
	CHECK_EQ(in_force(), 3);
}

TEST(two_bad_slots_are_refused)
{
	fresh_image();
	CHECK_EQ(commit(1, 2), 0);
	image[geo.slot_offset[0]] ^= 1;
	CHECK_EQ(in_force(), 2);
	image[geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE] ^= 1;
	CHECK_EQ(in_force(), 0);
	CHECK(strstr(why.text, "slot 0: never written; slot 1: checksum of the records"));
	fresh_image();
	CHECK_EQ(commit(1, 1), 0);
	CHECK_EQ(in_force(), 0);
	CHECK(strstr(why.text, "both catalogs claim generation 1"));
}

static void sign_super(int copy)
{
	struct cpr_image_super *sb = (void *)(image + (copy ? CPR_IMAGE_SUPER_COPY : 0));

	sb->crc = cpu_to_le32(cpr_port_crc32c(sb, offsetof(struct cpr_image_super, crc)));
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

#define FORGE(_text, _change)				\
	do {						\
		fresh_image();				\
		commit(1, 2);				\
		records = image + geo.slot_offset[1] + CPR_IMAGE_BLOCK_SIZE; \
		_change;				\
		refused_as(_text);			\
	} while (0)

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
	FORGE("name that was there", (node(2)->name_len = cpu_to_le16(2), memcpy(node(2)->name, "db", 3)));
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
	FORGE("has size 104, 96 bytes are left", vm_record()->rec.size = cpu_to_le32(104));
	FORGE("has size 0", node(2)->rec.size = 0);
	FORGE("has size 12", node(2)->rec.size = cpu_to_le32(12));
	FORGE("has size 4294967288", node(2)->rec.size = cpu_to_le32(-8));
	h = (void *)(image + geo.slot_offset[1]);
	FORGE("the header says 7", (h = (void *)(image + geo.slot_offset[1]), h->nodes = cpu_to_le32(7)));
	FORGE("do not fit", (h = (void *)(image + geo.slot_offset[1]), h->length = cpu_to_le64(1ull << 40)));
}

static u32 random_state = 1;

static u32 rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/* Whatever is in the records: no crash, and what is believed is sound. */
TEST(fifty_thousand_mutations)
{
	struct cpr_image_slot *h;
	struct cpr_catalog cat;
	u8 saved[4096];
	int believed = 0;

	fresh_image();
	commit(1, 2);
	h = (void *)(image + geo.slot_offset[1]);
	records = h + 1;
	memcpy(saved, records, sizeof(saved));
	for (int i = 0; i < 50000; i++) {
		struct cpr_catalog_entry e;
		u64 cursor = 0;

		memcpy(records, saved, sizeof(saved));
		for (u32 n = 1 + rnd() % 4; n; n--)
			((u8 *)records)[rnd() % le64_to_cpu(h->length)] = rnd() % 3 ? rnd() : 0;
		resign();
		if (cpr_catalog_check(image, &geo, 1, &cat, &why))
			continue;
		believed++;
		while (cpr_catalog_next(&cat, &cursor, &e))
			for (u32 x = 0; e.type == CPR_IMAGE_REC_NODE && x < e.node.extents; x++) {
				struct cpr_extent ext = cpr_catalog_extent(&e.node, x);

				CHECK(ext.frame >= geo.first_frame &&
				      (u64)ext.frame + ext.count <= geo.frames);
			}
	}
	CHECK(believed > 100 && believed < 49900);
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
