/* SPDX-License-Identifier: GPL-2.0-only */
/* Digest of a file: detects damage, not forgery. */
#ifndef CPR_DIGEST_H
#define CPR_DIGEST_H

#include <xxhash.h>

#include "base/error.h"

#define DIGEST_LEN 48
#define DIGEST_BYTES sizeof(XXH128_canonical_t)

/**
 * struct digest - what a file held
 * @size: bytes
 * @bytes: in canonical order
 * @text: "xxh3-128:" and 32 hexadecimal digits
 */
struct digest {
	uint64_t size;
	uint8_t bytes[DIGEST_BYTES];
	char text[DIGEST_LEN];
};

/**
 * digest_fd - digest of a file from its start to its end
 * @fd: open for reading; its offset moves
 *
 * Returns: 0 or -errno of read(2).
 */
int digest_fd(int fd, struct digest *out);

/* The same by name. */
int digest_file(const char *path, struct digest *out, struct err *err);

/* The text for what @state has been fed. @text has DIGEST_LEN bytes. */
void digest_text(const XXH3_state_t *state, char *text);

/* The text for DIGEST_BYTES @bytes. */
void digest_bytes_text(const uint8_t *bytes, char *text);

/* That text as a member of a JSON object; null if @bytes is NULL. */
void jset_digest(struct json_object *obj, const char *key, const uint8_t *bytes);

#endif
