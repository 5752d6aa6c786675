/* SPDX-License-Identifier: GPL-2.0-only */
/* JSON messages on a stream socket, as used by QMP and the guest agent. */
#ifndef CPR_JSONSOCK_H
#define CPR_JSONSOCK_H

#include "base/deadline.h"
#include "base/error.h"

#define JSONSOCK_MAX_MESSAGE (8u << 20)

/**
 * struct jsonsock - a connection
 * @fd: the socket, owned
 * @peer: name of the peer for errors, owned
 * @interruptible: a signal ends a wait with -EINTR
 * @sent: the peer may have got the last message that was to be sent
 * @tok: parser for the current message
 * @message: number of bytes of the current message so far
 * @pos, @len: the part of @buf that is not yet parsed
 * @buf: received bytes
 */
struct jsonsock {
	int fd;
	char *peer;
	bool interruptible;
	bool sent;
	struct json_tokener *tok;
	size_t message;
	size_t pos, len;
	char buf[16384];
};

/**
 * jsonsock_connect - connect to a listening Unix socket
 * @path: path of the socket
 * @code: 0, or on failure a negative errno: -ENOENT; -ECONNREFUSED if no process listens;
 *	-ETIMEDOUT if the one that does has too many connections waiting
 *
 * Returns: the connection, to be freed with jsonsock_free(); NULL on failure.
 */
struct jsonsock *jsonsock_connect(const char *path, deadline_t deadline, int *code,
				  struct err *err);

/* Use a connected socket, and take ownership of @fd. NULL if memory runs out. */
struct jsonsock *jsonsock_new(int fd, const char *peer);

void jsonsock_free(struct jsonsock *js);

/**
 * jsonsock_read - receive the next message
 * @out: the message, owned by the caller
 *
 * Returns: 0; -ETIMEDOUT; -ECONNRESET if the peer closed the connection; -EPROTO if the
 * message is not JSON, or nested deeper than JSON_DEPTH; -EMSGSIZE if it is longer than
 * JSONSOCK_MAX_MESSAGE; -EINTR; or another negative errno.
 */
int jsonsock_read(struct jsonsock *js, deadline_t deadline, struct json_object **out,
		  struct err *err);

/**
 * jsonsock_wait - wait until one of two connections has data to read
 *
 * Returns: 0, also if the data is not a complete message; -ETIMEDOUT; -EINTR if @a is
 * interruptible; or another negative errno.
 */
int jsonsock_wait(struct jsonsock *a, struct jsonsock *b, deadline_t deadline, struct err *err);

/*
 * Send a message and a newline. @msg remains owned by the caller. Returns: 0; -ETIMEDOUT if the
 * peer reads too little of what it was sent; or another -errno.
 */
int jsonsock_write(struct jsonsock *js, struct json_object *msg, deadline_t deadline,
		   struct err *err);

/* After -EPROTO: skip the rest of the line, so that the next line can be parsed. */
void jsonsock_resync(struct jsonsock *js);

/**
 * jsonsock_peer - the process that called listen(2) on the socket
 * @pidfd: a descriptor of it, owned by the caller; -1 if the process is gone
 *
 * A pid of a process that has exited may be that of another one by now, so the kernel is asked
 * for the descriptor, not pidfd_open(2), where it can say: from 6.5 on.
 *
 * Returns: its pid; -1 if unknown.
 */
pid_t jsonsock_peer(const struct jsonsock *js, int *pidfd);

#endif
