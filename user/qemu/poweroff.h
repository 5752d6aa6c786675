/* SPDX-License-Identifier: GPL-2.0-only */
/* Have a guest power off, as its owner would. */
#ifndef CPR_POWEROFF_H
#define CPR_POWEROFF_H

#include "qemu/qemu.h"

/**
 * guest_power_off - press the guest's power button, and wait until its QEMU has ended
 *
 * A QEMU that waits although its guest is off (-no-shutdown), has panicked, or cannot run any
 * more, is ended at once. The guest may still power off after a failure.
 *
 * Returns: 0; -EBUSY with exit status 5 if the guest is stopped; -ETIMEDOUT; -EINTR on a
 * signal; or another errno.
 */
int guest_power_off(struct qemu *q, deadline_t deadline, struct err *err);

#endif
