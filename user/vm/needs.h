/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest needs of its host that somebody has made or set up: a tap in a bridge, the bridge
 * into which QEMU's helper puts one, the socket at which another process serves a device, the
 * virtual function of a network card. None of it outlives the kernel. With some of it missing or
 * not set up QEMU starts all the same, and the guest runs without its network.
 *
 * In the manifest, as "needs": [{"kind", "name", ...}]
 *
 *	tap	a tap that QEMU does not set up itself (script=no): "bridge" that it was in,
 *		or null; "up", "persistent", "multi_queue"; "owner", a user's number, absent if none
 *	bridge	a bridge that QEMU puts a tap into
 *	socket	absolute path of a Unix socket that QEMU connects to
 *	virtual function
 *		PCI address of a passed-through device; what vf_read() adds
 */
#ifndef CPR_NEEDS_H
#define CPR_NEEDS_H

#include "base/error.h"

/**
 * needs_read - find out what a running guest needs
 * @manifest: with QEMU's arguments and devices
 * @process: as of attributes_read()
 * @needs: as in the manifest, owned by the caller
 *
 * Returns: 0 or -errno.
 */
int needs_read(struct json_object *manifest, struct json_object *process,
	       struct json_object **needs, struct err *err);

/* Refuse, with exit status 4, what is certain to end with QEMU, and only a hook can make again. */
int needs_check_lasting(struct json_object *needs, struct err *err);

/* Append the names to @names. */
void needs_names(struct json_object *needs, struct strv *names);

/**
 * needs_check - check that all is there, and as it was
 * @needs: of needs_read(); NULL of an older manifest
 * @forced: names that are not checked, separated by commas; NULL for none
 *
 * Returns: 0; -ENOENT with exit status 4, and the command that makes what is missing.
 */
int needs_check(struct json_object *needs, struct json_object *process, const char *forced,
		struct err *err);

#endif
