#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests run on after `cpr-helper update` has replaced the host's kernel, with their memory.
#
# handover.sh SERIES COUNT - starts COUNT guests, updates this kernel to SERIES, and
# restores them. vm1 has a guest agent, which sets its clock; vm2 is paused; vm3 has two
# NUMA nodes; vm4 is saved by the update itself, and its QEMU runs as another user than root.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

series=$1 count=$2
before=$lab_state/before

guests() { seq -f vm%.0f "$count"; }

# Opened for all, as the rules of udev do on a host.
open_kvm() { chmod 666 /dev/kvm; }

start_as_nobody() { # NAME
	: >"$(guest_console "$1")"
	chown nobody "$(guest_console "$1")"
	open_kvm
	start_guest "$1" 128M --user nobody
}
qemu_is_nobodys() { # NAME
	local pid
	pid=$(cpr-helper --json show "$1" | sed -n 's/.*"qemu":{"pid":\([0-9]*\).*/\1/p')
	grep '^[UG]id:' "/proc/$pid/status"
	[ "$(grep -c '^[UG]id:\(\s65534\)\{4\}$' "/proc/$pid/status")" = 2 ]
}

start() {
	case $1 in
	vm1) start_guest "$1" 128M --agent ;;
	vm3) start_guest "$1" 128M -- -smp 2 -numa node,nodeid=0,cpus=0 -numa node,nodeid=1,cpus=1 ;;
	vm4) start_as_nobody "$1" ;;
	*) start_guest "$1" 128M ;;
	esac
}

# The TSC of an emulated CPU is that of L0's CPU, which never stops, but the CPU's flags do
# not promise that.
promise_steady_tsc() {
	sed '/^flags/s/$/ constant_tsc nonstop_tsc/' /proc/cpuinfo >/run/cpuinfo
	mount --bind /run/cpuinfo /proc/cpuinfo
}

# Not vm4's, which runs until the update saves it.
ram_digests() { (cd $mnt && find vm* -name 'ram*' -not -path 'vm4/*' | sort | xargs sha256sum); }

run_guests() {
	local name
	load_module region=1G!4G
	check "the region is formatted" cpr-helper format --label e2e
	for name in $(guests); do
		check "$name starts" start "$name"
	done
	for name in $(guests); do
		check "$name boots" guest_boots "$name" start "$name"
	done
	if [ "$count" -ge 2 ]; then
		check "vm2 runs before it is paused" guest_status_is vm2 running
		qmp vm2 stop >/dev/null
	fi
}

with_kho() { grep -qw kho=on /proc/cmdline; }

# The kernel loads the next one and its initrd into areas that it has reserved for that.
kho_refuses_a_large_initrd() {
	local version
	version=$(kernel_version "$series")
	cp "/boot/initrd.img-$version" /run/large
	truncate -s 200M /run/large
	check "KHO is on" sh -c "dmesg | grep -qi kho"
	check "an initrd that is too large for KHO's areas is refused as such" sh -c "! cpr-helper update --kernel $version --initrd /run/large 2>/run/said && grep -q 'it takes .* MiB unpacked,.* must fit into the kernel.s scratch areas, and so must its initrd of 200 MiB' /run/said"
	sed 's/^/# /' /run/said
	rm /run/large
	check "the guest runs on after that" guest_status_is vm1 running
}

leave_kernel() {
	promise_steady_tsc
	! with_kho || kho_refuses_a_large_initrd
	date +%s >"$before.date"
	check "all guests are saved" cpr-helper save --all
	[ "$count" -lt 4 ] || check "vm4 resumes, for the update to save it" cpr-helper abort vm4
	make_tree $mnt/files
	check "a page of a file gets a memory error" /usr/libexec/cpr-selftests/poison file failed
	fingerprint $mnt/files >"$before.files"
	# shellcheck disable=SC2046
	record_guests $(guests) >"$before"
	ram_digests >"$before.ram"
	say "kexec into $(kernel_version "$series")"
	next_phase
	cpr-helper update --kernel "$(kernel_version "$series")" --digest-ram >&2
	not_ok "kexec into $series"
}

# The guest printed its time between two points in time here, however slow the machine
# is. The agent may have set the clock with a delay as long as the restore took.
clock_is_right() { # NAME RESTORE-SECONDS
	local tick begin time
	tick=$(last_tick "$1") begin=$(date +%s)
	wait_tick "$1" $((tick + 2)) || return
	time=$(last_said "$1" 'tick .* date=\([0-9]*\)')
	echo "the guest's clock: $time, the host's: $begin to $(date +%s)"
	[ "$time" -ge $((begin - $2 - 1)) ] && [ "$time" -le $(($(date +%s) + 1)) ]
}

# The length of vm1's last pause, by the TSC: more than this kernel had run (in ms) before
# the restore, and no more than the time since before the save.
pause_is_right() { # UPTIME-MS
	local clock total jump
	read -r clock total jump < <(cpr-helper --json show vm1 | sed -n \
		's/.*"pause":{"clock":"\([a-z]*\)","total_ms":\([0-9]*\),.*{"name":"jump","ms":\([0-9]*\)}.*/\1 \2 \3/p')
	cpr-helper show vm1 | grep '^last pause'
	[ "$clock" = tsc ] && [ "$jump" -gt 0 ] && [ "$total" -ge "$1" ] &&
		[ "$total" -le $((($(date +%s) - $(<"$before.date") + 3) * 1000)) ]
}

restore_guests() {
	local up name took
	check "kexec into $series" test "$(uname -r)" = "$(kernel_version "$series")"
	! with_kho || check "the kernel got data by KHO" sh -c "dmesg | grep -qi 'kho: found kexec handover data'"
	load_module
	mount_cprfs
	ram_digests >"$before.ram.now"
	check "every byte of the guests' RAM is what it was" cmp "$before.ram" "$before.ram.now"
	check "other files have the bytes and attributes that they had" same_tree $mnt/files "$before.files"
	check "the page with the memory error, and no other, is lost" /usr/libexec/cpr-selftests/poison has-error failed
	check "the memory error is on record" grep -q ' bad-pages=1 ' <(/usr/libexec/cpr-selftests/ctl status)
	promise_steady_tsc
	up=$(uptime_s) took=$SECONDS
	open_kvm
	check "all guests are restored" cpr-helper restore --all
	took=$((SECONDS - took))
	check "the length of vm1's pause is measured by the TSC" pause_is_right "${up/./}0"
	check "all free frames are scrubbed" /usr/libexec/cpr-selftests/ctl wait-clean
	for name in $(guests); do
		if [ "$name" = vm2 ]; then
			check "vm2 is still paused" guest_status_is vm2 paused
			qmp vm2 cont >/dev/null
		fi
		check "$name runs on with its memory" guest_continues "$name" "$before"
	done
	check "the agent has set vm1's clock" clock_is_right vm1 "$took"
	[ "$count" -lt 4 ] || check "vm4's QEMU is nobody's" qemu_is_nobodys vm4
}

if [ "$(phase)" = 1 ]; then
	run_guests
	leave_kernel
else
	restore_guests
	rm -r $mnt/files $mnt/failed
	# shellcheck disable=SC2046 # they are words
	end_guests $(guests)
fi
exit 0
