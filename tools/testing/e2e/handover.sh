#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# handover.sh SERIES COUNT - guests run on after their host has gone from this
# kernel to SERIES: COUNT of them, of which the second is paused, the third has
# two NUMA nodes, the first has a guest agent that sets its clock, and the fourth is
# saved by the update itself.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/guest.sh"

series=$1 count=$2
before=$lab_state/before

guests() { seq -f vm%.0f "$count"; }

start() {
	case $1 in
	vm1) start_guest "$1" 128M --agent ;;
	vm3) start_guest "$1" 128M -- -smp 2 -numa node,nodeid=0,cpus=0 -numa node,nodeid=1,cpus=1 ;;
	*) start_guest "$1" 128M ;;
	esac
}

# It is that of the machine below, which does not stop; but an emulated CPU does not
# promise so.
promise_steady_tsc() {
	sed '/^flags/s/$/ constant_tsc nonstop_tsc/' /proc/cpuinfo >/run/cpuinfo
	mount --bind /run/cpuinfo /proc/cpuinfo
}

# vm4 runs until the update saves it.
ram_digests() { (cd $mnt && find vm* -name 'ram*' -not -path 'vm4/*' | sort | xargs sha256sum); }

run_guests() {
	local name
	load_module region=1G!4G
	check "the region is formatted" cpr-helper format --label e2e
	for name in $(guests); do
		check "$name starts" start "$name"
	done
	for name in $(guests); do
		check "$name runs" boots "$name" start "$name"
	done
	if [ "$count" -ge 2 ]; then
		check "vm2 is paused" runstate_is vm2 running
		qmp vm2 stop >/dev/null
	fi
}

leave() {
	promise_steady_tsc
	date +%s >"$before.date"
	check "all are saved" cpr-helper save --all
	[ "$count" -lt 4 ] || check "one is let run on, for the update to save" cpr-helper abort vm4
	make_tree $mnt/files
	fingerprint $mnt/files >"$before.files"
	# shellcheck disable=SC2046
	remember $(guests) >"$before"
	ram_digests >"$before.ram"
	say "kexec into $(kernel_of "$series")"
	next_phase
	cpr-helper update --kernel "$(kernel_of "$series")" --digest-ram >&2
	not_ok "kexec goes to $series"
}

clock_is_right() {
	local said
	said=$(sed -n 's/.*GUEST tick .* date=\([0-9]*\).*/\1/p' "$(guest_console "$1")" | tail -n 1)
	[ $(($(date +%s) - said)) -le 20 ]
}

# What vm1's last pause was, by the TSC: longer than this kernel ran (ms) before the
# restore, and no longer than all that was done.
pause_is_right() { # UPTIME
	local clock total jump
	read -r clock total jump < <(cpr-helper --json show vm1 | sed -n \
		's/.*"pause":{"clock":"\([a-z]*\)","total_ms":\([0-9]*\),.*{"name":"jump","ms":\([0-9]*\)}.*/\1 \2 \3/p')
	cpr-helper show vm1 | grep '^last pause'
	[ "$clock" = tsc ] && [ "$jump" -gt 0 ] && [ "$total" -ge "$1" ] &&
		[ "$total" -le $((($(date +%s) - $(<"$before.date") + 3) * 1000)) ]
}

arrive() {
	local up
	check "kexec goes to $series" test "$(uname -r)" = "$(kernel_of "$series")"
	load_module
	mkdir -p $mnt
	mount -t cprfs cprfs $mnt
	ram_digests >"$before.ram.now"
	check "every byte of the guests' RAM is what it was" cmp "$before.ram" "$before.ram.now"
	check "and every fact and byte of other files" same_tree $mnt/files "$before.files"
	promise_steady_tsc
	up=$(uptime_s)
	check "all are restored" cpr-helper restore --all
	check "it is known how long vm1 stood still" pause_is_right "${up/./}0"
	check "what is free is scrubbed anew" /usr/libexec/cpr-selftests/ctl wait-clean
}

check_guests() {
	local name
	for name in $(guests); do
		if [ "$name" = vm2 ]; then
			check "vm2 is still paused" runstate_is vm2 paused
			qmp vm2 cont >/dev/null
		fi
		check "$name runs on" goes_on "$name" "$before"
	done
	check "the agent has set vm1's clock" clock_is_right vm1
}

if [ "$(phase)" = 1 ]; then
	run_guests
	leave
else
	arrive
	check_guests
	rm -r $mnt/files
	# shellcheck disable=SC2046 # they are words
	leave_nothing $(guests)
fi
exit 0
