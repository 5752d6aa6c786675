// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/interrupt.h"
#include "qemu/jsonsock.h"

#ifndef SO_PEERPIDFD		/* Debian 12's headers are older than the kernels */
#define SO_PEERPIDFD 77
#endif

struct jsonsock *jsonsock_new(int fd, const char *peer)
{
	struct jsonsock *js = xcalloc(1, sizeof(*js));

	js->fd = fd;
	js->peer = xstrdup(peer);
	js->tok = json_tokener_new_ex(JSON_DEPTH);
	if (!js->tok) {
		jsonsock_free(js);
		return NULL;
	}
	return js;
}

void jsonsock_free(struct jsonsock *js)
{
	if (!js)
		return;
	if (js->tok)
		json_tokener_free(js->tok);
	close(js->fd);
	free(js->peer);
	free(js);
}

/* connect(2) waits while the backlog is full, for as long as sending may take. */
static void unix_set_patience(int fd, deadline_t deadline)
{
	int left = deadline_left(deadline) + 1;		/* 0 would be for ever */
	struct timeval patience = { .tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static int unix_connect(const char *path, deadline_t deadline)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unix_set_patience(fd, deadline);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		r = errno == EAGAIN ? -ETIMEDOUT : -errno;
		close(fd);
		return r;
	}
	return fd;
}

struct jsonsock *jsonsock_connect(const char *path, deadline_t deadline, int *code,
				  struct err *err)
{
	struct jsonsock *js;
	int fd = unix_connect(path, deadline);

	if (fd < 0) {
		*code = fail(err, fd, .what = "cannot connect to", .value = path,
			     .why = strerror(-fd));
		return NULL;
	}
	js = jsonsock_new(fd, path);
	*code = js ? 0 : -ENOMEM;
	return js;
}

pid_t jsonsock_peer(const struct jsonsock *js, int *pidfd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred), fdlen = sizeof(*pidfd);
	int r = getsockopt(js->fd, SOL_SOCKET, SO_PEERPIDFD, pidfd, &fdlen) < 0 ? errno : 0;

	if (r)
		*pidfd = -1;
	if (getsockopt(js->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.pid <= 0)
		return -1;
	if (r == ENOPROTOOPT)
		*pidfd = pidfd_open(cred.pid, 0);
	return cred.pid;
}

void jsonsock_resync(struct jsonsock *js)
{
	const char *newline = memchr(js->buf + js->pos, '\n', js->len - js->pos);

	json_tokener_reset(js->tok);
	js->pos = newline ? (size_t)(newline + 1 - js->buf) : js->len;
	js->message = 0;
}

static int jsonsock_fail(struct jsonsock *js, int code, const char *why, struct err *err)
{
	return fail(err, code, .what = "no answer from", .value = js->peer, .why = why);
}

/* Returns 0 with the message, -EAGAIN if it is not complete, or an error. */
static int jsonsock_parse(struct jsonsock *js, struct json_object **out, struct err *err)
{
	size_t used;

	*out = NULL;
	/* Skip white space between messages. */
	while (!js->message && js->pos < js->len && strchr(" \t\r\n", js->buf[js->pos]))
		js->pos++;
	if (js->pos == js->len)
		return -EAGAIN;
	*out = json_tokener_parse_ex(js->tok, js->buf + js->pos, js->len - js->pos);
	used = json_tokener_get_parse_end(js->tok);
	js->pos += used;
	js->message += used;
	switch (json_tokener_get_error(js->tok)) {
	case json_tokener_success:
		js->message = 0;
		json_tokener_reset(js->tok);
		if (*out)
			return 0;
		break;
	case json_tokener_continue:
		if (js->message <= JSONSOCK_MAX_MESSAGE)
			return -EAGAIN;
		return jsonsock_fail(js, -EMSGSIZE, "its message is too long", err);
	case json_tokener_error_depth:
		return jsonsock_fail(js, -EPROTO, fmt("its message is nested too deep: more than "
						      "%d levels", JSON_DEPTH), err);
	default:
		break;
	}
	return jsonsock_fail(js, -EPROTO, "it does not send JSON", err);
}

static int jsonsock_poll(struct jsonsock *js, int other, deadline_t deadline, struct err *err)
{
	struct pollfd fds[] = {
		{ .fd = js->fd, .events = POLLIN }, { .fd = other, .events = POLLIN },
	};

	for (;;) {
		int left = deadline_left(deadline);
		struct timespec ts = { left / 1000, left % 1000 * 1000000L };
		int r = ppoll(fds, ARRAY_SIZE(fds), &ts,
			      js->interruptible ? interrupt_mask() : NULL);

		if (r > 0)
			return 0;
		if (js->interruptible && interrupted())
			return jsonsock_fail(js, -EINTR, "interrupted", err);
		if (r == 0)
			return jsonsock_fail(js, -ETIMEDOUT, "timed out", err);
		if (errno != EINTR)
			return jsonsock_fail(js, -errno, strerror(errno), err);
	}
}

static int jsonsock_receive(struct jsonsock *js, deadline_t deadline, struct err *err)
{
	ssize_t n;
	int r = jsonsock_poll(js, -1, deadline, err);

	if (r < 0)
		return r;
	n = recv(js->fd, js->buf, sizeof(js->buf), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		n = 0;
	else if (n < 0)
		return jsonsock_fail(js, -errno, strerror(errno), err);
	else if (n == 0)
		return jsonsock_fail(js, -ECONNRESET, "it closed the connection", err);
	js->pos = 0;
	js->len = n;
	return 0;
}

int jsonsock_read(struct jsonsock *js, deadline_t deadline, struct json_object **out,
		  struct err *err)
{
	int r;

	while ((r = jsonsock_parse(js, out, err)) == -EAGAIN) {
		r = jsonsock_receive(js, deadline, err);
		if (r < 0)
			return r;
	}
	return r;
}

int jsonsock_wait(struct jsonsock *a, struct jsonsock *b, deadline_t deadline, struct err *err)
{
	if (a->pos < a->len || b->pos < b->len)
		return 0;
	return jsonsock_poll(a, b->fd, deadline, err);
}

/* No signal ends this: half a message would spoil the next one. */
static int jsonsock_await_room(struct jsonsock *js, deadline_t deadline, struct err *err)
{
	struct pollfd pfd = { .fd = js->fd, .events = POLLOUT };
	int r;

	while ((r = poll(&pfd, 1, deadline_left(deadline))) < 0 && errno == EINTR)
		;
	if (r > 0)
		return 0;
	return r < 0 ? jsonsock_fail(js, -errno, strerror(errno), err) :
	       jsonsock_fail(js, -ETIMEDOUT, "timed out", err);
}

int jsonsock_write(struct jsonsock *js, struct json_object *msg, deadline_t deadline,
		   struct err *err)
{
	const char *text = json_object_to_json_string_ext(msg, JSON_C_TO_STRING_PLAIN);
	_cleanup_free_ char *line = xasprintf("%s\n", text);
	const char *p = line;
	size_t len = strlen(line);

	js->sent = false;
	while (len) {
		ssize_t n = send(js->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			int r = jsonsock_await_room(js, deadline, err);

			if (r < 0)
				return r;
			continue;
		}
		if (n < 0)
			return jsonsock_fail(js, -errno, errno == EPIPE ? "it closed the connection" :
					     strerror(errno), err);
		p += n;
		len -= n;
		js->sent = len <= 1;	/* a peer may act on a message without its newline */
	}
	return 0;
}
