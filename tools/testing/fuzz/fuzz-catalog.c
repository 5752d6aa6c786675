// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any bytes as superblocks or as a catalog, for libFuzzer. Their checksums are right: what
 * is tested is what comes after the checksums.
 *
 * Whatever the bytes are, nothing outside of the image is read, and a refusal says why.
 * The fsck reports a defect exactly if a slot is refused. What is accepted is sound: every
 * frame is a data frame and has one owner, every name has a directory before it, and the
 * records can be written and are accepted again.
 *
 * The first byte of an input selects: superblocks, or a slot. A slot's header fields come
 * first (struct head), then its records. With CPR_FUZZ_SEEDS=DIR the program writes inputs
 * to begin with to DIR and exits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#define cpr_port_crc32c port_crc32c
#include "port.h"
#undef cpr_port_crc32c

/* Every checksum is right. */
static u32 cpr_port_crc32c(const void *data, size_t len)
{
	(void)data;
	(void)len;
	return 0;
}

#include "catalog.c"
#include "../node.h"

#define START	(4ull << 30)
#define SIZE	(32ull << 20)

enum { SUPERS, SLOT, NR_KINDS };

struct head {
	__le64 generation;
	__le64 next_ino;
	__le32 nodes;
	__le32 vms;
	__le32 length;		/* 0: as many bytes of records as there are */
	__le32 pad;
};

static u8 image[SIZE] __attribute__((aligned(4096)));
static u8 again[SIZE] __attribute__((aligned(4096)));
static struct cpr_geometry geo;
static const struct cpr_stamp stamp = { .time = 1700000000, .kernel = "7.3.4-fuzz" };

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_say_why(const struct cpr_reason *why)
{
	must(why->kind && *why->kind && *why->text && strlen(why->text) < sizeof(why->text));
}

/* ---- what was accepted is sound ---- */

static u8 owned[SIZE >> CPR_IMAGE_FRAME_SHIFT];

static void check_extents(struct cpr_catalog_writer *w, const struct cpr_catalog_node *node)
{
	u64 next = 0;

	for (u32 i = 0; i < node->extents; i++) {
		struct cpr_extent e = cpr_catalog_extent(node, i);

		must(e.count && e.file_frame >= next);
		must(e.frame >= geo.first_frame && e.frame < geo.frames &&
		     e.count <= geo.frames - e.frame);
		for (u32 f = e.frame; f < e.frame + e.count; f++)
			must(!owned[f]++);
		next = (u64)e.file_frame + e.count;
		cpr_catalog_put_frames(w, &e);
	}
}

static void check_node(struct cpr_catalog_writer *w, const struct cpr_catalog_node *node, u32 nr)
{
	must(!nr || node->parent < nr);
	must(!!nr == !!node->name_len && node->name_len <= CPR_IMAGE_NAME_MAX);
	must(!memchr(node->name, '/', node->name_len) && !memchr(node->name, 0, node->name_len));
	must(S_ISREG(node->mode) || S_ISDIR(node->mode));
	must(node->ino && node->ino < CPR_IMAGE_COUNTER_END);
	cpr_catalog_put_node(w, node);
	check_extents(w, node);
}

static void check_dma(struct cpr_catalog_writer *w, const struct cpr_catalog_dma *dma)
{
	struct cpr_dma_extent *extents = calloc(dma->extents + 1, sizeof(*extents));

	for (u32 i = 0; i < dma->extents; i++) {
		extents[i] = cpr_catalog_dma_extent(dma, i);
		must(extents[i].length && extents[i].iova + extents[i].length - 1 >= extents[i].iova);
	}
	cpr_catalog_put_dma(w, extents, dma->extents);
	free(extents);
}

static void check_device(struct cpr_catalog_writer *w, const struct cpr_catalog_device *device)
{
	struct cpr_pci members[CPR_IMAGE_GROUP_MAX];

	must(device->members <= CPR_IMAGE_GROUP_MAX);
	for (u32 i = 0; i < device->members; i++)
		members[i] = cpr_catalog_member(device, i);
	cpr_catalog_put_device(w, device, members);
}

static void check_catalog(const struct cpr_catalog *cat)
{
	struct cpr_catalog_writer w;
	struct cpr_catalog_entry e;
	struct cpr_catalog written;
	struct cpr_reason why;
	u32 nodes = 0, vms = 0;
	u64 cursor = 0;

	memset(owned, 0, sizeof(owned));
	cpr_catalog_begin(&w, again, &geo, 0);
	while (cpr_catalog_next(cat, &cursor, &e)) {
		switch (e.type) {
		case CPR_IMAGE_REC_NODE:
			check_node(&w, &e.node, nodes++);
			break;
		case CPR_IMAGE_REC_VM:
			vms++;
			must(e.vm.node < nodes);
			cpr_catalog_put_vm(&w, &e.vm);
			break;
		case CPR_IMAGE_REC_DMA:
			check_dma(&w, &e.dma);
			break;
		case CPR_IMAGE_REC_DEVICE:
			check_device(&w, &e.device);
			break;
		default:
			abort();
		}
	}
	must(nodes == cat->nodes && vms == cat->vms);
	must(!cpr_catalog_commit(&w, cat->generation, cat->next_ino, &stamp));
	must(!cpr_catalog_check(again, &geo, 0, &written, &why));
	must(written.nodes == nodes && written.vms == vms && written.length <= cat->length);
}

/* ---- inputs ---- */

static bool defect;

static void note_defect(struct cpr_report *report, const struct cpr_reason *why)
{
	(void)report;
	must_say_why(why);
	defect = true;
}

static void run_slot(const u8 *data, size_t size)
{
	struct cpr_image_slot *h = (void *)(image + geo.slot_offset[0]);
	size_t room = cpr_catalog_capacity(&geo), records;
	struct cpr_report report = { note_defect };
	struct cpr_catalog cat;
	struct cpr_reason why;
	struct head head;
	int err;

	if (size < sizeof(head))
		return;
	memcpy(&head, data, sizeof(head));
	records = min(size - sizeof(head), room);
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, CPR_IMAGE_SLOT_MAGIC, CPR_IMAGE_MAGIC_LEN);
	h->generation = head.generation;
	h->inverse = ~head.generation;
	h->next_ino = head.next_ino;
	h->nodes = head.nodes;
	h->vms = head.vms;
	h->length = cpu_to_le64(head.length ? le32_to_cpu(head.length) : records);
	memcpy(h + 1, data + sizeof(head), records);

	err = cpr_catalog_check(image, &geo, 0, &cat, &why);
	if (err)
		must_say_why(&why);
	else
		check_catalog(&cat);
	defect = false;
	must(!cpr_catalog_report(image, &geo, 0, &report) && defect == !!err);
	memset(h + 1, 0, records);
}

static void run_supers(const u8 *data, size_t size)
{
	static u8 whole[2][sizeof(struct cpr_image_super)];
	size_t half = size / 2, len = min(half, sizeof(struct cpr_image_super));
	struct cpr_geometry forged;
	struct cpr_reason why;

	for (int i = 0; i < CPR_IMAGE_SUPERS; i++) {
		memcpy(whole[i], image + i * CPR_IMAGE_SUPER_COPY, sizeof(whole[i]));
		memcpy(image + i * CPR_IMAGE_SUPER_COPY, data + i * half, len);
	}
	if (cpr_image_load(image, SIZE, &forged, &why)) {
		must_say_why(&why);
	} else {
		must(forged.size <= SIZE && forged.frames == forged.size >> CPR_IMAGE_FRAME_SHIFT);
		must(forged.first_frame < forged.frames);
		for (int i = 0; i < CPR_IMAGE_SLOTS; i++)
			must(forged.slot_offset[i] + forged.slot_size <=
			     (u64)forged.first_frame << CPR_IMAGE_FRAME_SHIFT);
		must(strlen(forged.label) <= CPR_IMAGE_LABEL_LEN);
	}
	for (int i = 0; i < CPR_IMAGE_SUPERS; i++)
		memcpy(image + i * CPR_IMAGE_SUPER_COPY, whole[i], sizeof(whole[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const run[NR_KINDS])(const u8 *data, size_t size) = {
		[SUPERS] = run_supers, [SLOT] = run_slot,
	};

	if (size)
		run[data[0] % NR_KINDS](data + 1, size - 1);
	return 0;
}

/* ---- how inputs change ---- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/*
 * Numbers in records are small: frames, counts, records. Every other change is that of
 * one such number, which random changes of bytes seldom hit.
 */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	const size_t begin = 1 + sizeof(struct head);
	u32 number = seed >> 8 & 31;
	size_t words;

	if (seed & 1 || size < begin + 4 || data[0] % NR_KINDS != SLOT)
		return LLVMFuzzerMutate(data, size, max_size);
	words = (size - begin) / 4;
	number = cpu_to_le32(number);
	memcpy(data + begin + (seed >> 13) % words * 4, &number, sizeof(number));
	return size;
}

/* ---- inputs to begin with ---- */

static void seed(const char *dir, const char *name, u8 kind, const void *a, size_t a_len,
		 const void *b, size_t b_len)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	must(f);
	must(putc(kind, f) == kind && fwrite(a, a_len, 1, f) == 1 && fwrite(b, b_len, 1, f) == 1);
	must(!fclose(f));
}

static void put_seed(struct cpr_catalog_writer *w)
{
	const struct cpr_catalog_node nodes[] = {
		node_of(0, S_IFDIR | 0711, 1, ""),
		node_of(0, S_IFDIR | 0700, 2, "db"),
		node_of(0, S_IFDIR | 0700, 5, "web"),
		node_of(1, S_IFREG | 0600, 3, "manifest.json"),
		node_of(1, S_IFREG | 0600, 4, "ram0"),
		node_of(2, S_IFREG | 0600, 6, "ram0"),
	};
	const struct cpr_catalog_device device = {
		.address = { 0, 1, 8 }, .vendor = 0x8086, .device = 0x10d3, .class = 0x02000000,
		.has_serial = true, .serial = 5, .members = 2,
	};
	const struct cpr_pci members[] = { { 0, 1, 8 }, { 0, 1, 9 } };
	const u64 phys = START + ((u64)geo.first_frame << CPR_IMAGE_FRAME_SHIFT);
	const struct cpr_dma_extent extents[] = {
		{ .iova = 0, .phys = phys, .length = 1 << 20, .class = CPR_IMAGE_DMA_REGION },
		{ .iova = 1ull << 32, .phys = phys + (1 << 20), .length = 1 << 20,
		  .class = CPR_IMAGE_DMA_REGION },
	};

	u32 frame = geo.first_frame;

	for (u32 i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
		struct cpr_catalog_node node = nodes[i];

		if (!strcmp(node.name, "ram0")) {
			node.flags = CPR_IMAGE_NODE_MEMORY;
			node.size = 4 * CPR_IMAGE_FRAME_SIZE;
		}
		cpr_catalog_put_node(w, &node);
		if (!node.size)
			continue;
		/* Every other frame, so that these are two extents. */
		cpr_catalog_put_frames(w, &(struct cpr_extent){ 0, frame, 1 });
		cpr_catalog_put_frames(w, &(struct cpr_extent){ 2, frame + 2, 1 });
		frame += 4;
	}
	cpr_catalog_put_vm(w, &(struct cpr_catalog_vm){
		.node = 1, .state = CPR_IMAGE_VM_SEALED, .since = { 5, 6 }, .kernel = "6.12.0",
		.digests = { CPR_IMAGE_VM_MANIFEST_DIGEST, { 1 }, { 0 } },
	});
	cpr_catalog_put_dma(w, extents, 2);
	cpr_catalog_put_device(w, &device, members);
}

static void write_seeds(const char *dir)
{
	struct head head = { .generation = cpu_to_le64(7), .next_ino = cpu_to_le64(9),
			     .nodes = cpu_to_le32(6), .vms = cpu_to_le32(1) };
	const struct cpr_image_slot *h = (void *)(image + geo.slot_offset[0]);
	struct cpr_catalog_writer w;
	struct cpr_catalog cat;
	struct cpr_reason why;

	seed(dir, "supers", SUPERS, image, sizeof(struct cpr_image_super),
	     image + CPR_IMAGE_SUPER_COPY, sizeof(struct cpr_image_super));
	cpr_catalog_begin(&w, image, &geo, 0);
	put_seed(&w);
	must(!cpr_catalog_commit(&w, 7, 9, &stamp));
	must(!cpr_catalog_check(image, &geo, 0, &cat, &why));
	seed(dir, "slot", SLOT, &head, sizeof(head), h + 1, cat.length);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct cpr_catalog_writer w;
	const char *dir = getenv("CPR_FUZZ_SEEDS");
	struct cpr_reason why;

	(void)argc;
	(void)argv;
	must(!cpr_image_layout(&geo, START, SIZE, &why));
	strcpy(geo.label, "fuzz");
	cpr_image_format(&w, image, &geo, &stamp);
	if (dir) {
		write_seeds(dir);
		exit(0);
	}
	return 0;
}
