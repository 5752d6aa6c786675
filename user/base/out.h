/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the user sees on stdout. A command builds one JSON object; text and JSON
 * are two renderings of it, so they cannot say different things.
 */
#ifndef CPR_OUT_H
#define CPR_OUT_H

#include "base/error.h"

#define OUT_VERSION 1

/* Set by the global options before a command runs. */
extern bool out_json;
extern bool out_verbose;

/* Whether out_object() has printed, and so an error is in it already. */
extern bool out_printed;

/**
 * struct field - how a member is shown in text
 * @key: of the JSON object; "a.b" reaches into an object
 * @label: heading of the column, or label of the line
 * @show: text for the member; the default prints strings and numbers as they
 *	are, and "-" for null
 */
struct field {
	const char *key;
	const char *label;
	const char *(*show)(struct json_object *value);
};

const char *show_size(struct json_object *value);
const char *show_time(struct json_object *value);
const char *show_bool(struct json_object *value);
const char *show_argv(struct json_object *value);

/* For a show function of a list: valid until the next call of any of them. */
const char *show_joined(const struct strv *words, const char *between);

/* A table of an array of objects: heading, then a line for each. */
void out_table(struct json_object *array, const struct field *fields, size_t n);

/* "label: value" lines; members that are absent or null are left out. */
void out_fields(struct json_object *obj, const struct field *fields, size_t n);

/* The object with "version" added, on stdout. Takes @obj. */
void out_object(struct json_object *obj);

/* One line of text on stdout; nothing with --json. */
void say(const char *format, ...) _printf_(1, 2);

/* One line on stderr with -v. */
void detail(const char *format, ...) _printf_(1, 2);

/* One line on stderr, "cpr-helper: note: ...". */
void note(const char *format, ...) _printf_(1, 2);

/* Colours for a state's name, on a terminal without $NO_COLOR only. */
const char *coloured(const char *word);

#endif
