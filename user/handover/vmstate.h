/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a device has saved, held against what a QEMU knows to load. Pure.
 *
 * The one side is a device's description at the end of a state file: the fields that
 * were written, with the bytes that each took. The other is QEMU's -dump-vmstate: all
 * fields that there may be, some of them only under conditions that it does not tell,
 * with their sizes in memory. Names do not reach QEMU when it loads, and change from
 * version to version. So this calls wrong only what cannot be right, and no QEMU is
 * ever found not to fit what it saved itself.
 */
#ifndef CPR_VMSTATE_H
#define CPR_VMSTATE_H

#include "base/error.h"

/**
 * vmstate_fits - whether a device's data can be loaded
 * @known: all of -dump-vmstate
 * @device: one of the description's devices
 * @why: of a misfit: what is expected and what was saved; owned by the caller
 *
 * That dump lists what belongs to a device model. Timers, CPUs, RAM, the run state
 * and what else QEMU registers by itself is not in it, and is let pass: whether that
 * can be loaded shows when it is, see rehearsal.h.
 *
 * Returns: true if it fits, or is not known.
 */
bool vmstate_fits(struct json_object *known, struct json_object *device, char **why);

#endif
