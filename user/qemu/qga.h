/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest agent: only what a handover needs of it. */
#ifndef CPR_QGA_H
#define CPR_QGA_H

#include "qemu/jsonsock.h"

/**
 * qga_set_time - set the guest's clock to the host's
 * @path: Unix socket of the agent's channel
 * @deadline: an agent that does not answer until then is taken to be absent
 *
 * Returns: 0, -EREMOTEIO if the agent refused, or another errno.
 */
int qga_set_time(const char *path, deadline_t deadline, struct err *err);

/* The same on a connected socket; does not own it. */
int qga_set_time_on(struct jsonsock *js, deadline_t deadline, struct err *err);

/**
 * qga_suspend - ask for suspend-to-RAM
 * @js: a connected socket
 * @deadline: for the agent to show that it is there
 *
 * An agent that does it gives no reply. Returns: 0 when it was asked.
 */
int qga_suspend(struct jsonsock *js, deadline_t deadline, struct err *err);

/**
 * qga_refusal - whether the agent says that it will not
 * @deadline: how long to listen
 *
 * Returns: 0 if it says nothing; -EREMOTEIO with its words; -ECONNRESET when
 * nobody is there any more; -EPROTO.
 */
int qga_refusal(struct jsonsock *js, deadline_t deadline, struct err *err);

#endif
