// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <stdio.h>

#include "base/error.h"
#include "base/terminal.h"

static char *dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

int err_record(struct err *err, int code, const struct err_info *info)
{
	if (!err || err->set)
		return code;
	*err = (struct err){
		.set = true,
		.exit = info->exit ? info->exit : CPR_EXIT_FAILED,
		.what = xstrdup(info->what),
		.value = dup_or_null(info->value),
		.why = dup_or_null(info->why ? info->why : strerror(-code)),
		.remedy = dup_or_null(info->remedy),
	};
	return code;
}

void err_words(struct err *err, const char *words)
{
	if (err && err->set && !err->words && words && *words)
		err->words = xstrdup(words);
}

void err_remedy(struct err *err, char *remedy)
{
	if (!err || !err->set) {
		free(remedy);
		return;
	}
	free(err->remedy);
	err->remedy = remedy;
}

void err_clear(struct err *err)
{
	free(err->what);
	free(err->value);
	free(err->why);
	free(err->remedy);
	free(err->words);
	*err = (struct err){ 0 };
}

/* Each line is marked, so that none passes for a line of cpr-helper. */
static void print_words(const char *words)
{
	while (*words) {
		size_t len = strcspn(words, "\n");

		terminal_print(stderr, "  | %.*s\n", (int)len, words);
		words += len + (words[len] == '\n');
	}
}

void err_print(const struct err *err, const char *prefix)
{
	const char *rest;

	if (!err->set)
		return;
	rest = strchr(err->why, '\n');
	terminal_print(stderr, "cpr-helper: %s%s%s", prefix ? prefix : "", prefix ? ": " : "", err->what);
	if (err->value)
		terminal_print(stderr, " '%s'", err->value);
	terminal_print(stderr, ": %.*s\n", (int)strcspn(err->why, "\n"), err->why);
	if (rest)
		print_words(rest + 1);
	if (err->words)
		print_words(err->words);
	if (err->remedy)
		terminal_print(stderr, "  remedy: %s\n", err->remedy);
}

struct json_object *err_json(const struct err *err)
{
	struct json_object *obj = json_object_new_object();

	jset_str(obj, "what", err->what);
	jset_str(obj, "value", err->value);
	jset_str(obj, "why", err->why);
	jset_str(obj, "remedy", err->remedy);
	jset_int(obj, "code", err->exit);
	if (err->words)
		jset_str(obj, "words", err->words);
	return obj;
}

static char *dup_member(struct json_object *obj, const char *key)
{
	return dup_or_null(jstr(obj, key));
}

void err_from_json(struct err *err, struct json_object *obj)
{
	if (err->set || !obj)
		return;
	*err = (struct err){
		.set = true, .exit = jint(obj, "code", CPR_EXIT_FAILED),
		.what = xstrdup(jstr(obj, "what") ? jstr(obj, "what") : "?"),
		.value = dup_member(obj, "value"),
		.why = xstrdup(jstr(obj, "why") ? jstr(obj, "why") : "?"),
		.remedy = dup_member(obj, "remedy"), .words = dup_member(obj, "words"),
	};
}
