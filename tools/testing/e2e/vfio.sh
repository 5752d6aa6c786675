#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests with passed-through devices run on after an update, and nothing else had the devices.
#
# vfio.sh SERIES NAME=DEVICE[+DEVICE...]... - starts guests with these devices, updates
# this kernel to SERIES, and restores the guests. A DEVICE is a PCI address, slotN, or
# vfN: a virtual function of the NIC in slot N.
#
# Some names have a meaning: `split` has RAM on both sides of the PCI hole, `asleep` is in
# S3 before the save, `iommufd` has its devices by iommufd.
#
# With boot.sh --initrd both kernels boot with the initramfs of a real host, which loads
# the module, and native drivers after it, before this script runs.
#
# No DMA is under way while the kernel changes: the guests are in S3, and their drivers
# have stopped the devices. The test shows that the devices reach the same memory before
# and after, and that no driver of the host had them in between.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

series=$1
shift
specs=("$@")
before=$lab_state/before

# The initramfs of a real host, or the lab's own, which does not have the module.
initrd=/results/initrd
[ -e $initrd ] || initrd=/boot/initrd.img-$(kernel_version "$series")
from_initramfs() { [ $initrd = /results/initrd ]; }

log_has() { dmesg | grep -aqE -- "$1"; }

# The kernel log has both, in this order.
log_order() { dmesg | awk -v one="$1" -v other="$2" '!a && $0 ~ one { a = NR } !b && $0 ~ other { b = NR } END { exit !(a && b && a < b) }'; }

names() { printf '%s\n' "${specs[@]%%=*}"; }

devices_of() {
	local spec
	for spec in "${specs[@]}"; do
		[ "${spec%%=*}" != "$1" ] || tr '+' '\n' <<<"${spec#*=}"
	done
}

addresses_of() {
	local device
	for device in $(devices_of "$1"); do
		device_address "$device"
	done
}

all_devices() { for_names devices_of; }
all_addresses() { for_names addresses_of; }

for_names() {
	local name
	for name in $(names); do
		"$1" "$name"
	done
}

# The guest's drivers for its devices, as the guest prints their names.
drivers_of() {
	local address
	for address in $(addresses_of "$1"); do
		case $(cat "/sys/bus/pci/devices/$address/device") in
		0x10d3) echo e1000e ;;
		0x10ca) echo igbvf ;;
		*) echo nvme ;;
		esac
	done
}

start() {
	local name=$1 size=128M address arguments=() iommufd='' n=0
	[ "$name" != split ] || { size=256M arguments+=(-M max-ram-below-4g=128M); }
	for address in $(addresses_of "$name"); do
		if [ "$name" = iommufd ]; then
			# One object per device: QEMU 10.0 cannot save a guest otherwise.
			n=$((n + 1)) iommufd=,iommufd=mappings$n
			arguments+=(-object "iommufd,id=mappings$n")
		fi
		arguments+=(-device "vfio-pci,host=$address$iommufd")
	done
	start_guest "$name" "$size" -- "${arguments[@]}"
}

# shellcheck disable=SC2046 # they are words
uses_all() { guest_uses "$1" "$2" $(drivers_of "$1"); }

all_by_vfio() {
	local address
	for address in $(addresses_of "$1"); do
		[ "$(driver_of "$address")" = vfio-pci ] || return
	done
}

# show_has NAME REGEXP... - `cpr-helper show` prints all of these
show_has() {
	local name=$1 output regexp
	shift
	output=$(cpr-helper show "$name") || return
	printf '%s\n' "$output"
	for regexp; do
		grep -qiE -- "$regexp" <<<"$output" || return
	done
}

# shellcheck disable=SC2046 # they are words
shows_devices() { show_has "$1" $(addresses_of "$1"); }

# "held" in the line of each device: the VM is held, too.
# shellcheck disable=SC2046 # they are words
shows_held() { show_has "$1" $(addresses_of "$1" | sed 's/$/.*held/'); }

ram_digests() { (cd $mnt && sha256sum -- */ram*); }

facts() { echo "$1 $(last_tick "$1") $(guest_digest "$1") $(wakeups "$1")"; }

run_guests() {
	local name
	! from_initramfs ||
		check "the initramfs reports that there is no image, and the boot goes on" log_has '(cpr-handover: cannot load).*No such device'
	load_module region=1G!4G
	check "the region is formatted" cpr-helper format --label vfio
	# shellcheck disable=SC2046 # they are words
	check "the virtual functions are created" create_vfs $(all_devices)
	for name in $(names); do
		check "$name starts with $(addresses_of "$name" | paste -sd' ')" start "$name"
	done
	for name in $(names); do
		check "$name boots" guest_boots "$name" start "$name"
		check "$name uses its $(drivers_of "$name" | paste -sd' ')" uses_all "$name" 2
		check "vfio-pci has the devices of $name" all_by_vfio "$name"
		check "show prints the devices of $name" shows_devices "$name"
	done
	if names | grep -qx asleep; then
		check "asleep is in S3 before the save" suspend_guest asleep
	fi
}

refused() { "$@"; [ $? -eq 4 ]; }

# notes TEXT COMMAND... - COMMAND succeeds, and prints TEXT
notes() {
	local text=$1 output
	shift
	output=$("$@" 2>&1) || { printf '%s\n' "$output"; return 1; }
	grep -qF -- "$text" <<<"$output"
}

leave_kernel() {
	local name
	check "all guests are saved" cpr-helper save --all
	for name in $(names); do
		check "$name is stopped" guest_status_is "$name" postmigrate
	done
	! names | grep -qx split ||
		check "split has two mappings" show_has split '\b2 (mappings|extents)'
	for_names facts >"$before"
	all_addresses >"$before.addresses"
	ram_digests >"$before.ram"
	say "kexec into $(kernel_version "$series")"
	local update=(cpr-helper update --kernel "$(kernel_version "$series")" --initrd "$initrd")
	if [ "$series" = debug ]; then
		# Its drivers are built in, so the lab's initrd for it has no module at all.
		check "a note says that the initrd cannot be listed" notes "it cannot be listed" "${update[@]}" --dry-run
	elif from_initramfs; then
		check "the initrd has the module" "${update[@]}" --dry-run
	else
		check "an initrd without the module is refused" refused "${update[@]}" --dry-run
		update+=(--force)
	fi
	next_phase
	"${update[@]}" >&2
	not_ok "kexec into $series"
}

# The module is loaded first, as from an initramfs; native drivers come after it.
probe_native() {
	local address native
	for address in $(all_addresses); do
		native=$(native_driver "$address")
		if [ -z "$native" ]; then
			skip "no native driver is bound to $address" "this kernel has none"
			continue
		fi
		modprobe "$native"
		echo "$address" >/sys/bus/pci/drivers_probe
		check "$native is not bound to $address" test -d "/sys/module/${native//-/_}" -a -z "$(driver_of "$address")"
	done
}

# This phase has loaded no driver yet.
initramfs_was_first() {
	local address
	check "the initramfs has loaded the module" test -d /sys/module/cpr_handover
	for address in $(all_addresses); do
		check "the module held $address before $(native_driver "$address") was loaded" \
			log_order "$address is held" "$(native_driver "$address"): "
		check "no driver is bound to $address" test -z "$(driver_of "$address")"
	done
}

restore_guests() {
	local name
	check "kexec into $series" test "$(uname -r)" = "$(kernel_version "$series")"
	! from_initramfs || initramfs_was_first
	load_module
	! modprobe -qn igbvf || modprobe igbvf
	# shellcheck disable=SC2046 # they are words
	check "the virtual functions are created late" create_vfs $(all_devices)
	all_addresses >"$before.addresses.now"
	check "every device has the address that it had" cmp "$before.addresses" "$before.addresses.now"
	for name in $(names); do
		check "the module holds the devices of $name" shows_held "$name"
	done
	probe_native
	mount_cprfs
	ram_digests >"$before.ram.now"
	check "every byte of the guests' RAM is what it was" cmp "$before.ram" "$before.ram.now"
	check "all guests are restored" cpr-helper restore --all
}

# The guest continues with its memory and devices, and was in S3 once in between.
runs_on() {
	local name=$1 tick sum woken
	read -r _ tick sum woken < <(grep "^$name " "$before")
	wait_tick "$name" $((tick + 3)) 60 && uses_all "$name" $((tick + 3)) &&
		[ "$(guest_digest "$name")" = "$sum" ] && [ "$(wakeups "$name")" = $((woken + 1)) ] &&
		booted_once "$name"
}

check_guests() {
	local name
	for name in $(names); do
		if [ "$name" = asleep ]; then
			check "asleep is still in S3" guest_status_is asleep suspended
			qmp asleep system_wakeup >/dev/null
		fi
		check "$name runs on with its memory and devices" runs_on "$name"
		check "vfio-pci has the devices of $name" all_by_vfio "$name"
		check "the DMA mappings of $name were verified" dma_verified "$name"
		cp "$(guest_console "$name")" "/results/$name.console"
	done
}

# Nothing is left behind: the module unloads, and native drivers can have the devices.
clean_up() {
	local address native
	# shellcheck disable=SC2046 # they are words
	end_guests $(names)
	for address in $(all_addresses); do
		native=$(native_driver "$address")
		[ -n "$native" ] || continue
		bind_native "$address"
		check "$native can have $address then" test "$(driver_of "$address")" = "$native"
	done
}

# virtio-iommu remaps no interrupts, so that VFIO needs allow_unsafe_interrupts. Under it,
# 6.12 gives a device an IOMMU group only when a driver is offered to it, as a real host
# does at boot.
if [ -e /sys/bus/virtio/drivers/virtio_iommu ]; then
	[ "$(phase)" != 1 ] || modprobe -a e1000e nvme
	echo options vfio_iommu_type1 allow_unsafe_interrupts=1 >/etc/modprobe.d/lab.conf
fi

if [ "$(phase)" = 1 ]; then
	run_guests
	leave_kernel
else
	restore_guests
	check_guests
	clean_up
fi
exit 0
