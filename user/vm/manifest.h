/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * manifest.json: everything that is needed to start a VM's QEMU again. It is in the VM's
 * directory, beside the memory files. Version 1:
 *
 *	version		1
 *	name		name of the VM
 *	created		seconds since the epoch
 *	user		{"name", "uid", "gid"}: whom its QEMU runs as, see account.h; absent:
 *			root
 *	binary		path of the QEMU binary that ran last
 *	qemu_version	version of that QEMU, as reported by query-version
 *	machine		resolved machine type ("pc-q35-10.0")
 *	cwd		working directory, for relative paths in argv
 *	argv		QEMU's arguments, without those that cpr-helper adds at each
 *			start (monitor, -S, -incoming)
 *	memory		[{"file", "id", "size"}]: the memory files; sizes in bytes
 *	ram_mode	"copy": QEMU allocates the RAM itself and writes it into the
 *			state file; "memory" is empty. Absent: RAM is in the memory
 *			files
 *	agent		path of the guest agent's socket; absent if there is no agent
 *	devices		[{"address", "driver", "group"}]: passed-through PCI devices.
 *			"driver" is the previous driver, absent if none was bound;
 *			"group" is the IOMMU group at that time. Absent if there are
 *			no devices
 *	disks		paths of the disk files that QEMU opened when it was started
 *			with argv; absent if unknown
 *	media		those of "disks" that are media of removable drives; absent in older
 *			manifests
 *	unchecked	disks that are no local files, as in saved.disks; absent in older
 *			manifests
 *	drives		the guest's drives at the last save, see drives.h; absent before the
 *			first save
 *	inventory	the devices and CPUs that QEMU had when it was started, see
 *			inventory.h; absent in older manifests
 *	runstate	run state of the guest before the last save ("running",
 *			"paused"); absent before the first save
 *	suspended	true: the last save suspended the guest
 *	cpu		the CPU that the guest saw at the last save, see guestcpu.h; absent
 *			before the first save
 *	process		what QEMU's process had beside its arguments, at its start or at
 *			the last save, see attributes.h; absent in older manifests
 *	needs		what the guest needed of its host at the last save, see needs.h; absent
 *			before the first save
 *	saving		{"digest_ram", "seconds", "disks"}, as in "saved": a save is
 *			under way or was interrupted; absent otherwise
 *	previous	{"capabilities": [...], "parameters": {...}}: migration
 *			settings of QEMU that the save has changed and abort resets;
 *			absent if there are none
 *	asked		the same, of a QEMU that is asked what forbids a save, or was when
 *			cpr-helper was killed; absent otherwise
 *	verified	{"time", "kernel", "extents", "bytes", "differences"}: result
 *			of the last check of the devices' mappings; absent before the
 *			first check
 *	pause		how long the guest was stopped by the last handover, or has
 *			been so far: see pause.h; absent before the first save
 *	target		in copy mode, from before QEMU writes the state until the
 *			state is removed:
 *	  file			absolute path of the state file, with the suffix
 *				".part" while QEMU writes it; or
 *	  uri, restore_uri	"exec:COMMAND" that QEMU writes the state to, and
 *				reads it from
 *			absent: the state file is in the VM's directory
 *	saved		absent if there is no saved state:
 *	  file, size, digest	the state file, its size in bytes, its digest; absent
 *				if the target has "uri"
 *	  time			seconds since the epoch
 *	  kernel		release of the running kernel
 *	  runstate		run state of the guest before the save ("running",
 *				"paused", ...)
 *	  suspended		true: the save suspended the guest; the command that
 *				resumes the guest also wakes it
 *	  digest_ram		true: the seal computes a digest of the memory files,
 *				which the module keeps
 *	  disks			[{"name", "path", "kind", "size", ...}]: the guest's
 *				local disks, with an entry for each file of a disk.
 *				Files have "inode" and "mtime" (ns); devices have
 *				"identity" if they have one; both have "head", the
 *				digest of the first 64 KiB. "firmware" is true for a
 *				read-only image that QEMU has in memory. Other disks are {"name",
 *				"unchecked": driver}. Absent in older manifests
 *	  qemu			{"binary", "version"}: the QEMU that was checked to
 *				fit, which restore starts; absent: "binary" above
 *	  rehearsed		true: that QEMU has loaded the state in a rehearsal;
 *				absent otherwise
 *	  rehearsal		{"ms", "memory_bytes"}: cost of the rehearsal; only
 *				with "rehearsed"
 *	  rehearsal_note	why there was no rehearsal
 *	  mode			"copy": the state contains all RAM
 *	  seconds		expected duration of the save
 */
#ifndef CPR_MANIFEST_H
#define CPR_MANIFEST_H

#include "base/error.h"
#include "base/ram_file.h"

#define MANIFEST_VERSION 1
#define MANIFEST_FILE "manifest.json"
#define TARGET_EXEC "exec:"

#define RAM_MODE_COPY "copy"

/**
 * manifest_read - read and check the manifest
 * @dir: path of the VM's directory
 * @out: the manifest, owned by the caller; NULL on failure
 *
 * It says what root executes: nobody else may be able to change it.
 *
 * Returns: 0; -ENOENT if there is none; -EPERM if another user can change it, with exit status
 * 4; -EINVAL if it is damaged or of another version; or another negative errno.
 */
int manifest_read(const char *dir, struct json_object **out, struct err *err);

/* Replace the manifest atomically and durably. Returns: 0 or -errno. */
int manifest_write(const char *dir, struct json_object *manifest, struct err *err);

/* The same for another JSON file, @file in @dir. */
int manifest_write_json(const char *dir, const char *file, struct json_object *obj,
			struct err *err);

/*
 * Check that all members that a restore needs are present and of the right type. Returns:
 * 0 or -EINVAL.
 */
int manifest_check(struct json_object *manifest, struct err *err);

/* Append QEMU's arguments to @argv. */
void manifest_argv(struct json_object *manifest, struct strv *argv);

/* The socket of the guest agent, by an absolute path; NULL if there is none. Caller frees. */
char *manifest_agent(struct json_object *manifest);

/* Append the names of the memory files to @files. */
void manifest_files(struct json_object *manifest, struct strv *files);

/* Whether the VM is in copy mode. */
bool manifest_copied(struct json_object *manifest);

/* Append the PCI addresses of the passed-through devices to @addresses. */
void manifest_devices(struct json_object *manifest, struct strv *addresses);

/*
 * Whether the guest was suspended when its state was written, and whether the save had
 * suspended it. @record is the manifest, or "saved" of the manifest.
 */
bool manifest_asleep(struct json_object *record);
bool manifest_suspended(struct json_object *record);

/* JSON arrays of strings, and of memory files as in "memory". The caller owns them. */
struct json_object *manifest_strings(const struct strv *sv);
struct json_object *manifest_memory(const struct ram_file *files, size_t n);

#endif
