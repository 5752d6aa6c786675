/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Starting a new VM with its RAM in the handover region.
 *
 * The memory files are made first, at full size, so that a lack of space shows before QEMU
 * starts. QEMU starts with the guest stopped, and the guest runs only after all checks.
 */
#ifndef CPR_START_H
#define CPR_START_H

#include "vm/vm.h"

#define START_USER "cpr-qemu"	/* the package makes it */

/**
 * struct start_opts - the VM to start
 * @name: of the VM
 * @sizes: of its RAM, bytes; one in all, or one for each NUMA node
 * @nsizes: number of @sizes; 0 if @argv has the size
 * @user: name or uid of the user that QEMU is to run as; NULL: START_USER if there is such a
 *	user, else root
 * @room: bytes of the region that it may use and is promised; 0 for what it needs
 * @copy: copy mode: the RAM stays in QEMU, and each save copies it
 * @agent: add a channel for the guest agent
 * @qemu: name or path of the QEMU binary
 * @argv: QEMU's arguments, without the name of the program
 * @dry_run: only check, and report what would be done
 */
struct start_opts {
	const char *name;
	const uint64_t *sizes;
	size_t nsizes;
	const char *user;
	uint64_t room;
	bool copy;
	bool agent;
	const char *qemu;
	const struct strv *argv;
	bool dry_run;
};

/**
 * start_vm - create a VM and start its QEMU
 * @result: gets "name", "state", "runstate", "pid", "ram_bytes" and "manifest"; with
 *	@opts->dry_run instead "binary", "argv", "memory", "agent" and "devices"
 *
 * Formats and mounts nothing but cprfs. The guest runs when this returns, unless @argv has
 * -S.
 *
 * Returns: 0; -EINVAL with exit status 2 for an impossible name or sizes that contradict
 * each other; -ENOENT with exit status 3 if there is no such QEMU or user; a refusal with exit
 * status 4 for what cannot survive a kexec; -EEXIST or -EBUSY with exit status 5 if the VM
 * exists, or a device is in use; -ENOSPC; or another errno. After an error nothing is left
 * of the VM.
 */
int start_vm(const struct start_opts *opts, struct json_object *result, struct err *err);

#endif
