/* SPDX-License-Identifier: GPL-2.0-only */
/* Letting a guest run, and seeing that it does. */
#ifndef CPR_RESUME_H
#define CPR_RESUME_H

#include "qemu/qmp.h"

/* Long enough for its devices to be used again. */
#define GUEST_WATCH_S 0.2

/* Let the guest run. Returns: 0; -ETIMEDOUT if it may run; any other error: it has not. */
int guest_resume(struct qmp *qmp, struct err *err);

/**
 * guest_watch - what became of a guest that was let run
 * @seconds: how long to watch; it ends at once when the guest stops
 * @status: its runstate then, owned by the caller; NULL on failure
 *
 * Returns: 0; -EIO if it was stopped by an error, with the reason; or, when QEMU
 * has gone, what jsonsock_read() returns. A guest that stopped because it, or
 * somebody, wanted so is no failure.
 */
int guest_watch(struct qmp *qmp, double seconds, char **status, struct err *err);

#endif
