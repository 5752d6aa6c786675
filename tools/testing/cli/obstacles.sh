# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# What would lose a guest is known before the guest stops, and named.
#
# Needs the part `module`. Each obstacle is refused by --dry-run and by the save, the guest
# counts on, and without the obstacle it is saved.

command() { # COMMAND [ARGUMENTS]: to the QEMU of o
	qmp o "{\"execute\": \"$1\", \"arguments\": ${2:-{\}}}"
}
answers() { command "$@" | grep -q '"return"'; }
# WHAT STATUS MESSAGE [SAVE-OPTION...]
obstacle() {
	local what=$1 want=$2 words=$3
	shift 3
	refuses "$what, by --dry-run" "$want" "cpr-helper: $words" save o --dry-run "$@"
	refuses "$what, by save" "$want" "cpr-helper: $words" save o "$@"
	holds "$what: the guest counts on" counts o
	holds "$what: the VM runs" state_is o running running
}
saves() { # WHAT [SAVE-OPTION...]
	call save o "${@:2}"
	holds "$1: it is saved" test "$status" = 0
	[ "$status" = 0 ] || complain "$err"
	call abort o
	holds "$1: and runs on" test "$status" = 0
}
gone() { ! command qom-list '{"path": "/machine/peripheral"}' | grep -q "\"$1\""; } # ID

plugging_tests() {
	section 'devices and CPUs'
	start o -- -smp 1,sockets=2,cores=1,threads=1,maxcpus=2 -device pcie-root-port,id=slot1,chassis=1 \
		-device pcie-root-port,id=slot2,chassis=2 -device virtio-rng-pci,id=rng,bus=slot2
	saves 'as it was started'
	holds 'a device is plugged' answers device_add '{"driver": "virtio-balloon-pci", "id": "late", "bus": "slot1"}'
	obstacle 'a device that was plugged' 4 "QEMU has changed 'device late (virtio-balloon-pci)': it was plugged after QEMU's start, and the next QEMU would not have it"
	end o
	start o -- -smp 1,sockets=2,cores=1,threads=1,maxcpus=2
	holds 'a CPU is plugged' answers device_add '{"driver": "qemu64-x86_64-cpu", "socket-id": 1, "core-id": 0, "thread-id": 0}'
	call save o
	holds 'a CPU that was plugged is refused' test "$status" = 4
	holds 'by name' grep -q "^cpr-helper: QEMU has changed 'device device\[0\] (qemu64-x86_64-cpu)': it was plugged" <<<"$err"
	end o
	start o -- -device usb-ehci,id=ehci -device usb-tablet,id=tablet
	holds 'a device is unplugged' answers device_del '{"id": "tablet"}'
	soon gone tablet
	obstacle 'a device that was unplugged' 4 "QEMU has changed 'device tablet (usb-tablet)': QEMU was started with it, and has it no more; the next QEMU would have it"
	python3 -c "
import json
m = json.load(open('/run/cpr/o/manifest.json'))
del m['inventory']
json.dump(m, open('/run/cpr/o/manifest.json', 'w'))"
	obstacle 'the same with the manifest of an older cpr-helper' 4 "QEMU has changed 'device tablet': QEMU was started with it, and has it no more; the next QEMU would have it"
	end o
}

blocker_tests() {
	section "QEMU's own reasons"
	start o -- -drive "file=$tmp/data,format=raw,if=none,id=data" -device virtio-blk-pci,drive=data
	saves 'a QEMU that does nothing else'
	holds 'a job is started' answers drive-backup "{\"device\": \"data\", \"target\": \"$tmp/backup\", \"format\": \"raw\", \"sync\": \"full\", \"speed\": 1, \"job-id\": \"nightly\"}"
	call save o --dry-run
	holds 'a job: refused' test "$status" = 5
	holds 'by name' grep -q "^cpr-helper: job 'nightly': QEMU is working on it (backup, running), and the next QEMU would not go on with it" <<<"$err"
	holds 'the guest counts on' counts o
	holds 'the job is ended' answers job-cancel '{"id": "nightly"}'
	holds 'and over' soon job_is_gone
	saves 'without it'
	holds 'a disk is exported' export_data
	obstacle 'an export' 5 "export 'e': QEMU exports '$(node_of_data)' to other programs (nbd), and the next QEMU would not"
	holds 'the export is ended' answers block-export-del '{"id": "e", "mode": "hard"}'
	soon export_is_gone
	saves 'without it'
	end o
}
job_is_gone() { command query-jobs | grep -q '"return": \[\]'; }
export_is_gone() { command query-block-exports | grep -q '"return": \[\]'; }
node_of_data() { command query-block-exports | sed 's/.*"node-name": "\([^"]*\)".*/\1/'; }
export_data() {
	local node
	node=$(command query-named-block-nodes '{"flat": true}' | python3 -c "
import json, sys
print([n['node-name'] for n in json.load(sys.stdin)['return'] if n['drv'] == 'raw' and n['file'] == '$tmp/data'][0])")
	answers nbd-server-start "{\"addr\": {\"type\": \"unix\", \"data\": {\"path\": \"$tmp/nbd\"}}}" &&
		answers block-export-add "{\"type\": \"nbd\", \"id\": \"e\", \"node-name\": \"$node\"}"
}

volatile_tests() {
	local memory=$tmp/memory-disk
	section 'files that a kexec loses'
	mkdir -p "$memory"
	mount -t tmpfs tmpfs "$memory"
	truncate -s 1M "$memory/disk"
	start o -- -drive "file=$memory/disk,format=raw,if=none,id=data" -device virtio-blk-pci,drive=data -pidfile "$memory/pid"
	holds 'run notes it' grep -qxF "cpr-helper: note: VM 'o' cannot be saved for another kernel: -drive '$memory/disk': this is a tmpfs: it is memory, and lost at the kexec" <<<"$err"
	obstacle 'a disk on a tmpfs' 4 "disk 'data': '$memory/disk': this is a tmpfs: it is memory, and lost at the kexec"
	saves 'for this kernel' --no-kexec
	end o
	cp "$tmp/boot" "$memory/firmware"
	start o -- -option-rom "$memory/firmware"
	obstacle 'a ROM on a tmpfs' 4 "-option-rom '$memory/firmware': this is a tmpfs: it is memory, and lost at the kexec"
	end o
	cd "$memory" || return
	start o -- -pidfile "$memory/pid"
	cd / || return
	obstacle 'a directory on a tmpfs' 4 "working directory '$memory': this is a tmpfs: it is memory, and lost at the kexec"
	end o
	umount "$memory"
}

obstacles_tests() {
	yes data | head -c 8M >"$tmp/data"
	cd / || return
	plugging_tests
	blocker_tests
	volatile_tests
}

if [ "$(id -u)" != 0 ]; then
	skip 'obstacles' 'needs root'
elif ! usable; then
	skip 'obstacles' 'needs QEMU 9.1, install qemu-system-x86'
else
	obstacles_tests
fi
