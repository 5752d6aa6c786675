/* SPDX-License-Identifier: GPL-2.0-only */
/* A state file and what the manifest beside it says: one verdict. */
#ifndef CPR_STATEFILE_H
#define CPR_STATEFILE_H

#include "base/error.h"

/**
 * statefile_check - whether a state file is whole
 * @path: of the file
 * @manifest: of the VM; NULL if there is none, and then less can be told
 * @with_digest: compare with the digest that the manifest has for the saved state
 * @result: an object to add to: what was found, {"fault"} if that was one; may be NULL
 *
 * Returns: 0; -EUCLEAN for a fault, with exit status 1 if the file is damaged and 4
 * if it may be whole but nobody can tell; another negative errno if it cannot be read.
 */
int statefile_check(const char *path, struct json_object *manifest, bool with_digest,
		    struct json_object *result, struct err *err);

#endif
