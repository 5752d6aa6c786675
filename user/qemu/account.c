// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "qemu/account.h"

#define MAX_GROUPS 65536	/* NGROUPS_MAX of the kernel */

static uid_t account_uid(struct json_object *user)
{
	return user ? jint(user, "uid", -1) : geteuid();
}

static gid_t account_gid(struct json_object *user)
{
	return user ? jint(user, "gid", -1) : getegid();
}

static struct json_object *account_json(const struct passwd *pw)
{
	struct json_object *user = json_object_new_object();

	jset_str(user, "name", pw->pw_name);
	jset_int(user, "uid", pw->pw_uid);
	jset_int(user, "gid", pw->pw_gid);
	return user;
}

/* ---- who he is ---- */

static struct passwd *account_lookup(const char *text)
{
	struct passwd *pw = getpwnam(text);
	char *end;
	unsigned long uid;

	if (pw || *text < '0' || *text > '9')
		return pw;
	uid = strtoul(text, &end, 10);
	return *end || uid != (uid_t)uid ? NULL : getpwuid(uid);
}

int account_find(const char *text, struct json_object **user, struct err *err)
{
	struct passwd *pw = account_lookup(text);

	*user = NULL;
	if (!pw)
		return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "user", .value = text,
			    .why = "there is no such user",
			    .remedy = "give the name or the number of a user of this host");
	if (pw->pw_uid != geteuid())
		*user = account_json(pw);
	return 0;
}

static int account_changed(struct json_object *user, const char *why, struct err *err)
{
	return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "user",
		    .value = jstr(user, "name"), .why = why,
		    .remedy = fmt("make the user as it was, with uid %u and primary group %u, then "
				  "try again", (unsigned int)account_uid(user),
				  (unsigned int)account_gid(user)));
}

int account_check(struct json_object *user, struct err *err)
{
	struct passwd *pw = user ? getpwnam(jstr(user, "name")) : NULL;

	if (!user)
		return 0;
	if (!pw)
		return account_changed(user, "the VM's QEMU ran as this user, and there is no such "
				       "user any more", err);
	if (pw->pw_uid == account_uid(user) && pw->pw_gid == account_gid(user))
		return 0;
	return account_changed(user, fmt("the VM's QEMU ran as this user, who is another one now: "
					 "uid %u, primary group %u", (unsigned int)pw->pw_uid,
					 (unsigned int)pw->pw_gid), err);
}

/* ---- who a process is ---- */

/**
 * struct account_ids - the ids of a process
 * @uid, @gid: real, effective, saved, of the file system
 * @groups: supplementary groups, as /proc prints them: sorted, in between blanks
 */
struct account_ids {
	unsigned int uid[4], gid[4];
	char *groups;
};

static bool account_read_line(const char *text, const char *name, unsigned int *ids)
{
	const char *line = strstr(text, name);

	return line && sscanf(line + strlen(name), "%u %u %u %u", &ids[0], &ids[1], &ids[2],
			      &ids[3]) == 4;
}

static bool account_read_ids(pid_t pid, struct account_ids *ids)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/status", (int)pid);
	_cleanup_free_ char *text = read_text(path, MAX_GROUPS * 16);
	const char *groups = text ? strstr(text, "\nGroups:\t") : NULL;

	*ids = (struct account_ids){ 0 };
	if (!groups || !account_read_line(text, "\nUid:", ids->uid) ||
	    !account_read_line(text, "\nGid:", ids->gid))
		return false;
	groups += strlen("\nGroups:\t");
	ids->groups = xstrndup(groups, strcspn(groups, "\n"));
	return true;
}

static bool account_has_group(const char *groups, gid_t gid)
{
	_cleanup_free_ char *among = xasprintf(" %s", groups);

	return strstr(among, fmt(" %u ", (unsigned int)gid));
}

/* Whether the groups are those that initgroups(3) gives. */
static bool account_groups_match(const char *groups, const struct passwd *pw)
{
	_cleanup_free_ gid_t *list = xcalloc(MAX_GROUPS, sizeof(*list));
	int n = MAX_GROUPS, words = 0;

	if (getgrouplist(pw->pw_name, pw->pw_gid, list, &n) < 0)
		return false;
	for (const char *p = groups; (p = strchr(p, ' ')); p++)
		words++;
	for (int i = 0; i < n; i++)
		if (!account_has_group(groups, list[i]))
			return false;
	return words == n;
}

static bool account_is_process(const struct account_ids *ids, const struct passwd *pw)
{
	for (size_t i = 0; i < ARRAY_SIZE(ids->uid); i++)
		if (ids->uid[i] != pw->pw_uid || ids->gid[i] != pw->pw_gid)
			return false;
	return account_groups_match(ids->groups, pw);
}

int account_of_process(pid_t pid, struct json_object **user, struct err *err)
{
	_cleanup_free_ char *name = xasprintf("%d", (int)pid);
	struct account_ids ids;
	struct passwd *pw;
	bool same;

	*user = NULL;
	if (!account_read_ids(pid, &ids))
		return fail(err, -ESRCH, .what = "process", .value = name, .why = "it has exited");
	/* One of root is started again with the groups of cpr-helper, as ever. */
	pw = getpwuid(ids.uid[1]);
	same = ids.uid[1] == geteuid() || (pw && account_is_process(&ids, pw));
	free(ids.groups);
	if (!same)
		return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "process",
			    .value = name,
			    .why = fmt("it runs as user %u, but not with exactly the ids and groups "
				       "that cpr-helper would start it with again", ids.uid[1]),
			    .remedy = "start that QEMU with all groups of the user, as 'runuser -u' "
			    "does");
	if (ids.uid[1] != geteuid())
		*user = account_json(pw);
	return 0;
}

/* ---- to be him ---- */

int account_enter(struct json_object *user)
{
	struct passwd *pw = user ? getpwnam(jstr(user, "name")) : NULL;
	uid_t uid = account_uid(user);
	gid_t gid = account_gid(user);

	if (!user)
		return 0;
	if (!pw)
		return -ENOENT;
	setenv("HOME", pw->pw_dir, 1);
	setenv("USER", pw->pw_name, 1);
	setenv("LOGNAME", pw->pw_name, 1);
	if (initgroups(pw->pw_name, gid) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	return setuid(0) == 0 && uid ? -EPERM : 0;
}

int account_access(struct json_object *user, const char *path, int mode)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int r = account_enter(user);

		_exit(r < 0 ? -r : access(path, mode) < 0 ? errno : 0);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

/* ---- what is his ---- */

int account_give(struct json_object *user, int fd)
{
	return user && fchown(fd, account_uid(user), account_gid(user)) < 0 ? -errno : 0;
}

int account_admit(struct json_object *user, const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fchown(fd, geteuid(), account_gid(user)) < 0 ||
	    fchmod(fd, user ? 0710 : 0700) < 0)
		return -errno;
	return 0;
}

/* In a directory with the sticky bit, what is not his stays. */
static bool account_can_change(struct json_object *user, const char *path, bool above)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return true;
	if (st.st_uid == account_uid(user))
		return true;
	return !(above && st.st_mode & S_ISVTX) && account_access(user, path, W_OK) == 0;
}

int account_check_kept(struct json_object *user, const char *what, const char *path,
		       struct err *err)
{
	_cleanup_free_ char *real = user ? realpath(path, NULL) : NULL;
	bool above = false;
	char *slash;

	if (!user)
		return 0;
	if (!real)
		return fail(err, -errno, .what = what, .value = path, .why = strerror(errno));
	for (; *real; *slash = '\0', above = true) {
		if (account_can_change(user, real, above))
			return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = what,
				    .value = path,
				    .why = fmt("user '%s', as whom its QEMU runs, can change '%s', and "
					       "so what root finds there", jstr(user, "name"), real),
				    .remedy = "name one that only root can change, and all "
				    "directories above it");
		slash = strrchr(real, '/');
	}
	return 0;
}

int account_check_peer(struct json_object *user, int fd, const char *path, struct err *err)
{
	struct ucred peer = { .uid = -1 };
	socklen_t len = sizeof(peer);

	if (!user)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	    peer.uid == account_uid(user))
		return 0;
	return fail(err, -EPERM, .what = "socket", .value = path,
		    .why = fmt("user %u listens on it, and not '%s', as whom the VM's QEMU runs",
			       (unsigned int)peer.uid, jstr(user, "name")));
}
