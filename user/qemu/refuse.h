/* SPDX-License-Identifier: GPL-2.0-only */
/* Options of QEMU that cannot survive a kexec, or that hide what others do. */
#ifndef CPR_REFUSE_H
#define CPR_REFUSE_H

#include "base/error.h"
#include "qemu/qemuopt.h"

/**
 * refuse_option - look at one option
 * @dir: the VM's directory, where memory files are welcome; NULL in copy mode: all
 *	RAM goes into the state file, so that it may be anywhere
 *
 * Returns: 0 if nothing speaks against it, or -EOPNOTSUPP.
 */
int refuse_option(const struct qemuopt *opt, const char *dir, struct err *err);

/**
 * refuse_with - refuse an option in the one form
 * @err, @opt: where to and what
 * @why, @remedy: as fail() takes them
 *
 * Returns: -EOPNOTSUPP.
 */
int refuse_with(struct err *err, const struct qemuopt *opt, const char *why, const char *remedy);

#endif
