/* SPDX-License-Identifier: GPL-2.0-only */
/* Processes that use the files of a VM, as shown by /proc. */
#ifndef CPR_USERS_H
#define CPR_USERS_H

#include "base/error.h"

/**
 * users_find - list the processes that have files of a VM mapped or open for writing
 * @dir: directory of the VM
 *
 * A file that is on its way in a socket has no process. This process is left out.
 *
 * Returns: text like "pid 12 (cat) maps ram0, pid 13 (sh) can write to log"; NULL if no process
 * was found. The caller frees it.
 */
char *users_find(const char *dir);

/**
 * users_blame - add the processes that use the files of a VM to an error
 * @dir: directory of the VM
 * @revoked: the files were already taken from them
 * @err: the error; may be NULL
 */
void users_blame(const char *dir, bool revoked, struct err *err);

#endif
