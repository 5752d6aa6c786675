/* SPDX-License-Identifier: GPL-2.0-only */
/* What an update is about to do: to which VMs, by which kernel and QEMU. */
#ifndef CPR_PLAN_H
#define CPR_PLAN_H

#include "host/kernel.h"
#include "cmd/saveopts.h"

/**
 * struct plan - an update before it begins
 * @kernel: to jump to; without a version only QEMU is exchanged
 * @cmdline: for that kernel
 * @warning: about it; NULL for none
 * @names, @vms: that go along, in the order of their names. Locked for as long as
 *	this lasts; processes that work on one inherit that
 * @host: lock that keeps other VMs from coming to life
 * @jobs: how many VMs at the same time
 * @save: how they are saved; its QEMU, if there is one, is the one to load them
 */
struct plan {
	struct genl *genl;
	struct cpr_region region;
	struct kernel kernel;
	char *cmdline;
	char *warning;
	struct strv names;
	struct vm *vms;
	int host;
	unsigned int jobs;
	struct save_opts save;
};

#define PLAN_NONE ((struct plan){ .host = -1 })

/**
 * plan_make - find out what is to be done, and what stands in its way
 * @plan: PLAN_NONE at first; plan_free() it in any case
 *
 * Nothing is changed by it. VMs are asked nothing yet: see save_check().
 */
int plan_make(struct plan *plan, const struct args *args, struct err *err);

/* For --dry-run. */
void plan_print(struct plan *plan);

void plan_free(struct plan *plan);

/* Saved already, and for the QEMU that is to load it. */
bool goes_as_it_is(const struct plan *plan, struct vm *vm);

#endif
