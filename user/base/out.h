/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Output of the commands. A command builds one JSON object, and both the text output
 * and the JSON output are made from that object, so they always agree.
 */
#ifndef CPR_OUT_H
#define CPR_OUT_H

#include "base/error.h"

#define OUT_VERSION 1

/* --json and --verbose. The main program sets them before a command runs. */
extern bool out_json;
extern bool out_verbose;

/* out_object() has printed the result object, which includes any error. */
extern bool out_printed;

/**
 * struct out_field - how to print a member of a JSON object as text
 * @key: key of the member; "a.b" is member "b" of the object "a"
 * @label: heading of the column, or label of the line
 * @show: returns the text for a value; NULL: print strings and numbers unchanged
 */
struct out_field {
	const char *key;
	const char *label;
	const char *(*show)(struct json_object *value);
};

const char *show_size(struct json_object *value);
const char *show_time(struct json_object *value);
const char *show_bool(struct json_object *value);
const char *show_argv(struct json_object *value);

/* For @show of a list: all words with @between in between; valid until the next call. */
const char *show_joined(const struct strv *words, const char *between);

/* Print an array of objects as a table: headings, then a line for each object. */
void out_table(struct json_object *array, const struct out_field *fields, size_t n);

/* Print "label: value" lines; members that are absent or null are left out. */
void out_fields(struct json_object *obj, const struct out_field *fields, size_t n);

/* Print the object with "version" added, as JSON on stdout. Takes ownership of @obj. */
void out_object(struct json_object *obj);

/* Print a line on stdout; nothing with --json. */
void say(const char *format, ...) _printf_(1, 2);

/* Print a line "cpr-helper: ..." on stderr, only with --verbose. */
void detail(const char *format, ...) _printf_(1, 2);

/* Print a line "cpr-helper: note: ..." on stderr: a problem that is no error. */
void note(const char *format, ...) _printf_(1, 2);

/* @word with the colour of that VM state, if stdout is a terminal and $NO_COLOR is unset. */
const char *coloured(const char *word);

#endif
