// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/paths.h"
#include "qemu/refuse.h"

#define NOT_RAM "leave it out and give the size with --ram or -m: cpr-helper adds the memory"
#define ANONYMOUS "this memory is anonymous and is lost at the kexec"
#define CONFIDENTIAL "a confidential guest cannot be handed over"
#define PLUGGED "memory that is plugged later is not handed over"
#define READONLY "read-only memory is not supported"
#define UNPROVEN "it changes how QEMU writes the guest's state, which could then not be proven whole"

int refuse_with(struct err *err, const struct qemuopt *opt, const char *why, const char *remedy)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU option",
		    .value = fmt("-%s%s%s", opt->name, opt->value ? " " : "",
				 opt->value ? opt->value : ""),
		    .why = why, .remedy = remedy);
}

int refuse_mem_path(const struct qemuopt *opt, const char *dir, struct err *err)
{
	return !dir ? 0 : refuse_with(err, opt, "cpr-helper chooses the file that holds the RAM",
				      "leave it out and give the size with --ram or -m");
}

static int refuse_backend_file(const struct qemuopt *opt, const char *dir, struct err *err)
{
	static const char *const reserved[] = {
		"manifest.json", "manifest.json.new", "qemu.log", "state", "state.part",
		"report.json", "report.json.new",
	};
	const char *path = keyval(opt->kv, "mem-path"), *offset = keyval(opt->kv, "offset");
	size_t len = strlen(dir);

	if (!path || strncmp(path, dir, len) != 0 || path[len] != '/')
		return refuse_with(err, opt, fmt("this memory is outside %s and is lost at the kexec",
						 dir), NOT_RAM);
	if (!path[len + 1] || path[len + 1] == '.' || strchr(path + len + 1, '/'))
		return refuse_with(err, opt, fmt("the file must lie directly in %s", dir),
				   fmt("use mem-path=%s/NAME", dir));
	if (str_in(reserved, path + len + 1))
		return refuse_with(err, opt, "cpr-helper uses this name for another file",
				   "choose another name");
	if (!keyval_on(opt->kv, "share"))
		return refuse_with(err, opt, "without share=on the guest's writes stay private to QEMU",
				   "add share=on");
	if (keyval_on(opt->kv, "discard-data"))
		return refuse_with(err, opt, "discard-data=on destroys the memory when QEMU exits",
				   "leave discard-data out");
	if (offset && !streq(offset, "0"))
		return refuse_with(err, opt, "an offset into the file is not supported",
				   "give each memory its own file");
	return 0;
}

/* The content is saved in the state file, and QEMU writes it back from there. */
static int refuse_copied_file(const struct qemuopt *opt, struct err *err)
{
	const char *path = keyval(opt->kv, "mem-path");

	if (!path || !startswith(path, CPRFS_ROOT "/"))
		return 0;
	return refuse_with(err, opt, "this memory is in the handover region, and copy mode would "
			   "copy it", "leave --ram-mode copy out");
}

int refuse_object(const struct qemuopt *opt, const char *dir, struct err *err)
{
	/* By the start of their type; copy mode can copy some of them. */
	static const struct { const char *prefix; bool copied; const char *why, *remedy; } types[] = {
		{ "memory-backend-ram", true, ANONYMOUS, NOT_RAM },
		{ "memory-backend-memfd", true, ANONYMOUS, NOT_RAM },
		{ "memory-backend-shm", true, ANONYMOUS, NOT_RAM },
		{ "memory-backend-epc", false, "SGX memory cannot be handed over", "leave it out" },
		{ "sev-", false, CONFIDENTIAL, "leave it out" },
		{ "tdx-", false, CONFIDENTIAL, "leave it out" },
	};
	const char *type = keyval(opt->kv, "qom-type");
	int r;

	for (size_t i = 0; type && i < ARRAY_SIZE(types); i++)
		if (startswith(type, types[i].prefix))
			return types[i].copied && !dir ? 0 :
			       refuse_with(err, opt, types[i].why, types[i].remedy);
	if (!type || !startswith(type, "memory-backend"))
		return 0;
	if (!streq(type, "memory-backend-file"))
		return refuse_with(err, opt, "this kind of memory is not known to survive a kexec",
				   NOT_RAM);
	r = dir ? refuse_backend_file(opt, dir, err) : refuse_copied_file(opt, err);
	if (r == 0 && (keyval_on(opt->kv, "readonly") || keyval_on(opt->kv, "rom")))
		r = refuse_with(err, opt, READONLY, "leave it out");
	return r;
}

int refuse_device(const struct qemuopt *opt, const char *dir, struct err *err)
{
	const char *driver = keyval(opt->kv, "driver");

	if (!driver)
		return 0;
	if (startswith(driver, "vfio-") && !dir)
		return refuse_with(err, opt, "in copy mode the guest's memory is at other host addresses "
				   "after the kexec, and the device's DMA mappings could not be verified",
				   "leave it out, or have the RAM in the region");
	if (startswith(driver, "vfio-") && !streq(driver, "vfio-pci"))
		return refuse_with(err, opt, "of passed-through devices only PCI ones are handed over",
				   "leave it out, or use vfio-pci");
	if (startswith(driver, "virtio-mem"))
		return refuse_with(err, opt, PLUGGED, "give all memory at the start");
	return 0;
}

int refuse_machine(const struct qemuopt *opt, const char *dir, struct err *err)
{
	(void)dir;
	if (keyval(opt->kv, "confidential-guest-support") || keyval(opt->kv, "memory-encryption"))
		return refuse_with(err, opt, CONFIDENTIAL, "leave it out");
	if (keyval_on(opt->kv, "suppress-vmdesc"))
		return refuse_with(err, opt, UNPROVEN, "leave suppress-vmdesc out");
	json_object_object_foreach(opt->kv, key, value) {
		(void)value;
		if (streq(key, "memory") || startswith(key, "memory."))
			return refuse_with(err, opt, "the size of the RAM is read from -m and --ram",
					   "give it there");
	}
	return 0;
}

int refuse_m(const struct qemuopt *opt, const char *dir, struct err *err)
{
	(void)dir;
	if (keyval(opt->kv, "slots") || keyval(opt->kv, "maxmem"))
		return refuse_with(err, opt, PLUGGED, "leave slots and maxmem out");
	return 0;
}

int refuse_numa(const struct qemuopt *opt, const char *dir, struct err *err)
{
	(void)dir;
	if (keyval_is(opt->kv, "type", "node") && keyval(opt->kv, "mem"))
		return refuse_with(err, opt, "mem= excludes a memory backend",
				   "leave mem= out and give --ram SIZE,SIZE...");
	return 0;
}

int refuse_run_with(const struct qemuopt *opt, const char *dir, struct err *err)
{
	(void)dir;
	if (keyval(opt->kv, "user"))
		return refuse_with(err, opt, REFUSE_PRIVILEGES, REFUSE_PRIVILEGES_REMEDY);
	if (keyval(opt->kv, "chroot"))
		return refuse_with(err, opt, REFUSE_PRIVILEGES, "leave it out");
	if (keyval_on(opt->kv, "exit-with-parent"))
		return refuse_with(err, opt, "QEMU would exit together with cpr-helper",
				   "leave it out");
	return 0;
}

/* The properties of QEMU's migration are its format, and what cpr-helper sets itself. */
static bool refuse_sets_migration(struct json_object *kv)
{
	json_object_object_foreach(kv, key, value) {
		(void)value;
		if (startswith(key, "migration."))
			return true;
	}
	return keyval_is(kv, "driver", "migration");
}

/* A property of vfio-pci that says which device it is, also by the name of a parent type. */
static bool refuse_is_identity(const char *driver, size_t len, const char *property)
{
	static const char *const identities[] = { "host", "sysfsdev" };
	static const char *const parents[] = { "device", "pci-device" };
	_cleanup_free_ char *type = xstrndup(driver, len);

	return str_in(identities, property) && (startswith(type, "vfio-") || str_in(parents, type));
}

static bool refuse_sets_identity(struct json_object *kv)
{
	const char *driver = keyval(kv, "driver");

	json_object_object_foreach(kv, key, value) {
		const char *last = strrchr(key, '.');

		(void)value;
		if (last && refuse_is_identity(key, strcspn(key, "."), last + 1))
			return true;
	}
	return driver && refuse_is_identity(driver, strlen(driver), keyval(kv, "property"));
}

/* Which devices are passed through is read from -device alone. */
int refuse_set(const struct qemuopt *opt, const char *dir, struct err *err)
{
	(void)dir;
	if (refuse_sets_migration(opt->kv))
		return refuse_with(err, opt, UNPROVEN, "leave it out");
	if (refuse_sets_identity(opt->kv))
		return refuse_with(err, opt,
				   "it could replace a device that is passed through by another",
				   "name the device in its -device option");
	return 0;
}

static bool refuse_names_fd(const char *key, const char *value, void *arg)
{
	static const char *const keys[] = { "fd", "fds", "vhostfd", "vhostfds", "sock_fd" };

	(void)arg;
	return str_in(keys, key) || (streq(key, "type") && streq(value, "fd"));
}

static bool refuse_is_fd_path(const struct qemuopt *opt)
{
	static const char *const paths[] = { "/dev/fdset/", "/dev/fd/", "/proc/self/fd/" };

	for (size_t i = 0; opt->value && i < ARRAY_SIZE(paths); i++)
		if (opt->kind->arg != QEMUOPT_GUEST && strstr(opt->value, paths[i]))
			return true;
	return false;
}

/* Only the parent of the first QEMU could pass such a file on. */
static int refuse_fd(const struct qemuopt *opt, struct err *err)
{
	if (!refuse_is_fd_path(opt) && !keyval_any(opt->kv, refuse_names_fd, NULL))
		return 0;
	return refuse_with(err, opt, REFUSE_FD, "have QEMU open the file itself: leave the file "
			   "descriptor out, or give a path, ifname=, br= or host= instead");
}

int refuse_option(const struct qemuopt *opt, const char *dir, struct err *err)
{
	const struct qemuopt_kind *kind = opt->kind;
	int r = 0;

	if (kind->never.why)
		return refuse_with(err, opt, kind->never.why, kind->never.remedy);
	if (kind->arg == QEMUOPT_JSON && !opt->kv)
		return refuse_with(err, opt, "this is not valid JSON", "correct it");
	if (kind->run)
		r = kind->run(opt, dir, err);
	return r == 0 ? refuse_fd(opt, err) : r;
}

int refuse_options(const struct qemuopts *opts, const char *dir, struct err *err)
{
	int r = 0;

	qemuopts_for_each(opt, opts)
		if (r == 0)
			r = refuse_option(opt, dir, err);
	return r;
}
