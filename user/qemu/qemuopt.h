/* SPDX-License-Identifier: GPL-2.0-only */
/* QEMU's command line, read as QEMU reads it. */
#ifndef CPR_QEMUOPT_H
#define CPR_QEMUOPT_H

#include "base/util.h"

/**
 * struct qemuopt - one option
 * @name: without its dashes; "" for a word that is not an option
 * @value: its argument, or NULL
 * @at: index of the option in argv
 * @words: how many words of argv it takes, 1 or 2
 */
struct qemuopt {
	const char *name;
	const char *value;
	size_t at;
	size_t words;
};

/**
 * qemuopt_next - step through the options
 * @argv: without the program's name
 * @pos: 0 at first; moves on
 *
 * Returns: false at the end. Which options take no argument is known from a
 * table; one that is not in it takes one.
 */
bool qemuopt_next(const struct strv *argv, size_t *pos, struct qemuopt *opt);

/**
 * keyval_parse - "a,b=c,d" or {"b": "c"}
 * @implied: key of the first part if that has no '='
 *
 * "," is written as ",," in a value; a later key without '=' is "on". Of a key
 * given twice the last wins.
 *
 * Returns: an object of the members, which the caller owns; NULL if it is
 * malformed JSON.
 */
struct json_object *keyval_parse(const char *s, const char *implied);

/* A member as text, whatever its JSON type; NULL if absent. */
const char *keyval(struct json_object *kv, const char *key);

/* A member that is on, yes, true or y. */
bool keyval_on(struct json_object *kv, const char *key);

#endif
