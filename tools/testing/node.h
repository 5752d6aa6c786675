/* SPDX-License-Identifier: GPL-2.0-only */
/* Records of files and directories, for tests that write a catalog. */
#ifndef NODE_H
#define NODE_H

#include <string.h>

#include "catalog.h"

static inline struct cpr_catalog_node node_of(u32 parent, u32 mode, u64 ino, const char *name)
{
	return (struct cpr_catalog_node){
		.ino = ino, .parent = parent, .mode = mode, .name = name,
		.name_len = strlen(name),
	};
}

#endif /* NODE_H */
