// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/size.h"
#include "vm/room.h"

int room_make(struct genl *genl, const char *name, uint64_t bytes, size_t files,
	      uint64_t wanted, struct err *err)
{
	struct cpr_room room = {
		.bytes = wanted ? wanted : bytes + ROOM_STATE, .names = ROOM_NAMES + files,
	};
	_cleanup_err_ struct err why = { 0 };
	int r;

	if (room.bytes < bytes)
		return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "--room",
			    .value = size_exact(wanted),
			    .why = fmt("the memory alone takes %s", size_exact(bytes)),
			    .remedy = fmt("%s leaves enough for the saved state",
					  size_exact(bytes + ROOM_STATE)));
	r = genl_vm_room(genl, name, &room, &why);
	if (r == 0)
		return 0;
	if (r != -ENOSPC)
		return fail(err, r, .exit = why.exit, .what = "room of VM", .value = name,
			    .why = why.why);
	return fail(err, r, .what = "room of VM", .value = size_exact(room.bytes),
		    .why = fmt("the region has no room for it; %s", why.why),
		    .remedy = "delete a VM, or give this one less RAM or a smaller --room");
}
