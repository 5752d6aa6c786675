// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "qemu/account.h"
#include "qemu/process.h"

#define WORDS_MAX (2 * MIB)
#define START_TIME 20		/* field of /proc/PID/stat after the name; see proc(5) */

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

/*
 * A path, a pid and a user must be the same for the process and for cpr-helper. A network
 * namespace may be another one: see attributes.h.
 */
static int process_check_view(const char *pid, struct err *err)
{
	static const char *const same[] = { "ns/mnt", "root", "ns/user", "ns/pid", "ns/ipc" };

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		_cleanup_free_ char *theirs = proc_link(pid, same[i]);
		_cleanup_free_ char *ours = proc_link("self", same[i]);

		if (!theirs || !ours || !streq(theirs, ours))
			return process_refuse(err, pid,
					      fmt("it runs in a container or a chroot: /proc/%s/%s "
						  "differs from cpr-helper's", pid, same[i]),
					      "run cpr-helper there, or start that QEMU outside");
	}
	return 0;
}

char *process_cgroup(pid_t pid)
{
	static const char root[] = "\n0::";
	_cleanup_free_ char *path = xasprintf("/proc/%d/cgroup", (int)pid);
	_cleanup_free_ char *text = read_text(path, 65536), *lines = NULL;
	const char *found;

	lines = text ? xasprintf("\n%s", text) : NULL;
	found = lines ? strstr(lines, root) : NULL;
	if (!found)
		return NULL;
	found += strlen(root);
	return xstrndup(found, strcspn(found, "\n"));
}

/* The last unit in the path of its cgroup; NULL if that is no service. Caller frees. */
static char *process_service(pid_t pid)
{
	_cleanup_free_ char *cgroup = process_cgroup(pid);
	char *service = NULL, *next = cgroup, *part;

	while ((part = strsep(&next, "/"))) {
		bool is_service = endswith(part, ".service");

		if (is_service || endswith(part, ".scope")) {
			free(service);
			service = is_service ? xstrdup(part) : NULL;
		}
	}
	return service;
}

/* A service would start another QEMU, or end this one: when it quits, or at the next boot. */
static int process_check_service(pid_t pid, const char *name, struct err *err)
{
	_cleanup_free_ char *service = process_service(pid);

	return !service ? 0 :
	       process_refuse(err, name, fmt("systemd's unit '%s' supervises it, and would start or end "
					    "the guest by itself", service),
			      "start that QEMU in a scope of its own ('systemd-run --scope'), not in a "
			      "service");
}

int process_read_words(pid_t pid, const char *file, struct strv *words)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", (int)pid, file);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = xcalloc(1, WORDS_MAX + 1);
	size_t len = 0;
	ssize_t n = 0;

	while (fd >= 0 && len < WORDS_MAX && (n = read(fd, text + len, WORDS_MAX - len)) > 0)
		len += n;
	if (fd < 0 || n < 0)
		return -errno;
	if (len == WORDS_MAX)
		return -E2BIG;
	for (char *word = text; word < text + len; word += strlen(word) + 1)
		strv_push(words, word);
	return 0;
}

/* The first word is the program. */
static int process_read_argv(pid_t pid, struct strv *argv, struct err *err)
{
	_cleanup_free_ char *name = xasprintf("%d", (int)pid);
	_cleanup_strv_ struct strv words = { 0 };
	int r = process_read_words(pid, "cmdline", &words);

	if (r == -E2BIG)
		return process_refuse(err, name, "its command line is too long", NULL);
	if (r < 0 || !words.n)
		return fail(err, -ESRCH, .what = "cannot read", .value = fmt("/proc/%s/cmdline", name),
			    .why = r < 0 ? strerror(-r) : "it is empty");
	for (size_t i = 1; i < words.n; i++)
		strv_push(argv, words.v[i]);
	return 0;
}

int process_read(pid_t pid, struct process *p, struct err *err)
{
	_cleanup_free_ char *name = xasprintf("%d", (int)pid);
	int r;

	*p = (struct process){ 0 };
	r = account_of_process(pid, &p->user, err);
	if (r == 0)
		r = process_check_view(name, err);
	if (r == 0)
		r = process_check_service(pid, name, err);
	if (r == 0)
		r = process_read_argv(pid, &p->argv, err);
	if (r < 0)
		return r;
	p->binary = proc_link(name, "exe");
	p->cwd = proc_link(name, "cwd");
	if (!p->binary || !p->cwd)
		return fail(err, -ESRCH, .what = "process", .value = name, .why = "it has exited");
	cut_suffix(p->binary, " (deleted)");
	return 0;
}

void process_free(struct process *p)
{
	json_object_put(p->user);
	free(p->binary);
	free(p->cwd);
	strv_free(&p->argv);
}

bool process_has_argument(pid_t pid, const char *argument)
{
	_cleanup_strv_ struct strv argv = { 0 };

	return process_read_argv(pid, &argv, NULL) == 0 && strv_has(&argv, argument);
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
