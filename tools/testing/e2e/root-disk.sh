#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A host boots from its own disk, also if that is where a guest's device was.
#
# root-disk.sh - seals a VM, and forges an image in which the VM had the NIC, and another
# NIC at the address where the host's root disk is. Then a kexec, with the initramfs of a
# real host, which loads the module before any driver: the NIC is held, and the disk is
# the host's.
#
# Needs: --initrd initramfs-tools --append cpr_handover.region=1G!4G
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

ctl=/usr/libexec/cpr-selftests/ctl
nic=0000:00:02.0
disk=$(basename "$(readlink -f /sys/block/vda/device/..)")

shows() { "$ctl" devices | grep -q "^vm $1 $2 .*${3:-}"; }
log_has() { dmesg | grep -aqF -- "$1"; }

seal() {
	mount_cprfs && mkdir $mnt/vm && fallocate -l 8M $mnt/vm/ram &&
		"$ctl" pin vm ram && "$ctl" save vm && "$ctl" seal vm && umount $mnt &&
		rmmod cpr_handover
}

forge() {
	attach_pmem && /usr/libexec/cpr-selftests/forge-dma /dev/pmem0 vm map=0,vm/ram,8M \
		device=$nic device=$nic at="$disk" alone member="$disk"
	local status=$?
	sync
	detach_pmem
	return $status
}

if [ "$(phase)" = 1 ]; then
	check "the root disk is a PCI device" test -n "$(driver_of "$disk")"
	check "the module is loaded from the initramfs" test -d /sys/module/cpr_handover
	check "the region is formatted" "$ctl" format
	check "a VM is sealed" seal
	check "the image says that it had a device at the root disk's address" forge
	say "kexec into the same kernel"
	kexec_to "$(uname -r)" --initrd=/results/initrd
	not_ok "kexec into the same kernel"
else
	check "the host has booted from its disk" grep -q '^/dev/vda / ext4 ' /proc/mounts
	check "the module was loaded before any driver" log_has 'cpr-handover: cpr_handover is loaded from the initramfs'
	check "a driver of the host has the disk" test "$(driver_of "$disk")" = virtio-pci
	check "the VM is held" test "$("$ctl" state vm)" = held
	check "the device at the disk's address is reported as another one" shows "$disk" changed "it was 8086:"
	check "so it is in the log" log_has "VM 'vm': $disk is not held: it was 8086:"
	check "the VM's other device is held" shows $nic held
	check "no driver of the host has that" test -z "$(driver_of $nic)"
	check "the disk can be written" sh -c "echo x >$lab_state/written && sync"
fi
exit 0
