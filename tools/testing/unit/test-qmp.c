// SPDX-License-Identifier: GPL-2.0-only
/*
 * A QEMU or an agent that answers late, badly or never neither hangs nor misleads cpr-helper.
 *
 * The monitor's protocol, against a peer that follows a script: the peer writes pieces of
 * bytes and waits for requests in between, as badly as a peer can.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "ktap.h"
#include "base/interrupt.h"
#include "qemu/migration.h"
#include "qemu/qga.h"
#include "qemu/qmp.h"
#include "qemu/resume.h"
#include "qemu/suspend.h"

/* Enough for any machine, where a peer answers or closes. */
#define PATIENCE_S 20

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define HELLO { SEND, GREETING }, { READ, "qmp_capabilities" }, { SEND, "{\"return\": {}, \"id\": 1}\r\n" }

enum action { END, SEND, READ, BLOW, HANG, ECHO_SYNC };

struct step {
	enum action action;
	const char *text;
};

struct peer {
	int fd;
	const struct step *steps;
	char request[4096];	/* the last one */
	bool ok;
};

static void read_request(struct peer *p, const char *words)
{
	size_t len = 0;

	while (len < sizeof(p->request) - 1 && read(p->fd, p->request + len, 1) == 1)
		if (p->request[len++] == '\n')
			break;
	p->request[len] = '\0';
	if (!strstr(p->request, words))
		p->ok = false;
}

static void echo_sync(struct peer *p, const struct step *s)
{
	struct json_object *msg;

	read_request(p, "guest-sync");
	msg = json_tokener_parse(p->request);
	dprintf(p->fd, "%s{\"return\": %lld}\n", s->text ? s->text : "",
		(long long)jint(jget(msg, "arguments"), "id", 0));
	json_object_put(msg);
}

/* A message of @n megabytes that never ends. */
static void blow(struct peer *p, size_t n)
{
	static char block[MIB];

	memset(block, ' ', sizeof(block));
	if (write(p->fd, "{", 1) != 1)
		return;
	while (n-- && send(p->fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
}

static void *play(void *data)
{
	struct peer *p = data;

	for (const struct step *s = p->steps; s->action != END; s++) {
		if (s->action == SEND)
			send(p->fd, s->text, strlen(s->text), MSG_NOSIGNAL);
		else if (s->action == READ)
			read_request(p, s->text);
		else if (s->action == BLOW)
			blow(p, 16);
		else if (s->action == ECHO_SYNC)
			echo_sync(p, s);
		else
			while (read(p->fd, p->request, 1) > 0)
				;
	}
	close(p->fd);
	return NULL;
}

struct session {
	struct peer peer;
	pthread_t thread;
	struct jsonsock *js;
};

static void start(struct session *s, const struct step *steps)
{
	int fds[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	s->peer = (struct peer){ .fd = fds[1], .steps = steps, .ok = true };
	s->js = jsonsock_new(fds[0], "peer");
	pthread_create(&s->thread, NULL, play, &s->peer);
}

static void finish(struct session *s, struct qmp *qmp)
{
	qmp_close(qmp);
	pthread_join(s->thread, NULL);
	CHECK_MSG(s->peer.ok, "a request was not as expected: %s", s->peer.request);
}

static struct qmp *open_session(struct session *s, const struct step *steps, int *r,
				struct err *err)
{
	start(s, steps);
	return qmp_start(s->js, deadline_in(PATIENCE_S), r, err);
}

TEST(greeting_command_reply)
{
	static const struct step steps[] = {
		HELLO, { READ, "\"query-status\"" },
		{ SEND, "{\"return\": {\"status\": \"running\"}, \"id\": 2}" }, { END, NULL },
	};
	_cleanup_free_ char *status = NULL;
	struct session s;
	int r;
	struct qmp *qmp = open_session(&s, steps, &r, NULL);

	CHECK_EQ(r, 0);
	CHECK_EQ(qmp_status(qmp, &status, NULL), 0);
	CHECK_STR(status, "running");
	finish(&s, qmp);
}

/* One byte at a time, with a reply in the middle of events. */
TEST(single_bytes_events_around_the_reply)
{
	static const char text[] =
		"\n{\"event\": \"A\", \"data\": {\"s\": \"}{\\\"\"}}{\"event\":\"B\"}\r\n"
		"{\"return\": [1, {\"x\": [[]]}], \"id\": 2} {\"event\": \"C\"}";
	static const char names[] = "ABC";
	struct step steps[sizeof(text) + 8] = { HELLO, { READ, "test" } };
	_cleanup_json_ struct json_object *ret = NULL;
	char bytes[sizeof(text)][2];
	struct session s;
	struct qmp *qmp;
	int r;

	for (size_t i = 0; text[i]; i++) {
		bytes[i][0] = text[i];
		bytes[i][1] = '\0';
		steps[4 + i] = (struct step){ SEND, bytes[i] };
	}
	qmp = open_session(&s, steps, &r, NULL);
	CHECK_EQ(r, 0);
	CHECK_EQ(qmp_run(qmp, "test", NULL, &ret, NULL), 0);
	CHECK(ret && json_object_array_length(ret) == 2);
	for (size_t i = 0; names[i]; i++) {
		_cleanup_json_ struct json_object *event = NULL;
		const char want[] = { names[i], '\0' };

		CHECK_EQ(qmp_event(qmp, deadline_in(PATIENCE_S), &event, NULL), 0);
		CHECK_STR(jstr(event, "event"), want);
	}
	finish(&s, qmp);
}

TEST(qemu_refuses)
{
	static const struct step steps[] = {
		HELLO, { READ, "\"x\":1" },
		{ SEND, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no way\"}, "
			"\"id\": 2}" }, { END, NULL },
	};
	struct json_object *args = json_object_new_object();
	_cleanup_err_ struct err err = { 0 };
	struct session s;
	int r;
	struct qmp *qmp = open_session(&s, steps, &r, NULL);

	jset_int(args, "x", 1);
	CHECK_EQ(qmp_run(qmp, "test", args, NULL, &err), -EREMOTEIO);
	CHECK_STR(err.why, "no way");
	CHECK_STR(err.value, "test");
	finish(&s, qmp);
}

/* A late reply to an earlier command is not taken for this one's. */
TEST(replies_to_other_commands)
{
	static const struct step steps[] = {
		HELLO, { READ, "test" },
		{ SEND, "{\"return\": {\"v\": 1}, \"id\": 7} {\"return\": {\"v\": 2}}"
			"{\"return\": {\"v\": 3}, \"id\": 2}" }, { END, NULL },
	};
	_cleanup_json_ struct json_object *ret = NULL;
	struct session s;
	int r;
	struct qmp *qmp = open_session(&s, steps, &r, NULL);

	CHECK_EQ(qmp_run(qmp, "test", NULL, &ret, NULL), 0);
	CHECK_EQ(jint(ret, "v", 0), 3);
	finish(&s, qmp);
}

static void expect_failure(const struct step *steps, int want)
{
	_cleanup_err_ struct err err = { 0 };
	struct session s;
	int r;
	struct qmp *qmp = open_session(&s, steps, &r, &err);

	CHECK(!qmp);
	CHECK_EQ(r, want);
	CHECK(err.set && err.why);
	finish(&s, qmp);
}

TEST(a_peer_that_hangs)
{
	static const struct step silent[] = { { HANG, NULL }, { END, NULL } };
	static const struct step half[] = { { SEND, "{\"QMP\": {" }, { HANG, NULL }, { END, NULL } };
	static const struct step mute[] = { { SEND, GREETING }, { HANG, NULL }, { END, NULL } };

	setenv("CPR_TIMEOUT_SCALE", "0.02", 1);
	expect_failure(silent, -ETIMEDOUT);
	expect_failure(half, -ETIMEDOUT);
	expect_failure(mute, -ETIMEDOUT);
	unsetenv("CPR_TIMEOUT_SCALE");
}

TEST(a_peer_that_closes)
{
	static const struct step at_once[] = { { END, NULL } };
	static const struct step half[] = { { SEND, "{\"QMP\": {" }, { END, NULL } };
	static const struct step later[] = { { SEND, GREETING }, { READ, "" }, { END, NULL } };

	expect_failure(at_once, -ECONNRESET);
	expect_failure(half, -ECONNRESET);
	expect_failure(later, -ECONNRESET);
}

TEST(a_peer_that_talks_nonsense)
{
	static const struct step text[] = { { SEND, "hello?\n" }, { HANG, NULL }, { END, NULL } };
	static const struct step null[] = { { SEND, "null " }, { HANG, NULL }, { END, NULL } };
	static const struct step other[] = { { SEND, "{\"a\": 1}" }, { HANG, NULL }, { END, NULL } };

	expect_failure(text, -EPROTO);
	expect_failure(null, -EPROTO);
	expect_failure(other, -EPROTO);
}

/* A reply of an array in an array and so on. The caller frees it. */
static char *nested(size_t depth)
{
	char *text = xcalloc(1, 2 * depth + 64), *p = stpcpy(text, "{\"return\": ");

	memset(p, '[', depth);
	memset(p + depth, ']', depth);
	strcpy(p + 2 * depth, ", \"id\": 2}");
	return text;
}

/* As query-block's of a chain of backing files. */
TEST(a_reply_that_is_nested)
{
	_cleanup_free_ char *deep = nested(900), *deeper = nested(JSON_DEPTH + 1);
	const struct step good[] = { HELLO, { READ, "test" }, { SEND, deep }, { END, NULL } };
	const struct step bad[] = {
		HELLO, { READ, "test" }, { SEND, deeper }, { HANG, NULL }, { END, NULL },
	};
	_cleanup_json_ struct json_object *ret = NULL;
	_cleanup_err_ struct err err = { 0 };
	struct session s;
	int r;
	struct qmp *qmp = open_session(&s, good, &r, NULL);

	CHECK_EQ(qmp_run(qmp, "test", NULL, &ret, NULL), 0);
	CHECK(json_object_is_type(ret, json_type_array));
	finish(&s, qmp);
	qmp = open_session(&s, bad, &r, NULL);
	CHECK_EQ(qmp_run(qmp, "test", NULL, NULL, &err), -EPROTO);
	CHECK_STR(err.why, "its message is nested too deep: more than 1024 levels");
	finish(&s, qmp);
}

/* The pid of a descriptor of a process, as the kernel says. */
static long pid_of(int pidfd)
{
	_cleanup_free_ char *path = xasprintf("/proc/self/fdinfo/%d", pidfd);
	_cleanup_free_ char *text = read_text(path, 4096);
	const char *at = text ? strstr(text, "\nPid:") : NULL;

	return at ? atol(at + strlen("\nPid:")) : 0;
}

/* A process that listens at @path until a connection ends. */
static pid_t listener(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), to;
	pid_t pid;

	strcpy(sa.sun_path, path);
	CHECK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	pid = fork();
	if (pid == 0) {
		listen(fd, 1);
		to = accept(fd, NULL, NULL);
		_exit(read(to, &fd, 1) != 0);
	}
	close(fd);
	return pid;
}

TEST(the_process_behind_a_socket)
{
	char dir[] = "/tmp/test-qmp-XXXXXX";
	_cleanup_free_ char *path = mkdtemp(dir) ? xasprintf("%s/s", dir) : NULL;
	pid_t pid = listener(path);
	struct jsonsock *js;
	int pidfd, r;

	while (!(js = jsonsock_connect(path, deadline_in(PATIENCE_S), &r, NULL)) && r == -ECONNREFUSED)
		usleep(1000);
	CHECK_EQ(jsonsock_peer(js, &pidfd), pid);
	CHECK_EQ(pid_of(pidfd), pid);
	close(pidfd);
	jsonsock_free(js);
	CHECK_EQ(waitpid(pid, &r, 0), pid);
	unlink(path);
	rmdir(dir);
}

/* As of a QEMU that hangs while its monitor is asked again and again. */
TEST(a_socket_that_nobody_serves)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/test-qmp-XXXXXX";
	_cleanup_free_ char *path = mkdtemp(dir) ? xasprintf("%s/s", dir) : NULL;
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	_cleanup_err_ struct err err = { 0 };
	struct jsonsock *first;
	deadline_t begin;
	int r;

	strcpy(sa.sun_path, path);
	CHECK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 0) == 0);
	first = jsonsock_connect(path, deadline_in(PATIENCE_S), &r, NULL);
	CHECK(first);
	begin = now_ms();
	CHECK(!qmp_open(path, now_ms() + 200, &r, &err));
	CHECK_EQ(r, -ETIMEDOUT);
	CHECK(now_ms() - begin >= 200 && now_ms() - begin < 5000);
	jsonsock_free(first);
	unlink(path);
	rmdir(dir);
}

/* What it is sent waits in the socket, until that is full. */
TEST(a_peer_that_does_not_read)
{
	_cleanup_json_ struct json_object *msg = json_object_new_object();
	_cleanup_free_ char *text = xcalloc(1, 1 << 20);
	int fds[2], r = 0;
	struct jsonsock *js;
	deadline_t begin;

	memset(text, 'x', (1 << 20) - 1);
	jset_str(msg, "text", text);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	js = jsonsock_new(fds[0], "peer");
	begin = now_ms();
	for (int i = 0; i < 1000 && r == 0; i++)
		r = jsonsock_write(js, msg, begin + 200, NULL);
	CHECK_EQ(r, -ETIMEDOUT);
	CHECK(!js->sent && now_ms() - begin >= 200 && now_ms() - begin < 5000);
	jsonsock_free(js);
	close(fds[1]);
}

TEST(a_message_without_end)
{
	static const struct step steps[] = { { BLOW, NULL }, { END, NULL } };
	_cleanup_err_ struct err err = { 0 };
	struct session s;
	int r;
	struct qmp *qmp;

	start(&s, steps);
	qmp = qmp_start(s.js, deadline_in(PATIENCE_S), &r, &err);
	CHECK(!qmp);
	CHECK_EQ(r, -EMSGSIZE);
	finish(&s, qmp);
}

/* The agent's channel still holds half a reply of before. */
TEST(guest_agent)
{
	static const struct step steps[] = {
		{ ECHO_SYNC, "rn\": 5}\n{\"return\": 12}\n" },
		{ READ, "guest-set-time" }, { SEND, "{\"return\": {}}\n" }, { END, NULL },
	};
	static const struct step refuses[] = {
		{ ECHO_SYNC, NULL }, { READ, "guest-set-time" },
		{ SEND, "{\"error\": {\"desc\": \"not allowed\"}}\n" }, { END, NULL },
	};
	static const struct step absent[] = { { HANG, NULL }, { END, NULL } };
	static const struct { const struct step *steps; double seconds; int r; } cases[] = {
		{ steps, PATIENCE_S, 0 }, { refuses, PATIENCE_S, -EREMOTEIO },
		{ absent, 0.5, -ETIMEDOUT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_err_ struct err err = { 0 };
		struct session s;

		start(&s, cases[i].steps);
		CHECK_EQ(qga_set_time_on(s.js, deadline_in(cases[i].seconds), &err), cases[i].r);
		jsonsock_free(s.js);
		pthread_join(s.thread, NULL);
		CHECK(s.peer.ok);
	}
}

/* An agent that suspends the guest says nothing; one that will not, says why. */
TEST(guest_agent_suspends)
{
	static const struct step asked[] = {
		{ ECHO_SYNC, NULL }, { READ, "guest-suspend-ram" }, { HANG, NULL }, { END, NULL },
	};
	static const struct step refuses[] = {
		{ ECHO_SYNC, NULL }, { READ, "guest-suspend-ram" },
		{ SEND, "{\"error\": {\"desc\": \"not supported\"}}\n" }, { HANG, NULL }, { END, NULL },
	};
	static const struct step gone[] = {
		{ ECHO_SYNC, NULL }, { READ, "guest-suspend-ram" }, { END, NULL },
	};
	static const struct { const struct step *steps; double seconds; int r; } cases[] = {
		{ asked, 0.3, 0 }, { refuses, PATIENCE_S, -EREMOTEIO },
		{ gone, PATIENCE_S, -ECONNRESET },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_err_ struct err err = { 0 };
		struct session s;

		start(&s, cases[i].steps);
		CHECK_EQ(qga_suspend(s.js, deadline_in(PATIENCE_S), &err), 0);
		CHECK_EQ(qga_check_refusal(s.js, deadline_in(cases[i].seconds), &err), cases[i].r);
		CHECK(!cases[i].r || err.why);
		jsonsock_free(s.js);
		pthread_join(s.thread, NULL);
		CHECK(s.peer.ok);
	}
}

#define ASK(command, id, reply) \
	{ READ, command }, { SEND, "{\"return\": " reply ", \"id\": " #id "}" }
#define STATUS_IS(id, s) ASK("query-status", id, "{\"status\": \"" s "\"}")
#define WAKES(id, yes) ASK("query-current-machine", id, "{\"wakeup-suspend-support\": " yes "}")
#define EVENT(name) { SEND, "{\"event\": \"" name "\"}" }

/* Its monitor has no ports. */
#define NO_PORTS(id) ASK("human-monitor-command", id, "\"unknown command: 'o'\"")

TEST(a_guest_that_is_woken)
{
	static const struct step wakes[] = {
		HELLO, STATUS_IS(2, "suspended"), NO_PORTS(3), EVENT("WAKEUP"),
		ASK("system_wakeup", 4, "{}"), STATUS_IS(5, "running"), { END, NULL },
	};
	static const struct step runs[] = { HELLO, STATUS_IS(2, "running"), { END, NULL } };
	static const struct step refuses[] = {
		HELLO, STATUS_IS(2, "suspended"), NO_PORTS(3), { READ, "system_wakeup" },
		{ SEND, "{\"error\": {\"desc\": \"no\"}, \"id\": 4}" }, { END, NULL },
	};
	static const struct { const struct step *steps; int r; } cases[] = {
		{ wakes, 0 }, { runs, 0 }, { refuses, -EREMOTEIO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_err_ struct err err = { 0 };
		struct session s;
		int r;
		struct qmp *qmp = open_session(&s, cases[i].steps, &r, NULL);

		CHECK_EQ(guest_wake(qmp, &err), cases[i].r);
		CHECK(!!cases[i].r == err.set);
		finish(&s, qmp);
	}
}

/* A script of what is asked of the monitor, in numbers that go on. */
struct script {
	struct step steps[160];
	char texts[160][128];
	size_t n;
	int id;
};

static void ask(struct script *s, const char *words, const char *reply)
{
	char *sent = s->texts[s->n], *asked = s->texts[s->n + 1];

	snprintf(asked, sizeof(s->texts[0]), "%s", words);
	snprintf(sent, sizeof(s->texts[0]), "{\"return\": %s, \"id\": %d}", reply, ++s->id);
	s->steps[s->n++] = (struct step){ READ, asked };
	s->steps[s->n++] = (struct step){ SEND, sent };
}

static void port_out(struct script *s, uint32_t port, uint32_t value)
{
	char line[64];

	snprintf(line, sizeof(line), "w %#x %#x\"", port, value);
	ask(s, line, "\"\"");
}

static void port_in(struct script *s, uint32_t port, uint32_t value)
{
	char line[64], reply[64];

	snprintf(line, sizeof(line), "xw %#x\"", port);
	snprintf(reply, sizeof(reply), "\"portl[0x%04x] = 0x%08x\\r\\n\"", port, value);
	ask(s, line, reply);
}

static void config_is(struct script *s, uint32_t address, uint32_t value)
{
	port_out(s, 0xcf8, address);
	port_in(s, 0xcfc, value);
}

/* Registers: before, after the machine was reset, and as SeaBIOS leaves them. */
static const struct { uint32_t address, is[3]; } chipset[] = {
	{ 0x80000064, { 0, 0, 0 } },
	{ 0x80000060, { 0xb0000001, 0xb0000000, 0 } },
	{ 0x8000f840, { 0x601, 1, 0x601 } },
	{ 0x8000f844, { 0x80, 0, 0x80 } },
	{ 0x8000f8f0, { 0xfed1c001, 0xfed1c001, 0xfed1c001 } },
};

static void chipset_is(struct script *s, int when)
{
	for (size_t i = 0; i < ARRAY_SIZE(chipset); i++)
		config_is(s, chipset[i].address, chipset[i].is[when]);
}

/* What is lost is set, and nothing else; the guest's own access goes on. */
static void chipset_is_mended(struct script *s, int when)
{
	ask(s, "\"stop\"", "{}");
	s->steps[s->n++] = (struct step)EVENT("STOP");
	port_in(s, 0xcf8, 0x8000fb20);
	chipset_is(s, when);
	for (size_t i = 0; i < ARRAY_SIZE(chipset); i++) {
		if (chipset[i].is[0] == chipset[i].is[when])
			continue;
		port_out(s, 0xcf8, chipset[i].address);
		port_out(s, 0xcfc, chipset[i].is[0]);
	}
	port_out(s, 0xcf8, 0x8000fb20);
	ask(s, "\"cont\"", "{}");
}

TEST(a_q35_guest_that_is_woken)
{
	static const struct step hello[] = { HELLO };
	static struct script s = { .n = ARRAY_SIZE(hello), .id = 1 };
	_cleanup_json_ struct json_object *event = NULL;
	struct session session;
	struct qmp *qmp;
	int r;

	memcpy(s.steps, hello, sizeof(hello));
	ask(&s, "query-status", "{\"status\": \"suspended\"}");
	config_is(&s, 0x80000000, 0x29c08086);
	config_is(&s, 0x8000f800, 0x29188086);
	chipset_is(&s, 0);
	ask(&s, "system_wakeup", "{}");
	s.steps[s.n++] = (struct step)EVENT("WAKEUP");
	ask(&s, "query-status", "{\"status\": \"running\"}");
	chipset_is_mended(&s, 1);
	ask(&s, "info registers", "\"EFL=2 CR0=00000011 CR2=0\"");
	ask(&s, "info registers", "\"EFL=2 CR0=80050033 CR2=0\"");
	chipset_is_mended(&s, 2);
	s.steps[s.n++] = (struct step){ HANG, NULL };
	s.steps[s.n] = (struct step){ END, NULL };
	qmp = open_session(&session, s.steps, &r, NULL);
	CHECK_EQ(guest_wake(qmp, NULL), 0);
	CHECK_EQ(qmp_event(qmp, deadline_in(0.1), &event, NULL), -ETIMEDOUT);
	finish(&session, qmp);
}

/* With a QEMU and an agent that follow a script each. */
static void suspend(const struct step *qemu, const struct step *agent, double seconds, int want,
		    const char *words)
{
	_cleanup_err_ struct err err = { 0 };
	struct session s, a;
	int r;
	struct qmp *qmp = open_session(&s, qemu, &r, NULL);

	start(&a, agent);
	r = guest_suspend_by(qmp, a.js, deadline_in(seconds), &err);
	jsonsock_free(a.js);
	pthread_join(a.thread, NULL);
	finish(&s, qmp);
	CHECK_MSG(a.peer.ok, "the agent was asked: %s", a.peer.request);
	CHECK_EQ(r, want);
	CHECK_MSG(!words || strstr(err.why, words), "'%s' lacks '%s'", err.why, words);
}

static const struct step willing[] = {
	{ ECHO_SYNC, NULL }, { READ, "guest-suspend-ram" }, { HANG, NULL }, { END, NULL },
};

TEST(a_guest_that_suspends)
{
	static const struct step sleeps[] = {
		HELLO, WAKES(2, "true"), STATUS_IS(3, "running"), EVENT("SUSPEND"),
		STATUS_IS(4, "suspended"), { END, NULL },
	};
	static const struct step at_once[] = {
		HELLO, WAKES(2, "true"), EVENT("SUSPEND"), STATUS_IS(3, "suspended"), { END, NULL },
	};

	suspend(sleeps, willing, PATIENCE_S, 0, NULL);
	suspend(at_once, willing, PATIENCE_S, 0, NULL);
}

TEST(a_guest_that_does_not_suspend)
{
	static const struct step awake[] = {
		HELLO, WAKES(2, "true"), STATUS_IS(3, "running"), { HANG, NULL }, { END, NULL },
	};
	static const struct step unasked[] = { HELLO, WAKES(2, "true"), { HANG, NULL }, { END, NULL } };
	static const struct step no_wakeup[] = { HELLO, WAKES(2, "false"), { END, NULL } };
	static const struct step off[] = {
		HELLO, WAKES(2, "true"), STATUS_IS(3, "running"), EVENT("SHUTDOWN"),
		STATUS_IS(4, "shutdown"), { END, NULL },
	};
	static const struct step gone[] = {
		HELLO, WAKES(2, "true"), STATUS_IS(3, "running"), { END, NULL },
	};
	static const struct step refuses[] = {
		{ ECHO_SYNC, NULL }, { READ, "guest-suspend-ram" },
		{ SEND, "{\"error\": {\"desc\": \"not supported\"}}\n" }, { HANG, NULL }, { END, NULL },
	};
	static const struct step absent[] = { { HANG, NULL }, { END, NULL } };
	static const struct step idle[] = { { END, NULL } };

	suspend(awake, refuses, PATIENCE_S, -EREMOTEIO, "not supported");
	suspend(off, willing, PATIENCE_S, -EBUSY, "'shutdown'");
	suspend(gone, willing, PATIENCE_S, -ECONNRESET, NULL);
	suspend(no_wakeup, idle, PATIENCE_S, -EOPNOTSUPP, "cannot wake up");
	setenv("CPR_TIMEOUT_SCALE", "0.1", 1);
	suspend(unasked, absent, PATIENCE_S, -ETIMEDOUT, "does not answer");
	unsetenv("CPR_TIMEOUT_SCALE");
}

/* Given up, it suspends after all: it is woken. */
TEST(a_guest_that_suspends_late)
{
	static const struct step late[] = {
		HELLO, WAKES(2, "true"), STATUS_IS(3, "running"), STATUS_IS(4, "running"),
		EVENT("SUSPEND"), STATUS_IS(5, "suspended"), STATUS_IS(6, "suspended"), NO_PORTS(7),
		ASK("system_wakeup", 8, "{}"), EVENT("WAKEUP"), STATUS_IS(9, "running"),
		{ END, NULL },
	};

	/* Much more than the agent needs to read the request. */
	suspend(late, willing, 4, -ETIMEDOUT, "does not suspend");
}

TEST(a_guest_without_agent)
{
	_cleanup_err_ struct err err = { 0 };

	CHECK_EQ(guest_suspend(NULL, NULL, NULL, deadline_in(1), &err), -EOPNOTSUPP);
	CHECK(err.exit == CPR_EXIT_REFUSED && err.remedy);
}

/* A signal ends a wait only where that was allowed, and is kept until then. */
TEST(a_signal)
{
	static const struct step steps[] = {
		HELLO, { READ, "test" }, { SEND, "{\"return\": {}, \"id\": 2}" },
		{ HANG, NULL }, { END, NULL },
	};
	_cleanup_json_ struct json_object *event = NULL;
	struct session s;
	struct qmp *qmp;
	int r;

	signal(SIGINT, SIG_DFL);	/* a job in the background is born ignoring it */
	interrupt_init();
	raise(SIGINT);
	qmp = open_session(&s, steps, &r, NULL);
	CHECK_EQ(qmp_run(qmp, "test", NULL, NULL, NULL), 0);
	CHECK(!interrupted());
	qmp->js->interruptible = true;
	CHECK_EQ(qmp_event(qmp, deadline_in(PATIENCE_S), &event, NULL), -EINTR);
	CHECK(interrupted());
	CHECK(!interrupt_defer(true));
	CHECK(!interrupted());
	CHECK_EQ(qmp_event(qmp, deadline_in(0.1), &event, NULL), -ETIMEDOUT);
	CHECK(interrupt_defer(false));
	CHECK(interrupted());
	interrupt_disable();
	CHECK(!interrupted());
	raise(SIGINT);
	CHECK_EQ(qmp_event(qmp, deadline_in(0.1), &event, NULL), -ETIMEDOUT);
	finish(&s, qmp);
}

#define CONT { READ, "\"cont\"" }, { SEND, "{\"event\": \"RESUME\"} {\"return\": {}, \"id\": 2}" }
#define STATUS(s) { READ, "query-status" }, { SEND, "{\"return\": {\"status\": \"" s "\"}, \"id\": 3}" }

/* A guest that is let run is seen to run, or why it does not. */
TEST(a_guest_that_is_let_run)
{
	static const struct step runs[] = { HELLO, CONT, STATUS("running"), { END, NULL } };
	static const struct step stopped[] = {
		HELLO, CONT, { SEND, "{\"event\": \"STOP\"}" }, STATUS("internal-error"),
		{ HANG, NULL }, { END, NULL },
	};
	static const struct step off[] = {
		HELLO, CONT, { SEND, "{\"event\": \"STOP\"}" }, STATUS("shutdown"), { END, NULL },
	};
	static const struct step gone[] = { HELLO, CONT, { END, NULL } };
	static const struct {
		const struct step *steps;
		double seconds;
		int r;
		const char *word;
	} cases[] = {
		{ runs, 0.1, 0, "running" },
		{ stopped, PATIENCE_S, -EIO, "KVM" },
		{ off, PATIENCE_S, 0, "shutdown" },
		{ gone, PATIENCE_S, -ECONNRESET, "does not answer" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *status = NULL;
		_cleanup_err_ struct err err = { 0 };
		struct session s;
		int r;
		struct qmp *qmp = open_session(&s, cases[i].steps, &r, NULL);

		CHECK_EQ(guest_resume(qmp, NULL, NULL), 0);
		CHECK_EQ(guest_watch(qmp, cases[i].seconds, &status, &err), cases[i].r);
		CHECK(strstr(cases[i].r ? err.why : status, cases[i].word));
		finish(&s, qmp);
	}
}

/* Only a refusal, or a command that was not sent, proves that a guest has not run. */
TEST(whether_a_guest_may_have_run)
{
	static const struct step runs[] = { HELLO, CONT, { END, NULL } };
	static const struct step refused[] = {
		HELLO, { READ, "cont" }, { SEND, "{\"error\": {\"desc\": \"no\"}, \"id\": 2}" },
		{ END, NULL },
	};
	static const struct step dies[] = { HELLO, { READ, "cont" }, { END, NULL } };
	static const struct step babbles[] = {
		HELLO, { READ, "cont" }, { SEND, "Segmentation fault\n" }, { END, NULL },
	};
	static const struct step hangs[] = { HELLO, { HANG, NULL }, { END, NULL } };
	static const struct step gone[] = { HELLO, { END, NULL } };
	static const struct { const struct step *steps; int r; bool ran; } cases[] = {
		{ runs, 0, true }, { refused, -EREMOTEIO, false }, { dies, -ECONNRESET, true },
		{ babbles, -EPROTO, true }, { hangs, -ETIMEDOUT, true }, { gone, -EPIPE, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool ran = !cases[i].ran;
		struct session s;
		int r;
		struct qmp *qmp = open_session(&s, cases[i].steps, &r, NULL);

		if (cases[i].steps == gone)
			shutdown(s.js->fd, SHUT_WR);
		if (cases[i].steps == hangs)
			qmp->patience = 0.05;
		CHECK_EQ(guest_resume(qmp, &ran, NULL), cases[i].r);
		CHECK_EQ(ran, cases[i].ran);
		finish(&s, qmp);
	}
}

/* The STOP that save caused is no sign of trouble. */
TEST(a_guest_that_is_let_run_after_a_save)
{
	static const struct step steps[] = {
		HELLO, { READ, "cont" },
		{ SEND, "{\"event\": \"STOP\"} {\"event\": \"RESUME\"} {\"return\": {}, \"id\": 2}" },
		{ SEND, "{\"event\": \"BLOCK_IO_ERROR\"} {\"event\": \"STOP\"}" },
		STATUS("io-error"), { END, NULL },
	};
	_cleanup_free_ char *status = NULL;
	struct session s;
	int r;
	struct qmp *qmp = open_session(&s, steps, &r, NULL);

	CHECK_EQ(guest_resume(qmp, NULL, NULL), 0);
	CHECK_EQ(guest_watch(qmp, PATIENCE_S, &status, NULL), -EIO);
	finish(&s, qmp);
}

#define NO_MIGRATION ASK("query-migrate\"", 2, "{}")
#define CAPABILITIES(list) ASK("query-migrate-capabilities", 3, "[" CAP("events", "false") ", " \
			       CAP("x-ignore-shared", "false") list "]")
#define CAP(name, state) "{\"capability\": \"" name "\", \"state\": " state "}"
#define PARAMETERS(list) ASK("query-migrate-parameters", 4, "{" list "}")

/* What the user has that excludes a save: named, and nothing is set. */
TEST(settings_that_exclude_a_save)
{
	static const char *const names[] = {
		"postcopy-ram", "dirty-bitmaps", "background-snapshot", "x-colo", "mapped-ram",
		"of-next-year",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_json_ struct json_object *previous = NULL;
		_cleanup_free_ char *reply = xasprintf("{\"return\": [" CAP("%s", "true") ", "
			CAP("events", "false") ", " CAP("x-ignore-shared", "false")
			"], \"id\": 3}", names[i]);
		const struct step steps[] = {
			HELLO, NO_MIGRATION, { READ, "query-migrate-capabilities" },
			{ SEND, reply }, { END, NULL },
		};
		_cleanup_err_ struct err err = { 0 };
		struct session s;
		int r;
		struct qmp *qmp = open_session(&s, steps, &r, NULL);

		CHECK_EQ(migration_setup(qmp, &migration_in_place, &previous, &err), -EOPNOTSUPP);
		CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
		CHECK_STR(err.value, names[i]);
		CHECK(err.why && err.remedy && strstr(err.remedy, names[i]));
		finish(&s, qmp);
	}
}

/* Not what is off, or what this program can switch off for a while. */
TEST(settings_that_are_changed_and_put_back)
{
	static const struct step steps[] = {
		HELLO, NO_MIGRATION,
		CAPABILITIES(", " CAP("mapped-ram", "false") ", " CAP("multifd", "true") ", "
			     CAP("release-ram", "true") ", " CAP("xbzrle", "false") ", "
			     CAP("of-next-year", "false")),
		PARAMETERS("\"mode\": \"normal\", \"max-bandwidth\": 5, \"tls-creds\": \"\", "
			   "\"multifd-channels\": 3"),
		ASK("migrate-set-parameters\",\"arguments\":{\"mode\":\"cpr-reboot\","
		    "\"max-bandwidth\":0}", 5, "{}"),
		ASK("[{\"capability\":\"events\",\"state\":true},"
		    "{\"capability\":\"x-ignore-shared\",\"state\":true},"
		    "{\"capability\":\"multifd\",\"state\":false},"
		    "{\"capability\":\"release-ram\",\"state\":false}]", 6, "{}"),
		ASK("[{\"capability\":\"events\",\"state\":false},"
		    "{\"capability\":\"x-ignore-shared\",\"state\":false},"
		    "{\"capability\":\"multifd\",\"state\":true},"
		    "{\"capability\":\"release-ram\",\"state\":true}]", 7, "{}"),
		ASK("migrate-set-parameters\",\"arguments\":{\"mode\":\"normal\","
		    "\"max-bandwidth\":5}", 8, "{}"),
		{ END, NULL },
	};
	_cleanup_json_ struct json_object *previous = NULL;
	struct session s;
	int r;
	struct qmp *qmp = open_session(&s, steps, &r, NULL);

	CHECK_EQ(migration_setup(qmp, &migration_in_place, &previous, NULL), 0);
	CHECK_EQ(migration_reset(qmp, previous, NULL), 0);
	CHECK_EQ(migration_reset(qmp, NULL, NULL), 0);
	finish(&s, qmp);
}

/* A save by several channels that fails crashes QEMU; a load by them does not matter. */
TEST(multifd_only_loads)
{
	static const struct migration_way ways[] = {
		{ .kind = MIGRATION_COPY },
		{ .kind = MIGRATION_COPY_LOAD, .channels = 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const struct step steps[] = {
			HELLO, NO_MIGRATION,
			CAPABILITIES(", " CAP("mapped-ram", "true") ", " CAP("multifd", "true")),
			PARAMETERS("\"mode\": \"cpr-reboot\", \"multifd-channels\": 7"),
			{ END, NULL },
		};
		_cleanup_json_ struct json_object *previous = NULL;
		struct session s;
		int r;
		struct qmp *qmp = open_session(&s, steps, &r, NULL);
		const char *changed;

		CHECK_EQ(migration_inspect(qmp, &ways[i], &previous, NULL), 0);
		changed = json_object_to_json_string(previous);
		CHECK_EQ(!strstr(changed, "multifd\""), ways[i].kind == MIGRATION_COPY_LOAD);
		CHECK_EQ(!strstr(changed, "multifd-channels"), ways[i].kind == MIGRATION_COPY);
		finish(&s, qmp);
	}
}

TEST(a_migration_under_way)
{
	static const struct { const char *reply; int r; } cases[] = {
		{ "\"status\": \"setup\"", -EBUSY }, { "\"status\": \"active\"", -EBUSY },
		{ "\"status\": \"postcopy-paused\"", -EBUSY }, { "\"status\": \"colo\"", -EBUSY },
		{ "\"status\": \"of-next-year\"", -EBUSY }, { "\"status\": \"cancelling\"", -EBUSY },
		{ "", 0 }, { "\"status\": \"none\"", 0 }, { "\"status\": \"completed\"", 0 },
		{ "\"status\": \"failed\"", 0 }, { "\"status\": \"cancelled\"", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *previous = NULL;
		_cleanup_free_ char *reply = xasprintf("{\"return\": {%s}, \"id\": 2}", cases[i].reply);
		const struct step steps[] = {
			HELLO, { READ, "query-migrate\"" }, { SEND, reply },
			cases[i].r ? (struct step){ END, NULL } : (struct step)
			{ READ, "query-migrate-capabilities" },
			{ SEND, "{\"return\": [" CAP("events", "true") ", " CAP("x-ignore-shared", "true")
				"], \"id\": 3}" },
			PARAMETERS("\"mode\": \"cpr-reboot\""), { END, NULL },
		};
		_cleanup_err_ struct err err = { 0 };
		struct session s;
		int r;
		struct qmp *qmp = open_session(&s, steps, &r, NULL);

		CHECK_EQ(migration_setup(qmp, &migration_in_place, &previous, &err), cases[i].r);
		CHECK(!cases[i].r || err.exit == CPR_EXIT_BUSY);
		finish(&s, qmp);
	}
}

/* Answers that no QEMU gives, and those of one that is too old. */
TEST(settings_that_cannot_be_told)
{
	static const struct { const char *capabilities, *parameters; int r; } cases[] = {
		{ "[]", NULL, -EOPNOTSUPP }, { "[" CAP("events", "false") "]", NULL, -EOPNOTSUPP },
		{ "{}", NULL, -EPROTO }, { "[[], {}]", NULL, -EOPNOTSUPP },
		{ "[" CAP("events", "true") ", " CAP("x-ignore-shared", "true") ", {}]", NULL, -EPROTO },
		{ "[" CAP("events", "true") ", " CAP("x-ignore-shared", "true") "]", "{}", -EOPNOTSUPP },
		{ "[" CAP("events", "true") ", " CAP("x-ignore-shared", "true") "]", "[]", -EOPNOTSUPP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *previous = NULL;
		_cleanup_free_ char *caps = xasprintf("{\"return\": %s, \"id\": 3}", cases[i].capabilities);
		_cleanup_free_ char *params = xasprintf("{\"return\": %s, \"id\": 4}",
							cases[i].parameters);
		const struct step steps[] = {
			HELLO, NO_MIGRATION, { READ, "query-migrate-capabilities" }, { SEND, caps },
			cases[i].parameters ? (struct step){ READ, "query-migrate-parameters" } :
			(struct step){ END, NULL }, { SEND, params }, { END, NULL },
		};
		_cleanup_err_ struct err err = { 0 };
		struct session s;
		int r;
		struct qmp *qmp = open_session(&s, steps, &r, NULL);

		CHECK_EQ(migration_setup(qmp, &migration_in_place, &previous, &err), cases[i].r);
		CHECK(err.set);
		finish(&s, qmp);
	}
}

/* It may be told "cont" only then, so what has not ended must not be taken for ended. */
TEST(a_migration_that_does_not_end)
{
	struct script s = { .steps = { HELLO }, .n = 3, .id = 1 };
	_cleanup_err_ struct err err = { 0 };
	char *status = NULL;
	struct session session;
	struct qmp *qmp;
	int r;

	ask(&s, "query-migrate\"", "{\"status\": \"completed\"}");
	for (int i = 0; i < 70; i++)
		ask(&s, "", "{\"status\": \"finish-migrate\"}");
	qmp = open_session(&session, s.steps, &r, NULL);
	/* It asks 50 times then, at most; there are more answers. */
	setenv("CPR_TIMEOUT_SCALE", "0.1", 1);
	CHECK_EQ(migration_end(qmp, true, &status, &err), -ETIMEDOUT);
	unsetenv("CPR_TIMEOUT_SCALE");
	CHECK(!status);
	CHECK_STR(err.why, "it has ended, but QEMU stays in this runstate");
	finish(&session, qmp);
}

/* QEMU says so while it still writes by other channels; and is told nothing meanwhile. */
TEST(a_migration_that_has_failed)
{
	static const char *const replies[][2] = {
		{ "query-migrate\"", "{\"status\": \"active\", \"ram\": {\"transferred\": 1}}" },
		{ "query-migrate\"", "{\"status\": \"failed\"}" },
		{ "query-status", "{\"status\": \"finish-migrate\"}" },
		{ "query-status", "{\"status\": \"finish-migrate\"}" },
		{ "query-status", "{\"status\": \"running\"}" },
		{ "query-yank", "[{\"type\": \"chardev\", \"id\": \"a\"}, {\"type\": \"migration\"}]" },
		{ "query-yank", "[{\"type\": \"chardev\", \"id\": \"a\"}]" },
	};
	struct script s = { .steps = { HELLO }, .n = 3, .id = 1 };
	_cleanup_free_ char *status = NULL;
	struct session session;
	struct qmp *qmp;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(replies); i++)
		ask(&s, replies[i][0], replies[i][1]);
	qmp = open_session(&session, s.steps, &r, NULL);
	CHECK_EQ(migration_end(qmp, true, &status, NULL), 0);
	CHECK_STR(status, "running");
	finish(&session, qmp);
}

int main(void)
{
	return ktap_run();
}
