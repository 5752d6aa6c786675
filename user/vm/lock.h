/* SPDX-License-Identifier: GPL-2.0-only */
/* Locks that keep several cpr-helpers from working on the same VM or host. */
#ifndef CPR_LOCK_H
#define CPR_LOCK_H

#include "base/error.h"

/**
 * host_lock - keep VMs from coming to life while the host leaves its kernel
 * @leaving: this is who leaves it; otherwise a VM is about to come to life
 *
 * Returns: a descriptor that holds the lock until it is closed, or -EBUSY with
 * exit status 5.
 */
int host_lock(bool leaving, struct err *err);

/**
 * vm_lock - keep other cpr-helpers from the VM
 *
 * Returns: a descriptor that holds the lock until it is closed, or -EBUSY with
 * exit status 5.
 */
int vm_lock(const char *name, struct err *err);

#endif
