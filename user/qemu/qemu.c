// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/interrupt.h"
#include "base/out.h"
#include "base/paths.h"
#include "base/program.h"
#include "qemu/account.h"
#include "qemu/attributes.h"
#include "qemu/launch.h"
#include "qemu/log.h"
#include "qemu/process.h"
#include "qemu/qemu.h"
#include "qemu/scope.h"

/* In QEMU's process; while it is made, all files have higher numbers. */
#define MONITOR_FD 3
#define AGENT_FD 4
#define HIGHER_FD 64

/**
 * struct qemu_files - files for QEMU's process, of the parent's
 * @monitor, @agent: sockets that QEMU is to listen on; @agent is -1 without such a channel
 * @log: for its output
 * @report: to the parent, until QEMU is executed
 */
struct qemu_files {
	int monitor, agent, log, report;
};

static void qemu_files_close(struct qemu_files *files)
{
	cleanup_close(&files->monitor);
	cleanup_close(&files->agent);
	cleanup_close(&files->log);
}

static bool is_executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *qemu_find_binary(const char *name)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *copy = NULL;
	char *next, *dir;

	if (strchr(name, '/'))
		return is_executable(name) ? realpath(name, NULL) : NULL;
	copy = xstrdup(path ? path : "/usr/local/bin:/usr/bin:/bin");
	for (next = copy; (dir = strsep(&next, ":")); ) {
		_cleanup_free_ char *full = xasprintf("%s/%s", *dir ? dir : ".", name);

		if (is_executable(full))
			return realpath(full, NULL);
	}
	return NULL;
}

void qemu_log_tail(const char *vm, off_t from, struct err *err)
{
	_cleanup_free_ char *words = log_tail(vm, from);

	err_words(err, words);
}

void qemu_trial_log_tail(const struct qemu *q, struct err *err)
{
	_cleanup_free_ char *words = log_lines(q->output, 0);

	err_words(err, words);
}

/* Bind here, but listen(2) in QEMU's process: SO_PEERCRED then reports QEMU's pid and user. */
static int qemu_bind(const char *path, struct err *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int higher = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HIGHER_FD), r;
	mode_t mask = umask(0177);

	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	unlink(path);
	r = higher < 0 || bind(higher, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(mask);
	if (r == 0)
		return higher;
	cleanup_close(&higher);
	return fail(err, r, .what = "cannot create", .value = path, .why = strerror(-r));
}

/* The socket of the agent's channel, if the arguments have that of launch_plan(). */
static int qemu_bind_agent(const struct qemu_command *cmd, struct qemu_files *files,
			   struct err *err)
{
	_cleanup_free_ char *path = runtime_path(cmd->vm, "qga"), *chardev = launch_chardev(path);

	if (!strv_has(cmd->argv, chardev))
		return 0;
	return files->agent = qemu_bind(path, err);
}

static int qemu_open_log(const struct qemu_command *cmd, struct qemu *q, struct err *err)
{
	int fd;

	if (cmd->trial) {
		q->output = memfd_create("cpr-output", MFD_CLOEXEC);
		fd = fcntl(q->output, F_DUPFD_CLOEXEC, 0);
		return fd >= 0 ? fd : fail(err, -errno, .what = "no file for",
					   .value = "QEMU's output");
	}
	log_trim(cmd->vm);
	q->log_from = log_size(cmd->vm);
	return log_open(cmd->vm, err);
}

static void qemu_complete_argv(const struct qemu_command *cmd, struct strv *argv)
{
	_cleanup_free_ char *path = runtime_path(cmd->vm, "qga"), *chardev = launch_chardev(path);
	_cleanup_free_ char *bound = launch_chardev_fd(AGENT_FD);

	strv_push(argv, cmd->binary);
	for (size_t i = 0; i < cmd->argv->n; i++)
		strv_push(argv, streq(cmd->argv->v[i], chardev) ? bound : cmd->argv->v[i]);
	for (const char *const *p = cmd->extra; p && *p; p++)
		strv_push(argv, *p);
	strv_push(argv, "-chardev");
	strv_pushf(argv, "socket,id=cpr-qmp,fd=%d,server=on,wait=off", MONITOR_FD);
	strv_push(argv, "-mon");
	strv_push(argv, "chardev=cpr-qmp,mode=control");
	strv_push(argv, "-S");
}

/* What takes root's privileges; then the process becomes the user's. */
static int qemu_enter(const struct qemu_command *cmd, const struct qemu_files *files, pid_t parent)
{
	int r = cmd->trial ? 0 : attributes_enter(cmd->attributes, files->log);

	if (r < 0)
		return r;
	setsid();
	if ((cmd->netless && unshare(CLONE_NEWNET) < 0) || chdir(cmd->cwd) < 0)
		return -errno;
	r = account_enter(cmd->user);
	if (r == 0 && cmd->trial)
		die_with_parent(parent);	/* another user would undo that */
	return r;
}

static int qemu_place_files(const struct qemu_files *files)
{
	int null = open("/dev/null", O_RDONLY), last = files->agent < 0 ? MONITOR_FD : AGENT_FD;

	if (null < 0 || dup2(null, 0) < 0 || dup2(files->log, 1) < 0 || dup2(files->log, 2) < 0 ||
	    listen(files->monitor, 1) < 0 || dup2(files->monitor, MONITOR_FD) < 0)
		return -errno;
	if (files->agent >= 0 &&
	    (listen(files->agent, 1) < 0 || dup2(files->agent, AGENT_FD) < 0))
		return -errno;
	close_range(last + 1, files->report - 1, 0);
	close_range(files->report + 1, ~0u, 0);
	return 0;
}

/* Turn the child process into QEMU. Returns only on failure: -errno. */
static int qemu_exec(const struct qemu_command *cmd, char *const *argv,
		     const struct qemu_files *files, pid_t parent)
{
	char **env = attributes_environment(cmd->attributes);
	int r = qemu_enter(cmd, files, parent);

	if (r == 0)
		r = qemu_place_files(files);
	if (r < 0)
		return r;
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, interrupt_original_mask(), NULL);
	execve(cmd->binary, argv, env ? env : environ);
	return -errno;
}

/* The child process: waits for a byte on its report, and writes the error of a failure there. */
static void qemu_child(const struct qemu_command *cmd, char *const *argv,
		       const struct qemu_files *files, pid_t parent)
{
	char go;
	int code = read(files->report, &go, 1) == 1 ? qemu_exec(cmd, argv, files, parent) :
						      -ECANCELED;

	write_all(files->report, &code, sizeof(code));
	_exit(127);
}

/* Returns the pid once the child has executed QEMU, or -errno. */
static pid_t qemu_spawn(const struct qemu_command *cmd, struct qemu_files *files, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_close_ int ours = -1;
	int ends[2], code = 0;
	pid_t pid, parent = getpid();

	qemu_complete_argv(cmd, &argv);
	for (size_t i = 0; i < argv.n; i++)
		detail("QEMU: %s", argv.v[i]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return fail(err, -errno, .what = "cannot start", .value = cmd->binary);
	ours = ends[0];
	files->report = fcntl(ends[1], F_DUPFD_CLOEXEC, HIGHER_FD);
	close(ends[1]);
	pid = files->report < 0 ? -1 : fork();
	if (pid == 0) {
		close(ours);
		qemu_child(cmd, argv.v, files, parent);
	}
	cleanup_close(&files->report);
	if (pid < 0)
		return fail(err, -errno, .what = "cannot start", .value = cmd->binary,
			    .why = strerror(errno));
	if (!cmd->trial)
		scope_begin(cmd->vm, pid);
	write_all(ours, "", 1);
	if (read(ours, &code, sizeof(code)) != sizeof(code))
		return pid;
	waitpid(pid, NULL, 0);
	return fail(err, code, .what = "cannot start", .value = cmd->binary,
		    .why = strerror(-code));
}

int qemu_wait_exit(struct qemu *q, deadline_t deadline, int *status)
{
	struct pollfd pfd = { .fd = q->pidfd, .events = POLLIN };
	int r;

	*status = 0;
	if (q->pid <= 0 || q->pidfd < 0)
		return 0;
	while ((r = poll(&pfd, 1, deadline_left(deadline))) < 0 && errno == EINTR)
		;
	if (r <= 0)
		return -ETIMEDOUT;
	if (q->child)
		waitpid(q->pid, status, 0);
	scope_end(q->scope);
	return 0;
}

bool qemu_has_exited(const struct qemu *q)
{
	struct pollfd pfd = { .fd = q->pidfd, .events = POLLIN };

	return q->pidfd >= 0 && poll(&pfd, 1, 0) == 1;
}

void qemu_release(struct qemu *q)
{
	qmp_close(q->qmp);
	if (q->pidfd >= 0)
		close(q->pidfd);
	if (q->output >= 0)
		close(q->output);
	free(q->scope);
	*q = QEMU_NONE;
}

void qemu_kill(struct qemu *q)
{
	int status;

	if (q->pid > 0 && q->pidfd >= 0) {
		pidfd_send_signal(q->pidfd, SIGKILL, NULL, 0);
		qemu_wait_exit(q, deadline_in(QEMU_EXIT_S), &status);
	}
	qemu_release(q);
}

static const char *qemu_exit_text(int status)
{
	if (WIFSIGNALED(status))
		return fmt("QEMU was killed by signal %d (%s)", WTERMSIG(status),
			   strsignal(WTERMSIG(status)));
	return fmt("QEMU exited with status %d", WEXITSTATUS(status));
}

/* Report a failed start: the exit status if QEMU has exited, else the monitor's error. */
static int qemu_explain_exit(const struct qemu_command *cmd, struct qemu *q, int code,
			     struct err *monitor, struct err *err)
{
	int status = 0;

	if (qemu_wait_exit(q, deadline_in(code == -ETIMEDOUT || code == -EINTR ? 0 : 5),
			   &status) == 0) {
		q->pid = 0;
		fail(err, code, .what = "QEMU", .value = cmd->binary, .why = qemu_exit_text(status),
		     .remedy = "see QEMU's output above; correct its options");
	} else {
		fail(err, code, .what = "QEMU", .value = cmd->binary,
		     .why = fmt("its monitor: %s", monitor->why ? monitor->why : strerror(-code)));
	}
	if (cmd->trial)
		qemu_trial_log_tail(q, err);
	else
		qemu_log_tail(cmd->vm, q->log_from, err);
	qemu_kill(q);
	return code;
}

static struct qmp *qemu_connect_monitor(const struct qemu_command *cmd, const char *path, int *code,
					struct err *err)
{
	deadline_t deadline = cmd->until ? cmd->until : deadline_in(QEMU_START_S);
	struct jsonsock *js = jsonsock_connect(path, deadline, code, err);
	struct qmp *qmp;

	if (!js)
		return NULL;
	js->interruptible = true;	/* no guest runs yet: the caller ends this QEMU */
	qmp = qmp_start(js, deadline, code, err);
	if (qmp)
		qmp->js->interruptible = cmd->trial;
	return qmp;
}

/* The files are closed in any case: clients could still connect after QEMU's exit. */
static pid_t qemu_execute(const struct qemu_command *cmd, const char *monitor, struct qemu *q,
			  struct err *err)
{
	_cleanup_(qemu_files_close) struct qemu_files files = { -1, -1, -1, -1 };
	int r = files.log = qemu_open_log(cmd, q, err);

	if (r >= 0)
		r = files.monitor = qemu_bind(monitor, err);
	if (r >= 0)
		r = qemu_bind_agent(cmd, &files, err);
	return r < 0 ? r : qemu_spawn(cmd, &files, err);
}

int qemu_start(const struct qemu_command *cmd, struct qemu *q, struct err *err)
{
	/* These suffixes are used for monitor sockets only, so VM names cannot collide. */
	_cleanup_free_ char *path = runtime_path(cmd->vm, cmd->trial ? "trial" : "qmp");
	_cleanup_err_ struct err monitor_err = { 0 };
	int r = runtime_dir(err);

	*q = QEMU_NONE;
	if (r == 0)
		r = account_check(cmd->user, err);
	if (r == 0)
		r = qemu_execute(cmd, path, q, err);
	if (r < 0) {
		qemu_release(q);
		return r;
	}
	q->pid = r;
	q->child = true;
	q->pidfd = pidfd_open(q->pid, 0);
	q->scope = scope_of(cmd->vm, q->pid);
	q->qmp = qemu_connect_monitor(cmd, path, &r, &monitor_err);
	if (cmd->trial)
		unlink(path);
	if (!q->qmp)
		return qemu_explain_exit(cmd, q, r, &monitor_err, err);
	return 0;
}

static int qemu_write_identity(const char *vm, pid_t pid)
{
	_cleanup_free_ char *path = runtime_path(vm, "pid"), *text = process_identity(pid);
	_cleanup_close_ int fd = text ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) :
				 -1;

	if (!text)
		return -ESRCH;
	return fd < 0 ? -errno : write_all(fd, text, strlen(text));
}

int qemu_adopt(const char *vm, const char *socket, pid_t pid, struct err *err)
{
	_cleanup_free_ char *path = runtime_path(vm, "qmp");
	int r = runtime_dir(err);

	if (r < 0)
		return r;
	r = qemu_write_identity(vm, pid);
	unlink(path);
	if (r == 0 && symlink(socket, path) < 0)
		r = -errno;
	return r < 0 ? fail(err, r, .what = "cannot create", .value = path,
			    .why = strerror(-r)) : 0;
}

char *qemu_adopted_as(pid_t pid)
{
	_cleanup_free_ char *now = process_identity(pid);
	glob_t found = { 0 };
	char *vm = NULL;

	if (!now || glob(RUNTIME_DIR "/*.pid", 0, NULL, &found) != 0)
		return NULL;
	for (size_t i = 0; !vm && i < found.gl_pathc; i++) {
		_cleanup_free_ char *known = read_text(found.gl_pathv[i], 64);
		const char *name = found.gl_pathv[i] + strlen(RUNTIME_DIR "/");

		if (known && streq(known, now))
			vm = xasprintf("%.*s", (int)(strlen(name) - strlen(".pid")), name);
	}
	globfree(&found);
	return vm;
}

/* Whether another process than the adopted QEMU listens on the adopted socket. */
static bool qemu_is_another(const char *vm, const char *path, pid_t pid)
{
	_cleanup_free_ char *adopted = runtime_path(vm, "pid"), *known = NULL, *now = NULL;
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
		return false;
	known = read_text(adopted, 64);
	now = process_identity(pid);
	return !known || !now || !streq(known, now);
}

/* Connect without reading the greeting: the pid is known even if QEMU hangs. */
static int qemu_connect(const char *vm, deadline_t deadline, struct qemu *q,
			struct jsonsock **js, struct err *err)
{
	_cleanup_free_ char *path = runtime_path(vm, "qmp");
	int r;

	*q = QEMU_NONE;
	*js = jsonsock_connect(path, deadline, &r, err);
	if (!*js)
		return r;
	q->pid = jsonsock_peer(*js, &q->pidfd);
	if (qemu_is_another(vm, path, q->pid)) {
		jsonsock_free(*js);
		qemu_release(q);
		return -ENOENT;
	}
	q->scope = scope_of(vm, q->pid);
	q->log_from = log_size(vm);
	return 0;
}

int qemu_attach(const char *vm, double seconds, struct qemu *q, struct err *err)
{
	_cleanup_free_ char *path = runtime_path(vm, "qmp");
	deadline_t deadline = deadline_in(seconds);
	_cleanup_err_ struct err why = { 0 };
	struct jsonsock *js;
	int r = qemu_connect(vm, deadline, q, &js, &why);

	if (r == 0)
		q->qmp = qmp_start(js, deadline, &r, &why);
	if (q->qmp)
		return 0;
	qemu_release(q);
	if (r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET)
		return -ESRCH;
	return fail(err, r, .what = "QEMU's monitor", .value = path, .why = why.why,
		    .remedy = r == -ETIMEDOUT ? "disconnect other programs from this monitor" :
		    r == -EACCES ? "run it with sudo" : NULL);
}

pid_t qemu_pid(const char *vm)
{
	struct jsonsock *js;
	struct qemu q;
	pid_t pid;

	if (qemu_connect(vm, deadline_in(QEMU_ATTACH_S), &q, &js, NULL) < 0)
		return 0;
	jsonsock_free(js);
	pid = q.pid;
	qemu_release(&q);
	return pid;
}

void qemu_kill_vm(const char *vm)
{
	struct jsonsock *js;
	struct qemu q;

	if (qemu_connect(vm, deadline_in(QEMU_ATTACH_S), &q, &js, NULL) < 0)
		return;
	jsonsock_free(js);
	qemu_kill(&q);
}

int qemu_check_version(int major, int minor, const char *text, struct err *err)
{
	if (major > QEMU_MIN_MAJOR || (major == QEMU_MIN_MAJOR && minor >= QEMU_MIN_MINOR))
		return 0;
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU", .value = text,
		    .why = "this version does not support handovers",
		    .remedy = fmt("use QEMU %d.%d or newer", QEMU_MIN_MAJOR, QEMU_MIN_MINOR));
}

int qemu_version(struct qmp *qmp, char **text, struct err *err)
{
	_cleanup_json_ struct json_object *ret = NULL;
	struct json_object *v;
	int major, minor, r = qmp_run(qmp, "query-version", NULL, &ret, err);
	const char *package = jstr(ret, "package");
	bool has_package = package && *package;

	if (r < 0)
		return r;
	v = jget(ret, "qemu");
	major = jint(v, "major", 0);
	minor = jint(v, "minor", 0);
	*text = xasprintf("%d.%d.%d%s%s%s", major, minor, (int)jint(v, "micro", 0),
			  has_package ? " (" : "", has_package ? package : "",
			  has_package ? ")" : "");
	return qemu_check_version(major, minor, *text, err);
}

int qemu_quit(struct qemu *q, struct err *err)
{
	int status, r = qmp_run(q->qmp, "quit", NULL, NULL, err);

	/* QEMU may exit before it has sent the reply. */
	if (r < 0 && r != -ECONNRESET)
		return r;
	r = qemu_wait_exit(q, deadline_in(QEMU_EXIT_S), &status);
	if (r < 0)
		return fail(err, r, .what = "QEMU", .value = fmt("%d", (int)q->pid),
			    .why = "it does not exit after 'quit'");
	qemu_release(q);
	return 0;
}
