// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU sends each block from its first page to its last, and afterwards once more the
 * pages that changed in the meantime. A counter for each block is therefore enough to
 * detect a missing page, and memory use does not depend on the size of the guest.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "stream/stream_ram.h"

#define PAGE 4096u
#define FLAGS (PAGE - 1)

/* Upper limit for guest memory, bytes; also prevents overflow in multiplications. */
#define MAX_BYTES (UINT64_C(1) << 46)

enum {
	FLAG_ZERO = 0x02,
	FLAG_MEM_SIZE = 0x04,
	FLAG_PAGE = 0x08,
	FLAG_EOS = 0x10,
	FLAG_CONTINUE = 0x20,
};

static const struct { unsigned int flag; const char *name; } foreign_flags[] = {
	{ 0x40, "XBZRLE-compressed pages" }, { 0x80, "RDMA's pages" },
	{ 0x100, "compressed pages" }, { 0x200, "multifd's pages" },
};

#define OBJECTS "/objects/"

/* mapped-ram; see docs/devel/migration/mapped-ram.rst of QEMU. */
#define MAPPED_VERSION 1
#define MAPPED_HEADER 28
#define MAPPED_ALIGN (1 << 20)

static const char *u64_text(uint64_t v)
{
	return fmt("%llu", (unsigned long long)v);
}

static uint64_t pages_of(const struct ram_block *block)
{
	return block->size / PAGE;
}

void stream_ram_free(struct stream_ram *ram)
{
	free(ram->v);
	free(ram->order);
	*ram = (struct stream_ram){ .last = -1 };
}

static int ram_by_name(const void *a, const void *b, void *v)
{
	const struct ram_block *blocks = v;

	return strcmp(blocks[*(const uint16_t *)a].name, blocks[*(const uint16_t *)b].name);
}

static int ram_sort_blocks(struct stream_ram *ram, struct source *src)
{
	ram->order = xcalloc(ram->n, sizeof(*ram->order));
	for (size_t i = 0; i < ram->n; i++)
		ram->order[i] = i;
	qsort_r(ram->order, ram->n, sizeof(*ram->order), ram_by_name, ram->v);
	for (size_t i = 1; i < ram->n; i++) {
		const char *name = ram->v[ram->order[i]].name;

		if (streq(name, ram->v[ram->order[i - 1]].name))
			return damaged(src, src->pos, .expected = "different RAM blocks",
				       .found = fmt("'%s' twice", name),
				       .meaning = "the list of blocks is damaged");
	}
	return 0;
}

static ssize_t ram_find_block(const struct stream_ram *ram, const char *name)
{
	size_t low = 0, high = ram->n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int c = strcmp(name, ram->v[ram->order[mid]].name);

		if (c == 0)
			return ram->order[mid];
		*(c < 0 ? &high : &low) = c < 0 ? mid : mid + 1;
	}
	return -1;
}

static int ram_check_alignment(struct source *src, const char *what, uint64_t v, uint64_t to)
{
	if (v % to == 0)
		return 0;
	return damaged(src, src->pos - 8,
		       .expected = fmt("%s, a multiple of %s", what, u64_text(to)),
		       .found = fmt("0x%llx", (unsigned long long)v),
		       .meaning = "the list of blocks is damaged");
}

/* Blocks of devices are always in the file; only memory backends can be shared files. */
static bool ram_is_device(const char *name)
{
	if (startswith(name, OBJECTS))
		return false;
	return strchr(name, '/') || streq(name, "pc.bios") || streq(name, "pc.rom");
}

/* Older machine types name a block by the path of its memory backend object. */
static bool ram_is_file(const struct stream_ram *ram, const char *name)
{
	if (startswith(name, OBJECTS))
		name += strlen(OBJECTS);
	for (size_t i = 0; i < ram->nfiles; i++)
		if (streq(ram->files[i].id, name))
			return true;
	return false;
}

static struct ram_block *ram_add_block(struct stream_ram *ram, const char *name, uint64_t size)
{
	struct ram_block *block;

	if ((ram->n & (ram->n - 1)) == 0)
		ram->v = xrealloc(ram->v, ram->n ? 2 * ram->n : 1, sizeof(*ram->v));
	block = &ram->v[ram->n++];
	*block = (struct ram_block){ .size = size };
	strcpy(block->name, name);
	block->away = ram->shared && ram_is_file(ram, name);
	block->here = !ram->shared || (ram->files && !block->away) || ram_is_device(name);
	return block;
}

struct mapped_bitmap {
	uint64_t at, bytes, pages_at;
};

static int mapped_check_offset(struct source *src, const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return 0;
	return damaged(src, src->pos, .expected = fmt("%s at byte %s", what, u64_text(want)),
		       .found = fmt("byte %s", u64_text(got)),
		       .meaning = "the header of a mapped-ram block is damaged");
}

static int mapped_header(struct source *src, const struct ram_block *block,
			 struct mapped_bitmap *map)
{
	const uint8_t *p = source_need(src, MAPPED_HEADER, "header of a mapped-ram block");
	uint64_t end = src->pos + MAPPED_HEADER;
	int r;

	if (!p)
		return -EUCLEAN;
	if (get_be32(p) != MAPPED_VERSION || get_be64(p + 4) != PAGE)
		return damaged(src, src->pos, .expected = "mapped-ram version 1, pages of 4096 bytes",
			       .found = fmt("version %u, pages of %s bytes", get_be32(p),
					    u64_text(get_be64(p + 4))),
			       .meaning = "the header of a mapped-ram block is damaged");
	map->bytes = (pages_of(block) + 63) / 64 * 8;
	map->at = end;
	map->pages_at = (end + map->bytes + MAPPED_ALIGN - 1) & ~(uint64_t)(MAPPED_ALIGN - 1);
	r = mapped_check_offset(src, "the bitmap", get_be64(p + 12), map->at);
	if (r == 0)
		r = mapped_check_offset(src, "the pages", get_be64(p + 20), map->pages_at);
	if (r == 0)
		src->pos = end;
	return r;
}

/* QEMU sends zero pages without content, so content of zeros may be lost data. */
static void doubt_zeros(struct source *src, const uint8_t *p, const struct ram_block *block)
{
	if (all_zero(p, PAGE))
		doubtful(src, src->pos, .expected = fmt("content of a page of '%s'", block->name),
			 .found = "4096 zeros",
			 .meaning = "QEMU writes no content for a page of zeros: the content was "
			 "lost, or zero-page-detection was off");
}

static int mapped_page(struct stream_ram *ram, struct source *src, const struct ram_block *block,
		       bool present)
{
	const uint8_t *p;

	if (!present) {
		ram->zero_pages++;
		return source_skip(src, PAGE, "page");
	}
	p = source_need(src, PAGE, "page");
	if (!p)
		return -EUCLEAN;
	doubt_zeros(src, p, block);
	src->pos += PAGE;
	ram->pages++;
	return 0;
}

/* The pages of @n bytes of the bitmap. */
static int mapped_pages(struct stream_ram *ram, struct source *src, const struct ram_block *block,
			const uint8_t *bits, size_t n)
{
	int r = 0;

	if (all_zero(bits, n)) {
		ram->zero_pages += 8 * n;
		return source_skip(src, 8 * n * PAGE, "pages");
	}
	for (size_t i = 0; i < 8 * n && r == 0; i++)
		r = mapped_page(ram, src, block, bits[i / 8] >> (i % 8) & 1);
	return r;
}

/* The last bytes of the bitmap; their excess bits, beyond the last page, must be 0. */
static int mapped_tail(struct stream_ram *ram, struct source *src, const struct ram_block *block,
		       const struct mapped_bitmap *map, uint64_t whole)
{
	uint8_t bits[8] = { 0 };
	size_t left = pages_of(block) - 8 * whole;
	int r = source_at(src, map->at + whole, bits, map->bytes - whole, "bitmap");

	for (size_t i = 0; i < left && r == 0; i++)
		r = mapped_page(ram, src, block, bits[i / 8] >> (i % 8) & 1);
	for (size_t i = left; i < 8 * (map->bytes - whole) && r == 0; i++)
		if (bits[i / 8] >> (i % 8) & 1)
			r = damaged(src, map->at + whole + i / 8,
				    .expected = fmt("a bitmap of %s pages",
						    u64_text(pages_of(block))),
				    .found = fmt("page %s", u64_text(8 * whole + i)),
				    .meaning = "the bitmap of a mapped-ram block is damaged");
	return r;
}

static int mapped_block(struct stream_ram *ram, struct source *src, struct ram_block *block)
{
	uint8_t bits[512];
	struct mapped_bitmap map = { 0 };
	uint64_t whole, done;
	int r = mapped_header(src, block, &map);

	if (r == 0)
		r = source_skip(src, map.bytes, "bitmap of a mapped-ram block");
	if (r == 0)
		r = source_zeros(src, map.pages_at - src->pos, "the space before the pages",
				 "the header of a mapped-ram block, or this space, is damaged");
	whole = pages_of(block) / 64 * 8;
	for (done = 0; r == 0 && done < whole; ) {
		size_t n = whole - done < sizeof(bits) ? whole - done : sizeof(bits);

		r = source_at(src, map.at + done, bits, n, "bitmap of a mapped-ram block");
		if (r == 0)
			r = mapped_pages(ram, src, block, bits, n);
		done += n;
	}
	if (r == 0)
		r = mapped_tail(ram, src, block, &map, whole);
	block->sent = pages_of(block);
	return r;
}

static int ram_read_block(struct stream_ram *ram, struct source *src, uint64_t *total)
{
	char name[SOURCE_NAME];
	struct ram_block *block;
	uint64_t size, addr, at = src->pos;
	int r;

	if (source_name(src, "name of a RAM block", name) < 0 ||
	    source_be64(src, "size of a RAM block", &size) < 0)
		return -EUCLEAN;
	if (size == 0 || size > *total)
		return damaged(src, at, .expected = fmt("a RAM block of at most %s bytes, the rest "
							"of the total", u64_text(*total)),
			       .found = fmt("'%s' of %s bytes", name, u64_text(size)),
			       .meaning = "the list of blocks, or the total before it, is damaged");
	r = ram_check_alignment(src, "size of a RAM block", size, PAGE);
	if (r == 0 && ram->shared)
		r = source_be64(src, "address of a RAM block", &addr);
	if (r == 0 && ram->shared)
		r = ram_check_alignment(src, "address of a RAM block", addr, PAGE);
	if (r < 0)
		return r;
	if (ram->n == RAM_MAX_BLOCKS)
		return unproven(src, at, .expected = fmt("at most %d RAM blocks", RAM_MAX_BLOCKS),
				.found = "more", .meaning = "no machine has so many");
	*total -= size;
	block = ram_add_block(ram, name, size);
	return ram->mapped ? mapped_block(ram, src, block) : 0;
}

static int ram_read_flags(struct source *src, uint64_t *addr, unsigned int *flags)
{
	uint64_t v;

	if (source_be64(src, "RAM record", &v) < 0)
		return -EUCLEAN;
	*flags = v & FLAGS;
	*addr = v & ~(uint64_t)FLAGS;
	return 0;
}

static int ram_bad_flags(struct source *src, const char *expected, uint64_t addr,
			 unsigned int flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(foreign_flags); i++)
		if ((flags & ~FLAG_CONTINUE) == foreign_flags[i].flag)
			return unproven(src, src->pos - 8, .expected = expected,
					.found = foreign_flags[i].name,
					.meaning = "cpr-helper cannot check such pages");
	return damaged(src, src->pos - 8, .expected = expected,
		       .found = fmt("0x%016llx", (unsigned long long)(addr | flags)),
		       .meaning = addr | flags ? "records are damaged, lost or duplicated" :
		       "zeros replaced data that never reached the disk");
}

int stream_ram_start(struct stream_ram *ram, struct source *src)
{
	unsigned int flags;
	uint64_t total;
	int r = 0;

	ram->last = -1;
	if (ram_read_flags(src, &total, &flags) < 0)
		return -EUCLEAN;
	if (flags != FLAG_MEM_SIZE)
		return ram_bad_flags(src, "the list of RAM blocks", total, flags);
	if (total == 0 || total > MAX_BYTES)
		return damaged(src, src->pos - 8, .expected = "the total of all RAM blocks",
			       .found = fmt("%s bytes", u64_text(total)),
			       .meaning = "no machine has so much memory");
	ram->bytes = total;
	while (r == 0 && total)
		r = ram_read_block(ram, src, &total);
	if (r == 0)
		r = ram_sort_blocks(ram, src);
	if (r < 0 || ram_read_flags(src, &total, &flags) < 0)
		return -EUCLEAN;
	return (flags | total) == FLAG_EOS ? 0 :
	       ram_bad_flags(src, "the end of the list of RAM blocks", total, flags);
}

static int ram_select_block(struct stream_ram *ram, struct source *src, bool again)
{
	char name[SOURCE_NAME];
	uint64_t at = src->pos;

	if (again && ram->last >= 0)
		return 0;
	if (again)
		return damaged(src, at - 8, .expected = "a page with the name of its block",
			       .found = "a page of the previous block, and there is none",
			       .meaning = "the records before this one are lost");
	if (source_name(src, "name of a RAM block", name) < 0)
		return -EUCLEAN;
	ram->last = ram_find_block(ram, name);
	if (ram->last >= 0)
		return 0;
	return damaged(src, at, .expected = "a block of the list", .found = fmt("'%s'", name),
		       .meaning = "the name or the list of blocks is damaged");
}

/* Count page @addr of the current block. @at: offset of its record, for faults. */
static int ram_count_page(struct stream_ram *ram, struct source *src, uint64_t at, uint64_t addr)
{
	struct ram_block *block = &ram->v[ram->last];
	uint64_t page = addr / PAGE;

	if (block->away)
		return damaged(src, at, .expected = fmt("no page of '%s', a memory file",
							 block->name),
			       .found = fmt("its page %s", u64_text(page)),
			       .meaning = "the memory file was not shared, so its content is in "
			       "the state file and not in the region");
	if (page >= pages_of(block))
		return damaged(src, at, .expected = fmt("a page of '%s', of %s", block->name,
							 u64_text(pages_of(block))),
			       .found = fmt("page %s", u64_text(page)),
			       .meaning = "the record is damaged");
	if (page > block->sent)
		return damaged(src, at, .expected = fmt("page %s of '%s'", u64_text(block->sent),
							 block->name),
			       .found = fmt("page %s", u64_text(page)),
			       .meaning = "pages are missing");
	ram->again += page < block->sent;
	block->sent += page == block->sent;
	return 0;
}

static int ram_zero_page(struct stream_ram *ram, struct source *src)
{
	uint8_t fill;

	if (source_u8(src, "content of a page of zeros", &fill) < 0)
		return -EUCLEAN;
	ram->zero_pages++;
	if (fill == 0)
		return 0;
	return damaged(src, src->pos - 1, .expected = "a page of zeros, 0x00",
		       .found = fmt("0x%02x", fill), .meaning = "the record is damaged");
}

static int ram_content_page(struct stream_ram *ram, struct source *src)
{
	const uint8_t *p = source_need(src, PAGE, "content of a page");

	if (!p)
		return -EUCLEAN;
	doubt_zeros(src, p, &ram->v[ram->last]);
	src->pos += PAGE;
	ram->pages++;
	return 0;
}

static int ram_read_page(struct stream_ram *ram, struct source *src, uint64_t addr,
			 unsigned int flags)
{
	unsigned int what = flags & ~FLAG_CONTINUE;
	uint64_t at = src->pos - 8;
	int r;

	if (ram->mapped || (what != FLAG_ZERO && what != FLAG_PAGE))
		return ram_bad_flags(src, ram->mapped ? "the end of the section" :
				     "a page or the end of the section", addr, flags);
	r = ram_select_block(ram, src, flags & FLAG_CONTINUE);
	if (r == 0)
		r = ram_count_page(ram, src, at, addr);
	if (r < 0)
		return r;
	return what == FLAG_ZERO ? ram_zero_page(ram, src) : ram_content_page(ram, src);
}

int stream_ram_part(struct stream_ram *ram, struct source *src)
{
	for (;;) {
		unsigned int flags;
		uint64_t addr;

		if (ram_read_flags(src, &addr, &flags) < 0)
			return -EUCLEAN;
		if ((flags | addr) == FLAG_EOS)
			return 0;
		if (ram_read_page(ram, src, addr, flags) < 0)
			return -EUCLEAN;
	}
}

/* All pages are in the file, or none where the block may be a shared file. */
static bool ram_block_complete(const struct ram_block *block)
{
	return block->sent == pages_of(block) || (block->sent == 0 && !block->here);
}

static int ram_check_file(const struct stream_ram *ram, struct source *src, uint64_t offset,
			  const struct ram_file *file)
{
	ssize_t i = ram_find_block(ram, file->id);

	if (i < 0)
		i = ram_find_block(ram, fmt(OBJECTS "%s", file->id));
	if (i >= 0 && ram->v[i].size == file->size)
		return 0;
	return damaged(src, offset, .expected = fmt("a RAM block '%s' of %s bytes, as the manifest "
						    "has it", file->id, u64_text(file->size)),
		       .found = i < 0 ? "none" : fmt("%s bytes", u64_text(ram->v[i].size)),
		       .meaning = "this is the state of another guest, or the list of blocks is "
		       "damaged");
}

int stream_ram_finish(struct stream_ram *ram, struct source *src, uint64_t offset)
{
	for (size_t i = 0; i < ram->n; i++) {
		const struct ram_block *block = &ram->v[i];

		if (!ram_block_complete(block))
			return damaged(src, offset, .expected = fmt("page %s of '%s'",
				       u64_text(block->sent), block->name),
				       .found = "the end of the section",
				       .meaning = "pages are missing");
	}
	for (size_t i = 0; i < ram->nfiles; i++)
		if (ram_check_file(ram, src, offset, &ram->files[i]) < 0)
			return -EUCLEAN;
	return 0;
}
