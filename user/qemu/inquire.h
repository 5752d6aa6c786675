/* SPDX-License-Identifier: GPL-2.0-only */
/* What a QEMU says of itself, when a VM begins: asked, not believed from its options. */
#ifndef CPR_INQUIRE_H
#define CPR_INQUIRE_H

#include "qemu/launch.h"
#include "qemu/qmp.h"

/* Its version into @manifest. -EOPNOTSUPP with exit status 4 if it is too old. */
int inquire_version(struct qmp *qmp, struct json_object *manifest, struct err *err);

/* Its resolved machine type into @manifest. */
int inquire_machine(struct qmp *qmp, struct json_object *manifest, struct err *err);

/**
 * inquire_memory - whether its memory is where it was planned
 * @dir: the VM's directory, which must have all of it
 *
 * Returns: 0, or -EOPNOTSUPP with exit status 4.
 */
int inquire_memory(struct qmp *qmp, const char *dir, const struct ram_plan *plan,
		   struct err *err);

/* Bytes of RAM that the guest has. */
int inquire_size(struct qmp *qmp, uint64_t *size, struct err *err);

#endif
