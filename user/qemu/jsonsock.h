/* SPDX-License-Identifier: GPL-2.0-only */
/* JSON messages on a stream socket: the framing of QMP and of the guest agent. */
#ifndef CPR_JSONSOCK_H
#define CPR_JSONSOCK_H

#include "base/deadline.h"
#include "base/error.h"

#define JSONSOCK_MAX_MESSAGE (8u << 20)

/**
 * struct jsonsock - a connection
 * @fd: the socket, owned
 * @peer: what it is called in messages, owned
 * @interruptible: a signal ends a wait with -EINTR
 */
struct jsonsock {
	int fd;
	char *peer;
	bool interruptible;
	struct json_tokener *tok;
	size_t message;		/* bytes of the current message so far */
	size_t pos, len;	/* unparsed part of buf */
	char buf[16384];
};

/**
 * jsonsock_connect - connect to a listening Unix socket
 * @path: of the socket
 * @err: filled in on failure
 *
 * Returns: the connection, or NULL with *@code set: -ENOENT, -ECONNREFUSED if
 * nobody listens, or another errno.
 */
struct jsonsock *jsonsock_connect(const char *path, int *code, struct err *err);

/* Wrap a connected socket; owns @fd from here on. */
struct jsonsock *jsonsock_new(int fd, const char *peer);

void jsonsock_free(struct jsonsock *js);

/**
 * jsonsock_read - the next message
 * @out: the caller owns it
 *
 * Returns: 0, -ETIMEDOUT, -ECONNRESET when the peer closed, -EPROTO for what is
 * not JSON, -EMSGSIZE above JSONSOCK_MAX_MESSAGE, or -EINTR.
 */
int jsonsock_read(struct jsonsock *js, deadline_t deadline, struct json_object **out,
		  struct err *err);

/**
 * jsonsock_wait - until one of two connections has something to read
 *
 * Returns: 0, also if that is no whole message; -ETIMEDOUT; -EINTR if @a is
 * interruptible.
 */
int jsonsock_wait(struct jsonsock *a, struct jsonsock *b, deadline_t deadline, struct err *err);

/* Send a message and a newline. Does not take @msg. */
int jsonsock_write(struct jsonsock *js, struct json_object *msg, struct err *err);

/* Throw away the rest of a line that is not JSON, and start afresh. */
void jsonsock_resync(struct jsonsock *js);

/* Process that listened on the socket, or -1. */
pid_t jsonsock_pid(const struct jsonsock *js);

#endif
