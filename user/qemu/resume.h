/* SPDX-License-Identifier: GPL-2.0-only */
/* Resume a guest, and check that it keeps running. */
#ifndef CPR_RESUME_H
#define CPR_RESUME_H

#include "qemu/qmp.h"

/* Seconds to watch a guest: long enough for it to use its devices again. */
#define GUEST_WATCH_S 0.2

/**
 * guest_resume - resume the guest ("cont")
 * @ran: false only if it is certain that the guest has not run: the command was not sent, or
 *	QEMU has refused it. NULL if the caller does not need it
 *
 * A QEMU that does not answer, or ends after the command was sent, may have let the guest run:
 * the memory is then newer than any state that was saved. Returns: 0 or -errno.
 */
int guest_resume(struct qmp *qmp, bool *ran, struct err *err);

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
