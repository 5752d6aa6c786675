/* SPDX-License-Identifier: GPL-2.0-only */
/* Properties of a QEMU at the start of a VM, queried by QMP, not derived from options. */
#ifndef CPR_INQUIRE_H
#define CPR_INQUIRE_H

#include "qemu/launch.h"
#include "qemu/qmp.h"

/*
 * Set "qemu_version" in @manifest. Returns: 0; -EOPNOTSUPP with exit status 4 if QEMU is too
 * old; or another negative errno.
 */
int inquire_version(struct qmp *qmp, struct json_object *manifest, struct err *err);

/* Set "machine" in @manifest to the resolved machine type. Returns: 0 or -errno. */
int inquire_machine(struct qmp *qmp, struct json_object *manifest, struct err *err);

/* Set "inventory" in @manifest, see inventory.h. Returns: 0 or -errno. */
int inquire_inventory(struct qmp *qmp, struct json_object *manifest, struct err *err);

/**
 * inquire_memory - check that the guest's memory is where it was planned
 * @dir: the VM's directory, in which all memory files must be
 * @plan: the planned memory
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 if QEMU uses other memory; or another negative
 * errno.
 */
int inquire_memory(struct qmp *qmp, const char *dir, const struct launch_plan *plan,
		   struct err *err);

/* Get the size of the guest's RAM, including plugged memory, bytes. Returns: 0 or -errno. */
int inquire_size(struct qmp *qmp, uint64_t *size, struct err *err);

#endif
