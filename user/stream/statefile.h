/* SPDX-License-Identifier: GPL-2.0-only */
/* Check a state file against the manifest of its VM. */
#ifndef CPR_STATEFILE_H
#define CPR_STATEFILE_H

#include "base/digest.h"

/**
 * statefile_check - check whether a state file is complete and undamaged
 * @path: path of the file
 * @manifest: manifest of the VM; NULL if there is none, in which case the machine type
 *	and the memory files are not checked
 * @with_digest: compare the digest with the one in "saved" of the manifest
 * @digest: gets the digest, for which the file is not read again; may be NULL
 * @result: object to which the function adds what the file contains, or "fault" if
 *	there is a fault; may be NULL
 *
 * Returns: 0; -EUCLEAN for a fault, with exit status 1 if the file is damaged and 4 if
 * this program cannot check it; another negative errno if reading failed, -ENOENT with
 * exit status 3.
 */
int statefile_check(const char *path, struct json_object *manifest, bool with_digest,
		    struct digest *digest, struct json_object *result, struct err *err);

#endif
