/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether what the next QEMU needs is there in the next kernel: its binary, its directory, the
 * guest's disks and all files that its command line names.
 */
#ifndef CPR_OUTLIVES_H
#define CPR_OUTLIVES_H

#include "base/error.h"

/**
 * outlives_check - find a file of a VM that is lost at the kexec
 * @manifest: of the VM
 * @binary: the QEMU that will load the state
 * @disks: as disks_inspect() returns them; NULL: only those that the command line names
 *
 * Sockets and files that QEMU only writes (-D, -pidfile, character devices) may be lost.
 *
 * Returns: 0, or -EOPNOTSUPP with exit status 4.
 */
int outlives_check(struct json_object *manifest, const char *binary, struct json_object *disks,
		   struct err *err);

#endif
