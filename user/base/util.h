/* SPDX-License-Identifier: GPL-2.0-only */
/* Helpers for memory, strings, files and JSON. */
#ifndef CPR_UTIL_H
#define CPR_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _must_check_ __attribute__((warn_unused_result))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_json(struct json_object **obj)
{
	json_object_put(*obj);
}

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_json_ _cleanup_(cleanup_json)

#define MIB (UINT64_C(1) << 20)
#define FRAME_SIZE (2 * MIB)

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool startswith(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Whether @s ends with @suffix, and has something before it. */
static inline bool endswith(const char *s, const char *suffix)
{
	size_t len = strlen(s), n = strlen(suffix);

	return len > n && streq(s + len - n, suffix);
}

/* Cut off a suffix that endswith() finds. */
static inline void cut_suffix(char *s, const char *suffix)
{
	if (endswith(s, suffix))
		s[strlen(s) - strlen(suffix)] = '\0';
}

/* Whether @s, which may be NULL, is one of the strings of an array. */
bool str_in_list(const char *const *list, size_t n, const char *s);
#define str_in(array, s) str_in_list(array, ARRAY_SIZE(array), s)

/*
 * Allocation functions that exit the program when memory runs out: all are for small
 * sizes, and nothing useful can be done without them. The caller frees the result.
 */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);
char *xasprintf(const char *fmt, ...) _printf_(1, 2);
char *xvasprintf(const char *fmt, va_list ap) _printf_(1, 0);

/**
 * fmt - format into one of 16 static buffers
 *
 * For arguments of fail() and similar functions. The result is valid until 16 further
 * calls. Texts are truncated to 1023 bytes.
 */
const char *fmt(const char *format, ...) _printf_(1, 2);

/**
 * read_text - read a small file as a string
 * @path: path of the file, also in /proc and /sys
 * @max: largest size, bytes
 *
 * Returns: the text with trailing newlines removed, which the caller frees, or
 * NULL with errno set (EFBIG above @max).
 */
char *read_text(const char *path, size_t max);

/* Write all @len bytes. Returns: 0 or -errno. */
int write_all(int fd, const void *data, size_t len);

/* The directory part of an absolute path. Caller frees. */
char *directory_of(const char *path);

/* Bytes available in the file system of @dir (f_bavail). Returns: 0 or -errno. */
int free_bytes(const char *dir, uint64_t *bytes);

/* fsync(2) a directory. Returns: 0 or -errno. */
int sync_dir(const char *dir);

/* Whether @word is in @list, words with commas in between. @list may be NULL. */
bool list_has_word(const char *list, const char *word);

/**
 * struct strv - a growing array of strings, NULL-terminated like argv
 * @v: the strings, owned; NULL while the array is empty
 * @n: number of strings
 */
struct strv {
	char **v;
	size_t n;
};

void strv_push(struct strv *sv, const char *s);
void strv_pushf(struct strv *sv, const char *format, ...) _printf_(2, 3);
void strv_free(struct strv *sv);
bool strv_has(const struct strv *sv, const char *s);

/* Append the strings of a JSON array; none if @array is no array. */
void strv_push_array(struct strv *sv, struct json_object *array);

/* All strings joined, with @between in between. Caller frees. */
char *strv_join(const struct strv *sv, const char *between);
#define _cleanup_strv_ _cleanup_(strv_free)

/**
 * shell_quote - quote a string as one word for a shell
 *
 * Returns: the quoted string; a copy of @s if it needs no quotes. Caller frees.
 */
char *shell_quote(const char *s);

/* @len bytes as printable ASCII: other bytes and the backslash become \xNN. Caller frees. */
char *printable(const void *bytes, size_t len);

/* Of JSON that others make: QEMU nests the images of a backing chain, several hundred. */
#define JSON_DEPTH 1024

/**
 * json_parse - parse one JSON value, nested up to JSON_DEPTH
 * @why: the reason of a failure; may be NULL
 *
 * Returns: the value, owned by the caller; NULL if it is invalid or null.
 */
struct json_object *json_parse(const char *text, enum json_tokener_error *why);

/*
 * Members of a JSON object. For a missing member or one of another type they return
 * @otherwise or NULL. The results belong to @obj.
 */
const char *jstr(struct json_object *obj, const char *key);
int64_t jint(struct json_object *obj, const char *key, int64_t otherwise);
bool jbool(struct json_object *obj, const char *key, bool otherwise);
struct json_object *jget(struct json_object *obj, const char *key);

/* The first object in @array whose member @key is @text; NULL if none, or if @array is no array. */
struct json_object *jfind(struct json_object *array, const char *key, const char *text);

/* Set a member. jset() takes ownership of @value; jset_str() sets null for NULL. */
void jset_str(struct json_object *obj, const char *key, const char *value);
void jset_int(struct json_object *obj, const char *key, int64_t value);
void jset_bool(struct json_object *obj, const char *key, bool value);
void jset(struct json_object *obj, const char *key, struct json_object *value);

#endif
