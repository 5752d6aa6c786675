// SPDX-License-Identifier: GPL-2.0-only
/*
 * adopt: a QEMU that someone else started becomes a VM. The guest runs on meanwhile and
 * notices nothing; QEMU is asked, and nothing in it is changed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/paths.h"
#include "base/size.h"
#include "qemu/foreign.h"
#include "qemu/inquire.h"
#include "qemu/launch.h"
#include "qemu/process.h"
#include "vm/lock.h"
#include "vm/manifest.h"
#include "cmd/cmd.h"

#define GREETING_S 10

struct adopt {
	struct vm vm;
	char *socket;
	struct process process;
	struct strv argv;
	struct ram_plan plan;
	bool in_place;
	bool made_dir;
	bool pinned;
};

static void adopt_free(struct adopt *a)
{
	vm_close(&a->vm);
	free(a->socket);
	process_free(&a->process);
	strv_free(&a->argv);
	ram_plan_free(&a->plan);
}

static int refuse(struct err *err, const char *what, const char *value, const char *why,
		  const char *remedy)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = what, .value = value,
		    .why = why, .remedy = remedy);
}

/* Two VMs of one QEMU would be two guests on the same disks after a restore. */
static int check_adopted(struct adopt *a, const char *path, struct err *err)
{
	_cleanup_free_ char *vm = qemu_adopted_as(a->vm.qemu.pid);
	_cleanup_free_ char *dir = vm ? vm_path(vm, NULL) : NULL;

	if (!vm || streq(vm, a->vm.name) || access(dir, F_OK) < 0)
		return 0;
	return refuse(err, "--qmp", path, fmt("this QEMU is VM '%s' already", vm),
		      fmt("'cpr-helper show %s' tells of it", vm));
}

static int connect_to(struct adopt *a, const char *path, struct err *err)
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
		return refuse(err, "--qmp", path, "this is the monitor of a VM already",
			      "'cpr-helper list' shows it");
	q->qmp = qmp_open(a->socket, deadline_in(GREETING_S), &r, &why);
	if (!q->qmp)
		return fail(err, r, .exit = r == -ETIMEDOUT ? CPR_EXIT_BUSY : CPR_EXIT_FAILED,
			    .what = "--qmp", .value = path, .why = r == -ETIMEDOUT ?
			    "nobody answers: a monitor serves one client at a time" : why.why,
			    .remedy = r == -ETIMEDOUT ? "end whoever is connected to it, or give that "
			    "QEMU another -qmp socket" : "name a socket that QEMU listens on with -qmp");
	q->pid = jsonsock_pid(q->qmp->js);
	return check_adopted(a, path, err);
}

/* Whoever made the socket may have given it to QEMU: a vCPU must be its thread. */
static int check_listener(struct adopt *a, struct err *err)
{
	_cleanup_json_ struct json_object *cpus = NULL;
	const struct qemu *q = &a->vm.qemu;
	int r = qmp_run(q->qmp, "query-cpus-fast", NULL, &cpus, err);
	struct json_object *first = r < 0 ? NULL : json_object_array_get_idx(cpus, 0);

	if (r < 0 || process_has_thread(q->pid, jint(first, "thread-id", -1)))
		return r;
	return refuse(err, "--qmp", a->socket, fmt("process %d made it, but does not run the guest",
						   (int)q->pid),
		      "name a socket that QEMU has made itself; one that libvirt made is none");
}

/* What was plugged by the monitor is not in the arguments, and would be missing. */
static int check_plugged(struct adopt *a, struct err *err)
{
	_cleanup_json_ struct json_object *args = json_object_new_object(), *list = NULL;
	_cleanup_strv_ struct strv ids = { 0 };
	int r;

	foreign_devices(&a->argv, &ids);
	jset_str(args, "path", "/machine/peripheral");
	r = qmp_run(a->vm.qemu.qmp, "qom-list", json_object_get(args), &list, err);
	for (size_t i = 0; r == 0 && i < json_object_array_length(list); i++) {
		struct json_object *device = json_object_array_get_idx(list, i);
		const char *id = jstr(device, "name"), *type = jstr(device, "type");

		if (id && type && startswith(type, "child<") && !strv_has(&ids, id))
			r = refuse(err, "device", id, "it was plugged by QEMU's monitor, and is not in "
				   "the command line that QEMU would be started with again",
				   "unplug it, or start QEMU with it");
	}
	return r;
}

static int plan_ram(struct adopt *a, struct err *err)
{
	struct ram_request req = { .argv = &a->argv };
	int r;

	a->in_place = foreign_in_place(&a->argv, a->vm.dir);
	req.dir = a->in_place ? a->vm.dir : NULL;
	r = ram_plan(&req, &a->plan, err);
	for (size_t i = 0; r == 0 && i < a->plan.nfiles; i++)
		if (startswith(a->plan.files[i].id, "cpr-"))
			r = refuse(err, "QEMU's memory", size_exact(a->plan.files[i].size),
				   fmt("it is not in %s, other memory is", a->vm.dir),
				   "have all of it there, or none");
	return r;
}

static int examine(struct adopt *a, struct err *err)
{
	int r = check_listener(a, err);

	if (r == 0)
		r = process_read(a->vm.qemu.pid, &a->process, err);
	if (r == 0)
		r = foreign_argv(&a->process.argv, &a->argv, err);
	if (r == 0)
		r = check_plugged(a, err);
	if (r == 0)
		r = plan_ram(a, err);
	if (r < 0)
		return r;
	if (access(a->process.binary, X_OK) < 0)
		return refuse(err, "QEMU binary", a->process.binary, strerror(errno),
			      "install it again: it is what the VM is started with again");
	return 0;
}

static int ask(struct adopt *a, struct err *err)
{
	struct json_object *m = a->vm.manifest = json_object_new_object();
	struct qmp *qmp = a->vm.qemu.qmp;
	int r;

	jset_int(m, "version", MANIFEST_VERSION);
	jset_str(m, "name", a->vm.name);
	jset_int(m, "created", time(NULL));
	jset_str(m, "binary", a->process.binary);
	r = inquire_version(qmp, m, err);
	if (r == 0)
		r = inquire_machine(qmp, m, err);
	if (r == 0)
		r = a->in_place ? inquire_memory(qmp, a->vm.dir, &a->plan, err) :
		    inquire_size(qmp, &a->plan.base, err);
	jset_str(m, "cwd", a->process.cwd);
	jset(m, "argv", manifest_strings(&a->plan.argv));
	jset(m, "memory", manifest_memory(a->plan.files, a->plan.nfiles));
	if (!a->in_place)
		jset_str(m, "ram_mode", RAM_MODE_COPY);
	if (a->plan.agent)
		jset_str(m, "agent", a->plan.agent);
	return r;
}

static int exists(struct adopt *a, struct err *err)
{
	return fail(err, -EEXIST, .exit = CPR_EXIT_BUSY, .what = "VM", .value = a->vm.name,
		    .why = "it exists", .remedy =
		    fmt("choose another name, or 'cpr-helper delete %s'", a->vm.name));
}

/* Who put the memory there has made the directory; otherwise it must not be there. */
static int check_dir(struct adopt *a, struct err *err)
{
	_cleanup_free_ char *manifest = vm_path(a->vm.name, MANIFEST_FILE);
	_cleanup_vm_info_ struct cpr_vm info = { 0 };
	int r;

	if (!a->in_place)
		return access(a->vm.dir, F_OK) == 0 ? exists(a, err) : 0;
	r = genl_vm(a->vm.genl, a->vm.name, &info, err);
	if (r < 0)
		return r;
	return info.state == CPR_VM_STATE_DEFINED && access(manifest, F_OK) < 0 ? 0 :
	       exists(a, err);
}

static void undo(struct adopt *a)
{
	_cleanup_free_ char *manifest = vm_path(a->vm.name, MANIFEST_FILE);

	if (a->pinned)
		genl_vm_do(a->vm.genl, CPR_CMD_VM_UNPIN, a->vm.name, NULL, NULL);
	unlink(manifest);
	if (a->made_dir)
		rmdir(a->vm.dir);
}

static int take(struct adopt *a, struct err *err)
{
	_cleanup_strv_ struct strv files = { 0 };
	int r = 0;

	if (!a->in_place && mkdir(a->vm.dir, 0700) < 0)
		return fail(err, -errno, .what = "cannot create", .value = a->vm.dir,
			    .why = strerror(errno));
	a->made_dir = !a->in_place;
	manifest_files(a->vm.manifest, &files);
	r = vm_manifest_save(&a->vm, err);
	if (r == 0)
		r = genl_vm_do(a->vm.genl, CPR_CMD_VM_PIN, a->vm.name, &files, err);
	a->pinned = r == 0;
	if (r == 0)
		r = qemu_adopt(a->vm.name, a->socket, a->vm.qemu.pid, err);
	if (r < 0)
		undo(a);
	return r;
}

static void report(struct adopt *a, bool dry_run)
{
	const char *where = a->in_place ? fmt("in place in %s", a->vm.dir) :
			    "not in the region: each save copies it";
	struct json_object *out;

	say("%s: %s, pid %d, %s, %s of RAM, %s", a->vm.name,
	    dry_run ? "would be adopted" : "adopted", (int)a->vm.qemu.pid,
	    jstr(a->vm.manifest, "machine"), size_human(a->plan.base), where);
	if (!out_json)
		return;
	out = json_object_new_object();
	jset_str(out, "name", a->vm.name);
	jset_int(out, "pid", a->vm.qemu.pid);
	jset(out, "manifest", json_object_get(a->vm.manifest));
	out_object(out);
}

static int adopt(struct adopt *a, const struct args *args, struct err *err)
{
	int r = region_ready(a->vm.genl, err);

	if (r == 0)
		r = a->vm.lock = vm_lock(a->vm.name, err);
	if (r >= 0)
		r = connect_to(a, arg(args, "qmp"), err);
	if (r == 0)
		r = examine(a, err);
	if (r == 0)
		r = check_dir(a, err);
	if (r == 0)
		r = ask(a, err);
	if (r == 0 && !args->dry_run)
		r = take(a, err);
	return r;
}

static int run_adopt(const struct args *args, struct err *err)
{
	_cleanup_(adopt_free) struct adopt a = { .vm = { .lock = -1, .qemu = QEMU_NONE } };
	_cleanup_genl_ struct genl *genl = NULL;
	int host, r = vm_name_check(args->argv[0], err);

	if (r < 0)
		return r;
	if (!arg(args, "qmp"))
		return usage(args, err, "--qmp is missing", NULL);
	a.vm.genl = genl = genl_open(err);
	if (!genl)
		return -ENOENT;
	host = host_lock(false, err);
	if (host < 0)
		return host;
	a.vm.name = xstrdup(args->argv[0]);
	a.vm.dir = vm_path(a.vm.name, NULL);
	r = adopt(&a, args, err);
	if (r == 0)
		report(&a, args->dry_run);
	close(host);
	return r;
}

const struct cmd cmd_adopt = {
	.name = "adopt",
	.synopsis = "NAME --qmp SOCKET",
	.summary = "take in a QEMU that someone else started",
	.opts = {
		{ "qmp", "SOCKET", "a monitor of that QEMU, which it listens on" },
	},
	.min_args = 1,
	.max_args = 1,
	.dry_run = true,
	.run = run_adopt,
};
