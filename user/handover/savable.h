/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a VM can be saved, found out while the guest runs. The checks change nothing in
 * the guest, leave the manifest as it was, and in QEMU only reset settings that a killed save
 * has left.
 */
#ifndef CPR_SAVABLE_H
#define CPR_SAVABLE_H

#include "handover/copymode.h"
#include "handover/proof.h"

/**
 * struct save_opts - how to save a VM
 * @timeout: seconds after which the save fails and the guest runs on
 * @max_pause: seconds that the guest may stand still until it is saved; 0 for no limit
 * @qemu: path of the QEMU that will load the state; NULL: the binary that the guest's QEMU
 *	was started from, as it is on disk now
 * @no_rehearse: do not rehearse the load
 * @rehearse: refuse a VM whose load cannot be rehearsed
 * @digest_ram: seal the VM with a digest of its memory
 * @full: record every page that the VM's devices can reach
 * @no_kexec: the VM is restored under this kernel, so its files may be memory
 * @noted: what is lost, or not checked, was printed already
 * @copy: in copy mode: where the RAM goes
 */
struct save_opts {
	double timeout;
	double max_pause;
	char *qemu;
	bool no_rehearse;
	bool rehearse;
	bool digest_ram;
	bool full;
	bool no_kexec;
	bool noted;
	struct copymode_request copy;
};

/**
 * struct savable - what a save has to know before it begins
 * @runstate: of the guest; "postmigrate" if the guest was paused, saved and aborted
 * @previous: those settings of QEMU that the save will change, as its owner made them
 * @drives: as drives_read() returns them
 * @cpu: as guestcpu_read() returns it
 * @process: as attributes_read() returns it
 * @needs: as needs_read() returns them
 * @disks: as disks_inspect() returns them
 * @copy: where the RAM goes in copy mode
 * @max_pause: as in the options
 * @until: when the guest must be saved; 0 for no limit, as long as it runs
 * @proof: what the state has to pass; the caller sets the deadline
 */
struct savable {
	char *runstate;
	struct json_object *previous;
	struct json_object *drives;
	struct json_object *cpu;
	struct json_object *process;
	struct json_object *needs;
	struct json_object *disks;
	struct copymode_plan copy;
	double max_pause;
	deadline_t until;
	struct proof proof;
};

void savable_free(struct savable *s);
#define _cleanup_savable_ _cleanup_(savable_free)

/**
 * savable_machine - check that the state of a VM's machine can be proven whole
 * @manifest: with "machine"
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4.
 */
int savable_machine(struct json_object *manifest, struct err *err);

/**
 * savable_check - check that a VM can be saved
 * @vm: gets its manifest, with "target" set in memory only, and its QEMU
 * @s: filled in; free it with savable_free() in any case
 *
 * Returns: 0; -EBUSY with exit status 5 if the VM, the guest or a migration is in the wrong
 * state; a refusal with exit status 4 if the next QEMU cannot load the state, or a disk, a
 * capability or the target forbids the save; or another errno.
 */
int savable_check(struct vm *vm, const struct save_opts *opts, struct savable *s,
		  struct err *err);

#endif
