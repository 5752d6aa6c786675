/* SPDX-License-Identifier: GPL-2.0-only */
/* The memory map that the firmware gave to the kernel, before any memmap= changed it. */
#ifndef CPR_FIRMWARE_H
#define CPR_FIRMWARE_H

#include "base/error.h"

/* Whether one entry of the map has the range as persistent memory. */
bool firmware_has_pmem(uint64_t start, uint64_t size);

/*
 * Check that a region is memory: memmap=SIZE!START makes persistent memory of whatever is
 * there, registers of devices and memory of the firmware as well as nothing.
 *
 * Returns: 0, also if the kernel does not show the map; -ENXIO with exit status 4 if a byte
 * of the region is neither RAM nor persistent memory.
 */
int firmware_check_memory(uint64_t start, uint64_t size, struct err *err);

#endif
