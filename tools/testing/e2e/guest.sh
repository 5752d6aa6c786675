# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Guests of scenarios, after lib.sh: the module, a guest on it, its QMP.
#
#   load_module [region=...]             KVM and the module
#   start_guest NAME SIZE [OPTION...] [-- QEMU-ARGUMENT...]
#   qmp NAME COMMAND                     and the line that answers it
#   runstate_is NAME STATE
#   ticks NAME N [SECONDS]               until it has said tick N; why not is kept in the results

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
		-append "console=ttyS0 quiet panic=-1 no_console_suspend blob=16M" "${port_io_only[@]}" \
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

runstate_is() { qmp "$1" query-status | grep -q "\"status\": \"$2\""; }
