#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# vfio.sh SERIES NAME=DEVICE[+DEVICE...]... - guests with real devices run on
# after their host has gone from this kernel to SERIES. A device is a PCI
# address, slotN, or vfN: a virtual function of the NIC in slot N.
#
# What some names mean: `split` has its RAM on both sides of the PCI hole,
# `asleep` is in S3 before it is saved, `iommufd` has its devices by iommufd.
#
# With boot.sh --initrd both kernels come up by what a real host would boot with,
# so that the module, and native drivers after it, are loaded before this runs.
#
# No DMA is under way while the kernel changes: the guests are in S3, and their
# drivers have stopped the devices. What is shown here is that all they could
# reach before they can reach after it, and nothing else had them meanwhile.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/guest.sh"

series=$1
shift
specs=("$@")
before=$lab_state/before

# The initramfs of a real host, or the lab's own, which knows nothing of the module.
initrd=/results/initrd
[ -e $initrd ] || initrd=/boot/initrd.img-$(kernel_of "$series")
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
		address_of "$device"
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

# The guest's drivers for them, as its lines name these.
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
			# each an object of its own: QEMU 10.0 cannot save a guest otherwise
			n=$((n + 1)) iommufd=,iommufd=mappings$n
			arguments+=(-object "iommufd,id=mappings$n")
		fi
		arguments+=(-device "vfio-pci,host=$address$iommufd")
	done
	start_guest "$name" "$size" -- "${arguments[@]}"
}

# shellcheck disable=SC2046 # they are words
uses_all() { uses "$1" "$2" $(drivers_of "$1"); }

all_by_vfio() {
	local address
	for address in $(addresses_of "$1"); do
		[ "$(driver_of "$address")" = vfio-pci ] || return
	done
}

# show_has NAME REGEXP... - cpr-helper shows all this of it
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

# In the line of each, as the VM is held, too.
# shellcheck disable=SC2046 # they are words
shows_held() { show_has "$1" $(addresses_of "$1" | sed 's/$/.*held/'); }

ram_digests() { (cd $mnt && sha256sum -- */ram*); }

facts() { echo "$1 $(last_tick "$1") $(guest_sum "$1") $(wakes "$1")"; }

run_guests() {
	local name
	! from_initramfs ||
		check "the initramfs finds no image, and boots all the same" log_has '(cpr-handover: cannot load).*No such device'
	load_module region=1G!4G
	check "the region is formatted" cpr-helper format --label vfio
	# shellcheck disable=SC2046 # they are words
	check "there are VFs, if they are wanted" make_vfs $(all_devices)
	for name in $(names); do
		check "$name starts with $(addresses_of "$name" | paste -sd' ')" start "$name"
	done
	for name in $(names); do
		check "$name runs" boots "$name" start "$name"
		check "$name uses its $(drivers_of "$name" | paste -sd' ')" uses_all "$name" 2
		check "$name has them by vfio-pci" all_by_vfio "$name"
		check "$name is shown with its devices" shows_devices "$name"
	done
	if names | grep -qx asleep; then
		ask_agent asleep guest-suspend-ram >&2
		check "asleep is in S3 already" until_ok 60 runstate_is asleep suspended
	fi
}

refused() { "$@"; [ $? -eq 4 ]; }

# notes TEXT COMMAND... - it does what it should, and says this
notes() {
	local text=$1 output
	shift
	output=$("$@" 2>&1) || { printf '%s\n' "$output"; return 1; }
	grep -qF -- "$text" <<<"$output"
}

leave() {
	local name
	check "all are saved" cpr-helper save --all
	for name in $(names); do
		check "$name stands still" runstate_is "$name" postmigrate
	done
	! names | grep -qx split ||
		check "split has two mappings" show_has split '\b2 (mappings|extents)'
	for_names facts >"$before"
	all_addresses >"$before.addresses"
	ram_digests >"$before.ram"
	say "kexec into $(kernel_of "$series")"
	local update=(cpr-helper update --kernel "$(kernel_of "$series")" --initrd "$initrd")
	if [ "$series" = debug ]; then
		# what its drivers are built in for: the lab's initrd of it has no module at all
		check "an initrd that cannot be judged is noted" notes "it cannot be listed" "${update[@]}" --dry-run
	elif from_initramfs; then
		check "the initrd has the module" "${update[@]}" --dry-run
	else
		check "an initrd without the module is refused" refused "${update[@]}" --dry-run
		update+=(--force)
	fi
	next_phase
	"${update[@]}" >&2
	not_ok "kexec goes to $series"
}

# The module is there first, as from an initramfs; then come native drivers.
tempt() {
	local address native
	for address in $(all_addresses); do
		native=$(native_driver "$address")
		if [ -z "$native" ]; then
			skip "no native driver gets $address" "this kernel has none"
			continue
		fi
		modprobe "$native"
		echo "$address" >/sys/bus/pci/drivers_probe
		check "$native does not get $address" test -d "/sys/module/${native//-/_}" -a -z "$(driver_of "$address")"
	done
}

# Nothing of this phase has loaded a driver yet.
came_first() {
	local address
	check "the initramfs has loaded the module" test -d /sys/module/cpr_handover
	for address in $(all_addresses); do
		check "it held $address, and then $(native_driver "$address") came" \
			log_order "$address is held" "$(native_driver "$address"): "
		check "and did not get it" test -z "$(driver_of "$address")"
	done
}

arrive() {
	local name
	check "kexec goes to $series" test "$(uname -r)" = "$(kernel_of "$series")"
	! from_initramfs || came_first
	load_module
	! modprobe -qn igbvf || modprobe igbvf
	# shellcheck disable=SC2046 # they are words
	check "VFs come late" make_vfs $(all_devices)
	all_addresses >"$before.addresses.now"
	check "every device is where it was" cmp "$before.addresses" "$before.addresses.now"
	for name in $(names); do
		check "$name's devices are held" shows_held "$name"
	done
	tempt
	mkdir -p $mnt
	mount -t cprfs cprfs $mnt
	ram_digests >"$before.ram.now"
	check "every byte of the guests' RAM is what it was" cmp "$before.ram" "$before.ram.now"
	check "all are restored" cpr-helper restore --all
}

# It goes on from where it was, with what it had, and slept once meanwhile.
goes_on() {
	local name=$1 tick sum woken
	read -r _ tick sum woken < <(grep "^$name " "$before")
	ticks "$name" $((tick + 3)) 60 && uses_all "$name" $((tick + 3)) &&
		[ "$(guest_sum "$name")" = "$sum" ] && [ "$(wakes "$name")" = $((woken + 1)) ] &&
		[ "$(grep -ac 'GUEST up' "$(guest_console "$name")")" = 1 ]
}

check_guests() {
	local name
	for name in $(names); do
		if [ "$name" = asleep ]; then
			check "asleep still is" runstate_is asleep suspended
			qmp asleep system_wakeup >/dev/null
		fi
		check "$name runs on with its devices" goes_on "$name"
		check "$name has them by vfio-pci" all_by_vfio "$name"
		check "what they reach was verified" verified "$name"
		cp "$(guest_console "$name")" "/results/$name.console"
	done
}

# Nothing is left behind: no module in use, no device that others cannot have.
clean_up() {
	local address native
	# shellcheck disable=SC2046 # they are words
	leave_nothing $(names)
	for address in $(all_addresses); do
		native=$(native_driver "$address")
		[ -n "$native" ] || continue
		let_native_have "$address"
		check "then $native can have $address" test "$(driver_of "$address")" = "$native"
	done
}

# It remaps no interrupts, and VFIO wants to be told that this is known. And 6.12
# gives a device no group before a driver was offered to it, as on any real host.
if [ -e /sys/bus/virtio/drivers/virtio_iommu ]; then
	[ "$(phase)" != 1 ] || modprobe -a e1000e nvme
	echo options vfio_iommu_type1 allow_unsafe_interrupts=1 >/etc/modprobe.d/lab.conf
fi

if [ "$(phase)" = 1 ]; then
	run_guests
	leave
else
	arrive
	check_guests
	clean_up
fi
exit 0
