/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What QEMU's monitor can change of a guest's drives: the medium of a removable one, and the
 * limits of its throughput. The next QEMU is started with the same arguments, and then gets
 * what the drives had when the guest was saved.
 */
#ifndef CPR_DRIVES_H
#define CPR_DRIVES_H

#include "qemu/qmp.h"

/**
 * drives_read - record the drives of a guest
 * @drives: [{"drive", "removable", "file", "format", "readonly", "throttle"}]: "drive" is the
 *	id of the device, or else its QOM path; "file" is absent without a medium; "throttle"
 *	has the members of block_set_io_throttle, and is absent without limits. Owned by the
 *	caller
 *
 * Returns: 0 or the error of QMP.
 */
int drives_read(struct qmp *qmp, struct json_object **drives, struct err *err);

/**
 * drives_put_back - make the drives of a QEMU those of the guest that it will load
 * @drives: of drives_read() when the guest was saved; may be NULL
 *
 * Returns: 0 or the error of QMP.
 */
int drives_put_back(struct json_object *drives, struct qmp *qmp, struct err *err);

#endif
