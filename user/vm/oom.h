/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The OOM killer and QEMUs whose RAM is in the region. Kernel 7.3 counts RAM of cprfs as
 * memory of the process, 6.12 does not. Killing such a QEMU frees none of it, so it must
 * not make QEMU the first victim.
 */
#ifndef CPR_OOM_H
#define CPR_OOM_H

#include <stdint.h>

#include "vm/vm.h"

#define OOM_SCORE_MIN (-1000)	/* the OOM killer never chooses the process */

/**
 * oom_score_without - take memory out of a process's score
 * @score: its oom_score_adj: a thousandth counts as a thousandth of @total
 * @bytes: of memory that killing the process would not free
 * @total: RAM and swap of the host, bytes, not 0
 *
 * Returns: the new oom_score_adj, at least OOM_SCORE_MIN.
 */
int oom_score_without(int score, uint64_t bytes, uint64_t total);

/**
 * oom_spare - take a VM's RAM in the region out of the score of its QEMU
 *
 * Does nothing if QEMU has no RAM in the region. That the score could not be changed, which
 * takes CAP_SYS_RESOURCE, is a detail: the guest runs as well without.
 */
void oom_spare(const struct vm *vm);

#endif
