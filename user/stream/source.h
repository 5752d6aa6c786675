/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A state file as it is read: once, forwards, through one buffer of fixed size,
 * whatever the file says of itself; and the first thing that is wrong with it.
 *
 * It is read, not mapped: a file that becomes shorter meanwhile is an error here
 * and would be a signal there.
 */
#ifndef CPR_SOURCE_H
#define CPR_SOURCE_H

#include <xxhash.h>

#include "base/digest.h"

/* Nothing that is looked at in one piece is longer. */
#define SOURCE_PIECE 8192
#define SOURCE_NAME 256

/**
 * enum fault_kind - what follows from a fault
 * @FAULT_NONE: there is none
 * @FAULT_DAMAGED: no QEMU writes such a file
 * @FAULT_UNPROVEN: some QEMU may, but whether it is whole cannot be told
 * @FAULT_UNREAD: the file could not be read
 */
enum fault_kind { FAULT_NONE, FAULT_DAMAGED, FAULT_UNPROVEN, FAULT_UNREAD };

/**
 * struct fault - the first place at which a file is not as it should be
 * @offset: in the file
 * @section: what was being read
 * @expected, @found: what should be there, what is
 * @meaning: what this says of the file
 *
 * Texts from the file are in it only as printable() made them.
 */
struct fault {
	enum fault_kind kind;
	uint64_t offset;
	char section[320];
	char expected[320];
	char found[320];
	char meaning[320];
};

/**
 * struct source - the file
 * @size: when it was opened
 * @pos: of what is read next
 * @section: what is being read, for a fault
 * @fault: the first
 * @doubt: one that does not count if the file's digest is the recorded one
 * @state: of the digest; NULL if none is wanted
 */
struct source {
	int fd;
	uint64_t size;
	uint64_t pos;
	char section[320];
	struct fault fault;
	struct fault doubt;
	uint8_t *buf;
	uint64_t from;
	size_t len;
	XXH3_state_t *state;
};

/**
 * source_open - begin to read
 * @fd: of a regular file; stays the caller's
 * @digest: compute it on the way
 *
 * Returns: 0 or -errno.
 */
int source_open(struct source *src, int fd, bool digest);
void source_close(struct source *src);

/* The digest, once all is read. */
void source_digest(struct source *src, struct digest *out);

/* Record a fault. Each returns -EUCLEAN; the first one is kept. */
struct fault_info {
	const char *expected;
	const char *found;
	const char *meaning;
};

#define damaged(src, offset, ...)					\
	source_fault(src, FAULT_DAMAGED, offset, &(const struct fault_info){ __VA_ARGS__ })
#define unproven(src, offset, ...)					\
	source_fault(src, FAULT_UNPROVEN, offset, &(const struct fault_info){ __VA_ARGS__ })
#define doubtful(src, offset, ...)					\
	fault_set(&(src)->doubt, src, FAULT_DAMAGED, offset,		\
		  &(const struct fault_info){ __VA_ARGS__ })

int source_fault(struct source *src, enum fault_kind kind, uint64_t offset,
		 const struct fault_info *info);
void fault_set(struct fault *fault, const struct source *src, enum fault_kind kind,
	       uint64_t offset, const struct fault_info *info);

/* Say what is being read. */
void source_in(struct source *src, const char *format, ...) _printf_(2, 3);

/* fmt() of @n bytes as they are in the file: others than plain ASCII become \xNN. */
const char *printable(const void *bytes, size_t n);

/**
 * source_need - look at what comes next
 * @n: how many bytes, at most SOURCE_PIECE
 * @what: they are, for a fault
 *
 * Returns: the bytes, valid until the next call; NULL, with a fault, if the file
 * ends before or cannot be read.
 */
const uint8_t *source_need(struct source *src, size_t n, const char *what);

/* The same, and go past them. Return 0, or a negative errno with a fault. */
int source_u8(struct source *src, const char *what, uint8_t *out);
int source_be16(struct source *src, const char *what, uint16_t *out);
int source_be32(struct source *src, const char *what, uint32_t *out);
int source_be64(struct source *src, const char *what, uint64_t *out);

/* A name: a byte for its length, then printable ASCII. @out has SOURCE_NAME bytes. */
int source_name(struct source *src, const char *what, char *out);

/* Go past @n bytes of any content, or of which all must be zero. */
int source_skip(struct source *src, uint64_t n, const char *what);
int source_zeros(struct source *src, uint64_t n, const char *what, const char *meaning);

/* Go back to @pos, at most SOURCE_PIECE bytes. */
void source_back(struct source *src, uint64_t pos);

/* Read elsewhere; it does not count for the digest. 0 or a negative errno with a fault. */
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
