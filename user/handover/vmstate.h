/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Compares the saved state of a device with the description of a QEMU. Pure.
 *
 * The saved side is the device's entry in the description at the end of a state file: the
 * fields that were written, with their sizes in bytes. The other side is QEMU's
 * -dump-vmstate: all fields that may occur, some only under conditions that are not in the
 * dump, with their sizes in memory. QEMU does not use field names when it loads a state, and
 * renames fields between versions. So only what cannot be loaded is a misfit, and a QEMU
 * always fits its own states.
 */
#ifndef CPR_VMSTATE_H
#define CPR_VMSTATE_H

#include "base/error.h"

/**
 * vmstate_fits - whether a QEMU can load the state of a device
 * @known: the whole output of -dump-vmstate
 * @device: an entry of the description's devices
 * @why: of a misfit: the expected and the saved value; owned by the caller
 *
 * The dump covers device models only. Timers, CPUs, RAM, the run state and all else that
 * QEMU itself registers is not in it, and passes; a rehearsal covers that.
 *
 * Returns: true if the device fits, or is not in the dump.
 */
bool vmstate_fits(struct json_object *known, struct json_object *device, char **why);

#endif
