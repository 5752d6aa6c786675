/* SPDX-License-Identifier: GPL-2.0-only */
/* The section "ram" of a state file: the list of RAM blocks, then their pages. */
#ifndef CPR_STREAM_RAM_H
#define CPR_STREAM_RAM_H

#include "base/ram_file.h"
#include "stream/source.h"

#define RAM_VERSION 4
#define RAM_MAX_BLOCKS 4096

/**
 * struct ram_block - a RAM block of the guest
 * @name: QEMU's name of the block (RAMBlock.idstr)
 * @size: bytes
 * @sent: number of its pages read so far, which are the first @sent pages
 * @here: all pages must be in the state file
 * @away: no page may be in the state file, as the block is a memory file
 */
struct ram_block {
	char name[SOURCE_NAME];
	uint64_t size;
	uint64_t sent;
	bool here;
	bool away;
};

/**
 * struct stream_ram - the guest's memory in a state file
 * @shared: capability x-ignore-shared: shared memory files are not in the stream
 * @mapped: capability mapped-ram: pages are at fixed offsets, and a bitmap tells which
 *	of them have content
 * @files: memory files that must be RAM blocks, by id; NULL if unknown
 * @nfiles: number of @files
 * @v: the RAM blocks, owned
 * @n: number of RAM blocks
 * @order: indexes of @v, sorted by name, owned
 * @last: index of the block whose pages are being read, -1 at the start
 * @bytes: size of all blocks
 * @pages: number of pages with content in the file
 * @zero_pages: number of pages that the file marks as zero
 * @again: number of pages that came more than once
 */
struct stream_ram {
	bool shared;
	bool mapped;
	const struct ram_file *files;
	size_t nfiles;
	struct ram_block *v;
	size_t n;
	uint16_t *order;
	ssize_t last;
	uint64_t bytes;
	uint64_t pages;
	uint64_t zero_pages;
	uint64_t again;
};

void stream_ram_free(struct stream_ram *ram);

/*
 * Read the content of a START, and of a PART or END. Return 0, or a negative errno with
 * a fault recorded.
 */
int stream_ram_start(struct stream_ram *ram, struct source *src);
int stream_ram_part(struct stream_ram *ram, struct source *src);

/*
 * Check after the END that no page is missing and that @files are RAM blocks. @offset is
 * that of the END's end, for faults. Returns: 0, or -EUCLEAN with a fault recorded.
 */
int stream_ram_finish(struct stream_ram *ram, struct source *src, uint64_t offset);

#endif
