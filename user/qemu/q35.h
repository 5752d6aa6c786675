/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Restore chipset registers that a q35 guest loses when it wakes up from S3. QEMU resets
 * the machine at the wake-up, and SeaBIOS (1.16.3, of QEMU 10.0) does not set up the
 * chipset completely: ACPI and the memory-mapped configuration space stay disabled. The
 * guest then runs, but can neither suspend again nor power off.
 *
 * SeaBIOS accesses the registers through that configuration space. While the space is
 * disabled, SeaBIOS sets none of them; while it is enabled, SeaBIOS sets all of them but
 * disables the space.
 */
#ifndef CPR_Q35_H
#define CPR_Q35_H

#include "qemu/qmp.h"

#define Q35_REGISTERS 5

/**
 * struct q35 - registers of the chipset
 * @there: the machine is a q35, and the registers were read
 * @values: values of the registers, in the order of the table in q35.c
 */
struct q35 {
	bool there;
	uint32_t values[Q35_REGISTERS];
};

/* Read the registers of a suspended guest; q35->there is false if that fails. */
void q35_read(struct qmp *qmp, struct q35 *q35);

/**
 * q35_restore - set the registers that have lost their values
 * @q35: the registers before the guest was woken up; does nothing unless @there
 *
 * Stops the running guest while it sets the registers: once so that the firmware finds
 * them, and once after the firmware is done. Returns: 0, or -errno if QEMU does not stop
 * or does not resume the guest.
 */
int q35_restore(struct qmp *qmp, const struct q35 *q35, struct err *err);

#endif
