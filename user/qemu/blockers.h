/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What QEMU itself does, or knows, that forbids a save. QEMU would tell about some of it only
 * after the guest has stopped, and about the rest not at all.
 */
#ifndef CPR_BLOCKERS_H
#define CPR_BLOCKERS_H

#include "qemu/migration.h"

/**
 * blockers_check - check that nothing in QEMU forbids a save
 * @way: of the save
 * @previous: as migration_inspect() lists it for @way
 *
 * What QEMU names as a reason not to migrate, a job, and a disk that others use by an export
 * of QEMU do.
 *
 * Returns: 0; -EBUSY with exit status 5 for a job or an export; -EOPNOTSUPP with exit status 4
 * for a reason of QEMU's; or the error of QMP.
 */
int blockers_check(struct qmp *qmp, const struct migration_way *way, struct json_object *previous,
		   struct err *err);

#endif
