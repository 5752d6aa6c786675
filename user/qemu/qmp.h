/* SPDX-License-Identifier: GPL-2.0-only */
/* QEMU's monitor protocol, from the client's side. */
#ifndef CPR_QMP_H
#define CPR_QMP_H

#include "qemu/jsonsock.h"

#define QMP_TIMEOUT_S 30

/**
 * struct qmp - a session that has negotiated its capabilities
 * @js: the connection
 * @events: those that arrived while something else was awaited, oldest first
 * @id: of the last command
 * @patience: seconds to wait for the reply to a command; QMP_TIMEOUT_S at first
 */
struct qmp {
	struct jsonsock *js;
	struct json_object *events;
	int64_t id;
	double patience;
};

/**
 * qmp_open - connect, greet, negotiate
 * @path: Unix socket that QEMU listens on
 * @deadline: for all of it
 * @code: 0 or a negative errno; -ECONNREFUSED and -ENOENT mean that no QEMU is
 *	there
 *
 * Returns: the session, to be ended with qmp_close(), or NULL.
 */
struct qmp *qmp_open(const char *path, deadline_t deadline, int *code, struct err *err);

/* The same on a connected socket, which it owns. */
struct qmp *qmp_start(struct jsonsock *js, deadline_t deadline, int *code, struct err *err);

void qmp_close(struct qmp *qmp);

static inline void cleanup_qmp(struct qmp **qmp)
{
	qmp_close(*qmp);
}
#define _cleanup_qmp_ _cleanup_(cleanup_qmp)

/**
 * qmp_run - execute a command and wait for its reply
 * @args: taken; may be NULL
 * @ret: what it returned, owned by the caller; may be NULL
 *
 * Returns: 0, -EREMOTEIO if QEMU refused (its words are in @err), or what
 * jsonsock_read() returns.
 */
int qmp_run(struct qmp *qmp, const char *command, struct json_object *args,
	    struct json_object **ret, struct err *err);

/**
 * qmp_event - the next event, from the queue or the wire
 * @event: owned by the caller
 *
 * Returns: 0, or what jsonsock_read() returns.
 */
int qmp_event(struct qmp *qmp, deadline_t deadline, struct json_object **event, struct err *err);

/* Runstate of the guest ("running", "postmigrate", ...); the caller frees it. */
int qmp_status(struct qmp *qmp, char **status, struct err *err);

/* qom-get; @value is owned by the caller. */
int qmp_qom_get(struct qmp *qmp, const char *path, const char *property,
		struct json_object **value, struct err *err);

#endif
