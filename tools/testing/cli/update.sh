# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# An update that fails, hangs or is killed at any point loses no guest.
#
# Several VMs at the same time, `update`, and what recovers from its failures: after each, at
# any fault point, all guests run on with the memory they had. Needs VMs, see vms.sh, whose
# guests, fake kernels and functions it uses.

vms=(a b c)
declare -A counted_before
remember_all() { local vm; for vm in "${vms[@]}"; do counted_before[$vm]=$(counted "$vm"); done; }
all_are() { # MODULE-STATE [GUEST]
	"$helper" --json list | python3 -c "
import json, sys
for vm in json.load(sys.stdin)['vms']:
    assert (vm['state'], (vm['qemu'] or {}).get('status') or '') == ('$1', '${2:-}'), vm"
}
# A guest that had begun anew would count from 0.
goes_on() { # NAME
	local now
	now=$(counted "$1")
	[ "$now" -ge "${counted_before[$1]}" ] && counts_on "$1" "$now"
}
all_go_on() {
	local vm
	for vm in "${vms[@]}"; do goes_on "$vm" || { echo "$vm"; return 1; }; done
	all_are running running
}
nothing_left() {
	[ ! -e "$CPR_FAKE/kexec" ] || { echo 'a kernel is loaded'; return 1; }
	python3 - "${vms[@]}" <<-'EOF2'
		import json, os, sys
		for vm in sys.argv[1:]:
		    files = os.listdir("/run/cpr/" + vm)
		    assert not {"state", "state.part"} & set(files), (vm, files)
		    m = json.load(open("/run/cpr/%s/manifest.json" % vm))
		    assert not {"saved", "saving", "suspended"} & set(m), (vm, m)
	EOF2
}
# While somebody else has the monitor of one of them.
peek() { hasty 30 state_is "$@"; }
# As QEMU is by itself.
as_before() { # NAME
	! qmp "$1" '{"execute": "query-migrate-capabilities"}' | grep -q 'x-ignore-shared", "state": true\|"state": true, "capability": "x-ignore-shared' &&
		qmp "$1" '{"execute": "query-migrate-parameters"}' | grep -q '"mode": "normal"'
}
runs_or_waits() { state_is "$1" running running || state_is "$1" running paused; }

# What stands in the way of one is found out before any guest has stopped.
preflight_tests() {
	local what words="cpr-helper: b: QEMU's capability 'postcopy-ram': it is enabled: the guest would run before its state is complete; QEMU refuses it with cpr-reboot
cpr-helper: c: QEMU's capability 'postcopy-ram': it is enabled: the guest would run before its state is complete; QEMU refuses it with cpr-reboot
cpr-helper: VMs 'b c': not ready to be saved"
	section 'preflight'
	remember_all
	switch b postcopy-ram true
	switch c postcopy-ram true
	sha256sum /run/cpr/*/manifest.json >"$tmp/manifests"
	for what in '' --dry-run; do
		refuses "update $what of guests that cannot be saved" 4 "$words" \
			update --kernel 9.9.9-cpr "${initrd[@]}" -j 1 $what
		refuses "update --qemu $what of them" 4 "$words" update --qemu "$tmp/new" -j 1 $what
	done
	refuses 'save --dry-run of one' 4 "$(head -n 1 <<<"${words//: b:/:}")" save b --dry-run
	json 'update tells of each' "o['error']['code'] == 4 and [v['ok'] for v in o['vms']] == [True, False, False] and
		not any('copy_bytes' in v for v in o['vms']) and
		o['vms'][2]['error']['what'] == 'QEMU\'s capability'" update --kernel 9.9.9-cpr "${initrd[@]}"
	holds 'no VM was touched' sha256sum --status -c "$tmp/manifests"
	holds 'all go on' all_go_on
	holds 'no kernel is left' nothing_left
	switch b postcopy-ram false
	switch c postcopy-ram false
}

# One guest does not stop the others.
left_out_tests() {
	local old
	section 'one that is left out'
	remember_all
	start w
	counts w
	old=$(pid_of w)
	refuses 'no such VM' 3 "cpr-helper: --exclude 'v': there is no such VM" update --qemu "$tmp/new" --exclude w,v
	refuses 'of another kernel' 4 "cpr-helper: --exclude 'w': it is running, and a VM that takes no part in the change of the kernel is lost" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --exclude w
	json 'update --qemu --exclude' "[v['name'] for v in o['vms']] == ['a', 'b', 'c'] and
		o['left_out'] == [{'name': 'w', 'why': 'excluded'}]" update --qemu "$tmp/new" --exclude w
	holds 'it has the QEMU that it had' test "$(pid_of w)" = "$old"
	holds 'and runs' counts w
	holds 'the others were updated' manifest b "m['binary'] == '$tmp/new'"

	section 'one whose monitor was removed'
	mv /run/cpr-helper/w.qmp /run/cpr-helper/w.away
	call update --kernel 9.9.9-cpr "${initrd[@]}" --dry-run
	holds 'is not taken for dead' test "$status" = 4
	holds 'but stops the update' grep -q "^cpr-helper: VMs 'w': not ready to be saved$" <<<"$err"
	mv /run/cpr-helper/w.away /run/cpr-helper/w.qmp

	section 'one that is dead'
	kill_qemu w
	call update --qemu "$tmp/new" --dry-run
	holds 'update --qemu --dry-run' test "$(head -n 3 <<<"$out")" = "a: save for $tmp/new, quit QEMU, seal, restore in the new QEMU
b: save for $tmp/new, quit QEMU, seal, restore in the new QEMU
c: save for $tmp/new, quit QEMU, seal, restore in the new QEMU"
	holds 'with what was taken the last time' grep -Eqx 'pauses by the last handover: a [0-9.]+ m?s, b [0-9.]+ m?s, c [0-9.]+ m?s' <<<"$out"
	holds 'is noted' grep -q "^cpr-helper: note: VM 'w': its QEMU has ended, so that it takes no part" <<<"$err"
	json 'by an update of the kernel, too' "o['vms'] == ['a', 'b', 'c'] and
		o['left_out'] == [{'name': 'w', 'why': 'dead'}]" update --kernel 9.9.9-cpr "${initrd[@]}" --dry-run
	end w

	section '--no-vms'
	refuses 'without --kernel' 2 "cpr-helper: update: --no-vms needs --kernel VERSION" update --qemu "$tmp/new" --no-vms
	refuses 'with another command line' 2 "cpr-helper: update: --append does not go with --no-vms" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --no-vms --append x
	refuses 'while the module is loaded' 4 'cpr-helper: --no-vms: the module is loaded, and may have VMs that run' \
		update --kernel 9.9.9-cpr "${initrd[@]}" --no-vms
	mv "$CPR_FAKE/loaded" "$CPR_FAKE/not-loaded"
	refuses 'an update, when it is not' 4 "cpr-helper: module 'cpr_handover': not loaded" update --kernel 9.9.9-cpr "${initrd[@]}"
	json 'the way back' "o['vms'] == [] and o['command_line'] == 'root=/dev/vda1 memmap=1G!4G quiet'" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --no-vms --dry-run
	cp "$tmp/cmdline" "$tmp/kept-cmdline"
	echo 'root=/dev/vda1 quiet' >"$tmp/cmdline"
	refuses 'from a kernel without the region' 4 "cpr-helper: kernel command line 'memmap=SIZE!START': the running kernel has no such option: it does not keep a region" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --no-vms --dry-run
	cat "$tmp/kept-cmdline" >"$tmp/cmdline"
	mv "$CPR_FAKE/not-loaded" "$CPR_FAKE/loaded"

	section 'one that has powered off'
	start w -- -no-shutdown
	counts w
	qmp w '{"execute": "human-monitor-command", "arguments": {"command-line": "o /w 0x604 0x2000"}}' >/dev/null
	if soon state_is w running shutdown; then
		refuses 'and whose QEMU waits' 5 "cpr-helper: VM 'w': its guest has powered off, and its QEMU waits (-no-shutdown)" save w
		qmp w '{"execute": "quit"}' >/dev/null
		holds 'the remedy can be followed' soon state_is w dead
	else
		skip 'and whose QEMU waits' 'it does not power off here'
	fi
	end w
	holds 'all go on' all_go_on
}

# When its power button is pressed, the guest powers off. The other monitor tells.
obey_button() { # SOCKET
	python3 - "$1" <<-'EOF2'
		import json, os, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(60 * float(os.environ["CPR_TIMEOUT_SCALE"]))
		s.connect(sys.argv[1])
		f = s.makefile("rw")
		f.write('{"execute": "qmp_capabilities"}\n')
		f.flush()
		while json.loads(f.readline()).get("event") != "POWERDOWN":
		    pass
		f.write(json.dumps({"execute": "human-monitor-command",
		                    "arguments": {"command-line": "o /w 0x604 0x2000"}}) + "\n")
		f.flush()
		f.read()
	EOF2
}

shutdown_tests() {
	local a options button
	section '--shutdown'
	remember_all
	a=$(past a)
	start w
	counts w
	refuses 'without --kernel' 2 'cpr-helper: update: --shutdown needs --kernel VERSION' update --qemu "$tmp/new" --shutdown w
	refuses 'no such VM' 3 "cpr-helper: --shutdown 'v': there is no such VM" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --shutdown w,v
	json 'what would be done' "o['left_out'] == [{'name': 'w', 'why': 'shutdown'}] and o['vms'] == ['a', 'b', 'c']" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --shutdown w --dry-run
	call update --kernel 9.9.9-cpr "${initrd[@]}" --shutdown w --timeout 2
	holds 'a guest that does not power off' test "$status" = 1
	holds 'is told' grep -q '^cpr-helper: w: guest: it has not powered off so far$' <<<"$err"
	holds 'it runs on' counts w
	qmp w '{"execute": "stop"}' >/dev/null
	call update --kernel 9.9.9-cpr "${initrd[@]}" --shutdown w
	holds 'one that is paused' grep -q "^cpr-helper: w: guest 'paused': only a guest that runs can power off$" <<<"$err"
	holds 'no other has stopped for that' test "$(past a)" = "$a"
	call save w
	refuses 'one that is saved' 5 "cpr-helper: --shutdown 'w': it is saved, not running" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --shutdown w
	end w
	holds 'all go on' all_go_on
	holds 'nothing is left' nothing_left

	for options in '' -no-shutdown; do
		section "--shutdown of a guest that powers off${options:+, }$options"
		start w -- -qmp "unix:$tmp/button,server=on,wait=off" $options
		counts w
		obey_button "$tmp/button" &
		button=$!
		call update --kernel 9.9.9-cpr "${initrd[@]}" --shutdown w
		holds 'it has' grep -q '^w: its guest has powered off$' <<<"$out"
		holds 'its QEMU has ended' state_is w dead
		holds 'then the others were saved' grep -q '^a: saved' <<<"$out"
		wait $button
		end w
		holds 'which go on' all_go_on
	done
}

crew_tests() {
	section 'VMs in parallel'
	remember_all
	CPR_FAULT=save-begun:hang:a behind save --all --jobs 2
	holds 'while one is being saved' soon is_halted
	holds 'others are' soon peek c saved postmigrate
	holds 'all of them' soon peek b saved postmigrate
	holds 'that one is not, yet' test -e /run/cpr/a/state.part -a ! -e /run/cpr/a/state
	kill -CONT "$(halted)"
	finished
	holds 'then that is, too' test "$status" = 0
	holds 'each is' all_are saved postmigrate
	holds 'a line for each' test "$(sort <<<"$out" | cut -d: -f1 | tr '\n' ' ')" = 'a b c '
	json 'abort --all -j 3, in the order of names' \
		"[(v['name'], v['ok'], v['runstate']) for v in o['vms']] == [(n, True, 'running') for n in 'abc']" \
		abort --all -j 3
	holds 'all go on' all_go_on
	CPR_FAULT=save-begun:hang:a behind save --all -j1
	holds 'one after the other' soon is_halted
	holds 'the next waits' peek b running running
	kill -KILL "$(halted)"
	finished
	holds 'a process that is killed' test "$status" = 6
	holds 'is an error of its VM' grep -q '^cpr-helper: a: worker process: killed by signal 9 (Killed)$' "$tmp/err"
	holds 'is named' grep -q "^cpr-helper: VMs 'a': not saved$" "$tmp/err"
	holds 'the others are saved' state_is c saved postmigrate
	call abort --all
	holds 'abort --all finds it as well' test "$status" = 0
	holds 'and all go on' all_go_on
	holds 'nothing is left' nothing_left
	holds 'in no QEMU' as_before a
	prints 'save --all --dry-run' 'a: running, would be saved
b: running, would be saved
c: running, would be saved' save --all --dry-run

	section 'guests whose agents do not answer'
	remember_all
	start g --agent
	start h --agent
	counts g
	counts h
	call save g
	call save h
	next_host g
	next_host h
	hasty 10000 behind restore --all -j1
	holds 'the first one runs' soon state_is g running running
	holds 'and its agent is waited for' kill -0 "$pid"
	holds 'but not by the next guest' soon state_is h running running
	kill_qemu g
	kill_qemu h
	finished
	holds 'then all is done' test "$status" = 0
	holds 'that no clock was set is told' grep -q "^cpr-helper: note: VM 'g': the guest's clock was not set: guest agent" <<<"$err"
	end g
	end h
	holds 'the others go on' all_go_on

	section 'signals'
	for signal in INT TERM; do
		remember_all
		CPR_FAULT=save-begun:hang:b behind update --kernel 9.9.9-cpr "${initrd[@]}"
		holds "SIG$signal: one is being saved" soon is_halted
		kill -$signal $pid
		kill -CONT "$(halted)"
		finished
		holds 'the update has failed' test "$status" = 1
		holds 'by that' grep -q '^cpr-helper: .*interrupted' "$tmp/err"
		holds 'all guests run on' all_go_on
		holds 'nothing is left of it' nothing_left
	done
	CPR_FAULT=update-saved:hang behind update --kernel 9.9.9-cpr "${initrd[@]}"
	holds 'all are saved' soon all_are saved postmigrate
	soon is_halted
	kill -TERM $pid
	kill -CONT "$(halted)"
	finished
	holds 'the last moment for a signal' grep -q '^cpr-helper: update: interrupted$' "$tmp/err"
	holds 'all guests run on' all_go_on

	section 'concurrent commands'
	CPR_FAULT=update-saved:hang behind update --kernel 9.9.9-cpr "${initrd[@]}"
	soon is_halted
	refuses 'abort while an update is at work' 5 \
		"cpr-helper: host: 'cpr-helper update' is running, and will switch kernels" abort --all
	kill -KILL $pid
	finished 2>/dev/null
	: >"$CPR_FAKE/leaving"
	refuses 'abort while the host goes down' 5 \
		"cpr-helper: host: it is shutting down: a VM that runs then is lost" abort --all
	rm "$CPR_FAKE/leaving"
	call abort --all
	holds 'abort after it was killed' test "$status" = 0
	holds 'unloads the kernel' grep -q '^the next kernel is unloaded$' <<<"$out"
	holds 'all guests go on' all_go_on
	refuses 'abort with nothing left' 3 'cpr-helper: --all: no VM is saved' abort --all
}

# What may fail has been done when a guest stops for the next kernel.
together_tests() {
	local a now point
	section 'no guest stops before all can'
	remember_all
	a=$(past a)
	CPR_FAULT=save-noted:hang:b behind update --kernel 9.9.9-cpr "${initrd[@]}"
	holds 'one is about to stop' soon is_halted
	now=$(counted c)
	holds 'the others run meanwhile' counts_on c "$now"
	kill -KILL "$(halted)"
	finished 2>/dev/null
	holds 'when that fails, the update does' test "$status" = 1
	holds 'all guests run on' all_go_on
	holds 'none of which has stopped' test "$(past a)" = "$a"
	holds 'nothing is left of it' nothing_left
	for point in save-written save-checked; do
		call run w --ram-mode copy -- "${qemu[@]}" -m 32M
		holds 'one in copy mode' counts w
		a=$(past a)
		faulty "$point:fail:w" update --kernel 9.9.9-cpr "${initrd[@]}"
		holds "$point: the copy fails" test "$status" = 1
		holds "$point: all guests run on" all_go_on
		holds "$point: no other has stopped" test "$(past a)" = "$a"
		end w
	done
}

# The QEMU of b, while a helper has its monitor; that of a rehearsal maps its memory privately.
who_maps_b() { grep -l 'rw-s.*/run/cpr/b/ram0' /proc/[0-9]*/maps 2>/dev/null | head -n 1 | cut -d/ -f3; }
all_map_b() { grep -l '/run/cpr/b/ram0' /proc/[0-9]*/maps 2>/dev/null | cut -d/ -f3; }

# The helper halts: let b's QEMU, in $victim, hang before it goes on to its end.
hang_b() {
	victim=$(who_maps_b)
	kill -STOP "$victim"
	kill -CONT "$(halted)"
	finished
}

# Asleep in poll(2), and it will not be woken by a QEMU that is stopped.
waits_for_reply() { # PID
	grep -q '^[0-9]* (cpr-helper) S' "/proc/$1/stat" && sleep 0.2 &&
		grep -q '^[0-9]* (cpr-helper) S' "/proc/$1/stat"
}

hang_tests() {
	local victim
	section 'QEMU hangs while it saves'
	remember_all
	CPR_FAULT=save-set-up:hang:b hasty 30 behind update --kernel 9.9.9-cpr "${initrd[@]}"
	soon is_halted
	hang_b
	holds 'a QEMU that hangs' test "$status" = 6
	holds 'is an error' grep -q "^cpr-helper: b: no answer from '/run/cpr-helper/b.qmp': timed out$" "$tmp/err"
	holds 'and what to do' grep -q "^cpr-helper: note: VM 'b': its QEMU does not answer; once it does, 'cpr-helper abort b' lets the guest run on$" "$tmp/err"
	holds 'it is named' grep -q "VMs 'b' could not be rolled back" "$tmp/err"
	holds 'others go on' goes_on a
	holds 'all others' goes_on c
	hasty 30 call abort --all
	holds 'abort while it hangs' test "$status" = 1
	holds 'says so' grep -q "^cpr-helper: b: VM 'b': its QEMU does not answer$" <<<"$err"
	kill -CONT "$victim"
	call abort --all
	holds 'abort when it does not any more' test "$status" = 0
	holds 'then it goes on as well' all_go_on
	holds 'nothing is left of all that' nothing_left
	holds 'not in QEMU' as_before b

	section 'QEMU hangs while it loads'
	remember_all
	call save b
	kill_qemu b
	faulty restore-loaded:kill restore b
	victim=$(who_maps_b)
	kill -STOP "$victim"
	call abort b
	holds 'a QEMU that hangs where a restore was killed' test "$status" = 0
	holds 'is ended' test ! -d "/proc/$victim"
	holds 'all go on with another one' all_go_on
	holds 'nothing is left of that' nothing_left

	section 'QEMU hangs while it resumes'
	remember_all
	call save b
	kill_qemu b
	CPR_FAULT=restore-pinned:hang hasty 30 behind restore b
	holds 'a guest is about to be let run' soon is_halted
	hang_b
	holds 'when its QEMU hangs' test "$status" = 1
	holds 'and it may run already' grep -q "^cpr-helper: QEMU '/run/cpr-helper/b.qmp': timed out: it is not known whether the guest runs$" "$tmp/err"
	kill -CONT "$victim"
	# QEMU may have read the "cont" of a helper that is gone, or not.
	holds 'what it was saved as is not tried again' soon runs_or_waits b
	holds 'its QEMU is left alone' test "$(pid_of b)" = "$victim"
	call restore b
	holds 'restore carries that on' test "$status" = 0
	holds 'all go on after it' all_go_on
	holds 'nothing is left of it either' nothing_left

	section 'QEMU dies as it resumes'
	start y
	counts y
	call save y
	kill_qemu y
	CPR_FAULT=restore-pinned:hang behind restore y
	soon is_halted
	victim=$(grep -l /run/cpr/y/ram0 /proc/[0-9]*/maps 2>/dev/null | head -n 1 | cut -d/ -f3)
	kill -STOP "$victim"
	kill -CONT "$pid"
	# It has sent the command, and waits for the answer.
	soon waits_for_reply "$pid"
	kill -KILL "$victim"
	finished
	holds 'a QEMU that has got the command, and ends' test "$status" = 1
	holds 'is no QEMU whose guest has not run' grep -q "^cpr-helper: VM 'y': its QEMU ended after it was told to let the guest run" "$tmp/err"
	holds 'its state is not sealed again' state_is y dead
	holds 'nor loaded' grep -q '^running' "$CPR_FAKE/vm.y"
	call restore y
	holds 'not by another restore' test "$status" = 1
	call abort y
	holds 'nor by an abort' test "$status" = 1
	prints 'the remedy can be followed' 'y: deleted' delete --force y
}

# The guest was in that QEMU, and is in its state by then.
death_tests() {
	section 'QEMU is killed'
	remember_all
	CPR_FAULT=save-written:hang:b behind save b
	soon is_halted
	kill -KILL "$(who_maps_b)"
	soon sh -c '! grep -q "rw-s.*/run/cpr/b/ram0" /proc/[0-9]*/maps 2>/dev/null'
	kill -CONT "$(halted)"
	finished
	holds 'a QEMU that is killed once it has written has saved its guest' test "$status" = 0
	call abort b
	holds 'which an abort brings back' test "$status" = 0
	holds 'with all others' all_go_on
	CPR_FAULT=save-written:hang:b behind save b
	soon is_halted
	# shellcheck disable=SC2046
	kill -KILL $(all_map_b)
	soon sh -c '! grep -q /run/cpr/b/ram0 /proc/[0-9]*/maps 2>/dev/null'
	kill -CONT "$(halted)"
	finished
	holds 'with that of the rehearsal' test "$status" = 4
	holds 'it leaves a state that is whole' grep -q "^cpr-helper: note: VM 'b': its QEMU has ended, but its state is whole; 'cpr-helper abort b' brings the guest back in another QEMU$" "$tmp/err"
	call abort b
	holds 'which brings the guest back' test "$status" = 0
	holds 'with all others again' all_go_on
	holds 'and nothing is left of that' nothing_left
}

# One that slept is undone by way of its state.
asleep_tests() {
	local old
	section 'a suspended guest'
	start z
	holds 'a guest' counts z
	"$here/agent.py" --suspend /run/cpr/z/ram0
	holds 'it sleeps' soon state_is z running suspended
	old=$(python3 -c 'import json; print(json.load(open("/run/cpr/z/manifest.json"))["binary"])')
	CPR_FAULT=save-checked:hang behind save z
	holds 'it is being saved' soon is_halted
	mkdir /run/cpr/z/manifest.json.new
	kill -CONT "$(halted)"
	finished
	holds 'its manifest cannot be written' test "$status" = 1
	holds 'then its QEMU does not quit' state_is z running postmigrate
	rmdir /run/cpr/z/manifest.json.new
	call abort z
	holds 'its abort, when it can' test "$status" = 0
	holds 'it sleeps on' state_is z running suspended
	call save z --qemu "$tmp/new"
	holds 'its save for another QEMU' test "$status" = 0
	call abort z
	holds 'and the abort of that' test "$status" = 0
	holds 'leave it in the one that it had' manifest z "m['binary'] == '$old'"
	end z
}

# The last pause of a guest is that of a handover that was undone.
undone() { # NAME
	python3 -c "
import json
p = json.load(open('/run/cpr/$1/report.json'))['pauses'][-1]
assert p.get('aborted'), p"
}

new_qemu() { # FILE CASE: a program that is QEMU, but for what the case does
	printf '#!/bin/sh\ncase "$*" in\n%s\nesac\nexec qemu-system-x86_64 "$@"\n' "$2" >"$1"
	chmod 755 "$1"
}

# How many pauses a guest has had, and the QEMU that it is in.
past() { pid_of "$1"; python3 -c "
import json
print(len(json.load(open('/run/cpr/$1/report.json'))['pauses']))"; } # NAME

# The last handover of each guest was one to another QEMU.
max_pause_tests() {
	local a
	section '--max-pause'
	remember_all
	refuses 'no time' 2 "cpr-helper: update --max-pause '0': no number of seconds above 0, up to 86400" \
		update --qemu "$tmp/new" --max-pause 0
	a=$(past a)
	call update --qemu "$tmp/new" --max-pause 0.001
	holds 'less than the last pause' test "$status" = 4
	holds 'is refused' grep -Eq "^cpr-helper: a: VM 'a': by its last handover, its guest will stand still for [0-9.]+ m?s, and --max-pause allows 0.001 s$" <<<"$err"
	holds 'in time' test "$(past a)" = "$a"
	json 'how long they were' "all(o['expected_pause_ms'][v] > 0 for v in 'abc')" update --qemu "$tmp/new" --dry-run
	json 'not those of a kernel' "all(o['expected_pause_ms'][v] is None for v in 'abc')" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --dry-run
	call update --kernel 9.9.9-cpr "${initrd[@]}" --max-pause 0.0001
	holds 'a save that takes longer' test "$status" = 1
	holds 'is undone' grep -q "its guest stands still for longer than the 0.001 s that are left for its save$" <<<"$err"
	holds 'all go on' all_go_on
	holds 'nothing is left' nothing_left
	CPR_FAULT=save-done:hang:b behind update --kernel 9.9.9-cpr "${initrd[@]}" --max-pause 600
	holds 'one that is saved waits for another' soon is_halted
	soon state_is a saved postmigrate
	sed -i 's/"up_us": *[0-9]*/"up_us":-1000000000000/' /run/cpr/a/manifest.json
	kill -CONT "$(halted)"
	finished
	holds 'if that takes too long, the update is undone' test "$status" = 1
	holds 'which it says' grep -q "^cpr-helper: VM 'a': by its last handover, its guest will stand still for .* s, and --max-pause allows 600 s$" <<<"$err"
	holds 'all go on after that' all_go_on
}

# With --qemu alone, no guest stops for another's sake.
roll_tests() {
	local b c point
	section '--qemu, the first of them'
	remember_all
	new_qemu "$tmp/other" ''
	new_qemu "$tmp/third" ''
	new_qemu "$tmp/none" '*-incoming*) echo bad luck >&2; exit 1 ;;'
	b=$(past b) c=$(past c)
	call update --qemu "$tmp/none" --no-rehearse
	holds 'when it fails, the update does' test "$status" = 1
	holds 'it is in its old QEMU again' manifest a "m['binary'] == '$tmp/new'"
	holds 'which is told' grep -q '^a: running, its guest is running in the QEMU that it had$' <<<"$out"
	holds 'no other has stopped' test "$(past b) $(past c)" = "$b $c"
	holds 'all go on' all_go_on

	section '--qemu, one after the other'
	c=$(past c)
	new_qemu "$tmp/bad-b" '*/run/cpr/b/*-incoming*) echo bad luck >&2; exit 1 ;;'
	call update --qemu "$tmp/bad-b" --no-rehearse -j 1
	holds 'when one fails, the update has partly failed' test "$status" = 6
	holds 'which it says' grep -q "^cpr-helper: VMs 'b c': not updated$" <<<"$err"
	holds 'and which are updated' grep -q "^  remedy: VMs 'a' run in the new QEMU, the others in the one that they had" <<<"$err"
	holds 'those before are' manifest a "m['binary'] == '$tmp/bad-b'"
	holds 'that one is not' manifest b "m['binary'] == '$tmp/new'"
	holds 'those after it have not stopped' test "$(past c)" = "$c"
	holds 'each is told of' test "$(tail -n 3 <<<"$out")" = 'a: running, its guest is running in the new QEMU
b: running, its guest is running in the QEMU that it had
c: running, its guest is running in the QEMU that it had'
	holds 'all go on, whichever they are in' all_go_on
	holds 'nothing is left of that' nothing_left

	section '--qemu, at the same time'
	CPR_FAULT=save-written:hang:b behind update --qemu "$tmp/other"
	holds 'one takes long' soon is_halted
	holds 'another is not stopped for that long' soon manifest c "m['binary'] == '$tmp/other' and 'saved' not in m"
	holds 'nor is the first' manifest a "m['binary'] == '$tmp/other' and 'saved' not in m"
	kill -CONT "$(halted)"
	finished
	holds 'in the end all are updated' test "$status" = 0
	holds 'and go on' all_go_on

	section '--qemu, interrupted'
	remember_all
	CPR_FAULT=save-begun:hang:b behind update --qemu "$tmp/new" -j 1
	soon is_halted
	c=$(past c)
	kill -TERM $pid
	kill -CONT "$(halted)"
	finished
	holds 'the update has partly failed' test "$status" = 6
	holds 'what was done stays' manifest a "m['binary'] == '$tmp/new'"
	holds 'what was not is undone' manifest b "m['binary'] == '$tmp/other'"
	holds 'what was not begun has not stopped' test "$(past c)" = "$c"
	holds 'all go on after that' all_go_on
	holds 'nothing is left over' nothing_left
	for point in save-checked:fail seal-begun:fail seal-quit:fail seal-done:fail; do
		faulty "$point:b" update --qemu "$tmp/third" -j 1
		holds "$point" test "$status" = 6
		holds "$point: all go on" all_go_on
		holds "$point: nothing is left" nothing_left
	done
	call update --qemu "$tmp/new"
	holds 'the next update completes it' test "$status" = 0
}

qemu_tests() {
	local old
	section '--qemu'
	old=$(pid_of b)
	remember_all
	refuses 'a QEMU that is not there' 3 "cpr-helper: QEMU binary '/no/qemu': there is no such program" update --qemu /no/qemu
	call update --qemu "$tmp/new" --dry-run
	holds 'update --qemu --dry-run' test "$(head -n 3 <<<"$out")" = "a: save for $tmp/new, quit QEMU, seal, restore in the new QEMU
b: save for $tmp/new, quit QEMU, seal, restore in the new QEMU
c: save for $tmp/new, quit QEMU, seal, restore in the new QEMU"
	json 'update --qemu' "[v['ok'] for v in o['vms']] == [True] * 3 and o['qemu'] == '$tmp/new' and \
		o['vms'][0]['state'] == 'running' and o['vms'][0]['qemu']['status'] == 'running'" update --qemu "$tmp/new"
	holds 'all go on' all_go_on
	holds 'in another QEMU' test "$(pid_of b)" != "$old"
	holds 'which is on record' manifest b "m['binary'] == '$tmp/new'"
	holds 'nothing is left' nothing_left
	roll_tests
	max_pause_tests
	remember_all
	json 'a QEMU that does not load one of them' \
		"o['error']['code'] == 6 and o['vms'][1]['fell_back'] and o['vms'][1]['ok'] == False" \
		update --qemu "$tmp/bad" --no-rehearse -j 3
	holds 'that goes on all the same' all_go_on
	holds 'in the old one' manifest b "m['binary'] == '$tmp/new'"
	holds 'by which it was not handed over' undone b
	holds 'the reason is told' grep -q '^  | bad luck$' <<<"$err"
	holds 'nothing is left of it' nothing_left
}

# What an update, or an abort, has to do so as to come by a fault point.
come_by() { # POINT ACTION
	local vm=:b
	case $1 in update-*) vm= ;; esac
	case $1 in
	restore-*) faulty "$1:$2$vm" update --qemu "$tmp/new" ;;
	abort-*)
		call save --all
		faulty "$1:$2$vm" abort --all ;;
	*) faulty "$1:$2$vm" update --kernel 9.9.9-cpr "${initrd[@]}" ;;
	esac
}
sweep_tests() {
	local point want
	section 'fault points'
	for point in $("$helper" --fault-points); do
		remember_all
		come_by "$point" fail
		case $point in
		save-asked | update-prepared | update-loaded) want=4 ;;
		abort-* | restore-*) want=6 ;;
		*) want=1 ;;
		esac
		holds "$point fails" test "$status" = $want
		case $point in abort-*) call abort --all ;; esac
		holds "$point fails: all go on" all_go_on
		holds "$point fails: nothing is left" nothing_left
		case $point in
		seal-* | update-sealed) holds "$point fails: that was no handover" undone a ;;
		esac

		remember_all
		come_by "$point" kill
		holds "$point: killed" test "$status" = 137
		call abort --all
		case $point in update-prepared) want=3 ;; *) want=0 ;; esac
		holds "$point killed: abort --all" test "$status" = $want
		holds "$point killed: all go on" all_go_on
		holds "$point killed: nothing is left" nothing_left
		holds "$point killed: nor in QEMU" as_before b
	done
}

# A command that was killed while it only asked QEMU leaves the guest alone, and so does what
# comes after it.
asked_tests() {
	section 'killed while it asks QEMU'
	start p -- -S
	faulty save-asked:kill save p --dry-run
	holds 'save --dry-run' test "$status" = 137
	holds 'QEMU has the mode' grep -q '"mode": "cpr-reboot"' <(qmp p '{"execute": "query-migrate-parameters"}')
	prints 'abort' 'p: the guest stays prelaunch' abort p
	holds 'resets it' as_before p
	faulty save-asked:kill save p
	switch p postcopy-ram true
	refuses 'another check' 4 "cpr-helper: QEMU's capability 'postcopy-ram': it is enabled: the guest would run before its state is complete; QEMU refuses it with cpr-reboot" save p --dry-run
	holds 'is made, and resets it' as_before p
	switch p postcopy-ram false
	prints 'or goes through' 'p: running, would be saved' save p --dry-run
	refuses 'nothing is left to abort' 3 "cpr-helper: VM 'p': it is running, and there is nothing to abort" abort p
	end p
}

# An update that was killed is carried on by the next.
again_tests() {
	local point
	section 'killed and repeated'
	remember_all
	for point in save-begun:kill:b update-saved:kill seal-quit:kill:b; do
		faulty "$point" update --kernel 9.9.9-cpr "${initrd[@]}"
		holds "update again after $point" test "$status" = 137
	done
	call update --kernel 9.9.9-cpr "${initrd[@]}"
	holds 'in the end it goes through' test "$status" = 0
	holds 'with all' all_are held
	refuses 'abort under the next kernel' 5 "cpr-helper: VM 'a': it is held, and was saved under another kernel" abort a
	for point in restore-claimed:kill:a restore-started:kill:b restore-loaded:kill:c; do
		faulty "$point" restore --all -j1
		holds "restore --all after $point" test "$status" = 137
	done
	call restore --all
	holds 'restore --all takes them all, again' test "$status" = 0
	holds 'and they go on' all_go_on
}

update_tests() {
	local vm initrd=(--initrd "$tmp/initrd")
	for vm in "${vms[@]}"; do start "$vm"; done
	for vm in "${vms[@]}"; do holds "$vm counts" counts "$vm"; done
	new_qemu "$tmp/new" ''
	new_qemu "$tmp/bad" '*/run/cpr/b/*-incoming*) echo bad luck >&2; exit 1 ;;'
	rm -f "$CPR_FAKE/kexec"
	# None of these is to come so far.
	echo 'this was not to be' >"$CPR_FAKE/fail-jump"
	preflight_tests
	left_out_tests
	crew_tests
	together_tests
	shutdown_tests
	hang_tests
	death_tests
	asleep_tests
	qemu_tests
	asked_tests
	sweep_tests
	rm "$CPR_FAKE/fail-jump"
	again_tests
	for vm in "${vms[@]}"; do end "$vm"; done
	rm -f "$CPR_FAKE/kexec"
}

if [ -z "${CPR_FAKE:-}" ]; then
	skip 'update' 'see VMs'
elif [ ! -e /lib/modules/9.9.9-cpr ]; then
	skip 'update' 'see kexec'
else
	update_tests
fi
