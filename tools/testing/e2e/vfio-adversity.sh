#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# vfio-adversity.sh - what goes wrong around devices that a guest has: it is
# refused by the device's address, the guest's memory stays as it is, and once
# the device is back the guest can be restored. Loading the module again stands
# for the next kernel: it finds the VM as it finds one after a kexec. The last
# part is a real kexec, into a kernel that uses no IOMMU.
#
# Needs: --with e1000e --with empty
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/guest.sh"

ctl=/usr/libexec/cpr-selftests/ctl
forge_dma=/usr/libexec/cpr-selftests/forge-dma
onboard=0000:00:02.0
before=$lab_state/before

# refuses DESC REGEXP COMMAND... - it fails in order, and says all of "A&B" in any order
refuses() {
	local desc=$1 regexps regexp output status
	IFS='&' read -ra regexps <<<"$2"
	shift 2
	output=$("$@" 2>&1)
	status=$?
	for regexp in "${regexps[@]}"; do
		grep -qiE -- "$regexp" <<<"$output" || status="$status without '$regexp'"
	done
	case $status in
	1 | 4 | 5 | 6) ok "$desc" ;;
	*)
		not_ok "$desc: status $status"
		printf '%s\n' "$output" | sed 's/^/#   /'
		;;
	esac
}

shows() { cpr-helper show "$1" | grep -i "$2.*$3\|$3.*$2"; }

with() { echo "-device vfio-pci,host=$1"; }

# shellcheck disable=SC2046 # they are words
start_with() { start_guest "$1" 128M -- $(with "$2") "${@:3}"; }

runs_on() {
	local n
	n=$(($(last_tick "$1") + 2))
	ticks "$1" $n 60 && uses "$1" $n e1000e
}

no_driver() { [ -z "$(driver_of "$1")" ]; }

has_driver() { ! no_driver "$1"; }

is_driven_by() { [ "$(driver_of "$1")" = "$2" ]; }

# A save, the end of its QEMU and a seal: what `kexec` does, without the jump.
seal() {
	cpr-helper save "$1" >&2 && qmp "$1" quit >/dev/null &&
		until_ok 30 "$ctl" seal "$1" "$mnt/$1/manifest.json"
}

arrive() { load_module "$@" && mkdir -p $mnt && mount -t cprfs cprfs $mnt; }

memory_is_untouched() { (cd $mnt && sha256sum -- */ram*) | cmp - "$before.ram"; }

# The guest's device is the card that boot.sh put into slot 1.
card() { echo '"driver":"e1000e","netdev":"net-1","mac":"52:54:00:00:01:'"$1\""; }

refuses_to_restore() {
	refuses "$1: refused by its address" "$address&$2" cpr-helper restore vm1
	check "$1: the VM stays held" test "$("$ctl" state vm1)" = held
	check "$1: its memory is untouched" memory_is_untouched
}

test_in_use() {
	local disk
	disk=$(basename "$(readlink -f /sys/block/vda/device/..)")
	refuses "the host's root disk" "$disk&(root|disk|mount|in use)" start_with bad "$disk"
	check "the host still has it" is_driven_by "$disk" virtio-pci
	modprobe e1000e
	ip addr add 10.0.2.15/24 dev eth0
	ip link set eth0 up
	ip route add default via 10.0.2.2
	refuses "the host's way to the network" "$onboard&(eth0|network|route|in use)" start_with bad "$onboard"
	check "the host still has that, too" is_driven_by "$onboard" e1000e
	check "and nothing is left of that VM" test ! -e $mnt/bad
	ip route del default
	ip link set eth0 down
	ip addr flush dev eth0
}

test_no_agent() {
	check "a guest without an agent starts" start_with mute "$onboard" \
		-append "console=ttyS0 quiet panic=-1 no_console_suspend blob=16M agent=off"
	check "it runs" ticks mute 2 120
	refuses "it is not saved" "mute&agent" cpr-helper save mute
	check "it runs on" runs_on mute
	check "it was not suspended" test "$(wakes mute)" = 0
	qmp mute quit >/dev/null
	check "it is deleted" until_ok 30 cpr-helper delete mute
}

test_abort() {
	check "a guest starts" start_with vm1 "$address"
	check "it runs" boots vm1 start_with vm1 "$address"
	check "it uses its device" uses vm1 2 e1000e
	check "it is saved" cpr-helper save vm1
	check "the save is undone" cpr-helper abort vm1
	check "it runs on" runs_on vm1
	check "and was asleep meanwhile" test "$(wakes vm1)" = 1
}

test_hold() {
	check "it is sealed" seal vm1
	(cd $mnt && sha256sum -- */ram*) >"$before.ram"
	last_tick vm1 >"$before.tick"
	check "the module is unloaded" leave_module
	let_native_have "$address"
	check "a native driver would take the device" is_driven_by "$address" e1000e
	check "a module that comes too late loads" arrive
	check "it shows who has it" shows vm1 "$address" busy
	check "and is unloaded" leave_module
	echo "$address" >/sys/bus/pci/drivers/e1000e/unbind
	check "the module comes first" arrive
	check "it holds the device" shows vm1 "$address" held
	let_native_have "$address"
	check "no native driver takes it" no_driver "$address"
	check "and is unloaded, again" leave_module
	check "it loads" arrive hold=0
	let_native_have "$address"
	check "with hold=0 the native driver gets it" is_driven_by "$address" e1000e
	echo "$address" >/sys/bus/pci/drivers/e1000e/unbind
	check "and is unloaded again" leave_module
	check "once more it comes first" arrive
	check "it holds the device again" shows vm1 "$address" held
}

test_absent() {
	check "the device is taken out while it is held" unplug 1
	check "it is shown as missing" until_ok 20 shows vm1 "$address" missing
	refuses_to_restore "a device that went" '(missing|no device|not there|gone)'
	check "the module is unloaded" leave_module
	check "and comes up without the device" arrive
	refuses_to_restore "a device that is not there" '(missing|no device|not there|gone)'
	check "it is put into another slot" plug 2 "$(card 01)"
	refuses_to_restore "a device that moved" '(missing|moved|no device|not there|gone)'
	check "there a native driver may have it" sh -c "modprobe e1000e; test -e /sys/bus/pci/devices/$(slot_device 2)/driver"
	check "it is taken out there" unplug 2
}

# another WHAT JSON - it comes in the place of the guest's device
another() {
	check "$1 comes in its place" plug 1 "$2"
	check "$1: it is shown as changed" until_ok 20 shows vm1 "$address" changed
	check "$1: it is not held" until_ok 20 has_driver "$address"
	refuses_to_restore "$1" '(changed|another|not the|differ)'
	check "$1 is taken out" unplug 1
}

test_another() {
	modprobe -a nvme e1000e
	another "another model" '"driver":"nvme","serial":"other","drive":"disk-1"'
	# its serial number comes from its MAC
	another "another card of the same model" "$(card 0f)"
}

# Between two kernels, where 2 MiB of the guest's memory and the next 2 MiB are
# reached change places in the image, or change back.
swap_in_image() {
	leave_module && pmem && "$forge_dma" /dev/pmem0 vm1 kept "swap=$swapped"
	local status=$?
	sync
	free_region
	return $status
}

# But for KVM's wall clock, 12 bytes in one place, which KVM writes into the guest's
# memory when a QEMU loads the state of its CPU.
memory_is_its_own() {
	cmp -l $mnt/vm1/ram0 "$before.copy" |
		awk '!n++ { first = $1 } { last = $1 } END { exit n > 12 || last - first >= 12 }'
}

# It is the VM's own memory, so the device is held: only verify can tell.
test_forged() {
	local swapped=0x1000000 woken
	woken=$(wakes vm1)
	check "a mapping is forged in the image" swap_in_image
	check "the module loads" arrive
	cp $mnt/vm1/ram0 "$before.copy"
	check "the device is back" plug 1 "$(card 01)"
	check "it is held" until_ok 20 shows vm1 "$address" held
	refuses "a forged mapping: verify tells" "2 ranges differ&$address: .*2M at $swapped led to .*: moved" \
		cpr-helper restore vm1
	check "the VM stays held" test "$("$ctl" state vm1)" = held
	check "the guest did not run" test "$(last_tick vm1) $(wakes vm1)" = "$(cat "$before.tick") $woken"
	check "its memory is what it was" memory_is_its_own
	check "the device is held again" shows vm1 "$address" held
	check "what was forged is put right" swap_in_image
	check "the module loads with that" arrive
	check "and the device is taken out" unplug 1
}

test_back() {
	check "the device is back" plug 1 "$(card 01)"
	check "it is held as it comes" until_ok 20 shows vm1 "$address" held
	check "no native driver has it" no_driver "$address"
	check "the guest is restored" cpr-helper restore vm1
	check "it runs on" ticks vm1 $(($(cat "$before.tick") + 3)) 60
	check "it uses its device" uses vm1 $(($(cat "$before.tick") + 3)) e1000e
	check "with the memory it had" test "$(grep -ac 'GUEST up' "$(guest_console vm1)")" = 1
	check "what it reaches was verified" verified vm1
}

leave() {
	check "it is sealed for a kernel without IOMMU" seal vm1
	(cd $mnt && sha256sum -- */ram*) >"$before.ram"
	say "kexec into the same kernel without IOMMU"
	umount $mnt
	rmmod cpr_handover
	kexec_to "$(uname -r)" --append=intel_iommu=off
	not_ok "kexec goes"
}

# /sys/class/iommu is what preflight checks look at.
test_no_iommu() {
	check "there is no IOMMU" test -z "$(ls /sys/class/iommu)"
	dmesg -C
	check "the module loads" arrive
	check "it says that there is no IOMMU" sh -c "dmesg | grep -i 'cpr_handover.*iommu'"
	refuses_to_restore "a kernel without IOMMU" 'iommu'
	refuses "a guest with a device" "$onboard&iommu" start_with new "$onboard"
	check "a guest without one starts" start_guest plain 96M
	check "and runs" ticks plain 2 120
	qmp plain quit >/dev/null
	check "it is deleted" until_ok 30 cpr-helper delete plain
	check "so is the other, by force" cpr-helper delete --force vm1
	check "the module is unloaded" leave_module
}

if [ "$(phase)" = 1 ]; then
	address=$(slot_device 1)
	echo "$address" >"$before.address"
	load_module region=512M!4G
	check "the region is formatted" cpr-helper format
	test_in_use
	test_no_agent
	test_abort
	test_hold
	test_absent
	test_another
	test_forged
	test_back
	leave
else
	address=$(cat "$before.address")
	test_no_iommu
fi
exit 0
