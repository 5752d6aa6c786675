/* SPDX-License-Identifier: GPL-2.0-only */
/* The command line of a QEMU that another program started, and that adopt takes in. */
#ifndef CPR_FOREIGN_H
#define CPR_FOREIGN_H

#include "qemu/qemuopt.h"

/**
 * foreign_check - whether QEMU can be started again with these options
 * @dir: the VM's directory if the guest's memory is there; NULL in copy mode
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 for what run refuses, except options that
 * are about the first start alone; for relative paths after -daemonize, for passed-through
 * devices, and for a QEMU that cpr-helper started.
 */
int foreign_check(const struct qemuopts *opts, const char *dir, struct err *err);

/* Whether QEMU has memory in a file in @dir. */
bool foreign_in_place(const struct qemuopts *opts, const char *dir);

/* For the table of options. */
qemuopt_check_fn foreign_chardev, foreign_device;

#endif
