/* SPDX-License-Identifier: GPL-2.0-only */
/* The file system on the handover region. */
#ifndef CPR_CPRFS_H
#define CPR_CPRFS_H

#include "base/error.h"
#include "base/paths.h"

/* Whether cprfs is mounted on CPRFS_ROOT. */
bool cprfs_mounted(void);

/* Mount cprfs on CPRFS_ROOT, and create that directory. */
int cprfs_mount(struct err *err);

#endif
