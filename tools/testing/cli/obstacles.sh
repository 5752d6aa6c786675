# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# What would lose a guest is known before the guest stops, and named.
#
# Each obstacle is refused by --dry-run and by the save, the guest
# counts on, and without the obstacle it is saved.

ask() { # COMMAND [ARGUMENTS]: to the QEMU of o
	qmp o "{\"execute\": \"$1\", \"arguments\": ${2:-{\}}}"
}
answers() { ask "$@" | grep -q '"return"'; }
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
unplugged() { ! ask qom-list '{"path": "/machine/peripheral"}' | grep -q "\"$1\""; } # ID

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
	soon unplugged tablet
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
	holds 'a bitmap' answers block-dirty-bitmap-add '{"node": "data", "name": "since-monday"}'
	call save o --dry-run
	holds 'is no reason' test "$status" = 0
	holds 'but is named once if it is lost' test "$(grep -c "^cpr-helper: note: VM 'o': the dirty bitmap 'since-monday' of '$tmp/data' is not persistent, and is lost" <<<"$err")" = 1
	call update --qemu "$(command -v qemu-system-x86_64)"
	holds 'an update goes through' test "$status" = 0
	holds 'and names it once' test "$(grep -c "^cpr-helper: note: VM 'o': the dirty bitmap 'since-monday' of '$tmp/data' is not persistent, and is lost" <<<"$err")" = 1
	end o
}
job_is_gone() { ask query-jobs | grep -q '"return": \[\]'; }
export_is_gone() { ask query-block-exports | grep -q '"return": \[\]'; }
node_of_data() { ask query-block-exports | sed 's/.*"node-name": "\([^"]*\)".*/\1/'; }
export_data() {
	local node
	node=$(ask query-named-block-nodes '{"flat": true}' | python3 -c "
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

# As after a kexec, with what its threads and its process had.
thread_of() { ask query-cpus-fast | python3 -c '
import json, sys
print(json.load(sys.stdin)["return"][0]["thread-id"])'; }
allowed() { sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$1/status"; } # TID
comes_back() { # [HELPER-OPTION...]
	call save o
	holds 'it is saved' test "$status" = 0
	next_host o
	call restore o "$@"
	holds 'it is restored' test "$status" = 0
	[ "$status" = 0 ] || complain "$err"
}
process_tests() {
	local pid cpu nice
	nice=$(nice)
	section 'what an operator has set'
	cpu=$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')
	pid=$(exec 3>&-; CPR_TEST=1; export CPR_TEST; umask 077; ulimit -S -s 4096; nice -n 3 "$helper" run o --ram 32M -- "${qemu[@]}" >/dev/null 2>&1; pid_of o)
	holds 'a vCPU is bound to a CPU' taskset -pc "$cpu" "$(thread_of)"
	holds 'and gets a policy' chrt -b -p 0 "$(thread_of)"
	comes_back
	holds 'another QEMU' test "$(pid_of o)" != "$pid"
	pid=$(pid_of o)
	holds 'the vCPU is bound again' test "$(allowed "$(thread_of)")" = "$cpu"
	holds 'with its policy' grep -q SCHED_BATCH <(chrt -p "$(thread_of)")
	holds 'the process is not' test "$(allowed "$pid")" = "$(allowed $$)"
	holds 'its environment' grep -qz '^CPR_TEST=1$' "/proc/$pid/environ"
	holds 'its umask' grep -q '^Umask:.*0077' "/proc/$pid/status"
	holds 'its limits' test "$(prlimit -p "$pid" --stack -o SOFT --noheadings | tr -d ' ')" = 4194304
	holds 'its niceness' test "$(sed 's/.*) //' "/proc/$pid/stat" | cut -d ' ' -f 17)" = $((nice + 3))
	end o

	section 'a network namespace'
	mkdir -p /run/netns
	touch /run/netns/cpr-test
	unshare --net=/run/netns/cpr-test true
	holds 'it is started there' nsenter --net=/run/netns/cpr-test "$helper" run o --ram 32M -- "${qemu[@]}"
	comes_back
	holds 'it is back in it' test "/proc/$(pid_of o)/ns/net" -ef /run/netns/cpr-test
	call save o
	next_host o
	umount /run/netns/cpr-test
	rm /run/netns/cpr-test
	refuses 'one that is missing' 4 "cpr-helper: network namespace 'cpr-test': the guest's QEMU ran in it, and it does not exist" restore o
	holds 'leaves the VM as it was' state_is o held
	end o
	unshare --net "$helper" run o --ram 32M -- "${qemu[@]}" >/dev/null 2>"$tmp/err"
	holds 'one without a name is refused' grep -q "^cpr-helper: network namespace 'of process [0-9]*': it has no name, and the next QEMU could not be started in it" "$tmp/err"
	holds 'by run' gone o
}

inserted() { # FILE|nothing LIMIT
	ask query-block | python3 -c "
import json, sys
drives = {d.get('qdev'): d for d in json.load(sys.stdin)['return']}
cd, disk = drives['cd'], drives['/machine/peripheral/disk/virtio-backend']
assert cd.get('inserted', {}).get('file', 'nothing') == '$1', cd
assert disk['inserted']['iops'] == $2, disk"
}
drive_tests() {
	section 'drives that the monitor has changed'
	truncate -s 1M "$tmp/one.iso" "$tmp/two.iso"
	start o -- -drive "file=$tmp/one.iso,format=raw,media=cdrom,readonly=on,if=none,id=c" -device ide-cd,id=cd,drive=c \
		-drive "file=$tmp/data,format=raw,if=none,id=data" -device virtio-blk-pci,id=disk,drive=data
	holds 'the medium is ejected' answers eject '{"id": "cd", "force": true}'
	holds 'the throughput is limited' answers block_set_io_throttle '{"id": "/machine/peripheral/disk/virtio-backend", "bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 300, "iops_rd": 0, "iops_wr": 0}'
	comes_back
	holds 'both are as they were' inserted nothing 300
	holds 'another medium is inserted' answers blockdev-change-medium "{\"id\": \"cd\", \"filename\": \"$tmp/two.iso\", \"format\": \"raw\"}"
	comes_back
	holds 'it is in the drive' inserted "$tmp/two.iso" 300
	call save o
	next_host o
	mv "$tmp/two.iso" "$tmp/two"
	call restore o
	holds 'a medium that is gone is named' grep -q "^cpr-helper: disk '.*': '$tmp/two.iso': No such file or directory" <<<"$err"
	mv "$tmp/two" "$tmp/two.iso"
	call restore o
	holds 'and found again' test "$status" = 0
	[ "$status" = 0 ] || complain "$err"
	end o
}
cpu_tests() {
	section "the guest's CPU"
	printf '#!/bin/sh\nexec qemu-system-x86_64 "$@" -cpu qemu64,-sse3\n' >"$tmp/less"
	chmod 755 "$tmp/less"
	start o
	call save o --qemu "$tmp/less"
	holds 'a QEMU that lacks a feature is refused' test "$status" = 4
	holds 'by its place' grep -q "the guest's CPU: the guest has, and would lose, CPUID leaf 0x1, ECX, bits 0x1" <<<"$err"
	holds 'the guest counts on' counts o
	call save o
	next_host o
	cp /run/cpr/o/manifest.json "$tmp/manifest"
	cpu_was 'm["cpu"]["features"][0]["bits"] |= 1 << 30'
	call restore o
	holds 'a host that lacks a feature is refused' test "$status" = 4
	holds 'by its place, too' grep -q "^cpr-helper: the guest's CPU 'o': the guest has, and would lose, CPUID leaf 0x[0-9a-f]*\( subleaf [0-9]*\)\?, E[A-D]X, bits 0x40000000$" <<<"$err"
	holds 'the VM stays as it was' state_is o held
	cpu_was 'm["cpu"]["stepping"] = 77'
	refuses 'another CPU' 4 "cpr-helper: the guest's CPU 'o': its stepping was 77, and is $(python3 -c "
import json
print(json.load(open('$tmp/manifest'))['cpu']['stepping'])") here" restore o
	cpu_was 'm["cpu"]["features"] = [w for w in m["cpu"]["features"] if w["leaf"] != 1]'
	call restore o
	holds 'a host that has more is noted' grep -q "^cpr-helper: note: VM 'o': its CPU has more features than it had: CPUID leaf 0x1, E[CD]X, bits 0x" <<<"$err"
	holds 'and taken' test "$status" = 0
	end o
}
cpu_was() { # STATEMENT about m, the manifest as it was kept
	python3 -c "
import json
m = json.load(open('$tmp/manifest'))
$1
json.dump(m, open('/run/cpr/o/manifest.json', 'w'))"
	reseal o
}

obstacles_tests() {
	yes data | head -c 8M >"$tmp/data"
	cd / || return
	plugging_tests
	blocker_tests
	volatile_tests
	process_tests
	drive_tests
	cpu_tests
}

if [ "$(id -u)" != 0 ]; then
	skip 'obstacles' 'needs root'
elif ! usable; then
	skip 'obstacles' 'needs QEMU 10.0, install qemu-system-x86'
else
	obstacles_tests
fi
