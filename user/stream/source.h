/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sequential reader for a state file, which also records the first fault of the file.
 * The buffer has a fixed size, whatever lengths the file contains.
 *
 * The file is read rather than mapped: if another process truncates the file, read(2)
 * reports an error, whereas an access to a mapping would raise SIGBUS.
 */
#ifndef CPR_SOURCE_H
#define CPR_SOURCE_H

#include <xxhash.h>

#include "base/digest.h"

/* The most bytes that source_need() returns at once. */
#define SOURCE_PIECE 8192
/* Size of a buffer for a name, with the final NUL. */
#define SOURCE_NAME 256

/**
 * enum source_fault_kind - consequence of a fault
 * @FAULT_NONE: no fault
 * @FAULT_DAMAGED: no QEMU writes such a file
 * @FAULT_UNPROVEN: some QEMU may write such a file, but this program cannot check
 *	whether the file is complete
 * @FAULT_FOREIGN: the file is whole as far as is known, but of another format
 * @FAULT_UNREAD: reading the file failed
 */
enum source_fault_kind { FAULT_NONE, FAULT_DAMAGED, FAULT_UNPROVEN, FAULT_FOREIGN, FAULT_UNREAD };

/**
 * struct source_fault - the first place at which a file differs from the format
 * @kind: consequence of the fault
 * @offset: offset in the file, bytes
 * @section: the part of the file that was being read
 * @expected: content that the format requires there
 * @found: content of the file there
 * @meaning: the conclusion about the file
 *
 * Texts from the file are included only as returned by source_printable().
 */
struct source_fault {
	enum source_fault_kind kind;
	uint64_t offset;
	char section[320];
	char expected[320];
	char found[320];
	char meaning[320];
};

/**
 * struct source - a state file that is being read
 * @fd: the file; belongs to the caller
 * @size: size of the file when it was opened, bytes
 * @pos: offset of the next byte to read
 * @section: the part of the file that is being read, for faults
 * @fault: the first fault
 * @doubt: the first fault that does not count if the digest matches the recorded one
 * @buf: bytes of the file, owned
 * @from: offset in the file of the first byte of @buf
 * @len: number of bytes in @buf
 * @state: state of the digest; NULL if none is computed
 */
struct source {
	int fd;
	uint64_t size;
	uint64_t pos;
	char section[320];
	struct source_fault fault;
	struct source_fault doubt;
	uint8_t *buf;
	uint64_t from;
	size_t len;
	XXH3_state_t *state;
};

/**
 * source_open - begin to read a state file
 * @fd: descriptor of a regular file; remains owned by the caller
 * @digest: compute the digest of all bytes while reading
 *
 * Returns: 0, -ENOTSUP if @fd is not a regular file, or another negative errno.
 * Call source_close() in any case but these.
 */
int source_open(struct source *src, int fd, bool digest);
void source_close(struct source *src);

/* The digest. Valid only after the whole file was read. */
void source_digest(struct source *src, struct digest *out);

/*
 * Record a fault; later faults are ignored. damaged() and unproven() return -EUCLEAN.
 * The variable arguments are designated initializers of struct source_fault_info.
 */
struct source_fault_info {
	const char *expected;
	const char *found;
	const char *meaning;
};

#define damaged(src, offset, ...)					\
	source_fail(src, FAULT_DAMAGED, offset, &(const struct source_fault_info){ __VA_ARGS__ })
#define unproven(src, offset, ...)					\
	source_fail(src, FAULT_UNPROVEN, offset, &(const struct source_fault_info){ __VA_ARGS__ })
#define foreign(src, offset, ...)					\
	source_fail(src, FAULT_FOREIGN, offset, &(const struct source_fault_info){ __VA_ARGS__ })
#define doubtful(src, offset, ...)					\
	source_fault_set(&(src)->doubt, src, FAULT_DAMAGED, offset,		\
			 &(const struct source_fault_info){ __VA_ARGS__ })

int source_fail(struct source *src, enum source_fault_kind kind, uint64_t offset,
		const struct source_fault_info *info);
void source_fault_set(struct source_fault *fault, const struct source *src,
		      enum source_fault_kind kind, uint64_t offset,
		      const struct source_fault_info *info);

/* Set the name of the part that is being read, for faults. */
void source_in(struct source *src, const char *format, ...) _printf_(2, 3);

/* source_printable() of the first SOURCE_NAME - 1 of @n bytes. Static buffer, as fmt(). */
const char *source_printable(const void *bytes, size_t n);

/**
 * source_need - get the next bytes without advancing
 * @n: number of bytes, at most SOURCE_PIECE
 * @what: name of these bytes, for faults
 *
 * Returns: the bytes, valid until the next read from @src; NULL, with a fault recorded,
 * if the file ends earlier or cannot be read.
 */
const uint8_t *source_need(struct source *src, size_t n, const char *what);

/* Read an integer and advance. Return 0, or a negative errno with a fault recorded. */
int source_u8(struct source *src, const char *what, uint8_t *out);
int source_be16(struct source *src, const char *what, uint16_t *out);
int source_be32(struct source *src, const char *what, uint32_t *out);
int source_be64(struct source *src, const char *what, uint64_t *out);

/* Read a name: a length byte, then printable ASCII. @out has SOURCE_NAME bytes. */
int source_name(struct source *src, const char *what, char *out);

/* Advance by @n bytes; with source_zeros() all of them must be zero. */
int source_skip(struct source *src, uint64_t n, const char *what);
int source_zeros(struct source *src, uint64_t n, const char *what, const char *meaning);

/* Go back to offset @pos, at most SOURCE_PIECE bytes before the current one. */
void source_back(struct source *src, uint64_t pos);

/*
 * Read @n bytes at @offset into @buf, without advancing and without adding them to the
 * digest. Returns: 0, or a negative errno with a fault recorded.
 */
int source_at(struct source *src, uint64_t offset, void *buf, size_t n, const char *what);

static inline uint64_t get_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static inline uint32_t get_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

#endif
