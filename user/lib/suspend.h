/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest in suspend-to-RAM (S3): its devices are off, so that none makes DMA
 * while nobody looks after them.
 */
#ifndef CPR_SUSPEND_H
#define CPR_SUSPEND_H

#include "qmp.h"

#define SUSPEND_S 60		/* from asking to suspended */
#define WAKE_S 30

/**
 * guest_suspend - ask a running guest's agent, and wait until it sleeps
 * @agent: socket of the agent's channel; NULL if there is none
 *
 * Returns: 0. After any failure the guest runs on: one that suspended late was
 * woken. Exit status 4 if it cannot, or will not, suspend.
 */
int guest_suspend(struct qmp *qmp, const char *agent, double seconds, struct err *err);

/* Wake it and wait until it runs. */
int guest_wake(struct qmp *qmp, struct err *err);

#endif
