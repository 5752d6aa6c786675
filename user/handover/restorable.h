/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether a VM can be restored, found out before a QEMU starts. The checks change nothing. */
#ifndef CPR_RESTORABLE_H
#define CPR_RESTORABLE_H

#include "vm/vm.h"
#include "handover/replace.h"

#define RESTORE_TIMEOUT_S 120

/**
 * struct restore_opts - how to restore a VM
 * @timeout: seconds for QEMU to load the state
 * @forced: names or paths of disks that may have changed, and names of what the host need not
 *	have, see needs.h; separated by commas; NULL for none
 * @old_qemu: start the QEMU that the guest ran in, not the one that it was saved for
 * @full: verify every page that the VM's devices can reach
 * @replace: what differs from the manifest; NULL: nothing
 */
struct restore_opts {
	double timeout;
	const char *forced;
	bool old_qemu;
	bool full;
	struct replace *replace;
};

#define RESTORE_DEFAULT ((struct restore_opts){ .timeout = RESTORE_TIMEOUT_S })

/**
 * restorable_manifest - check the manifest against the digest in the catalog
 * @vm: sealed or held; gets its manifest, with what @opts replaces, and the mark of the end of
 *	"jump" in it
 *
 * Returns: 0; -EUCLEAN if it is not as it was sealed; or another errno.
 */
int restorable_manifest(struct vm *vm, const struct restore_opts *opts, struct err *err);

/**
 * restorable_check - check the files that a restore needs, after restorable_manifest()
 *
 * In this order: QEMU's binary and working directory, what the guest needs of its host, the
 * memory files, the state file against the digest in the manifest, whether another QEMU than
 * the proven one fits it, the memory's digest if there is one, and the disks.
 *
 * Returns: 0; -EUCLEAN or -EIO if a file is not as it was sealed or saved; -ENOENT with
 * exit status 3 if QEMU or its directory is missing; a refusal with exit status 4 for a QEMU
 * that does not fit, and with 3 or 4 for a disk, or for what the host lacks; -EINTR on a
 * signal; or another errno.
 */
int restorable_check(struct vm *vm, const struct restore_opts *opts, struct err *err);

/* Path of the QEMU to start: the proven one, or with @opts->old_qemu the one of the guest. */
const char *restorable_binary(const struct vm *vm, const struct restore_opts *opts);

/* The disks that "saved" in the manifest records, as of disks_inspect(). */
struct json_object *restorable_disks(const struct vm *vm);

#endif
