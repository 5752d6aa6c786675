// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "base/util.h"

static void *or_die(void *p)
{
	if (p)
		return p;
	fputs("cpr-helper: out of memory\n", stderr);
	_exit(1);
}

void *xcalloc(size_t n, size_t size)
{
	return or_die(calloc(n ? n : 1, size));
}

void *xrealloc(void *p, size_t n, size_t size)
{
	return or_die(reallocarray(p, n, size));
}

char *xstrdup(const char *s)
{
	return or_die(strdup(s));
}

char *xstrndup(const char *s, size_t len)
{
	return or_die(strndup(s, len));
}

char *xvasprintf(const char *format, va_list ap)
{
	char *s;

	if (vasprintf(&s, format, ap) < 0)
		s = NULL;
	return or_die(s);
}

char *xasprintf(const char *format, ...)
{
	va_list ap;
	char *s;

	va_start(ap, format);
	s = xvasprintf(format, ap);
	va_end(ap);
	return s;
}

const char *fmt(const char *format, ...)
{
	static char bufs[16][1024];
	static unsigned int next;
	char *buf = bufs[next++ % ARRAY_SIZE(bufs)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(buf, sizeof(bufs[0]), format, ap);
	va_end(ap);
	return buf;
}

bool str_in_list(const char *const *list, size_t n, const char *s)
{
	for (size_t i = 0; s && i < n; i++)
		if (streq(list[i], s))
			return true;
	return false;
}

char *read_text(const char *path, size_t max)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *buf = NULL;
	size_t len = 0;
	ssize_t n;
	char *text;

	if (fd < 0)
		return NULL;
	buf = xcalloc(1, max + 1);
	while ((n = read(fd, buf + len, max + 1 - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NULL;
		len += n;
		if (len > max) {
			errno = EFBIG;
			return NULL;
		}
	}
	while (len && buf[len - 1] == '\n')
		len--;
	text = xcalloc(1, len + 1);
	memcpy(text, buf, len);
	return text;
}

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= n;
	}
	return 0;
}

char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? xstrdup("/") : xstrndup(path, slash - path);
}

int free_bytes(const char *dir, uint64_t *bytes)
{
	struct statvfs fs;

	if (statvfs(dir, &fs) < 0)
		return -errno;
	*bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

int sync_dir(const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

void strv_push(struct strv *sv, const char *s)
{
	sv->v = xrealloc(sv->v, sv->n + 2, sizeof(*sv->v));
	sv->v[sv->n++] = xstrdup(s);
	sv->v[sv->n] = NULL;
}

void strv_pushf(struct strv *sv, const char *format, ...)
{
	_cleanup_free_ char *s = NULL;
	va_list ap;

	va_start(ap, format);
	s = xvasprintf(format, ap);
	va_end(ap);
	strv_push(sv, s);
}

void strv_free(struct strv *sv)
{
	for (size_t i = 0; i < sv->n; i++)
		free(sv->v[i]);
	free(sv->v);
	*sv = (struct strv){ 0 };
}

bool strv_has(const struct strv *sv, const char *s)
{
	for (size_t i = 0; i < sv->n; i++)
		if (streq(sv->v[i], s))
			return true;
	return false;
}

void strv_push_array(struct strv *sv, struct json_object *array)
{
	size_t n = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

	for (size_t i = 0; i < n; i++)
		strv_push(sv, json_object_get_string(json_object_array_get_idx(array, i)));
}

bool list_has_word(const char *list, const char *word)
{
	for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
		if (strcspn(list, ",") == strlen(word) && startswith(list, word))
			return true;
	return false;
}

char *strv_join(const struct strv *sv, const char *between)
{
	size_t len = 1;
	char *out, *p;

	for (size_t i = 0; i < sv->n; i++)
		len += strlen(sv->v[i]) + strlen(between);
	p = out = xcalloc(1, len);
	for (size_t i = 0; i < sv->n; i++)
		p = stpcpy(i ? stpcpy(p, between) : p, sv->v[i]);
	return out;
}

static bool shell_plain(const char *s)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789@%_+=:,./-";

	return *s && s[strspn(s, ok)] == '\0';
}

char *shell_quote(const char *s)
{
	char *out, *p;

	if (shell_plain(s))
		return xstrdup(s);
	p = out = xcalloc(4, strlen(s) + 1);
	*p++ = '\'';
	for (; *s; s++) {
		if (*s == '\'')
			p = stpcpy(p, "'\\''");
		else
			*p++ = *s;
	}
	*p = '\'';
	return out;
}

char *printable(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	char *out = xcalloc(len + 1, 4), *to = out;

	for (size_t i = 0; i < len; i++) {
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\')
			*to++ = p[i];
		else
			to += sprintf(to, "\\x%02x", p[i]);
	}
	return out;
}

struct json_object *json_parse(const char *text, enum json_tokener_error *why)
{
	struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH);
	struct json_object *value;

	if (!tok)
		return or_die(NULL);
	value = json_tokener_parse_ex(tok, text, -1);
	if (why)
		*why = json_tokener_get_error(tok);
	json_tokener_free(tok);
	return value;
}

struct json_object *jget(struct json_object *obj, const char *key)
{
	struct json_object *member = NULL;

	if (json_object_is_type(obj, json_type_object))
		json_object_object_get_ex(obj, key, &member);
	return member;
}

struct json_object *jfind(struct json_object *array, const char *key, const char *text)
{
	size_t n = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *obj = json_object_array_get_idx(array, i);
		const char *this = jstr(obj, key);

		if (this && streq(this, text))
			return obj;
	}
	return NULL;
}

const char *jstr(struct json_object *obj, const char *key)
{
	struct json_object *m = jget(obj, key);

	return json_object_is_type(m, json_type_string) ? json_object_get_string(m) : NULL;
}

int64_t jint(struct json_object *obj, const char *key, int64_t otherwise)
{
	struct json_object *m = jget(obj, key);

	return json_object_is_type(m, json_type_int) ? json_object_get_int64(m) : otherwise;
}

bool jbool(struct json_object *obj, const char *key, bool otherwise)
{
	struct json_object *m = jget(obj, key);

	return json_object_is_type(m, json_type_boolean) ? json_object_get_boolean(m) : otherwise;
}

void jset(struct json_object *obj, const char *key, struct json_object *value)
{
	json_object_object_add(obj, key, value);
}

void jset_str(struct json_object *obj, const char *key, const char *value)
{
	jset(obj, key, value ? json_object_new_string(value) : NULL);
}

void jset_int(struct json_object *obj, const char *key, int64_t value)
{
	jset(obj, key, json_object_new_int64(value));
}

void jset_bool(struct json_object *obj, const char *key, bool value)
{
	jset(obj, key, json_object_new_boolean(value));
}
