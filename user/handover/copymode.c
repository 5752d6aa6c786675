// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/out.h"
#include "base/paths.h"
#include "base/size.h"
#include "host/volatile.h"
#include "qemu/account.h"
#include "qemu/migration.h"
#include "vm/manifest.h"
#include "handover/copycommand.h"
#include "handover/copymode.h"
#include "handover/diskspeed.h"

#define MAX_CHANNELS 8
#define MARGIN (16 * MIB)		/* for device state, and metadata of the file system */
#define BLOCK_MARGIN (2 * MIB)		/* for header and alignment of a RAM block */
#define COPY_RATE (1024.0 * MIB)	/* bytes a second that one thread of QEMU writes at most */

/*
 * How many times longer than estimated a copy may take; and the longest estimate that
 * counts, a week.
 */
#define PATIENCE 4
#define MAX_S 604800

static int copymode_refuse(struct err *err, const char *what, const char *value, const char *why,
			   const char *remedy)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = what, .value = value,
		    .why = why, .remedy = remedy);
}

/* ---- the target: a file ---- */

#define A_DISK "name a file on a disk"

static bool copymode_is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* @path is absolute, in an existing directory; the caller frees it. */
static int copymode_resolve(const char *vm, const char *to, char **path, struct err *err)
{
	const char *base = *to == '/' ? "" : "./";
	_cleanup_free_ char *name = copymode_is_directory(to) ? xasprintf("/%s.state", vm) : NULL;
	_cleanup_free_ char *full = xasprintf("%s%s%s", base, to, name ? name : "");
	char *slash = strrchr(full, '/');
	_cleanup_free_ char *dir = NULL;
	const char *why;

	*slash = '\0';
	dir = realpath(*full ? full : "/", NULL);
	if (!dir)
		return copymode_refuse(err, "--to", to, fmt("its directory: %s", strerror(errno)),
				       "make it first");
	if (!slash[1])
		return copymode_refuse(err, "--to", to, "this is no name for a file", A_DISK);
	*path = xasprintf("%s/%s", streq(dir, "/") ? "" : dir, slash + 1);
	if (startswith(*path, CPRFS_ROOT "/"))
		return copymode_refuse(err, "--to", to, "this is in the handover region",
				       "leave --to out, and the state goes there");
	if (strstr(*path, ",offset="))
		return copymode_refuse(err, "--to", to,
				       "QEMU takes ,offset= for the end of the name",
				       "choose a name without");
	why = volatile_why(dir);
	return why ? copymode_refuse(err, "--to", to, why, A_DISK) : 0;
}

/* He gets into the directory, but what is there is for root to name. */
static int copymode_check_user(struct json_object *user, const char *path, struct err *err)
{
	_cleanup_free_ char *dir = directory_of(path);

	if (user && account_access(user, dir, X_OK) < 0)
		return copymode_refuse(err, "--to", path,
				       fmt("user '%s', as whom its QEMU runs, cannot enter '%s'",
					   jstr(user, "name"), dir),
				       "let the user enter it and all directories above it "
				       "('chmod o+x')");
	return account_check_kept(user, "--to", dir, err);
}

static bool copymode_is_own(struct vm *vm, const char *path)
{
	const char *own = jstr(jget(vm->manifest, "target"), "file");

	return own && streq(own, path);
}

static int copymode_check_free_name(struct vm *vm, const char *path, struct err *err)
{
	_cleanup_free_ char *part = xasprintf("%s.part", path);

	if (copymode_is_own(vm, path))
		return 0;
	if (access(path, F_OK) < 0 && access(part, F_OK) < 0)
		return 0;
	return copymode_refuse(err, "--to", access(path, F_OK) == 0 ? path : part,
			       "it exists, and is not of this VM",
			       "choose another name, or remove it");
}

static struct json_object *copymode_target_file(struct vm *vm, const char *to, struct err *err)
{
	_cleanup_free_ char *path = NULL;
	struct json_object *target;

	if (copymode_resolve(vm->name, to, &path, err) < 0 ||
	    copymode_check_user(jget(vm->manifest, "user"), path, err) < 0 ||
	    copymode_check_free_name(vm, path, err) < 0)
		return NULL;
	target = json_object_new_object();
	jset_str(target, "file", path);
	return target;
}

/* ---- the target: a command ---- */

static const struct { const char *prefix, *why, *remedy; } no_uri[] = {
	{ "file:", "cpr-helper would not know the file", "give its path with --to" },
	{ "tcp:", "after the kexec no peer would send the state", "use exec:" },
	{ "unix:", "after the kexec no peer would send the state", "use exec:" },
	{ "vsock:", "after the kexec no peer would send the state", "use exec:" },
	{ "rdma:", "after the kexec no peer would send the state", "use exec:" },
	{ "fd:", "the file descriptor does not exist after a kexec", "use exec:" },
};

static int copymode_check_uri(const char *option, const char *uri, struct err *err)
{
	if (startswith(uri, TARGET_EXEC) && uri[strlen(TARGET_EXEC)])
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(no_uri); i++)
		if (startswith(uri, no_uri[i].prefix))
			return copymode_refuse(err, option, uri, no_uri[i].why, no_uri[i].remedy);
	return copymode_refuse(err, option, uri,
			       "a restore can only load from exec:COMMAND",
			       "use exec:, or --to");
}

static struct json_object *copymode_target_stream(const struct copymode_request *req,
						  const char *runstate, struct err *err)
{
	struct json_object *target;

	if (copymode_check_uri("--uri", req->uri, err) < 0 ||
	    copymode_check_uri("--restore-uri", req->restore_uri, err) < 0)
		return NULL;
	/* Rolling back the save would have to load the state, see rollback_suspended(). */
	if (streq(runstate, "suspended")) {
		copymode_refuse(err, "--uri", req->uri,
				"the guest is suspended, and then only a file that "
				"was checked can bring it back",
				"wake it first, or use --to");
		return NULL;
	}
	target = json_object_new_object();
	jset_str(target, "uri", req->uri);
	jset_str(target, "restore_uri", req->restore_uri);
	return target;
}

/* ---- the size ---- */

/* "NAME PSIZE UNIT 0xOFFSET 0xUSED 0xTOTAL ...": its used bytes; 0 if it is no block. */
static uint64_t copymode_block_used(const char *line)
{
	const char *offset = strstr(line, " 0x");
	const char *used = offset ? strstr(offset + 1, " 0x") : NULL;

	return used ? strtoull(used, NULL, 16) : 0;
}

/* Of all RAM blocks. The output is meant for people, but all versions of QEMU have the command. */
static uint64_t copymode_blocks_bytes(struct qmp *qmp)
{
	_cleanup_json_ struct json_object *ret = NULL;
	_cleanup_free_ char *text = NULL;
	char *next, *line;
	uint64_t sum = 0;

	if (qmp_run(qmp, "x-query-ramblock", NULL, &ret, NULL) < 0 ||
	    !jstr(ret, "human-readable-text"))
		return 0;
	text = xstrdup(jstr(ret, "human-readable-text"));
	for (next = text; (line = strsep(&next, "\n")); ) {
		uint64_t used = copymode_block_used(line);

		/* mapped-ram also writes a bitmap with a bit for each page. */
		sum += used ? used + used / 32768 + BLOCK_MARGIN : 0;
	}
	return sum;
}

static int copymode_all_bytes(struct qmp *qmp, uint64_t *bytes, struct err *err)
{
	_cleanup_json_ struct json_object *summary = NULL;
	uint64_t ram, blocks = copymode_blocks_bytes(qmp);
	int r = qmp_run(qmp, "query-memory-size-summary", NULL, &summary, err);

	if (r < 0)
		return r;
	ram = jint(summary, "base-memory", 0) + jint(summary, "plugged-memory", 0);
	/* Without the list: RAM, and room for large video memory and firmware. */
	*bytes = (blocks > ram ? blocks : ram + ram / 16 + 256 * MIB) + MARGIN;
	return 0;
}

static int copymode_check_space(const char *path, uint64_t need, struct err *err)
{
	_cleanup_free_ char *dir = directory_of(path);
	uint64_t have;
	int r = free_bytes(dir, &have);

	if (r < 0)
		return fail(err, r, .what = "cannot read", .value = dir, .why = strerror(-r));
	if (have >= need)
		return 0;
	return fail(err, -ENOSPC, .exit = CPR_EXIT_REFUSED, .what = "state file", .value = path,
		    .why = fmt("it may need %s, and %s is free there", size_human(need),
			       size_human(have)),
		    .remedy = "make room, or name a disk that has it with --to");
}

static int copymode_check_request(struct vm *vm, const struct copymode_request *req,
				  struct err *err)
{
	const char *option = req->to ? "--to" : req->uri ? "--uri" : NULL;

	if (option && !manifest_copied(vm->manifest))
		return copymode_refuse(err, "VM", vm->name,
				       fmt("%s is for VMs in copy mode; the RAM of this "
					   "one is in the handover region, and stays there",
					   option),
				       fmt("leave %s out", option));
	return 0;
}

int copymode_target(struct vm *vm, const char *runstate, const struct copymode_request *req,
		    struct copymode_plan *plan, struct err *err)
{
	_cleanup_json_ struct json_object *target = NULL;
	_cleanup_free_ char *path = NULL;
	int r = copymode_check_request(vm, req, err);

	if (r < 0 || !manifest_copied(vm->manifest))
		return r;
	if (req->to)
		target = copymode_target_file(vm, req->to, err);
	else if (req->uri)
		target = copymode_target_stream(req, runstate, err);
	if (!target && (req->to || req->uri))
		return -EOPNOTSUPP;
	r = copymode_all_bytes(vm->qemu.qmp, &plan->bytes, err);
	if (r < 0)
		return r;
	path = target && req->to ? xstrdup(jstr(target, "file")) : vm_path(vm->name, STATE_FILE);
	r = req->uri ? 0 : copymode_check_space(path, plan->bytes, err);
	if (r < 0)
		return r;
	if (jget(vm->manifest, "target") && !copymode_is_own(vm, path))
		plan->stale = json_object_get(jget(vm->manifest, "target"));
	json_object_object_del(vm->manifest, "target");
	if (target)
		jset(vm->manifest, "target", json_object_get(target));
	return 0;
}

/* ---- the time ---- */

/* From here on both files belong to this save. */
static int copymode_make_files(struct vm *vm, const char *path, const char *part, struct err *err)
{
	const char *const names[] = { path, part };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd = open(names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		int code = -errno;

		if (fd >= 0) {
			close(fd);
			continue;
		}
		if (i)
			unlink(path);
		json_object_object_del(vm->manifest, "target");
		return fail(err, code, .what = "cannot create", .value = names[i],
			    .why = strerror(-code));
	}
	return 0;
}

static void copymode_print_estimate(const struct vm *vm, const char *path,
				    const struct copymode_plan *plan, double rate, const char *how)
{
	say("%s: up to %s go into %s; about %.*f s at %s/s (%s), the guest stands still meanwhile",
	    vm->name, size_human(plan->bytes), path, plan->seconds < 10 ? 1 : 0, plan->seconds,
	    size_human(rate), how);
	fflush(stdout);
}

int copymode_measure(struct vm *vm, struct copymode_plan *plan, struct err *err)
{
	_cleanup_free_ char *path = vm_state_path(vm), *part = vm_part_path(vm);
	double rate = COPY_RATE;
	int r;

	if (copycommand_used(vm)) {
		note("VM '%s': up to %s go to '%s': the command's result is neither checked nor "
		     "digested, and the time that it takes is unknown", vm->name,
		     size_human(plan->bytes), jstr(jget(vm->manifest, "target"), "uri"));
		return 0;
	}
	if (!jget(vm->manifest, "target")) {
		plan->seconds = plan->bytes / rate;
		copymode_print_estimate(vm, path, plan, rate, "assumed, as of memory");
		return 0;
	}
	unlink(path);
	unlink(part);
	r = copymode_make_files(vm, path, part, err);
	if (r < 0)
		return r;
	plan->seconds = diskspeed_probe(part, plan->bytes, &rate);
	if (plan->seconds <= 0)
		return fail(err, -EIO, .what = "state file", .value = part,
			    .why = "it cannot be written", .remedy = "choose another disk");
	if (rate > COPY_RATE) {
		plan->seconds += plan->bytes / COPY_RATE - plan->bytes / rate;
		rate = COPY_RATE;
	}
	copymode_print_estimate(vm, path, plan, rate, "measured");
	return 0;
}

double copymode_patience(double seconds)
{
	return PATIENCE * (seconds < 0 ? 0 : seconds > MAX_S ? MAX_S : seconds);
}

/* ---- the migration ---- */

static int copymode_channels(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus > MAX_CHANNELS ? MAX_CHANNELS : cpus;
}

static bool copymode_takes_direct(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	return fd >= 0;
}

struct migration_way copymode_way(const struct vm *vm)
{
	if (!manifest_copied(vm->manifest))
		return migration_in_place;
	return (struct migration_way){
		.kind = copycommand_used(vm) ? MIGRATION_STREAM : MIGRATION_COPY,
	};
}

struct migration_way copymode_load_way(const struct vm *vm)
{
	struct migration_way way = copymode_way(vm);
	_cleanup_free_ char *path = NULL;

	if (way.kind != MIGRATION_COPY)
		return way;
	path = vm_state_path(vm);
	return (struct migration_way){ .kind = MIGRATION_COPY_LOAD, .channels = copymode_channels(),
				       .direct = copymode_takes_direct(path) };
}

/* ---- removal ---- */

void copymode_remove(const struct vm *vm, struct json_object *target)
{
	const char *file = jstr(target, "file"), *uri = jstr(target, "uri");
	_cleanup_free_ char *part = file ? xasprintf("%s.part", file) : NULL;

	if (uri && jget(vm->manifest, "saved"))
		note("VM '%s': what '%s' made is not removed", vm->name, uri);
	if (file && unlink(file) < 0 && errno != ENOENT)
		note("VM '%s': '%s' stays: %s", vm->name, file, strerror(errno));
	if (part)
		unlink(part);
}

void copymode_forget(struct vm *vm)
{
	if (!vm->manifest)
		return;
	copymode_remove(vm, jget(vm->manifest, "target"));
	json_object_object_del(vm->manifest, "target");
}
