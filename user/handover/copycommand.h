/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copy mode with a command instead of a file: QEMU writes state and RAM to one command of the
 * user's, and reads them from another one. cpr-helper can check neither the data nor the
 * time that this takes.
 */
#ifndef CPR_COPYCOMMAND_H
#define CPR_COPYCOMMAND_H

#include "vm/vm.h"

/* Whether the manifest has a command as "target". */
bool copycommand_used(const struct vm *vm);

/* Start a migration to the command; returns at once, as migration_save(). */
int copycommand_save(struct vm *vm, struct err *err);

/* Start a migration from the command; returns at once, as migration_load(). */
int copycommand_load(struct vm *vm, struct err *err);

/**
 * copycommand_wait - wait until the command of copycommand_save() has ended
 *
 * QEMU does not wait for the command, and ignores its exit status. Returns: 0; -EIO if the
 * command has failed; -ETIMEDOUT.
 */
int copycommand_wait(struct vm *vm, deadline_t deadline, struct err *err);

/*
 * Kill the command of copycommand_save() if it runs. QEMU blocks while the command does not
 * read, and does not answer until then.
 */
void copycommand_kill(const struct vm *vm);

#endif
