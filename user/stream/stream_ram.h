/* SPDX-License-Identifier: GPL-2.0-only */
/* The section "ram" of a state file: the list of blocks, then pages of them. */
#ifndef CPR_STREAM_RAM_H
#define CPR_STREAM_RAM_H

#include "base/ram_file.h"
#include "stream/source.h"

#define RAM_VERSION 4
#define RAM_MAX_BLOCKS 4096

/**
 * struct ram_block - a piece of the guest's memory
 * @name: as QEMU calls it
 * @size: bytes
 * @sent: pages that are in the file, from the first on without a gap
 * @here: it must have all its pages in the file
 * @away: it must have none: it is a file of its own
 */
struct ram_block {
	char name[SOURCE_NAME];
	uint64_t size;
	uint64_t sent;
	bool here;
	bool away;
};

/**
 * struct stream_ram - what is known of the guest's memory
 * @shared: x-ignore-shared: memory that is a shared file is not in the stream
 * @mapped: mapped-ram: pages are at fixed places, with a bitmap of those that are
 * @files: that are blocks of their own, by id; NULL if that is not known
 * @nfiles: how many
 * @order: indexes of @v, by name
 * @last: the block whose pages are being sent, -1 at the start
 * @bytes: of all blocks
 * @pages, @zero_pages: in the file with their content, and as zeros
 * @again: pages that came more than once
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

/* What a START, and a PART or END, hold. 0 or a negative errno with a fault. */
int stream_ram_start(struct stream_ram *ram, struct source *src);
int stream_ram_part(struct stream_ram *ram, struct source *src);

/* After the END, at @offset: whether all that must be there is. */
int stream_ram_finish(struct stream_ram *ram, struct source *src, uint64_t offset);

#endif
