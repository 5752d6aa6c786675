/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the files of a VM are. */
#ifndef CPR_PATHS_H
#define CPR_PATHS_H

#include "base/error.h"

/* Where cprfs is mounted. Each VM has a directory there. */
#define CPRFS_ROOT "/run/cpr"

/* Sockets and locks. They do not survive a kexec, and need not. */
#define RUNTIME_DIR "/run/cpr-helper"

/* Files in the directory of a VM. */
#define STATE_FILE "state"
#define STATE_PART "state.part"
#define LOG_FILE "qemu.log"

/* The directory of a VM, or with @file a file in it. The caller frees the path. */
char *vm_path(const char *name, const char *file);

/* RUNTIME_DIR/NAME.SUFFIX. The caller frees the path. */
char *runtime_path(const char *name, const char *suffix);

/* Create RUNTIME_DIR, accessible to root alone. */
int runtime_dir(struct err *err);

#endif
