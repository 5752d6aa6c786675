# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# An operator's hooks run before and after each step, and can refuse it: then nothing happened.
#
# Needs VMs, see vms.sh, which has an empty /etc/cpr-helper.

hooks=/etc/cpr-helper/hooks.d
log=$tmp/hooks.log
# NAME [LINE]: a hook that logs how it was called, then does LINE.
hook() {
	printf '#!/bin/sh\necho "${0##*/} $*" >>%s\n%s\n' "$log" "${2:-}" >"$hooks/$1"
	chmod 755 "$hooks/$1"
}
# CALL...: these hooks have run since the last time, in this order.
called() {
	local got
	got=$(cat "$log" 2>/dev/null)
	: >"$log"
	[ "$got" = "$(printf '%s\n' "$@")" ] || { printf '%s\n' "$got"; return 1; }
}
none_called() { ! [ -s "$log" ]; }
objection() { # HOOK STEP NAME WORDS...
	printf "cpr-helper: hook '%s/%s %s before %s': it exited with status 3" "$hooks" "$1" "$2" "$3"
	[ $# = 3 ] || printf '\n  | %s' "${@:4}"
}

step_hooks_tests() {
	section 'each step'
	hook 20-b
	hook 10-a
	start a
	holds 'run, in the order of their names' called '10-a run before a' '20-b run before a' \
		'10-a run after a' '20-b run after a'
	start a
	holds 'none for a VM that exists already' none_called
	rm "$hooks/20-b"
	hook 10-a "tr '\\0' '\\n' </proc/\$\$/environ | sort >$tmp/env.\$1.\$2"
	pid=$(pid_of a)
	call save a
	holds 'save' called '10-a save before a' '10-a save after a'
	holds 'their environment' diff "$tmp/env.save.before" <(
		printf '%s\n' CPR_DIR=/run/cpr/a CPR_MANIFEST=/run/cpr/a/manifest.json \
			"CPR_QEMU_PID=$pid" CPR_STEP=save CPR_VM=a CPR_WHEN=before \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
	call abort a
	holds 'abort' called '10-a abort before a' '10-a abort after a'
	holds 'it knows QEMU' grep -qx "CPR_QEMU_PID=$pid" "$tmp/env.abort.before"
	call update --qemu "$(command -v qemu-system-x86_64)"
	holds 'update --qemu' called '10-a save before a' '10-a save after a' '10-a seal before a' \
		'10-a seal after a' '10-a restore before a' '10-a restore after a'
	holds 'no QEMU after seal' test -z "$(grep CPR_QEMU_PID "$tmp/env.seal.after")"
	holds 'the next one after restore' grep -qx "CPR_QEMU_PID=$(pid_of a)" "$tmp/env.restore.after"
	kill_qemu a
	call delete a
	holds 'delete' called '10-a delete before a' '10-a delete after a'
}

# A dry run says what the step would, but makes nothing.
dry_hooks_tests() {
	section 'dry run'
	hook 10-a
	call run a --ram 32M --dry-run -- "${qemu[@]}"
	start a
	called '10-a run before a' '10-a run after a' >/dev/null
	call save a --dry-run
	call save a
	called '10-a save before a' '10-a save after a' >/dev/null
	call abort a --dry-run
	next_host a
	call restore a --dry-run
	call delete a --force --dry-run
	holds 'none runs' none_called
	chmod 775 "$hooks/10-a"
	refuses 'a hook that could be another: restore --dry-run' 4 \
		"cpr-helper: hook '$hooks/10-a': others than root may write to '$hooks/10-a'" restore a --dry-run
	refuses 'restore' 4 \
		"cpr-helper: hook '$hooks/10-a': others than root may write to '$hooks/10-a'" restore a
	chmod 755 "$hooks/10-a"
	chown 1:1 "$hooks/10-a"
	refuses 'that of another user' 4 "cpr-helper: hook '$hooks/10-a': '$hooks/10-a' does not belong to root" restore a
	chown 0:0 "$hooks/10-a"
	chmod 777 "$hooks"
	refuses 'a directory that could be another' 4 \
		"cpr-helper: hook '$hooks/10-a': others than root may write to '$hooks'" restore a
	chmod 755 "$hooks"
	mkdir -m 777 "$tmp/anyone"
	mv "$hooks/10-a" "$tmp/anyone/a"
	ln -s "$tmp/anyone/a" "$hooks/10-a"
	refuses 'a link to where others may write' 4 \
		"cpr-helper: hook '$hooks/10-a': others than root may write to '$tmp/anyone'" restore a
	rm "$hooks/10-a"
	holds 'none has run' none_called
	hook 10-a
	mv "$hooks/10-a" "$hooks/10-a.sh"
	hook 20-b
	chmod 644 "$hooks/20-b"
	mkdir "$hooks/30-c"
	call restore a
	holds 'what is no hook does not count' test "$status" = 0
	holds 'and does not run' none_called
	rm -r "${hooks:?}"/*
	end a
}

# What a refusal leaves: nothing.
refusing_hooks_tests() {
	local before
	section 'refusal'
	hook 10-a
	hook 20-b '[ "$2" != before ] || { echo not today; echo really; exit 3; }'
	hook 30-c
	refuses 'run' 4 "$(objection 20-b run a 'not today' really)" run a --ram 32M -- "${qemu[@]}"
	holds 'those that have run are told' called '10-a run before a' '20-b run before a' \
		'10-a run failed a' '20-b run failed a'
	holds 'nothing is left of the VM' gone a
	rm "$hooks"/*
	start a
	hook 10-a '[ "$2" != before ] || exit 3'
	before=$(<"$CPR_FAKE/vm.a")
	refuses 'save' 4 "$(objection 10-a save a)" save a
	holds 'the guest runs on' counts a
	holds 'the VM is as before' test "$(<"$CPR_FAKE/vm.a")" = "$before"
	refuses 'delete' 5 "cpr-helper: VM 'a': its QEMU runs (pid $(pid_of a))" delete a
	called '10-a save before a' '10-a save failed a' >/dev/null
	rm "$hooks"/*
	call save a
	hook 10-a '[ "$2" != before ] || exit 3'
	call abort a
	holds 'abort is not refused' test "$status" = 0
	holds 'but noted' grep -qx "cpr-helper: note: hook '$hooks/10-a abort before a': it exited with status 3" <<<"$err"
	holds 'the guest runs on then' counts a
	holds 'the hook is told' called '10-a abort before a' '10-a abort after a'
	rm "$hooks"/*
	call save a
	hook 10-a '[ "$2" != before ] || exit 3'
	next_host a
	refuses 'restore' 4 "$(objection 10-a restore a)" restore a
	holds 'it is held still' state_is a held
	refuses 'delete --force' 4 "$(objection 10-a delete a)" delete --force a
	holds 'it is there still' test -e /run/cpr/a/state
	holds 'each is told' called '10-a restore before a' '10-a restore failed a' \
		'10-a delete before a' '10-a delete failed a'
	hook 10-a '[ "$2" = before ] || { echo too late; exit 3; }'
	call restore a
	holds 'after the step it refuses nothing' test "$status" = 0
	holds 'it is noted' grep -qx "cpr-helper: note: hook '$hooks/10-a restore after a': it exited with status 3: too late" <<<"$err"
	holds 'the guest runs' counts a
	: >"$log"
	rm "$hooks"/*
}

# A hook can make what the check of the host would miss.
making_hooks_tests() {
	section 'what they make'
	mkdir "$tmp/cwd"
	(cd "$tmp/cwd" && start b)
	call save b
	next_host b
	rmdir "$tmp/cwd"
	refuses 'without a hook' 3 "cpr-helper: working directory '$tmp/cwd': No such file or directory" restore b
	hook 10-a "case \$1.\$2 in restore.before) mkdir $tmp/cwd ;; restore.failed) rmdir $tmp/cwd ;; esac"
	faulty restore-loaded:fail restore b
	holds 'a restore that fails' called '10-a restore before b' '10-a restore failed b'
	holds 'it is unmade' test ! -e "$tmp/cwd"
	call restore b
	holds 'with it' test "$status" = 0
	called '10-a restore before b' '10-a restore after b' >/dev/null
	call save b
	next_host b
	sed -i 's/"cwd"/"cwx"/' /run/cpr/b/manifest.json
	: >"$log"
	call restore b
	holds 'none reads a manifest that is not the one that was sealed' none_called
	end b
	rm "$hooks"/*
	: >"$log"
}

# Whatever a hook does, it is bounded, and what it leaves running is no matter.
bounded_hooks_tests() {
	section 'bounds'
	hook 10-a "[ \$2 != before ] || { echo \$\$ >$tmp/hook; sleep 1000 & wait; }"
	hasty 5 call save a
	holds 'one that does not end' grep -qx "cpr-helper: hook '$hooks/10-a save before a': it did not exit within 30 seconds" <<<"$err"
	holds 'it has ended, with its children' test -z "$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v s="$(<"$tmp/hook")" '$6 == s && $3 != "Z"')"
	holds 'a refusal' test "$status" = 4
	holds 'the guest has run on' counts a
	env --default-signal=INT "$helper" save a 2>"$tmp/err" </dev/null &
	pid=$!
	rm "$tmp/hook"
	soon test -s "$tmp/hook"
	kill -INT $pid
	wait $pid
	holds 'one that is interrupted' test $? = 1
	holds 'it says so' grep -qx "cpr-helper: hook '$hooks/10-a save before a': interrupted" "$tmp/err"
	holds 'it is told' called '10-a save before a' '10-a save failed a' '10-a save before a' '10-a save failed a'
	hook 10-a "[ \$2 != before ] || { head -c 1000000 /dev/zero | tr '\\0' x || :; head -c 20M /dev/zero >$tmp/large; sleep 1000 & echo \$! >$tmp/left; }"
	call save a
	holds 'much output, a large file, a program left behind' test "$status" = 0
	holds 'the file is whole' test "$(stat -c %s "$tmp/large")" = 20971520
	holds 'the program runs on' kill -0 "$(<"$tmp/left")"
	kill "$(<"$tmp/left")"
	rm "$hooks"/* "$tmp/large"
	call abort a
	: >"$log"
}

# No guest waits for the hooks of another.
update_hooks_tests() {
	local initrd=(--initrd "$tmp/initrd")
	section 'update'
	start b
	hook 10-a "[ \"\$1.\$2\" != save.before ] || grep -h -o '^[a-z]*' $CPR_FAKE/vm.* >>$log"
	echo 'not today' >"$CPR_FAKE/fail-jump"
	call update --kernel 9.9.9-cpr "${initrd[@]}" -j 1
	holds 'those before save have run before the first guest stops' called \
		'10-a save before a' running running '10-a save before b' running running \
		'10-a save after a' '10-a save after b' \
		'10-a seal before a' '10-a seal after a' '10-a seal before b' '10-a seal after b' \
		'10-a abort before a' '10-a restore before a' '10-a restore after a' '10-a abort after a' \
		'10-a abort before b' '10-a restore before b' '10-a restore after b' '10-a abort after b'
	rm -f "$CPR_FAKE/fail-jump"
	hook 10-a
	faulty update-loaded:fail update --kernel 9.9.9-cpr "${initrd[@]}" -j 1
	holds 'an update that comes to no save' called '10-a save before a' '10-a save before b' \
		'10-a save failed a' '10-a save failed b'
	hook 20-b '[ "$1.$2.$3" != save.before.b ] || exit 3'
	call update --kernel 9.9.9-cpr "${initrd[@]}" -j 1
	holds 'one that a hook refuses' test "$status" = 4
	holds 'each is told' called '10-a save before a' '20-b save before a' '10-a save before b' \
		'20-b save before b' '10-a save failed b' '20-b save failed b' '10-a save failed a' \
		'20-b save failed a'
	holds 'no guest has stopped' state_is a running running
	rm "$hooks"/*
	end a
	end b
}

if [ -z "${CPR_FAKE:-}" ]; then
	skip 'hooks' 'needs root and QEMU 9.1'
else
	mkdir "$hooks"
	step_hooks_tests
	rm -f "$hooks"/* "$log"
	dry_hooks_tests
	refusing_hooks_tests
	making_hooks_tests
	bounded_hooks_tests
	update_hooks_tests
	rmdir "$hooks"
fi
