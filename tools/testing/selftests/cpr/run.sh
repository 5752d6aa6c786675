#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The module loads only on a region that it may use, and a region keeps all files and VMs.
#
# run.sh - the module's tests in one L1, without a kexec: what it refuses to load on, the
# test programs on a fresh region, and what a region keeps when the module is unloaded.
# devices.sh tests the devices of an image.
set -u

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# run_program NAME [ARGUMENT...] - prints the program's test points with NAME and the
# last ARGUMENT in their descriptions
run_program() {
	local out=/run/$1.out title=$1${2+ ${*: -1}}
	"$bin/$1" "${@:2}" >"$out" 2>&1
	local status=$?
	sed "s/^\(not ok\|ok\) \([0-9]*\) - /\1 \2 - $title: /" "$out"
	grep -q '^not ok' "$out" && : >"$lab_state/failed"
	[ $status -le 1 ] && grep -q '^1\.\.' "$out" || not_ok "$1 runs to its end, not to status $status"
}

forge() {
	attach_pmem || return
	"$bin/forge" /dev/pmem0 "$@"
	local status=$?
	sync
	detach_pmem
	return $status
}

digest_of_region() {
	attach_pmem
	head -c 256M /dev/pmem0 | sha256sum
	detach_pmem
}

test_refusals() {
	refuses "no image anywhere" "no persistent range has a handover image" modprobe cpr_handover
	refuses "an option that is none" "region=12 is not of the form" modprobe cpr_handover region=12
	refuses "System RAM" "it is System RAM" modprobe cpr_handover region=64M!1G
	refuses "half System RAM" "it is System RAM" modprobe cpr_handover region=64M!0x13e000000
	refuses "not persistent" "not a persistent range" modprobe cpr_handover region=64M!3G
	refuses "misaligned start" "not aligned to 2 MiB" modprobe cpr_handover region=64M!0x100001000
	refuses "misaligned size" "not aligned to 2 MiB" modprobe cpr_handover region=65537K!4G
	refuses "too small" "of 2 MiB is outside of 16 MiB" modprobe cpr_handover region=2M!4G
	attach_pmem
	refuses "a range that nd_pmem holds" "another driver has claimed it, .*nd_pmem/unbind" load
	detach_pmem
	check "it can be had once nd_pmem let go" load
	check "an unformatted region is not mounted" fails mount_cprfs
	unload
}

test_format() {
	load
	check "the region is formatted" "$bin/ctl" format
	check "not twice" fails "$bin/ctl" format
	check "but again by force" "$bin/ctl" format force
	check "it is mounted" mount_cprfs
}

test_image_refusals() {
	local before said
	umount $mnt
	unload
	before=$(digest_of_region)
	forge major 2
	refuses "a newer major version" "image version 2.0, this code reads 1.x" load
	forge major 1
	forge incompat 4
	refuses "an unknown feature" "unknown incompatible features 0x4" load
	forge incompat 0
	forge start 0x200000000
	refuses "a region that moved" "its image is for 0x10000000 bytes at 0x200000000" load
	forge start 0x100000000
	forge spoil-both
	refuses "two bad catalogs" "no catalog verifies" load
	forge spoil-both
	check "nothing was written by all that" test "$before" = "$(digest_of_region)"
	forge slot 0
	check "one bad catalog is survived" load
	unload
	forge super 0
	said=$(load 2>&1; dmesg | tail -n 5)
	check "a bad superblock is survived, and repaired" grep -q "superblock copy 0 did not verify and was rewritten" <<<"$said"
	check "the region is found without an option" sh -c "rmmod cpr_handover && modprobe cpr_handover"
	mount_cprfs
}

# The memory that a device can reach, by iommufd if the kernel has iommufd: the debug
# kernel has it, and is too slow to test VFIO's type 1 as well.
test_dma() {
	local nic=0000:00:02.0
	modprobe -a vfio-pci vfio_iommu_type1
	echo vfio-pci >/sys/bus/pci/devices/$nic/driver_override
	echo $nic >/sys/bus/pci/drivers_probe
	if [ -c /dev/iommu ]; then
		run_program dma $nic iommufd
	else
		run_program dma $nic type1
	fi
	echo $nic >/sys/bus/pci/drivers/vfio-pci/unbind
	echo >/sys/bus/pci/devices/$nic/driver_override
}

test_persistence() {
	make_tree $mnt/a
	mkdir $mnt/empty
	# The first reader sets the access times.
	fingerprint $mnt >/dev/null
	fingerprint $mnt >/run/before
	check "there is something to keep" test "$(wc -l </run/before)" -gt 300
	umount $mnt
	check "what was unmounted is back" mount_cprfs
	check "bit for bit" same_tree $mnt /run/before
	check "a mounted module is not unloaded" fails unload
	umount $mnt
	check "an unmounted one is" unload
	check "and loaded" load
	mount_cprfs
	check "all is back after that, bit for bit" same_tree $mnt /run/before
	rm -r $mnt/a $mnt/empty
}

make_vm() {
	mkdir $mnt/"$1"
	truncate -s 4M $mnt/"$1"/ram
	"$bin/ctl" pin "$1" ram
}

test_states_over_reload() {
	local vm
	for vm in running saved sealed claimed; do
		make_vm $vm
	done
	for vm in saved sealed claimed; do
		"$bin/ctl" save $vm
	done
	for vm in sealed claimed; do
		echo $vm >$mnt/$vm/manifest.json
		"$bin/ctl" seal $vm $mnt/$vm/manifest.json $mnt/$vm/ram
		"$bin/ctl" digests $vm >/run/digests.$vm
	done
	check "both have two digests" test "$(cat /run/digests.* | grep -c '^[0-9a-f]\{32\}$')" = 4
	"$bin/ctl" claim claimed
	umount $mnt
	unload
	load
	check "one that ran is lost" test "$("$bin/ctl" state running)" = lost
	check "one that was saved, not sealed, too" test "$("$bin/ctl" state saved)" = lost
	check "one that was sealed is held" test "$("$bin/ctl" state sealed)" = held
	check "one whose restore was cut off, too" test "$("$bin/ctl" state claimed)" = held
	check "what was sealed has the digests that it had" sh -c "$bin/ctl digests sealed | cmp - /run/digests.sealed"
	check "of one whose restore was cut off, the memory's is gone" test "$("$bin/ctl" digests claimed)" = "$(head -n 1 /run/digests.claimed)
-"
	check "the region can be asked while it is not mounted" sh -c "$bin/ctl status | grep -q mounted=0"
	mount_cprfs
	check "what is lost is frozen" fails sh -c "echo x >$mnt/running/ram"
	check "until it is given up" "$bin/ctl" unpin running
	check "what is held can be claimed" "$bin/ctl" claim sealed
	check "and unclaimed" "$bin/ctl" unclaim sealed
	check "its digests are kept" sh -c "$bin/ctl digests sealed | cmp - /run/digests.sealed"
	check "then it is held again" test "$("$bin/ctl" state sealed)" = held
	for vm in running saved sealed claimed; do
		"$bin/ctl" unpin $vm
		rm -r "${mnt:?}/$vm"
	done
}

# Pinned pages outlive file, mapping and mount; the module must, too.
test_pinned_unload() {
	truncate -s 2M $mnt/pinned
	"$bin/pin" $mnt/pinned >/run/pin.out &
	wait_until 10 grep -q pinned /run/pin.out
	umount $mnt
	check "what is pinned keeps the module, the mount being gone" fails unload
	kill %%
	check "and lets it go" wait_until 30 unload
	load
	mount_cprfs
	"$bin/pin" $mnt/pinned >/run/pin.out &
	wait_until 10 grep -q pinned /run/pin.out
	rm $mnt/pinned
	umount $mnt
	check "the same where the file is gone" fails unload
	kill %%
	check "and then lets it go" wait_until 30 unload
	load
	mount_cprfs
}

test_unloading() {
	local i
	umount $mnt
	unload
	for i in $(seq 10); do
		load && mount_cprfs && echo "$i" >$mnt/f && umount $mnt && unload || break
	done
	check "ten times loaded and unloaded" test "$i" = 10
	load
	mount_cprfs
	check "and the last write is there" grep -qx 10 $mnt/f
	umount $mnt
	unload
	check "nothing is left of it" fails grep -q cpr /proc/modules /proc/filesystems /proc/iomem
}

modprobe -q kvm_amd
test_refusals
test_format
for program in files mappings life; do
	run_program $program
done
test_dma
test_persistence
test_states_over_reload
test_image_refusals
test_pinned_unload
test_unloading
exit 0
