// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any bytes as a state file, for libFuzzer. Whatever they are, the parser must not
 * crash, hang or use more memory than its limit, and a refusal must say where.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "stream/stream.h"

static int file = -1;

static void fill(const uint8_t *data, size_t size)
{
	if (file < 0)
		file = memfd_create("state", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, 0) < 0 || lseek(file, 0, SEEK_SET) < 0 ||
	    write_all(file, data, size) < 0)
		abort();
}

static void check(const struct stream_expect *expect, size_t size)
{
	struct stream st;
	int r = stream_check(&st, file, expect);

	if (r < 0 && (r != -EUCLEAN || !st.src.fault.kind || st.src.fault.offset > size ||
		      !*st.src.fault.expected || !*st.src.fault.meaning))
		abort();
	/* Whatever is accepted is all there. */
	if (r == 0 && (st.src.pos != size || !st.devices || !st.ram.n))
		abort();
	stream_free(&st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ram_file ram0 = { .id = (char *)"cpr-ram0", .size = 64 * MIB };
	static const struct digest none = { .text = "xxh3-128:" };
	static const struct stream_expect expect[] = {
		{ 0 }, { .machine = "microvm", .files = &ram0, .nfiles = 1, .digest = &none },
	};

	fill(data, size);
	for (size_t i = 0; i < ARRAY_SIZE(expect); i++)
		check(&expect[i], size);
	return 0;
}
