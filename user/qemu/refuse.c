// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/paths.h"
#include "qemu/refuse.h"

int refuse_with(struct err *err, const struct qemuopt *opt, const char *why, const char *remedy)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU option",
		    .value = fmt("-%s%s%s", opt->name, opt->value ? " " : "",
				 opt->value ? opt->value : ""),
		    .why = why, .remedy = remedy);
}

/* Refused whatever the argument. */
static const struct { const char *name, *why, *remedy; } never[] = {
	{ "incoming", "the guest is started, not received",
	  "leave it out; 'cpr-helper restore' adds it when it is needed" },
	{ "daemonize", "cpr-helper watches QEMU start and detaches itself", "leave it out" },
	{ "readconfig", "its file may hold options that cannot be checked",
	  "give its options on the command line" },
	{ "mem-path", "cpr-helper chooses the file that holds the RAM",
	  "leave it out and give the size with --ram or -m" },
	{ "preconfig", "QEMU would wait for an x-exit-preconfig that nobody sends", "leave it out" },
	{ "loadvm", "it would load the snapshot again after each restore",
	  "leave it out and load the snapshot through the monitor" },
	{ "add-fd", "the file descriptor does not exist after a kexec",
	  "name the file by its path instead" },
	{ "runas", "QEMU could then not write its state to the VM's directory", "leave it out" },
	{ "chroot", "QEMU could then not write its state to the VM's directory", "leave it out" },
	{ "dump-vmstate", "QEMU would exit at once", "call QEMU directly" },
};

#define NOT_RAM "leave it out and give the size with --ram or -m: cpr-helper adds the memory"

/* Kinds of -object by the start of their name. */
static const struct { const char *prefix, *why, *remedy; } objects[] = {
	{ "memory-backend-ram", "this memory is anonymous and is lost at the kexec", NOT_RAM },
	{ "memory-backend-memfd", "this memory is anonymous and is lost at the kexec", NOT_RAM },
	{ "memory-backend-shm", "this memory is anonymous and is lost at the kexec", NOT_RAM },
	{ "memory-backend-epc", "SGX memory cannot be handed over", "leave it out" },
	{ "sev-", "a confidential guest cannot be handed over", "leave it out" },
	{ "tdx-", "a confidential guest cannot be handed over", "leave it out" },
};

/* Refused only because the RAM has to stay where it is. */
static const char *const for_place[] = {
	"mem-path", "memory-backend-ram", "memory-backend-memfd", "memory-backend-shm",
};

/* Whether copy mode can do with it. */
static bool copied(const char *dir, const char *what)
{
	for (size_t i = 0; !dir && i < ARRAY_SIZE(for_place); i++)
		if (streq(for_place[i], what))
			return true;
	return false;
}

/* Files of the VM's directory that have another use. */
static const char *const reserved[] = {
	"manifest.json", "manifest.json.new", "qemu.log", "state", "state.part",
	"report.json", "report.json.new",
};

static bool is_reserved(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (streq(name, reserved[i]))
			return true;
	return false;
}

static int check_backend_file(const struct qemuopt *opt, struct json_object *kv, const char *dir,
			      struct err *err)
{
	const char *path = keyval(kv, "mem-path");
	size_t len = strlen(dir);

	if (!path || strncmp(path, dir, len) != 0 || path[len] != '/')
		return refuse_with(err, opt, fmt("this memory is outside %s and is lost at the kexec",
						 dir), NOT_RAM);
	if (!path[len + 1] || path[len + 1] == '.' || strchr(path + len + 1, '/'))
		return refuse_with(err, opt, fmt("the file must lie directly in %s", dir),
				   fmt("use mem-path=%s/NAME", dir));
	if (is_reserved(path + len + 1))
		return refuse_with(err, opt, "cpr-helper uses this name for another file",
				   "choose another name");
	if (!keyval_on(kv, "share"))
		return refuse_with(err, opt, "without share=on the guest's writes stay private to QEMU",
				   "add share=on");
	if (keyval_on(kv, "discard-data"))
		return refuse_with(err, opt, "discard-data=on destroys the memory when QEMU exits",
				   "leave discard-data out");
	if (keyval(kv, "offset") && !streq(keyval(kv, "offset"), "0"))
		return refuse_with(err, opt, "an offset into the file is not supported",
				   "give each memory its own file");
	if (keyval_on(kv, "readonly") || keyval_on(kv, "rom"))
		return refuse_with(err, opt, "read-only memory is not supported", "leave it out");
	return 0;
}

/* Its content is in the state file, and QEMU writes it back from there. */
static int check_copied_file(const struct qemuopt *opt, struct json_object *kv, struct err *err)
{
	const char *path = keyval(kv, "mem-path");

	if (path && startswith(path, CPRFS_ROOT "/"))
		return refuse_with(err, opt, "this memory is in the handover region, and copy mode "
				   "would copy it", "leave --ram-mode copy out");
	if (keyval_on(kv, "readonly") || keyval_on(kv, "rom"))
		return refuse_with(err, opt, "read-only memory is not supported", "leave it out");
	return 0;
}

static int check_object(const struct qemuopt *opt, struct json_object *kv, const char *dir,
			struct err *err)
{
	const char *type = keyval(kv, "qom-type");

	for (size_t i = 0; type && i < ARRAY_SIZE(objects); i++)
		if (startswith(type, objects[i].prefix))
			return copied(dir, objects[i].prefix) ? 0 :
			       refuse_with(err, opt, objects[i].why, objects[i].remedy);
	if (type && streq(type, "memory-backend-file"))
		return dir ? check_backend_file(opt, kv, dir, err) : check_copied_file(opt, kv, err);
	if (type && startswith(type, "memory-backend"))
		return refuse_with(err, opt, "this kind of memory is not known to survive a kexec",
				   NOT_RAM);
	return 0;
}

static int check_device(const struct qemuopt *opt, struct json_object *kv, const char *dir,
			struct err *err)
{
	const char *driver = keyval(kv, "driver");

	if (driver && startswith(driver, "vfio-") && !dir)
		return refuse_with(err, opt, "in copy mode the guest's memory lies elsewhere "
				   "afterwards, and what a device may reach could not be compared",
				   "leave it out, or have the RAM in the region");
	if (driver && startswith(driver, "vfio-") && !streq(driver, "vfio-pci"))
		return refuse_with(err, opt, "of passed-through devices only PCI ones are handed over",
				   "leave it out, or use vfio-pci");
	if (driver && startswith(driver, "virtio-mem"))
		return refuse_with(err, opt, "memory that is plugged later is not handed over",
				   "give all memory at the start");
	return 0;
}

static int check_machine(const struct qemuopt *opt, struct json_object *kv, const char *dir,
			 struct err *err)
{
	(void)dir;
	if (keyval(kv, "confidential-guest-support") || keyval(kv, "memory-encryption"))
		return refuse_with(err, opt, "a confidential guest cannot be handed over",
				   "leave it out");
	json_object_object_foreach(kv, key, value) {
		(void)value;
		if (streq(key, "memory") || startswith(key, "memory."))
			return refuse_with(err, opt, "the size of the RAM is read from -m and --ram",
					   "give it there");
	}
	return 0;
}

static int check_m(const struct qemuopt *opt, struct json_object *kv, const char *dir,
		   struct err *err)
{
	(void)dir;
	if (keyval(kv, "slots") || keyval(kv, "maxmem"))
		return refuse_with(err, opt, "memory that is plugged later is not handed over",
				   "leave slots and maxmem out");
	return 0;
}

static int check_numa(const struct qemuopt *opt, struct json_object *kv, const char *dir,
		      struct err *err)
{
	const char *type = keyval(kv, "type");

	(void)dir;
	if (type && streq(type, "node") && keyval(kv, "mem"))
		return refuse_with(err, opt, "mem= excludes a memory backend",
				   "leave mem= out and give --ram SIZE,SIZE...");
	return 0;
}

static int check_run_with(const struct qemuopt *opt, struct json_object *kv, const char *dir,
			  struct err *err)
{
	(void)dir;
	if (keyval(kv, "chroot") || keyval(kv, "user"))
		return refuse_with(err, opt,
				   "QEMU could then not write its state to the VM's directory",
				   "leave it out");
	if (keyval_on(kv, "exit-with-parent"))
		return refuse_with(err, opt, "QEMU would end together with cpr-helper",
				   "leave it out");
	return 0;
}

/* Which devices are passed through is read from -device alone. */
static const char *const identities[] = { ".host", ".sysfsdev", ".fd" };

static bool is_identity(const char *key)
{
	const char *dot = strrchr(key, '.');

	for (size_t i = 0; dot && i < ARRAY_SIZE(identities); i++)
		if (streq(dot, identities[i]))
			return startswith(key, "device.") || startswith(key, "vfio-pci.");
	return false;
}

static int check_set(const struct qemuopt *opt, struct json_object *kv, const char *dir,
		     struct err *err)
{
	(void)dir;
	json_object_object_foreach(kv, key, value) {
		(void)value;
		if (is_identity(key))
			return refuse_with(err, opt, "it could exchange a device that is passed through",
					   "name the device in its -device option");
	}
	return 0;
}

static const struct {
	const char *name;
	const char *implied;
	int (*check)(const struct qemuopt *opt, struct json_object *kv, const char *dir,
		     struct err *err);
} checks[] = {
	{ "object", "qom-type", check_object },
	{ "device", "driver", check_device },
	{ "machine", "type", check_machine },
	{ "M", "type", check_machine },
	{ "m", "size", check_m },
	{ "numa", "type", check_numa },
	{ "run-with", NULL, check_run_with },
	{ "set", NULL, check_set },
	{ "global", NULL, check_set },
};

int refuse_option(const struct qemuopt *opt, const char *dir, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (streq(opt->name, never[i].name) && !copied(dir, never[i].name))
			return refuse_with(err, opt, never[i].why, never[i].remedy);
	for (size_t i = 0; opt->value && i < ARRAY_SIZE(checks); i++) {
		_cleanup_json_ struct json_object *kv = NULL;
		int r;

		if (!streq(opt->name, checks[i].name))
			continue;
		kv = keyval_parse(opt->value, checks[i].implied);
		if (!kv)
			return refuse_with(err, opt, "this is not valid JSON", "correct it");
		r = checks[i].check(opt, kv, dir, err);
		if (r < 0)
			return r;
	}
	return 0;
}
