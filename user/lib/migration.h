/* SPDX-License-Identifier: GPL-2.0-only */
/* QEMU's migration, as save and restore use it: to and from a file, RAM left in place. */
#ifndef CPR_MIGRATION_H
#define CPR_MIGRATION_H

#include "qmp.h"

/**
 * migration_setup - set the capabilities and parameters for cpr-reboot
 * @previous: what they were, for migration_reset(); owned by the caller
 *
 * Returns: 0, -EOPNOTSUPP with exit status 4 if this QEMU has no cpr-reboot, or
 * another errno.
 */
int migration_setup(struct qmp *qmp, struct json_object **previous, struct err *err);

/* Put back what migration_setup() changed; @previous may be NULL. */
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

/* Cancel one that may be under way, and wait until it has ended. */
void migration_cancel(struct qmp *qmp);

/* Wait until the guest is in @status. */
int migration_await_status(struct qmp *qmp, const char *status, deadline_t deadline,
			   struct err *err);

#endif
