/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line of a QEMU that someone else started, and what of it serves to start
 * it again. Pure.
 */
#ifndef CPR_FOREIGN_H
#define CPR_FOREIGN_H

#include "base/error.h"

/**
 * foreign_argv - the arguments for another start
 * @in: without the program's name
 * @out: the same, but for what is about the first start alone; owned by the caller
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 for what a parent gave to that QEMU and
 * nobody can give again, for relative paths after -daemonize, for passed-through devices,
 * and for a QEMU that cpr-helper itself has started.
 */
int foreign_argv(const struct strv *in, struct strv *out, struct err *err);

/* Whether it has memory that is a file in @dir. */
bool foreign_in_place(const struct strv *argv, const char *dir);

/* The ids of its devices. */
void foreign_devices(const struct strv *argv, struct strv *ids);

#endif
