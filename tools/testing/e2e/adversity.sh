#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# adversity.sh - what goes wrong around a guest, on one kernel: each time the
# guest runs on or can be restored, and the refusal says what to do.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/guest.sh"

ctl=/usr/libexec/cpr-selftests/ctl

# says DESC STATUS TEXT COMMAND... - it exits so, and says this
says() {
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

ticks_on() { ticks "$1" $(($(last_tick "$1") + 2)) 60; }

test_before_a_region() {
	says "the module is not loaded" 4 "modprobe cpr_handover" cpr-helper run vm1 --ram 64M -- qemu-system-x86_64
	load_module region=256M!4G
	says "the region is not formatted" 4 "cpr-helper format" cpr-helper run vm1 --ram 64M -- qemu-system-x86_64
	check "it is formatted" cpr-helper format
	says "not twice" 4 "--force" cpr-helper format
}

test_no_room() {
	says "a guest that is too large" 1 "the region has no room" start_guest big 300M
	check "nothing is left of it" test ! -e $mnt/big
	says "and none is known" 3 "big" cpr-helper show big
}

test_bad_qemu() {
	says "a machine that does not exist" 1 "unsupported machine type" \
		cpr-helper run bad --ram 64M -- qemu-system-x86_64 -M nosuch -nodefaults -display none
	check "nothing is left of that either" test ! -e $mnt/bad
}

test_save_and_abort() {
	check "a guest starts" start_guest vm1 96M
	check "it runs" ticks vm1 2 120
	says "a name that is taken" 5 "vm1" start_guest vm1 96M
	says "it is not restored while it runs" 5 "vm1" cpr-helper restore vm1
	says "nor deleted" 5 "vm1" cpr-helper delete vm1
	check "it is saved" cpr-helper save vm1
	check "and stands still" runstate_is vm1 postmigrate
	says "it is not saved twice" 5 "vm1" cpr-helper save vm1
	check "the save is undone" cpr-helper abort vm1
	check "it runs on" ticks_on vm1
	check "and can be saved again" sh -c "cpr-helper save vm1 && cpr-helper abort vm1"
	check "and again runs on" ticks_on vm1
}

test_full_while_saving() {
	check "the region is filled" sh -c "fallocate -l 1G $mnt/filler || fallocate -l \$(df -B1 --output=avail $mnt | tail -n 1) $mnt/filler"
	says "a save that finds no room fails" 1 "vm1" cpr-helper save vm1
	rm $mnt/filler
	check "the guest runs on after it" ticks_on vm1
}

test_spoiled_state() {
	check "it is saved, and its state cut short" sh -c "cpr-helper save vm1 && cp $mnt/vm1/state /root/state && truncate -s -100 $mnt/vm1/state"
	qmp vm1 quit >/dev/null
	check "it is sealed" until_ok 30 "$ctl" seal vm1 $mnt/vm1/manifest.json
	says "a truncated state is refused" 1 "state" cpr-helper restore vm1
	check "the VM is as it was" test "$("$ctl" state vm1)" = sealed
	says "it is not deleted just so" 5 "--force" cpr-helper delete vm1
	# Put right what was cut off, as nobody could from outside; and edit the manifest.
	"$ctl" claim vm1
	cp /root/state $mnt/vm1/state
	cp $mnt/vm1/manifest.json /root/manifest
	echo >>$mnt/vm1/manifest.json
	"$ctl" unclaim vm1
	says "a manifest that is not the sealed one is refused" 1 "its digest is not the one that was sealed" cpr-helper restore vm1
	check "the VM is as it was, again" test "$("$ctl" state vm1)" = sealed
	"$ctl" claim vm1
	cp /root/manifest $mnt/vm1/manifest.json
	"$ctl" unclaim vm1
	mv /usr/bin/qemu-system-x86_64 /usr/bin/qemu-away
	says "its QEMU is gone" 3 "qemu-system-x86_64" cpr-helper restore vm1
	mv /usr/bin/qemu-away /usr/bin/qemu-system-x86_64
	check "then it is restored" cpr-helper restore vm1
	check "and runs on" ticks_on vm1
	check "with the memory it had" sh -c "! grep -aq CORRUPT $(guest_console vm1) && test $(grep -ac 'GUEST up' "$(guest_console vm1)") = 1"
}

test_digest_of_memory() {
	check "it is saved, to be sealed with a digest of its memory" cpr-helper save --digest-ram vm1
	pkill -9 qemu-system-x86
	check "its QEMU is gone" until_ok 20 sh -c "cpr-helper list | grep vm1 | grep -q dead"
	mv /usr/bin/qemu-system-x86_64 /usr/bin/qemu-away
	says "it is sealed, and not restored without QEMU" 3 "qemu-system-x86_64" cpr-helper restore vm1
	mv /usr/bin/qemu-away /usr/bin/qemu-system-x86_64
	check "the digest is there" sh -c "cpr-helper show vm1 | grep -q '^sealed RAM: *xxh3-128:'"
	"$ctl" claim vm1
	dd if=$mnt/vm1/ram0 of=/root/page bs=4K skip=15000 count=1 status=none
	dd if=/dev/urandom of=$mnt/vm1/ram0 bs=4K seek=15000 count=1 conv=notrunc status=none
	"$ctl" unclaim vm1
	says "memory that has changed is refused" 1 "its digest is not the one that was sealed" cpr-helper restore vm1
	check "the VM is as it was" test "$("$ctl" state vm1)" = sealed
	"$ctl" claim vm1
	dd if=/root/page of=$mnt/vm1/ram0 bs=4K seek=15000 conv=notrunc status=none
	# Left claimed, as by a restore that was cut off.
	check "it is restored with the memory it had" cpr-helper restore vm1
	check "and runs on" ticks_on vm1
	check "without a corrupt byte" sh -c "! grep -aq CORRUPT $(guest_console vm1)"
}

test_killed_qemu() {
	pkill -9 qemu-system-x86
	check "a guest whose QEMU was killed is shown as dead" until_ok 20 sh -c "cpr-helper list | grep vm1 | grep -q dead"
	says "it is not saved" 1 "vm1" cpr-helper save vm1
	check "it can be deleted" cpr-helper delete vm1
	check "and its room is back" test ! -e $mnt/vm1
}

test_region_forgotten() {
	local version
	version=$(uname -r)
	says "a kernel that is not there" 3 "no-such-kernel" cpr-helper update --kernel no-such-kernel --dry-run
	says "a command line with another region" 4 "memmap" \
		cpr-helper update --kernel "$version" --command-line "console=ttyS0 memmap=512M!4G" --dry-run
	says "one without it gets it" 0 "command line: console=ttyS0 memmap=1G!" \
		cpr-helper update --kernel "$version" --command-line "console=ttyS0" --dry-run
	mv "/usr/lib/modules/$version/updates" /root/updates
	says "a kernel without the module" 4 "cpr_handover" cpr-helper update --kernel "$version" --dry-run
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
test_region_forgotten
check "the module is unloaded" leave_module
exit 0
