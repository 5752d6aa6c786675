/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The user that a VM's QEMU runs as, as "user" of the manifest has it: {"name", "uid", "gid"},
 * the gid of his primary group. NULL stands for the user of cpr-helper, which is root.
 *
 * Such a QEMU is in its user's hands: what it says, and what he can change, must never decide
 * what root does.
 */
#ifndef CPR_ACCOUNT_H
#define CPR_ACCOUNT_H

#include <sys/types.h>

#include "base/error.h"

/**
 * account_find - look up a user
 * @text: his name, or his uid
 * @user: owned by the caller; NULL for root
 *
 * Returns: 0, or -ENOENT with exit status 3.
 */
int account_find(const char *text, struct json_object **user, struct err *err);

/**
 * account_of_process - the user that a process runs as
 * @user: owned by the caller; NULL for root
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 if a process that is started as this user would
 * have other ids or groups; or another negative errno.
 */
int account_of_process(pid_t pid, struct json_object **user, struct err *err);

/*
 * Check that this user is still there, with the same ids. Returns: 0, or -ENOENT with exit
 * status 4.
 */
int account_check(struct json_object *user, struct err *err);

/*
 * Make this process one of the user's, for good: his ids, all of his groups, and HOME, USER and
 * LOGNAME. Returns: 0 or -errno.
 */
int account_enter(struct json_object *user);

/* Whether the user may access @path as by access(2). Returns: 0 or -errno. */
int account_access(struct json_object *user, const char *path, int mode);

/* Make an open file the user's. Returns: 0 or -errno. */
int account_give(struct json_object *user, int fd);

/*
 * Make a directory root's alone, and let the user in: he can use the files there that are his,
 * but neither list, make, remove nor replace any. Returns: 0 or -errno.
 */
int account_admit(struct json_object *user, const char *dir);

/**
 * account_check_kept - check that the user can neither change nor replace a file or directory
 * @what: what @path is, for the error
 * @path: absolute
 *
 * Returns: 0, or -EOPNOTSUPP with exit status 4.
 */
int account_check_kept(struct json_object *user, const char *what, const char *path,
		       struct err *err);

/*
 * Check that a socket was connected to a process of this user: a path that he can change may
 * lead to any other. Returns: 0, or -EPERM.
 */
int account_check_peer(struct json_object *user, int fd, const char *path, struct err *err);

#endif
