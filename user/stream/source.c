// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "stream/source.h"

/* Stays in the processor's cache, and is large enough for the disk. */
#define BUFFER (256 << 10)

int source_open(struct source *src, int fd, bool digest)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	*src = (struct source){ .fd = fd, .size = st.st_size, .buf = xcalloc(1, BUFFER) };
	strcpy(src->section, "header");
	if (!digest)
		return 0;
	src->state = XXH3_createState();
	if (!src->state)
		return -ENOMEM;
	XXH3_128bits_reset(src->state);
	return 0;
}

void source_close(struct source *src)
{
	XXH3_freeState(src->state);
	free(src->buf);
	*src = (struct source){ .fd = -1 };
}

void source_digest(struct source *src, struct digest *out)
{
	out->size = src->size;
	digest_text(src->state, out->text);
}

const char *printable(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	char buf[SOURCE_NAME * 4 + 1], *to = buf;

	if (n > SOURCE_NAME - 1)
		n = SOURCE_NAME - 1;
	for (size_t i = 0; i < n && to < buf + sizeof(buf) - 5; i++) {
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\')
			*to++ = p[i];
		else
			to += sprintf(to, "\\x%02x", p[i]);
	}
	*to = '\0';
	return fmt("%s", buf);
}

void source_in(struct source *src, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(src->section, sizeof(src->section), format, ap);
	va_end(ap);
}

/* A text that does not fit is cut; none of them ends in what matters. */
static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

void fault_set(struct fault *fault, const struct source *src, enum fault_kind kind,
	       uint64_t offset, const struct fault_info *info)
{
	if (fault->kind)
		return;
	fault->kind = kind;
	fault->offset = offset;
	copy(fault->section, sizeof(fault->section), src->section);
	copy(fault->expected, sizeof(fault->expected), info->expected);
	copy(fault->found, sizeof(fault->found), info->found);
	copy(fault->meaning, sizeof(fault->meaning), info->meaning);
}

int source_fault(struct source *src, enum fault_kind kind, uint64_t offset,
		 const struct fault_info *info)
{
	fault_set(&src->fault, src, kind, offset, info);
	return -EUCLEAN;
}

static int unread(struct source *src, uint64_t offset, int code)
{
	source_fault(src, FAULT_UNREAD, offset, &(const struct fault_info){
		.expected = "bytes of the file", .found = code ? strerror(-code) : "its end",
		.meaning = code ? "the file cannot be read" : "it became shorter while it was read" });
	return code ? code : -EUCLEAN;
}

static int ends(struct source *src, const char *what, uint64_t n)
{
	return damaged(src, src->size,
		       .expected = fmt("%s (%llu bytes from byte %llu on)", what,
				       (unsigned long long)n, (unsigned long long)src->pos),
		       .found = "the end of the file",
		       .meaning = "the file is cut short");
}

static int read_at(struct source *src, uint64_t offset, uint8_t *buf, size_t n)
{
	while (n) {
		ssize_t got = pread(src->fd, buf, n, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return unread(src, offset, got < 0 ? -errno : 0);
		buf += got;
		offset += got;
		n -= got;
	}
	return 0;
}

/* Some bytes before the position are kept, for source_back(). */
static int fill(struct source *src)
{
	uint64_t keep = src->pos - src->from < SOURCE_PIECE ? src->from : src->pos - SOURCE_PIECE;
	size_t kept = src->from + src->len - keep, want = BUFFER - kept;
	uint64_t end = keep + kept;
	int r;

	memmove(src->buf, src->buf + (keep - src->from), kept);
	if (want > src->size - end)
		want = src->size - end;
	r = read_at(src, end, src->buf + kept, want);
	if (r < 0)
		return r;
	if (src->state)
		XXH3_128bits_update(src->state, src->buf + kept, want);
	src->from = keep;
	src->len = kept + want;
	return 0;
}

const uint8_t *source_need(struct source *src, size_t n, const char *what)
{
	if (n > src->size - src->pos) {
		ends(src, what, n);
		return NULL;
	}
	if (src->pos + n > src->from + src->len && fill(src) < 0)
		return NULL;
	return src->buf + (src->pos - src->from);
}

static const uint8_t *take(struct source *src, size_t n, const char *what)
{
	const uint8_t *p = source_need(src, n, what);

	if (p)
		src->pos += n;
	return p;
}

int source_u8(struct source *src, const char *what, uint8_t *out)
{
	const uint8_t *p = take(src, 1, what);

	if (!p)
		return -EUCLEAN;
	*out = *p;
	return 0;
}

int source_be16(struct source *src, const char *what, uint16_t *out)
{
	const uint8_t *p = take(src, 2, what);

	if (!p)
		return -EUCLEAN;
	*out = p[0] << 8 | p[1];
	return 0;
}

int source_be32(struct source *src, const char *what, uint32_t *out)
{
	const uint8_t *p = take(src, 4, what);

	if (!p)
		return -EUCLEAN;
	*out = get_be32(p);
	return 0;
}

int source_be64(struct source *src, const char *what, uint64_t *out)
{
	const uint8_t *p = take(src, 8, what);

	if (!p)
		return -EUCLEAN;
	*out = get_be64(p);
	return 0;
}

static bool plain(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < 0x20 || p[i] >= 0x7f)
			return false;
	return n > 0;
}

int source_name(struct source *src, const char *what, char *out)
{
	uint64_t at = src->pos;
	const uint8_t *p;
	uint8_t len;

	if (source_u8(src, what, &len) < 0)
		return -EUCLEAN;
	p = take(src, len, what);
	if (!p)
		return -EUCLEAN;
	if (!plain(p, len))
		return damaged(src, at, .expected = fmt("%s in plain ASCII", what),
			       .found = len ? fmt("'%s'", printable(p, len)) : "an empty one",
			       .meaning = "something else was written over it, or it was lost");
	memcpy(out, p, len);
	out[len] = '\0';
	return 0;
}

int source_skip(struct source *src, uint64_t n, const char *what)
{
	if (n > src->size - src->pos)
		return ends(src, what, n);
	/* Nothing need be read of what nobody looks at. */
	if (!src->state && n > BUFFER) {
		src->from = src->pos += n;
		src->len = 0;
		return 0;
	}
	while (n) {
		size_t part = n < SOURCE_PIECE ? n : SOURCE_PIECE;

		if (!take(src, part, what))
			return -EUCLEAN;
		n -= part;
	}
	return 0;
}

static size_t first_nonzero(const uint8_t *p)
{
	size_t i = 0;

	while (!p[i])
		i++;
	return i;
}

int source_zeros(struct source *src, uint64_t n, const char *what, const char *meaning)
{
	while (n) {
		size_t part = n < SOURCE_PIECE ? n : SOURCE_PIECE;
		const uint8_t *p = source_need(src, part, what);

		if (!p)
			return -EUCLEAN;
		if (!all_zero(p, part)) {
			size_t i = first_nonzero(p);

			return damaged(src, src->pos + i, .expected = fmt("%s, all zeros", what),
				       .found = fmt("0x%02x", p[i]), .meaning = meaning);
		}
		src->pos += part;
		n -= part;
	}
	return 0;
}

void source_back(struct source *src, uint64_t pos)
{
	src->pos = pos;
}

int source_at(struct source *src, uint64_t offset, void *buf, size_t n, const char *what)
{
	if (offset > src->size || n > src->size - offset)
		return ends(src, what, n);
	return read_at(src, offset, buf, n);
}
