// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "host/initrd.h"
#include "host/kernel.h"

static const char *const images[] = {
	"/boot/vmlinuz-%s", "/usr/lib/modules/%s/vmlinuz", "/lib/modules/%s/vmlinuz",
};

static const char *const initrds[] = {
	"/boot/initrd.img-%s", "/boot/initramfs-%s.img", "/usr/lib/modules/%s/initrd",
};

void kernel_free(struct kernel *k)
{
	free(k->image);
	free(k->initrd);
}

/* Replace the one "%s" of a pattern by the version. */
static char *kernel_expand(const char *pattern, const char *version)
{
	const char *at = strstr(pattern, "%s");

	return xasprintf("%.*s%s%s", (int)(at - pattern), pattern, version, at + 2);
}

static int kernel_find_file(const char *const *patterns, size_t n, const char *version, char **out)
{
	for (size_t i = 0; i < n; i++) {
		*out = kernel_expand(patterns[i], version);
		if (access(*out, R_OK) == 0)
			return 0;
		free(*out);
	}
	*out = NULL;
	return -ENOENT;
}

static int kernel_file_missing(const char *what, const char *value, const char *remedy,
			       struct err *err)
{
	return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = what, .value = value,
		    .why = "there is no such file", .remedy = remedy);
}

int kernel_find(struct kernel *k, struct err *err)
{
	if (k->image && access(k->image, R_OK) < 0)
		return kernel_file_missing("kernel image", k->image, NULL, err);
	if (k->initrd && access(k->initrd, R_OK) < 0)
		return kernel_file_missing("initrd", k->initrd, NULL, err);
	if (!k->image && kernel_find_file(images, ARRAY_SIZE(images), k->version, &k->image) < 0)
		return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "kernel",
			    .value = k->version,
			    .why = "neither /boot nor /lib/modules has its image",
			    .remedy = "install the kernel, or name its image with --image; "
				      "'ls /lib/modules' lists the installed releases");
	if (!k->initrd &&
	    kernel_find_file(initrds, ARRAY_SIZE(initrds), k->version, &k->initrd) < 0)
		return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "kernel",
			    .value = k->version,
			    .why = "neither /boot nor /usr/lib/modules has its initrd",
			    .remedy = fmt("'update-initramfs -c -k %s', or name the initrd with "
					  "--initrd", k->version));
	return initrd_check_format(k->initrd, err);
}

const char *kernel_release(void)
{
	static struct utsname uts;

	return uname(&uts) == 0 ? uts.release : "unknown";
}
