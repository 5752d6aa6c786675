// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/out.h"
#include "qemu/process.h"
#include "qemu/scope.h"

#define SCOPE_S 10
#define POLL_NS 2000000

#define SLICE "machine.slice"

/* For root alone; unlike the bus, it is there without D-Bus and to the end of a shutdown. */
#define SYSTEMD_ADDRESS "unix:path=/run/systemd/private"
#define UNIT_EXISTS "org.freedesktop.systemd1.UnitExists"

/* ---- where scopes are ---- */

static const char *scope_mount(void)
{
	static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++)
		if (statfs(mounts[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return mounts[i];
	return NULL;
}

/* The cgroup of PID 1, without the one that systemd makes for itself. Caller frees. */
static char *scope_base(void)
{
	char *base = process_cgroup(1);
	size_t len;

	if (!base)
		return NULL;
	cut_suffix(base, "init.scope");
	len = strlen(base);
	if (len && base[len - 1] == '/')
		base[len - 1] = '\0';
	return base;
}

static const char *scope_unit(const char *vm)
{
	return fmt("cpr-%s.scope", vm);
}

/* Files of the cgroup of a VM, by systemd or not; NULL without cgroups. Caller frees. */
static char *scope_path(const char *vm, bool by_systemd)
{
	const char *mount = scope_mount();
	_cleanup_free_ char *base = scope_base();

	if (!mount || !base)
		return NULL;
	return by_systemd ? xasprintf("%s%s/" SLICE "/%s", mount, base, scope_unit(vm)) :
	       xasprintf("%s%s/cpr-%s", mount, base, vm);
}

static int scope_write(const char *path, const char *file, const char *text)
{
	_cleanup_free_ char *name = xasprintf("%s/%s", path, file);
	_cleanup_close_ int fd = open(name, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_all(fd, text, strlen(text));
}

static void scope_pause(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
}

char *scope_of(const char *vm, pid_t pid)
{
	char *cgroup = process_cgroup(pid);
	const char *name = cgroup ? strrchr(cgroup, '/') : NULL;

	if (name && (streq(name + 1, scope_unit(vm)) || streq(name + 1, fmt("cpr-%s", vm))))
		return cgroup;
	free(cgroup);
	return NULL;
}

/* ---- the end ---- */

/* systemd removes the cgroups of its units itself. */
static void scope_remove(const char *path)
{
	scope_write(path, "cgroup.kill", "1");
	if (!strstr(path, "/" SLICE "/"))
		rmdir(path);
}

void scope_end(const char *scope)
{
	const char *mount = scope_mount();
	_cleanup_free_ char *path = scope && mount ? xasprintf("%s%s", mount, scope) : NULL;

	if (path)
		scope_remove(path);
}

void scope_clear(const char *vm)
{
	deadline_t deadline = deadline_in(SCOPE_S);

	for (int by_systemd = 0; by_systemd < 2; by_systemd++) {
		_cleanup_free_ char *path = scope_path(vm, by_systemd);

		while (path && access(path, F_OK) == 0 && deadline_left(deadline)) {
			scope_remove(path);
			scope_pause();
		}
	}
}

/* ---- the begin ---- */

static int scope_connect(sd_bus **bus)
{
	int r = sd_bus_new(bus);

	if (r >= 0)
		r = sd_bus_set_address(*bus, SYSTEMD_ADDRESS);
	return r < 0 ? r : sd_bus_start(*bus);
}

/* An earlier unit may still be there for a moment after its last process. */
static int scope_start_unit(sd_bus *bus, const char *vm, pid_t pid, sd_bus_error *error)
{
	deadline_t deadline = deadline_in(SCOPE_S);
	int r;

	for (;;) {
		sd_bus_error_free(error);
		r = sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
				       "org.freedesktop.systemd1.Manager", "StartTransientUnit",
				       error, NULL, "ssa(sv)a(sa(sv))", scope_unit(vm), "fail", 4,
				       "Description", "s", fmt("VM %s of cpr-helper", vm),
				       "Slice", "s", SLICE,
				       "CollectMode", "s", "inactive-or-failed",
				       "PIDs", "au", 1, (uint32_t)pid, 0);
		if (!sd_bus_error_has_name(error, UNIT_EXISTS) || !deadline_left(deadline))
			return r;
		scope_pause();
	}
}

/* systemd answers before it has moved the process. */
static int scope_await(const char *vm, pid_t pid)
{
	deadline_t deadline = deadline_in(SCOPE_S);

	for (;;) {
		_cleanup_free_ char *scope = scope_of(vm, pid);

		if (scope)
			return 0;
		if (!deadline_left(deadline))
			return -ETIMEDOUT;
		scope_pause();
	}
}

static int scope_by_systemd(const char *vm, pid_t pid)
{
	__attribute__((cleanup(sd_bus_flush_close_unrefp))) sd_bus *bus = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = scope_connect(&bus);

	if (r >= 0)
		r = scope_start_unit(bus, vm, pid, &error);
	if (r >= 0)
		r = scope_await(vm, pid);
	if (r < 0)
		note("VM '%s': systemd does not start %s for its QEMU: %s", vm, scope_unit(vm),
		     error.message ? error.message : strerror(-r));
	return r;
}

static int scope_by_cgroup(const char *vm, pid_t pid)
{
	_cleanup_free_ char *path = scope_path(vm, false);
	int r;

	if (!path)
		return -EOPNOTSUPP;
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	r = scope_write(path, "cgroup.procs", fmt("%d", (int)pid));
	if (r < 0)
		rmdir(path);
	return r;
}

void scope_begin(const char *vm, pid_t pid)
{
	int r;

	scope_clear(vm);
	if (sd_booted() > 0 && scope_by_systemd(vm, pid) >= 0)
		return;
	r = scope_by_cgroup(vm, pid);
	if (r < 0)
		detail("VM '%s': its QEMU has no cgroup of its own: %s", vm, strerror(-r));
}
