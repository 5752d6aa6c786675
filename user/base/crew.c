// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/crew.h"
#include "base/interrupt.h"

/* A process at work, and what it has said so far. */
struct worker {
	pid_t pid;
	int fd;
	char *text;
	size_t len;
};

struct shift {
	const struct crew *crew;
	struct outcome *outcomes;
	struct worker *workers;	/* of each job; pid 0: not at work */
	size_t next;		/* job to begin */
	size_t busy;
	bool closing;		/* none is begun any more */
};

unsigned int crew_default_jobs(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > CREW_JOBS_MAX ? CREW_JOBS_MAX : n;
}

/* Lines of several processes must not get into each other. */
static void buffer_lines(void)
{
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
}

static struct json_object *report(int code, struct json_object *result, const struct err *err)
{
	struct json_object *out = json_object_new_object();

	jset_int(out, "code", code);
	jset(out, "result", result);
	if (err->set)
		jset(out, "error", err_json(err));
	return out;
}

_Noreturn static void work(const struct crew *crew, size_t i, pid_t parent, int fd)
{
	struct json_object *result = json_object_new_object(), *out;
	struct err err = { 0 };
	const char *text;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	buffer_lines();
	r = crew->work(i, crew->arg, result, &err);
	out = report(r, result, &err);
	text = json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN);
	fflush(NULL);
	_exit(write_all(fd, text, strlen(text)) < 0);
}

static void begin(struct shift *s)
{
	size_t i = s->next++;
	struct worker *w = &s->workers[i];
	pid_t parent = getpid();
	int fds[2];

	fflush(NULL);
	if (pipe2(fds, O_CLOEXEC) < 0) {
		s->outcomes[i].code = fail(&s->outcomes[i].err, -errno, .what = "pipe");
		return;
	}
	w->pid = fork();
	if (w->pid == 0)
		work(s->crew, i, parent, fds[1]);
	close(fds[1]);
	w->fd = fds[0];
	if (w->pid < 0) {
		s->outcomes[i].code = fail(&s->outcomes[i].err, -errno, .what = "fork");
		close(w->fd);
		w->pid = 0;
		return;
	}
	s->outcomes[i].begun = true;
	s->busy++;
}

static void close_shift(struct shift *s)
{
	if (s->closing)
		return;
	s->closing = true;
	for (size_t i = 0; i < s->next; i++)
		if (s->workers[i].pid > 0)
			kill(s->workers[i].pid, SIGTERM);
}

static void read_report(const struct worker *w, int status, struct outcome *o)
{
	struct json_object *out = w->text ? json_tokener_parse(w->text) : NULL;

	if (out) {
		json_object_put(o->result);
		o->result = json_object_get(jget(out, "result"));
		o->code = jint(out, "code", -EIO);
		err_from_json(&o->err, jget(out, "error"));
	} else {
		o->code = fail(&o->err, -ECHILD, .what = "its process",
			       .why = WIFSIGNALED(status) ?
			       fmt("was ended by signal %d (%s)", WTERMSIG(status),
				   strsignal(WTERMSIG(status))) : "ended without a word",
			       .remedy = "'cpr-helper abort' brings the guest back to running");
	}
	json_object_put(out);
}

static void finish(struct shift *s, size_t i)
{
	struct worker *w = &s->workers[i];
	struct outcome *o = &s->outcomes[i];
	int status = 0;

	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	read_report(w, status, o);
	if (o->code < 0)
		err_print(&o->err, s->crew->names->v[i]);
	close(w->fd);
	free(w->text);
	*w = (struct worker){ 0 };
	s->busy--;
	if (o->code < 0 && s->crew->together)
		close_shift(s);
}

static void hear(struct shift *s, size_t i)
{
	struct worker *w = &s->workers[i];
	char buf[4096];
	ssize_t n = read(w->fd, buf, sizeof(buf));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		finish(s, i);
		return;
	}
	w->text = xrealloc(w->text, w->len + n + 1, 1);
	memcpy(w->text + w->len, buf, n);
	w->len += n;
	w->text[w->len] = '\0';
}

/* Until one of those at work says something, or a signal comes. */
static void listen_to_all(struct shift *s)
{
	_cleanup_free_ struct pollfd *fds = xcalloc(s->next, sizeof(*fds));

	for (size_t i = 0; i < s->next; i++)
		fds[i] = (struct pollfd){ .fd = s->workers[i].pid > 0 ? s->workers[i].fd : -1,
					  .events = POLLIN };
	if (ppoll(fds, s->next, NULL, interrupt_mask()) < 0)
		return;
	for (size_t i = 0; i < s->next; i++)
		if (fds[i].fd >= 0 && fds[i].revents)
			hear(s, i);
}

static void dismiss(struct shift *s)
{
	for (size_t i = 0; i < s->crew->names->n; i++) {
		struct outcome *o = &s->outcomes[i];

		if (o->begun || o->code)
			continue;
		o->code = fail(&o->err, -ECANCELED, .what = "VM", .value = s->crew->names->v[i],
			       .why = interrupted() ? "interrupted before its turn" :
			       "another one failed before its turn");
		err_print(&o->err, s->crew->names->v[i]);
	}
}

static bool may_begin(const struct shift *s)
{
	bool alone = s->crew->first_alone && s->next == 1;

	return !s->closing && s->next < s->crew->names->n &&
	       s->busy < (alone ? 1 : s->crew->jobs);
}

struct outcome *crew_run(const struct crew *crew)
{
	size_t n = crew->names->n;
	struct shift s = {
		.crew = crew, .outcomes = xcalloc(n, sizeof(*s.outcomes)),
		.workers = xcalloc(n, sizeof(*s.workers)),
	};

	for (size_t i = 0; i < n; i++)
		s.outcomes[i].result = json_object_new_object();
	for (;;) {
		if (interrupted())
			close_shift(&s);
		while (may_begin(&s))
			begin(&s);
		if (!s.busy)
			break;
		listen_to_all(&s);
	}
	dismiss(&s);
	free(s.workers);
	return s.outcomes;
}

void outcomes_free(struct outcome *outcomes, size_t n)
{
	for (size_t i = 0; outcomes && i < n; i++) {
		json_object_put(outcomes[i].result);
		err_clear(&outcomes[i].err);
	}
	free(outcomes);
}

char *outcomes_failed(const struct outcome *outcomes, const struct strv *names)
{
	_cleanup_strv_ struct strv failed = { 0 };

	for (size_t i = 0; i < names->n; i++)
		if (outcomes[i].code < 0)
			strv_push(&failed, names->v[i]);
	return strv_join(&failed, " ");
}
