/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * manifest.json: all that is needed to start a VM's QEMU again, kept beside its
 * memory. Version 1:
 *
 *	version		1
 *	name		of the VM
 *	created		seconds since the epoch
 *	binary		path of the QEMU that ran last
 *	qemu_version	of the QEMU that ran last, as query-version tells it
 *	machine		resolved machine type ("pc-q35-10.0")
 *	cwd		working directory, for relative paths in argv
 *	argv		QEMU's arguments; without those that cpr-helper adds to
 *			each start (monitor, -S, -incoming)
 *	memory		[{"file", "id", "size"}], bytes
 *	ram_mode	"copy": its RAM is QEMU's own and goes with the state into one
 *			file; "memory" is empty. Absent: it is in the memory files
 *	agent		socket of the guest agent's channel; absent without
 *	devices		[{"address", "driver", "group"}]: PCI devices that are
 *			passed through; the driver that had each before, absent
 *			without, and its IOMMU group then; absent without devices
 *	disks		paths of the files behind its disks when QEMU was started,
 *			which are those that its arguments lead to; absent if unknown
 *	runstate	of the guest before the last save ("running", "paused");
 *			absent before the first
 *	suspended	true: that save has put the guest to sleep
 *	saving		{"digest_ram", "seconds", "disks"}, as in saved: a save is under way, or was cut
 *			short; absent otherwise
 *	previous	{"capabilities": [...], "parameters": {...}}: what that save
 *			changed in QEMU, and abort puts back; absent without one
 *	verified	{"time", "kernel", "extents", "bytes", "differences"}: what
 *			the last check of the devices' mappings found; absent
 *			before the first
 *	pause		how long the guest stood still for the last handover, or does
 *			so far: see pause.h; absent before the first save
 *	target		in copy mode, from before QEMU writes until the state is gone:
 *	  file			absolute path of the state, ".part" behind it while it
 *				is written; or
 *	  uri, restore_uri	"exec:COMMAND" that QEMU writes it to and reads it from
 *			absent: it is in the VM's directory
 *	saved		absent unless there is a saved state:
 *	  file, size, digest	of the state; bytes; absent with a target's uri
 *	  time			seconds since the epoch
 *	  kernel		release that ran
 *	  runstate		of the guest before ("running", "paused", ...)
 *	  suspended		true: save has put it to sleep, and who lets it run
 *				on wakes it
 *	  digest_ram		true: the seal takes a digest of the memory files,
 *				which the module keeps
 *	  disks			[{"name", "path", "kind", "size", ...}]: what the guest's
 *				local disks were, each file of each: for a file "inode",
 *				"mtime" (ns), for a device its "identity", absent without;
 *				"head", digest of the first 64 KiB; others {"name",
 *				"unchecked": driver}. Absent in older manifests
 *	  qemu			{"binary", "version"}: the QEMU that was found to fit,
 *				which restore starts; absent: "binary" above
 *	  rehearsed		true: it has loaded the state; absent without
 *	  rehearsal		then {"ms", "memory_bytes"}: what that cost
 *	  rehearsal_note	why it has not
 *	  mode			"copy": all RAM is in it
 *	  seconds		that it was expected to take
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
 * manifest_read - read and check
 * @dir: the VM's directory
 * @out: owned by the caller
 *
 * Returns: 0; -ENOENT; -EINVAL if it is damaged or of another version.
 */
int manifest_read(const char *dir, struct json_object **out, struct err *err);

/* Replace it atomically and durably. */
int manifest_write(const char *dir, struct json_object *manifest, struct err *err);

/* The same for another file, @file in @dir. */
int json_replace(const char *dir, const char *file, struct json_object *obj, struct err *err);

/* Whether all members that a restore needs are there, and of the right type. */
int manifest_check(struct json_object *manifest, struct err *err);

/* QEMU's arguments. */
void manifest_argv(struct json_object *manifest, struct strv *argv);

/* Names of the memory files. */
void manifest_files(struct json_object *manifest, struct strv *files);

/* Whether it is in copy mode. */
bool manifest_copied(struct json_object *manifest);

/* PCI addresses of the devices. */
void manifest_devices(struct json_object *manifest, struct strv *addresses);

/*
 * Of the manifest, or of "saved" in it: whether the guest slept when its state
 * was written, and whether it was save that put it to sleep.
 */
bool manifest_asleep(struct json_object *record);
bool manifest_suspended(struct json_object *record);

struct json_object *manifest_strings(const struct strv *sv);
struct json_object *manifest_memory(const struct ram_file *files, size_t n);

#endif
