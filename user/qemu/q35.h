/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a q35 guest loses when it wakes from S3. QEMU resets the machine then, and
 * SeaBIOS (1.16.3, of QEMU 10.0) does not bring back all that it had set up: ACPI
 * and the memory-mapped configuration space stay off. Such a guest runs, but it
 * can neither suspend again nor switch itself off.
 *
 * SeaBIOS goes the way of that configuration space to set it up. If it is off,
 * nothing is set; if it is on, all is set but the space itself, which is off then.
 */
#ifndef CPR_Q35_H
#define CPR_Q35_H

#include "qemu/qmp.h"

#define Q35_REGISTERS 5

/**
 * struct q35 - registers of the chipset
 * @there: it is such a machine, and they could be read
 * @values: of the registers, in the order of q35.c
 */
struct q35 {
	bool there;
	uint32_t values[Q35_REGISTERS];
};

/* Read them of a guest that sleeps. If that cannot be done, it is not @there. */
void q35_read(struct qmp *qmp, struct q35 *q35);

/**
 * q35_restore - set those that were lost
 * @q35: as they were before the guest was woken
 *
 * The guest, which runs, is stopped for the time of it: once for its firmware, and
 * once after that. Returns: 0, or -errno if QEMU does not let it run on.
 */
int q35_restore(struct qmp *qmp, const struct q35 *q35, struct err *err);

#endif
