#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What cpr-helper prints and exits with is exactly what users and scripts rely on.
#
# run.sh - tests the command line; prints KTAP.
#
# The parts are run in two groups beside each other, as they wait more than they work.
#
#	CPR_CLI_PARTS	the parts to run, scripts of this directory, one after the other (all)
#	CPR_TIMEOUT_SCALE	how much slower this machine is than a fast one (1): all
#			timeouts are multiplied by this whole number, cpr-helper's too
#
#	CPR_HELPER	the program
#	CPR_HELPER_FAKE	the program with fake.c in the module's place
#	CPR_DEVIMAGE	the program of devimage.c
#
# Parts that need root or QEMU 10.0 are skipped, with the reason, if there is none.
# shellcheck disable=SC2317 # the parts call the functions
set -u
here=$(cd "$(dirname "$0")" && pwd)
: "${CPR_HELPER:?}" "${CPR_HELPER_FAKE:?}" "${CPR_DEVIMAGE:?}"
# Each group needs mounts and processes of its own: vms.sh mounts file systems,
# and the fake module looks for mappings of a VM's files in all processes, by name. In a
# chroot the propagation cannot be set; toolbox.sh has set it.
if [ "$(id -u)" = 0 ] && [ -n "${CPR_CLI_GROUP:-}" ] && [ -z "${CPR_CLI_UNSHARED:-}" ]; then
	propagation=private
	unshare -m true 2>/dev/null || propagation=unchanged
	CPR_CLI_UNSHARED=1 exec unshare --mount --propagation $propagation \
		--pid --fork --kill-child --mount-proc "$0" "$@"
fi
tmp=$(mktemp -d)
chmod 755 "$tmp"
trap 'rm -rf "$tmp"' EXIT
helper=$CPR_HELPER
count=0 failed=0
scale=${CPR_TIMEOUT_SCALE:-1}
unset NO_COLOR
export CPR_TIMEOUT_SCALE=$scale LC_ALL=C TZ=UTC

# TOPIC: the test points from here on have it in their descriptions, after the part.
section() { section="$1: "; }
result() { # STATUS DESCRIPTION
	count=$((count + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	echo "$1 $count - $part: $section$2"
}
skip() { result ok "$1 # SKIP $2"; } # DESCRIPTION REASON
complain() { printf '#   %s\n' "${1//$'\n'/$'\n#   '}"; }
# COMMAND...: repeat it until it succeeds, for a minute of a fast machine.
soon() {
	local deadline=$((SECONDS + 60 * scale))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}
# PERCENT COMMAND...: with timeouts of PERCENT of the usual length. For a peer that will not
# answer; what does answer must still have the time for it on a slow machine.
hasty() {
	local -x CPR_TIMEOUT_SCALE=$(($1 * scale))e-2
	"${@:2}"
}
# Run the helper; its output is in $out and $err, its status in $status.
call() {
	"$helper" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
	out=$(<"$tmp/out") err=$(<"$tmp/err")
}
# FAULT ARGUMENT...: the same with a fault point, see base/faultpoint.h.
faulty() { local fault=$1; shift; CPR_FAULT=$fault call "$@"; }
# HELPER ARGUMENT...: in the background, with its PID in $pid. Bash lets background jobs
# ignore SIGINT.
behind() {
	env --default-signal=INT "$helper" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null &
	pid=$!
}
finished() { wait "$pid"; status=$?; out=$(<"$tmp/out") err=$(<"$tmp/err"); }
# PIDs of helpers that have halted at a fault point.
halted() { grep -lE '^[0-9]+ \(cpr-helper\) T' /proc/[0-9]*/stat 2>/dev/null | cut -d/ -f3; }
is_halted() { [ -n "$(halted)" ]; }
# DESCRIPTION STATUS STDERR ARGUMENT...: this status, and exactly this on stderr, without the
# remedies.
refuses() {
	local what=$1 want=$2 words=$3 got
	shift 3
	call "$@"
	got=$(grep -v '^  remedy: ' <<<"$err")
	if [ "$status" = "$want" ] && [ "$got" = "$words" ]; then
		result ok "$what"
		return
	fi
	result 'not ok' "$what"
	echo "# status $status, not $want; stderr:"
	complain "$err"
	echo "# not:"
	complain "$words"
}
# DESCRIPTION STDOUT ARGUMENT...: status 0, and exactly this on stdout.
prints() {
	local what=$1 words=$2
	shift 2
	call "$@"
	if [ "$status" = 0 ] && [ "$out" = "$words" ]; then
		result ok "$what"
		return
	fi
	result 'not ok' "$what"
	echo "# status $status; stdout:"
	complain "$out"
	echo "# not:"
	complain "$words"
	complain "$err"
}
# DESCRIPTION COMMAND...: the command succeeds.
holds() {
	local what=$1
	shift
	if "$@" >"$tmp/holds" 2>&1; then
		result ok "$what"
	else
		result 'not ok' "$what"
		echo "# failed: $*"
		complain "$(<"$tmp/holds")"
	fi
}
# DESCRIPTION EXPRESSION ARGUMENT...: stdout is one JSON object `o`, for which the Python
# expression is true.
json() {
	local what=$1 expression=$2
	shift 2
	call --json "$@"
	holds "$what" python3 -c "
import json, sys
o = json.load(open('$tmp/out'))
assert o['version'] == 1, o
assert ($expression), o"
}

# PART...: their output, numbered from 1.
run_parts() {
	local part section world=
	for part; do
		section=
		case $part in
		usage | image | validate) ;;
		*)
			# shellcheck source=/dev/null
			[ -n "$world" ] || . "$here/vms.sh"
			[ -n "$world" ] || vms_world
			world=1
			;;
		esac
		echo "# $part: $("$here/../promise.sh" "$here/$part.sh")"
		# shellcheck source=/dev/null
		. "$here/$part.sh"
		echo "# $part: until $SECONDS s"
	done
}

# Number the test points of all groups as one sequence.
number() {
	local n=0 line
	while IFS= read -r line; do
		if [[ $line =~ ^((not )?ok)\ [0-9]+\ -\ (.*)$ ]]; then
			n=$((n + 1))
			line="${BASH_REMATCH[1]} $n - ${BASH_REMATCH[3]}"
		fi
		printf '%s\n' "$line"
	done
	echo "1..$n"
}

# Where cgroups (v2) are mounted.
cgroups=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)

# COMMAND...: in a cgroup of its own, below which cpr-helper makes those of its VMs, as PID 1
# of the group is in it.
in_cgroup() {
	local dir=$cgroups/cpr-cli-$BASHPID
	[ -z "$cgroups" ] || { mkdir "$dir" && echo $BASHPID >"$dir/cgroup.procs"; } 2>/dev/null || true
	exec "$@"
}
remove_cgroup() { # PID
	local dir=$cgroups/cpr-cli-$1
	[ -z "$cgroups" ] || ! [ -d "$dir" ] || find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null
}

# Each group has mounts, processes and cgroups of its own, so nothing is shared but the CPUs.
run_groups() {
	local group pids=() pid ok=0
	for group in "${groups[@]}"; do
		# tail reads it, perhaps before the group has begun.
		: >"$tmp/group${#pids[@]}"
		CPR_CLI_GROUP=$group in_cgroup "$0" >"$tmp/group${#pids[@]}" 2>&1 &
		pids+=($!)
	done
	trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$tmp"' EXIT
	for ((pid = 0; pid < ${#pids[@]}; pid++)); do
		# The first is shown as it goes on, the others once it is their turn.
		tail -n +1 -f --pid="${pids[pid]}" "$tmp/group$pid"
		wait "${pids[pid]}" || ok=1
		remove_cgroup "${pids[pid]}"
	done
	return $ok
}

if [ -n "${CPR_CLI_GROUP:-}" ]; then
	read -ra parts <<<"$CPR_CLI_GROUP"
	run_parts "${parts[@]}"
	exit $((failed != 0))
fi
groups=('usage image validate module scope update integrity' 'disks obstacles pause rehearsal copy log devices hooks needs user')
[ -z "${CPR_CLI_PARTS:-}" ] || groups=("$CPR_CLI_PARTS")
echo 'TAP version 13'
run_groups | number
exit "${PIPESTATUS[0]}"
