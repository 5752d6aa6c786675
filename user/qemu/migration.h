/* SPDX-License-Identifier: GPL-2.0-only */
/* QEMU's migration, as save and restore use it: to and from a file, RAM left in place. */
#ifndef CPR_MIGRATION_H
#define CPR_MIGRATION_H

#include "qemu/qmp.h"

/**
 * enum migration_kind - how the guest's RAM goes
 * @MIGRATION_IN_PLACE: it stays in the region
 * @MIGRATION_COPY: into the file, each page at its place, by several channels
 * @MIGRATION_STREAM: with all else, to a command
 */
enum migration_kind { MIGRATION_IN_PLACE, MIGRATION_COPY, MIGRATION_STREAM, MIGRATION_KINDS };

/**
 * struct migration_way - and what there is to say of it
 * @channels: of MIGRATION_COPY, at least 1
 * @direct: of MIGRATION_COPY: past the page cache
 */
struct migration_way {
	enum migration_kind kind;
	int channels;
	bool direct;
};

extern const struct migration_way migration_in_place;

/**
 * migration_inspect - whether QEMU's settings allow a save, and what it would change
 * @previous: {"capabilities", "parameters"} that have to be other ones, as they are;
 *	for migration_apply() and migration_reset(). Owned by the caller
 *
 * Changes nothing. Returns: 0; -EOPNOTSUPP with exit status 4 if a capability is on
 * that excludes cpr-reboot, or if this QEMU has no cpr-reboot; -EBUSY with exit
 * status 5 if a migration is under way; or another errno.
 */
int migration_inspect(struct qmp *qmp, const struct migration_way *way,
		      struct json_object **previous, struct err *err);

/* Set what was found to be other than needed. */
int migration_apply(struct qmp *qmp, const struct migration_way *way,
		    struct json_object *previous, struct err *err);

/* Both at once. */
int migration_setup(struct qmp *qmp, const struct migration_way *way,
		    struct json_object **previous, struct err *err);

/* Put back what migration_apply() changed; @previous may be NULL. */
int migration_reset(struct qmp *qmp, struct json_object *previous, struct err *err);

/* Start to write the state to @path, or to load it from there. */
int migration_save(struct qmp *qmp, const char *path, struct err *err);
int migration_load(struct qmp *qmp, const char *path, struct err *err);

/* The same by QEMU's name for what it is written to or read from. */
int migration_save_uri(struct qmp *qmp, const char *uri, struct err *err);
int migration_load_uri(struct qmp *qmp, const char *uri, struct err *err);

/**
 * migration_wait - until it has completed or failed
 *
 * Returns: 0 when completed, -EIO with QEMU's words if it failed, -ETIMEDOUT,
 * -EINTR on a signal if the connection is interruptible.
 */
int migration_wait(struct qmp *qmp, deadline_t deadline, struct err *err);

/**
 * migration_end - see that no migration is under way any more
 * @cancel: whether one that gets nowhere may be cancelled
 * @status: of the guest, once no migration changes it any more; owned by the caller
 *
 * One that goes on is waited for, however long it takes: cancelled while it writes, QEMU
 * 10.0 crashes with multifd, as its threads go on in what is freed already.
 *
 * Before it returns, QEMU must not be told "cont", for it would forget that, nor to
 * change a setting for migrations: it looks at them to know what to clean up, and
 * crashes if, say, multifd is off by then.
 *
 * Returns: 0; -ETIMEDOUT if it neither goes on nor ends; or another errno.
 */
int migration_end(struct qmp *qmp, bool cancel, char **status, struct err *err);

/* Wait until the guest is in @status. */
int migration_await_status(struct qmp *qmp, const char *status, deadline_t deadline,
			   struct err *err);

#endif
