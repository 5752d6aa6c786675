// SPDX-License-Identifier: GPL-2.0-only
/*
 * run: a new VM. Its memory files are made first, at full size, so that a lack
 * of room shows before QEMU starts; QEMU starts with the guest stopped, so that
 * it runs only when everything was found to be as it must be.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/stat.h>
#include <time.h>

#include "base/paths.h"
#include "base/size.h"
#include "host/pci.h"
#include "qemu/inquire.h"
#include "qemu/launch.h"
#include "qemu/pciargs.h"
#include "vm/devices.h"
#include "vm/disks.h"
#include "vm/lock.h"
#include "vm/manifest.h"
#include "cmd/cmd.h"

#define MAX_SIZES 64

struct run {
	struct vm vm;
	struct ram_plan plan;
	struct strv devices;
	struct json_object *taken;	/* those of them that vfio-pci has now */
	char *binary;
	bool copy;
	bool made_dir;
	bool pinned;
};

static void run_free(struct run *run)
{
	vm_close(&run->vm);
	ram_plan_free(&run->plan);
	strv_free(&run->devices);
	json_object_put(run->taken);
	free(run->binary);
}

static int parse_sizes(const struct args *args, uint64_t *sizes, size_t *n, struct err *err)
{
	const char *text = arg(args, "ram");
	_cleanup_free_ char *copy = text ? xstrdup(text) : NULL;
	char *next = copy, *item;

	for (*n = 0; next && (item = strsep(&next, ",")); (*n)++)
		if (*n == MAX_SIZES || size_parse(item, MIB, &sizes[*n]) < 0 || !sizes[*n])
			return usage(args, err, "--ram takes a size like 512M or 4G, or a list "
				     "of them", text);
	return 0;
}

static int parse_mode(const struct args *args, bool *copy, struct err *err)
{
	const char *mode = arg(args, "ram-mode");

	*copy = mode && streq(mode, RAM_MODE_COPY);
	if (!mode || *copy || streq(mode, "region"))
		return 0;
	return usage(args, err, "--ram-mode is region or copy", mode);
}

static int make_plan(const struct args *args, struct run *run, struct err *err)
{
	_cleanup_free_ char *dir = vm_path(args->argv[0], NULL);
	_cleanup_free_ char *agent = runtime_path(args->argv[0], "qga");
	_cleanup_strv_ struct strv argv = { 0 };
	uint64_t sizes[MAX_SIZES];
	struct ram_request req = {
		.dir = dir, .sizes = sizes, .argv = &argv, .agent = arg(args, "agent") ? agent : NULL,
	};
	int r = parse_sizes(args, sizes, &req.nsizes, err);

	if (r == 0)
		r = parse_mode(args, &run->copy, err);
	if (r < 0)
		return r;
	if (run->copy)
		req.dir = NULL;
	for (int i = 1; i < args->nrest; i++)
		strv_push(&argv, args->rest[i]);
	run->binary = find_binary(args->rest[0]);
	if (!run->binary)
		return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "QEMU binary",
			    .value = args->rest[0], .why = "there is no such program",
			    .remedy = "apt-get install qemu-system-x86, or give its path");
	r = pci_devices(&argv, &run->devices, err);
	if (r < 0)
		return r;
	if (run->devices.n && !req.agent) {	/* who else would suspend the guest? */
		req.agent = agent;
		req.agent_optional = true;
	}
	return ram_plan(&req, &run->plan, err);
}

static int make_dir(struct run *run, struct err *err)
{
	if (mkdir(run->vm.dir, 0700) == 0) {
		run->made_dir = true;
		return 0;
	}
	return fail(err, -errno, .exit = errno == EEXIST ? CPR_EXIT_BUSY : CPR_EXIT_FAILED,
		    .what = errno == EEXIST ? "VM" : "cannot create",
		    .value = errno == EEXIST ? run->vm.name : run->vm.dir,
		    .why = errno == EEXIST ? "it exists" :
		    errno == EACCES ? "needs root" : strerror(errno),
		    .remedy = errno == EEXIST ?
		    fmt("choose another name, or 'cpr-helper delete %s'", run->vm.name) :
		    errno == EACCES ? "run it with sudo" : NULL);
}

static int make_file(const char *dir, const struct ram_file *file)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, file->name);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, file->size) < 0 || fallocate(fd, 0, 0, file->size) < 0)
		return -errno;
	return 0;
}

static const char *room(struct genl *genl)
{
	struct cpr_region region;

	if (genl_region(genl, &region, NULL) < 0)
		return "";
	return fmt("; %s is free, %s more is being scrubbed",
		   size_human((uint64_t)region.clean * region.frame_size),
		   size_human((uint64_t)region.dirty * region.frame_size));
}

static int make_files(struct run *run, struct err *err)
{
	for (size_t i = 0; i < run->plan.nfiles; i++) {
		const struct ram_file *f = &run->plan.files[i];
		int r = make_file(run->vm.dir, f);

		if (r == -ENOSPC)
			return fail(err, r, .what = "memory", .value = size_exact(f->size),
				    .why = fmt("the region has no room for it%s",
					       room(run->vm.genl)),
				    .remedy = "delete a VM, or give this one less RAM");
		if (r < 0)
			return fail(err, r, .what = "cannot create",
				    .value = fmt("%s/%s", run->vm.dir, f->name),
				    .why = strerror(-r));
	}
	return 0;
}

/* Nothing of a VM that did not come up stays behind. */
static void undo(struct run *run, struct err *err)
{
	if (run->vm.qemu.qmp)
		qemu_words(run->vm.name, run->vm.qemu.log_from, err);
	qemu_kill(&run->vm.qemu);
	if (run->pinned)
		genl_vm_do(run->vm.genl, CPR_CMD_VM_UNPIN, run->vm.name, NULL, NULL);
	devices_give_back(run->taken);
	if (!run->made_dir)
		return;
	for (size_t i = 0; i < run->plan.nfiles; i++) {
		_cleanup_free_ char *path = vm_path(run->vm.name, run->plan.files[i].name);

		unlink(path);
	}
	vm_remove_files(run->vm.name);
	if (rmdir(run->vm.dir) < 0)
		note("%s: %s", run->vm.dir, strerror(errno));
}

/* It would stand still for ever once it is saved. */
static int check_iommufd(const struct strv *argv, struct json_object *manifest, struct err *err)
{
	_cleanup_free_ char *id = pci_shared_iommufd(argv);
	const char *version = jstr(manifest, "qemu_version");
	int major = 0, minor = 0;

	sscanf(version, "%d.%d", &major, &minor);
	if (!id || major > 10 || (major == 10 && minor >= 1))
		return 0;
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "iommufd object", .value = id,
		    .why = fmt("two devices use it, and QEMU %s then never ends its save", version),
		    .remedy = "give each device an iommufd object of its own, or use QEMU 10.1");
}

/* In copy mode it may be anywhere, and only QEMU knows its size if nobody gave it. */
static int ask_memory(struct run *run, struct qmp *qmp, struct err *err)
{
	return run->copy ? inquire_size(qmp, &run->plan.base, err) :
	       inquire_memory(qmp, run->vm.dir, &run->plan, err);
}

static struct json_object *first_manifest(const struct run *run, const char *cwd)
{
	struct json_object *m = json_object_new_object();

	jset_int(m, "version", MANIFEST_VERSION);
	jset_str(m, "name", run->vm.name);
	jset_int(m, "created", time(NULL));
	jset_str(m, "binary", run->binary);
	jset_str(m, "cwd", cwd);
	jset(m, "argv", manifest_strings(&run->plan.argv));
	jset(m, "memory", manifest_memory(run->plan.files, run->plan.nfiles));
	if (run->copy)
		jset_str(m, "ram_mode", RAM_MODE_COPY);
	if (run->devices.n)
		jset(m, "devices", json_object_get(run->taken));
	if (run->plan.agent)
		jset_str(m, "agent", run->plan.agent);
	return m;
}

static int pin(struct run *run, struct err *err)
{
	_cleanup_strv_ struct strv files = { 0 };
	int r;

	manifest_files(run->vm.manifest, &files);
	r = genl_vm_do(run->vm.genl, CPR_CMD_VM_PIN, run->vm.name, &files, err);
	run->pinned = r == 0;
	return r;
}

static int bring_up(struct run *run, struct err *err)
{
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	struct qemu_command cmd = {
		.vm = run->vm.name, .binary = run->binary, .cwd = cwd ? cwd : "/",
		.argv = &run->plan.argv,
	};
	struct json_object *m = run->vm.manifest = first_manifest(run, cmd.cwd);
	struct qmp *qmp;
	int r = qemu_start(&cmd, &run->vm.qemu, err);

	if (r < 0)
		return r;
	qmp = run->vm.qemu.qmp;
	r = inquire_version(qmp, m, err);
	if (r == 0)
		r = check_iommufd(&run->plan.argv, m, err);
	if (r == 0)
		r = ask_memory(run, qmp, err);
	if (r == 0)
		r = inquire_machine(qmp, m, err);
	if (r == 0)
		r = disks_started(&run->vm, err);
	if (r == 0)
		r = vm_manifest_save(&run->vm, err);
	if (r == 0)
		r = pin(run, err);
	if (r == 0 && !run->plan.paused)
		r = qmp_run(qmp, "cont", NULL, NULL, err);
	return r;
}

static void report(struct run *run)
{
	struct json_object *out;

	say("%s: %s, pid %d, %s, %s of RAM%s", run->vm.name,
	    run->plan.paused ? "paused" : "running", (int)run->vm.qemu.pid,
	    jstr(run->vm.manifest, "machine"), size_human(run->plan.base),
	    run->copy ? ", which a save copies" : "");
	if (!out_json)
		return;
	out = json_object_new_object();
	jset_str(out, "name", run->vm.name);
	jset_str(out, "state", "running");
	jset_int(out, "pid", run->vm.qemu.pid);
	jset(out, "manifest", json_object_get(run->vm.manifest));
	out_object(out);
}

static void print_plan(struct run *run)
{
	struct json_object *out = json_object_new_object();
	struct json_object *argv = manifest_strings(&run->plan.argv);

	jset_str(out, "binary", run->binary);
	jset(out, "argv", argv);
	jset(out, "memory", manifest_memory(run->plan.files, run->plan.nfiles));
	jset_str(out, "agent", run->plan.agent);
	jset(out, "devices", manifest_strings(&run->devices));
	for (size_t i = 0; i < run->devices.n; i++)
		say("give %s to vfio-pci", run->devices.v[i]);
	for (size_t i = 0; i < run->plan.nfiles; i++)
		say("create %s/%s, %s", run->vm.dir, run->plan.files[i].name,
		    size_exact(run->plan.files[i].size));
	say("start %s %s", run->binary, show_argv(argv));
	if (out_json)
		out_object(out);
	else
		json_object_put(out);
}

static int create(struct run *run, struct err *err)
{
	int r = region_ready(run->vm.genl, err);

	if (r == 0)
		r = devices_check_owners(run->vm.genl, &run->devices, err);
	if (r == 0)
		r = run->vm.lock = vm_lock(run->vm.name, err);
	if (r >= 0)
		r = make_dir(run, err);
	if (r == 0)
		r = make_files(run, err);
	if (r == 0)
		r = devices_take(&run->devices, run->taken, err);
	if (r == 0)
		r = bring_up(run, err);
	if (r < 0)
		undo(run, err);
	return r;
}

static int run_run(const struct args *args, struct err *err)
{
	_cleanup_(run_free) struct run run = { .vm = { .lock = -1, .qemu = QEMU_NONE } };
	_cleanup_genl_ struct genl *genl = NULL;
	int host, r = vm_name_check(args->argv[0], err);

	if (r == 0)
		r = make_plan(args, &run, err);
	if (r < 0)
		return r;
	run.vm.name = xstrdup(args->argv[0]);
	run.vm.dir = vm_path(run.vm.name, NULL);
	run.taken = json_object_new_array();
	r = pci_check(&run.devices, err);
	if (r < 0)
		return r;
	if (args->dry_run) {
		print_plan(&run);
		return 0;
	}
	run.vm.genl = genl = genl_open(err);
	if (!genl)
		return -ENOENT;
	host = host_lock(false, err);
	if (host < 0)
		return host;
	r = create(&run, err);
	if (r == 0)
		report(&run);
	close(host);
	return r;
}

const struct cmd cmd_run = {
	.name = "run",
	.synopsis = "NAME [--ram SIZE[,SIZE...]] [--ram-mode MODE] [--agent] -- QEMU ARGUMENT...",
	.summary = "start a VM with its RAM in the handover region",
	.opts = {
		{ "ram", "SIZE[,SIZE...]", "size of the RAM (512M, 4G); a list: one for each "
		  "NUMA node" },
		{ "ram-mode", "MODE", "region (the default), or copy: each save copies the RAM" },
		{ "agent", NULL, "add a channel for the guest agent" },
	},
	.min_args = 1,
	.max_args = 1,
	.rest = true,
	.dry_run = true,
	.run = run_run,
};
