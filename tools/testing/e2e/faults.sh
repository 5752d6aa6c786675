#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# faults.sh [PREFIX...] - an update of four guests fails, or is killed, at each of its
# steps, or at those whose names begin so, on one kernel; QEMU hangs, is killed, or finds no
# room. After each, all guests run on with the memory they had. No jump is made: of the
# kernel's side all is done but it.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/guest.sh"

faulty=/usr/libexec/cpr-selftests/cpr-helper
guests=(vm1 vm2 vm3 vm4)
mapfile -t points < <("$faulty" --fault-points | grep -E "^($(IFS='|'; echo "$*"))")
# They are looked at after each of them: a tick is not to take long.
guest_blob=4M
declare -A tick
sums=/run/sums resets=/run/resets

to_kernel=(update --kernel "$(uname -r)")
to_qemu=(update --qemu /root/new-qemu)

start() { start_guest "$1" 96M -- "${watched[@]}"; }

note_sum() { guest_sum "$1" >"$sums/$1"; }

remember() {
	local name
	for name in "${guests[@]}"; do tick[$name]=$(last_tick "$name"); done
}

reached_or_gone() { tick_reached "$1" $((tick[$1] + 1)) || is_gone "$1"; }

# Each has said another tick since, has the bytes it had, and was not started anew.
goes_on() {
	until_ok 30 reached_or_gone "$1"
	ticks "$1" $((tick[$1] + 1)) 1 && ! guest_corrupt "$1" && guest_sum "$1" | cmp "$sums/$1" &&
		[ "$(grep -ac 'GUEST up' "$(guest_console "$1")")" = 1 ]
}

# Emulation makes a guest reset itself now and then, see testing.md. More often than
# that it must not.
replaced() {
	[ "$CPR_SCALE" -ge 3 ] && reset_itself "$1" || return
	echo "$1" >>$resets
	[ "$(wc -l <$resets)" -le 3 ] || return
	cpr-helper delete "$1" >&2
	rm -f "$(guest_console "$1")"
	start "$1" && boots "$1" start "$1" && note_sum "$1"
}

all_go_on() {
	local name
	remember
	for name in "${guests[@]}"; do goes_on "$name" || replaced "$name" || { echo "$name"; return 1; }; done
}

nothing_left() { ! ls $mnt/*/state* 2>/dev/null && [ "$(cat /sys/kernel/kexec_loaded)" = 0 ]; }

some_replaced() {
	local name some=1
	for name in "${guests[@]}"; do ! replaced "$name" || some=0; done
	return $some
}

# exits WANT... -- COMMAND...
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

with_fault() { CPR_FAULT=$1 "$faulty" "${@:2}"; }

start_guests() {
	local name
	load_module region=1G!4G
	check "the region is formatted" cpr-helper format
	mkdir $sums
	for name in "${guests[@]}"; do start "$name" >&2; done
	for name in "${guests[@]}"; do check "$name runs" boots "$name" start "$name"; done
	for name in "${guests[@]}"; do note_sum "$name"; done
	printf '#!/bin/sh\nexec qemu-system-x86_64 "$@"\n' >/root/new-qemu
	chmod 755 /root/new-qemu
}

# What comes by a fault point: the first VM does, and the others have to be put back.
come_by() { # POINT ACTION
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
		check "$point fails" exits 1 4 6 -- come_by "$point" fail
		[[ $point != abort-* ]] || check "abort --all again" cpr-helper abort --all
		check "$point fails: all run on" all_go_on
	done
	check "nothing is left of all that" nothing_left
}

test_kills() {
	local point
	for point in "${points[@]}"; do
		check "$point: killed" exits 137 -- come_by "$point" kill
		check "$point: killed, aborted" exits 0 3 -- cpr-helper abort --all
		check "$point: killed, all run on" all_go_on
	done
	check "nothing is left of all that, either" nothing_left
}

test_full() {
	fallocate -l "$(df -B1 --output=avail $mnt | tail -n 1)" $mnt/filler
	# Should there be room all the same, it does not jump.
	check "an update in a full region fails" exits 1 -- with_fault update-sealed:fail "${to_kernel[@]}"
	rm $mnt/filler
	check "it tells for which VMs" grep -q '^cpr-helper: vm[1-4]: ' /run/said
	check "all run on after it" all_go_on
	check "nothing is left of it" nothing_left
}

pid_of() { cpr-helper --json show "$1" | grep -o '"pid":[0-9]*' | head -n 1 | cut -d: -f2; }

halted() { grep -lE '^[0-9]+ \(cpr-helper\) T' /proc/[0-9]*/stat 2>/dev/null | cut -d/ -f3; }

is_halted() { [ -n "$(halted)" ]; }

# during POINT "COMMAND" ARGUMENT... - the helper waits there, at vm2, until COMMAND was done
during() {
	local point=$1 command=$2 job
	CPR_FAULT=$point:hang:vm2 "$faulty" "${@:3}" >/run/said 2>&1 &
	job=$!
	until_ok 30 is_halted
	$command
	halted | xargs kill -CONT
	wait $job
}

test_hang() {
	local pid
	pid=$(pid_of vm2)
	# Not to wait for too long.
	CPR_TIMEOUT_SCALE=0.5 during save-set-up "kill -STOP $pid" "${to_kernel[@]}" --timeout 20
	check "a QEMU that hangs fails the update" test $? = 6
	check "it is named" grep -q "VMs 'vm2' could not be put back" /run/said
	check "the others run on" runstate_is vm3 running
	check "it does not answer abort, either" exits 1 6 -- env CPR_TIMEOUT_SCALE=0.5 cpr-helper abort --all
	kill -CONT "$pid"
	check "when it does, it is put back" cpr-helper abort --all
	check "and all run on" all_go_on
}

# Until it has written the guest is in QEMU alone; from then on, in its files.
test_killed_qemu() {
	during save-written "kill -9 $(pid_of vm2)" save --all
	check "a QEMU that is killed once it has written is a failure" test $? = 6
	check "but not the end of its guest" grep -q "VM 'vm2': its QEMU has ended, but its state is whole" /run/said
	check "which is put back with the others" cpr-helper abort --all
	check "all run on in the end" all_go_on
}

start_guests
check "all guests tick" all_go_on
test_failures
test_kills
test_full
test_hang
test_killed_qemu
check "nothing is left in the end" nothing_left
[ ! -e $resets ] || say "guests that have reset themselves, and were started anew: $(xargs <$resets)"
leave_nothing "${guests[@]}"
exit 0
