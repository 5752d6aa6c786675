/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hooks: programs in HOOKS_DIR with which an operator makes what a guest needs of its host, or
 * refuses a step. Each is called as
 *
 *	HOOK STEP WHEN NAME
 *
 * before a step of a VM, and after it or when it has failed. Documentation/hooks.md has the
 * steps and the environment. Those that ran before a step also run after it, unless this
 * process is killed.
 */
#ifndef CPR_HOOKS_H
#define CPR_HOOKS_H

#include "vm/vm.h"

#define HOOKS_DIR "/etc/cpr-helper/hooks.d"

#define HOOK_S 30	/* for each hook */

/* Whether there are any. */
bool hooks_exist(void);

/* Check, without running them, that only root can change the hooks. Returns: as hooks_before(). */
int hooks_check(struct err *err);

/**
 * hooks_before - run the hooks before a step
 * @vm: locked
 * @step: name of the command that takes it, or "seal"
 *
 * Returns: 0; a refusal with exit status 4 if a hook fails or others than root could have
 * written it: then the step must not be taken, and the hooks that have run are told that it
 * failed; -EINTR on a signal.
 */
int hooks_before(const struct vm *vm, const char *step, struct err *err);

/* The same before a step that must be taken: a hook that fails is only a note. */
void hooks_announce(const struct vm *vm, const char *step);

/**
 * hooks_after - run the hooks after a step that hooks_before() has allowed, or was announced
 * @code: result of the step; negative: it has failed
 *
 * A hook that fails is only a note, and a signal does not interrupt it. Returns: @code.
 */
int hooks_after(const struct vm *vm, const char *step, int code);

#endif
