/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The log of a VM: what its QEMU prints, in the VM's directory on cprfs. A guest can make its
 * QEMU print without end. The room of the VM bounds that, and log_trim() keeps enough of the
 * room for a save.
 */
#ifndef CPR_LOG_H
#define CPR_LOG_H

#include <sys/types.h>

#include "base/error.h"

/* Size of the VM's log, bytes. */
off_t log_size(const char *vm);

/* Open the VM's log to append to it. Returns: the descriptor, or -errno. */
int log_open(const char *vm, struct err *err);

/* Of a log that has become too long, keep the end. QEMU goes on writing to it. */
void log_trim(const char *vm);

/* The last lines of what @fd has from offset @from on; NULL if there are none. Caller frees. */
char *log_lines(int fd, off_t from);

/* The last lines of the VM's log, from offset @from on; NULL if there are none. Caller frees. */
char *log_tail(const char *vm, off_t from);

#endif
