/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Options of QEMU that run and adopt refuse: those that cannot survive a kexec, and those
 * that hide other options.
 */
#ifndef CPR_REFUSE_H
#define CPR_REFUSE_H

#include "qemu/qemuopt.h"

#define REFUSE_FD "the file descriptor does not exist after a kexec"
#define REFUSE_PRIVILEGES \
	"without its privileges QEMU could not write its state to the VM's directory"
#define REFUSE_PRIVILEGES_REMEDY \
	"leave it out; 'cpr-helper run --user USER' starts QEMU as another user"

/**
 * refuse_options - judge a command line
 * @dir: the VM's directory, where the guest's memory must be; NULL in copy mode: the state
 *	file holds all RAM, so the memory may be anywhere
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 for the first option that is refused.
 */
int refuse_options(const struct qemuopts *opts, const char *dir, struct err *err);

/* Judge one option. */
int refuse_option(const struct qemuopt *opt, const char *dir, struct err *err);

/* Fail with -EOPNOTSUPP because of @opt; @why and @remedy as fail() takes them. */
int refuse_with(struct err *err, const struct qemuopt *opt, const char *why, const char *remedy);

/* For the table of options. */
qemuopt_check_fn refuse_device, refuse_m, refuse_machine, refuse_mem_path, refuse_numa,
		 refuse_object, refuse_run_with, refuse_set;

#endif
