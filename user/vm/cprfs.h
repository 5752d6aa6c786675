/* SPDX-License-Identifier: GPL-2.0-only */
/* Mounting cprfs, the file system in the handover region. */
#ifndef CPR_CPRFS_H
#define CPR_CPRFS_H

#include "base/error.h"
#include "base/paths.h"

/* Whether cprfs is mounted on CPRFS_ROOT. */
bool cprfs_mounted(void);

/* Create the directory CPRFS_ROOT and mount cprfs there. Returns: 0 or -errno. */
int cprfs_mount(struct err *err);

#endif
