// SPDX-License-Identifier: GPL-2.0-only
/*
 * fits DUMP STATE - compare each device of a state file with the output of -dump-vmstate.
 *
 * Prints each device that does not fit. Exits with 0 only if all fit, and the dump knows at
 * least one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>

#include "stream/stream_desc.h"
#include "handover/vmstate.h"

static bool is_known(struct json_object *dump, const char *name)
{
	json_object_object_foreach(dump, model, entry) {
		const char *other = jstr(jget(entry, "Description"), "name");

		(void)model;
		if (name && other && streq(name, other))
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct json_object *dump = argc == 3 ? json_object_from_file(argv[1]) : NULL, *device;
	int fd = argc == 3 ? open(argv[2], O_RDONLY) : -1, known = 0, wrong = 0;
	struct source src;
	struct stream_desc desc;

	if (!dump || fd < 0 || source_open(&src, fd, false) < 0 || stream_desc_find(&desc, &src) < 0 ||
	    stream_desc_begin(&desc) < 0)
		return 2;
	while (stream_desc_next(&desc, &device) == 0 && device) {
		char *why;

		known += is_known(dump, jstr(device, "vmsd_name"));
		if (!vmstate_fits(dump, device, &why)) {
			printf("%s: %s\n", jstr(device, "name"), why);
			wrong++;
		}
		free(why);
		json_object_put(device);
	}
	if (src.fault.kind)
		return 2;
	printf("%d devices known, %d wrong\n", known, wrong);
	stream_desc_free(&desc);
	source_close(&src);
	json_object_put(dump);
	return wrong || !known;
}
