/* SPDX-License-Identifier: GPL-2.0-only */
/* Digest of a file (XXH3-128): it detects damage, not forgery. */
#ifndef CPR_DIGEST_H
#define CPR_DIGEST_H

#include <xxhash.h>

#include "base/error.h"

#define DIGEST_LEN 48
#define DIGEST_BYTES sizeof(XXH128_canonical_t)

/**
 * struct digest - the digest of a file's content
 * @size: size of the content, bytes
 * @bytes: the hash in canonical (big-endian) order
 * @text: the same as "xxh3-128:" and 32 hexadecimal digits
 */
struct digest {
	uint64_t size;
	uint8_t bytes[DIGEST_BYTES];
	char text[DIGEST_LEN];
};

/**
 * digest_fd - compute the digest of a file from its start to its end
 * @fd: open for reading; the function moves the file offset
 *
 * Returns: 0, -ENOMEM, or -errno of lseek(2) or read(2).
 */
int digest_fd(int fd, struct digest *out);

/* digest_fd() of the file at @path. Returns: 0 or -errno with @err filled in. */
int digest_file(const char *path, struct digest *out, struct err *err);

/* The digest of the @size bytes that were hashed into @state. */
void digest_finish(const XXH3_state_t *state, uint64_t size, struct digest *out);

/* Write the hash @bytes, of DIGEST_BYTES, in text form to @text, of DIGEST_LEN bytes. */
void digest_bytes_text(const uint8_t *bytes, char *text);

/* Set a member of a JSON object to that text, or to null if @bytes is NULL. */
void jset_digest(struct json_object *obj, const char *key, const uint8_t *bytes);

#endif
