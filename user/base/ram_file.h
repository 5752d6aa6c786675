/* SPDX-License-Identifier: GPL-2.0-only */
/* Files that back a guest's memory. */
#ifndef CPR_RAM_FILE_H
#define CPR_RAM_FILE_H

#include <stdint.h>

/**
 * struct ram_file - a file that backs guest memory
 * @id: id of QEMU's memory backend object
 * @name: name of the file in the VM's directory
 * @size: size of the file, bytes
 */
struct ram_file {
	char *id;
	char *name;
	uint64_t size;
};

#endif
