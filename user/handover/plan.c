// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "base/out.h"
#include "base/paths.h"
#include "host/firmware.h"
#include "host/initrd.h"
#include "host/kcmdline.h"
#include "host/kernel.h"
#include "host/kexec.h"
#include "host/module.h"
#include "host/signing.h"
#include "vm/devices.h"
#include "vm/lock.h"
#include "vm/manifest.h"
#include "handover/abort.h"
#include "handover/plan.h"

void plan_free(struct plan *plan)
{
	for (size_t i = 0; i < plan->names.n; i++)
		vm_close(&plan->vms[i]);
	strv_free(&plan->names);
	strv_free(&plan->shutdown);
	json_object_put(plan->left_out);
	free(plan->vms);
	kernel_free(&plan->kernel);
	free(plan->cmdline);
	free(plan->warning);
	genl_close(plan->genl);
	if (plan->host >= 0)
		close(plan->host);
}

static int plan_check_region(struct plan *plan, struct err *err)
{
	int r = genl_region(plan->genl, &plan->region, err);

	if (r < 0)
		return r;
	if (!plan->region.formatted)
		return fail(err, -ENODEV, .exit = CPR_EXIT_REFUSED, .what = "handover region",
			    .why = "it is not formatted", .remedy = "'cpr-helper format'");
	return plan->kernel.version ?
	       firmware_check_memory(plan->region.start, plan->region.size, err) : 0;
}

static int plan_compose(struct plan *plan, struct err *err)
{
	_cleanup_free_ char *current = read_text("/proc/cmdline", 65536);
	struct kcmdline_request req = {
		.current = current, .base = plan->opts->command_line,
		.append = plan->opts->append,
		.start = plan->region.start, .size = plan->region.size,
		.firmware = firmware_has_pmem(plan->region.start, plan->region.size),
	};

	if (!current)
		return fail(err, -errno, .what = "cannot read", .value = "/proc/cmdline");
	return kcmdline_compose(&req, &plan->cmdline, &plan->warning, err);
}

static int plan_refuse_vm(const struct cpr_vm *info, const char *why, struct err *err)
{
	return fail(err, -EBUSY, .exit = CPR_EXIT_REFUSED, .what = "VM", .value = info->name,
		    .why = why, .remedy = fmt("shut it down or delete it first "
					      "('cpr-helper show %s')", info->name));
}

/*
 * Its guest is gone, whatever becomes of the others; and its memory stays in the region, also
 * under the next kernel. A monitor that somebody has removed does not make a QEMU dead: that
 * would map the memory; and in copy mode, where there is none, the monitor must be there.
 */
static bool plan_is_dead(const struct cpr_vm *info)
{
	_cleanup_free_ char *monitor = runtime_path(info->name, "qmp");
	struct qemu q;
	bool dead;

	if (info->state != CPR_VM_STATE_RUNNING || info->mapped ||
	    (!info->memory && access(monitor, F_OK) < 0))
		return false;
	dead = qemu_attach(info->name, QEMU_ATTACH_S, &q, NULL) == -ESRCH;
	qemu_release(&q);
	return dead;
}

/* Returns: 0, as plan_wants_vm(). */
static int plan_leave_out(struct plan *plan, const struct cpr_vm *info, const char *why)
{
	struct json_object *vm = json_object_new_object();

	jset_str(vm, "name", info->name);
	jset_str(vm, "why", why);
	json_object_array_add(plan->left_out, vm);
	return 0;
}

/* What runs does not survive the kernel: only an exchange of QEMU can leave it as it is. */
static int plan_exclude_vm(struct plan *plan, const struct cpr_vm *info, struct err *err)
{
	if (!plan->kernel.version)
		return plan_leave_out(plan, info, "excluded");
	return fail(err, -EBUSY, .exit = CPR_EXIT_REFUSED, .what = "--exclude", .value = info->name,
		    .why = fmt("it is %s, and a VM that takes no part in the change of the kernel "
			       "is lost", cpr_state_name(info->state)),
		    .remedy = fmt("shut its guest down with '--shutdown %s', or from inside: a VM "
				  "whose QEMU has ended is left out by itself", info->name));
}

/* A saved state would be lost, and a save that was interrupted has stopped the guest. */
static int plan_shut_down_vm(struct plan *plan, const struct cpr_vm *info, struct err *err)
{
	if (info->state != CPR_VM_STATE_RUNNING || abort_wanted(info))
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "--shutdown",
			    .value = info->name, .why = info->state == CPR_VM_STATE_RUNNING ?
			    "a save of it was interrupted" :
			    fmt("it is %s, not running", cpr_state_name(info->state)),
			    .remedy = fmt("'cpr-helper abort %s' first", info->name));
	strv_push(&plan->shutdown, info->name);
	return plan_leave_out(plan, info, "shutdown");
}

/* Each name must be that of a VM. */
static int plan_check_names(const char *option, const char *names, const struct cpr_vms *all,
			    struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(names ? names : "");
	char *next = names ? copy : NULL, *word;

	while ((word = strsep(&next, ","))) {
		bool found = false;

		for (size_t i = 0; i < all->n; i++)
			found |= streq(all->v[i].name, word);
		if (!found)
			return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = option,
				    .value = word, .why = "there is no such VM",
				    .remedy = "'cpr-helper list'");
	}
	return 0;
}

/* Returns: 1 if the VM takes part, 0 if it can be left alone, or a refusal. */
static int plan_wants_vm(struct plan *plan, const struct cpr_vm *info, struct err *err)
{
	bool exclude = list_has_word(plan->opts->exclude, info->name);
	struct qemu q;

	if (plan_is_dead(info)) {
		note("VM '%s': its QEMU has ended, so that it takes no part; its memory stays until "
		     "it is deleted", info->name);
		return plan_leave_out(plan, info, "dead");
	}
	if (list_has_word(plan->opts->shutdown, info->name))
		return plan_shut_down_vm(plan, info, err);
	switch (info->state) {
	case CPR_VM_STATE_RUNNING:
	case CPR_VM_STATE_SAVED:
	case CPR_VM_STATE_RESTORING:
		return exclude ? plan_exclude_vm(plan, info, err) : 1;
	case CPR_VM_STATE_SEALED:
		return !plan->kernel.version && !exclude;
	case CPR_VM_STATE_DEFINED:
		if (qemu_attach(info->name, QEMU_ATTACH_S, &q, NULL) < 0 && !info->mapped)
			return 0;
		qemu_release(&q);
		return plan_refuse_vm(info, "its QEMU runs, but it is not pinned", err);
	case CPR_VM_STATE_LOST:
		note("VM '%s': it is lost; its memory stays until it is deleted", info->name);
		return plan_leave_out(plan, info, "lost");
	default:
		return 0;
	}
}

static int plan_add_vm(struct plan *plan, const struct cpr_vm *info, struct err *err)
{
	size_t i = plan->names.n;
	int r = plan_wants_vm(plan, info, err);

	if (r <= 0)
		return r;
	plan->vms = xrealloc(plan->vms, i + 1, sizeof(*plan->vms));
	strv_push(&plan->names, info->name);
	r = vm_open(plan->genl, info->name, &plan->vms[i], err);
	return r < 0 ? r : vm_manifest(&plan->vms[i], err);
}

static int plan_add_vms(struct plan *plan, struct err *err)
{
	_cleanup_vms_ struct cpr_vms all = { 0 };
	int r = genl_vms(plan->genl, &all, err);

	if (r == 0)
		r = plan_check_names("--exclude", plan->opts->exclude, &all, err);
	if (r == 0)
		r = plan_check_names("--shutdown", plan->opts->shutdown, &all, err);
	for (size_t i = 0; r == 0 && i < all.n; i++)
		r = plan_add_vm(plan, &all.v[i], err);
	if (r < 0 || plan->names.n || plan->kernel.version)
		return r;
	return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "update",
		    .why = "no VM runs or is saved");
}

static const struct vm *plan_vm_with_devices(const struct plan *plan)
{
	for (size_t i = 0; i < plan->names.n; i++)
		if (vm_has_devices(&plan->vms[i]))
			return &plan->vms[i];
	return NULL;
}

/*
 * Drivers of the host would bind the VMs' devices before a module that is loaded after the
 * initramfs. Without devices that does not matter.
 */
static int plan_check_initrd(const struct plan *plan, struct err *err)
{
	const struct vm *vm = plan_vm_with_devices(plan);
	const char *initrd = plan->kernel.initrd;
	int has = vm && !plan->opts->force ? initrd_has_module(initrd) : 1;

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

static int plan_prepare_kernel(struct plan *plan, struct err *err)
{
	int r = kernel_find(&plan->kernel, err);

	if (r == 0)
		r = signing_check_kernel(&plan->kernel, err);
	if (r == 0)
		r = plan_compose(plan, err);
	return r < 0 ? r : module_check(&plan->kernel, plan->cmdline, plan->opts->force, err);
}

/* Whatever the module has, it is not to be left behind. */
static int plan_check_no_module(struct err *err)
{
	_cleanup_genl_ struct genl *genl = genl_open(NULL);

	if (!genl && access("/sys/module/cpr_handover", F_OK) < 0)
		return 0;
	return fail(err, -EBUSY, .exit = CPR_EXIT_REFUSED, .what = "--no-vms",
		    .why = "the module is loaded, and may have VMs that run",
		    .remedy = "leave --no-vms out: VMs that wait go to the next kernel as they are");
}

/* Nobody says which range is the region: the command line, with all of them, is kept. */
static int plan_find_region(struct plan *plan, struct err *err)
{
	_cleanup_free_ char *current = read_text("/proc/cmdline", 65536);
	_cleanup_free_ struct memmap *maps = NULL;
	size_t n = current ? kcmdline_memmaps(current, &maps) : 0;

	for (size_t i = 0; i < n; i++)
		if (maps[i].kind == '!') {
			plan->region.start = maps[i].start;
			plan->region.size = maps[i].size;
			return 0;
		}
	return fail(err, -EINVAL, .exit = CPR_EXIT_REFUSED, .what = "kernel command line",
		    .value = "memmap=SIZE!START",
		    .why = "the running kernel has no such option: it does not keep a region",
		    .remedy = "if the region is an NVDIMM, boot the other kernel in the usual way");
}

static int plan_learn_without_vms(struct plan *plan, struct err *err)
{
	int r = plan_check_no_module(err);

	if (r == 0)
		r = plan_find_region(plan, err);
	return r < 0 ? r : plan_prepare_kernel(plan, err);
}

static int plan_learn(struct plan *plan, struct err *err)
{
	int r = plan->kernel.version ? kexec_allowed(err) : 0;

	/* A VM that starts after the list was made would be left behind. */
	if (r == 0 && !plan->opts->dry_run)
		r = plan->host = host_lock(true, err);
	if (r >= 0 && plan->opts->no_vms)
		return plan_learn_without_vms(plan, err);
	if (r < 0)
		return r;
	plan->genl = genl_open(err);
	if (!plan->genl)
		return -ENOENT;
	r = plan_check_region(plan, err);
	if (r == 0 && plan->kernel.version)
		r = plan_prepare_kernel(plan, err);
	if (r == 0)
		r = plan_add_vms(plan, err);
	if (r == 0 && plan->kernel.version)
		r = plan_check_initrd(plan, err);
	return r;
}

int plan_make(struct plan *plan, const struct plan_opts *opts, struct err *err)
{
	plan->opts = opts;
	plan->left_out = json_object_new_array();
	plan->kernel.version = opts->kernel;
	plan->kernel.image = opts->image ? xstrdup(opts->image) : NULL;
	plan->kernel.initrd = opts->initrd ? xstrdup(opts->initrd) : NULL;
	return plan_refusal(plan_learn(plan, err), err);
}

int plan_refusal(int code, struct err *err)
{
	if (code < 0 && err->exit == CPR_EXIT_FAILED)
		err->exit = CPR_EXIT_REFUSED;
	return code;
}

bool plan_is_saved(const struct plan *plan, struct vm *vm)
{
	const char *wanted = plan->opts->save.qemu;
	bool saved = vm->info.state == CPR_VM_STATE_SAVED || vm->info.state == CPR_VM_STATE_SEALED;
	const char *qemu;

	if (!saved || vm_manifest(vm, NULL) < 0)
		return false;
	qemu = jstr(jget(jget(vm->manifest, "saved"), "qemu"), "binary");
	return !wanted || (qemu && streq(qemu, wanted));
}
