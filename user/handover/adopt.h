/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Adopting a QEMU that another program has started: it becomes a VM. The guest runs on and
 * notices nothing; QEMU is only queried, and nothing in it is changed.
 */
#ifndef CPR_ADOPT_H
#define CPR_ADOPT_H

#include "vm/vm.h"

/**
 * struct adopt_opts - the QEMU to adopt
 * @name: of the VM that it becomes
 * @monitor: path of a QMP socket that QEMU listens on
 * @room: bytes of the region that it may use and is promised; 0 for what it needs
 * @dry_run: only check
 */
struct adopt_opts {
	const char *name;
	const char *monitor;
	uint64_t room;
	bool dry_run;
};

/**
 * adopt_vm - make a VM of a QEMU that runs
 * @result: gets "name", "pid", "ram_bytes" and "manifest"
 *
 * Without the RAM in the VM's directory on cprfs the VM is in copy mode.
 *
 * Returns: 0; -EINVAL with exit status 2 for an impossible name; -ENOENT with exit status 3
 * if there is no such socket; a refusal with exit status 4 if QEMU could not be started
 * again with its arguments; -EEXIST or -ETIMEDOUT with exit status 5 if the VM exists, or
 * the monitor has another client; or another errno. After an error nothing has changed.
 */
int adopt_vm(const struct adopt_opts *opts, struct json_object *result, struct err *err);

#endif
