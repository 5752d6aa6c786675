/* SPDX-License-Identifier: GPL-2.0-only */
/* QEMU's migration, used to save the state of a guest to a file and to load it from there. */
#ifndef CPR_MIGRATION_H
#define CPR_MIGRATION_H

#include "qemu/qmp.h"

/**
 * enum migration_kind - how the migration treats the guest's RAM
 * @MIGRATION_IN_PLACE: RAM stays in the region (x-ignore-shared)
 * @MIGRATION_COPY: RAM goes to the file, each page to a fixed offset (mapped-ram)
 * @MIGRATION_COPY_LOAD: RAM comes from such a file, read by several multifd channels
 * @MIGRATION_STREAM: RAM is in the stream that QEMU writes to a command
 * @MIGRATION_KINDS: number of kinds
 *
 * A guest is never saved by multifd. If such a save fails or is cancelled, migration_cleanup()
 * of QEMU 9.1 to 10.0 frees the bitmaps of RAM (qemu_savevm_state_cleanup()) before it
 * waits for the channels' threads (multifd_send_shutdown()). A thread that is still looking
 * at pages then writes to freed memory: QEMU crashes, and the guest is lost. No order of
 * commands prevents that. A load that fails costs only the QEMU that loads.
 */
enum migration_kind {
	MIGRATION_IN_PLACE, MIGRATION_COPY, MIGRATION_COPY_LOAD, MIGRATION_STREAM, MIGRATION_KINDS
};

/**
 * struct migration_way - kind of the migration and its settings
 * @kind: how RAM is treated
 * @channels: for MIGRATION_COPY_LOAD: number of multifd channels, at least 1
 * @direct: for MIGRATION_COPY_LOAD: bypass the page cache (direct-io)
 */
struct migration_way {
	enum migration_kind kind;
	int channels;
	bool direct;
};

extern const struct migration_way migration_in_place;

/**
 * migration_inspect - check QEMU's migration settings and list those that need a change
 * @previous: current values of the settings that have to change, {"capabilities",
 *	"parameters"}, for migration_apply() and migration_reset(); owned by the caller
 *
 * Changes nothing. Returns: 0; -EOPNOTSUPP with exit status 4 if an enabled capability
 * excludes cpr-reboot, or if this QEMU has no cpr-reboot; -EBUSY with exit status 5 if a
 * migration is under way; or another negative errno.
 */
int migration_inspect(struct qmp *qmp, const struct migration_way *way,
		      struct json_object **previous, struct err *err);

/* Change the settings in @previous to the values that @way needs. Returns: 0 or -errno. */
int migration_apply(struct qmp *qmp, const struct migration_way *way,
		    struct json_object *previous, struct err *err);

/* migration_inspect(), then migration_apply(). */
int migration_setup(struct qmp *qmp, const struct migration_way *way,
		    struct json_object **previous, struct err *err);

/* Reset the settings in @previous to the values there. @previous may be NULL. */
int migration_reset(struct qmp *qmp, struct json_object *previous, struct err *err);

/* Start to write the state to @path, or to load it from @path. Return 0 or -errno. */
int migration_save(struct qmp *qmp, const char *path, struct err *err);
int migration_load(struct qmp *qmp, const char *path, struct err *err);

/* The same with a migration URI of QEMU instead of a path. */
int migration_save_uri(struct qmp *qmp, const char *uri, struct err *err);
int migration_load_uri(struct qmp *qmp, const char *uri, struct err *err);

/**
 * migration_wait - wait until the migration has completed or failed
 *
 * Returns: 0 when completed; -EIO with QEMU's error description in @err if it failed;
 * -ETIMEDOUT; -EINTR on a signal if the connection is interruptible; or another negative
 * errno.
 */
int migration_wait(struct qmp *qmp, deadline_t deadline, struct err *err);

/**
 * migration_end - wait until no migration is under way, and cancel one that is stuck
 * @cancel: cancel a migration that makes no progress
 * @status: run state of the guest after the migration; owned by the caller
 *
 * A migration that makes progress is waited for, however long it takes.
 *
 * Until this function has returned, do not send "cont", which QEMU would not carry out, and
 * do not change migration settings, because QEMU's clean-up depends on them.
 *
 * Returns: 0; -ETIMEDOUT if the migration neither makes progress nor ends; or another
 * negative errno.
 */
int migration_end(struct qmp *qmp, bool cancel, char **status, struct err *err);

/*
 * Wait until the guest's run state is not @left any more; it is @status then, owned by the
 * caller. Returns: 0, -ETIMEDOUT or another -errno.
 */
int migration_await_other_status(struct qmp *qmp, const char *left, deadline_t deadline,
				 char **status, struct err *err);

/* Wait until the guest's run state is @status. Returns: 0, -ETIMEDOUT or another -errno. */
int migration_await_status(struct qmp *qmp, const char *status, deadline_t deadline,
			   struct err *err);

#endif
