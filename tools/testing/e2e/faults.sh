#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# An update that fails or is killed at any of its steps leaves all guests running.
#
# faults.sh [--guests N] [PREFIX...] - has an update of N guests (4) fail, or be killed, at
# each of its fault points, or at those whose names begin with a PREFIX; has QEMU hang, be
# killed, or find no space. After each of these all guests run on with the memory they had.
# All on one kernel: everything of an update is done but the jump.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

faulty=/usr/libexec/cpr-selftests/cpr-helper
guests=(vm1 vm2 vm3 vm4)
if [ "${1:-}" = --guests ]; then
	guests=("${guests[@]:0:$2}")
	shift 2
fi
mapfile -t points < <("$faulty" --fault-points | grep -E "^($(IFS='|'; echo "$*"))")
# Each guest has to tick after each fault: a tick should not take long.
guest_blob=4M
declare -A tick
digests=/run/digests resets=/run/resets

to_kernel=(update --kernel "$(uname -r)")
to_qemu=(update --qemu /root/new-qemu)

start() { start_guest "$1" 96M -- "${trace_shutdown[@]}"; }

note_digest() { guest_digest "$1" >"$digests/$1"; }

note_ticks() {
	local name
	for name in "${guests[@]}"; do tick[$name]=$(last_tick "$name"); done
}

# The guest has ticked since note_ticks, has the bytes it had, and did not boot again.
runs_on() { # NAME
	wait_until 30 guest_ticks_or_is_gone "$1" $((tick[$1] + 1))
	wait_tick "$1" $((tick[$1] + 1)) 1 && ! guest_is_corrupt "$1" &&
		guest_digest "$1" | cmp "$digests/$1" && booted_once "$1"
}

# Under emulation a guest resets itself or stands still now and then, see testing.md: start
# it again, but not more often than that happens.
replaced() { # NAME
	[ "$CPR_SCALE" -ge 3 ] && { guest_reset_itself "$1" || guest_is_stuck "$1"; } || return
	echo "$1" >>$resets
	[ "$(wc -l <$resets)" -le 3 ] || return
	qmp "$1" quit >/dev/null 2>&1
	wait_until 30 cpr-helper delete "$1"
	rm -f "$(guest_console "$1")"
	start "$1" && guest_boots "$1" start "$1" && note_digest "$1"
}

some_replaced() {
	local name some=1
	for name in "${guests[@]}"; do ! replaced "$name" || some=0; done
	return $some
}

all_run_on() {
	local name
	note_ticks
	for name in "${guests[@]}"; do runs_on "$name" || replaced "$name" || { echo "$name"; return 1; }; done
}

nothing_left() { ! ls $mnt/*/state* 2>/dev/null && [ "$(cat /sys/kernel/kexec_loaded)" = 0 ]; }

# exits STATUS... -- COMMAND... - COMMAND exits with one of these; if not because of a
# guest that reset itself, the second time
exits() { exits_once "$@" || { some_replaced && exits_once "$@"; }; }

exits_once() {
	local want=() status
	while [ "$1" != -- ]; do want+=("$1"); shift; done
	shift
	"$@" >/run/said 2>&1
	status=$?
	[[ " ${want[*]} " == *" $status "* ]] && return
	echo "status $status, not ${want[*]}:"
	cat /run/said
	return 1
}

with_fault() { CPR_FAULT=$1 "$faulty" "${@:2}"; } # FAULT ARGUMENT...

start_guests() {
	local name
	load_module region=1G!4G
	check "the region is formatted" cpr-helper format
	mkdir $digests
	for name in "${guests[@]}"; do
		start "$name" >&2
		check "$name boots" guest_boots "$name" start "$name"
	done
	for name in "${guests[@]}"; do note_digest "$name"; done
	printf '#!/bin/sh\nexec qemu-system-x86_64 "$@"\n' >/root/new-qemu
	chmod 755 /root/new-qemu
}

# Run the command that passes a fault point. vm1 reaches it; the others are rolled back.
pass() { # POINT ACTION
	case $1 in
	update-*) with_fault "$1:$2" "${to_kernel[@]}" ;;
	restore-*) with_fault "$1:$2:vm1" "${to_qemu[@]}" ;;
	abort-*) cpr-helper save --all && with_fault "$1:$2:vm1" abort --all ;;
	*) with_fault "$1:$2:vm1" "${to_kernel[@]}" ;;
	esac
}

test_failures() {
	local point
	for point in "${points[@]}"; do
		check "$point fails: cpr-helper fails" exits 1 4 6 -- pass "$point" fail
		[[ $point != abort-* ]] || check "$point fails: a second abort --all" cpr-helper abort --all
		check "$point fails: all guests run on" all_run_on
	done
	check "no state and no loaded kernel is left after the failures" nothing_left
}

test_kills() {
	local point
	for point in "${points[@]}"; do
		check "$point killed: cpr-helper is killed" exits 137 -- pass "$point" kill
		check "$point killed: abort --all" exits 0 3 -- cpr-helper abort --all
		check "$point killed: all guests run on" all_run_on
	done
	check "no state and no loaded kernel is left after the kills" nothing_left
}

test_full() {
	fill_room vm2
	# The fault prevents the jump in case there is space all the same.
	check "an update with a guest whose room is full fails" exits 1 4 -- with_fault update-sealed:fail "${to_kernel[@]}"
	rm $mnt/vm2/filler
	check "the error names the VM" grep -q '^cpr-helper: vm2: ' /run/said
	check "all guests run on after the failure" all_run_on
	check "no state and no loaded kernel is left after the failure" nothing_left
}

pid_of() { cpr-helper --json show "$1" | grep -o '"pid":[0-9]*' | head -n 1 | cut -d: -f2; }

# PIDs of helpers that have halted at a fault point.
halted() { grep -lE '^[0-9]+ \(cpr-helper\) T' /proc/[0-9]*/stat 2>/dev/null | cut -d/ -f3; }

is_halted() { [ -n "$(halted)" ]; }

# during POINT "COMMAND" ARGUMENT... - halt the helper at POINT of vm2, run COMMAND, and
# let the helper go on to its end
during() {
	local point=$1 command=$2 job
	CPR_FAULT=$point:hang:vm2 "$faulty" "${@:3}" >/run/said 2>&1 &
	job=$!
	wait_until 30 is_halted
	$command
	halted | xargs kill -CONT
	wait $job
}

# A shorter timeout than usual, as vm2's QEMU will not answer; the other guests still have
# the time of a fast machine.
impatient=$((CPR_SCALE > 3 ? CPR_SCALE / 3 : 1))

test_hang() {
	local pid
	pid=$(pid_of vm2)
	CPR_TIMEOUT_SCALE=$impatient during save-set-up "kill -STOP $pid" "${to_kernel[@]}" --timeout 20
	check "an update fails when a QEMU hangs" test $? = 6
	check "the error names the VM" grep -q "VMs 'vm2' could not be rolled back" /run/said
	check "the others run on" guest_status_is vm1 running
	check "abort fails while the QEMU hangs" exits 1 6 -- env CPR_TIMEOUT_SCALE=$impatient cpr-helper abort --all
	kill -CONT "$pid"
	check "abort succeeds when the QEMU answers again" cpr-helper abort --all
	check "all guests run on after the abort" all_run_on
}

# Until QEMU has written the state the guest is in QEMU alone; from then on it is in its
# files, too.
test_killed_qemu() {
	during save-written "kill -9 $(pid_of vm2)" save --all
	check "a save succeeds although QEMU is killed after it has written the state" test $? = 0
	check "abort --all resumes all guests" cpr-helper abort --all
	check "all guests run on after the abort" all_run_on
}

start_guests
check "all guests tick" all_run_on
test_failures
test_kills
test_full
test_hang
test_killed_qemu
check "no state and no loaded kernel is left in the end" nothing_left
[ ! -e $resets ] || say "guests that were lost and started again: $(xargs <$resets)"
end_guests "${guests[@]}"
exit 0
