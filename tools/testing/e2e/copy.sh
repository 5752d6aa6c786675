#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# copy.sh SERIES - guests whose RAM is not in the region run on after their host has
# gone from this kernel to SERIES: one that was saved to a disk, and one that was
# started by hand, adopted, and saved into the region.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/guest.sh"

series=$1
before=$lab_state/before
guests=(copied adopted)
socket=/run/hand.qmp

guest_argv() { # NAME
	# shellcheck disable=SC2054 # these commas are QEMU's
	argv=(-M q35,accel=kvm -cpu host -nodefaults -display none -no-reboot -m 128M
		-kernel /lab/guest/vmlinuz -initrd /lab/guest/initrd
		-append "console=ttyS0 quiet panic=-1 no_console_suspend blob=16M"
		-chardev "file,id=ser,path=$(guest_console "$1"),append=on" -serial chardev:ser)
}

start_copied() {
	guest_argv copied
	cpr-helper run copied --ram-mode copy -- qemu-system-x86_64 "${argv[@]}"
}

start_adopted() {
	guest_argv adopted
	qemu-system-x86_64 "${argv[@]}" -daemonize -qmp "unix:$socket,server=on,wait=off" &&
		cpr-helper adopt adopted --qmp "$socket"
}

run_guests() {
	local name
	load_module region=1G!4G
	check "the region is formatted" cpr-helper format --label e2e
	for name in "${guests[@]}"; do
		check "$name starts" "start_$name"
		check "$name runs" boots "$name" "start_$name"
	done
	check "none of its memory is in the region" test "$(cat $mnt/*/ram* 2>/dev/null | wc -c)" = 0
}

# The one place where this kernel is left.
jump() { cpr-helper update --kernel "$(kernel_of "$series")"; }

leave() {
	check "one is saved to the disk" cpr-helper save copied --to "$lab_state"
	check "where it is" test -s "$lab_state/copied.state" -a ! -e $mnt/copied/state
	check "the other into the region" cpr-helper save adopted
	remember "${guests[@]}" >"$before"
	say "kexec into $(kernel_of "$series")"
	next_phase
	jump >&2
	not_ok "kexec goes to $series"
}

arrive() {
	local name
	check "kexec goes to $series" test "$(uname -r)" = "$(kernel_of "$series")"
	load_module
	mkdir -p $mnt
	mount -t cprfs cprfs $mnt
	check "both are restored" cpr-helper restore --all
	for name in "${guests[@]}"; do
		check "$name runs on" goes_on "$name" "$before"
	done
	check "the file is gone from the disk" test ! -e "$lab_state/copied.state"
}

if [ "$(phase)" = 1 ]; then
	run_guests
	leave
else
	arrive
	leave_nothing "${guests[@]}"
fi
exit 0
