# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A VM can be run, saved, aborted and restored, and a failure of any of these leaves it whole.

# The fake module's region is from 4 GiB to 5 GiB.
firmware_tests() {
	local words="cpr-helper: handover region '1G!0x100000000': at 0x120000000 the firmware has no memory, but"

	if ! mountpoint -q /sys/firmware/memmap; then
		skip 'a region that is no memory' 'needs /sys/firmware/memmap'
		return
	fi
	firmware_map 'System RAM' 0x100000000 0x11fffffff 'Reserved' 0x120000000 0x1ffffffff
	refuses 'format of a region that is registers in part' 4 "$words 'Reserved'" format
	firmware_map 'System RAM' 0x100000000 0x11fffffff 'System RAM' 0x120000001 0x1ffffffff
	refuses 'of one with a hole' 4 "$words nothing" format --force
	firmware_map 'System RAM' 0x0 0x11fffffff 'Persistent Memory (legacy)' 0x120000000 0x13fffffff \
		'Persistent Memory' 0x140000000 0xffffffffffffffff
	prints 'of one that is memory of several kinds' \
		'handover region: would be formatted, 1 GiB at 0x100000000' format --dry-run
	firmware_map
	prints 'of one whose map is not known' \
		'handover region: would be formatted, 1 GiB at 0x100000000' format --dry-run
	firmware_map 'System RAM' 0x0 0x1ffffffff
}

module_tests() {
	local count_before state lock begun

	section 'run'
	start a
	holds 'run' test "$status" = 0
	holds 'run tells the machine' grep -q "^a: running, pid [0-9]*, pc-q35-[0-9.]*, 32 MiB of RAM$" <<<"$out"
	holds 'its guest runs' counts a
	holds 'it is listed' state_is a running running
	holds 'its manifest' manifest a "m['machine'].startswith('pc-q35-') and m['memory'] == \
		[{'file': 'ram0', 'id': 'cpr-ram0', 'size': 32 << 20}] and 'saved' not in m and m['qemu_version']"
	if (echo -1 >/proc/self/oom_score_adj) 2>/dev/null; then
		holds 'its RAM in the region does not count for the OOM killer' \
			test "$(cat "/proc/$(pid_of a)/oom_score_adj")" -lt "$(cat /proc/self/oom_score_adj)"
	else
		skip 'its RAM in the region does not count for the OOM killer' 'needs CAP_SYS_RESOURCE'
	fi
	holds 'its files are private' test "$(stat -c %a /run/cpr/a /run/cpr/a/ram0 /run/cpr-helper/a.qmp | tr '\n' ' ')" = '700 600 600 '
	refuses 'a name that exists' 5 "cpr-helper: VM 'a': it exists" run a --ram 32M -- "${qemu[@]}"
	holds 'and that VM runs on' counts a
	refuses 'delete while it runs' 5 "cpr-helper: VM 'a': its QEMU runs (pid $(pid_of a))" delete a
	refuses 'abort of what is not saved' 3 \
		"cpr-helper: VM 'a': it is running, and there is nothing to abort" abort a
	refuses 'restore of what runs' 5 \
		"cpr-helper: VM 'a': it is running, there is nothing to restore" restore a
	refuses 'no such VM' 3 "cpr-helper: VM 'b': kernel: there is no such VM" save b
	json 'show' "o['vm']['state'] == 'running' and o['vm']['qemu']['status'] == 'running' and \
		o['vm']['manifest']['argv'][:2] == ['-M', 'q35,accel=tcg']" show a
	call show a
	holds 'show, in words' grep -q '^RAM files: *ram0 (32 MiB)$' <<<"$out"
	holds 'show without memory errors' test -z "$(grep '^memory errors' <<<"$out")"
	call list
	holds 'list without memory errors' test -z "$(grep 'BAD PAGES' <<<"$out")"
	echo 3 >"$CPR_FAKE/bad.a"
	json 'show with memory errors' "o['vm']['bad_pages'] == 3" show a
	call show a
	holds 'the same, in words' grep -q '^memory errors: *3 pages of 4 KiB$' <<<"$out"
	call list
	holds 'list with memory errors' grep -q '^NAME .* BAD PAGES$' <<<"$out"
	holds 'the VM that has them' grep -q '^a .* 3$' <<<"$out"
	rm "$CPR_FAKE/bad.a"

	section 'room'
	json 'a room for its RAM and its state' "o['vm']['room'] == {'bytes': 96 << 20, 'names': 65} and o['vm']['used']['bytes'] == 32 << 20" show a
	call show a
	holds 'the same, in words' grep -q '^room: *96 MiB, 65 names$' <<<"$out"
	call list
	holds 'list shows used and room' grep -q '^a .* 32 MiB *32 MiB *96 MiB ' <<<"$out"
	prints 'another size' 'a: 1 GiB and 65 names' room a 1G
	prints 'another number of names' 'a: 1.5 GiB and 9 names' room a 1536 --names 9
	json 'it is kept' "o['vm']['room'] == {'bytes': 1536 << 20, 'names': 9}" show a
	prints 'none, on trial' 'a: no room of its own' room a none --dry-run
	json 'that changes nothing' "o['vm']['room']['names'] == 9" show a
	prints 'none' 'a: no room of its own' room a none
	json 'there is none' "o['vm']['room'] is None" show a
	prints 'a room again' 'a: 96 MiB and 64 names' room a 96M
	refuses 'no size' 2 "cpr-helper: room: 'much' is neither a size like 512M or 4G nor none" room a much
	refuses 'too many names' 2 "cpr-helper: room --names '65536': no number from 1 to 65535" room a 1G --names 65536
	refuses 'a room for no VM' 3 "cpr-helper: VM 'b': kernel: there is no such VM" room b 1G
	echo '10 frames of 2 MiB are free' >"$CPR_FAKE/fail-room"
	refuses 'a room that the module refuses' 1 "cpr-helper: VM 'a': kernel: 10 frames of 2 MiB are free" room a 1G
	refuses 'a VM that gets no room' 1 "cpr-helper: room of VM 'b': kernel: 10 frames of 2 MiB are free" \
		run b --ram 32M -- "${qemu[@]}"
	rm "$CPR_FAKE/fail-room"
	holds 'nothing is left of that VM' gone b
	refuses 'a room that is less than the RAM' 2 "cpr-helper: --room '16M': the memory alone takes 32M" \
		run b --ram 32M --room 16M -- "${qemu[@]}"
	holds 'nor of that' gone b

	section 'run fails'
	call run b --ram 32M -- "${qemu[@]}" -device no-such-device
	holds 'QEMU that does not start: status' test "$status" = 1
	holds 'its own words are shown' grep -q "^  | .*'no-such-device' is not a valid device model name" <<<"$err"
	holds 'nothing is left of it' gone b
	call run b --ram 32M -- /bin/true
	holds 'a QEMU that is none' grep -q "^cpr-helper: QEMU '.*true': QEMU exited with status 0$" <<<"$err"
	holds 'nothing is left of that' gone b
	begun=$SECONDS
	behind run b --ram 32M -- "${qemu[@]}" -chardev "socket,id=w,path=$tmp/w,server=on,wait=on"
	holds 'a QEMU that waits for a client' soon test -S "$tmp/w"
	kill -INT "$pid"
	finished
	holds 'a signal ends that' test "$status" = 1 -a $((SECONDS - begun)) -lt $((50 * scale))
	holds 'and is the reason' grep -q "^cpr-helper: QEMU '.*': its monitor: interrupted$" <<<"$err"
	holds 'nothing is left of it' gone b
	rm -f "$tmp/w"
	echo 'no more VMs' >"$CPR_FAKE/fail-pin"
	refuses 'a pin that is refused' 1 "cpr-helper: VM 'b': kernel: no more VMs" \
		run b --ram 32M -- "${qemu[@]}"
	rm "$CPR_FAKE/fail-pin"
	holds 'nothing is left of that, either' gone b
	refuses 'no room' 1 "cpr-helper: memory '4G': the region has no room for it; 1000 MiB is free, 0 B more is being scrubbed" \
		run b --ram 4G -- "${qemu[@]}"
	holds 'nor of that' gone b
	: >"$CPR_FAKE/unformatted"
	refuses 'an unformatted region' 4 "cpr-helper: handover region '1 GiB': it is not formatted" \
		run b --ram 32M -- "${qemu[@]}"
	firmware_tests
	prints 'format' 'handover region: formatted, 1 GiB at 0x100000000' format
	refuses 'format twice' 4 \
		'cpr-helper: handover region: it has an image already; formatting destroys all VMs in it' format
	call run b --ram 32M -- "${qemu[@]}" -global memory-backend-file.share=off -set object.cpr-ram0.share=off
	holds 'memory that QEMU does not share after all' test "$status" != 0
	holds 'nothing is left of it, again' gone b

	section 'save and abort'
	echo 'not now' >"$CPR_FAKE/fail-save"
	refuses 'a save that the module refuses' 1 "cpr-helper: VM 'a': kernel: not now" save a
	rm "$CPR_FAKE/fail-save"
	holds 'the guest runs on' counts a
	holds 'nothing is left of the save' test ! -e /run/cpr/a/state -a ! -e /run/cpr/a/state.part
	holds 'QEMU is as it was' grep -q '"capability": "x-ignore-shared", "state": false\|"state": false, "capability": "x-ignore-shared"' \
		<(qmp a '{"execute": "query-migrate-capabilities"}')
	holds 'and in its mode' grep -q '"mode": "normal"' <(qmp a '{"execute": "query-migrate-parameters"}')
	prints 'save --dry-run' 'a: running, would be saved' save a --dry-run
	holds 'it runs' counts a
	json 'save' "o['vms'][0]['ok'] and o['vms'][0]['state_bytes'] > 1000 and o['vms'][0]['runstate'] == 'running'" save a
	holds 'the guest stands still' stands_still a
	holds 'QEMU waits' state_is a saved postmigrate
	holds 'the state is recorded' manifest a "m['saved']['digest'].startswith('xxh3-128:') and m['saved']['size'] == $(stat -c %s /run/cpr/a/state)"
	refuses 'save twice' 5 "cpr-helper: VM 'a': it is saved, not running" save a
	refuses 'save --dry-run of what is saved' 5 "cpr-helper: VM 'a': it is saved, not running" save a --dry-run
	prints 'abort --dry-run' 'a: saved, would be aborted' abort a --dry-run
	refuses 'restore instead of abort' 5 "cpr-helper: VM 'a': it is saved, there is nothing to restore" restore a
	count_before=$(counted a)
	prints 'abort' 'a: the guest runs on' abort a
	holds 'it does' counts_on a "$count_before"
	holds 'the state is gone' test ! -e /run/cpr/a/state
	holds 'and forgotten' manifest a "'saved' not in m"
	refuses 'abort --dry-run of what runs' 3 "cpr-helper: VM 'a': it is running, and there is nothing to abort" abort a --dry-run
	refuses 'restore --dry-run of what runs' 5 "cpr-helper: VM 'a': it is running, there is nothing to restore" restore a --dry-run

	section 'restore'
	call save --all
	state=$(sha256sum </run/cpr/a/state)
	count_before=$(counted a)
	kill_qemu a
	holds 'QEMU that died in postmigrate' state_is a dead
	refuses 'delete then' 5 "cpr-helper: VM 'a': it is saved: its saved guest would be lost" delete a
	call restore a
	holds 'restore of it' test "$status" = 0
	holds 'the guest goes on' counts_on a "$count_before"
	call save a
	count_before=$(counted a)
	kill -9 "$(pid_of a)"
	call abort a
	holds 'abort of one that died in postmigrate' test "$status" = 0
	holds 'its guest goes on, too' counts_on a "$count_before"
	call save a
	state=$(sha256sum </run/cpr/a/state)
	count_before=$(counted a)
	cp /run/cpr/a/state "$tmp/state"
	cp /run/cpr/a/manifest.json "$tmp/manifest"
	next_host a
	rm "$CPR_FAKE/digests.a"
	refuses 'a VM that was sealed without a digest' 1 \
		"cpr-helper: manifest '/run/cpr/a/manifest.json': the VM was sealed without a digest of it" restore a
	reseal a

	truncate -s -1 /run/cpr/a/state
	refuses 'a truncated state' 1 "cpr-helper: state file '/run/cpr/a/state': it has $(stat -c %s /run/cpr/a/state) bytes, and was saved with $(stat -c %s "$tmp/state")" restore a
	holds 'leaves the VM held' state_is a held
	cp "$tmp/state" /run/cpr/a/state
	printf X | dd of=/run/cpr/a/state bs=1 seek=5000 conv=notrunc status=none
	call restore a
	holds 'a changed state' test "$status" = 1
	holds 'is told with its place' grep -q "^cpr-helper: state file '/run/cpr/a/state': at byte [0-9]*, in " <<<"$err"
	holds 'leaves it held, too' state_is a held
	# One that was cut short before its digest was taken, as by an older cpr-helper.
	head -c 100000 "$tmp/state" >/run/cpr/a/state
	forge
	call restore a
	holds 'a state that was never whole' grep -q "^cpr-helper: state file '/run/cpr/a/state': at byte 100000, .*: the file is truncated$" <<<"$err"
	holds 'leaves it held as well' state_is a held
	# A state that only QEMU can find wrong: its clock is of a later version.
	cp "$tmp/state" /run/cpr/a/state
	forge '\x05timer\0\0\0\0\0\0\0\x02' '\x05timer\0\0\0\0\0\0\0\x09' \
		'"vmsd_name": "timer", "version": 2' '"vmsd_name": "timer", "version": 9'
	call restore a
	holds 'a state that QEMU refuses' grep -q "^cpr-helper: QEMU's migration 'failed': " <<<"$err"
	holds 'its own words' grep -q '^  | qemu-system-x86_64: ' <<<"$err"
	holds 'leaves it held, again' state_is a held
	cp "$tmp/state" /run/cpr/a/state
	echo '{' >/run/cpr/a/manifest.json
	reseal a
	call restore a
	holds 'a damaged manifest' grep -q "^cpr-helper: manifest 'manifest.json': " <<<"$err"
	sed 's,"binary":"[^"]*","binary":"/no/qemu",' "$tmp/manifest" >/run/cpr/a/manifest.json
	reseal a
	refuses 'a QEMU that is gone' 3 "cpr-helper: QEMU binary '/no/qemu': No such file or directory" restore a
	sed 's,"machine":"[^"]*","machine":"pc-q35-99.0",' "$tmp/manifest" >/run/cpr/a/manifest.json
	reseal a
	call restore a
	holds 'the state of another machine' grep -q "expected machine type 'pc-q35-99.0', as the manifest has it" <<<"$err"
	forge 'pc-q35-10.0' 'pc-q35-99.0'
	call restore a
	holds 'a machine that QEMU does not know' grep -q '^  | .*unsupported machine type' <<<"$err"
	cp "$tmp/state" /run/cpr/a/state
	cp "$tmp/manifest" /run/cpr/a/manifest.json
	reseal a
	echo 'broken' >"$CPR_FAKE/fail-pin"
	refuses 'a module that refuses the pin' 1 "cpr-helper: VM 'a': kernel: broken" restore a
	rm "$CPR_FAKE/fail-pin"
	holds 'the VM is held after all of that' state_is a held
	holds 'its memory was not touched' test "$(counted a)" = "$count_before"
	holds 'nor its state' test "$(sha256sum </run/cpr/a/state)" = "$state"
	json 'restore' "o['vms'][0]['ok'] and o['vms'][0]['runstate'] == 'running'" restore a
	holds 'the guest goes on from there' counts_on a "$count_before"
	holds 'it is listed as running' state_is a running running
	holds 'the state is gone then' test ! -e /run/cpr/a/state
	holds 'it is the same machine' grep -q "$(sed -n 's/.*"machine":"\([^"]*\)".*/\1/p' "$tmp/manifest")-machine" \
		<(qmp a '{"execute": "qom-get", "arguments": {"path": "/machine", "property": "type"}}')

	section 'paused guest'
	qmp a '{"execute": "stop"}' >/dev/null
	call save a
	holds 'save of a paused guest' test "$status" = 0
	prints 'its abort' 'a: the guest stays paused' abort a
	holds 'it is still' stands_still a
	call save a
	holds 'its second save' test "$status" = 0
	kill_qemu a
	count_before=$(counted a)
	call restore a
	holds 'its restore' test "$status" = 0
	holds 'it is paused' state_is a running paused
	holds 'it stands still' test "$(counted a)" = "$count_before"
	qmp a '{"execute": "cont"}' >/dev/null
	holds 'it can go on' counts_on a "$count_before"
	start b -- -S
	holds 'run -S' state_is b running prelaunch
	end b

	agent_tests

	section 'a QEMU that cannot be saved'
	start b -- -drive driver=null-co,read-zeroes=on,if=none,id=n -device nvme,serial=x,drive=n
	call save b
	holds 'a device that cannot be saved' grep -q "^cpr-helper: QEMU 'query-migrate': .*nvme" <<<"$err"
	holds 'its guest runs on' counts b
	holds 'it is refused' test "$status" = 4
	call save --all
	holds 'save --all where one fails' test "$status" = 6
	holds 'names it' grep -q "^cpr-helper: VMs 'b': not saved$" <<<"$err"
	holds 'the other one is saved' state_is a saved postmigrate
	json 'in JSON' "o['error']['code'] == 5 or [v['ok'] for v in o['vms']] == [False]" save --all
	call abort --all
	holds 'abort --all' test "$status" = 0
	refuses 'abort --all with nothing to do' 3 'cpr-helper: --all: no VM is saved' abort --all
	end b

	section 'a QEMU that hangs'
	count_before=$(pid_of a)
	kill -STOP "$count_before"
	hasty 10 call save a
	kill -CONT "$count_before"
	holds 'a QEMU that does not answer' test "$status" = 1
	holds 'why' grep -q "^cpr-helper: QEMU's monitor '/run/cpr-helper/a.qmp': timed out$" <<<"$err"
	holds 'nothing was done to it' counts a

	section 'a machine whose state is not known'
	refuses 'it does not start' 4 "cpr-helper: machine type 'isapc': cpr-helper does not know how QEMU writes the state of this machine, and could not prove it whole" \
		run b --ram 32M -- qemu-system-x86_64 -M isapc,accel=tcg -display none -nodefaults
	holds 'nothing of it is left' test ! -e /run/cpr/b

	section 'NUMA'
	call run b --ram 24M,8M -- "${qemu[@]}" -smp 2 -numa node,cpus=0 -numa node,cpus=1
	holds 'two NUMA nodes' test "$status" = 0
	holds 'each has its file' test "$(stat -c %s /run/cpr/b/ram0 /run/cpr/b/ram1 | tr '\n' ' ')" = '25165824 8388608 '
	holds 'it counts' counts b

	section 'kexec'
	if [ ! -e /lib/modules/9.9.9-cpr ]; then
		skip 'kexec' 'needs gcc and depmod'
	else
		kexec_tests
	fi

	section 'killed, locked, deleted'
	kill_qemu b
	holds 'a killed QEMU' state_is b dead
	refuses 'save of it' 1 "cpr-helper: VM 'b': its QEMU has exited" save b
	lock=$(stat -c %i /run/cpr-helper/b.lock)
	prints 'delete of it' 'b: deleted' delete b
	holds 'its lock stays what others wait for' test "$(stat -c %i /run/cpr-helper/b.lock)" = "$lock"
	users_tests
	exec 9>/run/cpr-helper/a.lock
	flock 9
	refuses 'a VM that another helper works on' 5 "cpr-helper: VM 'a': another cpr-helper is working on it" save a
	exec 9>&-
	end a
	holds 'nothing is left' test -z "$(ls -A /run/cpr)"
	prints 'an empty list' '' list
	json 'in JSON, too' "o['vms'] == []" list
	refuses 'restore --all with nothing to do' 3 'cpr-helper: --all: no VM is sealed or held' restore --all
}

users_tests() {
	local users hidden
	section 'users of a VM'
	start b
	counts b
	call save b
	kill_qemu b
	holds 'another process maps its memory' hide b
	users="cpr-helper: VM 'b': kernel: its memory is mapped: pid $hidden (python3) maps ram0"
	refuses 'it is not sealed' 5 "$users" restore b
	holds 'the remedies are named' grep -q 'end these processes, or repeat the command with --revoke' <<<"$err"
	holds 'it stays as it was: saved, and without a QEMU' state_is b dead
	refuses 'nor by abort' 5 "$users" abort b
	call restore b --revoke
	holds 'restore --revoke' test "$status" = 0
	holds 'revokes as it seals' grep -qx 'seal b revoke' "$CPR_FAKE/log"
	holds 'and the guest goes on' counts b
	kill_qemu b
	refuses 'delete of its memory' 5 \
		"cpr-helper: VM 'b': its memory is mapped: pid $hidden (python3) maps ram0" delete b
	refuses 'also with --force' 5 \
		"cpr-helper: VM 'b': its memory is mapped: pid $hidden (python3) maps ram0" delete b --force
	prints 'delete --revoke' 'b: deleted' delete b --revoke
	holds 'revokes as well' grep -qx 'unpin b revoke' "$CPR_FAKE/log"
	kill "$hidden"
	wait "$hidden" 2>/dev/null
}

# Its channel is named as QEMU sees it, from its working directory.
agent_tests() {
	section 'agent by a relative path'
	pushd "$tmp" >/dev/null || return
	start r -- -device virtio-serial -chardev socket,id=r,path=r.agent,server=on,wait=off \
		-device virtserialport,chardev=r,name=org.qemu.guest_agent.0
	popd >/dev/null || return
	call save r
	kill_qemu r
	hasty 10 call restore r
	holds 'restore from elsewhere' test "$status" = 0
	holds 'asks it, and names it whole' grep -qx "cpr-helper: note: VM 'r': the guest's clock was not set: guest agent '$tmp/r.agent': does not answer" <<<"$err"
	end r
}

# Under a signature that no key fits; in the modules' own form, after their content.
sign() { # FILE
	{
		base64 -d <<-'EOF'
			MIHPBgkqhkiG9w0BBwKggcEwgb4CAQExDTALBglghkgBZQMEAgEwCwYJKoZIhvcNAQcBMYGcMIGZ
			AgEBMDIwGjEYMBYGA1UEAwwPdGVzdCBvZiBtb2R1bGVzAhRsmReR24oCuWTC919XBhAaBSuweDAL
			BglghkgBZQMEAgEwCgYIKoZIzj0EAwIERzBFAiB7N/ZTMr1c0qldEvq+lIhp60RPNg+d/thS3GoI
			bd0V3wIhAMFiZxXiauPt4beu+Md5G1H8JNKB9mNsh+SPMYcKwLYD
		EOF
		printf '\0\0\2\0\0\0\0\0\0\0\0\322~Module signature appended~\n'
	} >>"$1"
}

signature_tests() {
	local module=/lib/modules/9.9.9-cpr/extra/cpr_handover.ko
	cp $module "$tmp/unsigned.ko"
	: >"$tmp/keys"
	mount --bind "$tmp/keys" /proc/keys
	refuses 'update: a module that is not signed, and a kernel that is locked down' 4 \
		"cpr-helper: module '$module': it is not signed, and the next kernel loads signed modules only (lockdown=integrity)" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --append lockdown=integrity --dry-run
	printf 'CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n' >/lib/modules/9.9.9-cpr/config
	refuses 'update: a kernel that is built so' 4 \
		"cpr-helper: module '$module': it is not signed, and the next kernel loads signed modules only (CONFIG_MODULE_SIG_FORCE)" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --force --dry-run
	sign $module
	refuses 'update: a module signed with an unknown key' 4 \
		"cpr-helper: module '$module': it is signed by 'test of modules', whose key the running kernel does not have, and the next kernel loads modules of trusted keys only (CONFIG_MODULE_SIG_FORCE)" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --dry-run
	call update --kernel 9.9.9-cpr "${initrd[@]}" --force --dry-run
	holds 'update --force of that' test "$status" = 0
	echo '1a2b3c4d I------ 1 perm 1f010000 0 0 key test of modules: 00ff: X509.ecdsa 00ff []' >"$tmp/keys"
	call update --kernel 9.9.9-cpr "${initrd[@]}" --dry-run
	holds 'update: a key that is enrolled' test "$status" = 0
	umount /proc/keys
	rm /lib/modules/9.9.9-cpr/config
	cp "$tmp/unsigned.ko" $module

	mkdir -p /run/modprobe.d
	mount -t tmpfs tmpfs /run/modprobe.d
	echo 'blacklist cpr-handover' >/run/modprobe.d/cpr-test.conf
	refuses 'update: a module on the black list' 4 \
		"cpr-helper: modprobe.d 'blacklist cpr_handover': it keeps the next kernel from loading the module, which has the guests" \
		update --kernel 9.9.9-cpr "${initrd[@]}"
	echo 'install cpr_handover /bin/false' >/run/modprobe.d/cpr-test.conf
	refuses 'update: a module that another command takes the place of' 4 \
		"cpr-helper: modprobe.d 'install cpr_handover': it keeps the next kernel from loading the module, which has the guests" \
		update --kernel 9.9.9-cpr "${initrd[@]}"
	umount /run/modprobe.d

	if ! mount -t tmpfs tmpfs /sys/kernel/security 2>/dev/null; then
		skip 'update: a kernel that is not signed' 'needs /sys/kernel/security'
		return
	fi
	echo 'none [integrity] confidentiality' >/sys/kernel/security/lockdown
	refuses 'update: a kernel that is not signed, from one that is locked down' 4 \
		"cpr-helper: kernel image '/usr/lib/modules/9.9.9-cpr/vmlinuz': it is not signed, and the running kernel loads signed kernels only (lockdown: none [integrity] confidentiality)" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --dry-run
	echo '[none] integrity confidentiality' >/sys/kernel/security/lockdown
	call update --kernel 9.9.9-cpr "${initrd[@]}" --dry-run
	holds 'update: the same from one that is not' test "$status" = 0
	umount /sys/kernel/security
}

kexec_tests() {
	local initrd=(--initrd "$tmp/initrd")
	refuses 'update: no such kernel' 3 \
		"cpr-helper: kernel '1.2.3': neither /boot nor /lib/modules has its image" update --kernel 1.2.3
	refuses 'update: no initrd' 3 "cpr-helper: kernel '9.9.9-cpr': neither /boot nor /usr/lib/modules has its initrd" \
		update --kernel 9.9.9-cpr
	: >"$tmp/empty"
	echo hello >"$tmp/text"
	refuses 'update: an initrd that is a device' 4 "cpr-helper: initrd '/dev/null': it is not a regular file" \
		update --kernel 9.9.9-cpr --initrd /dev/null
	refuses 'update: an empty initrd' 4 "cpr-helper: initrd '$tmp/empty': it is empty" \
		update --kernel 9.9.9-cpr --initrd "$tmp/empty"
	refuses 'update: an initrd that is none' 4 \
		"cpr-helper: initrd '$tmp/text': it is no archive that a kernel unpacks" \
		update --kernel 9.9.9-cpr --initrd "$tmp/text"
	refuses 'update: a line that keeps the module away' 4 \
		"cpr-helper: next command line 'module_blacklist=cpr_handover': it keeps the next kernel from loading cpr_handover, which has the guests" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --append module_blacklist=cpr_handover
	refuses 'update: a line with an open quote' 4 \
		"cpr-helper: next command line 'memmap=1G!0x100000000': the next kernel would not see it: a quote before it is not closed" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --command-line 'root=x dyndbg="file foo.c +p'
	refuses 'update: no module' 4 \
		"cpr-helper: module 'cpr_handover': /lib/modules/9.9.7-cpr does not have it: the next kernel could not find the guests" \
		update --kernel 9.9.7-cpr "${initrd[@]}"
	refuses 'update: module of another kernel' 4 \
		"cpr-helper: module '/lib/modules/9.9.8-cpr/extra/cpr_handover.ko': it is built for '9.9.9-cpr SMP'" \
		update --kernel 9.9.8-cpr "${initrd[@]}"
	refuses 'update: a contradicting command line' 4 \
		"cpr-helper: next command line 'memmap=512M!0x100000000': it contradicts the region's memmap=1G!0x100000000" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --append 'memmap=512M!4G'
	signature_tests
	if mountpoint -q /sys/firmware/memmap; then
		firmware_map 'System RAM' 0x0 0x13fffefff 'ACPI Tables' 0x13ffff000 0x13fffffff
		refuses 'update: a region that is not memory to its end' 4 \
			"cpr-helper: handover region '1G!0x100000000': at 0x13ffff000 the firmware has no memory, but 'ACPI Tables'" \
			update --kernel 9.9.9-cpr "${initrd[@]}" --dry-run
		firmware_map 'System RAM' 0x0 0x1ffffffff
	fi
	json 'update --dry-run' "o['command_line'] == 'root=/dev/vda1 memmap=1G!4G quiet x=y' and \
		o['image'].endswith('/lib/modules/9.9.9-cpr/vmlinuz') and o['vms'] == ['a', 'b']" \
		update --kernel 9.9.9-cpr "${initrd[@]}" --append x=y --dry-run
	holds 'that loaded nothing' test ! -e "$CPR_FAKE/kexec"
	holds 'and stopped nobody' counts a

	echo 'no jump today' >"$CPR_FAKE/fail-jump"
	count_before=$(counted a)
	call update --kernel 9.9.9-cpr "${initrd[@]}"
	holds 'a jump that fails' test "$status" = 1
	holds 'says so' grep -q 'kernel: no jump today' <<<"$err"
	holds 'the kernel is unloaded' test ! -e "$CPR_FAKE/kexec"
	holds 'all VMs run on' counts_on a "$count_before"
	holds 'in a new QEMU' state_is a running running
	holds 'all of them' counts b
	rm "$CPR_FAKE/fail-jump"

	echo 'no seal today' >"$CPR_FAKE/fail-seal"
	call update --kernel 9.9.9-cpr "${initrd[@]}"
	holds 'a seal that fails' test "$status" = 6
	rm "$CPR_FAKE/fail-seal"
	holds 'leaves the other VM running' counts b
	# With the seal still refused the VM cannot be restored; then it can.
	holds 'the VM is saved' state_is a dead
	call restore a
	holds 'and can be restored' counts a

	count_before=$(counted a)
	call update --kernel 9.9.9-cpr "${initrd[@]}"
	holds 'update' test "$status" = 0
	holds 'what was loaded' grep -q "^.*/lib/modules/9.9.9-cpr/vmlinuz $tmp/initrd root=/dev/vda1 memmap=1G!4G quiet$" "$CPR_FAKE/kexec"
	holds 'VMs are held' state_is a held
	holds 'all' state_is b held
	call restore --all
	holds 'restore --all' test "$status" = 0
	holds 'the guests go on' counts_on a "$count_before"
	holds 'each' counts b
}

if [ "$(id -u)" != 0 ]; then
	skip 'VMs' 'needs root'
elif ! usable; then
	skip 'VMs' 'needs QEMU 10.0, install qemu-system-x86'
else
	module_tests
fi
