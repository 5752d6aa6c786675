/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices and CPUs that a QEMU has. The next QEMU is started with the same command line,
 * so it has what the first had when it was started, and not what the monitor has plugged or
 * unplugged since; and a state loads only into the same devices.
 */
#ifndef CPR_INVENTORY_H
#define CPR_INVENTORY_H

#include "qemu/qemuopt.h"
#include "qemu/qmp.h"

/**
 * inventory_read - list what a QEMU has
 * @list: array of strings, each a device or a CPU as it is called in errors; owned by the
 *	caller
 *
 * Returns: 0 or the error of QMP.
 */
int inventory_read(struct qmp *qmp, struct json_object **list, struct err *err);

/**
 * inventory_compare - refuse a QEMU that has not what it had
 * @was, @is: of inventory_read()
 *
 * Returns: 0; or -EOPNOTSUPP with exit status 4, and the first difference in @err.
 */
int inventory_compare(struct json_object *was, struct json_object *is, struct err *err);

/**
 * inventory_check_options - refuse a QEMU that has not what its command line names
 * @opts: its command line
 *
 * For a QEMU of which no list was made when it was started. Only devices with an id are
 * compared.
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4; or the error of QMP.
 */
int inventory_check_options(struct qmp *qmp, const struct qemuopts *opts, struct err *err);

#endif
