/* SPDX-License-Identifier: GPL-2.0-only */
/* The file system that holds the VMs, and where things lie. */
#ifndef CPR_CPRFS_H
#define CPR_CPRFS_H

#include "error.h"

/* Where cprfs is mounted; one directory a VM. */
#define CPRFS_ROOT "/run/cpr"

/* Sockets and locks; they need not survive. */
#define RUNTIME_DIR "/run/cpr-helper"

#define STATE_FILE "state"
#define STATE_PART "state.part"
#define LOG_FILE "qemu.log"

/**
 * name_check - whether a VM may be called this
 *
 * Returns: 0, or -EINVAL with exit status 2.
 */
int name_check(const char *name, struct err *err);

/* Paths; the caller frees them. */
char *vm_path(const char *name, const char *file);	/* @file may be NULL */
char *runtime_path(const char *name, const char *suffix);

/* Create RUNTIME_DIR, for root alone. */
int runtime_dir(struct err *err);

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

/* Whether cprfs is mounted on CPRFS_ROOT. */
bool cprfs_mounted(void);

/* Mount it, making the directory. */
int cprfs_mount(struct err *err);

/* Files that the helper and QEMU put into a VM's directory, but memory files. */
void remove_vm_files(const char *name);

#endif
