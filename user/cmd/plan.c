// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "host/initrd.h"
#include "host/kcmdline.h"
#include "host/kernel.h"
#include "host/kexec.h"
#include "vm/devices.h"
#include "vm/lock.h"
#include "vm/manifest.h"
#include "cmd/plan.h"

void plan_free(struct plan *plan)
{
	for (size_t i = 0; i < plan->names.n; i++)
		vm_close(&plan->vms[i]);
	strv_free(&plan->names);
	free(plan->vms);
	kernel_free(&plan->kernel);
	free(plan->cmdline);
	free(plan->warning);
	save_options_free(&plan->save);
	genl_close(plan->genl);
	if (plan->host >= 0)
		close(plan->host);
}

static int check_region(struct plan *plan, struct err *err)
{
	int r = genl_region(plan->genl, &plan->region, err);

	if (r < 0)
		return r;
	if (!plan->region.have_start)
		return fail(err, -EPERM, .what = "region", .why = "needs root",
			    .remedy = "run it with sudo");
	if (!plan->region.formatted)
		return fail(err, -ENODEV, .exit = CPR_EXIT_REFUSED, .what = "handover region",
			    .why = "it is not formatted", .remedy = "'cpr-helper format'");
	return 0;
}

static int compose(struct plan *plan, const struct args *args, struct err *err)
{
	_cleanup_free_ char *current = read_text("/proc/cmdline", 65536);
	struct cmdline_request req = {
		.current = current, .base = arg(args, "command-line"), .append = arg(args, "append"),
		.start = plan->region.start, .size = plan->region.size,
		.firmware = firmware_persistent(plan->region.start, plan->region.size),
	};

	if (!current)
		return fail(err, -errno, .what = "cannot read", .value = "/proc/cmdline");
	return cmdline_compose(&req, &plan->cmdline, &plan->warning, err);
}

static int stays_behind(const struct cpr_vm *info, const char *why, struct err *err)
{
	return fail(err, -EBUSY, .exit = CPR_EXIT_REFUSED, .what = "VM", .value = info->name,
		    .why = why, .remedy = fmt("shut it down or delete it first "
					      "('cpr-helper show %s')", info->name));
}

/* 1 if the VM goes along, 0 if it needs nothing, or a refusal. */
static int classify(const struct plan *plan, const struct cpr_vm *info, struct err *err)
{
	struct qemu q;

	switch (info->state) {
	case CPR_VM_STATE_RUNNING:
	case CPR_VM_STATE_SAVED:
	case CPR_VM_STATE_RESTORING:
		return 1;
	case CPR_VM_STATE_SEALED:
		return !plan->kernel.version;
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

static int take_vm(struct plan *plan, const struct cpr_vm *info, struct err *err)
{
	size_t i = plan->names.n;
	int r = classify(plan, info, err);

	if (r <= 0)
		return r;
	plan->vms = xrealloc(plan->vms, i + 1, sizeof(*plan->vms));
	strv_push(&plan->names, info->name);
	r = vm_open(plan->genl, info->name, &plan->vms[i], err);
	return r < 0 ? r : vm_manifest(&plan->vms[i], err);
}

static int take_vms(struct plan *plan, struct err *err)
{
	_cleanup_vms_ struct cpr_vms all = { 0 };
	int r = genl_vms(plan->genl, &all, err);

	for (size_t i = 0; r == 0 && i < all.n; i++)
		r = take_vm(plan, &all.v[i], err);
	if (r < 0 || plan->names.n || plan->kernel.version)
		return r;
	return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "update",
		    .why = "no VM runs or is saved");
}

static const struct vm *one_with_devices(const struct plan *plan)
{
	for (size_t i = 0; i < plan->names.n; i++)
		if (has_devices(&plan->vms[i]))
			return &plan->vms[i];
	return NULL;
}

/*
 * Loaded later than in the initramfs, the module finds devices that drivers of
 * the host have taken. That is nothing to VMs without any.
 */
static int check_initrd(const struct plan *plan, bool force, struct err *err)
{
	const struct vm *vm = one_with_devices(plan);
	const char *initrd = plan->kernel.initrd;
	int has = vm && !force ? initrd_has_module(initrd) : 1;

	if (has == 0)
		return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "initrd", .value = initrd,
			    .why = fmt("it does not have cpr_handover: drivers of the host may take "
				       "the devices of VM '%s' before the module holds them", vm->name),
			    .remedy = fmt("'update-initramfs -u -k %s' or 'dracut --force --kver %s'; "
					  "--force to go without it", plan->kernel.version,
					  plan->kernel.version));
	if (has < 0)
		note("it is not known whether %s has cpr_handover: %s", initrd, has == -ENOENT ?
		     "there is neither lsinitramfs nor lsinitrd" : "it cannot be listed");
	return 0;
}

static int prepare_kernel(struct plan *plan, const struct args *args, struct err *err)
{
	int r = kernel_find(&plan->kernel, err);

	if (r == 0)
		r = kernel_check_module(&plan->kernel, err);
	return r < 0 ? r : compose(plan, args, err);
}

static int read_options(struct plan *plan, const struct args *args, struct err *err)
{
	int jobs = arg_jobs(args, err);

	if (jobs < 0)
		return jobs;
	plan->jobs = jobs;
	plan->kernel.version = arg(args, "kernel");
	plan->kernel.image = arg(args, "image") ? xstrdup(arg(args, "image")) : NULL;
	plan->kernel.initrd = arg(args, "initrd") ? xstrdup(arg(args, "initrd")) : NULL;
	return save_options(args, &plan->save, err);
}

int plan_make(struct plan *plan, const struct args *args, struct err *err)
{
	int r = read_options(plan, args, err);

	if (r == 0 && plan->kernel.version)
		r = kexec_allowed(err);
	/* A VM that came to life once they are listed would be left behind. */
	if (r == 0 && !args->dry_run)
		r = plan->host = host_lock(true, err);
	if (r < 0)
		return r;
	plan->genl = genl_open(err);
	if (!plan->genl)
		return -ENOENT;
	r = check_region(plan, err);
	if (r == 0 && plan->kernel.version)
		r = prepare_kernel(plan, args, err);
	if (r == 0)
		r = take_vms(plan, err);
	if (r == 0 && plan->kernel.version)
		r = check_initrd(plan, arg(args, "force"), err);
	return r;
}

bool goes_as_it_is(const struct plan *plan, struct vm *vm)
{
	bool saved = vm->info.state == CPR_VM_STATE_SAVED || vm->info.state == CPR_VM_STATE_SEALED;
	const char *qemu;

	if (!saved || vm_manifest(vm, NULL) < 0)
		return false;
	qemu = jstr(jget(jget(vm->manifest, "saved"), "qemu"), "binary");
	return !plan->save.qemu || (qemu && streq(qemu, plan->save.qemu));
}

static void say_plan(struct plan *plan)
{
	const char *last = plan->kernel.version ? "quit QEMU, seal" :
			   "quit QEMU, seal, restore in the new QEMU";

	if (plan->kernel.version) {
		say("load %s with %s by kexec_file_load", plan->kernel.image, plan->kernel.initrd);
		say("command line: %s", plan->cmdline);
	}
	for (size_t i = 0; i < plan->names.n; i++)
		say("%s: %s%s", plan->names.v[i], goes_as_it_is(plan, &plan->vms[i]) ? "" :
		    plan->save.qemu ? fmt("save for %s, ", plan->save.qemu) : "save, ", last);
	if (plan->kernel.version)
		say("jump to %s", plan->kernel.version);
}

void plan_print(struct plan *plan)
{
	struct json_object *out;

	say_plan(plan);
	if (!out_json)
		return;
	out = json_object_new_object();
	jset_str(out, "kernel", plan->kernel.version);
	jset_str(out, "image", plan->kernel.image);
	jset_str(out, "initrd", plan->kernel.initrd);
	jset_str(out, "command_line", plan->cmdline);
	jset_str(out, "warning", plan->warning);
	jset_str(out, "qemu", plan->save.qemu);
	jset(out, "vms", manifest_strings(&plan->names));
	out_object(out);
}
