/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_RAM_FILE_H
#define CPR_RAM_FILE_H

#include <stdint.h>

/**
 * struct ram_file - a file that serves as memory
 * @id: of QEMU's object
 * @name: of the file, in the VM's directory
 * @size: bytes
 */
struct ram_file {
	char *id;
	char *name;
	uint64_t size;
};

#endif
