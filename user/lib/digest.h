/* SPDX-License-Identifier: GPL-2.0-only */
/* Digest of a file: detects damage, not forgery. */
#ifndef CPR_DIGEST_H
#define CPR_DIGEST_H

#include <xxhash.h>

#include "error.h"

#define DIGEST_LEN 48

/**
 * struct digest - what a file held
 * @size: bytes
 * @text: "xxh3-128:" and 32 hexadecimal digits
 */
struct digest {
	uint64_t size;
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

#endif
