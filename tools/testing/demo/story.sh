#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# story.sh SERIES - the part of the demo in L1: starts a guest, saves it, updates the
# kernel to SERIES, and restores the guest. demo.sh prints the times. A line "@NAME" marks
# a point in time.
set -u

# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. /lab/e2e/lib.sh

target=$(kernel_version "$1")
kept=$lab_state/story

tell() { printf '%s\n' "$*"; }
mark() { echo "@$1"; }

# quoted WORD... - the words as an interactive shell would need them
quoted() {
	local word
	for word; do
		[[ $word =~ ^[A-Za-z0-9_./:,=@%+-]+$ ]] || word=${word@Q}
		printf '%s ' "$word"
	done | sed 's/ $//'
}

# run WORD... - a command as the operator types it, and what it prints
run() {
	local output status
	quoted "$@" | fold -s -w 76 | sed 's/ $//; 1s/^/  # /; 2,$s/^/        /'
	echo
	output=$("$@" 2>&1)
	status=$?
	[ -z "$output" ] || printf '%s\n' "$output" | sed 's/^/    /'
	[ $status -eq 0 ] || fail "that exits with $status"
}

fail() {
	tell "  FAILED: $*"
	exit 1
}

tick_line() { grep -a 'GUEST tick' "$(guest_console web1)" | tail -n 1 | tr -d '\r'; }
ram_digest() { sha256sum <$mnt/web1/ram0 | cut -c1-32; }

load() {
	modprobe -q kvm_amd || modprobe -q kvm_intel
	run modprobe cpr_handover "$@"
}

before() {
	mark begin
	tell "the host runs $(uname -r); memmap=1G!4G keeps 1 GiB at 4 GiB out of its hands"
	load region=1G!4G
	run cpr-helper format --label demo
	tell "a guest with its RAM in the region"
	run cpr-helper run web1 --ram 256M -- \
		qemu-system-x86_64 -M q35,accel=kvm -cpu host -nodefaults -display none \
		-kernel /lab/guest/vmlinuz -initrd /lab/guest/initrd \
		-append "console=ttyS0 quiet panic=-1 blob=64M" \
		-chardev "file,id=ser,path=$(guest_console web1),append=on" -serial chardev:ser
	wait_tick web1 3 120 || fail "the guest does not run"
	tell "  it holds 64 MiB of random bytes and checks them every second:"
	tell "    $(tick_line)"
	run cpr-helper list
	mark save
	run cpr-helper save web1
	mark saved
	ram_digest >"$kept.ram"
	last_tick web1 >"$kept.tick"
	guest_digest web1 >"$kept.sum"
	tell "  sha256 of the guest's RAM: $(cat "$kept.ram")…"
	tell "the host goes to $target"
	tell "  # cpr-helper update --kernel $target"
	check_kernel_log | grep '^not ok' && exit 1
	echo 2 >"$lab_state/phase"
	sync
	mark kexec
	cpr-helper update --kernel "$target" 2>&1 | sed 's/^/    /'
	fail "it did not jump"
}

after() {
	local tick
	mark booted
	[ "$(uname -r)" = "$target" ] || fail "the host runs $(uname -r)"
	tell "the host runs $(uname -r)"
	load
	mount_cprfs
	run cpr-helper list
	mark loaded
	[ "$(ram_digest)" = "$(cat "$kept.ram")" ] || fail "the guest's RAM is not what it was"
	tell "  sha256 of the guest's RAM: $(ram_digest)…  the same"
	mark restore
	run cpr-helper restore web1
	mark restored
	tick=$(cat "$kept.tick")
	wait_tick web1 $((tick + 3)) 60 || fail "the guest does not run on"
	mark ticking
	tell "  the guest was at tick $tick, now it says:"
	tell "    $(tick_line)"
	guest_is_corrupt web1 && fail "the guest found its memory corrupt"
	[ "$(guest_digest web1)" = "$(cat "$kept.sum")" ] || fail "the guest was started anew"
	run cpr-helper list
}

if [ "$(phase)" = 1 ]; then
	before
else
	after
fi
exit 0
