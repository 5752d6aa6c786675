/* SPDX-License-Identifier: GPL-2.0-only */
/* Paths of the files of a VM. */
#ifndef CPR_PATHS_H
#define CPR_PATHS_H

#include "base/error.h"

/* Mount point of cprfs. Each VM has a directory there. */
#define CPRFS_ROOT "/run/cpr"

/* Directory of sockets and locks, which need not survive a kexec. */
#define RUNTIME_DIR "/run/cpr-helper"

/* Files in the cprfs directory of a VM. */
#define STATE_FILE "state"
#define STATE_PART "state.part"
#define LOG_FILE "qemu.log"

/* Path of the cprfs directory of a VM, or of @file in that directory. Caller frees. */
char *vm_path(const char *name, const char *file);

/* RUNTIME_DIR/NAME.SUFFIX. Caller frees. */
char *runtime_path(const char *name, const char *suffix);

/*
 * Create RUNTIME_DIR, unless it exists. Who knows a name there can reach it, as QEMU does that
 * runs as another user, but nobody else can list it. Returns: 0 or -errno.
 */
int runtime_dir(struct err *err);

#endif
