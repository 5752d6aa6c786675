// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include <blkid/blkid.h>

#include "vm/signature.h"

/* What libblkid does not know, because no host mounts it. */
static const struct { const char *bytes; size_t len; off_t at; const char *name; } guests[] = {
	{ "QFI\xfb", 4, 0, "a disk in qcow2 format" },
	{ "QED\0", 4, 0, "a disk in QED format" },
	{ "KDMV", 4, 0, "a disk in VMDK format" },
	{ "COWD", 4, 0, "a disk in VMDK format" },
	{ "vhdxfile", 8, 0, "a disk in VHDX format" },
	{ "conectix", 8, 0, "a disk in VHD format" },
	{ "\x7f\x10\xda\xbe", 4, 64, "a disk in VDI format" },
	{ "QEVM", 4, 0, "a guest's state" },
	{ "LibvirtQemudSave", 16, 0, "a guest's state" },
};

static const char *signature_of_guest(int fd)
{
	char bytes[16];

	for (size_t i = 0; i < ARRAY_SIZE(guests); i++)
		if (pread(fd, bytes, guests[i].len, guests[i].at) == (ssize_t)guests[i].len &&
		    memcmp(bytes, guests[i].bytes, guests[i].len) == 0)
			return guests[i].name;
	return NULL;
}

static void cleanup_probe(blkid_probe *probe)
{
	blkid_free_probe(*probe);
}

static const char *signature_value(blkid_probe probe, const char *name)
{
	const char *value = NULL;

	return blkid_probe_lookup_value(probe, name, &value, NULL) == 0 ? value : NULL;
}

static char *signature_words(blkid_probe probe)
{
	const char *type = signature_value(probe, "TYPE");
	const char *label = signature_value(probe, "LABEL");
	const char *uuid = signature_value(probe, "UUID");

	if (!type)
		return xasprintf("partitions, %s", signature_value(probe, "PTTYPE") ?: "of some kind");
	return xasprintf("%s%s%s%s%s%s", type, label ? ", label '" : "", label ?: "",
			 label ? "'" : "", uuid ? ", UUID " : "", uuid ?: "");
}

int signature_find(const char *path, char **found, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_(cleanup_probe) blkid_probe probe = fd < 0 ? NULL : blkid_new_probe();
	const char *guest = probe ? signature_of_guest(fd) : NULL;
	int r = -1;

	*found = guest ? xstrdup(guest) : NULL;
	if (guest)
		return 0;
	if (probe && blkid_probe_set_device(probe, fd, 0, 0) == 0 &&
	    blkid_probe_enable_partitions(probe, 1) == 0)
		r = blkid_do_safeprobe(probe);
	if (r == 0)
		*found = signature_words(probe);
	else if (r == -2)	/* libblkid has no name for it */
		*found = xstrdup("several file systems");
	else if (r < 0)
		return fail(err, -EIO, .what = "cannot read", .value = path,
			    .why = "libblkid does not see what it has on it");
	return 0;
}
