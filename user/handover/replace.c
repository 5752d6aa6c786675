// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/paths.h"
#include "vm/manifest.h"
#include "handover/replace.h"

/* A path of these is not told from the rest of an argument of QEMU. */
static const char bad[] = "\"\\' \t\n";

/* Whether one of two paths is the other, or a directory above it. */
static bool covers(const char *a, const char *b)
{
	size_t n = strlen(a);

	return startswith(b, a) && (!b[n] || b[n] == '/');
}

static bool in_region(const char *path)
{
	return covers(path, CPRFS_ROOT) || covers(CPRFS_ROOT, path);
}

static const char *path_wrong(const char *path)
{
	size_t n = strlen(path);

	if (*path != '/' || n < 2 || path[n - 1] == '/')
		return "it is not the absolute path of a file or directory";
	if (strpbrk(path, bad) || strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../"))
		return "paths with blanks, quotes, '//', '/./' or '/../' are not replaced";
	return in_region(path) ? "what is in the region is not replaced: it is the guest's memory" :
	       NULL;
}

/* Split "OLD=NEW" in place. Returns: NULL, or what is wrong. */
static const char *word_split(char *word, const char **old, const char **new)
{
	char *equal = strchr(word, '=');
	const char *why;

	if (!equal)
		return "it is not OLD=NEW";
	*equal = '\0';
	*old = word;
	*new = equal + 1;
	why = path_wrong(*old);
	return why ? why : path_wrong(*new);
}

int replace_check(const char *paths, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(paths);
	const char *old, *new;
	char *next = copy, *word;

	while ((word = strsep(&next, ","))) {
		_cleanup_free_ char *whole = xstrdup(word);
		const char *why = word_split(word, &old, &new);

		if (why)
			return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "--replace",
				    .value = whole, .why = why,
				    .remedy = "give OLD=NEW,... as QEMU's arguments have OLD "
					      "('cpr-helper show NAME')");
	}
	return 0;
}

static bool is_path_char(char c)
{
	return c && !strchr("=,:\"", c);
}

/*
 * @text with @old replaced where it is a whole path, or the directory of one; NULL if it is
 * nowhere. Caller frees.
 */
static char *text_replace(const char *text, const char *old, const char *new)
{
	size_t n = strlen(old);
	const char *from = text, *at = text;
	char *out = NULL;

	while ((at = strstr(at, old))) {
		bool begins = at == text || !is_path_char(at[-1]);
		_cleanup_free_ char *before = out;

		if (!begins || (at[n] != '/' && is_path_char(at[n]))) {
			before = NULL;
			at++;
			continue;
		}
		out = xasprintf("%s%.*s%s", before ? before : "", (int)(at - from), from, new);
		from = at += n;
	}
	if (out) {
		_cleanup_free_ char *before = out;

		out = xasprintf("%s%s", before, from);
	}
	return out;
}

static bool member_replace(struct json_object *obj, const char *key, const char *old,
			   const char *new)
{
	const char *text = jstr(obj, key);
	_cleanup_free_ char *now = text ? text_replace(text, old, new) : NULL;

	if (now)
		jset_str(obj, key, now);
	return now;
}

/* A list of strings. */
static bool list_replace(struct json_object *list, const char *old, const char *new)
{
	bool found = false;

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(list, i));
		_cleanup_free_ char *now = text_replace(text, old, new);

		if (now)
			json_object_array_put_idx(list, i, json_object_new_string(now));
		found |= now != NULL;
	}
	return found;
}

/* A member of each object in a list. */
static bool members_replace(struct json_object *list, const char *key, const char *old,
			    const char *new)
{
	bool found = false;

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		found |= member_replace(json_object_array_get_idx(list, i), key, old, new);
	return found;
}

static bool manifest_replace(struct json_object *manifest, const char *old, const char *new)
{
	bool found = member_replace(manifest, "cwd", old, new);

	found |= list_replace(jget(manifest, "argv"), old, new);
	found |= member_replace(manifest, "agent", old, new);
	found |= member_replace(jget(manifest, "target"), "file", old, new);
	list_replace(jget(manifest, "disks"), old, new);
	list_replace(jget(manifest, "media"), old, new);
	found |= members_replace(jget(manifest, "drives"), "file", old, new);
	found |= members_replace(jget(jget(manifest, "saved"), "disks"), "path", old, new);
	return found;
}

static int replace_paths(struct vm *vm, const char *paths, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(paths);
	const char *old, *new;
	char *next = copy, *word;

	while ((word = strsep(&next, ","))) {
		if (word_split(word, &old, &new))
			return -EINVAL;		/* replace_check() has told */
		if (!manifest_replace(vm->manifest, old, new))
			return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "--replace",
				    .value = old, .why = "the VM was not started with this path",
				    .remedy = fmt("'cpr-helper show %s' prints its arguments",
						  vm->name));
	}
	return 0;
}

/* Whatever the paths are: arguments with the guest's memory stay as they are. */
static int replace_check_memory(struct vm *vm, struct json_object *before, struct err *err)
{
	struct json_object *old = jget(before, "argv"), *new = jget(vm->manifest, "argv");

	for (size_t i = 0; i < json_object_array_length(old); i++) {
		const char *a = json_object_get_string(json_object_array_get_idx(old, i));
		const char *b = json_object_get_string(json_object_array_get_idx(new, i));

		if (strstr(a, "mem-path") && !streq(a, b))
			return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED,
				    .what = "--replace", .value = a,
				    .why = "this is memory of the guest, and cannot be another file",
				    .remedy = "bring the file back to its place");
	}
	return 0;
}

static void replace_qemu(struct vm *vm, const char *qemu)
{
	struct json_object *obj = json_object_new_object();

	jset_str(obj, "binary", qemu);
	jset(jget(vm->manifest, "saved"), "qemu", obj);
}

int replace_apply(struct vm *vm, struct replace *replace, struct err *err)
{
	int r = 0;

	if (!replace || replace->before || (!replace->qemu && !replace->paths))
		return 0;
	if (json_object_deep_copy(vm->manifest, &replace->before, NULL) < 0)
		return -ENOMEM;
	if (replace->qemu)
		replace_qemu(vm, replace->qemu);
	if (replace->paths)
		r = replace_paths(vm, replace->paths, err);
	if (r == 0)
		r = replace_check_memory(vm, replace->before, err);
	if (r < 0)
		replace_undo(vm, replace);
	return r;
}

bool replace_changed(const struct replace *replace)
{
	return replace && replace->before;
}

void replace_undo(struct vm *vm, struct replace *replace)
{
	static const char *const keys[] = {
		"cwd", "argv", "agent", "disks", "media", "drives", "target", "saved",
	};

	for (size_t i = 0; replace_changed(replace) && i < ARRAY_SIZE(keys); i++) {
		struct json_object *value = jget(replace->before, keys[i]);

		if (value)
			jset(vm->manifest, keys[i], json_object_get(value));
	}
	replace_free(replace);
}

void replace_free(struct replace *replace)
{
	if (!replace)
		return;
	json_object_put(replace->before);
	replace->before = NULL;
}
