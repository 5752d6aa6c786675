/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long a guest stands still for a handover, and in which phase: from when
 * save makes QEMU stop it, or asks it to suspend, until QEMU lets it run after
 * restore or abort, or it woke. Phases, in their order; one that has no mark is
 * part of the next that has:
 *
 *	suspend	the guest falls asleep; only with devices
 *	write	QEMU stops the guest and writes its state
 *	check	the state file: sync, digest, validate
 *	prove	the QEMU that will load it is asked, and has loaded it on trial
 *	commit	it gets its name, and all that the manifest is to say is known
 *	wait	until its seal begins: manifest and module are told, other VMs saved
 *	seal	QEMU quits
 *	jump	until restore takes the VM up: the module's seal, kexec, boot, other VMs
 *	ready	checks before QEMU is started: digests, disks, devices
 *	start	QEMU is up
 *	load	it has loaded the state
 *	verify	the devices reach what they reached
 *	resume	the guest runs
 *
 * Time within one kernel is CLOCK_BOOTTIME. From one kernel to the next it is the
 * TSC or, where the CPU does not promise that it is steady, the wall clock. A
 * clock that contradicts the rest tells nothing: the time is unknown then.
 *
 * Kept as "pause" in the manifest. Of no use to a restore, so a damaged one is
 * never a reason against it. While the guest stands still:
 *
 *	marks	[{"phase", "boot", "up_us", "wall_us"[, "tsc"]}], see instant.h;
 *		the first is "begin"
 *	kernel	release that ran
 *	tsc_hz	rate of the TSC, measured under that; tsc_hz_after: under the next
 *	aborted	true: the save was undone
 *
 * and then, as in the results of commands and in report.json:
 *
 *	clock	"boottime", if the kernel did not change, "tsc", "realtime", "unknown"
 *	why	with "unknown": the reason
 *	total_ms	null with "unknown"
 *	phases	[{"name", "ms"}]; null for the one that is unknown
 *	begin	seconds since the epoch
 *	from, to	releases of the kernels
 *	aborted	as above; absent without
 *
 * report.json is a file in the VM's directory, {"version", "pauses": [...]}: the
 * last PAUSES_KEPT, the newest last. It may be damaged or absent.
 */
#ifndef CPR_PAUSE_H
#define CPR_PAUSE_H

#include "vm/vm.h"

#define REPORT_FILE "report.json"
#define REPORT_VERSION 1
#define PAUSES_KEPT 16

/*
 * None of these fails, and all but pause_begin() do nothing if no pause has begun.
 * The manifest is changed, not written.
 */

/* The guest stands still from now on. What is known of another pause goes. */
void pause_begin(struct vm *vm);

/* The phase of this name has just ended. */
void pause_mark(struct vm *vm, const char *phase);

/* What follows undoes the save. */
void pause_abort(struct vm *vm);

/* Write the manifest for its marks, which another process will need. */
void pause_write(struct vm *vm);

/* The end of "jump". What an earlier try to restore has marked goes. */
void pause_mark_jump(struct vm *vm);

/* The guest runs: sum up, and append to report.json. */
void pause_end(struct vm *vm);

/* The pause of a manifest, or what is known of it so far; NULL if none is. The
 * caller owns it.
 */
struct json_object *pause_json(struct json_object *manifest);

/* "3.1 s", "3.1 s by the wall clock" or "an unknown time: reason". */
const char *pause_text(struct json_object *pause);

/* The same with each phase, for out_fields(). */
const char *pause_phases_text(struct json_object *pause);

#endif
