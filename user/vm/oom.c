// SPDX-License-Identifier: GPL-2.0-only
#include "vm/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/out.h"
#include "base/util.h"
#include "vm/manifest.h"

int oom_score_without(int score, uint64_t bytes, uint64_t total)
{
	/* Thousandths, rounded up: what still counts is QEMU's own memory, or less. */
	int part = bytes >= total ? -OOM_SCORE_MIN : (int)(bytes * 1000.0 / total) + 1;

	return score - part > OOM_SCORE_MIN ? score - part : OOM_SCORE_MIN;
}

static uint64_t oom_region_ram(struct json_object *manifest)
{
	struct json_object *memory = json_object_object_get(manifest, "memory");
	uint64_t bytes = 0;

	for (size_t i = 0; memory && i < json_object_array_length(memory); i++)
		bytes += jint(json_object_array_get_idx(memory, i), "size", 0);
	return bytes;
}

static uint64_t oom_host_memory(void)
{
	struct sysinfo info;

	return sysinfo(&info) < 0 ? 0 : ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
}

static int oom_change(const char *path, uint64_t bytes, uint64_t total)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	char text[16] = "";

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -errno;
	snprintf(text, sizeof(text), "%d", oom_score_without(atoi(text), bytes, total));
	return pwrite(fd, text, strlen(text), 0) < 0 ? -errno : 0;
}

void oom_spare(const struct vm *vm)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/oom_score_adj", vm->qemu.pid);
	uint64_t bytes = oom_region_ram(vm->manifest), total = oom_host_memory();
	int r = bytes && total ? oom_change(path, bytes, total) : 0;

	if (r < 0)
		detail("VM '%s': its RAM in the region counts for the OOM killer: %s: %s", vm->name,
		       path, strerror(-r));
}
