/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copy mode: RAM that is not in the region goes with the state into one file, on the
 * region or on a disk, or to a command. The file is written by QEMU's mapped-ram and
 * multifd, past the page cache where it can be.
 */
#ifndef CPR_COPYMODE_H
#define CPR_COPYMODE_H

#include "qemu/migration.h"
#include "vm/vm.h"

/**
 * struct copymode_request - where the user wants it; all NULL: in the VM's directory
 * @to: a file, or a directory, for a file NAME.state in it
 * @uri, @restore_uri: "exec:COMMAND" that takes it, and one that gives it back; both
 *	or none
 */
struct copymode_request {
	const char *to;
	const char *uri;
	const char *restore_uri;
};

/**
 * struct copymode_plan - what a save will be like
 * @bytes: to be written at most
 * @seconds: about how long that and the checks take; 0 if that cannot be told
 * @stale: another target, that a save which was killed has left; NULL for none
 */
struct copymode_plan {
	uint64_t bytes;
	double seconds;
	struct json_object *stale;
};

/**
 * copy_target - see that the RAM can go where it is to go
 *
 * Sets "target" in vm->manifest, in memory only. A VM that is not in copy mode has
 * none, and may not be asked for one.
 *
 * Returns: 0; an error, mostly with exit status 4, if it cannot: nothing was changed.
 */
int copymode_target(struct vm *vm, const char *runstate, const struct copymode_request *req,
		    struct copymode_plan *plan, struct err *err);

/**
 * copy_measure - make the file, measure how fast it is, and say how long it will take
 *
 * The manifest with its target has been written. After a failure commit_discard() cleans
 * up: "target" is gone if the file there is not ours.
 */
int copymode_measure(struct vm *vm, struct copymode_plan *plan, struct err *err);

/* How the state and the RAM of a VM go, in copy mode or not, to where "target" says. */
struct migration_way copymode_way(const struct vm *vm);

/* Seconds to wait, beside those of --timeout, for what was estimated to take @seconds. */
double copymode_patience(double seconds);

/* Whether a command has, or is to get, the state; then nothing here can look at it. */
bool copymode_streams(const struct vm *vm);

/* Start to write to the command, or to load from it. */
int copymode_save(struct vm *vm, struct err *err);
int copymode_load(struct vm *vm, struct err *err);

/* QEMU does not ask how the command ended. */
int copymode_command_ended(struct vm *vm, deadline_t deadline, struct err *err);

/*
 * End a command that takes the state, if it is still at work. QEMU, which waits for it, does
 * not answer before that.
 */
void copymode_end_command(const struct vm *vm);

/* Remove what was written to a target outside of the VM's directory. */
void copymode_remove(const struct vm *vm, struct json_object *target);

/* The same for that of the VM; it has none from then on. */
void copymode_forget(struct vm *vm);

#endif
