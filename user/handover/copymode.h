/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copy mode: the RAM is not in the region, so QEMU writes it with the state: to one file, on
 * the region or on a disk, or to a command. For a file QEMU uses mapped-ram and multifd, and
 * writes past the page cache where the file system allows it.
 */
#ifndef CPR_COPYMODE_H
#define CPR_COPYMODE_H

#include "qemu/migration.h"
#include "vm/vm.h"

/**
 * struct copymode_request - where the user wants the state; all NULL: in the VM's directory
 * @to: a file, or a directory for a file NAME.state
 * @uri, @restore_uri: "exec:COMMAND" that takes the state, and "exec:COMMAND" that returns
 *	it; both or none
 */
struct copymode_request {
	const char *to;
	const char *uri;
	const char *restore_uri;
};

/**
 * struct copymode_plan - what a save will take
 * @bytes: written at most
 * @seconds: estimate for the write and the checks; 0 if unknown
 * @stale: another target, left by a save that was killed; NULL if there is none
 */
struct copymode_plan {
	uint64_t bytes;
	double seconds;
	struct json_object *stale;
};

/**
 * copymode_target - check that the state can go to its target
 * @vm: attached, with its manifest, in which "target" is set in memory only
 * @runstate: of the guest
 * @plan: gets @bytes and @stale
 *
 * A VM that is not in copy mode has no target, and the request must be empty.
 *
 * Returns: 0; or an error, mostly with exit status 4, and nothing has changed.
 */
int copymode_target(struct vm *vm, const char *runstate, const struct copymode_request *req,
		    struct copymode_plan *plan, struct err *err);

/**
 * copymode_measure - create the file, measure the disk, and print how long the save takes
 * @vm: its manifest with "target" is on disk
 * @plan: gets @seconds
 *
 * After an error commit_discard() cleans up; "target" is gone if the file belongs to
 * another program. Returns: 0 or -errno.
 */
int copymode_measure(struct vm *vm, struct copymode_plan *plan, struct err *err);

/* How QEMU writes the VM to "target", and loads it from there; also if the VM is not in copy mode. */
struct migration_way copymode_way(const struct vm *vm);
struct migration_way copymode_load_way(const struct vm *vm);

/* Seconds to wait, in addition to --timeout, for an estimate of @seconds. */
double copymode_patience(double seconds);

/* Remove the files of a target, which are not in the VM's directory. */
void copymode_remove(const struct vm *vm, struct json_object *target);

/* Remove those of the VM's target, and "target" from the manifest, in memory only. */
void copymode_forget(struct vm *vm);

#endif
