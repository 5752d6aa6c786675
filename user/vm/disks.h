/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest's disks were when its state was written. Guest and disks belong
 * together: a file system that changed under a guest is damaged by it. QEMU's
 * manual forbids to change them between save and restore, and nobody checks.
 */
#ifndef CPR_DISKS_H
#define CPR_DISKS_H

#include "vm/vm.h"

/* Note in the manifest, as "disks", what a QEMU that was just started has opened. */
int disks_started(struct vm *vm, struct err *err);

/**
 * disks_inspect - the local files and devices behind QEMU's disks, as they are
 * @disks: [{"name", "path", "kind", ...}] as "saved.disks" of the manifest; owned by
 *	the caller
 *
 * Syncs them. Each layer of a disk is one: an image, and the files that it is based on. A disk
 * that is not local (nbd, rbd, ...) has "unchecked", its driver, instead of a path.
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 if a file is no longer where QEMU
 * opened it, if QEMU was started with other ones, or if one holds what the guest
 * wrote and goes away with QEMU (snapshot=on); or another errno.
 */
int disks_inspect(struct vm *vm, struct json_object **disks, struct err *err);

/* What they are by now, without a QEMU to ask. @disks as disks_inspect() made it. */
int disks_again(struct json_object *disks, struct err *err);

/* -ENOENT (exit 3) if a name or path in @forced is none of @disks. */
int disks_known(struct json_object *disks, const char *forced, struct err *err);

/**
 * disks_compare - hold the disks against what was recorded
 * @disks: as disks_inspect() made it; NULL is as good as none
 * @vm: name, for the remedy
 * @forced: names or paths, comma between, that may differ; NULL for none
 *
 * Returns: 0; -ESTALE with exit status 4 if one differs, told with then and now;
 * -ENOENT with exit status 4 if one is gone, which cannot be forced.
 */
int disks_compare(struct json_object *disks, const char *vm, const char *forced, struct err *err);

/**
 * disks_opened - whether a QEMU that was started for the VM has opened them all
 *
 * Its arguments may name other ones than QEMU had in the end: after a snapshot, a
 * mirror, another medium. Those that are @forced need not be.
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 if not; or another errno.
 */
int disks_opened(struct vm *vm, struct json_object *disks, const char *forced, struct err *err);

#endif
