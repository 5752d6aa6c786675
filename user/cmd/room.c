// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <stdlib.h>

#include "base/size.h"
#include "vm/room.h"
#include "cmd/cmd.h"
#include "cmd/print.h"

#define MAX_NAMES 65535

static int room_parse_names(const struct args *args, uint32_t *names, struct err *err)
{
	const char *text = arg(args, "names");
	char *end;

	if (!text)
		return 0;
	*names = strtoul(text, &end, 10);
	return *end || *text < '0' || *text > '9' || !*names || *names > MAX_NAMES ?
	       usage_value(args, err, "names", "no number from 1 to 65535") : 0;
}

/* What is not given stays as it is. */
static int room_parse(const struct args *args, struct cpr_room *room, struct err *err)
{
	const char *size = args->argv[1];

	if (streq(size, "none")) {
		*room = (struct cpr_room){ 0 };
		return arg(args, "names") ?
		       usage(args, err, "--names does not go with none") : 0;
	}
	if (!room->names)
		room->names = ROOM_NAMES;
	if (size_parse(size, MIB, &room->bytes) < 0)
		return usage(args, err, fmt("'%s' is neither a size like 512M or 4G nor none", size));
	return room_parse_names(args, &room->names, err);
}

static void room_print(const char *vm, const struct cpr_room *room)
{
	if (room->names)
		say("%s: %s and %u names", vm, size_human(room->bytes), room->names);
	else
		say("%s: no room of its own", vm);
}

static int run_room(const struct args *args, struct err *err)
{
	_cleanup_genl_ struct genl *genl = NULL;
	_cleanup_vm_info_ struct cpr_vm info = { 0 };
	struct cpr_room room;
	int r = arg_vm(args, &genl, &info, err);

	if (r < 0)
		return r;
	room = info.room;
	r = room_parse(args, &room, err);
	if (r == 0 && !args->dry_run)
		r = genl_vm_room(genl, info.name, &room, err);
	if (r < 0)
		return r;
	info.room = room;
	if (out_json)
		print_vm(vm_json(&info));
	else
		room_print(info.name, &room);
	return 0;
}

const struct cmd cmd_room = {
	.name = "room",
	.synopsis = "NAME SIZE|none [--names N]",
	.summary = "set how much of the region a VM may use, and is promised",
	.opts = {
		{ "names", "N", "number of files and directories (64, or as before)" },
	},
	.examples = {
		"room web1 5G",
		"room web1 none",
	},
	.min_args = 2,
	.max_args = 2,
	.dry_run = true,
	.run = run_room,
};
