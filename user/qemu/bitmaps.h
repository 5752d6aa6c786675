/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dirty bitmaps of disks, by which backup programs know what has changed. QEMU writes those that
 * are persistent to the image when it quits; the others end with it.
 */
#ifndef CPR_BITMAPS_H
#define CPR_BITMAPS_H

#include "qemu/qmp.h"

/* Print a note for each bitmap that would be lost. Returns: 0 or the error of QMP. */
int bitmaps_note(struct qmp *qmp, const char *vm, struct err *err);

#endif
