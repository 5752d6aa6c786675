/* SPDX-License-Identifier: GPL-2.0-only */
/* Client for the guest agent: the commands that a handover needs. */
#ifndef CPR_QGA_H
#define CPR_QGA_H

#include "qemu/jsonsock.h"

/**
 * qga_connect - connect to the agent's channel
 * @path: its Unix socket
 * @user: who must listen on it, see account.h
 *
 * Returns: the connection, to be freed with jsonsock_free(); NULL on failure, with a negative
 * errno in @code.
 */
struct jsonsock *qga_connect(const char *path, struct json_object *user, deadline_t deadline,
			     int *code, struct err *err);

/**
 * qga_set_time - set the guest's clock to the host's time
 * @path, @user: as for qga_connect()
 * @deadline: deadline for the agent's reply
 *
 * Returns: 0; -ETIMEDOUT if no agent answers; -EREMOTEIO if the agent refused; or another
 * negative errno.
 */
int qga_set_time(const char *path, struct json_object *user, deadline_t deadline,
		 struct err *err);

/* The same on a connection, which remains owned by the caller. */
int qga_set_time_on(struct jsonsock *js, deadline_t deadline, struct err *err);

/**
 * qga_suspend - request suspend-to-RAM (guest-suspend-ram)
 * @js: connection to the agent
 * @deadline: deadline for the agent to answer guest-sync, before the request
 *
 * A successful agent sends no reply to the request. Returns: 0 when the request was sent;
 * -ETIMEDOUT if no agent answers; or another negative errno.
 */
int qga_suspend(struct jsonsock *js, deadline_t deadline, struct err *err);

/**
 * qga_check_refusal - check whether the agent has refused to suspend the guest
 * @deadline: how long to wait for a reply
 *
 * Returns: 0 if there is no reply, or one without an error; -EREMOTEIO with the agent's
 * error description in @err; -ECONNRESET if the connection was closed; or another error
 * of jsonsock_read().
 */
int qga_check_refusal(struct jsonsock *js, deadline_t deadline, struct err *err);

#endif
