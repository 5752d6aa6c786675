/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The CPU that a guest sees. With -cpu host, and within what the machine type leaves open, it
 * is made of what CPU, microcode and KVM of the host can do; so another kernel can take
 * something away from a guest that uses it.
 */
#ifndef CPR_GUESTCPU_H
#define CPR_GUESTCPU_H

#include "qemu/qmp.h"

/**
 * guestcpu_read - get the guest's CPU from QEMU
 * @cpu: {"vendor", "family", "model", "stepping", "features": [{"leaf", "subleaf", "register",
 *	"bits"}], "microcode"}: of the first CPU; "microcode" is the host's, absent if unknown.
 *	Owned by the caller
 *
 * Returns: 0, or the error of QMP.
 */
int guestcpu_read(struct qmp *qmp, struct json_object **cpu, struct err *err);

/**
 * guestcpu_check - check that a QEMU offers the guest its CPU
 * @was: of guestcpu_read() in the guest's QEMU; NULL: unknown
 * @qmp: the QEMU that loads the state
 * @vm: name of the VM, for errors, and for a note if the CPU has more than it had
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 if the CPU is another or lacks a feature; or the
 * error of QMP.
 */
int guestcpu_check(struct json_object *was, struct qmp *qmp, const char *vm, struct err *err);

#endif
