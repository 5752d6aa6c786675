/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Locks between cpr-helper processes. The kernel releases them when the process exits. Their
 * files are never removed, not even with the VM: two processes that lock a file of one name
 * must lock the same file.
 */
#ifndef CPR_LOCK_H
#define CPR_LOCK_H

#include "base/error.h"

/**
 * host_lock - exclude the start of VMs and the switch to another kernel from each other
 * @leaving: take the lock exclusively, to switch kernels; otherwise take it shared, to
 *	start, restore or resume a VM, which also fails while the host shuts down
 *
 * Returns: a descriptor that holds the lock until it is closed; -EBUSY with exit status 5;
 * or another negative errno.
 */
int host_lock(bool leaving, struct err *err);

/**
 * vm_lock - exclude other cpr-helper processes from a VM
 *
 * Returns: a descriptor that holds the lock until it is closed; -EBUSY with exit status 5;
 * or another negative errno.
 */
int vm_lock(const char *name, struct err *err);

#endif
