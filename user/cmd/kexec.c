// SPDX-License-Identifier: GPL-2.0-only
/*
 * kexec: everything that can be found out is found out first, and the next
 * kernel is loaded, before any guest is stopped. Then the guests are saved. Only
 * when all are does the first QEMU quit; until then every failure means that
 * nothing happened. After it, what was sealed is restored under this kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"
#include "lib/cmdline.h"
#include "lib/cprfs.h"
#include "lib/devices.h"
#include "lib/interrupt.h"
#include "lib/kernel.h"

/**
 * struct jump - what is about to be done
 * @vms: that go along, in the order of their names
 * @host: lock that keeps other VMs from coming to life
 * @saved_here: which of them this command saved
 * @sealed: how many, from the first, have been sealed
 */
struct jump {
	struct genl *genl;
	struct cpr_region region;
	struct kernel kernel;
	char *cmdline;
	char *warning;
	struct vm *vms;
	bool *saved_here;
	size_t n;
	size_t sealed;
	int host;
	struct save_opts save;
};

static void jump_free(struct jump *j)
{
	for (size_t i = 0; i < j->n; i++)
		vm_close(&j->vms[i]);
	free(j->vms);
	free(j->saved_here);
	kernel_free(&j->kernel);
	free(j->cmdline);
	free(j->warning);
	genl_close(j->genl);
	if (j->host >= 0)
		close(j->host);
}

static int check_region(struct jump *j, struct err *err)
{
	int r = genl_region(j->genl, &j->region, err);

	if (r < 0)
		return r;
	if (!j->region.have_start)
		return fail(err, -EPERM, .what = "region", .why = "needs root",
			    .remedy = "run it with sudo");
	if (!j->region.formatted)
		return fail(err, -ENODEV, .exit = CPR_EXIT_REFUSED, .what = "handover region",
			    .why = "it is not formatted", .remedy = "'cpr-helper format'");
	return 0;
}

static int compose(struct jump *j, const struct args *args, struct err *err)
{
	_cleanup_free_ char *current = read_text("/proc/cmdline", 65536);
	struct cmdline_request req = {
		.current = current, .base = arg(args, "command-line"), .append = arg(args, "append"),
		.start = j->region.start, .size = j->region.size,
		.firmware = firmware_persistent(j->region.start, j->region.size),
	};

	if (!current)
		return fail(err, -errno, .what = "cannot read", .value = "/proc/cmdline");
	return cmdline_compose(&req, &j->cmdline, &j->warning, err);
}

static int stays_behind(const struct cpr_vm *info, const char *why, struct err *err)
{
	return fail(err, -EBUSY, .exit = CPR_EXIT_REFUSED, .what = "VM", .value = info->name,
		    .why = why, .remedy = fmt("shut it down or delete it first "
					      "('cpr-helper show %s')", info->name));
}

/* 1 if the VM goes along, 0 if it needs nothing, or a refusal. */
static int classify(const struct cpr_vm *info, struct err *err)
{
	struct qemu q;

	switch (info->state) {
	case CPR_VM_STATE_RUNNING:
	case CPR_VM_STATE_SAVED:
		return 1;
	case CPR_VM_STATE_RESTORING:
		return stays_behind(info, "it is being restored", err);
	case CPR_VM_STATE_DEFINED:
		if (qemu_attach(info->name, QEMU_ATTACH_S, &q, NULL) < 0 && !info->mapped)
			return 0;
		qemu_release(&q);
		return stays_behind(info, "its QEMU runs, but it is not pinned", err);
	case CPR_VM_STATE_LOST:
		note("VM '%s': it is lost; its memory stays until it is deleted", info->name);
		return 0;
	default:
		return 0;
	}
}

static int take_vm(struct jump *j, const struct cpr_vm *info, struct err *err)
{
	struct vm *vm;
	int r = classify(info, err);

	if (r <= 0)
		return r;
	j->vms = xrealloc(j->vms, j->n + 1, sizeof(*j->vms));
	j->saved_here = xrealloc(j->saved_here, j->n + 1, sizeof(*j->saved_here));
	j->saved_here[j->n] = false;
	vm = &j->vms[j->n++];
	r = vm_open(j->genl, info->name, vm, err);
	if (r == 0)
		r = vm_manifest(vm, err);
	return r < 0 ? r : vm_attach(vm, err);
}

static int take_vms(struct jump *j, struct err *err)
{
	_cleanup_vms_ struct cpr_vms all = { 0 };
	int r = genl_vms(j->genl, &all, err);

	for (size_t i = 0; r == 0 && i < all.n; i++)
		r = take_vm(j, &all.v[i], err);
	return r;
}

static const struct vm *one_with_devices(const struct jump *j)
{
	for (size_t i = 0; i < j->n; i++)
		if (has_devices(&j->vms[i]))
			return &j->vms[i];
	return NULL;
}

/*
 * Loaded later than in the initramfs, the module finds devices that drivers of
 * the host have taken. That is nothing to VMs without any.
 */
static int check_initrd(const struct jump *j, bool force, struct err *err)
{
	const struct vm *vm = one_with_devices(j);
	const char *initrd = j->kernel.initrd;
	int has = vm && !force ? initrd_has_module(initrd) : 1;

	if (has == 0)
		return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "initrd", .value = initrd,
			    .why = fmt("it does not have cpr_handover: drivers of the host may take "
				       "the devices of VM '%s' before the module holds them", vm->name),
			    .remedy = fmt("'update-initramfs -u -k %s' or 'dracut --force --kver %s'; "
					  "--force to go without it", j->kernel.version,
					  j->kernel.version));
	if (has < 0)
		note("it is not known whether %s has cpr_handover: %s", initrd, has == -ENOENT ?
		     "there is neither lsinitramfs nor lsinitrd" : "it cannot be listed");
	return 0;
}

static int prepare(struct jump *j, const struct args *args, struct err *err)
{
	int r = kexec_allowed(err);

	if (r < 0)
		return r;
	j->save.timeout = arg_timeout(args, SAVE_TIMEOUT_S, err);
	if (j->save.timeout < 0)
		return -EINVAL;
	/* A VM that came to life once they are listed would be left behind. */
	if (!args->dry_run) {
		j->host = host_lock(true, err);
		if (j->host < 0)
			return j->host;
	}
	j->kernel.version = arg(args, "kernel");
	j->kernel.image = arg(args, "image") ? xstrdup(arg(args, "image")) : NULL;
	j->kernel.initrd = arg(args, "initrd") ? xstrdup(arg(args, "initrd")) : NULL;
	j->genl = genl_open(err);
	if (!j->genl)
		return -ENOENT;
	r = kernel_find(&j->kernel, err);
	if (r == 0)
		r = kernel_check_module(&j->kernel, err);
	if (r == 0)
		r = check_region(j, err);
	if (r == 0)
		r = compose(j, args, err);
	if (r == 0)
		r = take_vms(j, err);
	return r < 0 ? r : check_initrd(j, arg(args, "force"), err);
}

static void print_plan(const struct jump *j)
{
	struct json_object *out = json_object_new_object();
	struct json_object *names = json_object_new_array();

	jset_str(out, "kernel", j->kernel.version);
	jset_str(out, "image", j->kernel.image);
	jset_str(out, "initrd", j->kernel.initrd);
	jset_str(out, "command_line", j->cmdline);
	jset_str(out, "warning", j->warning);
	jset(out, "vms", names);
	say("load %s with %s by kexec_file_load", j->kernel.image, j->kernel.initrd);
	say("command line: %s", j->cmdline);
	for (size_t i = 0; i < j->n; i++) {
		const struct vm *vm = &j->vms[i];

		json_object_array_add(names, json_object_new_string(vm->name));
		say("%s: %s", vm->name, vm->info.state == CPR_VM_STATE_RUNNING ?
		    "save, quit QEMU, seal" : "quit QEMU, seal");
	}
	say("jump to %s", j->kernel.version);
	if (out_json)
		out_object(out);
	else
		json_object_put(out);
}

static int save_all(struct jump *j, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < j->n; i++) {
		_cleanup_json_ struct json_object *result = json_object_new_object();

		if (j->vms[i].info.state != CPR_VM_STATE_RUNNING)
			continue;
		r = save_vm(&j->vms[i], &j->save, result, err);
		j->saved_here[i] = r == 0;
	}
	return r;
}

/* What was saved before this command began stays saved. */
static void abort_saved(struct jump *j, size_t from)
{
	for (size_t i = from; i < j->n; i++) {
		_cleanup_json_ struct json_object *result = json_object_new_object();
		_cleanup_err_ struct err why = { 0 };

		if (j->saved_here[i] && abort_vm(&j->vms[i], result, &why) < 0)
			err_print(&why, "while going back");
	}
}

static void restore_sealed(struct jump *j)
{
	for (size_t i = 0; i < j->sealed; i++) {
		_cleanup_json_ struct json_object *result = json_object_new_object();
		_cleanup_err_ struct err why = { 0 };

		if (restore_vm(&j->vms[i], &RESTORE_DEFAULT, result, &why) < 0)
			err_print(&why, "while going back");
	}
}

/* The last moment for an interruption; what follows is carried through. */
static int seal_all(struct jump *j, struct err *err)
{
	if (interrupted())
		return fail(err, -EINTR, .what = "kexec", .why = "interrupted");
	interrupt_disable();
	for (; j->sealed < j->n; j->sealed++) {
		int r = seal_vm(&j->vms[j->sealed], err);

		if (r < 0)
			return r;
		say("%s: sealed", j->vms[j->sealed].name);
	}
	return 0;
}

/* The VM at which sealing stopped may have lost its QEMU: then restore it, too. */
static void settle_broken(struct jump *j)
{
	struct vm *vm = &j->vms[j->sealed];

	if (j->sealed < j->n && vm->info.state == CPR_VM_STATE_SAVED && !vm->qemu.qmp)
		j->sealed++;
}

static void go_back(struct jump *j)
{
	interrupt_disable();
	settle_broken(j);
	kexec_unload();
	abort_saved(j, j->sealed);
	restore_sealed(j);
}

static int carry_out(struct jump *j, struct err *err)
{
	int r = kexec_load(&j->kernel, j->cmdline, err);

	if (r < 0)
		return r;
	say("loaded %s", j->kernel.image);
	r = save_all(j, err);
	if (r == 0)
		r = seal_all(j, err);
	if (r == 0) {
		say("jumping to %s", j->kernel.version);
		r = kexec_jump(err);
	}
	if (r < 0)
		go_back(j);
	return r;
}

static int run_kexec(const struct args *args, struct err *err)
{
	_cleanup_(jump_free) struct jump j = { .host = -1 };
	struct json_object *out;
	int r;

	if (!arg(args, "kernel"))
		return usage(args, err, "--kernel VERSION is missing", NULL);
	r = prepare(&j, args, err);
	if (r < 0)
		return r;
	if (j.warning)
		note("%s", j.warning);
	if (args->dry_run) {
		print_plan(&j);
		return 0;
	}
	r = carry_out(&j, err);
	if (r == 0 && out_json) {
		out = json_object_new_object();
		jset_str(out, "jumping_to", j.kernel.version);
		out_object(out);
	}
	return r;
}

const struct cmd cmd_kexec = {
	.name = "kexec",
	.synopsis = "--kernel VERSION [OPTION...]",
	.summary = "save and seal all VMs and boot another kernel",
	.opts = {
		{ "kernel", "VERSION", "release of the next kernel, as in /lib/modules" },
		{ "image", "FILE", "its image, if it is not in the usual place" },
		{ "initrd", "FILE", "its initrd, if it is not /boot/initrd.img-VERSION" },
		{ "append", "WORDS", "add to the command line" },
		{ "command-line", "LINE", "instead of the running kernel's command line" },
		{ "timeout", "SECONDS", "to save a VM; all run on if one takes longer (120)" },
		{ "force", NULL, "also if VMs have devices and the initrd lacks the module" },
	},
	.max_args = 0,
	.dry_run = true,
	.run = run_kexec,
};
