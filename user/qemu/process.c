// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "qemu/process.h"

#define ARGV_MAX (2 * MIB)
#define START_TIME 20		/* field of /proc/PID/stat after the name; see proc(5) */

static const char deleted[] = " (deleted)";

static char *proc_link(const char *pid, const char *name)
{
	_cleanup_free_ char *path = xasprintf("/proc/%s/%s", pid, name);
	char link[PATH_MAX];
	ssize_t n = readlink(path, link, sizeof(link) - 1);

	return n < 0 ? NULL : xstrndup(link, n);
}

static int process_refuse(struct err *err, const char *pid, const char *why, const char *remedy)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "process", .value = pid,
		    .why = why, .remedy = remedy);
}

/* A path must name the same file for the process and for cpr-helper. */
static int process_check_view(const char *pid, struct err *err)
{
	static const char *const same[] = { "ns/mnt", "root" };

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		_cleanup_free_ char *theirs = proc_link(pid, same[i]);
		_cleanup_free_ char *ours = proc_link("self", same[i]);

		if (!theirs || !ours || !streq(theirs, ours))
			return process_refuse(err, pid,
					      "it runs in a container or a chroot, with other "
					      "files than cpr-helper",
					      "run cpr-helper there, or start that QEMU outside");
	}
	return 0;
}

static int process_check_user(const char *pid, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("/proc/%s", pid);
	struct stat st;

	if (stat(path, &st) < 0)
		return fail(err, -errno, .what = "process", .value = pid, .why = strerror(errno));
	if (st.st_uid == geteuid())
		return 0;
	return process_refuse(err, pid,
			      fmt("it runs as user %u, and cpr-helper would start it again as "
				  "user %u", (unsigned int)st.st_uid, (unsigned int)geteuid()),
			      "start that QEMU as the same user");
}

/* The arguments in /proc/PID/cmdline end with a NUL each; the first is the program. */
static int process_read_argv(const char *pid, struct strv *argv, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("/proc/%s/cmdline", pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = xcalloc(1, ARGV_MAX + 1);
	size_t len = 0;
	ssize_t n = 0;

	while (fd >= 0 && len < ARGV_MAX && (n = read(fd, text + len, ARGV_MAX - len)) > 0)
		len += n;
	if (fd < 0 || n < 0 || !len)
		return fail(err, -ESRCH, .what = "cannot read", .value = path,
			    .why = fd < 0 || n < 0 ? strerror(errno) : "it is empty");
	if (len == ARGV_MAX)
		return process_refuse(err, pid, "its command line is too long", NULL);
	for (char *word = text + strlen(text) + 1; word < text + len; word += strlen(word) + 1)
		strv_push(argv, word);
	return 0;
}

int process_read(pid_t pid, struct process *p, struct err *err)
{
	_cleanup_free_ char *name = xasprintf("%d", (int)pid);
	size_t len;
	int r = process_check_user(name, err);

	*p = (struct process){ 0 };
	if (r == 0)
		r = process_check_view(name, err);
	if (r == 0)
		r = process_read_argv(name, &p->argv, err);
	if (r < 0)
		return r;
	p->binary = proc_link(name, "exe");
	p->cwd = proc_link(name, "cwd");
	if (!p->binary || !p->cwd)
		return fail(err, -ESRCH, .what = "process", .value = name, .why = "it has exited");
	len = strlen(p->binary);
	if (len > strlen(deleted) && streq(p->binary + len - strlen(deleted), deleted))
		p->binary[len - strlen(deleted)] = '\0';
	return 0;
}

void process_free(struct process *p)
{
	free(p->binary);
	free(p->cwd);
	strv_free(&p->argv);
}

bool process_has_argument(pid_t pid, const char *argument)
{
	_cleanup_free_ char *name = xasprintf("%d", (int)pid);
	_cleanup_strv_ struct strv argv = { 0 };

	return process_read_argv(name, &argv, NULL) == 0 && strv_has(&argv, argument);
}

bool process_has_thread(pid_t pid, pid_t thread)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task/%d", (int)pid, (int)thread);

	return access(path, F_OK) == 0;
}

char *process_identity(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/stat", (int)pid);
	_cleanup_free_ char *text = read_text(path, 4096);
	char *p = text ? strrchr(text, ')') : NULL;

	for (int i = 0; p && i < START_TIME; i++)
		p = strchr(p + 1, ' ');
	return p ? xasprintf("%d %.*s", (int)pid, (int)strcspn(p + 1, " "), p + 1) : NULL;
}
