#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The module holds the devices of sealed VMs, and maps nothing that the image must not say.
#
# devices.sh [TEST...] - forges images with device records, from right ones to records
# that no kernel writes: the module maps nothing of these, and the host's own driver can
# have the device. No guest and no QEMU runs. Without a TEST, all tests that need an IOMMU
# are run.
set -u

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# Alone in its group; one of two that share a group; an address of nothing.
nic=0000:00:02.0
disk=0000:00:1f.2 bus=0000:00:1f.3
nowhere=0000:00:1e.7
base=/run/devices

ctl() { "$bin/ctl" "$@"; }

# ---- images ----

# tables - print the superblocks and the catalogs, all that is ever forged
tables() { head -c 6M /dev/pmem0; }

# Frames are allocated from the top of the region down: the memory of the VM that is made
# first lies above the other's, and each VM's memory is contiguous.
make_sealed() {
	mkdir "$mnt/$1"
	fallocate -l "$2" "$mnt/$1/ram"
	head -c "$2" /dev/urandom | dd of="$mnt/$1/ram" bs=1M iflag=fullblock conv=notrunc status=none
	head -c 10000 /dev/urandom >"$mnt/$1/state"
	ctl pin "$1" ram && ctl save "$1" && ctl seal "$1"
}

digest_of_files() { (cd $mnt && sha256sum -- */*); }

# Two VMs: `vm`, and `victim`, whose memory the device of `vm` must not reach.
make_base() {
	ctl format force && ctl wait-clean && mount_cprfs &&
		make_sealed victim 4M && make_sealed vm 8M &&
		digest_of_files >$base.files && umount $mnt && unload &&
		attach_pmem && tables >$base.tables && detach_pmem
}

# forge_dma ITEM... - write the base image with ITEMs as the snapshot of vm
forge_dma() {
	attach_pmem || return
	dd if=$base.tables of=/dev/pmem0 bs=2M conv=notrunc status=none
	"$bin/forge-dma" /dev/pmem0 vm "$@"
	local status=$?
	sync
	tables >$base.forged
	detach_pmem
	return $status
}

tables_are_as_forged() {
	attach_pmem
	tables | cmp - $base.forged
	local status=$?
	detach_pmem
	return $status
}

# ---- who has the device ----

# shows VM ADDRESS HOLD [REASON] - netlink reports this of a device
shows() { ctl devices | grep -q "^$1 $2 $3 .*${4:-}"; }

# logs TEXT - the module has logged TEXT
logs() { dmesg | grep -qF "cpr_handover: $1"; }

drive() { echo "$nic" >/sys/bus/pci/drivers/e1000e/"$1"; }

# A native driver is bound when it is loaded, when the device is probed, or by hand.
native_can_have() {
	modprobe e1000e
	[ "$(driver_of $nic)" = e1000e ] || drive bind
	[ "$(driver_of $nic)" = e1000e ] || return
	drive unbind
}

native_cannot_have() {
	modprobe e1000e
	echo "$nic" >/sys/bus/pci/drivers_probe
	[ -z "$(driver_of $nic)" ] || return
	! drive bind 2>/run/bind && grep -q 'Device or resource busy' /run/bind &&
		[ -z "$(driver_of $nic)" ]
}

driver_goes() { modprobe -r e1000e; }

# ---- what the kernel makes of an image ----

# shellcheck disable=SC2120 # test_hold_off has one
arrive() {
	dmesg -C
	load "$@"
}

# not_held DESC ADDRESS HOLD REASON ITEM... - the device is reported as HOLD because of
# REASON, and a driver can have it
not_held() {
	local desc=$1 address=$2 hold=$3 reason=$4
	shift 4
	check "$desc: the image is forged" forge_dma "$@" || return
	check "$desc: it loads" arrive || return
	check "$desc: it is shown as $hold" shows vm "$address" "$hold" "$reason" || ctl devices | sed 's/^/#   /'
	check "$desc: the log says why" logs "VM 'vm': $address is not held: $reason" || dmesg | sed 's/^/#   /'
	check "$desc: nothing is held" fails sh -c "dmesg | grep 'is held'"
	check "$desc: a native driver can have it" native_can_have
	unload
}

# refused DESC REASON ITEM... - the module refuses the whole image, and writes nothing
refused() {
	local desc=$1 reason=$2
	shift 2
	check "$desc: the image is forged" forge_dma "$@" || return
	refuses "$desc: the image is refused" "no catalog verifies: .*$reason.*nothing was written" load
	[ ! -d /sys/module/cpr_handover ] || unload
	check "$desc: nothing was written" tables_are_as_forged
}

# ---- tests ----

# shellcheck disable=SC2054 # these commas are forge-dma's
right=(map=0,vm/ram,8M "device=$nic")

test_right() {
	forge_dma "${right[@]}"
	driver_goes
	check "a module with a device to hold loads" arrive
	check "netlink reports the device as held" shows vm $nic held
	check "netlink reports what the device can reach" test "$(ctl devices)" = "vm $nic held 1 8388608 "
	check "the kernel log reports that the device is held" logs "VM 'vm': $nic is held"
	check "no native driver can have it" native_cannot_have
	unload
	check "a native driver can have the device after the module" native_can_have
}

test_hold_off() {
	check "the module loads with hold=0" arrive hold=0
	check "netlink reports that nothing holds the device" shows vm $nic none
	check "the kernel log has nothing about the device" fails sh -c "dmesg | grep -F $nic.*held"
	check "a native driver can have it" native_can_have
	unload
}

# A driver that is bound before the module loads keeps the device.
test_busy() {
	drive bind
	check "the module loads after a driver" arrive
	check "netlink reports the device as busy" shows vm $nic busy "driver 'e1000e' uses it"
	check "the driver still has it" test "$(driver_of $nic)" = e1000e
	drive unbind
	unload
}

by_vfio() { echo "$1" >/sys/bus/pci/devices/$nic/driver_override && echo "$2" >"/sys/bus/pci/$3"; }

ctl_refuses() {
	local reason=$1
	shift
	! ctl "$@" >/run/ctl && grep -q "$reason" /run/ctl
}

test_release() {
	modprobe vfio-pci
	check "a held device is released" arrive
	check "not while its VM is held" ctl_refuses "the VM is held" release vm
	ctl claim vm
	check "not without vfio-pci" ctl_refuses "$nic is not bound to vfio-pci" release vm
	check "so it is still held" native_cannot_have
	check "vfio-pci may have it meanwhile" by_vfio vfio-pci $nic drivers_probe
	check "it has it" test "$(driver_of $nic)" = vfio-pci
	check "and it is still held" shows vm $nic held
	check "then it is released" ctl release vm
	check "and nobody's" shows vm $nic none
	check "the VM cannot run unverified" ctl_refuses "verify that first" pin vm
	check "it is held again when the VM is" ctl unclaim vm
	check "as is shown" shows vm $nic held
	check "vfio-pci lets go" by_vfio "" $nic drivers/vfio-pci/unbind
	check "no native driver can have it" native_cannot_have
	check "the VM is given up" ctl unpin vm
	check "then a native driver can have it" native_can_have
	check "and nothing is left of it" test -z "$(ctl devices)"
	unload
}

test_lost() {
	forge_dma state=1 "${right[@]}"
	arrive
	check "a VM that ran is lost" test "$(ctl state vm)" = lost
	check "its device is nobody's" shows vm $nic none
	check "a native driver can have it" native_can_have
	unload
}

test_changed() {
	local item
	for item in vendor=0x1234 model=0x5678 subvendor=0x9abc subsystem=0xdef0 class=0x010203 \
		revision=0xee; do
		not_held "another ${item%=*}" $nic changed "it was " "${right[@]}" "$item"
	done
	not_held "another serial number" $nic changed "its serial number was 0000000000000abc" \
		"${right[@]}" serial=0xabc
	not_held "no serial number" $nic changed "its serial number was 0000000000000000" \
		"${right[@]}" serial=0
}

test_missing() {
	not_held "no device" $nowhere missing "there is no device at its address" \
		"${right[@]}" at=$nowhere member=$nowhere
	not_held "no such domain" 10000:00:02.0 missing "there is no device at its address" \
		"${right[@]}" at=10000:00:02.0 member=10000:00:02.0
}

test_group() {
	not_held "a member that left" $nic group "$bus was in its IOMMU group, and is not" \
		"${right[@]}" member=$bus
	not_held "a member that came" $disk group "0000:00:1f.0 is in its IOMMU group, and was not" \
		map=0,vm/ram,8M device=$disk alone member=$disk
	forge_dma map=0,vm/ram,8M device=$disk device=$bus
	check "two devices of a group: it loads" arrive
	check "one is held" shows vm $disk held
	check "so is the other" shows vm $bus held
	unload
	# An IOMMU group has one domain.
	forge_dma map=0,vm/ram,8M device=$disk table map=0,vm/ram,4M device=$bus
	check "two devices of a group that do not reach the same: it loads" arrive
	check "the first one's mappings are held" shows vm $disk held
	check "the other is not" shows vm $bus busy
	unload
}

# Two VMs cannot have one device.
test_two_vms() {
	forge_dma "${right[@]}"
	attach_pmem
	"$bin/forge-dma" /dev/pmem0 victim map=0,victim/ram,4M device=$nic
	detach_pmem
	check "a device of two VMs: it loads" arrive
	check "one holds it" shows victim $nic held
	check "the other is told" shows vm $nic busy
	check "no native driver can have it" native_cannot_have
	ctl unpin victim
	check "and then" native_can_have
	unload
}

leads() { echo "the image leads iova $1 to memory that is not the VM's"; }

# foreign DESC IOVA ITEM... - nothing is mapped, not even the right mappings before IOVA
foreign() {
	local desc=$1 iova=$2
	shift 2
	not_held "$desc" $nic failed "$(leads "$iova")" "$@" device=$nic
}

test_foreign() {
	foreign "another VM's memory" 0x1000000 map=0,vm/ram,8M map=16M,victim/ram,2M
	foreign "a page of it" 0x1000000 map=0,vm/ram,8M map=16M,victim/ram+2044K,4K
	foreign "the VM's own state" 0x1000000 map=0,vm/ram,8M map=16M,vm/state,4K
	foreign "free memory" 0x1000000 map=0,vm/ram,8M map=16M,free+4K,4K
	foreign "beyond the VM's last frame" 0x1000000 map=16M,vm/ram+8188K,8K
	foreign "the last page of the region" 0x1000000 map=0,vm/ram,8M map=16M,region+262140K,4K
	foreign "in another table" 0x1000000 map=0,vm/ram,8M table map=16M,victim/ram,4K
	foreign "one page among many" 0x100000000 maps=500,0,8K,vm/ram,4K map=4G,victim/ram,4K
}

test_refused() {
	local unfit="which is not of class 1" malformed="is bad or out of order"
	refused "the superblock" "$unfit" map=0,region,4K device=$nic
	refused "a catalog" "$unfit" map=0,vm/ram,8M map=16M,region+2M,4K device=$nic
	refused "from the catalog into a frame" "$unfit" map=0,region+6140K,8K device=$nic
	refused "the host's memory" "$unfit" map=0,16M,2M device=$nic
	refused "a device's memory" "$unfit" map=0,0xfebf0000,4K device=$nic
	refused "beyond the region" "$unfit" map=0,region+256M,4K device=$nic
	refused "over the end of the region" "$unfit" map=0,region+262140K,8K device=$nic
	refused "over its beginning" "$unfit" map=0,0xfffff000,8K device=$nic
	refused "memory of the region as a device's" "not of class 2" map=0,vm/ram,8M,2 device=$nic
	refused "as the host's" "not of class 3" map=0,vm/ram,8M,3 device=$nic
	refused "all memory there is" "not of class 2" map=0,0,0x7ffffffffffff000,2 device=$nic
	refused "of class 0" "unknown class 0" map=0,vm/ram,8M,0 device=$nic
	refused "of class 4" "unknown class 4" map=0,vm/ram,8M,4 device=$nic
	refused "a crooked iova" "$malformed" map=0x800,vm/ram,8M device=$nic
	refused "a crooked place" "$malformed" map=0,vm/ram+0x800,4M device=$nic
	refused "a crooked length" "$malformed" map=0,vm/ram,0x1800 device=$nic
	refused "no length" "$malformed" map=0,vm/ram,0 device=$nic
	refused "over the end of all iovas" "$malformed" map=0xfffffffffffff000,vm/ram,8K device=$nic
	refused "up to the end of all iovas" "$malformed" map=0xfffffffffffff000,vm/ram,4K device=$nic
	refused "over the end of all memory" "$malformed" map=0,0xfffffffffffff000,8K device=$nic
	refused "a huge length" "$unfit" map=0,vm/ram,0x7ffffffffffff000 device=$nic
	refused "one over the other" "$malformed" map=0,vm/ram,8K map=4K,vm/ram,4K device=$nic
	refused "one twice" "$malformed" map=0,vm/ram,8K map=0,vm/ram,8K device=$nic
	refused "not in order" "$malformed" map=16M,vm/ram,8K map=0,vm/ram,8K device=$nic
	refused "a table that is not there" "a device has DMA record 1 of 1" "${right[@]}" dma=1
	check "a native driver can have it" native_can_have
	refused "a table that is nowhere near" "a device has DMA record 4294967295 of 1" \
		"${right[@]}" dma=0xffffffff
}

# A mapping that the IOMMU refuses leaves nothing behind.
test_aperture() {
	not_held "an iova that is too large" $nic failed "its mappings could not be set up: " \
		map=0x100000000000000,vm/ram,2M device=$nic
	not_held "one among good ones" $nic failed "its mappings could not be set up: " \
		map=0,vm/ram,4M map=0x100000000000000,vm/ram+4M,2M device=$nic
}

nr_shown() { ctl devices | grep -c "$1"; }

test_counts() {
	forge_dma "${right[@]}" devices=255
	check "256 devices: it loads" arrive
	check "the one that is there is held" native_cannot_have
	check "all are shown" test "$(nr_shown '^vm 0')" = 256
	check "255 as missing" test "$(nr_shown ' missing .*there is no device at its address')" = 255
	check "and all are in the log" test "$(dmesg | grep -c 'is not held: there is no device')" = 255
	unload
	forge_dma maps=1000,0,8K,vm/ram,4K device=$nic
	check "1000 mappings: it loads" arrive
	check "they are there" test "$(ctl devices)" = "vm $nic held 1000 4096000 "
	unload
	# shellcheck disable=SC2046 # they are words
	forge_dma $(yes table | head -n 1000) "${right[@]}" dma=999
	check "1000 tables: it loads" arrive
	check "the last is taken" test "$(ctl devices)" = "vm $nic held 1 8388608 "
	unload
}

# The memory and time that an image can cost the kernel are in proportion to the VM's memory.
test_bounds() {
	local excess="the image has more mappings than the VM's memory can need"
	forge_dma maps=4,0,16M,vm/ram,8M device=$nic
	check "memory mapped four times: it loads" arrive
	check "it is held" test "$(ctl devices)" = "vm $nic held 4 33554432 "
	unload
	not_held "memory mapped five times" $nic failed "$excess" maps=5,0,16M,vm/ram,8M device=$nic
	not_held "mapped over and over, page by page" $nic failed "$excess" \
		maps=1000,4K,16M,vm/ram,8M device=$nic
	not_held "mappings that are far apart" $nic failed "$excess" \
		maps=40000,0,1G,vm/ram,4K device=$nic
	refused "too many devices" "more than 256 devices" "${right[@]}" devices=256
	refused "a group that is too large" "a device has a group of 129" "${right[@]}" members=128
	forge_dma "${right[@]}" members=127
	check "a large group: it loads" arrive
	check "it is shown" shows vm $nic group "0042:"
	unload
}

full() { grep -q 'No space left on device' /run/full; }

# A catalog without space for one more name.
test_full_catalog() {
	local i
	forge_dma maps=65360,0,8K,vm/ram,4K device=$nic
	check "a catalog that is full: it loads" arrive
	mount_cprfs
	for i in $(seq 20); do
		: >"$mnt/$i"
	done 2>/run/full
	check "names are refused" full
	umount $mnt
	unload
	check "no commit failed" fails sh -c "dmesg | grep 'commit .* failed'"
}

test_nothing_changed() {
	forge_dma
	arrive
	mount_cprfs
	check "no file has changed in all these tests" test "$(digest_of_files)" = "$(cat $base.files)"
	umount $mnt
	unload
	check "nothing of the module is left in the kernel" fails grep -q cpr /proc/modules /proc/filesystems /proc/iomem
}

test_no_iommu() {
	check "there is no IOMMU" test -z "$(ls /sys/class/iommu)"
	not_held "no IOMMU" $nic failed "no IOMMU translates for it; is the IOMMU on?" "${right[@]}"
}

# The debug kernel has nd_pmem built in.
detach_pmem
load
check "a region with two sealed VMs is made" make_base
[ $# -gt 0 ] || set -- right hold_off busy release lost changed missing group two_vms foreign \
	refused aperture counts bounds full_catalog
for test; do
	"test_$test"
done
test_nothing_changed
exit 0
