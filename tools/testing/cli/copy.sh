# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2034
#
# A guest whose RAM is outside of the region is saved by a copy, with all its memory.
#
# Copy mode and adopt: a real QEMU whose RAM is its own, saved into the region, to a disk and
# to a command; and a QEMU that was started by hand. Needs VMs, see vms.sh.

start_copy() { # NAME SIZE [QEMU OPTION...]
	call run "$1" --ram-mode copy -- "${qemu[@]}" -m "$2" "${@:3}"
	[ "$status" = 0 ] || complain "$err"
}
migration_is_as_it_was() { # NAME
	qmp "$1" '{"execute": "query-migrate-capabilities"}' | python3 -c '
import json, sys
on = [c["capability"] for c in json.load(sys.stdin)["return"] if c["state"]]
assert on in ([], ["events"]), on'
	qmp "$1" '{"execute": "query-migrate-parameters"}' | python3 -c '
import json, sys
p = json.load(sys.stdin)["return"]
assert p["mode"] == "normal" and p["multifd-channels"] == 2 and not p["direct-io"], p'
}
# By hand: QEMU with a monitor of its own, detached.
by_hand() { # SOCKET QEMU OPTION...
	"${qemu[@]}" -daemonize -pidfile "$tmp/hand.pid" -qmp "unix:$1,server=on,wait=off" "${@:2}" \
		>"$tmp/hand.log" 2>&1 || { complain "$(<"$tmp/hand.log")"; return 1; }
}
end_hand() {
	kill -9 "$(<"$tmp/hand.pid")"
	soon has_ended "$(<"$tmp/hand.pid")"
}

# A command to a monitor that is not a VM's.
qmp_at() { # SOCKET COMMAND
	ln -sf "$1" /run/cpr-helper/.at.qmp
	qmp .at "$2"
	rm /run/cpr-helper/.at.qmp
}

multifd_is() { # true|false SOCKET
	qmp_at "$2" '{"execute": "query-migrate-capabilities"}' | python3 -c "
import json, sys
assert str(next(c['state'] for c in json.load(sys.stdin)['return']
               if c['capability'] == 'multifd')).lower() == '$1'"
}

# The bytes that the processes of this shell have read, as far as they have ended.
read_by_helpers() { sed -n 's/^rchar: //p' "/proc/$$/io"; }

copy_tests() {
	local before size before_read disk=$tmp/disk
	mkdir "$disk"

	section 'run'
	refuses 'a mode that is none' 2 "cpr-helper: run --ram-mode 'both': neither region nor copy" \
		run c --ram-mode both -- "${qemu[@]}" -m 32M
	refuses 'copy mode with memory in the region' 4 \
		"cpr-helper: QEMU option '-object memory-backend-file,id=m,size=32M,mem-path=/run/cpr/c/m,share=on': this memory is in the handover region, and copy mode would copy it" \
		run c --ram-mode copy -- "${qemu[@]}" -object memory-backend-file,id=m,size=32M,mem-path=/run/cpr/c/m,share=on
	refuses 'copy mode with a device' 4 \
		"cpr-helper: QEMU option '-device vfio-pci,host=0000:00:02.0': in copy mode the guest's memory is at other host addresses after the kexec, and the device's DMA mappings could not be verified" \
		run c --ram-mode copy -- "${qemu[@]}" -m 32M -device vfio-pci,host=0000:00:02.0
	start_copy c 48M -object memory-backend-memfd,id=m,size=48M,share=on -M memory-backend=m
	holds 'run --ram-mode copy' grep -q '^c: running, pid [0-9]*, pc-q35-[0-9.]*, 48 MiB of RAM, which a save copies$' <<<"$out"
	holds 'its guest runs' counts_on c 0
	holds 'no memory file is made' test "$(find /run/cpr/c -type f -printf "%f\n" | sort | tr '\n' ' ')" = 'manifest.json qemu.log '
	holds 'its manifest' manifest c "m['ram_mode'] == 'copy' and m['memory'] == []"
	holds 'its RAM counts for the OOM killer' \
		test "$(cat "/proc/$(pid_of c)/oom_score_adj")" -eq "$(cat /proc/self/oom_score_adj)"

	section 'save into the region, abort, restore'
	json 'save' "o['vms'][0]['ok'] and o['vms'][0]['state_bytes'] > 1000" save c
	holds 'what is recorded' manifest c "m['saved']['mode'] == 'copy' and m['saved']['file'] == 'state' and 'target' not in m"
	holds 'the guest stands still' stands_still c
	before=$(counted c)
	json 'and proven' "o['valid'] and o['proven'] and o['capabilities'] == ['mapped-ram'] and o['ram']['in_place'] == 0" \
		validate /run/cpr/c/state
	prints 'abort' 'c: the guest runs on' abort c
	holds 'it does' counts_on c "$before"
	holds 'the state is gone' test ! -e /run/cpr/c/state
	holds 'QEMU is as it was' migration_is_as_it_was c
	call save c
	holds 'save says beforehand' grep -q '^c: up to [0-9.]* MiB go into /run/cpr/c/state; about [0-9.]* s at 1 GiB/s (assumed, as of memory), the guest stands still meanwhile$' <<<"$out"
	before=$(counted c)
	next_host c
	printf X | dd of=/run/cpr/c/state bs=1 seek=5000 conv=notrunc status=none
	call restore c
	holds 'a changed state' test "$status" = 1
	holds 'is told with its place' grep -q "^cpr-helper: state file '/run/cpr/c/state': at byte [0-9]*, in " <<<"$err"
	holds 'leaves it held' state_is c held
	printf '\0' | dd of=/run/cpr/c/state bs=1 seek=5000 conv=notrunc status=none
	size=$(stat -c %s /run/cpr/c/state)
	before_read=$(read_by_helpers)
	call restore c
	holds 'restore' test "$status" = 0
	holds 'has read the state once' test $(($(read_by_helpers) - before_read)) -lt $((size * 3 / 2))
	holds 'with the memory it had' counts_on c "$before"
	holds 'the state is gone then' test ! -e /run/cpr/c/state
	holds 'QEMU is as a new one' migration_is_as_it_was c

	section 'save to a disk'
	refuses '--to a tmpfs' 4 "cpr-helper: --to '/run/cpr-helper/x': this is a tmpfs: it is memory, and lost at the kexec" \
		save c --to /run/cpr-helper/x
	refuses '--to the region' 4 "cpr-helper: --to '/run/cpr/c/x': this is in the handover region" save c --to /run/cpr/c/x
	refuses '--to a directory that is not there' 4 "cpr-helper: --to '$disk/no/x': its directory: No such file or directory" \
		save c --to "$disk/no/x"
	echo mine >"$disk/x"
	refuses '--to a file that exists' 4 "cpr-helper: --to '$disk/x': it exists, and is not of this VM" save c --to "$disk/x"
	holds 'it is untouched' test "$(<"$disk/x")" = mine
	refuses '--to with --all' 2 "cpr-helper: save: --to is for one VM, not for --all" save --all --to "$disk"
	holds 'the guest has not noticed' counts_on c "$(counted c)"
	sha256sum /run/cpr/c/manifest.json >"$tmp/manifest"
	call save c --to "$disk" --dry-run
	holds 'save --to --dry-run' test "$status" = 0
	holds 'remembers nothing of it' sha256sum --status -c "$tmp/manifest"
	call save c --to "$disk"
	holds 'save --to a directory' test "$status" = 0
	holds 'says beforehand' grep -q "^c: up to [0-9.]* MiB go into $disk/c.state; about [0-9.]* s at [0-9.]* [MG]iB/s (measured), the guest stands still meanwhile\$" <<<"$out"
	holds 'it is there, and private' test "$(stat -c %a "$disk/c.state")" = 600
	holds 'and nothing else is' test "$(find "$disk" -type f -printf "%f\n" | sort | tr '\n' ' ')" = 'c.state x '
	holds 'nor is it in the region' test ! -e /run/cpr/c/state
	holds 'it is recorded' manifest c "m['target'] == {'file': '$disk/c.state'} and m['saved']['file'] == '$disk/c.state'"
	before=$(counted c)
	call abort c
	holds 'its abort' counts_on c "$before"
	holds 'removes it' test ! -e "$disk/c.state"
	call save c --to "$disk/y"
	before=$(counted c)
	next_host c
	cp "$disk/y" "$tmp/y"
	truncate -s -1 "$disk/y"
	refuses 'a truncated file' 1 "cpr-helper: state file '$disk/y': it has $(stat -c %s "$disk/y") bytes, and was saved with $(stat -c %s "$tmp/y")" restore c
	cp --sparse=always "$tmp/y" "$disk/y"
	echo 'broken' >"$CPR_FAKE/fail-pin"
	refuses 'a restore that fails' 1 "cpr-helper: VM 'c': kernel: broken" restore c
	rm "$CPR_FAKE/fail-pin"
	holds 'keeps the file' cmp "$disk/y" "$tmp/y"
	call restore c
	holds 'restore from the disk' test "$status" = 0
	holds 'with the memory it had then' counts_on c "$before"
	holds 'the file is gone' test ! -e "$disk/y"

	section 'helper killed while QEMU writes'
	for _ in 1 2 3 4; do
		before=$(counted c)
		faulty save-begun:kill save c --to "$disk/y"
		holds 'a helper that is killed while QEMU writes' test "$status" = 137 -a -e "$disk/y.part"
		prints 'its abort' 'c: the guest runs on' abort c
		holds 'goes on with the guest' counts_on c "$before"
		holds 'and takes the file along' test "$(ls "$disk")" = x
	done
	holds 'QEMU is as it was, again' migration_is_as_it_was c
	CPR_FAULT=save-begun:hang behind save c --to "$disk/y"
	soon is_halted
	kill -INT $pid
	kill -CONT "$(halted)"
	finished
	holds 'a signal while QEMU writes' test "$status" = 1
	holds 'comes to the same' counts_on c "$before"
	faulty save-noted:kill save c --to "$disk/y"
	call save c --to "$disk"
	holds 'another save, to another file' test "$status" = 0
	holds 'removes what the killed one left' test "$(find "$disk" -type f -printf "%f\n" | sort | tr '\n' ' ')" = 'c.state x '
	call abort c
	call save c --to "$disk/y"
	refuses 'delete of a saved one' 5 "cpr-helper: VM 'c': its QEMU runs (pid $(pid_of c))" delete c
	kill_qemu c
	refuses 'and of one that died' 5 "cpr-helper: VM 'c': it is saved: its saved guest would be lost" delete c
	prints 'delete --force' 'c: deleted' delete --force c
	holds 'takes the file along' test "$(ls "$disk")" = x

	section 'space lost while QEMU writes'
	head -c 24M /dev/urandom >"$tmp/random"
	start_copy c 64M -device "loader,file=$tmp/random,addr=0x1000000,force-raw=on" \
		-qmp "unix:$tmp/c.second,server=on,wait=off"
	holds 'a guest with something in its memory' counts_on c 0
	holds 'its user has multifd on' switch c multifd true
	for _ in 1 2 3 4; do
		CPR_FAULT=save-set-up:hang behind save c
		soon is_halted
		# With multifd, QEMU crashes if a channel is at work when the save fails.
		holds 'the save is without multifd' multifd_is false "$tmp/c.second"
		fallocate -l "$(($(df -B1 --output=avail /run/cpr | tail -n 1) - (16 << 20)))" /run/cpr/filler
		kill -CONT "$(halted)"
		finished
		rm /run/cpr/filler
		holds 'a save that finds no room for all of it' test "$status" = 1
		holds 'tells why' grep -q 'No space left on device' <<<"$err"
		holds 'the guest runs on all the same' counts_on c "$(counted c)"
		holds 'nothing is left of it' test ! -e /run/cpr/c/state -a ! -e /run/cpr/c/state.part
		holds 'multifd is on again' multifd_is true "$tmp/c.second"
	done
	end c

	section 'no space'
	start_copy c 300M
	call save c
	holds 'no room' grep -q "^cpr-helper: state file '/run/cpr/c/state': it may need 3[0-9.]* MiB, and 2[0-9.]* MiB is free there$" <<<"$err"
	holds 'is a refusal' test "$status" = 4
	holds 'and the guest runs on' counts_on c "$(counted c)"
	call save c --to "$disk/y"
	holds 'on the disk there is' test "$status" = 0
	end c

	section 'several VMs share the space'
	start_copy c 120M
	start_copy e 120M
	call update --qemu qemu-system-x86_64
	holds 'no room for two' grep -q '^cpr-helper: VMs in copy mode: together they may need 2[0-9.]* MiB of the region, and 2[0-9.]* MiB is free there$' <<<"$err"
	holds 'refuses the update' test "$status" = 4
	holds 'of both' counts_on c "$(counted c)"
	call save e --to "$disk/e"
	before=$(counted c)
	call update --qemu qemu-system-x86_64
	holds 'with one on a disk it goes through' test "$status" = 0
	holds 'and they go on' counts_on c "$before"
	holds 'both of them' counts_on e "$(counted e)"
	end c
	end e
	start a
	refuses '--to with RAM in the region' 4 "cpr-helper: VM 'a': --to is for VMs in copy mode; the RAM of this one is in the handover region, and stays there" \
		save a --to "$disk/y"
	holds 'that guest runs on' counts a
	end a
}

# A command that has not yet said which process it is when it is to be ended.
slow_command_tests() {
	local slow='exec:sleep 1000'

	section 'a command that starts slowly'
	mkdir "$tmp/slow"
	printf '#!/bin/sh\nsleep 1\nexec /usr/bin/setsid "$@"\n' >"$tmp/slow/setsid"
	chmod +x "$tmp/slow/setsid"
	PATH=$tmp/slow:$PATH start_copy c 32M
	faulty save-begun:kill save c --uri "$slow" --restore-uri 'exec:true'
	prints 'abort of one whose helper was killed' 'c: the guest runs on' abort c
	holds 'that guest runs, too' counts_on c "$(counted c)"
	faulty save-begun:fail save c --uri "$slow" --restore-uri 'exec:true'
	holds 'one that fails at once' test "$status" = 1
	holds 'and that one' counts_on c "$(counted c)"
	holds 'none of its commands is left' test -z "$(grep -l 'sleep.1000' /proc/[0-9]*/cmdline 2>/dev/null)"
	end c
}

command_tests() {
	local before disk=$tmp/disk

	section 'save to a command'
	start_copy c 32M
	refuses 'a command to save without one to restore' 2 "cpr-helper: save: --uri and --restore-uri belong together" \
		save c --uri 'exec:true'
	refuses 'a connection' 4 "cpr-helper: --uri 'tcp:host:1': after the kexec no peer would send the state" \
		save c --uri tcp:host:1 --restore-uri tcp:host:1
	refuses 'an open file' 4 "cpr-helper: --uri 'fd:x': the file descriptor does not exist after a kexec" \
		save c --uri fd:x --restore-uri fd:x
	call save c --uri "exec:cat >$disk/z; exit 3" --restore-uri "exec:cat $disk/z"
	holds 'a command that fails in the end' grep -q "^cpr-helper: command 'exec:cat >$disk/z; exit 3': it ended with status 3$" <<<"$err"
	holds 'its guest runs on' counts_on c "$(counted c)"
	call save c --uri 'exec:exit 1' --restore-uri "exec:cat $disk/z"
	holds 'one that takes nothing' test "$status" = 1
	holds 'and again it runs on' counts_on c "$(counted c)"
	for before in 'sleep 1000' 'cat >/dev/null; sleep 1000' 'cat | cat >/dev/null | sleep 1000'; do
		call save c --uri "exec:$before" --restore-uri 'exec:true' --timeout 2
		holds 'a command that does not end' test "$status" = 1
		holds 'is ended' test -z "$(grep -l 'sleep.1000' /proc/[0-9]*/cmdline 2>/dev/null)"
		holds 'and its guest runs on as well' counts_on c "$(counted c)"
	done
	faulty save-begun:kill save c --uri 'exec:sleep 1000' --restore-uri 'exec:true'
	prints 'abort of one whose helper was killed' 'c: the guest runs on' abort c
	holds 'that guest runs, too' counts_on c "$(counted c)"
	json 'save --uri' "o['vms'][0]['ok'] and o['vms'][0]['proven'] is False" \
		save c --uri "exec:gzip >$disk/z # done" --restore-uri "exec:gzip -d <$disk/z"
	holds 'what is not checked is said' grep -q "^cpr-helper: note: VM 'c': up to [0-9.]* MiB go to 'exec:gzip >$disk/z # done': the command's result is neither checked nor digested" <<<"$err"
	before=$(counted c)
	next_host c
	mv "$disk/z" "$disk/zz"
	# QEMU does not see by itself that such a command has ended, and would wait.
	call restore c --timeout 86400
	holds 'a command that brings nothing' test "$status" = 1
	holds 'leaves it held, too' state_is c held
	mv "$disk/zz" "$disk/z"
	call restore c
	holds 'restore by a command' test "$status" = 0
	holds 'with the memory that it had' counts_on c "$before"
	end c
}

adopt_tests() {
	local before sock=$tmp/hand.qmp

	section adopt
	refuses 'adopt: no socket' 3 "cpr-helper: --qmp '$tmp/none': No such file or directory" adopt h --qmp "$tmp/none"
	by_hand "$sock" -m 32M -S
	refuses 'adopt without a monitor' 2 "cpr-helper: adopt: --qmp SOCKET is missing" adopt h
	call adopt h --qmp "$sock" --dry-run
	holds 'adopt --dry-run' grep -q '^h: would be adopted, pid' <<<"$out"
	holds 'changes nothing' gone h
	call adopt h --qmp "$sock"
	holds 'adopt' grep -q "^h: adopted, pid $(<"$tmp/hand.pid"), pc-q35-[0-9.]*, 32 MiB of RAM, not in the region: each save copies it$" <<<"$out"
	holds 'its manifest' manifest h "m['ram_mode'] == 'copy' and '-daemonize' not in m['argv'] and '-S' not in m['argv'] and '-pidfile' in m['argv'] and m['cwd'] == '/'"
	refuses 'adopt of it once more' 5 "cpr-helper: VM 'h': it exists" adopt h --qmp "$sock"
	refuses 'by another name' 4 "cpr-helper: --qmp '$sock': this QEMU is VM 'h' already" adopt i --qmp "$sock"
	qmp h '{"execute": "cont"}' >/dev/null
	holds 'its guest runs' counts_on h 0
	call save h --to "$tmp/disk/h"
	holds 'its save' test "$status" = 0
	before=$(counted h)
	call abort h
	holds 'its abort' counts_on h "$before"
	call save h --to "$tmp/disk/h"
	before=$(counted h)
	next_host h
	call restore h
	holds 'its restore' test "$status" = 0
	holds 'the guest goes on' counts_on h "$before"
	holds 'by its own monitor, too' test -S "$sock"
	refuses 'adopt of what cpr-helper started' 4 \
		"cpr-helper: QEMU option '-chardev socket,id=cpr-qmp,fd=3,server=on,wait=off': cpr-helper has started this QEMU" \
		adopt i --qmp "$sock"
	end h

	section 'adopt: another QEMU on the socket'
	by_hand "$sock" -m 32M
	call adopt h --qmp "$sock"
	end_hand
	by_hand "$sock" -m 32M
	refuses 'another QEMU on its socket' 1 "cpr-helper: VM 'h': its QEMU has exited" save h
	holds 'is not taken for it' state_is h dead
	prints 'and is left alone by delete' 'h: deleted' delete h
	holds 'it lives' test -d "/proc/$(<"$tmp/hand.pid")"

	section 'adopt: refusals'
	python3 - "$sock" "$tmp/connected" <<-'PY' &
		import signal, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.recv(100)
		open(sys.argv[2], "w")
		signal.pause()
	PY
	before=$!
	soon test -e "$tmp/connected"
	hasty 5 refuses 'a monitor that somebody uses' 5 \
		"cpr-helper: --qmp '$sock': it does not answer: a monitor serves one client at a time" adopt h --qmp "$sock"
	kill $before
	end_hand
	by_hand "$sock" -m 32M -add-fd fd=9,set=1 9</dev/null
	refuses 'a QEMU with a file that it was given' 4 \
		"cpr-helper: QEMU option '-add-fd fd=9,set=1': the file descriptor does not exist after a kexec" adopt h --qmp "$sock"
	end_hand
	by_hand "$sock" -m 32M -device pcie-root-port,id=rp,chassis=1
	holds 'something is plugged' grep -q return \
		<(qmp_at "$sock" '{"execute": "device_add", "arguments": {"driver": "virtio-net-pci", "bus": "rp", "id": "late"}}')
	refuses 'a device that was plugged' 4 \
		"cpr-helper: QEMU has changed 'device late': it was plugged after QEMU's start, and the next QEMU would not have it" adopt h --qmp "$sock"
	holds 'nothing is left of all that' gone h
	end_hand

	section 'adopt: memory in the region'
	mkdir /run/cpr/h
	by_hand "$sock" -m 32M -object memory-backend-file,id=m,size=32M,mem-path=/run/cpr/h/ram0,share=on -M memory-backend=m
	call adopt h --qmp "$sock"
	holds 'adopt in place' grep -q "^h: adopted, .*, 32 MiB of RAM, in place in /run/cpr/h$" <<<"$out"
	holds 'its file is pinned' grep -q '^running ram0$' "$CPR_FAKE/vm.h"
	call save h
	holds 'its save' test "$status" = 0
	before=$(counted h)
	next_host h
	call restore h
	holds 'its restore' test "$status" = 0
	holds 'the guest goes on where it was' counts_on h "$before"
	end h
	mkdir /run/cpr/h
	by_hand "$sock" -m 32M -object memory-backend-file,id=m,size=32M,mem-path=/run/cpr/h/ram0,share=off -M memory-backend=m
	refuses 'memory that is private' 4 \
		"cpr-helper: QEMU option '-object memory-backend-file,id=m,size=32M,mem-path=/run/cpr/h/ram0,share=off': without share=on the guest's writes stay private to QEMU" adopt h --qmp "$sock"
	holds 'its directory stays' test -d /run/cpr/h
	end_hand
	prints 'delete of a directory without a manifest' 'h: deleted' delete h
	holds 'nothing is left of any' test -z "$(ls -A /run/cpr)"
}
if [ -z "${CPR_FAKE:-}" ]; then
	skip 'copy mode' 'see VMs'
elif [ "$(stat -f -c %T "$tmp")" = tmpfs ]; then
	skip 'copy mode' 'needs a directory for temporary files that is on a disk'
else
	copy_tests
	command_tests
	slow_command_tests
	adopt_tests
fi
