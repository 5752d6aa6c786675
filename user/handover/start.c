// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/out.h"
#include "base/paths.h"
#include "base/size.h"
#include "host/pci.h"
#include "qemu/account.h"
#include "qemu/attributes.h"
#include "qemu/inquire.h"
#include "qemu/launch.h"
#include "qemu/pciargs.h"
#include "qemu/refuse.h"
#include "vm/devices.h"
#include "vm/disks.h"
#include "vm/lock.h"
#include "vm/manifest.h"
#include "vm/nodes.h"
#include "vm/oom.h"
#include "vm/outlives.h"
#include "vm/room.h"
#include "handover/hooks.h"
#include "handover/savable.h"
#include "handover/start.h"

#define OTHER_LOCKED (1024 * MIB)	/* what QEMU gives a device beside the RAM */

/**
 * struct start - a VM that is being started
 * @user: whom QEMU runs as; see account.h
 * @options: QEMU's arguments as the user gave them
 * @plan: QEMU's arguments, and the memory files
 * @devices: PCI addresses of the devices that are passed through
 * @taken: of these, those that vfio-pci has got so far, as in the manifest
 * @binary: path of QEMU
 * @copy: in copy mode
 * @made_dir, @pinned: to be undone after a failure
 */
struct start {
	struct vm vm;
	struct json_object *user;
	struct qemuopts options;
	struct launch_plan plan;
	struct strv devices;
	struct json_object *taken;
	char *binary;
	bool copy;
	bool made_dir;
	bool pinned;
};

static void start_free(struct start *st)
{
	vm_close(&st->vm);
	qemuopts_free(&st->options);
	launch_plan_free(&st->plan);
	strv_free(&st->devices);
	json_object_put(st->taken);
	json_object_put(st->user);
	free(st->binary);
}

static int start_find_binary(struct start *st, const char *qemu, struct err *err)
{
	st->binary = qemu_find_binary(qemu);
	return st->binary ? 0 :
	       fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "QEMU binary", .value = qemu,
		    .why = "there is no such program",
		    .remedy = "apt-get install qemu-system-x86, or give its path");
}

static int start_plan(struct start *st, const struct start_opts *opts, struct err *err)
{
	_cleanup_free_ char *agent = runtime_path(opts->name, "qga");
	struct launch_request req = {
		.dir = opts->copy ? NULL : st->vm.dir, .sizes = opts->sizes,
		.nsizes = opts->nsizes, .opts = &st->options, .agent = opts->agent ? agent : NULL,
	};
	int r = start_find_binary(st, opts->qemu, err);

	/* Root executes it, too, to learn what it can do. */
	if (r == 0)
		r = account_check_kept(st->user, "QEMU binary", st->binary, err);
	if (r == 0)
		r = qemuopts_parse(opts->argv, &st->options, err);
	if (r == 0)
		r = refuse_options(&st->options, req.dir, err);
	if (r == 0)
		r = pciargs_devices(&st->options, &st->devices, err);
	if (r < 0)
		return r;
	/* The agent suspends a guest with devices. */
	if (st->devices.n && !req.agent) {
		req.agent = agent;
		req.agent_optional = true;
	}
	r = launch_plan(&req, &st->plan, err);
	return r < 0 ? r : nodes_check(st->user, &st->options, err);
}

static int start_make_dir(struct start *st, struct err *err)
{
	if (mkdir(st->vm.dir, 0700) == 0) {
		int r = account_admit(st->user, st->vm.dir);

		st->made_dir = true;
		return r == 0 ? 0 : fail(err, r, .what = "cannot change the owner of",
					 .value = st->vm.dir, .why = strerror(-r));
	}
	return fail(err, -errno, .exit = errno == EEXIST ? CPR_EXIT_BUSY : CPR_EXIT_FAILED,
		    .what = errno == EEXIST ? "VM" : "cannot create",
		    .value = errno == EEXIST ? st->vm.name : st->vm.dir,
		    .why = errno == EEXIST ? "it exists" :
		    errno == EACCES ? "needs root" : strerror(errno),
		    .remedy = errno == EEXIST ?
		    fmt("choose another name, or 'cpr-helper delete %s'", st->vm.name) :
		    errno == EACCES ? "run it with sudo" : NULL);
}

static int start_make_file(const struct start *st, const struct ram_file *file)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", st->vm.dir, file->name);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, file->size) < 0 || fallocate(fd, 0, 0, file->size) < 0)
		return -errno;
	return account_give(st->user, fd);
}

static int start_make_room(struct start *st, uint64_t wanted, struct err *err)
{
	uint64_t bytes = 0;

	/* A copy takes any amount, and only while it is needed. */
	if (st->copy && !wanted)
		return 0;
	for (size_t i = 0; i < st->plan.nfiles; i++)
		bytes += (st->plan.files[i].size + FRAME_SIZE - 1) / FRAME_SIZE * FRAME_SIZE;
	return room_make(st->vm.genl, st->vm.name, bytes, st->plan.nfiles, wanted, err);
}

static const char *start_free_space(struct genl *genl)
{
	struct cpr_region region;

	if (genl_region(genl, &region, NULL) < 0)
		return "";
	return fmt("; %s is free, %s more is being scrubbed",
		   size_human((uint64_t)region.clean * region.frame_size),
		   size_human((uint64_t)region.dirty * region.frame_size));
}

static int start_make_files(struct start *st, struct err *err)
{
	for (size_t i = 0; i < st->plan.nfiles; i++) {
		const struct ram_file *f = &st->plan.files[i];
		int r = start_make_file(st, f);

		if (r == -ENOSPC)
			return fail(err, r, .what = "memory", .value = size_exact(f->size),
				    .why = fmt("the region has no room for it%s",
					       start_free_space(st->vm.genl)),
				    .remedy = "delete a VM, or give this one less RAM");
		if (r < 0)
			return fail(err, r, .what = "cannot create",
				    .value = fmt("%s/%s", st->vm.dir, f->name),
				    .why = strerror(-r));
	}
	return 0;
}

/* Leave nothing behind of a VM that could not be started. */
static void start_undo(struct start *st, struct err *err)
{
	if (st->vm.qemu.qmp)
		qemu_log_tail(st->vm.name, st->vm.qemu.log_from, err);
	qemu_kill(&st->vm.qemu);
	if (st->pinned)
		genl_vm_do(st->vm.genl, CPR_CMD_VM_UNPIN, st->vm.name, NULL, NULL);
	devices_unbind(st->taken, st->user);
	if (!st->made_dir)
		return;
	for (size_t i = 0; i < st->plan.nfiles; i++) {
		_cleanup_free_ char *path = vm_path(st->vm.name, st->plan.files[i].name);

		unlink(path);
	}
	vm_remove_files(st->vm.name);
	if (rmdir(st->vm.dir) < 0)
		note("%s: %s", st->vm.dir, strerror(errno));
}

/* Such a guest would stand still for ever once it is saved. */
static int start_check_iommufd(const struct qemuopts *options, struct json_object *manifest,
			       struct err *err)
{
	const char *id = pciargs_shared_iommufd(options);
	const char *version = jstr(manifest, "qemu_version");
	int major = 0, minor = 0;

	sscanf(version, "%d.%d", &major, &minor);
	if (!id || major > 10 || (major == 10 && minor >= 1))
		return 0;
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "iommufd object", .value = id,
		    .why = fmt("two devices use it, and QEMU %s then never ends its save", version),
		    .remedy = "give each device an iommufd object of its own, or use QEMU 10.1");
}

/* In copy mode the memory may be anywhere, and its size may be QEMU's default. */
static int start_ask_memory(struct start *st, struct qmp *qmp, struct err *err)
{
	return st->copy ? inquire_size(qmp, &st->plan.base, err) :
	       inquire_memory(qmp, st->vm.dir, &st->plan, err);
}

static struct json_object *start_manifest(const struct start *st, const char *cwd)
{
	struct json_object *m = json_object_new_object();

	jset_int(m, "version", MANIFEST_VERSION);
	jset_str(m, "name", st->vm.name);
	jset_int(m, "created", time(NULL));
	if (st->user)
		jset(m, "user", json_object_get(st->user));
	jset_str(m, "binary", st->binary);
	jset_str(m, "cwd", cwd);
	jset(m, "argv", manifest_strings(&st->plan.argv));
	jset(m, "memory", manifest_memory(st->plan.files, st->plan.nfiles));
	if (st->copy)
		jset_str(m, "ram_mode", RAM_MODE_COPY);
	if (st->devices.n)
		jset(m, "devices", json_object_get(st->taken));
	if (st->plan.agent)
		jset_str(m, "agent", st->plan.agent);
	return m;
}

/* The VM can run, and even change its QEMU, but not its host's kernel. */
static void start_note_volatile(const struct start *st)
{
	_cleanup_err_ struct err why = { 0 };

	if (outlives_check(st->vm.manifest, st->binary, NULL, &why) < 0)
		note("VM '%s' cannot be saved for another kernel: %s '%s': %s", st->vm.name, why.what,
		     why.value, why.why);
}

static int start_pin(struct start *st, struct err *err)
{
	_cleanup_strv_ struct strv files = { 0 };
	int r;

	manifest_files(st->vm.manifest, &files);
	r = genl_vm_do(st->vm.genl, CPR_CMD_VM_PIN, st->vm.name, &files, err);
	st->pinned = r == 0;
	return r;
}

/*
 * What its devices reach is locked, which root may do without a limit: all of the RAM, for each
 * of them with an iommufd of its own. QEMU inherits the limit, and it is recorded.
 */
static void start_allow_locked(const struct start *st)
{
	rlim_t need = st->devices.n * (st->plan.base + OTHER_LOCKED), now;
	struct rlimit limit;

	if (!st->user || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur >= need)
		return;
	now = limit.rlim_cur;
	limit.rlim_cur = need;
	if (limit.rlim_max < need)
		limit.rlim_max = need;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		note("VM '%s': its QEMU may lock no more than %s of memory, and its devices reach %s: %s",
		     st->vm.name, size_human(now), size_human(need), strerror(errno));
}

static int start_qemu(struct start *st, struct err *err)
{
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	struct qemu_command cmd = {
		.vm = st->vm.name, .user = st->user, .binary = st->binary, .cwd = cwd ? cwd : "/",
		.argv = &st->plan.argv,
	};
	struct json_object *m = st->vm.manifest = start_manifest(st, cmd.cwd);
	struct json_object *process = NULL;
	struct qmp *qmp;
	int r;

	start_allow_locked(st);
	r = qemu_start(&cmd, &st->vm.qemu, err);
	if (r < 0)
		return r;
	oom_spare(&st->vm);
	qmp = st->vm.qemu.qmp;
	r = inquire_version(qmp, m, err);
	if (r == 0)
		r = start_check_iommufd(&st->options, m, err);
	if (r == 0)
		r = start_ask_memory(st, qmp, err);
	if (r == 0)
		r = inquire_machine(qmp, m, err);
	if (r == 0)
		r = savable_machine(m, err);
	if (r == 0)
		r = inquire_inventory(qmp, m, err);
	if (r == 0)
		r = attributes_read(&st->vm.qemu, &process, err);
	jset(m, "process", process);
	if (r == 0)
		r = disks_record_opened(&st->vm, err);
	if (r == 0)
		r = vm_manifest_save(&st->vm, err);
	if (r == 0)
		r = start_pin(st, err);
	if (r == 0 && !st->plan.paused)
		r = qmp_run(qmp, "cont", NULL, NULL, err);
	return r;
}

static int start_now(struct start *st, const struct start_opts *opts, struct err *err)
{
	int r = pci_check(&st->devices, err);

	if (r == 0)
		r = devices_check_owners(st->vm.genl, &st->devices, err);
	if (r == 0)
		r = start_make_room(st, opts->room, err);
	if (r == 0)
		r = start_make_files(st, err);
	if (r == 0)
		r = devices_bind(&st->devices, st->user, st->taken, err);
	if (r == 0)
		r = start_qemu(st, err);
	if (r < 0)
		start_undo(st, err);
	return r;
}

/* With the directory the name is this VM's: the hooks may make what belongs to it. */
static int start_create(struct start *st, const struct start_opts *opts, struct err *err)
{
	int r = vm_region_ready(st->vm.genl, err);

	if (r == 0)
		r = st->vm.lock = vm_lock(st->vm.name, err);
	if (r >= 0)
		r = start_make_dir(st, err);
	if (r < 0)
		return r;
	r = hooks_before(&st->vm, "run", err);
	if (r < 0) {
		start_undo(st, err);
		return r;
	}
	return hooks_after(&st->vm, "run", start_now(st, opts, err));
}

static int start_check(const struct start *st, struct err *err)
{
	int r = pci_check(&st->devices, err);

	return r < 0 ? r : hooks_check(err);
}

/* What --dry-run prints. */
static void start_report_plan(const struct start *st, struct json_object *result)
{
	jset(result, "user", json_object_get(st->user));
	jset_str(result, "binary", st->binary);
	jset(result, "argv", manifest_strings(&st->plan.argv));
	jset(result, "memory", manifest_memory(st->plan.files, st->plan.nfiles));
	jset_str(result, "agent", st->plan.agent);
	jset(result, "devices", manifest_strings(&st->devices));
}

static void start_report(const struct start *st, struct json_object *result)
{
	jset_str(result, "name", st->vm.name);
	jset_str(result, "state", "running");
	jset_str(result, "runstate", st->plan.paused ? "paused" : "running");
	jset_int(result, "pid", st->vm.qemu.pid);
	jset_int(result, "ram_bytes", st->plan.base);
	jset(result, "manifest", json_object_get(st->vm.manifest));
}

static int start_under_locks(struct start *st, const struct start_opts *opts, struct err *err)
{
	_cleanup_genl_ struct genl *genl = st->vm.genl = genl_open(err);
	_cleanup_close_ int host = -1;

	if (!genl)
		return -ENOENT;
	host = host_lock(false, err);
	return host < 0 ? host : start_create(st, opts, err);
}

static int start_find_user(struct start *st, const char *name, struct err *err)
{
	if (name)
		return account_find(name, &st->user, err);
	account_find(START_USER, &st->user, NULL);
	return 0;
}

int start_vm(const struct start_opts *opts, struct json_object *result, struct err *err)
{
	_cleanup_(start_free) struct start st = { .vm = { .lock = -1, .qemu = QEMU_NONE } };
	int r = vm_name_check(opts->name, err);

	if (r < 0)
		return r;
	st.vm.name = xstrdup(opts->name);
	st.vm.dir = vm_path(opts->name, NULL);
	st.taken = json_object_new_array();
	st.copy = opts->copy;
	r = start_find_user(&st, opts->user, err);
	if (r == 0)
		r = start_plan(&st, opts, err);
	if (r == 0 && opts->dry_run)
		r = start_check(&st, err);
	if (r == 0 && opts->dry_run)
		start_report_plan(&st, result);
	if (r < 0 || opts->dry_run)
		return r;
	r = start_under_locks(&st, opts, err);
	if (r == 0) {
		start_note_volatile(&st);
		start_report(&st, result);
	}
	return r;
}
