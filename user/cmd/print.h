/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lines that several commands print about a VM, on stdout. Each is built from the
 * result object that --json prints, so text and JSON always agree.
 */
#ifndef CPR_PRINT_H
#define CPR_PRINT_H

#include "base/util.h"

/* @result is that of save_vm(). */
void print_saved(const char *vm, struct json_object *result);

/* @result is that of restore_vm(). */
void print_restored(const char *vm, struct json_object *result);

/* @result is that of abort_vm(). */
void print_aborted(const char *vm, struct json_object *result);

/* With --json: {"vm": @vm}, of which the function takes ownership. */
void print_vm(struct json_object *vm);

#endif
