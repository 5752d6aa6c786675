/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long a guest stands still for a handover, and in which phase: from when save makes
 * QEMU stop the guest, or asks the guest to suspend, until restore or abort has resumed or
 * woken it. The phases, in their order; a phase without a mark is counted in the next one
 * that has a mark:
 *
 *	suspend	the guest suspends; only with devices
 *	others	the guests of other VMs suspend, or are copied; only with devices
 *	write	QEMU stops the guest and writes its state
 *	check	the state file is synced, digested and validated
 *	prove	the QEMU that will load the state, and was started before, rehearses the load
 *	commit	the state file gets its name, and the manifest its contents
 *	wait	until the seal begins: manifest and module are updated, other VMs are saved
 *	seal	QEMU quits
 *	jump	until restore begins with this VM: the module's seal, kexec, boot, other VMs
 *	ready	checks before QEMU starts: digests, disks, devices
 *	start	QEMU starts
 *	load	QEMU loads the state
 *	verify	the devices' mappings are compared with the snapshot
 *	resume	the guest is resumed
 *
 * Within one kernel the clock is CLOCK_BOOTTIME. Between two kernels it is the TSC or, if
 * the CPU does not promise a steady TSC, the wall clock. If a clock contradicts the others
 * the time is unknown.
 *
 * The record is "pause" in the manifest. Restore does not need it, so a damaged record is no
 * error. While the guest stands still:
 *
 *	marks	[{"phase", "boot", "up_us", "wall_us"[, "tsc"]}], see instant.h; the first
 *		one is "begin"
 *	kernel	release of the kernel
 *	tsc_hz	rate of the TSC under that kernel; tsc_hz_after: under the next one
 *	aborted	true: the save was rolled back
 *
 * Afterwards, and in the results of commands and in report.json:
 *
 *	clock	"boottime", if the kernel did not change, "tsc", "realtime", "unknown"
 *	why	with "unknown": the reason
 *	total_ms	null with "unknown"
 *	phases	[{"name", "ms"}]; "ms" is null if unknown
 *	begin	seconds since the epoch
 *	from, to	releases of the kernels
 *	aborted	as above; absent if false
 *
 * report.json is a file in the VM's directory, {"version", "pauses": [...]}: the last
 * PAUSES_KEPT pauses, the newest last. It may be damaged or absent.
 */
#ifndef CPR_PAUSE_H
#define CPR_PAUSE_H

#include "vm/vm.h"

#define REPORT_FILE "report.json"
#define REPORT_VERSION 1
#define PAUSES_KEPT 16

/*
 * None of these functions fails. All but pause_begin() do nothing while no pause is open. They
 * change the manifest in memory; only pause_write() writes it.
 */

/* Open a pause: the guest stands still from now on. Removes the record of an earlier pause. */
void pause_begin(struct vm *vm);

/* Remove the record of an earlier pause: the guest runs, and a pause may be opened. */
void pause_forget(struct vm *vm);

/* Mark the end of a phase. */
void pause_mark(struct vm *vm, const char *phase);

/* Mark the end of "jump". Removes the marks of an earlier restore that failed. */
void pause_mark_jump(struct vm *vm);

/* Record that the save is rolled back from now on. */
void pause_abort(struct vm *vm);

/* Write the manifest with the marks, for another process. */
void pause_write(struct vm *vm);

/* Close the pause, because the guest runs: sum up, and append to report.json. */
void pause_end(struct vm *vm);

/*
 * The pause in a manifest, summed up; also while it is open. NULL if there is none. The
 * caller owns the object.
 */
struct json_object *pause_json(struct json_object *manifest);

/* Milliseconds since a pause was opened under this kernel; 0 if none is open. */
int64_t pause_so_far(struct vm *vm);

/* The pauses in report.json, oldest first: an array that the caller owns. */
struct json_object *pause_reports(const char *dir);

/* Whether a pause that is over was that of a kexec. */
bool pause_crossed_kernels(struct json_object *pause);

/* "3.1 s", without more. Static buffer, as fmt(). */
const char *pause_duration(int64_t ms);

/* "3.1 s", "3.1 s by the wall clock" or "an unknown time: reason". Static buffer, as fmt(). */
const char *pause_text(struct json_object *pause);

/* The same with each phase, for out_fields(). */
const char *pause_phases_text(struct json_object *pause);

#endif
