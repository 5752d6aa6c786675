/* SPDX-License-Identifier: GPL-2.0-only */
/* How long a guest will stand still, judged by its last handover of the same kind. */
#ifndef CPR_EXPECTATION_H
#define CPR_EXPECTATION_H

#include "base/util.h"

/**
 * struct expectation - what the last handover took, by report.json
 * @total_ms: the whole pause; -1 if no handover of this kind is on record
 * @rest_ms: of that, what came after the VM was saved and others with it: from "seal" on
 */
struct expectation {
	int64_t total_ms;
	int64_t rest_ms;
};

/**
 * expectation_of - what to expect of a VM
 * @dir: of the VM
 * @kexec: whether the kernel changes, too
 */
struct expectation expectation_of(const char *dir, bool kexec);

#endif
