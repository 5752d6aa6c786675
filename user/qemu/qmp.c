// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/out.h"
#include "qemu/qmp.h"

#define MAX_EVENTS 1024

void qmp_close(struct qmp *qmp)
{
	if (!qmp)
		return;
	jsonsock_free(qmp->js);
	json_object_put(qmp->events);
	free(qmp);
}

/* A guest can cause events faster than they are read: drop the oldest ones. */
static void qmp_queue_event(struct qmp *qmp, struct json_object *event)
{
	if (json_object_array_length(qmp->events) >= MAX_EVENTS)
		json_object_array_del_idx(qmp->events, 0, 1);
	json_object_array_add(qmp->events, event);
}

int qmp_event(struct qmp *qmp, deadline_t deadline, struct json_object **event, struct err *err)
{
	int r;

	*event = json_object_array_get_idx(qmp->events, 0);
	if (*event) {
		json_object_get(*event);
		json_object_array_del_idx(qmp->events, 0, 1);
		return 0;
	}
	while ((r = jsonsock_read(qmp->js, deadline, event, err)) == 0) {
		if (jget(*event, "event"))
			return 0;
		json_object_put(*event);	/* late reply to a command that timed out */
		*event = NULL;
	}
	return r;
}

static struct json_object *qmp_request(struct qmp *qmp, const char *command,
				       struct json_object *args)
{
	struct json_object *msg = json_object_new_object();

	jset_str(msg, "execute", command);
	if (args)
		jset(msg, "arguments", args);
	jset_int(msg, "id", ++qmp->id);
	return msg;
}

static int qmp_refused(struct json_object *error, const char *command, struct err *err)
{
	const char *desc = jstr(error, "desc");

	return fail(err, -EREMOTEIO, .what = "QEMU refuses", .value = command,
		    .why = desc ? desc : "QEMU gives no reason");
}

static bool qmp_is_reply(struct qmp *qmp, struct json_object *msg)
{
	if (jget(msg, "id"))
		return jint(msg, "id", -1) == qmp->id;
	return jget(msg, "error") != NULL;	/* QEMU could not parse the id */
}

int qmp_run(struct qmp *qmp, const char *command, struct json_object *args,
	    struct json_object **ret, struct err *err)
{
	_cleanup_json_ struct json_object *req = qmp_request(qmp, command, args);
	deadline_t deadline = deadline_in(qmp->patience);
	int r = jsonsock_write(qmp->js, req, deadline, err);

	detail("QMP: %s", json_object_to_json_string_ext(req, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
	if (ret)
		*ret = NULL;
	while (r == 0) {
		_cleanup_json_ struct json_object *msg = NULL;

		r = jsonsock_read(qmp->js, deadline, &msg, err);
		if (r < 0)
			break;
		if (jget(msg, "event")) {
			qmp_queue_event(qmp, json_object_get(msg));
			continue;
		}
		if (!qmp_is_reply(qmp, msg))
			continue;
		if (jget(msg, "error"))
			return qmp_refused(jget(msg, "error"), command, err);
		if (ret)
			*ret = json_object_get(jget(msg, "return"));
		return 0;
	}
	return r;
}

static int qmp_negotiate(struct qmp *qmp, deadline_t deadline, struct err *err)
{
	_cleanup_json_ struct json_object *msg = NULL;
	int r = jsonsock_read(qmp->js, deadline, &msg, err);

	if (r < 0)
		return r;
	if (!jget(msg, "QMP"))
		return fail(err, -EPROTO, .what = "no answer from", .value = qmp->js->peer,
			    .why = "it does not send QEMU's greeting");
	return qmp_run(qmp, "qmp_capabilities", NULL, NULL, err);
}

struct qmp *qmp_start(struct jsonsock *js, deadline_t deadline, int *code, struct err *err)
{
	struct qmp *qmp = xcalloc(1, sizeof(*qmp));

	qmp->js = js;
	qmp->patience = QMP_TIMEOUT_S;
	qmp->events = json_object_new_array();
	*code = qmp_negotiate(qmp, deadline, err);
	if (*code == 0)
		return qmp;
	qmp_close(qmp);
	return NULL;
}

struct qmp *qmp_open(const char *path, deadline_t deadline, int *code, struct err *err)
{
	struct jsonsock *js = jsonsock_connect(path, deadline, code, err);

	return js ? qmp_start(js, deadline, code, err) : NULL;
}

int qmp_status(struct qmp *qmp, char **status, struct err *err)
{
	_cleanup_json_ struct json_object *ret = NULL;
	int r = qmp_run(qmp, "query-status", NULL, &ret, err);

	if (r < 0)
		return r;
	if (!jstr(ret, "status"))
		return fail(err, -EPROTO, .what = "no answer from", .value = qmp->js->peer,
			    .why = "the reply to query-status has no status");
	*status = xstrdup(jstr(ret, "status"));
	return 0;
}

int qmp_qom_get(struct qmp *qmp, const char *path, const char *property,
		struct json_object **value, struct err *err)
{
	struct json_object *args = json_object_new_object();

	jset_str(args, "path", path);
	jset_str(args, "property", property);
	return qmp_run(qmp, "qom-get", args, value, err);
}
