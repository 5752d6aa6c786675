/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way out for a guest that waits, and whose QEMU or files are elsewhere by now: a restore
 * may change what the manifest says of them. The change is sealed with the manifest only once
 * a QEMU has loaded the state with it.
 */
#ifndef CPR_REPLACE_H
#define CPR_REPLACE_H

#include "vm/vm.h"

/**
 * struct replace - what a restore changes
 * @qemu: path of the QEMU to start; NULL: the one that the VM was saved for
 * @paths: "OLD=NEW,...": files and directories, absolute; NULL for none
 * @before: the manifest as it was sealed, between replace_apply() and replace_free()
 */
struct replace {
	const char *qemu;
	const char *paths;
	struct json_object *before;
};

/* Returns: 0, or -EINVAL with exit status 2 if @paths is malformed. */
int replace_check(const char *paths, struct err *err);

/**
 * replace_apply - change the manifest in memory
 * @replace: NULL: nothing
 *
 * The working directory, QEMU's arguments, the guest's disks, the
 * agent's socket, and a state file that is elsewhere. Never what
 * lies in the region.
 *
 * Returns: 0; -ENOENT with exit status 3 if the VM names no such path; -EOPNOTSUPP with exit
 * status 4 if the guest's memory would be replaced.
 */
int replace_apply(struct vm *vm, struct replace *replace, struct err *err);

/* Whether replace_apply() has changed the manifest. */
bool replace_changed(const struct replace *replace);

/* Put the manifest back, in memory. */
void replace_undo(struct vm *vm, struct replace *replace);

void replace_free(struct replace *replace);

#endif
