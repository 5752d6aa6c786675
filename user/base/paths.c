// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <sys/stat.h>

#include "base/paths.h"

char *vm_path(const char *name, const char *file)
{
	return xasprintf(CPRFS_ROOT "/%s%s%s", name, file ? "/" : "", file ? file : "");
}

char *runtime_path(const char *name, const char *suffix)
{
	return xasprintf(RUNTIME_DIR "/%s.%s", name, suffix);
}

int runtime_dir(struct err *err)
{
	if ((mkdir(RUNTIME_DIR, 0711) < 0 && errno != EEXIST) || chmod(RUNTIME_DIR, 0711) < 0)
		return fail(err, -errno, .what = "cannot create", .value = RUNTIME_DIR,
			    .why = errno == EACCES || errno == EPERM ? "needs root" :
			    strerror(errno),
			    .remedy = errno == EACCES || errno == EPERM ? "run it with sudo" : NULL);
	return 0;
}
