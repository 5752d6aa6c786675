#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Whatever happens to a guest's device, its address is reported and the guest is kept safe.
#
# vfio-adversity.sh - the guest's device is in use, missing, moved, changed, or its
# mappings are forged: `restore` refuses with the device's address, the guest's memory
# stays as it is, and the guest can be restored once the device is back. The module is
# unloaded and loaded in place of a kexec: it finds the VM as after one. The last part is
# a real kexec, into a kernel that uses no IOMMU.
#
# Needs: --with e1000e --with empty
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

ctl=/usr/libexec/cpr-selftests/ctl
forge_dma=/usr/libexec/cpr-selftests/forge-dma
onboard=0000:00:02.0
before=$lab_state/before

# refuses DESC REGEXP COMMAND... - COMMAND exits with an error, and prints all of the
# regular expressions, separated by &, in any order
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
	wait_tick "$1" $n 60 && guest_uses "$1" $n e1000e
}

no_driver() { [ -z "$(driver_of "$1")" ]; }

has_driver() { ! no_driver "$1"; }

is_driven_by() { [ "$(driver_of "$1")" = "$2" ]; }

# Save the guest, quit its QEMU and seal the VM: what `update` does before the jump.
seal() {
	cpr-helper save "$1" >&2 && qmp "$1" quit >/dev/null &&
		wait_until 30 "$ctl" seal "$1" "$mnt/$1/manifest.json"
}

load_and_mount() { load_module "$@" && mount_cprfs; }

memory_is_untouched() { (cd $mnt && sha256sum -- */ram*) | cmp - "$before.ram"; }

# The arguments of device_add for the card that boot.sh put into slot 1, which is the
# guest's device if the last byte of the MAC address is 01.
card() { echo '"driver":"e1000e","netdev":"net-1","mac":"52:54:00:00:01:'"$1\""; }

refuses_to_restore() {
	refuses "$1: restore is refused with the address" "$address&$2" cpr-helper restore vm1
	check "$1: the VM stays held" test "$("$ctl" state vm1)" = held
	check "$1: the memory is unchanged" memory_is_untouched
}

test_in_use() {
	local disk
	disk=$(basename "$(readlink -f /sys/block/vda/device/..)")
	refuses "run with the host's root disk is refused" "$disk&(root|disk|mount|in use)" start_with bad "$disk"
	check "the host's driver still has the disk" is_driven_by "$disk" virtio-pci
	modprobe e1000e
	ip addr add 10.0.2.15/24 dev eth0
	ip link set eth0 up
	ip route add default via 10.0.2.2
	refuses "run with the NIC of the default route is refused" "$onboard&(eth0|network|route|in use)" start_with bad "$onboard"
	check "the host's driver still has the NIC" is_driven_by "$onboard" e1000e
	check "the VM's directory is gone" test ! -e $mnt/bad
	ip route del default
	ip link set eth0 down
	ip addr flush dev eth0
}

test_no_agent() {
	guest_options=agent=off check "a guest without an agent starts" start_with mute "$onboard"
	check "the guest runs" wait_tick mute 2 120
	refuses "save is refused" "mute&agent" cpr-helper save mute
	check "the guest runs on after the refusal" runs_on mute
	check "the guest was not suspended" test "$(wakeups mute)" = 0
	qmp mute quit >/dev/null
	check "the guest is deleted" wait_until 30 cpr-helper delete mute
}

test_abort() {
	check "a guest starts" start_with vm1 "$address"
	check "the guest boots" guest_boots vm1 start_with vm1 "$address"
	check "the guest uses its device" guest_uses vm1 2 e1000e
	check "the guest is saved" cpr-helper save vm1
	check "the save is aborted" cpr-helper abort vm1
	check "the guest runs on with its device" runs_on vm1
	check "the guest was in S3 in between" test "$(wakeups vm1)" = 1
}

test_hold() {
	check "the VM is sealed" seal vm1
	(cd $mnt && sha256sum -- */ram*) >"$before.ram"
	last_tick vm1 >"$before.tick"
	check "the module is unloaded" unload_module
	bind_native "$address"
	check "a native driver binds to the device" is_driven_by "$address" e1000e
	check "the module loads after that driver" load_and_mount
	check "show reports the device as busy" shows vm1 "$address" busy
	check "the module is unloaded while the device is busy" unload_module
	echo "$address" >/sys/bus/pci/drivers/e1000e/unbind
	check "the module loads before any driver" load_and_mount
	check "the module holds the device" shows vm1 "$address" held
	bind_native "$address"
	check "no native driver binds to the held device" no_driver "$address"
	check "the module is unloaded while it holds the device" unload_module
	check "the module loads with hold=0" load_and_mount hold=0
	bind_native "$address"
	check "with hold=0 the native driver binds to the device" is_driven_by "$address" e1000e
	echo "$address" >/sys/bus/pci/drivers/e1000e/unbind
	check "the module is unloaded after hold=0" unload_module
	check "the module loads before any driver again" load_and_mount
	check "the module holds the device again" shows vm1 "$address" held
}

test_absent() {
	check "the held device is unplugged" unplug 1
	check "show reports the device as missing" wait_until 20 shows vm1 "$address" missing
	refuses_to_restore "a device that was unplugged" '(missing|no device|not there|gone)'
	check "the module is unloaded" unload_module
	check "the module loads without the device" load_and_mount
	refuses_to_restore "a device that is missing at boot" '(missing|no device|not there|gone)'
	check "the device is plugged into another slot" plug 2 "$(card 01)"
	check "show reports where it is" wait_until 20 shows vm1 quarantined "$(slot_address 2)"
	refuses_to_restore "a device that moved" "quarantined: it was found at $(slot_address 2)"
	check "no native driver has it there" sh -c "modprobe e1000e; test ! -e /sys/bus/pci/devices/$(slot_address 2)/driver"
	check "the device is unplugged there" unplug 2
}

# another WHAT JSON - WHAT is plugged in place of the guest's device
another() {
	check "$1: it is plugged in place of the device" plug 1 "$2"
	check "$1: show reports it as changed" wait_until 20 shows vm1 "$address" changed
	check "$1: a driver of the host can have it" wait_until 20 has_driver "$address"
	refuses_to_restore "$1" '(changed|another|not the|differ)'
	check "$1: it is unplugged" unplug 1
}

test_another() {
	modprobe -a nvme e1000e
	another "another model" '"driver":"nvme","serial":"other","drive":"disk-1"'
	# The card's serial number is made from its MAC address.
	another "another card of the same model" "$(card 0f)"
}

# While the module is unloaded: exchange the IOVAs of two adjacent 2 MiB of the guest's
# memory in the image. Called twice, it restores the image.
swap_in_image() {
	unload_module && attach_pmem && "$forge_dma" /dev/pmem0 vm1 kept "swap=$swapped"
	local status=$?
	sync
	detach_pmem
	return $status
}

# Except for KVM's wall clock, 12 bytes in one place, which KVM writes into the guest's
# memory when QEMU loads the state of the CPU.
memory_is_as_saved() {
	cmp -l $mnt/vm1/ram0 "$before.copy" |
		awk '!n++ { first = $1 } { last = $1 } END { exit n > 12 || last - first >= 12 }'
}

# The mapping leads to the VM's own memory, so the device is held: only verify detects it.
test_forged() {
	local swapped=0x1000000 woken
	woken=$(wakeups vm1)
	check "a mapping is forged in the image" swap_in_image
	check "the module loads with the forged mapping" load_and_mount
	cp $mnt/vm1/ram0 "$before.copy"
	check "the device is plugged again" plug 1 "$(card 01)"
	check "the device is held" wait_until 20 shows vm1 "$address" held
	refuses "a forged mapping: verify reports it" "2 ranges differ&$address: .*2M at $swapped led to .*: moved" \
		cpr-helper restore vm1
	check "a forged mapping: the VM stays held" test "$("$ctl" state vm1)" = held
	check "a forged mapping: the guest did not run" test "$(last_tick vm1) $(wakeups vm1)" = "$(cat "$before.tick") $woken"
	check "a forged mapping: the memory is unchanged" memory_is_as_saved
	check "a forged mapping: the device is held again" shows vm1 "$address" held
	check "the mapping is put right" swap_in_image
	check "the module loads with the right mapping" load_and_mount
	check "the device is unplugged after that" unplug 1
}

test_back() {
	check "the device is plugged again" plug 1 "$(card 01)"
	check "the device is held as soon as it is plugged" wait_until 20 shows vm1 "$address" held
	check "no native driver is bound to it" no_driver "$address"
	check "the guest is restored" cpr-helper restore vm1
	check "the guest runs on" wait_tick vm1 $(($(cat "$before.tick") + 3)) 60
	check "the guest uses its device" guest_uses vm1 $(($(cat "$before.tick") + 3)) e1000e
	check "the guest did not boot again" booted_once vm1
	check "the DMA mappings were verified" dma_verified vm1
}

leave_kernel() {
	check "the VM is sealed for a kernel without IOMMU" seal vm1
	(cd $mnt && sha256sum -- */ram*) >"$before.ram"
	say "kexec into the same kernel without IOMMU"
	umount $mnt
	rmmod cpr_handover
	kexec_to "$(uname -r)" --append=intel_iommu=off
	not_ok "kexec into a kernel without IOMMU"
}

# The preflight checks look at /sys/class/iommu.
test_no_iommu() {
	check "the kernel has no IOMMU" test -z "$(ls /sys/class/iommu)"
	dmesg -C
	check "the module loads without an IOMMU" load_and_mount
	check "the kernel log reports that there is no IOMMU" sh -c "dmesg | grep -i 'cpr_handover.*iommu'"
	refuses_to_restore "a kernel without IOMMU" 'iommu'
	refuses "run with a device is refused" "$onboard&iommu" start_with new "$onboard"
	check "a guest without a device starts" start_guest plain 96M
	check "that guest runs" wait_tick plain 2 120
	qmp plain quit >/dev/null
	check "that guest is deleted" wait_until 30 cpr-helper delete plain
	check "the VM with the device is deleted with --force" cpr-helper delete --force vm1
	check "the module is unloaded" unload_module
}

if [ "$(phase)" = 1 ]; then
	address=$(slot_address 1)
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
	leave_kernel
else
	address=$(cat "$before.address")
	test_no_iommu
fi
exit 0
