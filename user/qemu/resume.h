/* SPDX-License-Identifier: GPL-2.0-only */
/* Resume a guest, and check that it keeps running. */
#ifndef CPR_RESUME_H
#define CPR_RESUME_H

#include "qemu/qmp.h"

/* Seconds to watch a guest: long enough for it to use its devices again. */
#define GUEST_WATCH_S 0.2

/*
 * Resume the guest ("cont"). Returns: 0; -ETIMEDOUT if the guest may or may not run; another
 * negative errno if it does not run.
 */
int guest_resume(struct qmp *qmp, struct err *err);

/**
 * guest_watch - watch a resumed guest for a short time
 * @seconds: how long to watch; the watch ends early if the guest stops
 * @status: run state at the end, owned by the caller; NULL if it could not be read
 *
 * Returns: 0, also if the guest shut down or a user stopped it; -EIO with the reason if an
 * error stopped it; or, if QEMU has exited, the error of jsonsock_read().
 */
int guest_watch(struct qmp *qmp, double seconds, char **status, struct err *err);

#endif
