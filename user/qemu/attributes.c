// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/out.h"
#include "qemu/attributes.h"
#include "qemu/process.h"

#define NETNS_DIR "/run/netns"

static const struct { const char *name; enum __rlimit_resource resource; } limits[] = {
	{ "as", RLIMIT_AS }, { "core", RLIMIT_CORE }, { "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA }, { "fsize", RLIMIT_FSIZE }, { "locks", RLIMIT_LOCKS },
	{ "memlock", RLIMIT_MEMLOCK }, { "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE }, { "nproc", RLIMIT_NPROC }, { "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO }, { "rttime", RLIMIT_RTTIME },
	{ "sigpending", RLIMIT_SIGPENDING }, { "stack", RLIMIT_STACK },
};

static const struct { const char *name; int policy; } policies[] = {
	{ "fifo", SCHED_FIFO }, { "rr", SCHED_RR }, { "batch", SCHED_BATCH }, { "idle", SCHED_IDLE },
};

/* ---- lists of CPUs ---- */

static char *cpus_format(const cpu_set_t *set)
{
	_cleanup_strv_ struct strv ranges = { 0 };

	for (int first = 0, last; first < CPU_SETSIZE; first = last + 1) {
		last = first;
		if (!CPU_ISSET(first, set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		strv_pushf(&ranges, last > first ? "%d-%d" : "%d", first, last);
	}
	return strv_join(&ranges, ",");
}

static bool cpus_parse(const char *text, cpu_set_t *set)
{
	int first, last, len;

	CPU_ZERO(set);
	for (; *text; text += len + (text[len] == ',')) {
		if (sscanf(text, "%d%n", &first, &len) != 1)
			return false;
		last = first;
		if (text[len] == '-') {
			text += len + 1;
			if (sscanf(text, "%d%n", &last, &len) != 1)
				return false;
		}
		if (first < 0 || last < first || last >= CPU_SETSIZE ||
		    (text[len] && text[len] != ','))
			return false;
		for (int cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, set);
	}
	return CPU_COUNT(set) > 0;
}

/* Whether these are all CPUs that the host has. */
static bool cpus_are_all(const cpu_set_t *set)
{
	_cleanup_free_ char *text = read_text("/sys/devices/system/cpu/online", 4096);
	cpu_set_t online, both;

	if (!text || !cpus_parse(text, &online))
		return false;
	CPU_AND(&both, set, &online);
	return CPU_EQUAL(&both, &online);
}

/* ---- threads ---- */

static void thread_read(struct json_object *threads, const char *role, pid_t tid)
{
	struct json_object *thread = json_object_new_object();
	struct sched_param param = { 0 };
	int policy = sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK, nice;
	cpu_set_t set;

	jset_str(thread, "role", role);
	if (sched_getaffinity(tid, sizeof(set), &set) == 0 && !cpus_are_all(&set)) {
		_cleanup_free_ char *cpus = cpus_format(&set);

		jset_str(thread, "cpus", cpus);
	}
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
		if (policy == policies[i].policy)
			jset_str(thread, "policy", policies[i].name);
	if (sched_getparam(tid, &param) == 0 && param.sched_priority)
		jset_int(thread, "priority", param.sched_priority);
	errno = 0;
	nice = getpriority(PRIO_PROCESS, tid);
	if (errno == 0 && nice)
		jset_int(thread, "nice", nice);
	if (json_object_object_length(thread) > 1)
		json_object_array_add(threads, thread);
	else
		json_object_put(thread);
}

static int policy_of(struct json_object *thread)
{
	const char *name = jstr(thread, "policy");

	for (size_t i = 0; name && i < ARRAY_SIZE(policies); i++)
		if (streq(name, policies[i].name))
			return policies[i].policy;
	return SCHED_OTHER;
}

/* @tid may be 0, for the caller. @failed gets what this host refuses. */
static void thread_apply(struct json_object *thread, pid_t tid, struct strv *failed)
{
	struct sched_param param = { .sched_priority = jint(thread, "priority", 0) };
	const char *role = jstr(thread, "role"), *cpus = jstr(thread, "cpus");
	int policy = policy_of(thread), nice = jint(thread, "nice", 0);
	cpu_set_t set;

	if (cpus && (!cpus_parse(cpus, &set) || sched_setaffinity(tid, sizeof(set), &set) < 0))
		strv_pushf(failed, "%s: CPUs %s: %s", role, cpus, strerror(errno));
	if (policy != SCHED_OTHER && sched_setscheduler(tid, policy, &param) < 0)
		strv_pushf(failed, "%s: policy %s: %s", role, jstr(thread, "policy"),
			   strerror(errno));
	if (nice && setpriority(PRIO_PROCESS, tid, nice) < 0)
		strv_pushf(failed, "%s: nice %d: %s", role, nice, strerror(errno));
}

static struct json_object *thread_find(struct json_object *attributes, const char *role)
{
	return jfind(jget(attributes, "threads"), "role", role);
}

/* Calls @visit for each vCPU and I/O thread. */
static int threads_visit(struct qmp *qmp, void (*visit)(void *arg, const char *role, pid_t tid),
			 void *arg, struct err *err)
{
	_cleanup_json_ struct json_object *cpus = NULL, *io = NULL;
	int r = qmp_run(qmp, "query-cpus-fast", NULL, &cpus, err);

	if (r == 0)
		r = qmp_run(qmp, "query-iothreads", NULL, &io, err);
	for (size_t i = 0; r == 0 && i < json_object_array_length(cpus); i++) {
		struct json_object *cpu = json_object_array_get_idx(cpus, i);

		visit(arg, fmt("vcpu %d", (int)jint(cpu, "cpu-index", i)), jint(cpu, "thread-id", -1));
	}
	for (size_t i = 0; r == 0 && i < json_object_array_length(io); i++) {
		struct json_object *thread = json_object_array_get_idx(io, i);

		visit(arg, fmt("iothread %s", jstr(thread, "id")), jint(thread, "thread-id", -1));
	}
	return r;
}

static void threads_add(void *arg, const char *role, pid_t tid)
{
	thread_read(arg, role, tid);
}

static int threads_read(struct qemu *q, struct json_object *attributes, struct err *err)
{
	struct json_object *threads = json_object_new_array();

	thread_read(threads, "main", q->pid);
	jset(attributes, "threads", threads);
	return threads_visit(q->qmp, threads_add, threads, err);
}

/* ---- the process ---- */

static void environment_read(pid_t pid, struct json_object *attributes)
{
	_cleanup_strv_ struct strv words = { 0 };
	struct json_object *list;

	if (process_read_words(pid, "environ", &words) < 0)
		return;
	list = json_object_new_array();
	for (size_t i = 0; i < words.n; i++)
		json_object_array_add(list, json_object_new_string(words.v[i]));
	jset(attributes, "environment", list);
}

static void umask_read(pid_t pid, struct json_object *attributes)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/status", (int)pid);
	_cleanup_free_ char *text = read_text(path, 65536);
	const char *line = text ? strstr(text, "\nUmask:") : NULL;

	if (line)
		jset_int(attributes, "umask", strtol(line + strlen("\nUmask:"), NULL, 8));
}

static int64_t limit_number(rlim_t limit)
{
	return limit == RLIM_INFINITY ? -1 : (int64_t)limit;
}

static void limits_read(pid_t pid, struct json_object *attributes)
{
	struct json_object *list = json_object_new_array();
	struct rlimit limit;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct json_object *entry;

		if (prlimit(pid, limits[i].resource, NULL, &limit) < 0)
			continue;
		entry = json_object_new_object();
		jset_str(entry, "name", limits[i].name);
		jset_int(entry, "soft", limit_number(limit.rlim_cur));
		jset_int(entry, "hard", limit_number(limit.rlim_max));
		json_object_array_add(list, entry);
	}
	jset(attributes, "limits", list);
}

static void limits_apply(struct json_object *attributes, struct strv *failed)
{
	struct json_object *list = jget(attributes, "limits");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *entry = json_object_array_get_idx(list, i);
		int64_t soft = jint(entry, "soft", -1), hard = jint(entry, "hard", -1);
		struct rlimit limit = { soft < 0 ? RLIM_INFINITY : (rlim_t)soft,
					hard < 0 ? RLIM_INFINITY : (rlim_t)hard };
		const char *name = jstr(entry, "name");

		for (size_t j = 0; name && j < ARRAY_SIZE(limits); j++)
			if (streq(name, limits[j].name) && setrlimit(limits[j].resource, &limit) < 0)
				strv_pushf(failed, "limit %s: %s", name, strerror(errno));
	}
}

/* ---- the network namespace ---- */

static bool is_same_file(const char *a, const char *b)
{
	struct stat one, other;

	return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

/* Name of the namespace as ip-netns(8) keeps it; NULL if it has none. Caller frees. */
static char *netns_name(const char *ns)
{
	DIR *dir = opendir(NETNS_DIR);
	char *name = NULL;
	struct dirent *e;

	while (dir && !name && (e = readdir(dir)))
		if (*e->d_name != '.' && is_same_file(ns, fmt("%s/%s", NETNS_DIR, e->d_name)))
			name = xstrdup(e->d_name);
	if (dir)
		closedir(dir);
	return name;
}

static int netns_read(pid_t pid, struct json_object *attributes, struct err *err)
{
	_cleanup_free_ char *ns = xasprintf("/proc/%d/ns/net", (int)pid), *name = NULL;

	if (is_same_file(ns, "/proc/1/ns/net"))
		return 0;
	name = netns_name(ns);
	if (!name)
		return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "network namespace",
			    .value = fmt("of process %d", (int)pid),
			    .why = "it has no name, and the next QEMU could not be started in it",
			    .remedy = fmt("'ip netns attach NAME %d', and have the host make the namespace "
					  "NAME at each boot", (int)pid));
	jset_str(attributes, "netns", name);
	return 0;
}

int attributes_check(struct json_object *attributes, struct err *err)
{
	const char *name = jstr(attributes, "netns");

	if (!name || access(fmt("%s/%s", NETNS_DIR, name), F_OK) == 0)
		return 0;
	return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "network namespace",
		    .value = name, .why = "the guest's QEMU ran in it, and it does not exist",
		    .remedy = fmt("make it ('ip netns add %s') with the guest's interfaces, then restore "
				  "again", name));
}

char *attributes_netns(struct json_object *attributes)
{
	const char *name = jstr(attributes, "netns");

	return name ? xasprintf("%s/%s", NETNS_DIR, name) : xstrdup("/proc/1/ns/net");
}

static int netns_enter(struct json_object *attributes)
{
	_cleanup_free_ char *path = attributes_netns(attributes);
	_cleanup_close_ int fd = -1;

	if (is_same_file(path, "/proc/self/ns/net"))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 || setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

/* ---- all of them ---- */

int attributes_read(struct qemu *q, struct json_object **attributes, struct err *err)
{
	struct json_object *all = json_object_new_object();
	int r = netns_read(q->pid, all, err);

	if (r == 0)
		r = threads_read(q, all, err);
	if (r < 0) {
		json_object_put(all);
		return r;
	}
	environment_read(q->pid, all);
	umask_read(q->pid, all);
	limits_read(q->pid, all);
	*attributes = all;
	return 0;
}

int attributes_enter(struct json_object *attributes, int fd)
{
	struct json_object *main_thread = thread_find(attributes, "main");
	_cleanup_strv_ struct strv failed = { 0 };
	int r;

	if (!attributes)
		return 0;
	r = netns_enter(attributes);
	if (r < 0)
		return r;
	if (jget(attributes, "umask"))
		umask(jint(attributes, "umask", 022));
	limits_apply(attributes, &failed);
	if (main_thread)
		thread_apply(main_thread, 0, &failed);
	for (size_t i = 0; i < failed.n; i++)
		dprintf(fd, "cpr-helper: left out: %s\n", failed.v[i]);
	return 0;
}

char **attributes_environment(struct json_object *attributes)
{
	struct json_object *list = jget(attributes, "environment");
	size_t n = list ? json_object_array_length(list) : 0;
	char **env = list ? xcalloc(n + 1, sizeof(*env)) : NULL;

	for (size_t i = 0; i < n; i++)
		env[i] = (char *)json_object_get_string(json_object_array_get_idx(list, i));
	return env;
}

/**
 * struct apply - threads that get their attributes
 * @attributes: recorded
 * @failed: what this host refuses
 */
struct apply {
	struct json_object *attributes;
	struct strv failed;
};

/* A thread that was as all are inherits what the process has as a whole: undo that, too. */
static void threads_apply(void *arg, const char *role, pid_t tid)
{
	struct apply *a = arg;
	struct json_object *thread = thread_find(a->attributes, role);
	struct json_object *whole = thread_find(a->attributes, "main");
	struct sched_param none = { 0 };
	cpu_set_t all;

	if (jget(whole, "cpus") && !jget(thread, "cpus")) {
		memset(&all, 0xff, sizeof(all));
		sched_setaffinity(tid, sizeof(all), &all);
	}
	if (jget(whole, "policy") && !jget(thread, "policy"))
		sched_setscheduler(tid, SCHED_OTHER, &none);
	if (jget(whole, "nice") && !jget(thread, "nice"))
		setpriority(PRIO_PROCESS, tid, 0);
	if (thread)
		thread_apply(thread, tid, &a->failed);
}

void attributes_apply(struct json_object *attributes, struct qemu *q, const char *vm)
{
	struct apply a = { .attributes = attributes };
	_cleanup_err_ struct err why = { 0 };

	if (attributes && threads_visit(q->qmp, threads_apply, &a, &why) < 0)
		note("VM '%s': its threads do not have the CPUs and priorities that they had: %s", vm,
		     why.why);
	for (size_t i = 0; i < a.failed.n; i++)
		note("VM '%s': %s", vm, a.failed.v[i]);
	strv_free(&a.failed);
}
