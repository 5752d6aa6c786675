// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/paths.h"
#include "vm/cprfs.h"

bool cprfs_mounted(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool on = false;

	/* The last mount on a directory hides the earlier ones. */
	while (f && (m = getmntent(f)))
		if (streq(m->mnt_dir, CPRFS_ROOT))
			on = streq(m->mnt_type, "cprfs");
	if (f)
		endmntent(f);
	return on;
}

int cprfs_mount(struct err *err)
{
	if (mkdir(CPRFS_ROOT, 0755) < 0 && errno != EEXIST)
		return fail(err, -errno, .what = "cannot create", .value = CPRFS_ROOT,
			    .why = strerror(errno));
	if (mount("cprfs", CPRFS_ROOT, "cprfs", MS_NOSUID | MS_NODEV, NULL) < 0)
		return fail(err, -errno, .what = "cannot mount cprfs on", .value = CPRFS_ROOT,
			    .why = errno == EPERM ? "needs root" : strerror(errno),
			    .remedy = errno == EPERM ? "run it with sudo" :
			    "'dmesg' shows the reason");
	return 0;
}
