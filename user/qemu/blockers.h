/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What QEMU itself does, or knows, that forbids a save. QEMU would tell about some of it only
 * after the guest has stopped, and about the rest not at all.
 */
#ifndef CPR_BLOCKERS_H
#define CPR_BLOCKERS_H

#include "qemu/migration.h"

/**
 * blockers_ask - ask QEMU why it would refuse a save
 * @vm: its name
 * @way: of the save
 * @previous: as migration_inspect() lists it for @way
 * @reasons: QEMU's words, a list; NULL if there are none; owned by the caller
 *
 * QEMU tells the reasons against the mode that is set, and a passed-through device is one
 * against the normal mode only. So the mode of a save is set for the question; it must be on
 * record meanwhile, and stay so unless this succeeds.
 *
 * Returns: 0 or the error of QMP.
 */
int blockers_ask(struct qmp *qmp, const char *vm, const struct migration_way *way,
		 struct json_object *previous, struct json_object **reasons, struct err *err);

/**
 * blockers_check - check that nothing in QEMU forbids a save
 * @reasons: QEMU's own, of blockers_ask(); a job, and a disk that others use by an export of
 *	QEMU, are others
 *
 * Returns: 0; -EBUSY with exit status 5 for a job or an export; -EOPNOTSUPP with exit status 4
 * for a reason of QEMU's; or the error of QMP.
 */
int blockers_check(struct qmp *qmp, struct json_object *reasons, struct err *err);

#endif
