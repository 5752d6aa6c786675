/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Suspend a guest to RAM (S3) and wake it up. The drivers of a suspended guest have stopped
 * its devices, so that these do no DMA during the kexec.
 */
#ifndef CPR_SUSPEND_H
#define CPR_SUSPEND_H

#include "qemu/qmp.h"

/**
 * guest_suspend - suspend a running guest through its agent
 * @agent: path of the agent's socket; NULL if there is none
 * @user: who must listen on it, see account.h
 * @deadline: deadline for the guest to be suspended
 *
 * After a failure the guest runs: if it suspended late, it was woken up. Returns: 0; a
 * negative errno with exit status 4 if the guest cannot suspend, or does not in time; or
 * another negative errno.
 */
int guest_suspend(struct qmp *qmp, const char *agent, struct json_object *user,
		  deadline_t deadline, struct err *err);

/* The same with a connection to the agent, which remains owned by the caller. */
int guest_suspend_by(struct qmp *qmp, struct jsonsock *agent, deadline_t deadline,
		     struct err *err);

/* Wake up a suspended guest and wait until it runs. Returns: 0, also if it runs; or -errno. */
int guest_wake(struct qmp *qmp, struct err *err);

#endif
