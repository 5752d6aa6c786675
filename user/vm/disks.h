/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Record a guest's disks when its state is written, and compare them before the state is
 * loaded. A saved guest has cached data of its file systems: if they change between save
 * and restore, the guest damages them. QEMU's manual forbids such changes, but QEMU does
 * not check.
 */
#ifndef CPR_DISKS_H
#define CPR_DISKS_H

#include "vm/vm.h"

/*
 * Record in the manifest, as "disks", the paths that a QEMU has opened, and as "unchecked" its
 * disks without a path; call it right after QEMU was started. Returns: 0 or the error of QMP.
 */
int disks_record_opened(struct vm *vm, struct err *err);

/**
 * disks_inspect - read the traits of the local files and devices behind QEMU's disks
 * @disks: [{"name", "path", "kind", ...}], the format of "saved.disks" in the manifest;
 *	owned by the caller
 *
 * Also syncs the files. An image and each of its backing files has an entry of its own. The
 * entry of a disk that is not local (nbd, rbd, ...), or that others serve (vhost-user-blk,
 * ...), has "unchecked" with the driver's name instead of "path".
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 if a file was removed or replaced, if QEMU was
 * started with other files, or if the guest has written to a disk with snapshot=on; or
 * another negative errno.
 */
int disks_inspect(struct vm *vm, struct json_object **disks, struct err *err);

/* Print a note for each of @disks, an array of disks_inspect(), that is not checked. */
void disks_note_unchecked(struct json_object *disks, const char *vm);

/* Update the traits in @disks, an array of disks_inspect(). Returns: 0 or -errno. */
int disks_remeasure(struct json_object *disks, struct err *err);

/*
 * Returns: 0; -ENOENT with exit status 3 if a name or path in @forced is neither in @disks nor one
 * of @others, which is not about disks.
 */
int disks_check_forced(struct json_object *disks, const struct strv *others, const char *forced,
		       struct err *err);

/**
 * disks_compare - compare the disks with their recorded traits
 * @disks: the array of disks_inspect(); NULL if there are none
 * @vm: name of the VM, for messages
 * @forced: names or paths of disks that may differ, separated by commas; NULL for none
 *
 * A read-only firmware image may differ in all but its size: it is noted.
 *
 * Returns: 0; -ESTALE with exit status 4 if a disk differs, with both values in @err;
 * -ENOENT with exit status 4 if a file is missing or unreadable, whatever @forced says.
 */
int disks_compare(struct json_object *disks, const char *vm, const char *forced, struct err *err);

/**
 * disks_check_opened - check that the QEMU started for a restore has opened all recorded disks
 *
 * After a snapshot, a mirror or a change of the medium, QEMU's arguments name other files
 * than QEMU had open when the state was saved. Disks in @forced are not checked.
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 if a disk is not open; or another negative errno.
 */
int disks_check_opened(struct vm *vm, struct json_object *disks, const char *forced,
		       struct err *err);

#endif
