#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Whatever goes wrong around a guest, it runs on or can be restored, and the error says why.
#
# adversity.sh - on one kernel, without a kexec.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

ctl=/usr/libexec/cpr-selftests/ctl

# prints DESC STATUS TEXT COMMAND... - COMMAND exits with STATUS and prints TEXT
prints() {
	local desc=$1 want=$2 text=$3 output status
	shift 3
	output=$("$@" 2>&1)
	status=$?
	if [ $status -eq "$want" ] && grep -qF -- "$text" <<<"$output"; then
		ok "$desc"
	else
		not_ok "$desc: status $status, not $want, or not '$text'"
		printf '%s\n' "$output" | sed 's/^/#   /'
	fi
}

runs_on() { wait_tick "$1" $(($(last_tick "$1") + 2)) 60; } # NAME

is_dead() { cpr-helper list | grep "$1" | grep -q dead; } # NAME

test_before_a_region() {
	prints "run without the module is refused" 4 "modprobe cpr_handover" cpr-helper run vm1 --ram 64M -- qemu-system-x86_64
	load_module region=256M!4G
	prints "run in an unformatted region is refused" 4 "cpr-helper format" cpr-helper run vm1 --ram 64M -- qemu-system-x86_64
	check "the region is formatted" cpr-helper format
	prints "a second format is refused" 4 "--force" cpr-helper format
}

test_no_room() {
	prints "a guest that is larger than the region is refused" 1 "the region has no room" start_guest big 300M
	check "its directory is gone" test ! -e $mnt/big
	prints "show knows no such VM" 3 "big" cpr-helper show big
}

test_bad_qemu() {
	prints "an unknown machine type is refused" 1 "unsupported machine type" \
		cpr-helper run bad --ram 64M -- qemu-system-x86_64 -M nosuch -nodefaults -display none
	check "the VM's directory is gone" test ! -e $mnt/bad
}

test_save_and_abort() {
	check "a guest starts" start_guest vm1 96M
	check "the guest runs" wait_tick vm1 2 120
	prints "run with a name in use is refused" 5 "vm1" start_guest vm1 96M
	prints "restore of a running guest is refused" 5 "vm1" cpr-helper restore vm1
	prints "delete of a running guest is refused" 5 "vm1" cpr-helper delete vm1
	check "the guest is saved" cpr-helper save vm1
	check "the saved guest is stopped" guest_status_is vm1 postmigrate
	prints "a second save is refused" 5 "vm1" cpr-helper save vm1
	check "the save is aborted" cpr-helper abort vm1
	check "the guest runs on after the abort" runs_on vm1
	check "the guest is saved and aborted again" sh -c "cpr-helper save vm1 && cpr-helper abort vm1"
	check "the guest runs on after the second abort" runs_on vm1
}

test_full_while_saving() {
	check "the region is filled" sh -c "fallocate -l 1G $mnt/filler || fallocate -l \$(df -B1 --output=avail $mnt | tail -n 1) $mnt/filler"
	prints "nothing is left for others" 1 "the region has no room" start_guest big 16M
	check "a guest is saved in a full region, as it was promised" cpr-helper save vm1
	check "it is aborted" cpr-helper abort vm1
	rm $mnt/filler
	fill_room vm1
	prints "a save that finds no room in its own room fails" 1 "vm1" cpr-helper save vm1
	rm $mnt/vm1/filler
	check "the guest runs on after the failure" runs_on vm1
}

test_spoiled_state() {
	check "the guest is saved, and its state truncated" sh -c "cpr-helper save vm1 && cp $mnt/vm1/state /root/state && truncate -s -100 $mnt/vm1/state"
	qmp vm1 quit >/dev/null
	check "the VM is sealed" wait_until 30 "$ctl" seal vm1 $mnt/vm1/manifest.json
	prints "a truncated state is refused" 1 "state" cpr-helper restore vm1
	check "the VM is still sealed" test "$("$ctl" state vm1)" = sealed
	prints "delete of a sealed VM is refused" 5 "--force" cpr-helper delete vm1
	# Repair the state, which needs the VM claimed; then edit the manifest.
	"$ctl" claim vm1
	cp /root/state $mnt/vm1/state
	cp $mnt/vm1/manifest.json /root/manifest
	echo >>$mnt/vm1/manifest.json
	"$ctl" unclaim vm1
	prints "an edited manifest is refused" 1 "its digest is not the one that was sealed" cpr-helper restore vm1
	check "the VM is still sealed after that" test "$("$ctl" state vm1)" = sealed
	"$ctl" claim vm1
	cp /root/manifest $mnt/vm1/manifest.json
	"$ctl" unclaim vm1
	mv /usr/bin/qemu-system-x86_64 /usr/bin/qemu-away
	prints "restore without the QEMU binary fails" 3 "qemu-system-x86_64" cpr-helper restore vm1
	mv /usr/bin/qemu-away /usr/bin/qemu-system-x86_64
	check "the guest is restored" cpr-helper restore vm1
	check "the restored guest runs on" runs_on vm1
	check "no byte of its memory is corrupt" sh -c "! grep -aq CORRUPT $(guest_console vm1)"
	check "the guest did not boot again" booted_once vm1
}

test_digest_of_memory() {
	check "the guest is saved with a digest of its memory" cpr-helper save --digest-ram vm1
	pkill -9 qemu-system-x86
	check "its killed QEMU is shown as dead" wait_until 20 is_dead vm1
	mv /usr/bin/qemu-system-x86_64 /usr/bin/qemu-away
	prints "restore without QEMU seals the VM, and fails" 3 "qemu-system-x86_64" cpr-helper restore vm1
	mv /usr/bin/qemu-away /usr/bin/qemu-system-x86_64
	check "show has the digest" sh -c "cpr-helper show vm1 | grep -q '^sealed RAM: *xxh3-128:'"
	"$ctl" claim vm1
	dd if=$mnt/vm1/ram0 of=/root/page bs=4K skip=15000 count=1 status=none
	dd if=/dev/urandom of=$mnt/vm1/ram0 bs=4K seek=15000 count=1 conv=notrunc status=none
	"$ctl" unclaim vm1
	prints "changed memory is refused" 1 "its digest is not the one that was sealed" cpr-helper restore vm1
	check "the VM is still sealed" test "$("$ctl" state vm1)" = sealed
	"$ctl" claim vm1
	dd if=/root/page of=$mnt/vm1/ram0 bs=4K seek=15000 conv=notrunc status=none
	# The VM stays claimed, as after a restore that was cut off.
	check "the guest is restored with its memory" cpr-helper restore vm1
	check "the restored guest runs on" runs_on vm1
	check "no byte of its memory is corrupt" sh -c "! grep -aq CORRUPT $(guest_console vm1)"
}

test_killed_qemu() {
	pkill -9 qemu-system-x86
	check "a guest whose QEMU was killed is shown as dead" wait_until 20 is_dead vm1
	prints "save of a dead guest fails" 1 "vm1" cpr-helper save vm1
	check "the dead guest is deleted" cpr-helper delete vm1
	check "its directory is gone" test ! -e $mnt/vm1
}

test_next_kernel() {
	local version
	version=$(uname -r)
	prints "update to an unknown kernel is refused" 3 "no-such-kernel" cpr-helper update --kernel no-such-kernel --dry-run
	prints "update with another region on the command line is refused" 4 "memmap" \
		cpr-helper update --kernel "$version" --command-line "console=ttyS0 memmap=512M!4G" --dry-run
	prints "update adds the region to a command line without one" 0 "command line: console=ttyS0 memmap=1G!" \
		cpr-helper update --kernel "$version" --command-line "console=ttyS0" --dry-run
	mv "/usr/lib/modules/$version/updates" /root/updates
	prints "update to a kernel without the module is refused" 4 "cpr_handover" cpr-helper update --kernel "$version" --dry-run
	mv /root/updates "/usr/lib/modules/$version/updates"
}

test_before_a_region
test_no_room
test_bad_qemu
test_save_and_abort
test_full_while_saving
test_spoiled_state
test_digest_of_memory
test_killed_qemu
test_next_kernel
check "the module is unloaded" unload_module
exit 0
