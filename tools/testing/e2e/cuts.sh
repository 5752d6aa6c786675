#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# After a crash at any moment cprfs mounts, has what was fsync'ed, and shows no foreign byte.
#
# cuts.sh CUTS [SEED] - on one kernel, without a kexec. CUTS times, at random moments of a
# busy workload, the QEMU that L1 runs in stops L1 and saves the region's memory. Each of
# these copies is then put back into the region, and is checked with the module and without.
#
# The copies of a round are taken while one workload runs, and removed as they are checked;
# a copy with a defect stays in the results. A run with the same SEED does the same
# operations, but is cut at other moments.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

cuts=$1
seed=${2:-$((RANDOM % 200))}
cut=/usr/libexec/cpr-selftests/cut
start=$((4 << 30)) size=$((32 << 20))
per_round=15
defects=/run/defects
log=/results/defects

# take_cut N PAGE - save the region and the page at PAGE as cut-N.region and cut-N.page
# L1 gets all commands across in one write, as it stops at the first.
take_cut() {
	local port line
	exec {port}<>"$monitor" || return
	printf '%s{"execute":"pmemsave","arguments":{"val":%d,"size":%d,"filename":"cut-%d.region"}}{"execute":"pmemsave","arguments":{"val":%d,"size":4096,"filename":"cut-%d.page"}}{"execute":"cont","id":"end of cut"}' \
		'{"execute":"stop"}' $start $size "$1" "$2" "$1" >&"$port"
	while read -r -t $((30 * CPR_SCALE)) line <&"$port"; do
		[[ $line != *'"error"'* ]] || break
		[[ $line != *'"end of cut"'* ]] || break
	done
	exec {port}>&-
	[[ $line == *'"end of cut"'* ]] && [ -s "/results/cut-$1.region" ] && return
	echo "cut: $1 was not taken: $line" >>$defects
	return 1
}

# random_pause - sleep for 10 to 310 ms
random_pause() { sleep "0.$(printf %03d $((RANDOM % 300 + 10)))"; }

# take_cuts FIRST LAST SEED - take cuts of a workload that is new
take_cuts() {
	local n page workload
	: >/run/page
	load_module region=$size!$start && cpr-helper format --force >&2 && mount_cprfs || return
	$cut run "$3" >/run/page 2>>$defects &
	workload=$!
	wait_until 30 test -s /run/page || return
	page=$(cat /run/page)
	for n in $(seq "$1" "$2"); do
		random_pause
		take_cut "$n" "$page" || return
	done
	kill $workload || echo "cut: the workload of seed $3 has ended" >>$defects
	wait $workload
	unload_module
}

# restore_region FILE - put a copy into the region
restore_region() {
	attach_pmem && dd if="$1" of=/dev/pmem0 bs=1M oflag=direct status=none || return
	detach_pmem
}

# check_image FILE - print a line for each defect of an image but that a commit was cut off
check_image() {
	cpr-helper inspect --check --json "$1" 2>/dev/null |
		jq -r '"checked", (.defects[] | "\(.kind) \(.place): \(.defect)")' >/run/image
	grep -q '^checked' /run/image || echo "image: inspect --check prints nothing"
	sed '/^checked/d; /^slot-unfinished/d; s/^/image: /' /run/image
}

# check_cut N SEED - put cut N back, and check it
check_cut() {
	local found=/run/found
	check_image "/results/cut-$1.region" >$found
	! grep -q '^slot-unfinished' /run/image || unfinished=$((unfinished + 1))
	if ! restore_region "/results/cut-$1.region"; then
		echo "cut: $1 was not put back" >>$found
	elif ! { load_module region=$size!$start && mount_cprfs; } 2>/run/refusal; then
		{ echo "refused"; cat /run/refusal; } | sed 's/^/mount: /' >>$found
	else
		$cut check "$2" "/results/cut-$1.page" >>$found 2>&1 || [ $? -eq 1 ] ||
			echo "cut: check of $1 failed" >>$found
	fi
	[ ! -d /sys/module/cpr_handover ] || unload_module || echo "mount: no unload" >>$found
	last=$(sed -n 's/^operations: //p' $found)
	sed -i '/^operations: /d' $found
	# What is of no kind is from a program that failed.
	sed -i -E '/^(image|mount|names|data|foreign|frames|tail|cut): /!s/^/cut: /' $found
	if [ -s $found ]; then
		sed "s/^[a-z]*: /&cut $1, seed $2: /" $found | tee -a $log >>$defects
	else
		rm "/results/cut-$1.region" "/results/cut-$1.page"
	fi
}

# promise KIND DESCRIPTION - a test point, passed if there is no defect of KIND
promise() { check "$checked cuts: $2" none "$1"; }

# none KIND - succeed if cuts were checked and have no defect of KIND; print the defects
none() { [ $checked -gt 0 ] && ! grep "^$1: " $defects; }

: >$defects
echo 0 >/proc/sys/vm/compact_unevictable_allowed
monitor=$(virtio_port cpr.monitor)
l0_qmp query-status >/dev/null || not_ok "the monitor of L1's QEMU answers"

checked=0 unfinished=0 operations=0 last=''
while [ $checked -lt "$cuts" ]; do
	until=$((checked + per_round < cuts ? checked + per_round : cuts))
	take_cuts $((checked + 1)) $until "$seed" || { not_ok "cuts of seed $seed are taken"; break; }
	while [ $checked -lt $until ]; do
		checked=$((checked + 1))
		check_cut $checked "$seed"
	done
	say "$checked cuts, $unfinished of them during a commit; seed $seed: $last"
	operations=$((operations + 10#0${last%% *}))
	seed=$((seed + 1))
done
say "$operations operations, $unfinished cuts during a commit"

check "all $cuts cuts are taken and checked" test "$checked" -eq "$cuts"
promise cut "the workload goes on, and each cut can be checked"
promise image "inspect --check finds nothing but a commit that was cut off"
promise mount "the module loads, and cprfs mounts"
promise names "names, sizes and frames are those of one moment since the last fsync"
promise data "data is that of this moment, or newer"
promise foreign "no byte of another file, or of another place"
promise frames "no frame is lost, or owned twice"
promise tail "what a file had beyond its end does not come back when the file grows"
