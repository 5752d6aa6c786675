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
	refuses "load without a region: no image anywhere" "no persistent range has a handover image" modprobe cpr_handover
	refuses "load: a region that is not of the right form" "region=12 is not of the form" modprobe cpr_handover region=12
	refuses "load: a region in System RAM" "it is System RAM" modprobe cpr_handover region=64M!1G
	refuses "load: a region half in System RAM" "it is System RAM" modprobe cpr_handover region=64M!0x142000000
	refuses "load: a region that is not persistent" "not a persistent range" modprobe cpr_handover region=64M!3G
	refuses "load: a misaligned start" "not aligned to 2 MiB" modprobe cpr_handover region=64M!0x100001000
	refuses "load: a misaligned size" "not aligned to 2 MiB" modprobe cpr_handover region=65537K!4G
	refuses "load: a region over two adjacent ranges" "it spans 2 persistent ranges" modprobe cpr_handover region=128M!0x13c000000
	refuses "load: a region that is too small" "of 2 MiB is outside of 16 MiB" modprobe cpr_handover region=2M!4G
	attach_pmem
	refuses "load: a region that nd_pmem owns" "another driver has claimed it, .*nd_pmem/unbind" load
	detach_pmem
	check "the module loads when nd_pmem has released the region" load
	check "an unformatted region cannot be mounted" fails mount_cprfs
	unload
}

test_format() {
	load
	check "the region is formatted" "$bin/ctl" format
	check "a second format is refused" fails "$bin/ctl" format
	check "a second format with force succeeds" "$bin/ctl" format force
	check "the formatted region is mounted" mount_cprfs
}

# A test of the kernel ends a suspend once all tasks are frozen: L1's results are on a device
# that does not survive more.
test_sleep() {
	if [ ! -e /sys/power/pm_test ]; then
		skip "hibernation is refused while the region has an image" "this kernel cannot hibernate"
		return
	fi
	truncate -s 0 $mnt/f && fallocate -l 4M $mnt/f
	echo 1 >/sys/module/suspend/parameters/pm_test_delay
	echo freezer >/sys/power/pm_test
	refuses "hibernation is refused while the region has an image" \
		"refusing to hibernate: .* with [1-9][0-9]* frames of files, .*suspend to RAM instead" \
		bash -c 'echo disk >/sys/power/state'
	check "the reason is EBUSY" grep -qi "busy" /run/refuses
	check "a suspend is not refused" sh -c 'echo freeze >/sys/power/state'
	check "files can be written after it" sh -c "echo x >$mnt/f && sync -f $mnt"
	echo none >/sys/power/pm_test
	rm $mnt/f
}

test_image_refusals() {
	local before said
	umount $mnt
	unload
	before=$(digest_of_region)
	forge major 2
	refuses "load: an image of a newer major version" "image version 2.2, this code reads 1.x" load
	forge major 1
	forge incompat 4
	refuses "load: an image with an unknown feature" "unknown incompatible features 0x4" load
	forge incompat 0
	forge start 0x200000000
	refuses "load: an image of another region" "its image is for 0x10000000 bytes at 0x200000000" load
	forge start 0x100000000
	forge spoil-both
	refuses "load: an image with two bad catalogs" "no catalog verifies" load
	forge spoil-both
	check "the refusals wrote nothing" test "$before" = "$(digest_of_region)"
	forge slot 0
	check "the module loads with one bad catalog" load
	unload
	forge super 0
	said=$(load 2>&1; dmesg | tail -n 5)
	check "the module loads with one bad superblock, and repairs it" grep -q "superblock copy 0 did not verify and was rewritten" <<<"$said"
	check "the module finds the region without an option" sh -c "rmmod cpr_handover && modprobe cpr_handover"
	mount_cprfs
}

# Damage is reported as damage: neither as "not formatted" nor as another version, and it is
# not answered with an older catalog.
test_bit_rot() {
	local before said copy=$((64 << 10))
	umount $mnt
	unload
	forge flip 8 0
	said=$(load 2>&1; dmesg | tail -n 5)
	check "bit rot: a bit of the version: the superblock is repaired from its copy" grep -q "superblock copy 0 did not verify and was rewritten" <<<"$said"
	unload

	forge flip 3 1
	forge flip $((copy + 100)) 5
	refuses "bit rot: both superblocks: the image is damaged" "superblock checksum is wrong; nothing was written" load
	refuses "bit rot: both superblocks: the region is found without an option, and refused" "superblock checksum is wrong" modprobe cpr_handover
	forge flip $((copy + 100)) 5
	forge flip $((copy + 7)) 0
	refuses "bit rot: the magic of both superblocks: the image is damaged" "no superblock, but a catalog at 0x200000; nothing was written" load
	refuses "bit rot: the magic of both superblocks: the region is found without an option, and refused" "no superblock, but a catalog at 0x200000" modprobe cpr_handover
	forge flip 3 1
	forge flip $((copy + 7)) 0

	forge advance
	forge current
	before=$(digest_of_region)
	refuses "bit rot: the current catalog: the older one is not used" "slot [01] is damaged: checksum of the records is wrong; slot [01] has generation [0-9]*, which may be older; nothing was written" load
	check "bit rot: the refusal wrote nothing" test "$before" = "$(digest_of_region)"
	forge current
	check "bit rot: the module loads when the damage is undone" load
	mount_cprfs

	make_vm sealed
	"$bin/ctl" save sealed
	echo manifest >$mnt/sealed/manifest.json
	"$bin/ctl" seal sealed $mnt/sealed/manifest.json $mnt/sealed/ram
	umount $mnt
	unload
	forge current
	said=$(load 2>&1; dmesg | tail -n 5)
	check "bit rot: the current catalog after a seal: the other one is used" grep -q "catalog slot [01] is damaged: checksum of the records is wrong; slot [01] is used, and the next commit rewrites slot [01]" <<<"$said"
	check "bit rot: the sealed VM is held" test "$("$bin/ctl" state sealed)" = held
	mount_cprfs
	"$bin/ctl" unpin sealed
	rm -r $mnt/sealed
	umount $mnt
	unload
	dmesg -C
	load
	check "bit rot: the damaged slot was rewritten" fails sh -c "dmesg | grep 'is damaged'"
	mount_cprfs
}

# The memory that a device can reach, by iommufd if the kernel has iommufd: the debug
# kernel has it, and is too slow to test VFIO's type 1 as well.
test_dma() {
	give_nic_to_vfio
	if [ -c /dev/iommu ]; then
		run_program dma $nic iommufd
	else
		run_program dma $nic type1
	fi
	take_nic_back
}

test_persistence() {
	make_tree $mnt/a
	mkdir $mnt/empty
	# The first reader sets the access times.
	fingerprint $mnt >/dev/null
	fingerprint $mnt >/run/before
	check "the region has many files" test "$(wc -l </run/before)" -gt 300
	umount $mnt
	check "cprfs is mounted again after an unmount" mount_cprfs
	check "all files are what they were before the unmount" same_tree $mnt /run/before
	check "the module is not unloaded while cprfs is mounted" fails unload
	umount $mnt
	check "the module is unloaded when cprfs is not mounted" unload
	check "the module is loaded again" load
	mount_cprfs
	check "all files are what they were before the module was unloaded" same_tree $mnt /run/before
	rm -r $mnt/a $mnt/empty
}

make_vm() {
	mkdir $mnt/"$1"
	fallocate -l 4M $mnt/"$1"/ram
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
	check "both sealed VMs have two digests" test "$(cat /run/digests.* | grep -c '^[0-9a-f]\{32\}$')" = 4
	"$bin/ctl" claim claimed
	check "a sealed VM gets a room" "$bin/ctl" room sealed 12M 7
	umount $mnt
	unload
	load
	check "reload: a running VM is lost" test "$("$bin/ctl" state running)" = lost
	check "reload: a saved VM is lost" test "$("$bin/ctl" state saved)" = lost
	check "reload: a sealed VM is held" test "$("$bin/ctl" state sealed)" = held
	check "reload: a VM whose restore was cut off is held" test "$("$bin/ctl" state claimed)" = held
	check "reload: the sealed VM has its digests" sh -c "$bin/ctl digests sealed | cmp - /run/digests.sealed"
	check "reload: the VM whose restore was cut off has no digest of its memory" test "$("$bin/ctl" digests claimed)" = "$(head -n 1 /run/digests.claimed)
-"
	check "reload: the sealed VM has its room" test "$("$bin/ctl" room sealed)" = "6 frames and 7 names, 3 and 2 used"
	check "netlink reports a region that is not mounted" sh -c "$bin/ctl status | grep -q mounted=0"
	mount_cprfs
	check "the files of a lost VM cannot be written" fails sh -c "echo x >$mnt/running/ram"
	check "a lost VM is unpinned" "$bin/ctl" unpin running
	check "a held VM is claimed" "$bin/ctl" claim sealed
	check "the claimed VM is unclaimed" "$bin/ctl" unclaim sealed
	check "the unclaimed VM has its digests" sh -c "$bin/ctl digests sealed | cmp - /run/digests.sealed"
	check "the unclaimed VM is held" test "$("$bin/ctl" state sealed)" = held
	for vm in running saved sealed claimed; do
		"$bin/ctl" unpin $vm
		rm -r "${mnt:?}/$vm"
	done
}

# A crash between a write beyond the end of a file and the next commit leaves the data, but
# not the size. Here it is in the first frame of a file, and in a second one that the file
# has beyond its end.
test_crash_beyond_end() {
	local frame
	: >/run/frames
	head -c 100 /dev/zero >$mnt/short
	fallocate -n -l 4M $mnt/short
	umount $mnt
	unload
	head -c 1M /dev/zero | tr '\0' x >/run/xs
	attach_pmem
	for frame in $(cpr-helper inspect --json /dev/pmem0 | jq '.files[] | select(.path == "/short") | .extents[] | range(.frame; .frame + .count)'); do
		dd if=/run/xs of=/dev/pmem0 bs=4K seek=$((frame * 512 + 1)) oflag=direct status=none
		echo "$frame" >>/run/frames
	done
	detach_pmem
	load
	mount_cprfs
	truncate -s 6M $mnt/short
	check "the crash has left data in two frames" test "$(wc -l </run/frames)" = 2
	check "data beyond the end of a file before a crash does not come back when the file grows" cmp -n 6M $mnt/short /dev/zero
	rm $mnt/short
}

# Pinned pages outlive file, mapping and mount; the module must, too.
test_pinned_unload() {
	truncate -s 2M $mnt/pinned
	"$bin/pin" $mnt/pinned >/run/pin.out &
	wait_until 10 grep -q pinned /run/pin.out
	umount $mnt
	check "a pinned page holds the module after the unmount" fails unload
	kill %%
	check "the module is unloaded when the page is unpinned" wait_until 30 unload
	load
	mount_cprfs
	"$bin/pin" $mnt/pinned >/run/pin.out &
	wait_until 10 grep -q pinned /run/pin.out
	rm $mnt/pinned
	umount $mnt
	check "a pinned page of a removed file holds the module" fails unload
	kill %%
	check "the module is unloaded when that page is unpinned" wait_until 30 unload
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
	check "the module is loaded and unloaded ten times" test "$i" = 10
	load
	mount_cprfs
	check "the last write is there after that" grep -qx 10 $mnt/f
	umount $mnt
	unload
	check "nothing of the module is left in the kernel" fails grep -q cpr /proc/modules /proc/filesystems /proc/iomem
}

modprobe -q kvm_amd
test_refusals
test_format
for program in files mappings life revoke privilege room; do
	run_program $program
done
test_dma
test_persistence
test_states_over_reload
test_sleep
test_image_refusals
test_bit_rot
test_crash_beyond_end
test_pinned_unload
test_unloading
exit 0
