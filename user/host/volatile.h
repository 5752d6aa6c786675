/* SPDX-License-Identifier: GPL-2.0-only */
/* Files that are lost with the kernel, because they are memory of it. */
#ifndef CPR_VOLATILE_H
#define CPR_VOLATILE_H

/**
 * volatile_why - find out whether a kexec loses a file
 * @path: of the file, or of a directory for files in it
 *
 * Returns: why the file is lost, for errors; NULL if it is not lost, or does not exist.
 */
const char *volatile_why(const char *path);

#endif
