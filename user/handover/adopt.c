// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/out.h"
#include "base/paths.h"
#include "base/size.h"
#include "qemu/account.h"
#include "qemu/attributes.h"
#include "qemu/foreign.h"
#include "qemu/inquire.h"
#include "qemu/inventory.h"
#include "qemu/launch.h"
#include "qemu/process.h"
#include "vm/lock.h"
#include "vm/manifest.h"
#include "vm/nodes.h"
#include "vm/room.h"
#include "handover/adopt.h"
#include "handover/hooks.h"
#include "handover/savable.h"

#define GREETING_S 10

/**
 * struct adopt - a QEMU that is being adopted
 * @socket: absolute path of its monitor
 * @process: its command line, binary and directory, as the kernel has them
 * @options: its arguments
 * @plan: arguments to start it again with, and the memory files
 * @in_place: its memory is in the VM's directory; otherwise the VM is in copy mode
 * @before: its room before
 * @dir_before: its directory before, if its memory is there
 * @made_dir, @made_room, @admitted, @pinned: to be undone after a failure
 */
struct adopt {
	struct vm vm;
	char *socket;
	struct process process;
	struct qemuopts options;
	struct launch_plan plan;
	bool in_place;
	struct cpr_room before;
	struct stat dir_before;
	bool made_dir;
	bool made_room;
	bool admitted;
	bool pinned;
};

static void adopt_free(struct adopt *a)
{
	vm_close(&a->vm);
	free(a->socket);
	qemuopts_free(&a->options);
	process_free(&a->process);
	launch_plan_free(&a->plan);
}

static int adopt_refuse(struct err *err, const char *what, const char *value, const char *why,
			const char *remedy)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = what, .value = value,
		    .why = why, .remedy = remedy);
}

/* After a restore, two VMs of one QEMU would be two guests on the same disks. */
static int adopt_check_other(struct adopt *a, const char *path, struct err *err)
{
	_cleanup_free_ char *vm = qemu_adopted_as(a->vm.qemu.pid);
	_cleanup_free_ char *dir = vm ? vm_path(vm, NULL) : NULL;

	if (!vm || streq(vm, a->vm.name) || access(dir, F_OK) < 0)
		return 0;
	return adopt_refuse(err, "--qmp", path, fmt("this QEMU is VM '%s' already", vm),
			    fmt("see 'cpr-helper show %s'", vm));
}

static int adopt_connect(struct adopt *a, const char *path, struct err *err)
{
	_cleanup_err_ struct err why = { 0 };
	struct qemu *q = &a->vm.qemu;
	int r;

	a->socket = realpath(path, NULL);
	if (!a->socket)
		return fail(err, -errno, .exit = CPR_EXIT_NOTFOUND, .what = "--qmp", .value = path,
			    .why = strerror(errno),
			    .remedy = "name a socket that QEMU listens on with -qmp");
	if (startswith(a->socket, RUNTIME_DIR "/"))
		return adopt_refuse(err, "--qmp", path, "this is the monitor of a VM already",
				    "'cpr-helper list' shows it");
	q->qmp = qmp_open(a->socket, deadline_in(GREETING_S), &r, &why);
	if (!q->qmp)
		return fail(err, r, .exit = r == -ETIMEDOUT ? CPR_EXIT_BUSY : CPR_EXIT_FAILED,
			    .what = "--qmp", .value = path, .why = r == -ETIMEDOUT ?
			    "it does not answer: a monitor serves one client at a time" : why.why,
			    .remedy = r == -ETIMEDOUT ? "disconnect the other client, or give that "
			    "QEMU another -qmp socket" : "name a socket that QEMU listens on with -qmp");
	q->pid = jsonsock_peer(q->qmp->js, &q->pidfd);
	return adopt_check_other(a, path, err);
}

/*
 * The kernel names the process that made the socket, which may have passed the socket on to
 * QEMU. The vCPUs are threads of QEMU.
 */
static int adopt_check_listener(struct adopt *a, struct err *err)
{
	_cleanup_json_ struct json_object *cpus = NULL;
	const struct qemu *q = &a->vm.qemu;
	int r = qmp_run(q->qmp, "query-cpus-fast", NULL, &cpus, err);
	struct json_object *first = r < 0 ? NULL : json_object_array_get_idx(cpus, 0);

	if (r < 0 || process_has_thread(q->pid, jint(first, "thread-id", -1)))
		return r;
	return adopt_refuse(err, "--qmp", a->socket,
			    fmt("process %d made it, but does not run the guest", (int)q->pid),
			    "name a socket that QEMU itself has made; libvirt passes its own "
			    "sockets to QEMU");
}

static int adopt_plan_ram(struct adopt *a, struct err *err)
{
	struct launch_request req = {
		.opts = &a->options, .dir = a->in_place ? a->vm.dir : NULL,
	};
	int r = launch_plan(&req, &a->plan, err);

	for (size_t i = 0; r == 0 && i < a->plan.nfiles; i++)
		if (startswith(a->plan.files[i].id, "cpr-"))
			r = adopt_refuse(err, "QEMU's memory", size_exact(a->plan.files[i].size),
					 fmt("it is not in %s, other memory is", a->vm.dir),
					 "have all of it there, or none");
	return r;
}

static int adopt_check_options(struct adopt *a, struct err *err)
{
	int r = qemuopts_parse(&a->process.argv, &a->options, err);

	if (r < 0)
		return r;
	a->in_place = foreign_in_place(&a->options, a->vm.dir);
	return foreign_check(&a->options, a->in_place ? a->vm.dir : NULL, err);
}

static int adopt_examine(struct adopt *a, struct err *err)
{
	int r = adopt_check_listener(a, err);

	if (r == 0)
		r = process_read(a->vm.qemu.pid, &a->process, err);
	if (r == 0)
		r = adopt_check_options(a, err);
	if (r == 0)
		r = inventory_check_options(a->vm.qemu.qmp, &a->options, err);
	if (r == 0)
		r = adopt_plan_ram(a, err);
	if (r == 0)
		r = nodes_check(a->process.user, &a->options, err);
	/* Root executes it, too, to learn what it can do. */
	if (r == 0)
		r = account_check_kept(a->process.user, "QEMU binary", a->process.binary, err);
	if (r < 0)
		return r;
	if (access(a->process.binary, X_OK) < 0)
		return adopt_refuse(err, "QEMU binary", a->process.binary, strerror(errno),
				    "install it again: a restore starts the VM with it");
	return 0;
}

static int adopt_ask(struct adopt *a, struct err *err)
{
	struct json_object *m = a->vm.manifest = json_object_new_object();
	struct qmp *qmp = a->vm.qemu.qmp;
	struct json_object *process = NULL;
	int r;

	jset_int(m, "version", MANIFEST_VERSION);
	jset_str(m, "name", a->vm.name);
	jset_int(m, "created", time(NULL));
	if (a->process.user)
		jset(m, "user", json_object_get(a->process.user));
	jset_str(m, "binary", a->process.binary);
	r = inquire_version(qmp, m, err);
	if (r == 0)
		r = inquire_machine(qmp, m, err);
	if (r == 0)
		r = savable_machine(m, err);
	if (r == 0)
		r = a->in_place ? inquire_memory(qmp, a->vm.dir, &a->plan, err) :
		    inquire_size(qmp, &a->plan.base, err);
	if (r == 0)
		r = inquire_inventory(qmp, m, err);
	if (r == 0)
		r = attributes_read(&a->vm.qemu, &process, err);
	jset(m, "process", process);
	jset_str(m, "cwd", a->process.cwd);
	jset(m, "argv", manifest_strings(&a->plan.argv));
	jset(m, "memory", manifest_memory(a->plan.files, a->plan.nfiles));
	if (!a->in_place)
		jset_str(m, "ram_mode", RAM_MODE_COPY);
	if (a->plan.agent)
		jset_str(m, "agent", a->plan.agent);
	return r;
}

static int adopt_exists(struct adopt *a, struct err *err)
{
	return fail(err, -EEXIST, .exit = CPR_EXIT_BUSY, .what = "VM", .value = a->vm.name,
		    .why = "it exists", .remedy =
		    fmt("choose another name, or 'cpr-helper delete %s'", a->vm.name));
}

/* With its memory in place the directory is there already; otherwise it must not exist. */
static int adopt_check_dir(struct adopt *a, struct err *err)
{
	_cleanup_free_ char *manifest = vm_path(a->vm.name, MANIFEST_FILE);
	_cleanup_vm_info_ struct cpr_vm info = { 0 };
	int r;

	if (!a->in_place)
		return access(a->vm.dir, F_OK) == 0 ? adopt_exists(a, err) : 0;
	r = genl_vm(a->vm.genl, a->vm.name, &info, err);
	if (r < 0)
		return r;
	return info.state == CPR_VM_STATE_DEFINED && access(manifest, F_OK) < 0 ? 0 :
	       adopt_exists(a, err);
}

static void adopt_undo(struct adopt *a)
{
	_cleanup_free_ char *manifest = vm_path(a->vm.name, MANIFEST_FILE);

	if (a->pinned)
		genl_vm_do(a->vm.genl, CPR_CMD_VM_UNPIN, a->vm.name, NULL, NULL);
	unlink(manifest);
	if (a->admitted && (chown(a->vm.dir, a->dir_before.st_uid, a->dir_before.st_gid) < 0 ||
			    chmod(a->vm.dir, a->dir_before.st_mode & 07777) < 0))
		note("%s: it stays root's: %s", a->vm.dir, strerror(errno));
	if (a->made_room)
		genl_vm_room(a->vm.genl, a->vm.name, &a->before, NULL);
	if (a->made_dir)
		rmdir(a->vm.dir);
}

/* A room that the operator has set stays as it is. */
static int adopt_make_room(struct adopt *a, uint64_t wanted, struct err *err)
{
	_cleanup_vm_info_ struct cpr_vm info = { 0 };
	int r = genl_vm(a->vm.genl, a->vm.name, &info, err);

	if (r < 0 || (!wanted && (info.room.names || !a->in_place)))
		return r;
	a->before = info.room;
	r = room_make(a->vm.genl, a->vm.name, info.used.bytes, info.used.names, wanted, err);
	a->made_room = r == 0;
	return r;
}

/* Whose ever it was: what is in it decides what root executes. */
static int adopt_take_dir(struct adopt *a, struct err *err)
{
	int r = !a->in_place && mkdir(a->vm.dir, 0700) < 0 ? -errno : 0;

	if (r < 0)
		return fail(err, r, .what = "cannot create", .value = a->vm.dir,
			    .why = strerror(-r));
	a->made_dir = !a->in_place;
	r = stat(a->vm.dir, &a->dir_before) < 0 ? -errno : 0;
	a->admitted = r == 0;
	if (r == 0)
		r = account_admit(a->process.user, a->vm.dir);
	return r == 0 ? 0 : fail(err, r, .what = "cannot change the owner of",
				 .value = a->vm.dir, .why = strerror(-r));
}

static int adopt_commit(struct adopt *a, const struct adopt_opts *opts, struct err *err)
{
	_cleanup_strv_ struct strv files = { 0 };
	int r = adopt_take_dir(a, err);

	manifest_files(a->vm.manifest, &files);
	if (r == 0)
		r = adopt_make_room(a, opts->room, err);
	if (r == 0)
		r = vm_manifest_save(&a->vm, err);
	if (r == 0)
		r = genl_vm_do(a->vm.genl, CPR_CMD_VM_PIN, a->vm.name, &files, err);
	a->pinned = r == 0;
	if (r == 0)
		r = qemu_adopt(a->vm.name, a->socket, a->vm.qemu.pid, err);
	if (r < 0)
		adopt_undo(a);
	return r;
}

static void adopt_report(const struct adopt *a, struct json_object *result)
{
	jset_str(result, "name", a->vm.name);
	jset_int(result, "pid", a->vm.qemu.pid);
	jset_int(result, "ram_bytes", a->plan.base);
	jset(result, "manifest", json_object_get(a->vm.manifest));
}

static int adopt_under_locks(struct adopt *a, const struct adopt_opts *opts, struct err *err)
{
	_cleanup_genl_ struct genl *genl = a->vm.genl = genl_open(err);
	_cleanup_close_ int host = -1;
	int r;

	if (!genl)
		return -ENOENT;
	host = host_lock(false, err);
	r = host < 0 ? host : vm_region_ready(genl, err);
	if (r == 0)
		r = a->vm.lock = vm_lock(a->vm.name, err);
	if (r >= 0)
		r = adopt_connect(a, opts->monitor, err);
	if (r == 0)
		r = adopt_examine(a, err);
	if (r == 0)
		r = adopt_check_dir(a, err);
	if (r == 0)
		r = adopt_ask(a, err);
	if (r == 0)
		r = opts->dry_run ? hooks_check(err) : hooks_before(&a->vm, "adopt", err);
	if (r < 0 || opts->dry_run)
		return r;
	return hooks_after(&a->vm, "adopt", adopt_commit(a, opts, err));
}

int adopt_vm(const struct adopt_opts *opts, struct json_object *result, struct err *err)
{
	_cleanup_(adopt_free) struct adopt a = { .vm = { .lock = -1, .qemu = QEMU_NONE } };
	int r = vm_name_check(opts->name, err);

	if (r < 0)
		return r;
	a.vm.name = xstrdup(opts->name);
	a.vm.dir = vm_path(opts->name, NULL);
	r = adopt_under_locks(&a, opts, err);
	if (r == 0)
		adopt_report(&a, result);
	return r;
}
