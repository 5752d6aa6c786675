/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_FS_H
#define CPR_FS_H

#include "cpr_internal.h"

int cpr_fs_init(struct cpr *c);
void cpr_fs_exit(void);

#endif /* CPR_FS_H */
