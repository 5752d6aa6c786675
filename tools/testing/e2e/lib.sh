# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For scenarios: scripts that run in L1, and run again from the top after
# each kexec, with `phase` telling where they are.
#
#   ok DESC, not_ok DESC, check DESC COMMAND...   a test point
#   skip DESC WHY                                 one that cannot be had here
#   say TEXT                                      progress, with the uptime
#   until_ok SECONDS COMMAND...                   poll, for so long at most
#   phase; next_phase                             where we are; get ready to leave this kernel
#   kexec_to VERSION [OPTION...]                  leave it by stock kexec
#   pmem                                          give the region to nd_pmem, which makes it /dev/pmem0
#   free_region                                   take it from nd_pmem, which may be built in
#   make_tree DIR                                 names and files of all kinds
#   fingerprint DIR; same_tree DIR FINGERPRINT    every fact and every byte below it
#   kernel_of SERIES                              6.12, 7.3 or debug: its version
#   slot_device N                                 PCI address of what is in --with's Nth slot
#   plug N JSON; unplug N                         put a device in there, take it out
#   machine COMMAND [JSON]                        a QMP command to the QEMU that L1 runs in
#   guest_console NAME                            the file that has guest NAME's serial output
#   guest_sum, last_tick, guest_corrupt NAME      what the guest said there
#   wait_tick NAME N [SECONDS]                    until it has said tick N
#   last_use NAME DRIVER; wakes NAME              the tick its device was last well at; wakings from S3
#
# Standard output is what L0 reads: KTAP only. State is kept on the disk of
# L1, which lives as long as its QEMU, so it survives kexec.

lab_state=/var/lib/cpr-lab
mkdir -p "$lab_state"

# Uptime, as the wall clock may jump over kexec.
uptime_s() { cut -d' ' -f1 /proc/uptime; }

say() { echo "# [$(uptime_s)] $*"; }

phase() { cat "$lab_state/phase" 2>/dev/null || echo 1; }

# Numbers go on over kexec, and a failure is not forgotten there.
test_point() {
	local n
	n=$(($(cat "$lab_state/points" 2>/dev/null || echo 0) + 1))
	echo "$n" >"$lab_state/points"
	echo "$1 $n - $2"
}

ok() { test_point ok "$*"; }

skip() { test_point ok "$1 # SKIP $2"; }

not_ok() {
	test_point 'not ok' "$*"
	: >"$lab_state/failed"
}

# check DESC COMMAND... - its output is shown only when it fails.
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

# Seconds are as on a fast machine; the scale says how slow this one is.
until_ok() {
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
	# Access times are set by the first to read, so read.
	fingerprint "$1" >/dev/null
}

fingerprint() {
	(
		cd "$1" || exit
		find . -printf '%P %y %m %U %G %n %s %b %i %A@ %T@ %C@\n' | LC_ALL=C sort
		find . -type f -size -1000M -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
	)
}

same_tree() { fingerprint "$1" | diff "$2" -; }

pmem() {
	modprobe -q nd_e820
	modprobe -q nd_pmem
	until_ok 10 test -d /sys/bus/nd/devices/namespace0.0
	[ -b /dev/pmem0 ] || echo namespace0.0 >/sys/bus/nd/drivers/nd_pmem/bind
	until_ok 10 test -b /dev/pmem0
}

free_region() {
	local bound=/sys/bus/nd/drivers/nd_pmem/namespace0.0
	[ ! -e $bound ] || echo namespace0.0 >"${bound%/*}/unbind"
}

kernel_of() { sed -n "s/^$1 //p" /lab/kernels; }

# The kernel log of this phase goes to the results, and must have no splat.
# shellcheck source-path=SCRIPTDIR source=../vm/splat.sh
. /lab/vm/splat.sh

# What SLUB has handed out stays in its per-CPU arrays until they are filled
# again, and would look referenced from there: flush them, and use them.
forget_allocations() {
	local file cpu
	for file in /sys/kernel/slab/*/shrink; do
		[ ! -w "$file" ] || echo 1 >"$file"
	done
	for cpu in $(seq 0 $(($(nproc) - 1))); do
		taskset -c "$cpu" find /proc /sys/devices -maxdepth 3 >/dev/null 2>&1
	done
}

leaks_of_kernel() {
	local file=/sys/kernel/debug/kmemleak
	[ -w $file ] || return 0
	forget_allocations
	# what changed since the last scan, or is younger than 5 s, is not reported
	echo scan >$file
	sleep 5
	echo scan >$file
	cat $file
}

check_kernel_log() {
	local log leaks
	log=/results/dmesg-phase$(phase).log
	leaks=/results/kmemleak-phase$(phase).log
	leaks_of_kernel >"$leaks"
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

next_phase() {
	check_kernel_log
	echo $(($(phase) + 1)) >"$lab_state/phase"
	sync
}

kexec_to() {
	local version=$1
	shift
	kexec -s -l "/boot/vmlinuz-$version" --initrd="/boot/initrd.img-$version" --reuse-cmdline "$@"
	next_phase
	kexec -e
}

slot_device() { basename /sys/bus/pci/devices/0000:00:1"$1".0/0000:*:00.0; }

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

# Prints the reply, with what it says of itself in between: the greeting, events.
machine() {
	local port line
	exec {port}<>"$(virtio_port cpr.monitor)" || return
	printf '{"execute":"qmp_capabilities"}\n{"execute":"%s","arguments":%s,"id":"asked"}\n' "$1" "${2:-{\}}" >&"$port"
	while read -r -t $((10 * CPR_SCALE)) line <&"$port"; do
		printf '%s\n' "$line"
		[[ $line != *'"id": "asked"'* ]] || break
	done
	exec {port}>&-
	[[ $line == *'"id": "asked"'* && $line == *'"return"'* ]]
}

full() { [ -e "/sys/bus/pci/devices/$(slot_device "$1")" ]; }

empty() { ! full "$1"; }

# plug N JSON - what boot.sh put there is called in-N, as is what comes after it.
plug() { machine device_add "{\"id\":\"in-$1\",\"bus\":\"slot-$1\",$2}" && until_ok 20 full "$1"; }

unplug() { machine device_del "{\"id\":\"in-$1\"}" && until_ok 20 empty "$1"; }

guest_console() { echo "$lab_state/$1.console"; }

# `GUEST tick N ok sum=...` and the like; anything may be cut short by kexec.
guest_sum() {
	sed -n 's/.*GUEST up sum=\([0-9a-f]\{32\}\).*/\1/p' "$(guest_console "$1")" | tail -n 1
}

last_tick() {
	local n
	n=$(sed -n 's/.*GUEST tick \([0-9]*\) .*/\1/p' "$(guest_console "$1")" 2>/dev/null | tail -n 1)
	echo "${n:-0}"
}

guest_corrupt() { grep -aqE 'GUEST (tick|disk|nic) .* (CORRUPT|DEAD)' "$(guest_console "$1")"; }

last_use() {
	local n
	n=$(sed -n "s/.*GUEST [a-z]* $2 \([0-9]*\) ok .*/\1/p" "$(guest_console "$1")" 2>/dev/null | tail -n 1)
	echo "${n:-0}"
}

wakes() {
	local n
	n=$(sed -n 's/.*GUEST woke \([0-9]*\).*/\1/p' "$(guest_console "$1")" 2>/dev/null | tail -n 1)
	echo "${n:-0}"
}

tick_reached() { [ "$(last_tick "$1")" -ge "$2" ]; }

wait_tick() { until_ok "${3:-60}" tick_reached "$1" "$2"; }
