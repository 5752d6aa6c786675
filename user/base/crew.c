// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/crew.h"
#include "base/interrupt.h"
#include "base/program.h"

/* A worker process, and the part of its report that has arrived so far. */
struct crew_worker {
	pid_t pid;
	int fd;
	bool waits;		/* see crew_job_waits() */
	int met;		/* meetings that it has come to */
	bool held;		/* at the last one of them */
	char *text;
	size_t len;
};

struct crew_run {
	const struct crew *crew;
	unsigned int jobs;
	struct crew_outcome *outcomes;
	struct crew_worker *workers;	/* one for each job; pid 0: not running */
	size_t next;		/* job to start next */
	size_t running;		/* number of workers */
	bool closing;		/* start no further job */
};

/* A job may start a QEMU, which takes a CPU for about a second and has to answer in time. */
#define JOBS_A_CPU 8

unsigned int crew_default_jobs(size_t n)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t most = cpus < 1 ? JOBS_A_CPU : cpus * JOBS_A_CPU;

	if (most > CREW_JOBS_MAX)
		most = CREW_JOBS_MAX;
	return n < 1 ? 1 : n < most ? n : most;
}

/* From a worker, before its report: white space to a parser, which escapes it in strings. */
#define WAITS '\n'
#define MEETS '\t'

static int parent_fd = -1;	/* in a worker */
static bool meetings;		/* in a worker whose crew has them */

static void worker_tell(char mark)
{
	if (parent_fd >= 0)
		write_all(parent_fd, &mark, 1);
}

void crew_job_waits(void)
{
	worker_tell(WAITS);
}

int crew_meet(void)
{
	struct pollfd fd = { .fd = parent_fd, .events = POLLIN };
	char go;

	if (!meetings)
		return 0;
	worker_tell(MEETS);
	while (!interrupted() && ppoll(&fd, 1, NULL, interrupt_mask()) < 0 && errno == EINTR)
		;
	return !interrupted() && read(parent_fd, &go, 1) == 1 ? 0 : -EINTR;
}

/* Line buffering keeps the workers' output lines from interleaving. */
static void worker_buffer_lines(void)
{
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
}

static struct json_object *worker_report(int code, struct json_object *result,
					 const struct err *err)
{
	struct json_object *out = json_object_new_object();

	jset_int(out, "code", code);
	jset(out, "result", result);
	if (err->set)
		jset(out, "error", err_json(err));
	return out;
}

_Noreturn static void worker_main(const struct crew *crew, size_t i, pid_t parent, int fd)
{
	struct json_object *result = json_object_new_object(), *out;
	struct err err = { 0 };
	const char *text;
	int r;

	die_with_parent(parent);
	worker_buffer_lines();
	parent_fd = fd;
	meetings = crew->meets;
	r = crew->work(i, crew->arg, result, &err);
	out = worker_report(r, result, &err);
	text = json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN);
	fflush(NULL);
	_exit(write_all(fd, text, strlen(text)) < 0);
}

static void crew_start_next(struct crew_run *s)
{
	size_t i = s->next++;
	struct crew_worker *w = &s->workers[i];
	pid_t parent = getpid();
	int fds[2];

	fflush(NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		s->outcomes[i].code = fail(&s->outcomes[i].err, -errno, .what = "socketpair");
		return;
	}
	w->pid = fork();
	if (w->pid == 0)
		worker_main(s->crew, i, parent, fds[1]);
	close(fds[1]);
	w->fd = fds[0];
	if (w->pid < 0) {
		s->outcomes[i].code = fail(&s->outcomes[i].err, -errno, .what = "fork");
		close(w->fd);
		w->pid = 0;
		return;
	}
	s->outcomes[i].begun = true;
	s->running++;
}

static void crew_close(struct crew_run *s)
{
	if (s->closing)
		return;
	s->closing = true;
	for (size_t i = 0; i < s->next; i++)
		if (s->workers[i].pid > 0)
			kill(s->workers[i].pid, SIGTERM);
}

static void worker_read_report(const struct crew_worker *w, int status, struct crew_outcome *o)
{
	struct json_object *out = w->text ? json_parse(w->text, NULL) : NULL;

	if (out) {
		json_object_put(o->result);
		o->result = json_object_get(jget(out, "result"));
		o->code = jint(out, "code", -EIO);
		err_from_json(&o->err, jget(out, "error"));
	} else {
		o->code = fail(&o->err, -ECHILD, .what = "worker process",
			       .why = WIFSIGNALED(status) ?
			       fmt("killed by signal %d (%s)", WTERMSIG(status),
				   strsignal(WTERMSIG(status))) : "it exited without a report",
			       .remedy = "'cpr-helper abort' resumes the guest");
	}
	json_object_put(out);
}

static void crew_reap(struct crew_run *s, size_t i)
{
	struct crew_worker *w = &s->workers[i];
	struct crew_outcome *o = &s->outcomes[i];
	int status = 0;

	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	worker_read_report(w, status, o);
	if (o->code < 0)
		err_print(&o->err, s->crew->names->v[i]);
	close(w->fd);
	free(w->text);
	s->running--;
	*w = (struct crew_worker){ 0 };
	if (o->code < 0 && s->crew->together)
		crew_close(s);
}

static void worker_read_marks(struct crew_worker *w, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		w->waits |= text[i] == WAITS;
		w->held |= text[i] == MEETS;
		w->met += text[i] == MEETS;
	}
}

static void crew_read(struct crew_run *s, size_t i)
{
	struct crew_worker *w = &s->workers[i];
	char buf[4096];
	ssize_t n = read(w->fd, buf, sizeof(buf));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		crew_reap(s, i);
		return;
	}
	worker_read_marks(w, buf, n);
	w->text = xrealloc(w->text, w->len + n + 1, 1);
	memcpy(w->text + w->len, buf, n);
	w->len += n;
	w->text[w->len] = '\0';
}

/* Wait until a worker writes or exits, or until a signal arrives. */
static void crew_poll(struct crew_run *s)
{
	_cleanup_free_ struct pollfd *fds = xcalloc(s->next, sizeof(*fds));

	for (size_t i = 0; i < s->next; i++)
		fds[i] = (struct pollfd){ .fd = s->workers[i].pid > 0 ? s->workers[i].fd : -1,
					  .events = POLLIN };
	if (ppoll(fds, s->next, NULL, interrupt_mask()) < 0)
		return;
	for (size_t i = 0; i < s->next; i++)
		if (fds[i].fd >= 0 && fds[i].revents)
			crew_read(s, i);
}

static void crew_cancel_rest(struct crew_run *s)
{
	for (size_t i = 0; i < s->crew->names->n; i++) {
		struct crew_outcome *o = &s->outcomes[i];

		if (o->begun || o->code)
			continue;
		o->code = fail(&o->err, -ECANCELED, .what = "VM", .value = s->crew->names->v[i],
			       .why = interrupted() ? "interrupted before it was started" :
			       "not started: another VM failed first");
		err_print(&o->err, s->crew->names->v[i]);
	}
}

static size_t crew_busy(const struct crew_run *s)
{
	size_t busy = 0;

	for (size_t i = 0; i < s->next; i++)
		busy += s->workers[i].pid > 0 && !s->workers[i].waits && !s->workers[i].held;
	return busy;
}

static bool crew_may_start(const struct crew_run *s)
{
	bool alone = s->crew->first_alone && s->next == 1;

	return !s->closing && s->next < s->crew->names->n &&
	       crew_busy(s) < (alone ? 1 : s->jobs);
}

/* All jobs have begun, and those that have not ended have come to this meeting. */
static bool crew_has_met(const struct crew_run *s, int meeting)
{
	for (size_t i = 0; i < s->next; i++)
		if (s->workers[i].pid > 0 && s->workers[i].met < meeting)
			return false;
	return s->next == s->crew->names->n;
}

static void crew_let_go(struct crew_run *s)
{
	static const char go;

	for (size_t i = 0; i < s->next && !s->closing; i++) {
		struct crew_worker *w = &s->workers[i];

		if (!w->held || crew_busy(s) >= s->jobs || !crew_has_met(s, w->met))
			continue;
		w->held = false;
		write_all(w->fd, &go, 1);
	}
}

struct crew_outcome *crew_run(const struct crew *crew)
{
	size_t n = crew->names->n;
	struct crew_run s = {
		.crew = crew, .jobs = crew->jobs ? crew->jobs : crew_default_jobs(n),
		.outcomes = xcalloc(n, sizeof(*s.outcomes)),
		.workers = xcalloc(n, sizeof(*s.workers)),
	};

	for (size_t i = 0; i < n; i++)
		s.outcomes[i].result = json_object_new_object();
	for (;;) {
		if (interrupted())
			crew_close(&s);
		while (crew_may_start(&s))
			crew_start_next(&s);
		crew_let_go(&s);
		if (!s.running)
			break;
		crew_poll(&s);
	}
	crew_cancel_rest(&s);
	free(s.workers);
	return s.outcomes;
}

void crew_outcomes_free(struct crew_outcome *outcomes, size_t n)
{
	for (size_t i = 0; outcomes && i < n; i++) {
		json_object_put(outcomes[i].result);
		err_clear(&outcomes[i].err);
	}
	free(outcomes);
}

char *crew_outcomes_failed(const struct crew_outcome *outcomes, const struct strv *names)
{
	_cleanup_strv_ struct strv failed = { 0 };

	for (size_t i = 0; i < names->n; i++)
		if (outcomes[i].code < 0)
			strv_push(&failed, names->v[i]);
	return strv_join(&failed, " ");
}
