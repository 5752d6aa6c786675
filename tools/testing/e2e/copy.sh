#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests whose RAM is outside of the region run on after an update that copied it.
#
# copy.sh SERIES - starts two guests, updates this kernel to SERIES, and restores them.
# `copied` is in copy mode and saved to L1's disk; `adopted` was started by hand, adopted,
# and saved into the region.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

series=$1
before=$lab_state/before
guests=(copied adopted)
socket=/run/hand.qmp

start_copied() {
	local argv
	guest_argv copied
	cpr-helper run copied --ram-mode copy -- "${argv[@]}" -m 128M
}

start_adopted() {
	local argv
	guest_argv adopted
	"${argv[@]}" -m 128M -daemonize -qmp "unix:$socket,server=on,wait=off" &&
		cpr-helper adopt adopted --qmp "$socket"
}

run_guests() {
	local name
	load_module region=1G!4G
	check "the region is formatted" cpr-helper format --label e2e
	for name in "${guests[@]}"; do
		check "$name starts" "start_$name"
		check "$name boots" guest_boots "$name" "start_$name"
	done
	check "the region has no guest memory" test "$(cat $mnt/*/ram* 2>/dev/null | wc -c)" = 0
}

leave_kernel() {
	check "copied is saved to the disk" cpr-helper save copied --to "$lab_state"
	check "its state is there, and not in the region" \
		test -s "$lab_state/copied.state" -a ! -e $mnt/copied/state
	check "adopted is saved into the region" cpr-helper save adopted
	record_guests "${guests[@]}" >"$before"
	say "kexec into $(kernel_version "$series")"
	next_phase
	cpr-helper update --kernel "$(kernel_version "$series")" >&2
	not_ok "kexec into $series"
}

restore_guests() {
	local name
	check "kexec into $series" test "$(uname -r)" = "$(kernel_version "$series")"
	load_module
	mount_cprfs
	check "both guests are restored" cpr-helper restore --all
	for name in "${guests[@]}"; do
		check "$name runs on with its memory" guest_continues "$name" "$before"
	done
	check "copied's state is removed from the disk" test ! -e "$lab_state/copied.state"
}

if [ "$(phase)" = 1 ]; then
	run_guests
	leave_kernel
else
	restore_guests
	end_guests "${guests[@]}"
fi
exit 0
