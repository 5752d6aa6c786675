/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Check every byte of a QEMU state file, as written by QEMU 10.0 to 11.1 for the machine
 * types q35, pc and microvm. Documentation/state-file.md has the grammar.
 *
 *	stream.c	header, configuration, sections, footers, and their order
 *	stream_ram.c	the section with the guest's memory
 *	stream_desc.c	the description at the end (vmdesc)
 *	stream_walk.c	the data of a device, by its description
 *	source.c	reading the file
 */
#ifndef CPR_STREAM_H
#define CPR_STREAM_H

#include "stream/stream_desc.h"
#include "stream/stream_ram.h"

#define STREAM_MAX_SECTIONS 16384

/**
 * struct stream_expect - content that the file must have
 * @machine: resolved machine type; NULL if unknown
 * @files: memory files, whose content is not in the state file; NULL if unknown
 * @nfiles: number of @files
 * @digest: digest and size recorded when the file was saved; NULL if none was
 * @measure: compute the digest also if there is none to compare it with
 */
struct stream_expect {
	const char *machine;
	const struct ram_file *files;
	size_t nfiles;
	const struct digest *digest;
	bool measure;
};

/* Whether QEMU's state is known for a resolved machine type; NULL is none. */
bool stream_knows_machine(const char *machine);

/**
 * struct stream_section - a section that was read, at least in part
 * @id: section id
 * @instance: instance id of the device
 * @name: hash of the device's name
 * @iterable: how to read its pieces; NULL for a section of type FULL
 * @parted: a PART or END was read
 * @ended: the END was read
 */
struct stream_section {
	uint32_t id;
	uint32_t instance;
	uint64_t name;
	const struct stream_iterable *iterable;
	bool parted;
	bool ended;
};

/**
 * struct stream - a state file and its content
 * @src: the file, with its first fault
 * @desc: the description at its end
 * @ram: the guest's memory
 * @machine: resolved machine type
 * @runstate: run state of the guest
 * @devices: number of devices
 * @cpus: number of these that are CPUs
 * @digest: of the file, if one was expected or wanted, and no fault found
 * @proven: the digest matches the recorded one
 * @expect: content that the file must have
 * @sections: sections read so far, owned
 * @nsections: number of @sections
 * @seen: bit mask of the required devices read so far
 * @phase: position in the order of the parts
 * @switchover: the command SWITCHOVER_START was read
 */
struct stream {
	struct source src;
	struct stream_desc desc;
	struct stream_ram ram;
	char machine[SOURCE_NAME];
	char runstate[32];
	size_t devices;
	unsigned int cpus;
	struct digest digest;
	bool proven;
	const struct stream_expect *expect;
	struct stream_section *sections;
	size_t nsections;
	unsigned int seen;
	int phase;
	bool switchover;
};

/**
 * stream_check - read and check a whole state file
 * @st: filled in, also after a fault; free with stream_free()
 * @fd: descriptor of a regular file; remains owned by the caller
 * @expect: must remain valid as long as @st
 *
 * Returns: 0; -EUCLEAN with st->src.fault set; or another negative errno, without a
 * fault, if the file could not be opened for reading or memory ran out.
 */
int stream_check(struct stream *st, int fd, const struct stream_expect *expect);
void stream_free(struct stream *st);

#endif
