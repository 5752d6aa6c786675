/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's command line, parsed once and as QEMU parses it. All readers walk the list of
 * options; what is known about an option is one line of the table in qemuopt_table.c.
 */
#ifndef CPR_QEMUOPT_H
#define CPR_QEMUOPT_H

#include "base/error.h"

struct qemuopt;
struct rehearsal_plan;

/**
 * enum qemuopt_arg - the argument of an option
 * @QEMUOPT_FLAG: none
 * @QEMUOPT_TEXT: one word
 * @QEMUOPT_GUEST: text for the guest, in which names of files are the guest's
 * @QEMUOPT_PATH: the path of a file
 * @QEMUOPT_KEYS: "key=value,..."
 * @QEMUOPT_JSON: the same, or {"key": "value"}
 */
enum qemuopt_arg {
	QEMUOPT_FLAG,
	QEMUOPT_TEXT,
	QEMUOPT_GUEST,
	QEMUOPT_PATH,
	QEMUOPT_KEYS,
	QEMUOPT_JSON,
};

/* The options that a reader looks for. */
enum qemuopt_id {
	QEMUOPT_OTHER,
	QEMUOPT_CHARDEV,
	QEMUOPT_DAEMONIZE,
	QEMUOPT_DEVICE,
	QEMUOPT_M,
	QEMUOPT_MACHINE,
	QEMUOPT_MEM_PATH,
	QEMUOPT_NETDEV,
	QEMUOPT_NUMA,
	QEMUOPT_OBJECT,
	QEMUOPT_S,
};

/* @dir: as refuse_option() takes it. Returns: 0, or -EOPNOTSUPP. */
typedef int qemuopt_check_fn(const struct qemuopt *opt, const char *dir, struct err *err);

/* Adds to @plan what replaces the option. Returns: false if that is not known. */
typedef bool qemuopt_rehearse_fn(struct rehearsal_plan *plan, const struct qemuopt *opt);

/**
 * struct qemuopt_kind - what is known about an option
 * @name: without dashes; "" for a word that is not an option, NULL for all options that
 *	have no line in the table
 * @arg: what its argument is
 * @implied: key of the first part if that has no '=', or NULL
 * @id: for readers that look for this option
 * @once: it is about the first start alone; launch_plan() and adopt leave it out
 * @never: why run refuses it whatever its argument, and the remedy; or NULLs
 * @run: what else run refuses of it, and so does adopt; or NULL
 * @adopt: what only adopt refuses of it, or NULL
 * @rehearse: what a rehearsal has in its place; NULL if there is no rehearsal with it
 */
struct qemuopt_kind {
	const char *name;
	enum qemuopt_arg arg;
	const char *implied;
	enum qemuopt_id id;
	bool once;
	struct { const char *why, *remedy; } never;
	qemuopt_check_fn *run, *adopt;
	qemuopt_rehearse_fn *rehearse;
};

/* First the kind of words that are not options; @name of the last is NULL. */
extern const struct qemuopt_kind qemuopt_kinds[];

/**
 * struct qemuopt - one option, or one word that is not an option
 * @kind: never NULL
 * @word: the option as it was written, with its dashes; NULL for a word that is none
 * @name: the same without dashes; "" for a word that is not an option
 * @value: the argument, or that word; NULL if there is none
 * @kv: members of @value; NULL unless @kind->arg is QEMUOPT_KEYS or QEMUOPT_JSON, and for
 *	malformed JSON
 *
 * Only a QEMUOPT_FLAG, or an option that is not known, has no @value.
 */
struct qemuopt {
	const struct qemuopt_kind *kind;
	const char *word;
	const char *name;
	const char *value;
	struct json_object *kv;
};

/**
 * struct qemuopts - the options of a command line
 *
 * Free with qemuopts_free(). Texts belong to the parsed argv, which must live as long.
 */
struct qemuopts {
	struct qemuopt *v;
	size_t n;
};

#define qemuopts_for_each(opt, opts) \
	for (const struct qemuopt *opt = (opts)->v; opt < (opts)->v + (opts)->n; opt++)

/**
 * qemuopts_parse - parse a command line
 * @argv: without the program's name
 *
 * In "key=value,..." a comma in a value is written as ",,", and a later key without '='
 * is "on". Of a key given twice the last counts. An option that is not known takes an
 * argument.
 *
 * Returns: 0; -EINVAL with exit status 2 if the last option lacks its argument.
 */
int qemuopts_parse(const struct strv *argv, struct qemuopts *opts, struct err *err);
void qemuopts_free(struct qemuopts *opts);
#define _cleanup_qemuopts_ _cleanup_(qemuopts_free)

/* Add an option to a command line, with @value in place of its own. */
void qemuopt_push(struct strv *argv, const struct qemuopt *opt, const char *value);

/* A member as text, whatever its JSON type; NULL if absent. */
const char *keyval(struct json_object *kv, const char *key);

/* Whether a member is on, yes, true or y. */
bool keyval_on(struct json_object *kv, const char *key);

/* Whether a member has this text. */
bool keyval_is(struct json_object *kv, const char *key, const char *text);

/* @key: the last part of it ("path" of "addr.path"); @value: as text. */
typedef bool keyval_match_fn(const char *key, const char *value, void *arg);

/**
 * keyval_any - whether any member matches
 * @arg: for @match
 *
 * Members of nested objects and arrays count as well.
 */
bool keyval_any(struct json_object *kv, keyval_match_fn *match, void *arg);

#endif
