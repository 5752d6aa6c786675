/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The end of a save: a state that QEMU has written becomes the saved state of its VM, and
 * is removed once the guest has resumed.
 *
 * A state counts only after it was found whole and, before a handover, loadable by the
 * next QEMU. Then the file gets its final name, the manifest records it and the module
 * moves the VM to "saved", in this order.
 */
#ifndef CPR_COMMIT_H
#define CPR_COMMIT_H

#include "vm/vm.h"
#include "handover/proof.h"

/**
 * commit_state - check a written state and make it the VM's saved state
 * @vm: with its manifest, and attached; its QEMU is in postmigrate, or has ended there
 * @part: path of the file that QEMU has written; unused if a command has the state
 * @runstate: of the guest before the save
 * @proof: the QEMU that has to load the state; NULL if only this host will load it, to
 *	roll back
 *
 * Returns: 0; -EUCLEAN or -EIO if the file is damaged; a refusal with exit status 4 if the
 * next QEMU cannot load the state, or a disk is not as expected; -EINTR; or another errno.
 */
int commit_state(struct vm *vm, const char *part, const char *runstate,
		 struct proof *proof, struct err *err);

/**
 * commit_discard - remove what a save has left, because the guest has resumed
 * @vm: with its manifest, which is written
 *
 * Also ends the guest's pause. Returns: 0 or -errno of writing the manifest.
 */
int commit_discard(struct vm *vm, struct err *err);

#endif
