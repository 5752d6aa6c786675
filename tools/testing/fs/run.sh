#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Programs find on cprfs what POSIX, Linux and tmpfs promise, whatever operations they mix.
#
# run.sh short|whole - run the testers beside this script on cprfs. Then mount cprfs again
# and load the module again, and compare all files with the models. Run the POSIX checks on
# tmpfs, too: a check that fails there is wrong.
set -u

# shellcheck source-path=SCRIPTDIR/../selftests/cpr source=common.sh
. /lab/selftests/cpr/common.sh

testers=/usr/libexec/cpr-fs
shm=/dev/shm

case $1 in
short) bytes_ops=10000 bytes_runs=2 names_ops=1500 names_processes=2 ;;
whole) bytes_ops=125000 bytes_runs=8 names_ops=20000 names_processes=4 ;;
*) exit 2 ;;
esac
# The debug kernel is slower.
[ "$CPR_KERNEL" != debug ] || bytes_ops=$((bytes_ops / 10)) names_ops=$((names_ops / 10))

# A new seed each time: a failure prints it.
seed=$(date +%s)

# points TITLE STATUS FILE - print the test points of a tester's output
points() {
	local title=$1 status=$2 line
	while read -r line; do
		case $line in
		'ok '*) ok "$title: ${line#ok * - }" ;;
		'not ok '*) not_ok "$title: ${line#not ok * - }" ;;
		'#'*) echo "$line" ;;
		esac
	done <"$3"
	[ "$status" -le 1 ] && grep -q '^1\.\.' "$3" ||
		not_ok "$title runs to its end, not to status $status"
}

# tester TITLE PROGRAM [ARGUMENT...]
tester() {
	local title=$1 program=$2 started=$SECONDS
	shift 2
	"$testers/$program" "$@" >/run/tester.out 2>&1
	points "$title" $? /run/tester.out
	say "$title: $((SECONDS - started)) s"
}

# run_bytes FIRST - every second run of `bytes`
run_bytes() {
	local i
	for i in $(seq "$1" 2 $bytes_runs); do
		"$testers/bytes" --tail --ops $bytes_ops --seed $((seed + i)) --model "$shm/model-$i" \
			"$mnt/bytes-$i" >"/run/bytes-$i.out" 2>&1
		echo $? >"/run/bytes-$i.status"
	done
}

# Two at a time, so that the commits of one meet the other.
test_bytes() {
	local i started=$SECONDS
	run_bytes 1 &
	run_bytes 2
	wait
	for i in $(seq $bytes_runs); do
		points bytes "$(cat "/run/bytes-$i.status")" "/run/bytes-$i.out"
	done
	say "bytes: $((SECONDS - started)) s"
}

test_names() {
	mkdir "$mnt/names"
	tester names names --seed "$seed" --ops $names_ops --processes $names_processes \
		--state "$shm/state" "$mnt/names"
}

bytes_are_kept() {
	local i
	for i in $(seq $bytes_runs); do
		cmp "$mnt/bytes-$i" "$shm/model-$i" || return
	done
}

check_kept() { # WHEN
	check "$1 the files have their bytes" bytes_are_kept
	tester "names $1" names --check "$shm/state" "$mnt/names"
}

test_kept() {
	umount $mnt
	mount_cprfs
	check_kept "after an unmount"
	umount $mnt
	unload
	load
	mount_cprfs
	check_kept "after the module was loaded again"
}

free_blocks() { stat -f -c %f $mnt; }

# All that the testers took is free again.
test_all_is_free() {
	rm -r $mnt/names $mnt/bytes-*
	check "all space is free again" test "$(free_blocks)" = "$free_before"
	check "no name is left" test -z "$(ls -A $mnt)"
}

test_posix() {
	local program
	mkdir -p $shm/posix $mnt/posix
	for program in "$testers"/posix-*; do
		program=${program##*/}
		tester "$program on tmpfs" "$program" $shm/posix
		tester "$program on cprfs" "$program" $mnt/posix
	done
	rm -rf $mnt/posix
}

detach_pmem
load
"$bin/ctl" format
mount_cprfs
chmod 755 $mnt
free_before=$(free_blocks)
test_bytes
test_names
test_kept
test_all_is_free
test_posix
umount $mnt
unload
exit 0
