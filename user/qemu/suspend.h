/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest in suspend-to-RAM (S3): its drivers have stopped its devices, so that
 * none makes DMA while nobody looks after them.
 */
#ifndef CPR_SUSPEND_H
#define CPR_SUSPEND_H

#include "qemu/qmp.h"

/**
 * guest_suspend - ask a running guest's agent, and wait until it sleeps
 * @agent: socket of the agent's channel; NULL if there is none
 *
 * Returns: 0. After any failure the guest runs on: one that suspended too late
 * was woken. Exit status 4 if it cannot, or will not, suspend.
 */
int guest_suspend(struct qmp *qmp, const char *agent, deadline_t deadline, struct err *err);

/* The same with a connection to the agent. */
int guest_suspend_by(struct qmp *qmp, struct jsonsock *agent, deadline_t deadline,
		     struct err *err);

/* Wake it, unless it runs, and wait until it does. */
int guest_wake(struct qmp *qmp, struct err *err);

#endif
