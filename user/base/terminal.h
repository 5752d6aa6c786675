/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What other programs, guests and files say, made harmless for a terminal.
 *
 * A guest decides what its agent answers, what some of QEMU's messages contain, and the labels
 * on its disks. Root's terminal would take an escape sequence in them for its own.
 */
#ifndef CPR_TERMINAL_H
#define CPR_TERMINAL_H

#include <stdio.h>

#include "base/util.h"

/**
 * terminal_safe - a copy of a text that a terminal prints as it is
 *
 * Control characters, also DEL, those of C1 and those that change the direction of writing,
 * and bytes that are no UTF-8 become \xNN. Newlines and tabs stay. Caller frees.
 */
char *terminal_safe(const char *text);

/* The same for one line: newlines become \x0a as well, and tabs \x09. Caller frees. */
char *terminal_safe_line(const char *text);

/* The same for the text of a JSON document: they become \u00NN. Caller frees. */
char *terminal_safe_json(const char *text);

/* As fprintf(3) and vfprintf(3), of terminal_safe(). */
void terminal_print(FILE *to, const char *format, ...) _printf_(2, 3);
void terminal_vprint(FILE *to, const char *format, va_list ap) _printf_(2, 0);

#endif
