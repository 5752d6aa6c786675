#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The module holds the devices of sealed VMs, gives none in doubt to the host, takes none of it.
#
# devices.sh [TEST...] - forges images with device records, from right ones to records
# that no kernel writes: the module maps nothing of these. What is certainly another
# device, a driver of the host can have; what may be the recorded one, it cannot, until it
# is given up. No guest and no QEMU runs. Without a TEST, all tests that need an IOMMU are
# run, for which --with e1000e is needed.
set -u

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# One of two that share a group; an address of nothing.
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

# quarantined DESC ADDRESS REASON ITEM... - the device is reported as quarantined because of
# REASON, and no native driver can have it
quarantined() {
	local desc=$1 address=$2 reason=$3
	shift 3
	check "$desc: the image is forged" forge_dma "$@" || return
	driver_goes
	check "$desc: it loads" arrive || return
	check "$desc: it is shown as quarantined" shows vm "$address" quarantined "$reason" || ctl devices | sed 's/^/#   /'
	check "$desc: the log says why" logs "VM 'vm': $address is quarantined: $reason" || dmesg | sed 's/^/#   /'
	check "$desc: nothing is held" fails sh -c "dmesg | grep 'is held'"
	[ "$address" != $nic ] || check "$desc: no native driver can have it" native_cannot_have
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
	check "netlink reports the device as busy" shows vm $nic busy "driver 'e1000e' of $nic uses its IOMMU group"
	check "the driver still has it" test "$(driver_of $nic)" = e1000e
	drive unbind
	check "it is held as soon as the driver lets go" shows vm $nic held
	check "the driver cannot have it again" native_cannot_have
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
	for item in vendor=0x1234 model=0x5678 subvendor=0x9abc subsystem=0xdef0 class=0x010203; do
		not_held "another ${item%=*}" $nic changed "it was " "${right[@]}" "$item"
	done
	not_held "another serial number" $nic changed "its serial number was 0000000000000abc" \
		"${right[@]}" serial=0xabc
}

test_doubtful() {
	quarantined "another revision" $nic "its revision was ee, and is " "${right[@]}" revision=0xee
	quarantined "no serial number before" $nic "it had no serial number, and has " \
		"${right[@]}" serial=0
}

test_missing() {
	not_held "no device" $nowhere missing "there is no device at its address" \
		"${right[@]}" at=$nowhere member=$nowhere
	not_held "no such domain" 10000:00:02.0 missing "there is no device at its address" \
		"${right[@]}" at=10000:00:02.0 member=10000:00:02.0 serial=0
}

# shellcheck disable=SC2054 # these commas are forge-dma's
pair=(map=0,vm/ram,8M "device=$disk" "device=$bus")

test_group() {
	quarantined "a member that left" $nic "$bus was in its IOMMU group, and is not" \
		"${right[@]}" member=$bus
	quarantined "a member that came" $disk "0000:00:1f.0 is in its IOMMU group, and was not" \
		map=0,vm/ram,8M device=$disk alone member=$disk
	forge_dma "${pair[@]}"
	check "two devices of a group: it loads" arrive
	check "one is held" shows vm $disk held
	check "so is the other" shows vm $bus held
	unload
	# An IOMMU group has one domain.
	quarantined "two devices of a group that do not reach the same" $disk \
		"$bus, of its IOMMU group, has other mappings" \
		map=0,vm/ram,8M device=$disk table map=0,vm/ram,4M device=$bus
	quarantined "a device that is another one than it was, in the group" $disk \
		"$bus, of its IOMMU group, is another device than it was" "${pair[@]}" vendor=0x1234
}

remove() { echo 1 >"/sys/bus/pci/devices/$1/remove"; }
rescan() { echo 1 >/sys/bus/pci/rescan; }

# Devices of a group that appear one by one, as VFs do.
test_late() {
	forge_dma "${pair[@]}"
	remove $disk
	remove $bus
	check "a group that is not there yet: it loads" arrive
	check "both devices are missing" test "$(nr_shown ' missing ')" = 2
	rescan
	check "one is held when both are there" shows vm $disk held
	check "so is the other" shows vm $bus held
	check "the first was quarantined until then" sh -c "dmesg | grep -E 'is quarantined: ($bus|$disk) was in its IOMMU group, and is not'"
	remove $bus
	check "one of them is removed: it is missing" shows vm $bus missing "it was removed"
	check "the other one is quarantined" shows vm $disk quarantined "$bus was in its IOMMU group, and is not"
	rescan
	check "it comes back: it is held" shows vm $bus held
	check "so is the other again" shows vm $disk held
	remove $disk
	remove $bus
	check "both are removed: both are missing" test "$(nr_shown ' missing ')" = 2
	rescan
	check "both come back: both are held" test "$(nr_shown ' held ')" = 2
	unload
	forge_dma "${right[@]}"
	remove $nic
	driver_goes
	arrive
	modprobe e1000e
	check "a device that is not there yet" shows vm $nic missing
	rescan
	check "it appears: it is held" shows vm $nic held
	check "the driver that waited for it does not have it" test -z "$(driver_of $nic)"
	remove $nic
	check "the only device of a group is removed" shows vm $nic missing
	rescan
	check "it appears again: it is held" shows vm $nic held
	unload
	check "the kernel did not warn of a group" fails sh -c "dmesg | grep -i 'WARNING'"
}

test_moved() {
	local there=0042:00:02.0
	forge_dma "${right[@]}" at=$there member=$there
	driver_goes
	check "a device with another address: it loads" arrive
	check "it is quarantined where its serial number is" shows vm $there quarantined \
		"it was found at $nic, by its serial number @$nic"
	check "no native driver can have it there" native_cannot_have
	check "it is not given up by its old address" ctl_refuses "no held VM has a device at $there" give-up $there
	check "but by its new one" ctl give-up $nic
	check "then a native driver can have it" native_can_have
	unload
	not_held "another function of the card with this serial number" 0042:00:02.1 missing \
		"there is no device at its address" "${right[@]}" at=0042:00:02.1 member=0042:00:02.1
}

# The port's bus gets another number, so that nothing answers at the device's address.
test_unreadable() {
	local device port=/sys/bus/pci/devices/0000:00:11.0/config numbers
	device=$(slot_address 1)
	check "there is a device behind a port" test -n "$device" || return
	forge_dma map=0,vm/ram,8M device="$device"
	driver_goes
	numbers=$(od -An -tx1 -j25 -N2 $port)
	printf '\xfe\xfe' | dd of=$port bs=1 seek=25 conv=notrunc status=none
	check "a device that does not answer: it loads" arrive
	check "it is quarantined" shows vm "$device" quarantined "its configuration space cannot be read" || ctl devices | sed 's/^/#   /'
	# shellcheck disable=SC2059 # the numbers are in the format
	printf "$(sed 's/ /\\x/g' <<<"$numbers")" | dd of=$port bs=1 seek=25 conv=notrunc status=none
	ctl claim vm && ctl unclaim vm
	check "it answers again: it is held" shows vm "$device" held
	modprobe e1000e
	check "no native driver has it" test -z "$(driver_of "$device")"
	unload
}

test_give_up() {
	forge_dma "${right[@]}"
	driver_goes
	arrive
	check "a device that is held is not given up" ctl_refuses "$nic is held, not quarantined; restore its VM, or delete it" give-up $nic
	check "nor one that no VM has" ctl_refuses "no held VM has a device at $disk" give-up $disk
	check "nor any" ctl_refuses "the address of the device must be given" give-up
	unload
	forge_dma "${right[@]}" revision=0xee
	arrive
	ctl claim vm
	modprobe vfio-pci
	by_vfio vfio-pci $nic drivers_probe
	check "a VM with a quarantined device is not restored" ctl_refuses "$nic is not held; device-get and the kernel log say why" release vm
	by_vfio "" $nic drivers/vfio-pci/unbind
	ctl unclaim vm
	check "it is still quarantined" shows vm $nic quarantined
	check "no native driver can have it" native_cannot_have
	check "it is given up" ctl give-up $nic
	check "as is shown" shows vm $nic released "an operator has given it to the host"
	check "and in the log" logs "VM 'vm': $nic is released: an operator has given it to the host"
	check "a native driver can have it" native_can_have
	check "not twice" ctl_refuses "$nic was released already" give-up $nic
	ctl claim vm && ctl unclaim vm
	check "it is not owned again with its VM" native_can_have
	remove $nic
	rescan
	check "nor when it appears again" native_can_have
	check "it is still shown as released" shows vm $nic released
	unload
	driver_goes
	arrive
	check "it is quarantined again when the module is loaded again" shows vm $nic quarantined
	unload
	forge_dma "${pair[@]}" vendor=0x1234
	arrive
	check "one of a group is given up" ctl give-up $disk
	check "the other one was not the VM's" shows vm $bus changed
	unload
}

# Two VMs cannot have one device.
test_two_vms() {
	forge_dma "${right[@]}"
	attach_pmem
	"$bin/forge-dma" /dev/pmem0 victim map=0,victim/ram,4M device=$nic
	detach_pmem
	driver_goes
	check "a device of two VMs: it loads" arrive
	check "it is quarantined for one" shows victim $nic quarantined "another VM has it"
	check "and for the other" shows vm $nic quarantined "another VM has it"
	check "no native driver can have it" native_cannot_have
	ctl unpin victim
	check "one is deleted: it is held for the other" shows vm $nic held
	check "still no native driver can have it" native_cannot_have
	unload
}

# Call FN, and print how often functions of the module, and of kmalloc, were called in what it
# made hold.c do. What compares two addresses is not counted: a look-up compares all that are
# in the same bucket of its hash table, which are a few if there are thousands.
count_calls() { # FN
	local t=/sys/kernel/tracing
	[ -d $t/events ] || mount -t tracefs tracefs $t >&2
	echo 0 >$t/tracing_on
	echo >$t/trace
	echo hold_on_bus_event >$t/set_graph_function
	echo ':mod:cpr_handover' >$t/set_ftrace_filter
	echo '!cpr_pci_same' >>$t/set_ftrace_filter
	echo '*kmalloc*' >>$t/set_ftrace_filter
	echo 'kmem_cache_alloc*' >>$t/set_ftrace_filter
	echo function_graph >$t/current_tracer
	echo nofuncgraph-irqs >$t/trace_options
	echo 1 >$t/tracing_on
	"$1"
	echo 0 >$t/tracing_on
	grep -cE '\(\) *[;{]|\(.*\) *[;{]' $t/trace
	cp $t/trace "/results/trace-$nr_vms"
	echo nop >$t/current_tracer
	echo >$t/set_graph_function
	echo >$t/set_ftrace_filter
}

# The SMBus is nobody's.
bus_comes_and_goes() {
	remove $bus
	rescan
}

# What a device that appears costs does not depend on the number of VMs.
test_cost() {
	local one many nr_vms
	if ! grep -qw function_graph /sys/kernel/debug/tracing/available_tracers 2>/dev/null; then
		skip "a device that appears costs the same, however many VMs are held" "this kernel cannot trace functions"
		return
	fi
	attach_pmem
	dd if=$base.tables of=/dev/pmem0 bs=2M conv=notrunc status=none
	detach_pmem
	load
	mount_cprfs
	check "500 more VMs are sealed" ctl crowd 500
	umount $mnt
	unload
	attach_pmem
	"$bin/forge-dma" /dev/pmem0 crowd-0 table devices=8
	detach_pmem
	arrive
	nr_vms=1
	one=$(count_calls bus_comes_and_goes)
	unload
	attach_pmem
	"$bin/forge-dma" /dev/pmem0 'crowd-*' table devices=8
	detach_pmem
	arrive
	nr_vms=500
	check "4000 devices are missing" test "$(nr_shown ' missing ')" = 4000
	many=$(count_calls bus_comes_and_goes)
	check "a device that appears costs something: $one calls" test "$one" -gt 4
	check "it costs the same with 500 VMs: $many calls" test "$many" = "$one"
	unload
}

# As in run.sh: all tasks are frozen, and the suspend ends. Without that, nothing would wake L1.
test_sleep() {
	if [ ! -e /sys/power/pm_test ]; then
		skip "the host is suspended while a device is held" "this kernel cannot end a suspend by itself"
		return
	fi
	forge_dma "${right[@]}"
	driver_goes
	arrive
	echo 1 >/sys/module/suspend/parameters/pm_test_delay
	echo freezer >/sys/power/pm_test
	check "the host is suspended while a device is held" sh -c 'echo freeze >/sys/power/state'
	echo none >/sys/power/pm_test
	check "it is still held" shows vm $nic held
	check "no native driver can have it" native_cannot_have
	unload
}

leads() { echo "the image leads iova $1 to memory that is not the VM's"; }

# foreign DESC IOVA ITEM... - nothing is mapped, not even the right mappings before IOVA
foreign() {
	local desc=$1 iova=$2
	shift 2
	quarantined "$desc" $nic "$(leads "$iova")" "$@" device=$nic
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
	quarantined "an iova that is too large" $nic "its mappings could not be set up: " \
		map=0x100000000000000,vm/ram,2M device=$nic
	quarantined "one among good ones" $nic "its mappings could not be set up: " \
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
	quarantined "memory mapped five times" $nic "$excess" maps=5,0,16M,vm/ram,8M device=$nic
	quarantined "mapped over and over, page by page" $nic "$excess" \
		maps=1000,4K,16M,vm/ram,8M device=$nic
	quarantined "mappings that are far apart" $nic "$excess" \
		maps=40000,0,1G,vm/ram,4K device=$nic
	refused "too many devices" "more than 256 devices" "${right[@]}" devices=256
	refused "a group that is too large" "a device has a group of 129" "${right[@]}" members=128
	forge_dma "${right[@]}" members=127
	check "a large group: it loads" arrive
	check "it is shown" shows vm $nic quarantined "0042:"
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
[ $# -gt 0 ] || set -- right hold_off busy release lost changed doubtful missing group late moved \
	unreadable give_up two_vms foreign refused aperture counts bounds cost sleep full_catalog
for test; do
	"test_$test"
done
test_nothing_changed
exit 0
