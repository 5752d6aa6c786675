# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A QEMU that runs as another user than root survives as that user, and he gains nothing by it.
#
# With a real QEMU and a user of this part alone, whom a mount adds to the host's. Needs VMs,
# see vms.sh.

uid=4711
# ENTRY...: the users of this host and these.
users_are() {
	cp "$tmp/passwd.host" "$tmp/passwd"
	[ $# = 0 ] || printf '%s\n' "$@" >>"$tmp/passwd"
}
user_world() {
	cp /etc/passwd "$tmp/passwd.host"
	cp /etc/group "$tmp/group"
	printf '%s\n' "alice:x:$uid:" "guests:x:4712:alice" >>"$tmp/group"
	users_are "$alice"
	mount --bind "$tmp/passwd" /etc/passwd && mount --bind "$tmp/group" /etc/group || return
	mkdir "$tmp/home" && chown alice "$tmp/home" || return
	# Whose process each QEMU is that has a guest; those that only answer have none.
	: >"$tmp/ids"
	chmod 666 "$tmp/ids"
	printf '#!/bin/sh\ncase "$*" in *-S*) id -u >>%s/ids ;; esac\nexec qemu-system-x86_64 "$@"\n' \
		"$tmp" >"$tmp/qemu"
	chmod 755 "$tmp/qemu"
	qemu[0]=$tmp/qemu
}
alice="alice:x:$uid:$uid::/home/alice:/bin/sh"
as_alice() { setpriv --reuid alice --regid alice --init-groups "$@"; }
alice_cannot() { ! as_alice "$@"; }
is_of() { [ "$(stat -c '%U %G %a' "$1")" = "$2" ]; } # FILE OWNER-GROUP-MODE
ids_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | tr -s '\t ' ' '; } # PID LINE
is_alices() { # NAME: all ids, all groups, and no privilege
	local pid
	pid=$(pid_of "$1") &&
		[ "$(ids_of "$pid" Uid)" = "$uid $uid $uid $uid" ] &&
		[ "$(ids_of "$pid" Gid)" = "$uid $uid $uid $uid" ] &&
		[ "$(ids_of "$pid" Groups)" = "$uid 4712 " ] &&
		[ "$(ids_of "$pid" CapEff)" = 0000000000000000 ]
}
ids_are() { [ "$(tr '\n' ' ' <"$tmp/ids")" = "$1 " ] && : >"$tmp/ids"; }
cannot_connect() { # SOCKET
	alice_cannot python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$1"
}

user_run_tests() {
	section 'run'
	refuses 'a user that is none' 3 "cpr-helper: user 'mallory': there is no such user" \
		run u --user mallory --ram 32M -- "${qemu[@]}"
	mkdir -p "$CPR_FAKE/root/dev"
	: >"$CPR_FAKE/root/dev/kvm"
	chmod 600 "$CPR_FAKE/root/dev/kvm"
	refuses 'one who cannot open /dev/kvm' 4 \
		"cpr-helper: device node '/dev/kvm': QEMU needs it, and user 'alice' cannot open it" \
		run u --user alice --ram 32M -- "${qemu[@]}" -accel kvm
	cp "$tmp/qemu" "$tmp/home/qemu"
	refuses 'a QEMU that he can change, and that root would execute' 4 \
		"cpr-helper: QEMU binary '$tmp/home/qemu': user 'alice', as whom its QEMU runs, can change '$tmp/home', and so what root finds there" \
		run u --user alice --ram 32M -- "$tmp/home/qemu"
	call run u --ram 32M -- "${qemu[@]}" -runas alice
	holds "QEMU's own way is refused, with the remedy" test "$status" = 4 -a "${err##*remedy: }" = \
		"leave it out; 'cpr-helper run --user USER' starts QEMU as another user"
	call run u --user "$uid" --ram 32M --dry-run -- "${qemu[@]}"
	holds '--dry-run' grep -q "^start as user 'alice' $tmp/qemu " <<<"$out"
	holds 'nothing is left of all that' gone u
	holds 'and no QEMU was started' test ! -s "$tmp/ids"

	start u --user alice --agent
	holds 'its QEMU runs as the user' is_alices u
	holds 'from its start on' ids_are $uid
	holds 'with his home' grep -qz '^HOME=/home/alice$' "/proc/$(pid_of u)/environ"
	holds 'the guest runs' counts u
	holds 'it is recorded' manifest u "m['user'] == {'name': 'alice', 'uid': $uid, 'gid': $uid}"
	call show u
	holds 'show' grep -q '^its user: *alice$' <<<"$out"
	users_are "$alice" 'cpr-qemu:x:4713:4713::/nonexistent:/usr/sbin/nologin'
	call run d --ram 32M --dry-run -- "${qemu[@]}"
	holds 'if nobody is named, the user of the package' grep -q "^start as user 'cpr-qemu' " <<<"$out"
	call run d --user root --ram 32M --dry-run -- "${qemu[@]}"
	holds 'or root' test "$status" = 0 -a "${out#*as user}" = "$out"
	users_are "$alice"
}

user_rights_tests() {
	local dir=/run/cpr/u
	section 'what is whose'
	holds 'the directory is root'\''s, and lets him in' is_of $dir 'root alice 710'
	holds 'the memory is his' is_of $dir/ram0 'alice alice 600'
	holds 'he can open it, and nobody else' as_alice dd if=$dir/ram0 of=/dev/null bs=4k count=1
	holds 'the manifest is root'\''s' is_of $dir/manifest.json 'root root 600'
	holds 'the log is root'\''s' is_of $dir/qemu.log 'root root 600'
	holds 'he cannot list the directory' alice_cannot ls $dir
	holds 'nor read the manifest' alice_cannot cat $dir/manifest.json
	holds 'nor write it' alice_cannot sh -c ": >>$dir/manifest.json"
	holds 'nor prepare the next one' alice_cannot touch $dir/manifest.json.new
	holds 'nor replace it' alice_cannot mv -f "$tmp/ids" $dir/manifest.json
	holds 'nor move the memory' alice_cannot mv $dir/ram0 $dir/ram1
	holds 'nor remove it' alice_cannot rm -f $dir/ram0
	holds 'nor cut the log' alice_cannot truncate -s 0 $dir/qemu.log
	holds 'nor reach the monitor' cannot_connect /run/cpr-helper/u.qmp
	holds 'nor the agent' cannot_connect /run/cpr-helper/u.qga
	holds 'nor list the sockets' alice_cannot ls /run/cpr-helper
	holds 'which root can reach' python3 -c 'import socket
socket.socket(socket.AF_UNIX).connect("/run/cpr-helper/u.qga")'
}

user_round_tests() {
	local before dir=/run/cpr/u
	section 'save, abort, save, restore'
	call save u
	holds 'save' test "$status" = 0
	holds 'with a rehearsal as the user' ids_are $uid
	holds 'that is recorded' manifest u "m['saved']['rehearsed']"
	holds 'the state is his' is_of $dir/state 'alice alice 600'
	holds 'but he cannot remove it' alice_cannot rm -f $dir/state
	holds 'nor replace it' alice_cannot mv -f "$tmp/ids" $dir/state
	before=$(counted u)
	prints 'abort' 'u: the guest runs on' abort u
	holds 'the guest does' counts_on u "$before"
	call save u
	holds 'save again' test "$status" = 0
	before=$(counted u)
	next_host u
	: >"$tmp/ids"
	call restore u
	holds 'restore' test "$status" = 0
	holds 'as the user' is_alices u
	holds 'by one QEMU of his' ids_are $uid
	holds 'the guest goes on where it was' counts_on u "$before"
	holds 'the manifest is still root'\''s' is_of $dir/manifest.json 'root root 600'

	section 'update of the QEMU'
	call update --qemu "$tmp/qemu"
	holds 'update' test "$status" = 0
	holds 'the rehearsal and the next QEMU are his' ids_are "$uid $uid"
	holds 'the guest runs' counts u

	section 'a QEMU that the user cannot execute'
	cp "$tmp/qemu" "$tmp/qemu-of-root"
	chmod 700 "$tmp/qemu-of-root"
	before=$(counted u)
	call save u --qemu "$tmp/qemu-of-root"
	holds 'is refused by the rehearsal' test "$status" = 4
	holds 'with the reason' grep -q "^cpr-helper: rehearsal '$tmp/qemu-of-root': .*: Permission denied$" <<<"$err"
	holds 'the guest runs on' counts_on u "$before"
	: >"$tmp/ids"
}

user_gone_tests() {
	local before
	section 'a user who is gone'
	users_are
	refuses 'save' 4 "cpr-helper: user 'alice': the VM's QEMU ran as this user, and there is no such user any more" save u --no-rehearse
	holds 'the guest runs on' counts u
	users_are "$alice"
	call save u
	before=$(counted u)
	next_host u
	users_are
	refuses 'restore' 4 "cpr-helper: user 'alice': the VM's QEMU ran as this user, and there is no such user any more" restore u
	users_are "alice:x:4713:$uid::/:/bin/sh"
	refuses 'another uid' 4 \
		"cpr-helper: user 'alice': the VM's QEMU ran as this user, who is another one now: uid 4713, primary group $uid" restore u
	users_are "alice:x:$uid:0::/:/bin/sh"
	refuses 'another group' 4 \
		"cpr-helper: user 'alice': the VM's QEMU ran as this user, who is another one now: uid $uid, primary group 0" restore u
	holds 'nothing has happened' state_is u held
	users_are "$alice"
	chown alice /run/cpr/u/manifest.json
	refuses 'a manifest that he could change' 4 \
		"cpr-helper: manifest '/run/cpr/u/manifest.json': user $uid, mode 600: others than root could choose what root executes" restore u
	chown root /run/cpr/u/manifest.json
	chmod 777 /run/cpr/u
	refuses 'or replace' 4 \
		"cpr-helper: manifest '/run/cpr/u': user 0, mode 777: others than root could choose what root executes" restore u
	chmod 710 /run/cpr/u
	call restore u
	holds 'as it was' test "$status" = 0
	holds 'the guest goes on where it was' counts_on u "$before"
	end u
	holds 'delete' gone u
}

user_copy_tests() {
	local disk=$tmp/userdisk
	section 'copy mode'
	mkdir "$disk" "$tmp/closed" && chmod 755 "$disk" && chmod 700 "$tmp/closed"
	call run u --ram-mode copy --user alice -- "${qemu[@]}" -m 32M
	holds 'run' is_alices u
	refuses '--to a directory of his' 4 \
		"cpr-helper: --to '$tmp/home': user 'alice', as whom its QEMU runs, can change '$tmp/home', and so what root finds there" save u --to "$tmp/home"
	refuses '--to a directory that he cannot enter' 4 \
		"cpr-helper: --to '$tmp/closed/u.state': user 'alice', as whom its QEMU runs, cannot enter '$tmp/closed'" save u --to "$tmp/closed"
	call save u --to "$disk"
	holds 'save --to' test "$status" = 0
	holds 'the state is his' is_of "$disk/u.state" 'alice alice 600'
	holds 'in its place' alice_cannot mv "$disk/u.state" "$disk/x"
	next_host u
	call restore u
	holds 'restore' test "$status" = 0
	holds 'as the user' is_alices u
	call save u
	holds 'save into the region' test "$status" = 0
	call abort u
	call save u --uri "exec:cat >$tmp/home/u.state" --restore-uri "exec:cat $tmp/home/u.state"
	holds 'save to a command' test "$status" = 0
	holds 'which runs as the user' is_of "$tmp/home/u.state" 'alice alice 644'
	next_host u
	call restore u
	holds 'restore from a command' test "$status" = 0
	holds 'the guest runs' state_is u running running
	end u
}

# QEMU OPTION...: by hand, as alice; setpriv's OPTIONs before --
hand() {
	local as=()
	while [ "$1" != -- ]; do as+=("$1"); shift; done
	setpriv --reuid alice --regid alice "${as[@]}" "${qemu[@]}" -daemonize -pidfile "$tmp/home/pid" \
		-qmp "unix:$tmp/home/qmp,server=on,wait=off" "${@:2}" >"$tmp/hand.log" 2>&1 ||
		complain "$(<"$tmp/hand.log")"
}
end_of_hand() { kill -9 "$(<"$tmp/home/pid")"; soon has_ended "$(<"$tmp/home/pid")"; }

user_adopt_tests() {
	local before ram=(-m 32M -object "memory-backend-file,id=m,size=32M,mem-path=/run/cpr/h/ram0,share=on" -M memory-backend=m)
	section adopt
	mkdir /run/cpr/h && chown alice /run/cpr/h
	hand --clear-groups -- "${ram[@]}"
	refuses 'a QEMU without all groups of its user' 4 \
		"cpr-helper: process '$(<"$tmp/home/pid")': it runs as user $uid, but not with exactly the ids and groups that cpr-helper would start it with again" adopt h --qmp "$tmp/home/qmp"
	holds 'changes nothing' is_of /run/cpr/h 'alice root 755'
	end_of_hand
	hand --init-groups -- "${ram[@]}"
	as_alice touch /run/cpr/h/manifest.json.new
	call adopt h --qmp "$tmp/home/qmp"
	holds 'a QEMU of another user' test "$status" = 0
	holds 'as what it is' manifest h "m['user']['name'] == 'alice'"
	holds 'its directory is root'\''s now' is_of /run/cpr/h 'root alice 710'
	holds 'so is the manifest, whatever was there' is_of /run/cpr/h/manifest.json 'root root 600'
	: >"$tmp/ids"
	call save h
	holds 'its save' test "$status" = 0
	before=$(counted h)
	next_host h
	call restore h
	holds 'its restore' test "$status" = 0
	holds 'as the user' is_alices h
	holds 'the guest goes on where it was' counts_on h "$before"
	end h
}

if [ -z "${CPR_FAKE:-}" ]; then
	skip 'other users' 'needs root and QEMU 9.1'
elif ! user_world; then
	skip 'other users' 'no user can be added'
else
	user_run_tests
	user_rights_tests
	user_round_tests
	user_gone_tests
	user_copy_tests
	user_adopt_tests
	umount /etc/passwd /etc/group
	qemu[0]=qemu-system-x86_64
fi
