/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A state file of QEMU, checked to the last byte: what QEMU 10.0 to 11.1 write for
 * q35, pc and microvm. Documentation/state-file.md has the grammar.
 *
 *	stream.c	header, configuration, sections, footers, order
 *	stream_ram.c	the section with the guest's memory
 *	stream_desc.c	the description at the end
 *	stream_walk.c	a device's bytes, by its description
 *	source.c	the file
 */
#ifndef CPR_STREAM_H
#define CPR_STREAM_H

#include "stream/stream_desc.h"
#include "stream/stream_ram.h"

#define STREAM_MAX_SECTIONS 16384

/**
 * struct stream_expect - what is known of a state file without it
 * @machine: resolved machine type; NULL if it is not known
 * @files: memory that is not in it; NULL if that is not known
 * @nfiles: how many
 * @digest: that it was saved with; NULL if there is none
 */
struct stream_expect {
	const char *machine;
	const struct ram_file *files;
	size_t nfiles;
	const struct digest *digest;
};

/* A section, and how far it has come. */
struct stream_section {
	uint32_t id;
	uint32_t instance;
	uint64_t name;
	const struct stream_iterable *iterable;
	bool parted;
	bool ended;
};

/**
 * struct stream - what a state file was found to hold
 * @machine: resolved machine type
 * @runstate: of the guest
 * @devices: how many have their data in it
 * @cpus: how many of these are CPUs
 * @proven: its digest is the recorded one
 */
struct stream {
	struct source src;
	struct desc desc;
	struct stream_ram ram;
	char machine[SOURCE_NAME];
	char runstate[32];
	size_t devices;
	unsigned int cpus;
	bool proven;
	const struct stream_expect *expect;
	struct stream_section *sections;
	size_t nsections;
	unsigned int seen;
	int phase;
	bool switchover;
};

/**
 * stream_check - read all of a state file
 * @fd: of a regular file; stays the caller's
 * @st: what was found, also after a fault; free it with stream_free()
 *
 * Returns: 0; -EUCLEAN, with st->src.fault, or another negative errno without, if
 * the file is not to be read at all.
 */
int stream_check(struct stream *st, int fd, const struct stream_expect *expect);
void stream_free(struct stream *st);

#endif
