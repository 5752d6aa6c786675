// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "base/terminal.h"

/* No byte becomes more than this: \xNN, or \uNNNN. */
#define LONGEST 8

/*
 * The code point of the character that a text begins with, and its number of bytes; the byte
 * itself, and 0, if it is no UTF-8: too short, too long, a surrogate or above U+10FFFF.
 */
static size_t decode(const unsigned char *p, uint32_t *point)
{
	static const uint32_t first[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

	*point = p[0];
	if (n == 1)
		return n;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	*point = p[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			*point = p[0];
			return 0;
		}
		*point = *point << 6 | (p[i] & 0x3f);
	}
	if (*point >= first[n] && *point <= 0x10ffff && (*point < 0xd800 || *point > 0xdfff))
		return n;
	*point = p[0];
	return 0;
}

static bool is_harmless(uint32_t point)
{
	static const struct { uint32_t from, to; } harmful[] = {
		{ 0x00, 0x1f }, { 0x7f, 0x9f }, { 0x061c, 0x061c }, { 0x200e, 0x200f },
		{ 0x2028, 0x202e }, { 0x2066, 0x2069 }, { 0xfeff, 0xfeff },
	};

	for (size_t i = 0; i < ARRAY_SIZE(harmful); i++)
		if (point >= harmful[i].from && point <= harmful[i].to)
			return false;
	return true;
}

/* How a harmful character is shown. Returns: the end of what was written to @to. */
static char *show_bytes(char *to, const unsigned char *p, size_t n, uint32_t point)
{
	(void)point;
	for (size_t i = 0; i < n; i++)
		to += sprintf(to, "\\x%02x", p[i]);
	return to;
}

/* A byte that is no UTF-8 is the character that cannot be known. */
static char *show_point(char *to, const unsigned char *p, size_t n, uint32_t point)
{
	return to + sprintf(to, "\\u%04x", p[0] >= 0x80 && n == 1 ? 0xfffd : point);
}

static char *make_safe(const char *text, bool newlines,
		       char *(*show)(char *to, const unsigned char *p, size_t n, uint32_t point))
{
	char *out = xcalloc(strlen(text) + 1, LONGEST), *to = out;
	const unsigned char *p = (const unsigned char *)text;

	for (size_t n; *p; p += n) {
		uint32_t point;

		n = decode(p, &point);
		if (n && (is_harmless(point) || (newlines && (point == '\n' || point == '\t')))) {
			to = mempcpy(to, p, n);
			continue;
		}
		n = n ? n : 1;
		to = show(to, p, n, point);
	}
	return out;
}

char *terminal_safe(const char *text)
{
	return make_safe(text, true, show_bytes);
}

char *terminal_safe_line(const char *text)
{
	return make_safe(text, false, show_bytes);
}

char *terminal_safe_json(const char *text)
{
	return make_safe(text, true, show_point);
}

void terminal_vprint(FILE *to, const char *format, va_list ap)
{
	_cleanup_free_ char *text = xvasprintf(format, ap), *safe = terminal_safe(text);

	fputs(safe, to);
}

void terminal_print(FILE *to, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	terminal_vprint(to, format, ap);
	va_end(ap);
}
