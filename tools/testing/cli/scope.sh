# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A guest outlives what has started it, and leaves nothing behind when it ends.

cgroup_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; } # PID
# NAME: the VM's QEMU is in the VM's scope.
in_scope() { [[ $(cgroup_of "$(pid_of "$1")") == */cpr-"$1" ]]; }
# DIR ARGUMENT...: the helper, in this cgroup, which is killed as a whole afterwards.
call_in() {
	local dir=$1
	shift
	mkdir "$dir" || return
	(echo $BASHPID >"$dir/cgroup.procs" && call "$@" && exit "$status")
	status=$?
	echo 1 >"$dir/cgroup.kill"
	soon rmdir "$dir"
}
# NAME: a process that the VM's QEMU could have started; $left is its PID.
leave() {
	sleep 1000 &
	left=$!
	disown $left
	echo $left >"$cgroups$(cgroup_of "$(pid_of "$1")")/cgroup.procs"
}
left_has_ended() { ! kill -0 "$left" 2>/dev/null; }

scope_tests() {
	local dir left pid
	dir=$cgroups$(cgroup_of 1)/caller
	section 'cgroup'
	if [ -z "$cgroups" ] || ! mkdir "$dir" 2>/dev/null; then
		skip 'scopes' 'no cgroup can be made here'
		return
	fi
	rmdir "$dir"

	holds 'run, by what is killed afterwards' call_in "$dir" run a --ram 32M -- "${qemu[@]}"
	holds 'its guest runs on' counts a
	holds 'it is in its own scope' in_scope a
	json 'show' "o['vm']['qemu']['cgroup'].endswith('/cpr-a')" show a
	call show a
	holds 'show, in words' grep -q '^cgroup: *.*/cpr-a$' <<<"$out"

	leave a
	call save a
	holds 'save, with a trial that has no part in the scope' test "$status" = 0
	holds 'nothing has ended' kill -0 "$left"
	next_host a
	holds 'restore, by what is killed afterwards' call_in "$dir" restore a
	holds 'its guest runs on' counts a
	holds 'it is in its own scope' in_scope a
	holds 'what was left of the QEMU before has ended' left_has_ended

	leave a
	pid=$(pid_of a)
	call update --qemu "$(command -v qemu-system-x86_64)"
	holds 'an update to another QEMU' test "$status" = 0
	holds 'the QEMU before has ended' has_ended "$pid"
	holds 'and all that was in its scope' left_has_ended
	holds 'the next is in its own scope' in_scope a

	leave a
	end a
	holds 'delete ends what is left' left_has_ended
	holds 'and removes the scope' test ! -e "$cgroups$(cgroup_of 1)/cpr-a"

	call run a --ram 32M -- "${qemu[@]}" -device no-such-device
	holds 'a QEMU that does not start leaves no scope' test ! -e "$cgroups$(cgroup_of 1)/cpr-a"
}

if [ -z "${CPR_FAKE:-}" ]; then
	skip 'scopes' 'needs root and QEMU 10.0'
else
	scope_tests
fi
