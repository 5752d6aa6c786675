// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/digest.h"

static void cleanup_xxh3(XXH3_state_t **state)
{
	XXH3_freeState(*state);
}

static int digest_update(XXH3_state_t *state, int fd, uint64_t *size)
{
	const size_t len = MIB;
	_cleanup_free_ void *buf = xcalloc(1, len);
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	for (*size = 0; (n = read(fd, buf, len)) != 0; ) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		XXH3_128bits_update(state, buf, n);
		*size += n;
	}
	return 0;
}

void digest_bytes_text(const uint8_t *bytes, char *text)
{
	text += sprintf(text, "xxh3-128:");
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		text += sprintf(text, "%02x", bytes[i]);
}

void jset_digest(struct json_object *obj, const char *key, const uint8_t *bytes)
{
	char text[DIGEST_LEN];

	if (bytes)
		digest_bytes_text(bytes, text);
	jset_str(obj, key, bytes ? text : NULL);
}

void digest_finish(const XXH3_state_t *state, uint64_t size, struct digest *out)
{
	XXH128_canonical_t canon;

	XXH128_canonicalFromHash(&canon, XXH3_128bits_digest(state));
	out->size = size;
	memcpy(out->bytes, canon.digest, sizeof(out->bytes));
	digest_bytes_text(out->bytes, out->text);
}

int digest_fd(int fd, struct digest *out)
{
	_cleanup_(cleanup_xxh3) XXH3_state_t *state = XXH3_createState();
	uint64_t size = 0;
	int r;

	if (!state)
		return -ENOMEM;
	XXH3_128bits_reset(state);
	r = digest_update(state, fd, &size);
	if (r == 0)
		digest_finish(state, size, out);
	return r;
}

int digest_file(const char *path, struct digest *out, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : digest_fd(fd, out);

	if (r < 0)
		return fail(err, r, .what = "cannot read", .value = path, .why = strerror(-r));
	return 0;
}
