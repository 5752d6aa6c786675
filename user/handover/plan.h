/* SPDX-License-Identifier: GPL-2.0-only */
/* The plan of an update: which VMs take part, to which kernel and QEMU they go. */
#ifndef CPR_PLAN_H
#define CPR_PLAN_H

#include "host/kernel.h"
#include "handover/savable.h"

/**
 * struct plan_opts - what to update
 * @kernel: release of the next kernel; NULL: only QEMU is replaced
 * @image, @initrd: of that kernel; NULL: from the usual places
 * @append: words to add to the kernel's command line; NULL for none
 * @command_line: replaces the command line of the running kernel; NULL: keep that
 * @force: also if VMs have devices and the initrd lacks the module, or if the running kernel
 *	does not know the key of the module's signature
 * @revoke: take the files of the VMs from users that would prevent their VMs from being sealed
 * @no_vms: the module cannot be loaded: take the region from the command line of the running
 *	kernel, which the next one gets as it is
 * @exclude: names of VMs that are left as they are, separated by commas; NULL for none
 * @shutdown: names of VMs whose guests power off first, separated by commas; NULL for none
 * @jobs: number of VMs that are worked on at the same time; 0: see struct crew
 * @save: how to save the VMs; its QEMU is the one that restores them
 * @dry_run: the update ends after its checks, and other VMs may start meanwhile
 */
struct plan_opts {
	const char *kernel;
	const char *image;
	const char *initrd;
	const char *append;
	const char *command_line;
	bool force;
	bool revoke;
	bool no_vms;
	const char *exclude;
	const char *shutdown;
	unsigned int jobs;
	struct save_opts save;
	bool dry_run;
};

/**
 * struct plan - an update before it begins
 * @opts: the caller's
 * @kernel: to jump to; without a version only QEMU is replaced
 * @cmdline: of that kernel
 * @warning: about @cmdline; NULL for none
 * @left_out: VMs that take no part: an array of objects with "name" and "why": "excluded",
 *	"shutdown", "dead" (its QEMU has ended) or "lost"
 * @shutdown: those whose guests power off first
 * @names, @vms: the VMs that take part, in the order of their names. They stay locked as long
 *	as the plan exists, also for child processes
 * @host: lock that keeps other VMs from starting
 */
struct plan {
	const struct plan_opts *opts;
	struct genl *genl;
	struct cpr_region region;
	struct kernel kernel;
	char *cmdline;
	char *warning;
	struct json_object *left_out;
	struct strv shutdown;
	struct strv names;
	struct vm *vms;
	int host;
};

#define PLAN_NONE ((struct plan){ .host = -1 })

/**
 * plan_make - find out what an update has to do, and check the host
 * @plan: PLAN_NONE before; free it with plan_free() in any case
 * @opts: must exist as long as the plan
 *
 * Changes nothing, and asks the VMs' QEMUs only whether they are there; update_vms() checks
 * the VMs. A VM whose QEMU has ended is left out, with a note: it has nothing to lose.
 *
 * Returns: 0; -ENOENT with exit status 3 if no VM runs or is saved, or the kernel has no
 * files; -EBUSY with exit status 5 if another update runs; or a refusal with exit status 4.
 */
int plan_make(struct plan *plan, const struct plan_opts *opts, struct err *err);
void plan_free(struct plan *plan);

/* Whether a VM stays as it is until it is sealed: saved, and for the QEMU that is wanted. */
bool plan_is_saved(const struct plan *plan, struct vm *vm);

/* An error before anything was changed is a refusal: exit status 4 instead of 1. */
int plan_refusal(int code, struct err *err);

#endif
