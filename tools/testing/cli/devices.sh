# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A guest with passed-through devices is saved in S3, and restored with exactly its devices.
#
# With a real QEMU that does not see the devices, fakepci.c in place of the PCI core, and a
# guest that really suspends to RAM. Needs VMs, see vms.sh.

nic=0000:00:02.0 disk=0000:01:00.0

# A device in a group of its own, with a driver of the host.
pci_device() { # ADDRESS GROUP DRIVER
	local dev=$root/sys/bus/pci/devices/$1 group=$root/sys/kernel/iommu_groups/$2
	mkdir -p "$dev" "$group/devices" "$root/sys/bus/pci/drivers/$3"
	echo 0x8086 >"$dev/vendor"
	echo 0x10d3 >"$dev/device"
	echo 0x020000 >"$dev/class"
	echo >"$dev/driver_override"
	echo "$3" >"$dev/native"
	ln -s "$root/sys/bus/pci/drivers/$3" "$dev/driver"
	ln -s "$group" "$dev/iommu_group"
	ln -s "$dev" "$group/devices/$1"
}
driver_of() { basename "$(readlink "$root/sys/bus/pci/devices/$1/driver")"; }
drives() { [ "$(driver_of "$2")" = "$1" ]; }

# QEMU, without what is passed through; a file is open for each, as by iommufd.
qemu_script() { # FILE
	cat >"$1" <<-EOF
		#!/bin/bash
		args=() n=0
		while [ \$# -gt 0 ]; do
			case "\$1 \${2-}" in
			'-device vfio-pci,'*) exec {fd}<>"$root/dev/vfio/devices/vfio\$((n++))"; shift 2 ;;
			*) args+=("\$1"); shift ;;
			esac
		done
		exec qemu-system-x86_64 "\${args[@]}"
	EOF
	chmod 755 "$1"
}
agent_channel=(-device virtio-serial-pci -chardev "socket,id=ga,path=$tmp/agent.sock"
	-device virtserialport,chardev=ga,name=org.qemu.guest_agent.0)
start_v() { start v -- -device "vfio-pci,host=$nic" "${agent_channel[@]}"; }
agent_is() { echo "$1" >"$tmp/agent.mode"; }
suspend_v() {
	"$here/agent.py" --suspend /run/cpr/v/ram0
	until_is v suspended
}
until_is() { soon state_is "$1" running "$2"; } # NAME GUEST-STATE
# What the module was asked to do since the last time.
asked() { tr '\n' ';' <"$CPR_FAKE/log"; : >"$CPR_FAKE/log"; }
asked_for() { local got; got=$(asked); echo "asked: $got"; [ "$got" = "$1" ]; }
asked_so_far() { grep -qx "$1" "$CPR_FAKE/log"; }
moves() { ! stands_still "$1"; } # NAME
thread_states() { sed 's/.*) \(.\) .*/\1/' "/proc/$(pid_of v)/task"/*/stat; }
all_threads_are() { ! thread_states | grep -qvx "$1"; }
no_thread_is() { ! thread_states | grep -qx "$1"; }
# A process that has QEMU's device open, and one that traces QEMU; its PID is in $other.
spare_fd() {
	rm -f "$tmp/other"
	python3 - "$(pid_of v)" "$root/dev/vfio/devices" <<-'EOF3' >"$tmp/other" &
		import ctypes, os, signal, sys
		pid, devices = sys.argv[1:]
		libc = ctypes.CDLL(None, use_errno=True)
		fds = [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{fd}").startswith(devices)]
		pidfd = libc.syscall(434, int(pid), 0)
		spare = [libc.syscall(438, pidfd, int(fd), 0) for fd in fds]
		assert spare and min(spare) >= 0
		print("ready", flush=True)
		signal.pause()
	EOF3
	other=$!
	soon grep -q ready "$tmp/other"
}
trace_thread() {
	rm -f "$tmp/other"
	python3 - "$(pid_of v)" <<-'EOF3' >"$tmp/other" &
		import ctypes, signal, sys
		libc = ctypes.CDLL(None, use_errno=True)
		assert libc.ptrace(0x4206, int(sys.argv[1]), None, None) == 0	# PTRACE_SEIZE
		print("ready", flush=True)
		signal.pause()
	EOF3
	other=$!
	soon grep -q ready "$tmp/other"
}
# The guest has left its firmware, which may take a while.
awake() { soon moves "$1"; } # NAME
# A register of the chipset, by its CONFIG_ADDRESS.
config() { # NAME ADDRESS
	monitor "$1" "o /w 0xcf8 $2" >/dev/null
	monitor "$1" 'i /xw 0xcfc' | sed 's/.*= \(0x[0-9a-f]*\).*/\1/'
}
monitor() { qmp "$1" '{"execute": "human-monitor-command", "arguments": {"command-line": "'"$2"'"}}'; }
# QEMU dies in postmigrate, and the next kernel has no driver for the device.
leave_kernel() {
	next_host v
	rm -f "$root/sys/bus/pci/devices/$nic/driver"
	echo >"$root/sys/bus/pci/devices/$nic/driver_override"
	: >"$CPR_FAKE/log"
}

# What is in an initrd, as the tool of those who make it tells. No other is found, and
# what QEMU's script needs.
initrd_lists() {
	mkdir -p "$tmp/listers"
	ln -sf "$(command -v qemu-system-x86_64)" "$tmp/listers/"
	printf '#!/bin/sh\n%s\n' "$1" >"$tmp/listers/lsinitramfs"
	chmod 755 "$tmp/listers/lsinitramfs"
}
update_v() { PATH=$tmp/listers call update --kernel 9.9.9-cpr --initrd "$tmp/initrd" --dry-run "$@"; }

initrd_tests() {
	local other='echo usr/lib/modules/9/kernel/ext4.ko.xz'
	initrd_lists "$other; echo usr/lib/modules/9/cpr_handover.ko.d/x"
	update_v
	holds 'an initrd without the module' test "$status" = 4
	holds 'is a refusal that names the VM' grep -q "^cpr-helper: initrd '$tmp/initrd': it does not have cpr_handover: .* the devices of VM 'v'" <<<"$err"
	update_v --force
	holds 'which can be forced' test "$status" = 0
	initrd_lists "$other; echo usr/lib/modules/9/updates/dkms/cpr_handover.ko.xz"
	update_v
	holds 'an initrd with it' test "$status.$err" = 0.
	initrd_lists "$other; exit 1"
	update_v
	holds 'one that is not understood' test "$status" = 0
	holds 'is noted' grep -q "it is not known whether $tmp/initrd has cpr_handover: it cannot be listed$" <<<"$err"
	initrd_lists 'echo kernel/x86/microcode/GenuineIntel.bin'
	update_v
	holds 'so is one that has no modules at all' grep -q 'it cannot be listed$' <<<"$err"
	rm "$tmp/listers/lsinitramfs"
	update_v
	holds 'no tool to look with' test "$status" = 0
	holds 'is noted, too' grep -q 'there is neither lsinitramfs nor lsinitrd$' <<<"$err"
}

devices_tests() {
	local before pid major minor early
	# Of a save, while the guest runs.
	early="snapshot v $nic files 1 frozen;verify-part v files 1 frozen;verify-part v files 1 frozen;"

	section 'run: devices that a guest cannot have'
	refuses 'run: no such device' 3 "cpr-helper: device '0000:09:00.0': there is no such PCI device" \
		run v --ram 32M -- "${qemu[@]}" -device vfio-pci,host=09:00.0
	echo '23 1 259:1 / /srv rw - ext4 /dev/root rw' >"$root/proc/self/mountinfo"
	refuses 'run: a disk of the host' 5 "cpr-helper: device '$disk': the host uses it: '/srv' is mounted from it" \
		run v --ram 32M -- "${qemu[@]}" -device "vfio-pci,host=$nic" -device "vfio-pci,host=$disk"
	refuses 'run --dry-run says so, too' 5 \
		"cpr-helper: device '$disk': the host uses it: '/srv' is mounted from it" \
		run v --ram 32M --dry-run -- "${qemu[@]}" -device "vfio-pci,host=$disk"
	: >"$root/proc/self/mountinfo"
	mv "$root/sys/bus/pci/devices/$nic/iommu_group" "$tmp/group"
	refuses 'run: no IOMMU' 4 "cpr-helper: device '$nic': it has no IOMMU group: its DMA could reach all of memory" \
		run v --ram 32M -- "${qemu[@]}" -device "vfio-pci,host=$nic"
	mv "$tmp/group" "$root/sys/bus/pci/devices/$nic/iommu_group"
	holds 'nothing was changed' drives e1000e $nic
	holds 'nothing of it is left' gone v
	call run v --ram 32M --dry-run -- "${qemu[@]}" -device "vfio-pci,host=$nic"
	holds 'run --dry-run' grep -q "^give $nic to vfio-pci$" <<<"$out"
	holds 'gives nothing' drives e1000e $nic

	section 'run: failures give the devices back'
	echo $nic >"$root/sys/bus/pci/drivers/vfio-pci/refuses"
	refuses 'vfio-pci does not take it' 1 "cpr-helper: cannot bind to vfio-pci '$nic': the driver rejects the device" \
		run v --ram 32M -- "${qemu[@]}" -device "vfio-pci,host=$disk" -device "vfio-pci,host=$nic"
	rm "$root/sys/bus/pci/drivers/vfio-pci/refuses"
	holds 'its driver has it' drives e1000e $nic
	holds 'the other one was given back' drives nvme $disk
	holds 'nothing is left of that' gone v
	call run v --ram 32M -- "${qemu[@]}" -device "vfio-pci,host=$nic" -device no-such-device
	holds 'QEMU does not start' test "$status" = 1
	holds 'its driver has it again' drives e1000e $nic
	echo 'no more VMs' >"$CPR_FAKE/fail-pin"
	refuses 'a pin that is refused' 1 "cpr-helper: VM 'v': kernel: no more VMs" \
		run v --ram 32M -- "${qemu[@]}" -device "vfio-pci,host=$nic"
	rm "$CPR_FAKE/fail-pin"
	holds 'its driver has it once more' drives e1000e $nic

	section 'run: iommufd'
	read -r major minor < <(qemu_version)
	call run v --ram 32M -- "${qemu[@]}" -object iommufd,id=i \
		-device "vfio-pci,host=$nic,iommufd=i" -device "vfio-pci,host=$disk,iommufd=i"
	if [ "$major" -gt 10 ] || [ "$major.$minor" = 10.1 ]; then
		holds 'two devices by one iommufd object' test "$status" = 0
		end v
	else
		holds 'two devices by one iommufd object are refused' test "$status" = 4
		holds 'why' grep -q "^cpr-helper: iommufd object 'i': two devices use it, and QEMU $major.$minor.* then never ends its save$" <<<"$err"
		holds 'what to do' grep -q '^  remedy: give each device an iommufd object of its own' <<<"$err"
		holds 'one is given back' drives e1000e "$nic"
		holds 'so is the other' drives nvme "$disk"
	fi
	start v -- -object iommufd,id=i -object iommufd,id=j \
		-device "vfio-pci,host=$nic,iommufd=i" -device "vfio-pci,host=$disk,iommufd=j"
	holds 'an object each' test "$status" = 0
	end v

	section 'no guest agent'
	start v -- -device "vfio-pci,host=$nic"
	holds 'run' test "$status" = 0
	holds 'vfio-pci has it' drives vfio-pci $nic
	holds 'its manifest' manifest v "m['devices'] == [{'address': '$nic', 'driver': 'e1000e', 'group': '7'}] and \
		m['agent'] == '/run/cpr-helper/v.qga'"
	: >"$CPR_FAKE/log"
	hasty 20 call save v
	holds 'no agent: refused' test "$status" = 4
	holds 'why' grep -q "^cpr-helper: VM 'v': its guest must suspend to RAM, for its devices, and does not: guest agent: does not answer$" <<<"$err"
	holds 'the guest runs on' counts v
	holds 'the module was asked before the guest was' asked_for "$early"
	refuses 'a device of another VM' 5 "cpr-helper: device '$nic': VM 'v' has it" \
		run w --ram 32M -- "${qemu[@]}" -device "vfio-pci,host=$nic"
	qmp v '{"execute": "stop"}' >/dev/null
	refuses 'save of a paused guest with devices' 5 \
		"cpr-helper: VM 'v': it has devices passed through and must suspend, but it is 'paused'" save v
	end v
	holds 'delete gives it back' drives e1000e $nic

	section 'a guest that does not suspend'
	agent_is refuses
	start_v
	refuses 'an agent that refuses' 4 "cpr-helper: VM 'v': its guest must suspend to RAM, for its devices, and does not: guest agent refuses: suspend-to-ram not supported by OS" save v
	holds 'its guest runs on' counts v
	agent_is idle
	hasty 30 call save v --timeout 10
	holds 'a guest that does not suspend' test "$status" = 4
	holds 'why not' grep -q 'and does not: guest: it does not suspend$' <<<"$err"
	holds 'that guest runs on' counts v
	start w
	counts w
	initrd_lists 'echo usr/lib/modules/9/updates/dkms/cpr_handover.ko'
	PATH=$tmp/listers hasty 30 call update --kernel 9.9.9-cpr --initrd "$tmp/initrd" --timeout 10
	holds 'an update with it' test "$status" = 1
	holds 'names it' grep -q "^cpr-helper: v: VM 'v': its guest must suspend to RAM, for its devices, and does not" <<<"$err"
	holds 'no other guest has stopped for it' test ! -e /run/cpr/w/report.json
	holds 'both run on' counts v
	holds 'as they were' counts w
	end w
	hasty 30 behind save v --timeout 1000
	soon manifest v "m['suspended']"
	kill -TERM "$pid"
	finished
	holds 'a save that is interrupted' test "$status" = 1
	holds 'by that' grep -q 'interrupted$' "$tmp/err"
	holds 'that one runs on, too' counts v
	holds 'nothing is kept of it' manifest v "'suspended' not in m and 'saved' not in m"

	section 'QEMU is frozen while its mappings are read'
	agent_is willing
	: >"$CPR_FAKE/halt-snapshot"
	behind save v
	soon is_halted
	holds 'QEMU is frozen' soon asked_so_far "snapshot v $nic files 1 frozen"
	holds 'no thread of it runs' all_threads_are t
	kill -KILL "$(halted)"
	wait "$pid"
	rm "$CPR_FAKE/halt-snapshot"
	holds 'it runs on when the helper is killed' soon no_thread_is t
	holds 'so does the guest' counts v
	: >"$CPR_FAKE/log"
	: >"$CPR_FAKE/halt-verify"
	behind save v
	soon is_halted
	holds 'QEMU is frozen after the guest has suspended, too' soon asked_so_far "verify v files 1 frozen"
	kill -KILL "$(halted)"
	wait "$pid"
	rm "$CPR_FAKE/halt-verify"
	holds 'it runs on when that helper is killed' soon no_thread_is t
	prints 'abort of that' 'v: the guest runs on' abort v
	holds 'wakes the guest' counts v
	spare_fd # of QEMU, in another process
	call save v
	holds 'another process has the file of the device: refused' test "$status" = 5
	holds 'which is named' grep -q "^cpr-helper: QEMU 'pid $(pid_of v)': process $other (python3) has the same VFIO file open, and could change what the devices reach$" <<<"$err"
	holds 'the guest runs on' counts v
	holds 'no thread of QEMU is left frozen' no_thread_is t
	kill "$other"
	wait "$other"
	trace_thread
	call save v
	holds 'another process traces QEMU: refused' test "$status" = 5
	holds 'why' grep -q "^cpr-helper: QEMU 'pid $(pid_of v)': thread .* cannot be stopped: another process traces it" <<<"$err"
	kill "$other"
	wait "$other"
	holds 'that guest runs on' counts v

	section 'save and abort'
	agent_is willing
	: >"$CPR_FAKE/log"
	echo '2 MiB of ram0 cannot be reached by 0000:00:02.0' >"$CPR_FAKE/fail-snapshot"
	refuses 'a snapshot that is refused' 1 "cpr-helper: VM 'v': kernel: 2 MiB of ram0 cannot be reached by 0000:00:02.0" save v
	rm "$CPR_FAKE/fail-snapshot"
	holds 'the guest runs on' counts v
	holds 'in the same QEMU' state_is v running running
	holds 'nothing more was asked' asked_for "snapshot v $nic files 1 frozen;"
	before=$(counted v) pid=$(pid_of v)
	json 'save' "o['vms'][0]['ok'] and o['vms'][0]['runstate'] == 'running' and o['vms'][0]['rehearsal_note'].startswith('it has devices')" save v
	holds 'in this order' asked_for "${early}verify v files 1 frozen;save v;"
	holds 'the guest stands still' stands_still v
	holds 'its state is recorded' manifest v "m['saved']['suspended'] and m['saved']['runstate'] == 'running'"
	call abort v
	holds 'abort' test "$status" = 0
	holds 'says it' grep -q '^v: the guest runs on$' <<<"$out"
	holds 'the guest goes on' counts_on v "$before"
	holds 'awake' state_is v running running
	holds 'in another QEMU' test "$(pid_of v)" != "$pid"
	holds 'it is in its own code again' awake v
	holds 'its chipset is as its firmware set it up' test "$(config v 0x80000060)" = 0xb0000001
	holds 'its devices were verified' asked_for 'seal v;claim v;release v;verify v files 1 frozen;pin v;'
	holds 'the device stays with vfio-pci' drives vfio-pci $nic
	holds 'nothing is left of the save' manifest v "'saved' not in m and 'suspended' not in m"

	section 'every page is looked at'
	: >"$CPR_FAKE/differing-part"
	call save v
	rm "$CPR_FAKE/differing-part"
	holds 'not all pages are as recorded: save' test "$status" = 0
	holds 'looks at every page when the guest stands still' asked_for \
		"snapshot v $nic files 1 frozen;verify-part v files 1 frozen;snapshot v $nic files 1 full frozen;save v;"
	call abort v
	holds 'abort of that' counts v
	: >"$CPR_FAKE/log"
	echo "$nic 1 0x100000 0x200000 0x140000000 0x180000000" >"$CPR_FAKE/differences"
	call save v
	rm "$CPR_FAKE/differences"
	holds 'other memory is reached when the guest stands still: save' test "$status" = 0
	holds 'looks at every page again' asked_for \
		"${early}verify v files 1 frozen;snapshot v $nic files 1 full frozen;save v;"
	call abort v
	holds 'abort of that, too' counts v

	section 'update: module in the initrd'
	if [ -e /lib/modules/9.9.9-cpr ]; then
		initrd_tests
	else
		skip 'initrd' 'see kexec'
	fi

	section 'a save that fails once QEMU has written'
	echo 'not now' >"$CPR_FAKE/fail-save"
	call save v
	holds 'a save that the module refuses' test "$status" = 1
	holds 'it sleeps on' grep -q "^cpr-helper: note: VM 'v': the guest stays suspended" <<<"$err"
	rm "$CPR_FAKE/fail-save"
	call abort v
	holds 'abort of that' test "$status" = 0
	holds 'it counts' counts v
	holds 'and is awake' state_is v running running

	section 'a save that was killed'
	"$here/agent.py" --suspend /run/cpr/v/ram0
	holds 'a guest asleep' until_is v suspended
	python3 - <<-'EOF2'
		import json
		path = "/run/cpr/v/manifest.json"
		m = json.load(open(path))
		m["suspended"] = True
		json.dump(m, open(path, "w"))
	EOF2
	prints 'abort of a save that was killed' 'v: the guest runs on' abort v
	holds 'wakes the guest' counts v

	section 'restore'
	: >"$CPR_FAKE/log"
	call save v --full
	holds 'save looks at every page, if asked to' asked_for "snapshot v $nic files 1 full frozen;save v;"
	before=$(counted v)
	leave_kernel
	echo 'missing there is no device at 0000:00:02.0' >"$CPR_FAKE/hold"
	refuses 'a device that is missing' 4 "cpr-helper: device '$nic': it is missing: there is no device at $nic" restore v
	echo 'changed 8086:100e is there, and was 8086:10d3' >"$CPR_FAKE/hold"
	refuses 'a device that has changed' 4 "cpr-helper: device '$nic': it is changed: 8086:100e is there, and was 8086:10d3" restore v
	call show v
	holds 'show tells it' grep -q "^devices: *$nic  8086:10d3  group 7  no driver  changed: 8086:100e is there" <<<"$out"
	mv /run/cpr/v/manifest.json "$tmp/manifest"
	call show v
	holds 'show tells it without a manifest' grep -q "^devices: *$nic .* changed: 8086:100e" <<<"$out"
	mv "$tmp/manifest" /run/cpr/v/manifest.json
	refuses 'device release: it is not quarantined' 5 "cpr-helper: device '$nic': it is not quarantined, but changed" device release $nic
	rm "$CPR_FAKE/hold"
	refuses 'device release: it is held' 5 "cpr-helper: device '$nic': it is not quarantined, but held" device release $nic
	holds 'what to do' grep -q "remedy: restore VM 'v', or delete it" <<<"$err"
	refuses 'device release: no VM has it' 3 "cpr-helper: device '$disk': no held VM has it" device release $disk
	call list
	holds 'list has no column for it' test "$(grep -c QUARANTINED <<<"$out")" = 0
	echo 'quarantined its revision was 02, and is 03' >"$CPR_FAKE/hold"
	refuses 'a device that is quarantined' 4 "cpr-helper: device '$nic': it is quarantined: its revision was 02, and is 03" restore v
	holds 'what to do about it' grep -q 'remedy: remove the reason: .*, then restore the VM; its memory is untouched' <<<"$err"
	call list
	holds 'list shows it' grep -q "^v .* $nic$" <<<"$out"
	json 'list --json shows it' "o['vms'][0]['quarantined'] == ['$nic']" list
	call show v
	holds 'so does show' grep -q "^devices: *$nic  8086:10d3  group 7  no driver  quarantined: its revision was 02" <<<"$out"
	: >"$CPR_FAKE/log"
	prints 'device release --dry-run' "$nic: would be released to the host, VM 'v' had it" device release --dry-run 0:2.0
	holds 'changes nothing' asked_for ''
	echo 'it has just left' >"$CPR_FAKE/fail-device-release"
	call device release $nic
	holds 'device release that the module refuses' test "$status" = 1
	holds 'no driver is bound' test ! -e "$root/sys/bus/pci/devices/$nic/driver"
	rm "$CPR_FAKE/fail-device-release"
	: >"$CPR_FAKE/log"
	echo 'quarantined its revision was 02, and is 03' >"$CPR_FAKE/hold"
	json 'device release' "o['released'] and o['devices'] == [{'vm': 'v', 'address': '$nic'}]" device release $nic
	holds 'asks the module' asked_for "device-release $nic;"
	holds 'a driver of the host has it' drives e1000e $nic
	refuses 'a device that was released' 4 "cpr-helper: device '$nic': it is released: an operator has given it to the host" restore v
	holds 'what to do then' grep -q 'remedy: .*load cpr_handover again, then restore the VM' <<<"$err"
	refuses 'device release: not twice' 5 "cpr-helper: device '$nic': it is not quarantined, but released" device release $nic
	rm -f "$root/sys/bus/pci/devices/$nic/driver"
	echo 'quarantined it was found at 0000:01:00.0, by its serial number' >"$CPR_FAKE/hold"
	printf %s "$disk" >"$CPR_FAKE/found"
	json 'show --json says where a device is' "o['vm']['devices'][0]['found'] == '$disk' and o['vm']['devices'][0]['address'] == '$nic'" show v
	refuses 'restore says it, too' 4 "cpr-helper: device '$nic': it is quarantined: it was found at $disk, by its serial number" restore v
	refuses 'device release: it is not there' 3 "cpr-helper: device '$nic': no held VM has it" device release $nic
	prints 'device release: where it is' "$disk: released to the host, VM 'v' had it" device release $disk
	rm "$CPR_FAKE/found" "$CPR_FAKE/hold"
	: >"$CPR_FAKE/log"
	holds 'nothing was asked' asked_for ''
	holds 'the VM is held' state_is v held
	holds 'the device has no driver' test ! -e "$root/sys/bus/pci/devices/$nic/driver"
	printf '%s\n' "$nic 1 0x100000 0x200000 0x140000000 0x180000000" "$nic 0 0x400000 0x1000 0x140400000" >"$CPR_FAKE/differences"
	call restore v
	holds 'mappings that differ' test "$status" = 1
	holds 'the verdict' grep -q "^cpr-helper: DMA of VM 'v': its devices do not reach the same memory as before: 2 ranges differ$" <<<"$err"
	holds 'the first range' grep -q "^  | $nic: 2M at 0x100000 led to 0x140000000, leads to 0x180000000: moved$" <<<"$err"
	holds 'the second' grep -q "^  | $nic: 4K at 0x400000 led to 0x140400000, leads to nowhere: missing$" <<<"$err"
	holds 'the guest did not run' asked_for 'claim v;release v;verify v files 1 frozen;unclaim v;'
	holds 'the VM is held, again' state_is v held
	holds 'the verdict is kept' manifest v "m['verified']['differences'] == 2"
	call restore v --full
	holds 'restore looks at every page, if asked to' asked_for 'claim v;release v;verify v files 1 full frozen;unclaim v;'
	rm "$CPR_FAKE/differences"
	echo 'QEMU has no device open' >"$CPR_FAKE/fail-verify"
	refuses 'a verify that is refused' 1 "cpr-helper: VM 'v': kernel: QEMU has no device open" restore v
	rm "$CPR_FAKE/fail-verify"
	holds 'still held' state_is v held
	: >"$CPR_FAKE/log"
	json 'restore' "o['vms'][0]['ok'] and o['vms'][0]['clock_set'] and o['vms'][0]['runstate'] == 'running'" restore v
	holds 'the module was asked in this order' asked_for 'claim v;release v;verify v files 1 frozen;pin v;'
	holds 'the guest goes on from there' counts_on v "$before"
	holds 'vfio-pci has its device' drives vfio-pci $nic
	json 'show --json' "o['vm']['verified']['differences'] == 0 and o['vm']['devices'][0]['model'] == '8086:10d3' and \
		o['vm']['devices'][0]['hold'] == 'none'" show v
	call show v
	holds 'show' grep -q '^last verify: .* 1 mapping, 2 MiB, all as they were$' <<<"$out"

	section 'a restore that cannot resume the guest'
	call save v
	before=$(counted v)
	leave_kernel
	: >"$CPR_FAKE/log"
	faulty restore-loaded:fail restore v
	holds 'before the guest may run: held again' state_is v held
	: >"$CPR_FAKE/log"
	faulty restore-pinned:fail restore v
	holds 'once it may: sealed again' state_is v sealed
	holds 'with a new record of what its devices reach' asked_for \
		"claim v;release v;verify v files 1 frozen;pin v;snapshot v $nic files 1 frozen;save v;seal v;"
	echo 'QEMU is not there' >"$CPR_FAKE/fail-snapshot"
	faulty restore-pinned:fail restore v
	rm "$CPR_FAKE/fail-snapshot"
	holds 'without such a record: refused' test "$status" = 1
	holds 'what to do' grep -q "^cpr-helper: note: VM 'v': it stays 'running' and its guest stopped, .* 'cpr-helper restore v' completes the restore$" <<<"$err"
	holds 'it is not sealed' asked_for "claim v;release v;verify v files 1 frozen;pin v;snapshot v $nic files 1 frozen;"
	holds 'the guest stands still' stands_still v
	call restore v
	holds 'the next restore completes it' test "$status" = 0
	holds 'the guest goes on from there' counts_on v "$before"
	: >"$CPR_FAKE/log"

	section 'a guest that is suspended already'
	suspend_v
	agent_is refuses
	call save v
	holds 'save of a guest that sleeps' test "$status" = 0
	holds 'it was not asked to' manifest v "'suspended' not in m['saved'] and m['saved']['runstate'] == 'suspended'"
	call abort v
	holds 'its abort' grep -q '^v: the guest stays suspended$' <<<"$out"
	holds 'it does' state_is v running suspended
	call save v
	before=$(counted v)
	leave_kernel
	call restore v
	holds 'its restore' test "$status" = 0
	holds 'it sleeps' state_is v running suspended
	qmp v '{"execute": "system_wakeup"}' >/dev/null
	holds 'it can be woken' counts_on v "$before"

	section 'other devices than run was given'
	agent_is willing
	python3 - <<-'EOF2'
		import json
		path = "/run/cpr/v/manifest.json"
		m = json.load(open(path))
		m["devices"].append({"address": "0000:01:00.0", "driver": "nvme", "group": "9"})
		json.dump(m, open(path, "w"))
	EOF2
	refuses 'QEMU has other devices than it was given' 4 \
		"cpr-helper: QEMU '1 VFIO devices': 'cpr-helper run' gave it 2; the others could not be handed over" save v
	holds 'that guest runs on, too' counts v
	end v
	holds 'nothing is left of any' test -z "$(ls -A /run/cpr)"
	holds 'all is given back' drives e1000e $nic
}

# The bytes of memory that a process may lock.
may_lock() { # PID BYTES
	local limit
	limit=$(sed -n 's/^Max locked memory *\([^ ]*\) .*/\1/p' "/proc/$1/limits")
	[ "$limit" = unlimited ] || [ "$limit" -ge "$2" ]
}
nodes_are() { [ "$(stat -c %U "$root/dev/vfio/7" "$root/dev/vfio/devices/vfio0" | tr '\n' ' ')" = "$1 $1 " ]; } # OWNER

user_device_tests() {
	local before nodes=("$root/dev/vfio/vfio" "$root/dev/vfio/7" "$root/dev/vfio/devices/vfio0")
	section 'a QEMU of another user'
	mkdir -p "$root/sys/bus/pci/devices/$nic/vfio-dev/vfio0"
	touch "${nodes[@]}"
	chmod 600 "${nodes[@]}"
	refuses 'run: a node that the user cannot open' 4 \
		"cpr-helper: device node '/dev/vfio/vfio': QEMU needs it, and user 'nobody' cannot open it" \
		run v --user nobody --ram 32M -- "${qemu[@]}" -device "vfio-pci,host=$nic"
	chmod 666 "$root/dev/vfio/vfio"
	call run v --user nobody --ram 32M -- "${qemu[@]}" -device "vfio-pci,host=$nic" -device no-such-device
	holds 'run: a failure' test "$status" = 1
	holds 'leaves the nodes to root' nodes_are root

	# The channel leads to an agent that root runs, and that may be of another guest.
	chmod 777 "$tmp/agent.sock"
	start v --user nobody -- -device "vfio-pci,host=$nic" "${agent_channel[@]}"
	holds 'run' test "$status" = 0
	holds 'gives the nodes to the user' nodes_are nobody
	if (ulimit -l $((1 << 21))) 2>/dev/null; then
		holds 'his QEMU may lock what the device reaches' may_lock "$(pid_of v)" $((33554432 + (1 << 30)))
	else
		holds 'a limit that cannot be raised is noted' grep -q "^cpr-helper: note: VM 'v': its QEMU may lock no more than " <<<"$err"
	fi
	awake v
	call save v
	holds 'save' test "$status" = 4
	holds 'uses no socket of another user' \
		grep -q ": user 0 listens on it, and not 'nobody', as whom the VM's QEMU runs$" <<<"$err"
	holds 'the guest runs on' counts v
	suspend_v
	call save v
	holds 'save of a guest that is suspended' test "$status" = 0
	before=$(counted v)
	leave_kernel
	chown root "${nodes[@]}"
	call restore v
	holds 'restore' test "$status" = 0
	holds 'gives them to him again' nodes_are nobody
	holds 'the guest is as it was' test "$(counted v)" -ge "$before"
	end v
	holds 'delete makes them root'\''s' nodes_are root
}

if [ -z "${CPR_FAKE:-}" ]; then
	skip 'devices' 'see VMs'
else
	root=$CPR_FAKE/root
	mkdir -p "$root/dev/vfio/devices" "$root/proc/self" "$root/sys/bus/pci/drivers/vfio-pci" \
		"$root/sys/dev/block" "$root/sys/bus/pci/devices/$disk/nvme0n1"
	: >"$root/proc/self/mountinfo"
	pci_device $nic 7 e1000e
	pci_device $disk 9 nvme
	ln -s "$root/sys/bus/pci/devices/$disk/nvme0n1" "$root/sys/dev/block/259:1"
	qemu_script "$tmp/qemu"
	qemu[0]=$tmp/qemu
	agent_is willing
	"$here/agent.py" "$tmp/agent.sock" /run/cpr/v/ram0 "$tmp/agent.mode" &
	agent=$!
	soon test -S "$tmp/agent.sock"
	devices_tests
	user_device_tests
	kill $agent
fi
