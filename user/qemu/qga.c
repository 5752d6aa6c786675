// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>

#include "qemu/account.h"
#include "qemu/qga.h"

struct jsonsock *qga_connect(const char *path, struct json_object *user, deadline_t deadline,
			     int *code, struct err *err)
{
	struct jsonsock *js = jsonsock_connect(path, deadline, code, err);

	if (!js)
		return NULL;
	*code = account_check_peer(user, js->fd, path, err);
	if (*code == 0)
		return js;
	jsonsock_free(js);
	return NULL;
}

static struct json_object *qga_request(const char *command, const char *key, int64_t value)
{
	struct json_object *msg = json_object_new_object();
	struct json_object *args = json_object_new_object();

	jset_int(args, key, value);
	jset_str(msg, "execute", command);
	jset(msg, "arguments", args);
	return msg;
}

/*
 * The channel may still hold all or part of a reply to a command from before the kexec:
 * skip everything before the reply to this guest-sync.
 */
static int qga_await_sync(struct jsonsock *js, int64_t id, deadline_t deadline, struct err *err)
{
	for (;;) {
		_cleanup_json_ struct json_object *msg = NULL;
		int r = jsonsock_read(js, deadline, &msg, NULL);

		if (r == -EPROTO) {
			jsonsock_resync(js);
			continue;
		}
		if (r < 0)
			return fail(err, r, .what = "guest agent", .value = js->peer,
				    .why = r == -ETIMEDOUT ? "does not answer" : strerror(-r));
		if (jint(msg, "return", -1) == id)
			return 0;
	}
}

static int qga_sync(struct jsonsock *js, deadline_t deadline, struct err *err)
{
	int64_t id = now_ms() & 0x3fffffff;
	_cleanup_json_ struct json_object *msg = qga_request("guest-sync", "id", id);
	int r = jsonsock_write(js, msg, deadline, err);

	return r < 0 ? r : qga_await_sync(js, id, deadline, err);
}

static int qga_refused(struct json_object *reply, const char *command, struct err *err)
{
	const char *desc = jstr(jget(reply, "error"), "desc");

	return fail(err, -EREMOTEIO, .what = "guest agent refuses", .value = command,
		    .why = desc ? desc : "the agent gives no reason");
}

int qga_set_time_on(struct jsonsock *js, deadline_t deadline, struct err *err)
{
	_cleanup_json_ struct json_object *msg = NULL, *reply = NULL;
	struct timespec ts;
	int r = qga_sync(js, deadline, err);

	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME, &ts);
	msg = qga_request("guest-set-time", "time", (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
	r = jsonsock_write(js, msg, deadline, err);
	if (r == 0)
		r = jsonsock_read(js, deadline, &reply, err);
	if (r == 0 && jget(reply, "error"))
		r = qga_refused(reply, "guest-set-time", err);
	return r;
}

int qga_set_time(const char *path, struct json_object *user, deadline_t deadline,
		 struct err *err)
{
	int r;
	struct jsonsock *js = qga_connect(path, user, deadline, &r, err);

	if (!js)
		return r;
	r = qga_set_time_on(js, deadline, err);
	jsonsock_free(js);
	return r;
}

int qga_suspend(struct jsonsock *js, deadline_t deadline, struct err *err)
{
	_cleanup_json_ struct json_object *msg = NULL;
	int r = qga_sync(js, deadline, err);

	if (r < 0)
		return r;
	msg = json_object_new_object();
	jset_str(msg, "execute", "guest-suspend-ram");
	return jsonsock_write(js, msg, deadline, err);
}

int qga_check_refusal(struct jsonsock *js, deadline_t deadline, struct err *err)
{
	_cleanup_json_ struct json_object *reply = NULL;
	_cleanup_err_ struct err why = { 0 };
	int r = jsonsock_read(js, deadline, &reply, &why);

	if (r == -ETIMEDOUT)
		return 0;
	if (r < 0)
		return fail(err, r, .what = "guest agent", .value = js->peer, .why = why.why);
	return jget(reply, "error") ? qga_refused(reply, "guest-suspend-ram", err) : 0;
}
