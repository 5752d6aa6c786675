// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <stdio.h>
#include <time.h>

#include "base/out.h"
#include "base/size.h"
#include "base/terminal.h"

bool out_json;
bool out_verbose;
bool out_printed;

const char *show_size(struct json_object *value)
{
	return size_human(json_object_get_int64(value));
}

const char *show_time(struct json_object *value)
{
	time_t t = json_object_get_int64(value);
	char buf[64] = "";
	struct tm tm;

	if (t && localtime_r(&t, &tm))
		strftime(buf, sizeof(buf), "%F %T %z", &tm);
	return *buf ? fmt("%s", buf) : "-";
}

const char *show_bool(struct json_object *value)
{
	return json_object_get_boolean(value) ? "yes" : "no";
}

const char *show_joined(const struct strv *words, const char *between)
{
	static char *last;

	free(last);
	last = strv_join(words, between);
	return last;
}

const char *show_argv(struct json_object *value)
{
	_cleanup_strv_ struct strv words = { 0 };

	for (size_t i = 0; i < json_object_array_length(value); i++) {
		struct json_object *word = json_object_array_get_idx(value, i);
		_cleanup_free_ char *quoted = shell_quote(json_object_get_string(word));

		strv_push(&words, quoted);
	}
	return show_joined(&words, " ");
}

static struct json_object *find_member(struct json_object *obj, const char *key)
{
	const char *dot = strchr(key, '.');
	_cleanup_free_ char *head = NULL;

	if (!dot)
		return jget(obj, key);
	head = xstrndup(key, dot - key);
	return find_member(jget(obj, head), dot + 1);
}

/* For a terminal; caller frees. NULL if there is no value. */
static char *field_text(struct json_object *obj, const struct out_field *field)
{
	struct json_object *value = find_member(obj, field->key);
	const char *text;

	if (!value)
		return NULL;
	text = field->show ? field->show(value) : json_object_get_string(value);
	return text ? terminal_safe(text) : NULL;
}

/* A cell of a table is one line. */
static char *cell_text(struct json_object *obj, const struct out_field *field)
{
	_cleanup_free_ char *text = field_text(obj, field);

	return terminal_safe_line(text ? text : "-");
}

static const struct { const char *word, *code; } colours[] = {
	{ "running", "32" }, { "saved", "33" }, { "sealed", "36" }, { "held", "36" },
	{ "dead", "31" }, { "lost", "31" },
};

const char *coloured(const char *word)
{
	const char *no = getenv("NO_COLOR");

	if (out_json || (no && *no) || !isatty(STDOUT_FILENO))
		return word;
	for (size_t i = 0; i < ARRAY_SIZE(colours); i++)
		if (streq(colours[i].word, word))
			return fmt("\033[%sm%s\033[0m", colours[i].code, word);
	return word;
}

static void print_cell(const char *text, int width, bool last)
{
	int pad = last ? 0 : width - (int)strlen(text);

	printf("%s%*s%s", coloured(text), pad > 0 ? pad : 0, "", last ? "\n" : "  ");
}

void out_table(struct json_object *array, const struct out_field *fields, size_t n)
{
	size_t rows = json_object_array_length(array);
	_cleanup_free_ int *width = xcalloc(n, sizeof(*width));

	for (size_t f = 0; f < n; f++) {
		width[f] = strlen(fields[f].label);
		for (size_t r = 0; r < rows; r++) {
			_cleanup_free_ char *t = cell_text(json_object_array_get_idx(array, r), &fields[f]);

			if ((int)strlen(t) > width[f])
				width[f] = strlen(t);
		}
	}
	for (size_t f = 0; f < n; f++)
		print_cell(fields[f].label, width[f], f == n - 1);
	for (size_t r = 0; r < rows; r++)
		for (size_t f = 0; f < n; f++) {
			_cleanup_free_ char *t = cell_text(json_object_array_get_idx(array, r), &fields[f]);

			print_cell(t, width[f], f == n - 1);
		}
}

/* Indent the further lines of a value to the column of its first line. */
static void print_value(const char *text, int indent)
{
	const char *end;

	for (; (end = strchr(text, '\n')); text = end + 1)
		printf("%.*s\n%*s", (int)(end - text), text, indent, "");
	puts(coloured(text));
}

void out_fields(struct json_object *obj, const struct out_field *fields, size_t n)
{
	int width = 0;

	for (size_t f = 0; f < n; f++)
		if ((int)strlen(fields[f].label) > width)
			width = strlen(fields[f].label);
	for (size_t f = 0; f < n; f++) {
		_cleanup_free_ char *t = field_text(obj, &fields[f]);

		if (!t)
			continue;
		printf("%s:%*s ", fields[f].label, width - (int)strlen(fields[f].label), "");
		print_value(t, width + 2);
	}
}

void out_object(struct json_object *obj)
{
	_cleanup_json_ struct json_object *all = json_object_new_object();
	_cleanup_free_ char *text = NULL;

	jset_int(all, "version", OUT_VERSION);
	json_object_object_foreach(obj, key, value)
		jset(all, key, json_object_get(value));
	json_object_put(obj);
	text = terminal_safe_json(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
	puts(text);
	fflush(stdout);
	out_printed = true;
}

static void print_line(FILE *to, const char *prefix, const char *format, va_list ap)
{
	fputs(prefix, to);
	terminal_vprint(to, format, ap);
	fputc('\n', to);
	fflush(to);
}

void say(const char *format, ...)
{
	va_list ap;

	if (out_json)
		return;
	va_start(ap, format);
	print_line(stdout, "", format, ap);
	va_end(ap);
}

void detail(const char *format, ...)
{
	va_list ap;

	if (!out_verbose)
		return;
	va_start(ap, format);
	print_line(stderr, "cpr-helper: ", format, ap);
	va_end(ap);
}

void note(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	print_line(stderr, "cpr-helper: note: ", format, ap);
	va_end(ap);
}
