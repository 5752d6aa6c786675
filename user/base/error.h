/* SPDX-License-Identifier: GPL-2.0-only */
/* Errors for the user: what failed, which value, why, and a remedy. */
#ifndef CPR_ERROR_H
#define CPR_ERROR_H

#include "base/util.h"

/**
 * enum cpr_exit - exit status of the program; see cpr-helper(8)
 * @CPR_EXIT_OK: the command succeeded
 * @CPR_EXIT_FAILED: the command was tried and failed
 * @CPR_EXIT_USAGE: the command line is invalid
 * @CPR_EXIT_NOTFOUND: a named object does not exist, or there is nothing to do
 * @CPR_EXIT_REFUSED: the command cannot work on this host; nothing was changed
 * @CPR_EXIT_BUSY: an object is in use, or in another state than the command needs
 * @CPR_EXIT_PARTLY: part of the command was done; the error names the rest
 */
enum cpr_exit {
	CPR_EXIT_OK,
	CPR_EXIT_FAILED,
	CPR_EXIT_USAGE,
	CPR_EXIT_NOTFOUND,
	CPR_EXIT_REFUSED,
	CPR_EXIT_BUSY,
	CPR_EXIT_PARTLY,
};

/**
 * struct err_info - the texts of an error, as passed to fail()
 * @exit: exit status; CPR_EXIT_FAILED if left out
 * @what: the kind of object or the operation that failed
 * @value: the name of that object, as the user wrote it; may be NULL
 * @why: the reason, without a final period; strerror() of the code if NULL
 * @remedy: what the user can do about it; may be NULL
 */
struct err_info {
	enum cpr_exit exit;
	const char *what;
	const char *value;
	const char *why;
	const char *remedy;
};

/**
 * struct err - a recorded error
 * @set: an error was recorded
 * @words: lines that another program printed about the error; NULL if none
 *
 * Initialize with zeros. The first recorded error is kept: later ones occur during
 * clean-up and are consequences. Free with err_clear().
 */
struct err {
	bool set;
	enum cpr_exit exit;
	char *what;
	char *value;
	char *why;
	char *remedy;
	char *words;
};

#define _cleanup_err_ _cleanup_(err_clear)

/**
 * fail - record an error
 * @err: where to record it; may be NULL
 * @code: the negative errno to return
 * @...: designated initializers of struct err_info; the texts are copied
 *
 * Returns: @code.
 */
#define fail(err, code, ...) err_record(err, code, &(const struct err_info){ __VA_ARGS__ })

int err_record(struct err *err, int code, const struct err_info *info);

/* Add another program's output to a recorded error that has none yet. Copies @words. */
void err_words(struct err *err, const char *words);

/* Replace the remedy of a recorded error. Takes @remedy over. */
void err_remedy(struct err *err, char *remedy);

void err_clear(struct err *err);

/* Print the error on stderr; @prefix (a VM's name) may be NULL. */
void err_print(const struct err *err, const char *prefix);

/* {"what", "value", "why", "remedy", "code"[, "words"]}; the caller owns the object. */
struct json_object *err_json(const struct err *err);

/* Record the error that err_json() of another process described; @obj may be NULL. */
void err_from_json(struct err *err, struct json_object *obj);

#endif
