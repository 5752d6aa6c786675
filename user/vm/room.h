/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The room of a VM: the part of the region that it may use, and that nobody else gets.
 *
 * A VM needs room for its memory files, and later for its saved state, log and manifest. It
 * gets both before its QEMU starts, so that a save does not fail for want of space.
 */
#ifndef CPR_ROOM_H
#define CPR_ROOM_H

#include "vm/genl.h"

#define ROOM_STATE	(64 * MIB)	/* beside the memory files */
#define ROOM_NAMES	64

/**
 * room_make - give a VM its room
 * @bytes: of its memory files
 * @files: number of its memory files
 * @wanted: bytes that the user wants for all of the VM; 0 for @bytes and what else it needs
 *
 * Returns: 0; -EINVAL with exit status 2 if @wanted is less than @bytes; -ENOSPC if the region
 * does not have as much; or another negative errno.
 */
int room_make(struct genl *genl, const char *name, uint64_t bytes, size_t files,
	      uint64_t wanted, struct err *err);

#endif
