/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_JUDGE_H
#define CPR_JUDGE_H

#include "cpr_internal.h"

struct cpr_group;

void cpr_judge(struct cpr *c, struct cpr_group *g);

#endif /* CPR_JUDGE_H */
