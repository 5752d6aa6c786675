// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "stream/source.h"

/* Small enough for the CPU's cache, large enough for efficient disk reads. */
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
	digest_finish(src->state, src->size, out);
}

const char *source_printable(const void *bytes, size_t n)
{
	_cleanup_free_ char *text = printable(bytes, n < SOURCE_NAME ? n : SOURCE_NAME - 1);

	return fmt("%s", text);
}

void source_in(struct source *src, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(src->section, sizeof(src->section), format, ap);
	va_end(ap);
}

/* Long texts are truncated: the important part is never at the end. */
static void source_copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

void source_fault_set(struct source_fault *fault, const struct source *src,
		      enum source_fault_kind kind, uint64_t offset,
		      const struct source_fault_info *info)
{
	if (fault->kind)
		return;
	fault->kind = kind;
	fault->offset = offset;
	source_copy_text(fault->section, sizeof(fault->section), src->section);
	source_copy_text(fault->expected, sizeof(fault->expected), info->expected);
	source_copy_text(fault->found, sizeof(fault->found), info->found);
	source_copy_text(fault->meaning, sizeof(fault->meaning), info->meaning);
}

int source_fail(struct source *src, enum source_fault_kind kind, uint64_t offset,
		const struct source_fault_info *info)
{
	source_fault_set(&src->fault, src, kind, offset, info);
	return -EUCLEAN;
}

static int source_unread(struct source *src, uint64_t offset, int code)
{
	source_fail(src, FAULT_UNREAD, offset, &(const struct source_fault_info){
		.expected = "bytes of the file", .found = code ? strerror(-code) : "its end",
		.meaning = code ? "the file cannot be read" :
		"the file was truncated while cpr-helper read it" });
	return code ? code : -EUCLEAN;
}

static int source_ends_early(struct source *src, const char *what, uint64_t n)
{
	return damaged(src, src->size,
		       .expected = fmt("%s (%llu bytes from byte %llu on)", what,
				       (unsigned long long)n, (unsigned long long)src->pos),
		       .found = "the end of the file",
		       .meaning = "the file is truncated");
}

static int source_read_at(struct source *src, uint64_t offset, uint8_t *buf, size_t n)
{
	while (n) {
		ssize_t got = pread(src->fd, buf, n, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return source_unread(src, offset, got < 0 ? -errno : 0);
		buf += got;
		offset += got;
		n -= got;
	}
	return 0;
}

/* Read on. Up to SOURCE_PIECE bytes before the position stay buffered, for source_back(). */
static int source_fill(struct source *src)
{
	uint64_t keep = src->pos - src->from < SOURCE_PIECE ? src->from : src->pos - SOURCE_PIECE;
	size_t kept = src->from + src->len - keep, want = BUFFER - kept;
	uint64_t end = keep + kept;
	int r;

	memmove(src->buf, src->buf + (keep - src->from), kept);
	if (want > src->size - end)
		want = src->size - end;
	r = source_read_at(src, end, src->buf + kept, want);
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
		source_ends_early(src, what, n);
		return NULL;
	}
	if (src->pos + n > src->from + src->len && source_fill(src) < 0)
		return NULL;
	return src->buf + (src->pos - src->from);
}

static const uint8_t *source_take(struct source *src, size_t n, const char *what)
{
	const uint8_t *p = source_need(src, n, what);

	if (p)
		src->pos += n;
	return p;
}

int source_u8(struct source *src, const char *what, uint8_t *out)
{
	const uint8_t *p = source_take(src, 1, what);

	if (!p)
		return -EUCLEAN;
	*out = *p;
	return 0;
}

int source_be16(struct source *src, const char *what, uint16_t *out)
{
	const uint8_t *p = source_take(src, 2, what);

	if (!p)
		return -EUCLEAN;
	*out = p[0] << 8 | p[1];
	return 0;
}

int source_be32(struct source *src, const char *what, uint32_t *out)
{
	const uint8_t *p = source_take(src, 4, what);

	if (!p)
		return -EUCLEAN;
	*out = get_be32(p);
	return 0;
}

int source_be64(struct source *src, const char *what, uint64_t *out)
{
	const uint8_t *p = source_take(src, 8, what);

	if (!p)
		return -EUCLEAN;
	*out = get_be64(p);
	return 0;
}

static bool is_plain_ascii(const uint8_t *p, size_t n)
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
	p = source_take(src, len, what);
	if (!p)
		return -EUCLEAN;
	if (!is_plain_ascii(p, len))
		return damaged(src, at, .expected = fmt("%s in plain ASCII", what),
			       .found = len ? fmt("'%s'", source_printable(p, len)) :
			       "an empty name",
			       .meaning = "the name was overwritten or lost");
	memcpy(out, p, len);
	out[len] = '\0';
	return 0;
}

int source_skip(struct source *src, uint64_t n, const char *what)
{
	if (n > src->size - src->pos)
		return source_ends_early(src, what, n);
	/* Without a digest, seek over the bytes instead of reading them. */
	if (!src->state && n > BUFFER) {
		src->from = src->pos += n;
		src->len = 0;
		return 0;
	}
	while (n) {
		size_t part = n < SOURCE_PIECE ? n : SOURCE_PIECE;

		if (!source_take(src, part, what))
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
		return source_ends_early(src, what, n);
	return source_read_at(src, offset, buf, n);
}
