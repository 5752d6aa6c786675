# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Library of the scenarios, the scripts that run in L1. A scenario runs again from the top
# after each kexec; `phase` tells it how often that has been.
#
# Standard output goes to L0 and is KTAP only: print nothing there but by say, ok, not_ok,
# skip and check. State that must survive a kexec is in $lab_state, on L1's disk, which
# exists as long as L1's QEMU. Times are those of a fast machine, see wait_until.
#
# Functions:
#
# Test points:
#   uptime_s - print the seconds that this kernel has run
#   say TEXT... - print a KTAP diagnostic with the uptime
#   print_point STATUS TEXT - print a test point with the next number
#   ok DESCRIPTION... - print a test point that has passed
#   not_ok DESCRIPTION... - print a test point that has failed
#   skip DESCRIPTION REASON - print a test point that cannot be tested here
#   check DESCRIPTION COMMAND... - a test point, passed if COMMAND succeeds
#   wait_until SECONDS COMMAND... - repeat COMMAND until it succeeds
#
# Phases: the scenario before a kexec is phase 1, after it phase 2:
#   phase - print the number of the current phase
#   next_phase - check the kernel log, and count the next boot as the next phase
#   kexec_to VERSION [OPTION...] - leave this kernel by kexec, without cpr-helper
#   kernel_version SERIES - print the version of L1's kernel 6.12, 7.3 or debug
#   check_kernel_log - two test points: no splat, no leak in this phase's kernel
#   kernel_leaks - print kmemleak's report, if the kernel has kmemleak
#   flush_slab - remove references to freed memory from SLUB's per-CPU arrays
#
# The handover region and the module:
#   attach_pmem - have nd_pmem own the region, as /dev/pmem0
#   detach_pmem - have nd_pmem release the region, if it owns it
#   load_module [PARAMETER=VALUE...] - load KVM and the module
#   mount_cprfs - mount cprfs on $mnt
#   unload_module - unmount cprfs and unload the module
#
# Files:
#   make_tree DIR - create files and directories of all kinds below DIR
#   fingerprint DIR - print the attributes and digests of all files below DIR
#   same_tree DIR FILE - succeed if FILE has the fingerprint that DIR has now
#
# QMP:
#   qmp_command IN OUT COMMAND [JSON] - run a QMP command on two open descriptors
#   qmp NAME COMMAND [JSON] - run a QMP command in guest NAME's QEMU; print the reply
#   l0_qmp COMMAND [JSON] - run a QMP command in the QEMU that L1 runs in
#   virtio_port NAME - print the device file of the virtio-serial port NAME
#
# PCI devices of L1:
#   slot_address N - print the PCI address of the device in slot N of `boot.sh --with`
#   slot_is_full N - succeed if L1 has a device in slot N
#   slot_is_empty N - succeed if it has none
#   plug N JSON - plug a device into slot N
#   unplug N - unplug the device in slot N
#   device_address DEVICE - print the PCI address of DEVICE
#   create_vf N - create a virtual function of the NIC in slot N
#   create_vfs DEVICE... - create each virtual function among DEVICEs
#   driver_of ADDRESS - print the name of the driver that is bound to a device, if any
#   native_driver ADDRESS - print L1's own driver for a device, if L1 has one
#   bind_native ADDRESS - unbind a device, and have its native driver probe it
#
# Guests: start and end:
#   guest_argv NAME - set $argv to QEMU's command line of a test guest, without its RAM
#   start_guest NAME SIZE [OPTION...] [-- QEMU-ARGUMENT...] - start a guest with `cpr-helper run`
#   fill_room NAME - have a guest's directory take all of the room that the guest has
#   guest_boots NAME COMMAND... - wait until a new guest ticks
#   guest_is_gone NAME - succeed if the guest's QEMU has exited
#   guest_ticks_or_is_gone NAME N - succeed if the guest has reached tick N, or is gone
#   guest_reset_itself NAME - succeed if QEMU has exited because the guest reset itself
#   guest_is_stuck NAME - succeed if the guest runs, but its CPUs execute nothing
#   guest_registers NAME - print the registers of all CPUs of the guest
#   end_guests NAME... - two test points: end all guests, and unload the module
#
# Guests: what QEMU reports:
#   guest_status_is NAME STATUS - succeed if query-status reports STATUS
#   suspend_guest NAME - suspend a guest to RAM by its agent, and wait until it is suspended
#   save_guest_facts NAME - copy the guest's console, QEMU's log and registers to the results
#
# Guests: what they print, see vm/guest/init:
#   guest_console NAME - print the path of the file with the guest's serial output
#   last_said NAME REGEXP - print the group of REGEXP's last match in the guest's output
#   guest_digest NAME - print the digest that the guest's file had when the guest came up
#   last_tick NAME - print the number of the guest's last tick, 0 if there is none
#   last_use NAME DRIVER - print the last tick at which a device worked, 0 if there is none
#   wakeups NAME - print how often the guest has woken from S3
#   guest_is_corrupt NAME - succeed if the guest ever found its memory or a device bad
#   booted_once NAME - succeed if the guest came up exactly once
#   tick_reached NAME N - succeed if the guest has reached tick N
#   wait_tick NAME N [SECONDS] - wait until the guest has reached tick N; 60 s by default
#   record_guests NAME... - print a line per guest for guest_continues: tick and digest
#   guest_continues NAME FILE - wait until the guest has ticked on from its line in FILE
#   device_used NAME N DRIVER - succeed if a device has worked at tick N or later
#   guest_uses NAME N DRIVER... - wait until all these devices have worked at tick N or later
#   dma_verified NAME - succeed if cpr-helper shows a verify without a difference

lab_state=/var/lib/cpr-lab
mnt=/run/cpr
mkdir -p "$lab_state"
export mnt

# splats FILE, and what counts as one.
# shellcheck source-path=SCRIPTDIR source=../vm/splat.sh
. /lab/vm/splat.sh

# ---- Test points ----

# uptime_s - print the seconds that this kernel has run
# The wall clock may jump at a kexec.
uptime_s() { cut -d' ' -f1 /proc/uptime; }

# say TEXT... - print a KTAP diagnostic with the uptime
say() { echo "# [$(uptime_s)] $*"; }

# print_point STATUS TEXT - print a test point with the next number
# STATUS is `ok` or `not ok`. The numbers go on after a kexec.
print_point() {
	local n
	n=$(($(cat "$lab_state/points" 2>/dev/null || echo 0) + 1))
	echo "$n" >"$lab_state/points"
	echo "$1 $n - $2"
}

# ok DESCRIPTION... - print a test point that has passed
ok() { print_point ok "$*"; }

# not_ok DESCRIPTION... - print a test point that has failed
# The verdict of the run is then "fail", also after a kexec.
not_ok() {
	print_point 'not ok' "$*"
	: >"$lab_state/failed"
}

# skip DESCRIPTION REASON - print a test point that cannot be tested here
skip() { print_point ok "$1 # SKIP $2"; }

# check DESCRIPTION COMMAND... - a test point, passed if COMMAND succeeds
# Prints the end of COMMAND's output if it fails, and then returns 1.
check() {
	local desc=$1 output
	shift
	if output=$("$@" 2>&1); then
		ok "$desc"
		return 0
	fi
	not_ok "$desc"
	[ -z "$output" ] || printf '%s\n' "$output" | tail -n 20 | sed 's/^/#   /'
	return 1
}

# wait_until SECONDS COMMAND... - repeat COMMAND until it succeeds
# SECONDS are those of a fast machine: they are multiplied by $CPR_SCALE. Returns 1 if
# COMMAND has not succeeded by then. COMMAND's output is discarded.
wait_until() {
	local deadline=$((SECONDS + $1 * ${CPR_SCALE:-1}))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $deadline ]; then
			say "gave up on: $*"
			return 1
		fi
		sleep 0.1
	done
}

# ---- Phases: the scenario before a kexec is phase 1, after it phase 2 ----

# phase - print the number of the current phase
phase() { cat "$lab_state/phase" 2>/dev/null || echo 1; }

# next_phase - check the kernel log, and count the next boot as the next phase
# Call this immediately before the kexec.
next_phase() {
	check_kernel_log
	echo $(($(phase) + 1)) >"$lab_state/phase"
	sync
}

# kexec_to VERSION [OPTION...] - leave this kernel by kexec, without cpr-helper
# OPTION goes to `kexec -l`. Returns only if kexec fails.
kexec_to() {
	local version=$1
	shift
	kexec -s -l "/boot/vmlinuz-$version" --initrd="/boot/initrd.img-$version" --reuse-cmdline "$@"
	next_phase
	kexec -e
}

# kernel_version SERIES - print the version of L1's kernel 6.12, 7.3 or debug
kernel_version() { sed -n "s/^$1 //p" /lab/kernels; }

# check_kernel_log - two test points: no splat, no leak in this phase's kernel
# Copies the kernel log to the results.
check_kernel_log() {
	local log leaks
	log=/results/dmesg-phase$(phase).log
	leaks=/results/kmemleak-phase$(phase).log
	kernel_leaks >"$leaks"
	dmesg >"$log"
	if splats "$log" >/run/splats; then
		not_ok "the kernel log of phase $(phase) is clean"
		head -n 20 /run/splats | sed 's/^/#   /'
	else
		ok "the kernel log of phase $(phase) is clean"
	fi
	if [ -s "$leaks" ]; then
		not_ok "phase $(phase) leaks no kernel memory"
		head -n 40 "$leaks" | sed 's/^/#   /'
	else
		rm "$leaks"
	fi
}

# kernel_leaks - print kmemleak's report, if the kernel has kmemleak
# kmemleak reports what did not change between two scans and is older than 5 s.
kernel_leaks() {
	local file=/sys/kernel/debug/kmemleak
	[ -w $file ] || return 0
	flush_slab
	echo scan >$file
	sleep 5
	echo scan >$file
	cat $file
}

# flush_slab - remove references to freed memory from SLUB's per-CPU arrays
# kmemleak would take them for references: flush the arrays, then fill them anew.
flush_slab() {
	local file cpu
	for file in /sys/kernel/slab/*/shrink; do
		[ ! -w "$file" ] || echo 1 >"$file"
	done
	for cpu in $(seq 0 $(($(nproc) - 1))); do
		taskset -c "$cpu" find /proc /sys/devices -maxdepth 3 >/dev/null 2>&1
	done
}

# ---- The handover region and the module ----

# attach_pmem - have nd_pmem own the region, as /dev/pmem0
attach_pmem() {
	modprobe -q nd_e820
	modprobe -q nd_pmem
	wait_until 10 test -d /sys/bus/nd/devices/namespace0.0
	[ -b /dev/pmem0 ] || echo namespace0.0 >/sys/bus/nd/drivers/nd_pmem/bind
	wait_until 10 test -b /dev/pmem0
}

# detach_pmem - have nd_pmem release the region, if it owns it
# nd_pmem may be built in.
detach_pmem() {
	local bound=/sys/bus/nd/drivers/nd_pmem/namespace0.0
	[ ! -e $bound ] || echo namespace0.0 >"${bound%/*}/unbind"
}

# load_module [PARAMETER=VALUE...] - load KVM and the module
load_module() {
	modprobe -q kvm_amd || modprobe -q kvm_intel
	detach_pmem
	modprobe cpr_handover "$@"
}

# mount_cprfs - mount cprfs on $mnt
mount_cprfs() { mkdir -p $mnt && mount -t cprfs cprfs $mnt; }

# unload_module - unmount cprfs and unload the module
# A QEMU may still be exiting, and pages that it had pinned hold the module for up to a
# second longer (kmod/scrub.c).
unload_module() { wait_until 30 umount $mnt && wait_until 30 rmmod cpr_handover; }

# ---- Files ----

# make_tree DIR - create files and directories of all kinds below DIR
make_tree() {
	local i
	mkdir -p "$1/b/c"
	for i in $(seq 200); do
		echo "$i" >"$1/b/file with a long name, the ${i}th"
	done
	head -c 7654321 /dev/urandom >"$1/random"
	truncate -s 3G "$1/sparse"
	printf x | dd of="$1/sparse" bs=1 seek=2G conv=notrunc status=none
	chmod 2751 "$1/random"
	chown 1000:2000 "$1/random" "$1/b/c"
	touch -d '2001-02-03 04:05:06.789012345' "$1/b"
	rm "$1"/b/*7th
	# The first reader sets the access times.
	fingerprint "$1" >/dev/null
}

# fingerprint DIR - print the attributes and digests of all files below DIR
fingerprint() {
	(
		cd "$1" || exit
		find . -printf '%P %y %m %U %G %n %s %b %i %A@ %T@ %C@\n' | LC_ALL=C sort
		find . -type f -size -1000M -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
	)
}

# same_tree DIR FILE - succeed if FILE has the fingerprint that DIR has now
same_tree() { fingerprint "$1" | diff "$2" -; }

# ---- QMP ----

# qmp_command IN OUT COMMAND [JSON] - run a QMP command on two open descriptors
# JSON is the command's arguments. Prints all that QEMU sends up to the reply: greeting,
# events, reply. Succeeds if the reply is no error; gives up after 10 s, scaled.
qmp_command() {
	local line=''
	printf '{"execute":"qmp_capabilities"}\n{"execute":"%s","arguments":%s,"id":"asked"}\n' "$3" "${4:-{\}}" >&"$2"
	while read -r -t $((10 * CPR_SCALE)) line <&"$1"; do
		printf '%s\n' "$line"
		[[ $line != *'"id": "asked"'* ]] || break
	done
	[[ $line == *'"id": "asked"'* && $line == *'"return"'* ]]
}

# qmp NAME COMMAND [JSON] - run a QMP command in guest NAME's QEMU; print the reply
# The connection stays open until the reply has come: QEMU drops the commands of a client
# that has closed its end.
qmp() (
	coproc qemu { socat - "UNIX-CONNECT:/run/cpr-helper/$1.qmp" 2>/dev/null; }
	exec {in}<&"${qemu[0]:-}" {out}>&"${qemu[1]:-}" || exit
	qmp_command "$in" "$out" "$2" "${3:-}" 2>/dev/null | grep -a '"id": "asked"'
	exit "${PIPESTATUS[0]}"
)

# l0_qmp COMMAND [JSON] - run a QMP command in the QEMU that L1 runs in
# As qmp_command; L1 has that QEMU's monitor as a virtio-serial port.
l0_qmp() {
	local port status
	exec {port}<>"$(virtio_port cpr.monitor)" || return
	qmp_command "$port" "$port" "$@"
	status=$?
	exec {port}>&-
	return $status
}

# virtio_port NAME - print the device file of the virtio-serial port NAME
virtio_port() {
	local name
	for name in /sys/class/virtio-ports/*/name; do
		[ "$(cat "$name" 2>/dev/null)" = "$1" ] || continue
		name=${name%/name}
		echo "/dev/${name##*/}"
		return
	done
	return 1
}

# ---- PCI devices of L1 ----

# slot_address N - print the PCI address of the device in slot N of `boot.sh --with`
slot_address() { basename /sys/bus/pci/devices/0000:00:1"$1".0/0000:*:00.0; }

# slot_is_full N - succeed if L1 has a device in slot N
slot_is_full() { [ -e "/sys/bus/pci/devices/$(slot_address "$1")" ]; }

# slot_is_empty N - succeed if it has none
slot_is_empty() { ! slot_is_full "$1"; }

# plug N JSON - plug a device into slot N
# JSON are members of the arguments of device_add. The device's ID is in-N, as that of
# the device which boot.sh puts there.
plug() { l0_qmp device_add "{\"id\":\"in-$1\",\"bus\":\"slot-$1\",$2}" && wait_until 20 slot_is_full "$1"; }

# unplug N - unplug the device in slot N
unplug() { l0_qmp device_del "{\"id\":\"in-$1\"}" && wait_until 20 slot_is_empty "$1"; }

# device_address DEVICE - print the PCI address of DEVICE
# DEVICE is a PCI address, slotN, or vfN: the first virtual function of the NIC in slot N.
device_address() {
	case $1 in
	slot*) slot_address "${1#slot}" ;;
	vf*) basename "$(readlink -f "/sys/bus/pci/devices/$(slot_address "${1#vf}")/virtfn0")" ;;
	*) echo "$1" ;;
	esac
}

# create_vf N - create a virtual function of the NIC in slot N
# The NIC has to be up; the MAC address makes the VF the same one under the next kernel.
create_vf() {
	local pf net
	pf=/sys/bus/pci/devices/$(slot_address "$1")
	modprobe igb
	wait_until 20 test -d "$pf/net" || return
	[ "$(cat "$pf/sriov_numvfs")" = 1 ] || echo 1 >"$pf/sriov_numvfs"
	net=$(ls "$pf/net")
	ip link set "$net" up
	ip link set "$net" vf 0 mac "52:54:00:00:02:0$1"
}

# create_vfs DEVICE... - create each virtual function among DEVICEs
create_vfs() {
	local device
	for device; do
		[[ $device != vf* ]] || create_vf "${device#vf}" || return
	done
}

# driver_of ADDRESS - print the name of the driver that is bound to a device, if any
driver_of() {
	local link=/sys/bus/pci/devices/$1/driver
	[ ! -e "$link" ] || basename "$(readlink "$link")"
}

# native_driver ADDRESS - print L1's own driver for a device, if L1 has one
native_driver() { modprobe -R "$(cat "/sys/bus/pci/devices/$1/modalias")" 2>/dev/null | grep -v vfio | head -n 1; }

# bind_native ADDRESS - unbind a device, and have its native driver probe it
# The probe fails, and this function with it, if the module holds the device.
bind_native() {
	local dir=/sys/bus/pci/devices/$1
	echo >"$dir/driver_override"
	[ ! -e "$dir/driver" ] || echo "$1" >"$dir/driver/unbind"
	modprobe "$(native_driver "$1")"
	echo "$1" >/sys/bus/pci/drivers_probe
}

# ---- Guests: start and end ----

# For QEMU's command line: log what tells a guest that reset itself from one whose QEMU
# was ended, see guest_reset_itself.
trace_shutdown=(-trace vm_state_notify -trace qemu_system_shutdown_request)
export trace_shutdown

# guest_argv NAME - set $argv to QEMU's command line of a test guest, without its RAM
# $guest_blob is the size of the file that the guest checks, 16M by default;
# $guest_options are more words for its kernel's command line, see vm/guest/init.
guest_argv() {
	# shellcheck disable=SC2054 # these commas are QEMU's
	argv=(qemu-system-x86_64 -M q35,accel=kvm -cpu host -nodefaults -display none -no-reboot
		-kernel /lab/guest/vmlinuz -initrd /lab/guest/initrd
		-append "console=ttyS0 quiet panic=-1 no_console_suspend blob=${guest_blob:-16M} scale=$CPR_SCALE ${guest_options:-}"
		-chardev "file,id=ser,path=$(guest_console "$1"),append=on" -serial chardev:ser)
}

# start_guest NAME SIZE [OPTION...] [-- QEMU-ARGUMENT...] - start a guest with `cpr-helper run`
# SIZE of RAM, OPTIONs of `run`. Does not wait for the guest to boot.
#
# The agent's channel uses port I/O only. TCG's SVM leaves the type of a guest's last
# exception in EXITINTINFO and clears the valid bit alone. KVM of 7.3, not of 6.12, looks
# at the type alone: it takes the next MMIO access for one during the delivery of an event
# and stops the guest (internal error, suberror 3) if the page is not known to be MMIO
# yet, as after a restore. Port I/O needs no emulation.
start_guest() {
	local name=$1 size=$2 options=() argv
	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	[ $# -eq 0 ] || shift
	guest_argv "$name"
	cpr-helper run "$name" --ram "$size" "${options[@]}" -- "${argv[@]}" \
		-global virtio-serial-pci.disable-modern=on -global virtio-serial-pci.vectors=0 "$@"
}

# fill_room NAME - have a guest's directory take all of the room that the guest has
fill_room() {
	local i=0
	while fallocate -o "$((i * 2))M" -l 2M "$mnt/$1/filler" 2>/dev/null; do
		i=$((i + 1))
	done
}

# guest_boots NAME COMMAND... - wait until a new guest ticks
# Emulation loses a new guest now and then, see testing.md: it resets itself, and QEMU
# exits, or its CPU stands still. COMMAND then starts the guest a second time.
guest_boots() {
	local name=$1
	shift
	wait_until 100 guest_ticks_or_is_gone "$name" 2
	if [ "$CPR_SCALE" -ge 3 ] && { guest_is_gone "$name" || guest_is_stuck "$name"; }; then
		say "$name was lost before its second tick; it is started once more"
		qmp "$name" quit >/dev/null 2>&1
		wait_until 30 cpr-helper delete "$name"
		rm -f "$(guest_console "$name")"
		"$@" || return
	fi
	wait_tick "$name" 2 100
}

# guest_is_gone NAME - succeed if the guest's QEMU has exited
# QEMU removes its socket when it exits in order.
guest_is_gone() { [ -d "$mnt/$1" ] && [ ! -S "/run/cpr-helper/$1.qmp" ]; }

# guest_ticks_or_is_gone NAME N - succeed if the guest has reached tick N, or is gone
guest_ticks_or_is_gone() { tick_reached "$1" "$2" || guest_is_gone "$1"; }

# guest_reset_itself NAME - succeed if QEMU has exited because the guest reset itself
# For guests with "${trace_shutdown[@]}". If QEMU was ended by a client or by a signal,
# QEMU's log has that.
guest_reset_itself() {
	guest_is_gone "$1" && awk '
		/^vm_state_notify running 1 / { asked = 0 }
		/^qemu_system_shutdown_request |terminating on signal/ { asked = 1 }
		END { exit asked }
	' "$mnt/$1/qemu.log"
}

# guest_is_stuck NAME - succeed if the guest runs, but its CPUs execute nothing
# An idle CPU is halted, and wakes up within seconds.
guest_is_stuck() {
	local before after
	guest_status_is "$1" running || return
	before=$(guest_registers "$1")
	sleep 5
	after=$(guest_registers "$1")
	[[ $before == *HLT=0* && $before == "$after" ]]
}

# guest_registers NAME - print the registers of all CPUs of the guest
guest_registers() { qmp "$1" human-monitor-command '{"command-line":"info registers -a"}'; }

# end_guests NAME... - two test points: end all guests, and unload the module
# Remove other files from cprfs before.
end_guests() {
	local name
	for name; do
		qmp "$name" quit >/dev/null
		wait_until 30 cpr-helper delete "$name"
	done
	check "all VMs are deleted" test "$(ls $mnt)" = ""
	check "the module is unloaded" unload_module
}

# ---- Guests: what QEMU reports ----

# guest_status_is NAME STATUS - succeed if query-status reports STATUS
guest_status_is() { qmp "$1" query-status | grep -q "\"status\": \"$2\""; }

# suspend_guest NAME - suspend a guest to RAM by its agent, and wait until it is suspended
# The connection stays open until then, so that the agent reads all of the request.
suspend_guest() {
	{
		printf '{"execute":"guest-sync","arguments":{"id":1}}\n{"execute":"guest-suspend-ram"}\n'
		wait_until 60 guest_status_is "$1" suspended >&2
	} | socat -t 1 - "UNIX-CONNECT:/run/cpr-helper/$1.qga"
	guest_status_is "$1" suspended
}

# save_guest_facts NAME - copy the guest's console, QEMU's log and registers to the results
save_guest_facts() {
	local command
	cp "$(guest_console "$1")" /results/"$1.console"
	cp "$mnt/$1/qemu.log" /results/"$1.qemu.log"
	for command in 'info status' 'info lapic' 'info pic' 'info registers -a' 'info registers -a'; do
		qmp "$1" human-monitor-command "{\"command-line\":\"$command\"}"
	done >/results/"$1.facts" 2>&1
}

# ---- Guests: what they print, see vm/guest/init ----

# guest_console NAME - print the path of the file with the guest's serial output
guest_console() { echo "$lab_state/$1.console"; }

# last_said NAME REGEXP - print the group of REGEXP's last match in the guest's output
# A kexec may cut any line short.
last_said() { sed -n "s/.*GUEST $2.*/\1/p" "$(guest_console "$1")" 2>/dev/null | tail -n 1; }

# guest_digest NAME - print the digest that the guest's file had when the guest came up
guest_digest() { last_said "$1" 'up sum=\([0-9a-f]\{32\}\)'; }

# last_tick NAME - print the number of the guest's last tick, 0 if there is none
last_tick() { local n; n=$(last_said "$1" 'tick \([0-9]*\) '); echo "${n:-0}"; }

# last_use NAME DRIVER - print the last tick at which a device worked, 0 if there is none
last_use() { local n; n=$(last_said "$1" "[a-z]* $2 \([0-9]*\) ok "); echo "${n:-0}"; }

# wakeups NAME - print how often the guest has woken from S3
wakeups() { local n; n=$(last_said "$1" 'woke \([0-9]*\)'); echo "${n:-0}"; }

# guest_is_corrupt NAME - succeed if the guest ever found its memory or a device bad
guest_is_corrupt() { grep -aqE 'GUEST (tick|disk|nic) .* (CORRUPT|DEAD)' "$(guest_console "$1")"; }

# booted_once NAME - succeed if the guest came up exactly once
booted_once() { [ "$(grep -ac 'GUEST up' "$(guest_console "$1")")" = 1 ]; }

# tick_reached NAME N - succeed if the guest has reached tick N
tick_reached() { [ "$(last_tick "$1")" -ge "$2" ]; }

# wait_tick NAME N [SECONDS] - wait until the guest has reached tick N; 60 s by default
# If it does not, the results tell more of the guest.
wait_tick() {
	wait_until "${3:-60}" tick_reached "$1" "$2" && return
	save_guest_facts "$1" 2>/dev/null
	return 1
}

# record_guests NAME... - print a line per guest for guest_continues: tick and digest
record_guests() {
	local name
	for name; do
		echo "$name $(last_tick "$name") $(guest_digest "$name")"
	done
}

# guest_continues NAME FILE - wait until the guest has ticked on from its line in FILE
# Succeeds if it has the memory that it had, and did not boot again.
guest_continues() {
	local name=$1 tick sum
	read -r _ tick sum < <(grep "^$name " "$2")
	wait_tick "$name" $((tick + 3)) 20 && [ "$(guest_digest "$name")" = "$sum" ] &&
		! guest_is_corrupt "$name" && booted_once "$name"
}

# device_used NAME N DRIVER - succeed if a device has worked at tick N or later
device_used() { [ "$(last_use "$1" "$3")" -ge "$2" ]; }

# guest_uses NAME N DRIVER... - wait until all these devices have worked at tick N or later
# Fails if any device ever did not work.
guest_uses() {
	local name=$1 n=$2 driver
	shift 2
	for driver; do
		wait_until 60 device_used "$name" "$n" "$driver" || return
	done
	! guest_is_corrupt "$name"
}

# dma_verified NAME - succeed if cpr-helper shows a verify without a difference
dma_verified() {
	local line
	line=$(cpr-helper show "$1" | grep -iE 'verif|verdict')
	printf '%s\n' "$line"
	[ -n "$line" ] && ! grep -qiE 'never|not |none|unknown|fail|[1-9][0-9]* (range|differ)' <<<"$line"
}
