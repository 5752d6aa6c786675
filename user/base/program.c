// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/deadline.h"
#include "base/interrupt.h"
#include "base/program.h"

#define WORDS_MAX (256 * 1024)

void die_with_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
}

/* Call after all other dup2(): they may read from descriptor PROGRAM_OUT. */
static int program_place_out(int out)
{
	if (out == PROGRAM_OUT)
		return fcntl(out, F_SETFD, 0);
	return out < 0 ? 0 : dup2(out, PROGRAM_OUT);
}

static int program_limit(uint64_t max_file)
{
	const struct rlimit limit = { max_file, max_file };

	return max_file ? setrlimit(RLIMIT_FSIZE, &limit) : 0;
}

/* Turn the child process into the program. Returns only on failure: -errno. */
static int program_exec(const struct program *program, int words, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY);

	die_with_parent(parent);
	setsid();
	if (null < 0 || program_limit(program->max_file) < 0 || dup2(null, 0) < 0 ||
	    dup2(words, 1) < 0 || dup2(words, 2) < 0 || program_place_out(program->out) < 0)
		return -errno;
	close_range(PROGRAM_OUT + (program->out >= 0), ~0u, 0);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	sigprocmask(SIG_SETMASK, interrupt_original_mask(), NULL);
	execve(program->argv[0], program->argv, program->env ? program->env : environ);
	return -errno;
}

/* Wait for the exit status; -ETIMEDOUT or -EINTR if this function killed the program. */
static int program_wait(pid_t pid, double seconds, int *status)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	deadline_t deadline = deadline_in(seconds);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int r = 0;

	while (r == 0 && pidfd >= 0) {
		int left = deadline_left(deadline);
		struct timespec ts = { left / 1000, left % 1000 * 1000000L };
		int n = ppoll(&pfd, 1, &ts, interrupt_mask());

		if (n > 0)
			break;
		r = interrupted() ? -EINTR : n == 0 ? -ETIMEDOUT : errno == EINTR ? 0 : -errno;
	}
	if (r < 0) {
		kill(-pid, SIGKILL);	/* with its children, once it has made its session */
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return r;
}

/*
 * A file, so that nobody has to read while the program runs, or waits for what it leaves
 * running. It cannot grow, whoever keeps it open.
 */
static int program_make_words(void)
{
	int fd = memfd_create("cpr-output", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || (ftruncate(fd, WORDS_MAX) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0))
		return fd;
	close(fd);
	return -1;
}

/* Up to the first byte that was not written. */
static char *program_read_words(int fd)
{
	char *text = xcalloc(1, WORDS_MAX + 1);
	size_t n = pread(fd, text, WORDS_MAX, 0) < 0 ? 0 : strlen(text);

	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	return text;
}

static int program_result(const struct program *program, int code, int status, struct err *err)
{
	const char *name = program->argv[0];

	if (code == -ETIMEDOUT)
		return fail(err, code, .what = "program", .value = name,
			    .why = fmt("it did not exit within %g seconds", program->seconds));
	if (code < 0)
		return fail(err, code, .what = "program", .value = name,
			    .why = code == -EINTR ? "interrupted" : strerror(-code));
	if (WIFSIGNALED(status))
		return fail(err, -EIO, .what = "program", .value = name,
			    .why = fmt("killed by signal %d (%s)", WTERMSIG(status),
				       strsignal(WTERMSIG(status))));
	if (WEXITSTATUS(status))
		return fail(err, -EIO, .what = "program", .value = name,
			    .why = fmt("it exited with status %d", WEXITSTATUS(status)));
	return 0;
}

int program_run(const struct program *program, char **words, struct err *err)
{
	_cleanup_close_ int fd = program_make_words();
	_cleanup_free_ char *text = NULL;
	pid_t parent = getpid(), pid = fd < 0 ? -1 : fork();
	int status = 0, r;

	if (pid == 0) {
		dprintf(fd, "%s\n", strerror(-program_exec(program, fd, parent)));
		_exit(127);
	}
	if (pid < 0)
		return fail(err, -errno, .what = "cannot start", .value = program->argv[0],
			    .why = strerror(errno));
	r = program_wait(pid, program->seconds, &status);
	r = program_result(program, r, status, err);
	text = program_read_words(fd);
	if (r < 0)
		err_words(err, text);
	if (words) {
		*words = text;
		text = NULL;
	}
	return r;
}
