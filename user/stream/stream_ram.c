// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU sends each block from its first page to its last, and only then pages again
 * that have changed meanwhile. So one number for each block is enough to see a page
 * that is missing, however large the guest is.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "stream/stream_ram.h"

#define PAGE 4096u
#define FLAGS (PAGE - 1)

/* No machine has more; a number that is to be multiplied is not larger. */
#define MAX_BYTES (UINT64_C(1) << 46)

enum {
	FLAG_ZERO = 0x02,
	FLAG_MEM_SIZE = 0x04,
	FLAG_PAGE = 0x08,
	FLAG_EOS = 0x10,
	FLAG_CONTINUE = 0x20,
};

static const struct { unsigned int flag; const char *name; } foreign[] = {
	{ 0x40, "XBZRLE-compressed pages" }, { 0x80, "RDMA's pages" },
	{ 0x100, "compressed pages" }, { 0x200, "multifd's pages" },
};

#define OBJECTS "/objects/"

/* mapped-ram; see docs/devel/migration/mapped-ram.rst of QEMU. */
#define MAPPED_VERSION 1
#define MAPPED_HEADER 28
#define MAPPED_ALIGN (1 << 20)

static const char *number(uint64_t v)
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

static int by_name(const void *a, const void *b, void *v)
{
	const struct ram_block *blocks = v;

	return strcmp(blocks[*(const uint16_t *)a].name, blocks[*(const uint16_t *)b].name);
}

static int sort_blocks(struct stream_ram *ram, struct source *src)
{
	ram->order = xcalloc(ram->n, sizeof(*ram->order));
	for (size_t i = 0; i < ram->n; i++)
		ram->order[i] = i;
	qsort_r(ram->order, ram->n, sizeof(*ram->order), by_name, ram->v);
	for (size_t i = 1; i < ram->n; i++) {
		const char *name = ram->v[ram->order[i]].name;

		if (streq(name, ram->v[ram->order[i - 1]].name))
			return damaged(src, src->pos, .expected = "different RAM blocks",
				       .found = fmt("'%s' twice", name),
				       .meaning = "the list of blocks is damaged");
	}
	return 0;
}

static ssize_t find_block(const struct stream_ram *ram, const char *name)
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

static int check_alignment(struct source *src, const char *what, uint64_t v, uint64_t to)
{
	if (v % to == 0)
		return 0;
	return damaged(src, src->pos - 8, .expected = fmt("%s, a multiple of %s", what, number(to)),
		       .found = fmt("0x%llx", (unsigned long long)v),
		       .meaning = "the list of blocks is damaged");
}

/* Those of devices are in the file always: only a memory backend can be elsewhere. */
static bool of_a_device(const char *name)
{
	if (startswith(name, OBJECTS))
		return false;
	return strchr(name, '/') || streq(name, "pc.bios") || streq(name, "pc.rom");
}

/* Older machine types have the path of the object for a name. */
static bool is_file(const struct stream_ram *ram, const char *name)
{
	if (startswith(name, OBJECTS))
		name += strlen(OBJECTS);
	for (size_t i = 0; i < ram->nfiles; i++)
		if (streq(ram->files[i].id, name))
			return true;
	return false;
}

static struct ram_block *add_block(struct stream_ram *ram, const char *name, uint64_t size)
{
	struct ram_block *block;

	if ((ram->n & (ram->n - 1)) == 0)
		ram->v = xrealloc(ram->v, ram->n ? 2 * ram->n : 1, sizeof(*ram->v));
	block = &ram->v[ram->n++];
	*block = (struct ram_block){ .size = size };
	strcpy(block->name, name);
	block->away = ram->shared && is_file(ram, name);
	block->here = !ram->shared || (ram->files && !block->away) || of_a_device(name);
	return block;
}

struct bitmap {
	uint64_t at, bytes, pages_at;
};

static int check_place(struct source *src, const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return 0;
	return damaged(src, src->pos, .expected = fmt("%s at byte %s", what, number(want)),
		       .found = fmt("byte %s", number(got)),
		       .meaning = "the header of a mapped-ram block is damaged");
}

static int mapped_header(struct source *src, const struct ram_block *block, struct bitmap *map)
{
	const uint8_t *p = source_need(src, MAPPED_HEADER, "header of a mapped-ram block");
	uint64_t end = src->pos + MAPPED_HEADER;
	int r;

	if (!p)
		return -EUCLEAN;
	if (get_be32(p) != MAPPED_VERSION || get_be64(p + 4) != PAGE)
		return damaged(src, src->pos, .expected = "mapped-ram version 1, pages of 4096 bytes",
			       .found = fmt("version %u, pages of %s bytes", get_be32(p),
					    number(get_be64(p + 4))),
			       .meaning = "the header of a mapped-ram block is damaged");
	map->bytes = (pages_of(block) + 63) / 64 * 8;
	map->at = end;
	map->pages_at = (end + map->bytes + MAPPED_ALIGN - 1) & ~(uint64_t)(MAPPED_ALIGN - 1);
	r = check_place(src, "the bitmap", get_be64(p + 12), map->at);
	if (r == 0)
		r = check_place(src, "the pages", get_be64(p + 20), map->pages_at);
	if (r == 0)
		src->pos = end;
	return r;
}

/* A page of zeros is always sent as such; as content it may be a lost one. */
static void doubt_zeros(struct source *src, const uint8_t *p, const struct ram_block *block)
{
	if (all_zero(p, PAGE))
		doubtful(src, src->pos, .expected = fmt("content of a page of '%s'", block->name),
			 .found = "4096 zeros",
			 .meaning = "QEMU writes no content for a page of zeros: it was lost, or "
			 "zero-page-detection was off");
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

/* Pages of as much of the bitmap as fits in @bits. */
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

/* The last bytes of the bitmap, with bits for pages that do not exist. */
static int mapped_tail(struct stream_ram *ram, struct source *src, const struct ram_block *block,
		       const struct bitmap *map, uint64_t whole)
{
	uint8_t bits[8] = { 0 };
	size_t left = pages_of(block) - 8 * whole;
	int r = source_at(src, map->at + whole, bits, map->bytes - whole, "bitmap");

	for (size_t i = 0; i < left && r == 0; i++)
		r = mapped_page(ram, src, block, bits[i / 8] >> (i % 8) & 1);
	for (size_t i = left; i < 8 * (map->bytes - whole) && r == 0; i++)
		if (bits[i / 8] >> (i % 8) & 1)
			r = damaged(src, map->at + whole + i / 8,
				    .expected = fmt("a bitmap of %s pages", number(pages_of(block))),
				    .found = fmt("page %s", number(8 * whole + i)),
				    .meaning = "the bitmap of a mapped-ram block is damaged");
	return r;
}

static int mapped_block(struct stream_ram *ram, struct source *src, struct ram_block *block)
{
	uint8_t bits[512];
	struct bitmap map = { 0 };
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

static int read_block(struct stream_ram *ram, struct source *src, uint64_t *total)
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
							"of the total", number(*total)),
			       .found = fmt("'%s' of %s bytes", name, number(size)),
			       .meaning = "the list of blocks, or the total before it, is damaged");
	r = check_alignment(src, "size of a RAM block", size, PAGE);
	if (r == 0 && ram->shared)
		r = source_be64(src, "address of a RAM block", &addr);
	if (r == 0 && ram->shared)
		r = check_alignment(src, "address of a RAM block", addr, PAGE);
	if (r < 0)
		return r;
	if (ram->n == RAM_MAX_BLOCKS)
		return unproven(src, at, .expected = fmt("at most %d RAM blocks", RAM_MAX_BLOCKS),
				.found = "more", .meaning = "no machine has as many");
	*total -= size;
	block = add_block(ram, name, size);
	return ram->mapped ? mapped_block(ram, src, block) : 0;
}

static int read_flags(struct source *src, uint64_t *addr, unsigned int *flags)
{
	uint64_t v;

	if (source_be64(src, "RAM record", &v) < 0)
		return -EUCLEAN;
	*flags = v & FLAGS;
	*addr = v & ~(uint64_t)FLAGS;
	return 0;
}

static int bad_flags(struct source *src, const char *expected, uint64_t addr, unsigned int flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		if ((flags & ~FLAG_CONTINUE) == foreign[i].flag)
			return unproven(src, src->pos - 8, .expected = expected,
					.found = foreign[i].name,
					.meaning = "how these were saved cannot be checked");
	return damaged(src, src->pos - 8, .expected = expected,
		       .found = fmt("0x%016llx", (unsigned long long)(addr | flags)),
		       .meaning = addr | flags ? "records are damaged, or some are lost or doubled" :
		       "zeros, as of pages that never reached the disk");
}

int stream_ram_start(struct stream_ram *ram, struct source *src)
{
	unsigned int flags;
	uint64_t total;
	int r = 0;

	ram->last = -1;
	if (read_flags(src, &total, &flags) < 0)
		return -EUCLEAN;
	if (flags != FLAG_MEM_SIZE)
		return bad_flags(src, "the list of RAM blocks", total, flags);
	if (total == 0 || total > MAX_BYTES)
		return damaged(src, src->pos - 8, .expected = "the total of all RAM blocks",
			       .found = fmt("%s bytes", number(total)),
			       .meaning = "no machine has this much");
	ram->bytes = total;
	while (r == 0 && total)
		r = read_block(ram, src, &total);
	if (r == 0)
		r = sort_blocks(ram, src);
	if (r < 0 || read_flags(src, &total, &flags) < 0)
		return -EUCLEAN;
	return (flags | total) == FLAG_EOS ? 0 :
	       bad_flags(src, "the end of the list of RAM blocks", total, flags);
}

static int choose_block(struct stream_ram *ram, struct source *src, bool again)
{
	char name[SOURCE_NAME];
	uint64_t at = src->pos;

	if (again && ram->last >= 0)
		return 0;
	if (again)
		return damaged(src, at - 8, .expected = "a page with the name of its block",
			       .found = "one of the block before, and there is none",
			       .meaning = "records before it are lost");
	if (source_name(src, "name of a RAM block", name) < 0)
		return -EUCLEAN;
	ram->last = find_block(ram, name);
	if (ram->last >= 0)
		return 0;
	return damaged(src, at, .expected = "a block of the list", .found = fmt("'%s'", name),
		       .meaning = "the name is damaged, or the list is");
}

/* @at: of the record. */
static int place(struct stream_ram *ram, struct source *src, uint64_t at, uint64_t addr)
{
	struct ram_block *block = &ram->v[ram->last];
	uint64_t page = addr / PAGE;

	if (block->away)
		return damaged(src, at, .expected = fmt("no page of '%s', a memory file",
							 block->name),
			       .found = fmt("its page %s", number(page)),
			       .meaning = "the file was not shared, so its content is here and not "
			       "in the region");
	if (page >= pages_of(block))
		return damaged(src, at, .expected = fmt("a page of '%s', of %s", block->name,
							 number(pages_of(block))),
			       .found = fmt("page %s", number(page)),
			       .meaning = "the record is damaged");
	if (page > block->sent)
		return damaged(src, at, .expected = fmt("page %s of '%s'", number(block->sent),
							 block->name),
			       .found = fmt("page %s", number(page)),
			       .meaning = "pages are missing");
	ram->again += page < block->sent;
	block->sent += page == block->sent;
	return 0;
}

static int zero_page(struct stream_ram *ram, struct source *src)
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

static int full_page(struct stream_ram *ram, struct source *src)
{
	const uint8_t *p = source_need(src, PAGE, "content of a page");

	if (!p)
		return -EUCLEAN;
	doubt_zeros(src, p, &ram->v[ram->last]);
	src->pos += PAGE;
	ram->pages++;
	return 0;
}

static int read_page(struct stream_ram *ram, struct source *src, uint64_t addr, unsigned int flags)
{
	unsigned int what = flags & ~FLAG_CONTINUE;
	uint64_t at = src->pos - 8;
	int r;

	if (ram->mapped || (what != FLAG_ZERO && what != FLAG_PAGE))
		return bad_flags(src, ram->mapped ? "the end of the section" :
				 "a page or the end of the section", addr, flags);
	r = choose_block(ram, src, flags & FLAG_CONTINUE);
	if (r == 0)
		r = place(ram, src, at, addr);
	if (r < 0)
		return r;
	return what == FLAG_ZERO ? zero_page(ram, src) : full_page(ram, src);
}

int stream_ram_part(struct stream_ram *ram, struct source *src)
{
	for (;;) {
		unsigned int flags;
		uint64_t addr;

		if (read_flags(src, &addr, &flags) < 0)
			return -EUCLEAN;
		if ((flags | addr) == FLAG_EOS)
			return 0;
		if (read_page(ram, src, addr, flags) < 0)
			return -EUCLEAN;
	}
}

/* All of it, or none of it where that is legal. */
static bool complete(const struct ram_block *block)
{
	return block->sent == pages_of(block) || (block->sent == 0 && !block->here);
}

static int check_file(const struct stream_ram *ram, struct source *src, uint64_t offset,
		      const struct ram_file *file)
{
	ssize_t i = find_block(ram, file->id);

	if (i < 0)
		i = find_block(ram, fmt(OBJECTS "%s", file->id));
	if (i >= 0 && ram->v[i].size == file->size)
		return 0;
	return damaged(src, offset, .expected = fmt("a RAM block '%s' of %s bytes, as the manifest "
						    "has it", file->id, number(file->size)),
		       .found = i < 0 ? "none" : fmt("%s bytes", number(ram->v[i].size)),
		       .meaning = "this is the state of another guest, or the list is damaged");
}

int stream_ram_finish(struct stream_ram *ram, struct source *src, uint64_t offset)
{
	for (size_t i = 0; i < ram->n; i++) {
		const struct ram_block *block = &ram->v[i];

		if (!complete(block))
			return damaged(src, offset, .expected = fmt("page %s of '%s'",
				       number(block->sent), block->name),
				       .found = "the end of the section",
				       .meaning = "pages are missing");
	}
	for (size_t i = 0; i < ram->nfiles; i++)
		if (check_file(ram, src, offset, &ram->files[i]) < 0)
			return -EUCLEAN;
	return 0;
}
