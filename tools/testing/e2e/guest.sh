# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Guests of scenarios, after lib.sh: the module, a guest on it, its QMP.
#
#   load_module [region=...]             KVM and the module
#   start_guest NAME SIZE [OPTION...] [-- QEMU-ARGUMENT...]   with $guest_blob of random bytes
#   qmp NAME COMMAND                     and the line that answers it
#   runstate_is NAME STATE
#   ticks NAME N [SECONDS]               until it has said tick N; why not is kept in the results
#   boots NAME COMMAND...                a fresh guest, that COMMAND has started, ticks
#   reset_itself NAME                    a guest started with "${watched[@]}" did, and its QEMU ended
#   remember NAME...                     how far each is and what it has, for goes_on
#   goes_on NAME FILE                    it ticks on from what FILE remembers, with what it had
#   leave_nothing NAME...                end these guests, and unload the module after a full cycle
#   ask_agent NAME COMMAND               of the guest agent; it may not answer
#
# And their devices:
#
#   address_of DEVICE                    of a PCI address, slotN, or vfN: of the NIC in slot N
#   make_vfs DEVICE...                   those that are VFs
#   driver_of ADDRESS                    its driver in L1, if any
#   native_driver ADDRESS                the driver in L1 that would take it, if any
#   let_native_have ADDRESS              take it from vfio-pci and look for another driver
#   verified NAME                        cpr-helper shows that what its devices reach is what they reached
#   uses NAME N DRIVER...                until these devices were well at tick N; none ever was not

mnt=/run/cpr
export mnt

load_module() {
	modprobe -q kvm_amd || modprobe -q kvm_intel
	free_region
	modprobe cpr_handover "$@"
}

# The agent's channel in port I/O only. TCG's SVM leaves the type of a guest's
# last exception in EXITINTINFO and clears its valid bit only. KVM of 7.3, not
# of 6.12, looks at the type alone: it takes the next MMIO for one during the
# delivery of an event and gives up (internal error, suberror 3) if it does not
# know the page as MMIO yet - as after a restore. Ports need no emulation.
port_io_only=(-global virtio-serial-pci.disable-modern=on -global virtio-serial-pci.vectors=0)

start_guest() {
	local name=$1 size=$2 options=()
	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	[ $# -eq 0 ] || shift
	cpr-helper run "$name" --ram "$size" "${options[@]}" -- \
		qemu-system-x86_64 -M q35,accel=kvm -cpu host -nodefaults -display none -no-reboot \
		-kernel /lab/guest/vmlinuz -initrd /lab/guest/initrd \
		-append "console=ttyS0 quiet panic=-1 no_console_suspend blob=${guest_blob:-16M}" "${port_io_only[@]}" \
		-chardev "file,id=ser,path=$(guest_console "$name"),append=on" -serial chardev:ser "$@"
}

qmp() {
	printf '{"execute":"qmp_capabilities"}\n{"execute":"%s"}\n' "$2" |
		socat -t 5 - "UNIX-CONNECT:/run/cpr-helper/$1.qmp" | grep -a return | tail -n 1
}

guest_facts() {
	local command
	cp "$(guest_console "$1")" /results/"$1.console"
	cp "$mnt/$1/qemu.log" /results/"$1.qemu.log"
	for command in 'info status' 'info lapic' 'info pic' 'info registers -a' 'info registers -a'; do
		printf '{"execute":"qmp_capabilities"}\n{"execute":"human-monitor-command","arguments":{"command-line":"%s"}}\n' "$command" |
			socat -t 5 - "UNIX-CONNECT:/run/cpr-helper/$1.qmp"
	done >/results/"$1.facts" 2>&1
}

ticks() { wait_tick "$@" || { guest_facts "$1"; false; }; }

# QEMU takes its socket along when it ends.
is_gone() { [ -d "$mnt/$1" ] && [ ! -S "/run/cpr-helper/$1.qmp" ]; }

boots_or_goes() { tick_reached "$1" 2 || is_gone "$1"; }

# Emulation loses a fresh guest now and then, see testing.md: it resets itself, and
# its QEMU ends in order. Nothing of ours has been done to it then but its start.
boots() {
	local name=$1
	shift
	until_ok 100 boots_or_goes "$name"
	if is_gone "$name" && [ "$CPR_SCALE" -ge 3 ]; then
		say "$name has reset itself before it ticked; it is started once more"
		cpr-helper delete "$name" >&2
		rm -f "$(guest_console "$name")"
		"$@" || return
	fi
	ticks "$name" 2 100
}

# What QEMU is to log, to tell a guest that reset itself from one that was ended: whoever
# ends QEMU asks it, or sends it a signal.
watched=(-trace vm_state_notify -trace qemu_system_shutdown_request)
export watched

reset_itself() {
	is_gone "$1" && awk '
		/^vm_state_notify running 1 / { asked = 0 }
		/^qemu_system_shutdown_request |terminating on signal/ { asked = 1 }
		END { exit asked }
	' "$mnt/$1/qemu.log"
}

remember() {
	local name
	for name; do
		echo "$name $(last_tick "$name") $(guest_sum "$name")"
	done
}

goes_on() {
	local name=$1 tick sum
	read -r _ tick sum < <(grep "^$name " "$2")
	ticks "$name" $((tick + 3)) 20 && [ "$(guest_sum "$name")" = "$sum" ] && ! guest_corrupt "$name" &&
		[ "$(grep -ac 'GUEST up' "$(guest_console "$name")")" = 1 ]
}

# A QEMU may still be on its way out, and what it had pinned keeps the module for up to a
# second longer (kmod/scrub.c).
leave_module() { until_ok 30 umount $mnt && until_ok 30 rmmod cpr_handover; }

# Whatever else there was on cprfs must be gone before.
leave_nothing() {
	local name
	for name; do
		qmp "$name" quit >/dev/null
		until_ok 30 cpr-helper delete "$name"
	done
	check "all VMs are deleted" test "$(ls $mnt)" = ""
	check "the module is unloaded" leave_module
}

ask_agent() {
	{
		printf '{"execute":"guest-sync","arguments":{"id":1}}\n{"execute":"%s"}\n' "$2"
		sleep 1
	} | socat -t 1 - "UNIX-CONNECT:/run/cpr-helper/$1.qga"
}

address_of() {
	case $1 in
	slot*) slot_device "${1#slot}" ;;
	vf*) basename "$(readlink -f "/sys/bus/pci/devices/$(slot_device "${1#vf}")/virtfn0")" ;;
	*) echo "$1" ;;
	esac
}

# The NIC itself has to be up, and the VF keeps its MAC over a new kernel.
make_vf() {
	local pf net
	pf=/sys/bus/pci/devices/$(slot_device "$1")
	modprobe igb
	until_ok 20 test -d "$pf/net" || return
	[ "$(cat "$pf/sriov_numvfs")" = 1 ] || echo 1 >"$pf/sriov_numvfs"
	net=$(ls "$pf/net")
	ip link set "$net" up
	ip link set "$net" vf 0 mac "52:54:00:00:02:0$1"
}

make_vfs() {
	local device
	for device; do
		[[ $device != vf* ]] || make_vf "${device#vf}" || return
	done
}

driver_of() {
	local link=/sys/bus/pci/devices/$1/driver
	[ ! -e "$link" ] || basename "$(readlink "$link")"
}

native_driver() { modprobe -R "$(cat "/sys/bus/pci/devices/$1/modalias")" 2>/dev/null | grep -v vfio | head -n 1; }

let_native_have() {
	local dir=/sys/bus/pci/devices/$1
	echo >"$dir/driver_override"
	[ ! -e "$dir/driver" ] || echo "$1" >"$dir/driver/unbind"
	modprobe "$(native_driver "$1")"
	# refused, if the device is held
	echo "$1" >/sys/bus/pci/drivers_probe
}

# Words and numbers of a verdict that is not good.
verified() {
	local line
	line=$(cpr-helper show "$1" | grep -iE 'verif|verdict')
	printf '%s\n' "$line"
	[ -n "$line" ] && ! grep -qiE 'never|not |none|unknown|fail|[1-9][0-9]* (range|differ)' <<<"$line"
}

used() { [ "$(last_use "$1" "$3")" -ge "$2" ]; }

uses() {
	local name=$1 n=$2 driver
	shift 2
	for driver; do
		until_ok 60 used "$name" "$n" "$driver" || return
	done
	! guest_corrupt "$name"
}

runstate_is() { qmp "$1" query-status | grep -q "\"status\": \"$2\""; }
