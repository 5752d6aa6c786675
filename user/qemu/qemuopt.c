// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "qemu/qemuopt.h"

/* Copies a value up to a single comma; returns what follows. */
static const char *keyval_take_value(const char *s, char *out)
{
	for (; *s; s++) {
		if (*s == ',' && s[1] != ',')
			return s + 1;
		if (*s == ',')
			s++;
		*out++ = *s;
	}
	return s;
}

static const char *keyval_take_part(const char *s, const char *implied, struct json_object *kv)
{
	size_t key_len = strcspn(s, "=,");
	_cleanup_free_ char *key = xstrndup(s, key_len);
	_cleanup_free_ char *value = xcalloc(1, strlen(s) + 1);

	if (s[key_len] == '=') {
		s = keyval_take_value(s + key_len + 1, value);
		jset_str(kv, key, value);
	} else {
		s = keyval_take_value(s, value);
		jset_str(kv, implied ? implied : value, implied ? value : "on");
	}
	return s;
}

static struct json_object *keyval_parse(const char *s, const char *implied)
{
	struct json_object *kv = json_object_new_object();

	while (*s) {
		s = keyval_take_part(s, implied, kv);
		implied = NULL;
	}
	return kv;
}

static struct json_object *keyval_parse_json(const char *s)
{
	struct json_object *kv = json_parse(s, NULL);

	if (json_object_is_type(kv, json_type_object))
		return kv;
	json_object_put(kv);
	return NULL;
}

const char *keyval(struct json_object *kv, const char *key)
{
	struct json_object *m = jget(kv, key);

	return m ? json_object_get_string(m) : NULL;
}

bool keyval_on(struct json_object *kv, const char *key)
{
	static const char *const on[] = { "on", "yes", "true", "y" };

	return str_in(on, keyval(kv, key));
}

bool keyval_is(struct json_object *kv, const char *key, const char *text)
{
	const char *value = keyval(kv, key);

	return value && streq(value, text);
}

static bool keyval_matches(const char *key, struct json_object *value,
			   keyval_match_fn *match, void *arg)
{
	const char *dot = strrchr(key, '.');

	if (match(dot ? dot + 1 : key, value ? json_object_get_string(value) : "", arg))
		return true;
	if (!json_object_is_type(value, json_type_array))
		return keyval_any(value, match, arg);
	for (size_t i = 0; i < json_object_array_length(value); i++)
		if (keyval_matches(key, json_object_array_get_idx(value, i), match, arg))
			return true;
	return false;
}

/* The nesting is at most as deep as json-c parses. */
bool keyval_any(struct json_object *kv, keyval_match_fn *match, void *arg)
{
	if (!json_object_is_type(kv, json_type_object))
		return false;
	json_object_object_foreach(kv, key, value)
		if (keyval_matches(key, value, match, arg))
			return true;
	return false;
}

static const struct qemuopt_kind *qemuopt_find(const char *name)
{
	const struct qemuopt_kind *kind = qemuopt_kinds + 1;

	while (kind->name && !streq(kind->name, name))
		kind++;
	return kind;
}

static struct qemuopt qemuopt_split(const char *word)
{
	const char *name;

	if (word[0] != '-' || !word[1])
		return (struct qemuopt){ .kind = qemuopt_kinds, .name = "", .value = word };
	name = word + (word[1] == '-' ? 2 : 1);
	return (struct qemuopt){ .kind = qemuopt_find(name), .word = word, .name = name };
}

static struct json_object *qemuopt_members(const struct qemuopt *opt)
{
	enum qemuopt_arg arg = opt->kind->arg;

	if (!opt->value || (arg != QEMUOPT_KEYS && arg != QEMUOPT_JSON))
		return NULL;
	if (arg == QEMUOPT_JSON && opt->value[0] == '{')
		return keyval_parse_json(opt->value);
	return keyval_parse(opt->value, opt->kind->implied);
}

int qemuopts_parse(const struct strv *argv, struct qemuopts *opts, struct err *err)
{
	*opts = (struct qemuopts){ .v = xcalloc(argv->n, sizeof(*opts->v)) };
	for (size_t i = 0; i < argv->n; i++) {
		struct qemuopt opt = qemuopt_split(argv->v[i]);

		if (opt.word && opt.kind->arg != QEMUOPT_FLAG) {
			if (i + 1 < argv->n)
				opt.value = argv->v[++i];
			else if (opt.kind->name)
				return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE,
					    .what = "QEMU option", .value = opt.word,
					    .why = "the option requires an argument",
					    .remedy = "add the argument, or leave the option out");
		}
		opt.kv = qemuopt_members(&opt);
		opts->v[opts->n++] = opt;
	}
	return 0;
}

void qemuopts_free(struct qemuopts *opts)
{
	for (size_t i = 0; i < opts->n; i++)
		json_object_put(opts->v[i].kv);
	free(opts->v);
	*opts = (struct qemuopts){ 0 };
}

void qemuopt_push(struct strv *argv, const struct qemuopt *opt, const char *value)
{
	if (opt->word)
		strv_push(argv, opt->word);
	if (value)
		strv_push(argv, value);
}
