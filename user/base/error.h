/* SPDX-License-Identifier: GPL-2.0-only */
/* The one way to say that something failed: what, which value, why, remedy. */
#ifndef CPR_ERROR_H
#define CPR_ERROR_H

#include "base/util.h"

/**
 * enum cpr_exit - exit status of the program; see cpr-helper(8)
 * @CPR_EXIT_OK: done
 * @CPR_EXIT_FAILED: it was tried and failed
 * @CPR_EXIT_USAGE: the command line makes no sense
 * @CPR_EXIT_NOTFOUND: the named thing does not exist, or nothing is to be done
 * @CPR_EXIT_REFUSED: it cannot work here; nothing was changed
 * @CPR_EXIT_BUSY: something else uses it, or it is in another state
 * @CPR_EXIT_PARTLY: some of it was done; what is left is named
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
 * struct err_info - a failure in words, as fail() takes it
 * @exit: exit status; CPR_EXIT_FAILED if left out
 * @what: the thing that failed
 * @value: which one, as the user wrote it; may be NULL
 * @why: the reason, without a final period
 * @remedy: what to do about it; may be NULL
 */
struct err_info {
	enum cpr_exit exit;
	const char *what;
	const char *value;
	const char *why;
	const char *remedy;
};

/**
 * struct err - a failure on its way to the user
 * @set: there is one
 * @words: what another program said about it, many lines; NULL if nothing
 *
 * Starts as all zeros. The first failure is kept: what goes wrong while it is
 * being cleaned up after is a consequence. Free with err_clear().
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
 * fail - record a failure
 * @err: where to; NULL if the caller does not want to know
 * @code: the negative errno to return
 * @...: designated initializers of struct err_info
 *
 * Returns: @code.
 */
#define fail(err, code, ...) err_record(err, code, &(const struct err_info){ __VA_ARGS__ })

int err_record(struct err *err, int code, const struct err_info *info);
void err_words(struct err *err, const char *words);
void err_clear(struct err *err);

/* Human form on stderr; @prefix (a VM's name) may be NULL. */
void err_print(const struct err *err, const char *prefix);

/* {"what", "value", "why", "remedy", "code"[, "words"]}; the caller owns it. */
struct json_object *err_json(const struct err *err);

/* Back from that, in another process; nothing if @obj is NULL. */
void err_from_json(struct err *err, struct json_object *obj);

#endif
