/* SPDX-License-Identifier: GPL-2.0-only */
/* Client for QMP, the QEMU monitor protocol. */
#ifndef CPR_QMP_H
#define CPR_QMP_H

#include "qemu/jsonsock.h"

#define QMP_TIMEOUT_S 30

/**
 * struct qmp - a QMP session in command mode
 * @js: the connection, owned
 * @events: events that arrived while a reply was awaited, oldest first, owned
 * @id: id of the last command
 * @patience: seconds to wait for the reply to a command; initially QMP_TIMEOUT_S
 */
struct qmp {
	struct jsonsock *js;
	struct json_object *events;
	int64_t id;
	double patience;
};

/**
 * qmp_open - connect to QEMU's monitor and negotiate capabilities
 * @path: Unix socket on which QEMU listens
 * @deadline: deadline for the greeting
 * @code: 0 or a negative errno; -ECONNREFUSED and -ENOENT mean that no QEMU listens
 *
 * Returns: the session, to be closed with qmp_close(); NULL on failure.
 */
struct qmp *qmp_open(const char *path, deadline_t deadline, int *code, struct err *err);

/* The same on a connection, of which the function takes ownership, also on failure. */
struct qmp *qmp_start(struct jsonsock *js, deadline_t deadline, int *code, struct err *err);

void qmp_close(struct qmp *qmp);

static inline void cleanup_qmp(struct qmp **qmp)
{
	qmp_close(*qmp);
}
#define _cleanup_qmp_ _cleanup_(cleanup_qmp)

/**
 * qmp_run - execute a command and wait for its reply
 * @command: name of the command
 * @args: arguments, of which the function takes ownership; may be NULL
 * @ret: return value of the command, owned by the caller; may be NULL
 *
 * Returns: 0; -EREMOTEIO with QEMU's error description in @err if the command failed; or
 * the error of jsonsock_write() or jsonsock_read().
 */
int qmp_run(struct qmp *qmp, const char *command, struct json_object *args,
	    struct json_object **ret, struct err *err);

/**
 * qmp_event - get the next event, from the queue or the connection
 * @event: the event, owned by the caller
 *
 * Returns: 0 or the error of jsonsock_read().
 */
int qmp_event(struct qmp *qmp, deadline_t deadline, struct json_object **event, struct err *err);

/* Get the guest's run state ("running", "postmigrate", ...). The caller frees @status. */
int qmp_status(struct qmp *qmp, char **status, struct err *err);

/* Get a QOM property (qom-get). The caller owns @value. Returns: as qmp_run(). */
int qmp_qom_get(struct qmp *qmp, const char *path, const char *property,
		struct json_object **value, struct err *err);

#endif
