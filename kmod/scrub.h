/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_SCRUB_H
#define CPR_SCRUB_H

#include "cpr_internal.h"

void cpr_scrub_frame(struct cpr *c, u32 frame);
void cpr_scrubber(struct work_struct *work);
void cpr_scrub_kick(struct cpr *c);
bool cpr_scrub_pins_locked(struct cpr *c);

#endif /* CPR_SCRUB_H */
