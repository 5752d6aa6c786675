# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2016
#
# A QEMU that cannot load a guest's state is refused, and the guest runs on.
#
# The QEMU that is to load a state is asked what it can load, and loads the state in a
# rehearsal, before the save counts. Needs VMs, see vms.sh. CPR_QEMU_NEXT, an artefact with
# a newer QEMU, is tried as well.

# A QEMU that does something else, if only now and then: what CODE does with "$@".
other_qemu() { # FILE CODE
	printf '#!/bin/bash\n%s\nexec qemu-system-x86_64 "$@"\n' "${2-}" >"$1.new"
	chmod 755 "$1.new"
	mv "$1.new" "$1"
}
# The same for what it does when it is to load a state.
loading_qemu() { other_qemu "$1" "case \" \$* \" in *' -incoming '*) $2 ;; esac"; }
# All that is outside of QEMU and of the file of its state.
outside() {
	stat -c '%n %i %s %Y' /run/cpr-helper/r.* "$tmp"/r.* /run/cpr/r/*.log
	sha256sum "$tmp/r.raw" "$tmp/r.qcow2" /run/cpr/r/qemu.log
	ls /sys/class/net
	grep -lz '^virtio-rng-pci,id=rng$' /proc/[0-9]*/cmdline 2>/dev/null
}
# DESCRIPTION STATUS PATTERN ARGUMENT...: cpr-helper prints PATTERN on stderr, the guest runs on, and
# nothing is left.
undoes() {
	local what=$1 want=$2 words=$3
	shift 3
	call "$@"
	holds "$what" test "$status" = "$want"
	[ "$status" = "$want" ] || complain "$err"
	holds "$what: the words" grep -q -e "$words" <<<"$err"
	grep -q -e "$words" <<<"$err" || complain "$err"
	holds "$what: the guest runs on" counts r
	holds "$what: nothing is left" test -z "$(ls -d /run/cpr/r/state* /run/cpr-helper/*.trial 2>/dev/null)"
}
no_trial() { ! grep -qz '[-]incoming' /proc/[0-9]*/cmdline 2>/dev/null; }
a_trial_waits() { ! no_trial; }
a_trial() { [ -e "$tmp/tried" ]; }

# Of 1 MiB, empty: header, table of reference counts, one block of these, L1 table.
qcow2() { # FILE
	python3 - "$1" <<-'EOF2'
		import struct, sys
		cluster = 1 << 16
		header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, 1 << 20, 0, 1,
		                     3 * cluster, cluster, 1, 0, 0)
		parts = header, struct.pack(">Q", 2 * cluster), struct.pack(">4H", 1, 1, 1, 1), b""
		with open(sys.argv[1], "wb") as f:
		    f.write(b"".join(part.ljust(cluster, b"\0") for part in parts))
	EOF2
}

start_r() { # QEMU
	call run r --ram 32M --agent -- "$1" "${qemu[@]:1}" \
		-device virtio-rng-pci,id=rng \
		-drive "file=$tmp/r.raw,format=raw,if=virtio" \
		-drive "file=$tmp/r.qcow2,if=none,id=q" -device virtio-blk-pci,drive=q \
		-chardev "socket,id=c0,path=$tmp/r.sock,server=on,wait=off" -device isa-serial,chardev=c0 \
		-serial "file:$tmp/r.serial" -monitor "unix:$tmp/r.monitor,server=on,wait=off" \
		-netdev "user,id=n0,hostfwd=tcp:127.0.0.1:0-:22" -device e1000e,netdev=n0 \
		-netdev "socket,id=n1,listen=127.0.0.1:0" -device virtio-net-pci,netdev=n1 \
		-pidfile "$tmp/r.pid" -vnc "unix:$tmp/r.vnc"
	[ "$status" = 0 ] || complain "$err"
}

# The options of QEMU that have no line in cpr-helper's table.
unknown_options() { # QEMU
	local table=$here/../../../user/qemu/qemuopt_table.c
	comm -23 <("$1" -help | grep -oE '^--?[a-zA-Z0-9_-]+(/-[a-z]+)?' | tr / '\n' | sed 's/^--*//' | sort -u) \
		<(sed -n 's/^\t{ "\([^"]*\)",.*/\1/p' "$table" | sort)
}

next_tests() { # QEMU
	local modules=/usr/lib/x86_64-linux-gnu/qemu
	# It looks for its modules where those of the other one are, and does not like them.
	mkdir -p "$tmp/modules"
	cat >"$tmp/next" <<-EOF2
		#!/bin/bash
		[ -z "\$mounted" ] || ! [ -d $modules ] || mount --bind "$tmp/modules" $modules || exit
		[ -n "\$mounted" ] || mounted=1 exec unshare --mount --propagation unchanged "\$0" "\$@"
		exec "$1" "\$@"
	EOF2
	chmod 755 "$tmp/next"
	holds 'the options of a newer QEMU are known' test -z "$(unknown_options "$tmp/next")"
	# 11.1 does not load what 10.0 saves of virtio devices that nobody has set up, though
	# it says that it fits: no such device here.
	start n -- -drive "file=$tmp/r.raw,format=raw,if=virtio" -device e1000e -device qemu-xhci
	json 'save for a newer QEMU' "o['vms'][0]['qemu']['version'].startswith('$("$tmp/next" --version |
		sed -n '1s/.*version \([0-9.]*\).*/\1/p')') and o['vms'][0]['rehearsal']" save n --qemu "$tmp/next"
	[ "$status" = 0 ] || complain "$err"
	next_host n
	call restore n
	holds 'and restore with it' test "$status" = 0
	[ "$status" = 0 ] || complain "$err"
	holds 'the guest runs on there' counts n
	json 'and back' "o['vms'][0]['rehearsal']" save n --qemu "$tmp/qemu"
	[ "$status" = 0 ] || complain "$err"
	next_host n
	call restore n
	holds 'restored as before' counts n
	end n
}
# With a network of its own, and so its QEMU.
helper_apart() { unshare --net "$CPR_HELPER_FAKE" "$@"; }

rehearsal_tests() {
	local before now pid at
	truncate -s 1M "$tmp/r.raw"
	qcow2 "$tmp/r.qcow2"
	other_qemu "$tmp/qemu"
	start_r "$tmp/qemu"
	holds 'the options of this QEMU are known' test -z "$(unknown_options "$tmp/qemu")"
	holds 'a guest with much that shows outside' counts r

	section 'a QEMU that loads the state'
	other_qemu "$tmp/watched"
	before=$(outside)
	json 'save, rehearsed' "o['vms'][0]['rehearsal']['ms'] > 0 and \
		o['vms'][0]['rehearsal']['memory_bytes'] > 1 << 20 and 'rehearsal_note' not in o['vms'][0] and \
		o['vms'][0]['qemu']['binary'] == '$tmp/watched'" save r --qemu "$tmp/watched"
	[ "$status" = 0 ] || complain "$err"
	now=$(outside)
	holds 'so is all that is outside' test "$now" = "$before"
	[ "$now" = "$before" ] || diff <(echo "$before") <(echo "$now") | sed 's/^/# /'
	holds 'the guest waits' state_is r saved postmigrate
	holds 'its QEMU is the only one' test "$(grep -l /run/cpr/r/ram0 /proc/[0-9]*/maps 2>/dev/null | wc -l)" = 1
	holds 'it is recorded' manifest r "m['saved']['rehearsed'] is True and m['saved']['qemu']['version'] \
		== m['qemu_version'] and m['binary'] == '$tmp/qemu'"
	call abort r
	holds 'after an abort it runs on' counts r
	CPR_FAULT=save-noted:hang:r behind save r --qemu "$tmp/watched"
	holds 'the guest is about to stop' soon is_halted
	holds 'the other QEMU waits by then' a_trial_waits
	holds 'while the guest runs' counts_on r "$(counted r)"
	kill -KILL "$(halted)"
	finished 2>/dev/null
	holds 'that QEMU ends with cpr-helper' soon no_trial
	call abort r
	CPR_FAULT=save-written:hang:r behind save r --qemu "$tmp/watched"
	soon is_halted
	sha256sum /run/cpr/r/ram0 /run/cpr/r/state.part | sed 's/\.part//' >"$tmp/before"
	kill -CONT "$(halted)"
	finished
	holds 'memory and state are as they were' sha256sum --quiet -c "$tmp/before"
	call abort r
	json 'without a rehearsal' "o['vms'][0]['rehearsal_note'] == '--no-rehearse' and 'rehearsal' not in o['vms'][0]" \
		save r --no-rehearse
	holds 'which is recorded' manifest r "'rehearsed' not in m['saved'] and m['saved']['rehearsal_note']"
	call abort r
	call save r
	holds 'what it takes is shown' grep -qE '^r: saved, .* of state in [0-9]+ ms, rehearsed with [0-9.]+ MiB of memory in [0-9]+ ms$' <<<"$out"
	call abort r
	call save r --no-rehearse
	holds 'and so is why there is none' grep -qE '^r: saved, .*, not rehearsed: --no-rehearse$' <<<"$out"
	call abort r
	refuses 'both' 2 'cpr-helper: save: both --rehearse and --no-rehearse' save r --rehearse --no-rehearse
	refuses 'a QEMU that there is not' 3 "cpr-helper: QEMU binary '/no/qemu': there is no such program" save r --qemu /no/qemu

	section 'a QEMU that does not fit'
	at=$(counted r)
	other_qemu "$tmp/bad" 'case " $* " in *" -dump-vmstate "*) echo "bad: unsupported machine type" >&2; exit 1 ;; esac'
	undoes 'a QEMU without the machine' 4 "^cpr-helper: QEMU '$tmp/bad': asked for what it loads with the machine type pc-q35-.*: it exited with status 1$" save r --qemu "$tmp/bad"
	holds 'in its words' grep -q '^  | bad: unsupported machine type$' <<<"$err"
	other_qemu "$tmp/bad" '[ "$1" != -version ] || { echo "QEMU emulator version 9.2.4 (old)"; exit; }'
	undoes 'a QEMU that is too old' 4 "^cpr-helper: QEMU '9.2.4 (old)': this version does not support handovers$" save r --qemu "$tmp/bad"
	undoes 'a program that is no QEMU' 4 "^cpr-helper: QEMU '/.*true': asked for its version, it does not answer as QEMU does$" save r --qemu /bin/true
	other_qemu "$tmp/bad" 'case "$2" in help) exit ;; e1000e,help) echo "Device '"'e1000e'"' not found"; exit ;; esac'
	undoes 'a QEMU without a device' 4 "^cpr-helper: QEMU '$tmp/bad': it has no device 'e1000e', which the guest has (-device e1000e,netdev=n0)$" save r --qemu "$tmp/bad"
	other_qemu "$tmp/bad" "case \"\$*\" in *-dump-vmstate*) qemu-system-x86_64 -M q35 -dump-vmstate $tmp/dump &&
		sed '/^  \"e1000e\": {/,/^  }/s/\"version_id\": 1,/\"version_id\": 0,/' $tmp/dump >/proc/self/fd/3; exit ;; esac"
	undoes 'a QEMU with an older device' 4 "^cpr-helper: device '0000:00:.*/e1000e': QEMU .* could not load it: 'e1000e' has versions 1 to 0 there, and was saved with 1$" save r --qemu "$tmp/bad"
	other_qemu "$tmp/bad" '[ "$1" != -version ] || exec sleep 1000'
	hasty 20 undoes 'a QEMU that hangs' 4 "^cpr-helper: QEMU '$tmp/bad': asked for its version: it did not exit within 20 seconds$" save r --qemu "$tmp/bad"
	other_qemu "$tmp/bad" 'case " $* " in *" -dump-vmstate "*) exec cat /dev/zero >/proc/self/fd/3 ;; esac'
	undoes 'a QEMU that does not stop talking' 4 'killed by signal\|it exited with' save r --qemu "$tmp/bad"

	section 'a QEMU that fails to load'
	loading_qemu "$tmp/bad" 'set -- "$@" -device no-such-device'
	undoes 'a QEMU that does not start' 4 "^cpr-helper: rehearsal '$tmp/bad': this QEMU does not load the guest's state: QEMU: QEMU exited with status 1$" save r --qemu "$tmp/bad"
	holds 'in QEMUs words' grep -q "^  | .*'no-such-device' is not a valid device model name" <<<"$err"
	loading_qemu "$tmp/bad" 'args=(); for a; do args+=("${a/virtio-rng-pci,id=rng/edu}"); done; set -- "${args[@]}"'
	before=$(outside)
	undoes 'a QEMU that fails to load' 4 "^cpr-helper: rehearsal '$tmp/bad': this QEMU does not load the guest's state: QEMU's migration: " save r --qemu "$tmp/bad"
	holds 'in its words, too' grep -q "^  | .*virtio-rng" <<<"$err"
	holds 'and nothing outside has changed' test "$(outside)" = "$before"
	loading_qemu "$tmp/bad" 'exec sleep 1000'
	undoes 'a QEMU that does not come up' 4 'this QEMU does not load' save r --qemu "$tmp/bad" --timeout 10
	holds 'and is gone' no_trial

	section 'a QEMU binary that was replaced'
	loading_qemu "$tmp/qemu" 'echo broken upgrade >&2; exit 3'
	undoes 'a QEMU that was replaced under its guest' 4 "^cpr-helper: rehearsal '$tmp/qemu': .*QEMU exited with status 3$" save r
	holds 'its words' grep -q '^  | broken upgrade$' <<<"$err"
	other_qemu "$tmp/qemu"

	section 'interrupted'
	loading_qemu "$tmp/bad" ": >$tmp/tried; exec -a '$tmp/bad -incoming defer' sleep 1000"
	rm -f "$tmp/tried"
	"$helper" save r --qemu "$tmp/bad" >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	holds 'a rehearsal is under way' soon a_trial
	kill -TERM "$pid"
	wait "$pid"
	holds 'an interrupted one' test $? = 1
	holds 'says so' grep -q "^cpr-helper: rehearsal '.*': interrupted$" "$tmp/err"
	holds 'its QEMU is gone' no_trial
	holds 'the guest runs on' counts r
	rm -f "$tmp/tried"
	"$helper" save r --qemu "$tmp/bad" >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	holds 'another one' soon a_trial
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	holds 'its QEMU dies with cpr-helper' soon no_trial
	call abort r
	holds 'an abort has the guest run on' counts r

	section 'restore with another QEMU'
	other_qemu "$tmp/third" "echo third >>$tmp/third.log"
	call save r --qemu "$tmp/third"
	holds 'save for another QEMU' test "$status" = 0
	[ "$status" = 0 ] || complain "$err"
	at=$(counted r)
	next_host r
	rm -f "$tmp/third.log"
	call restore r
	holds 'it is restored' test "$status" = 0
	[ "$status" = 0 ] || complain "$err"
	holds 'that one is started' test -s "$tmp/third.log"
	holds 'the guest goes on' counts_on r "$at"
	holds 'that is its QEMU now' manifest r "m['binary'] == '$tmp/third' and 'saved' not in m and m['qemu_version']"
	end r

	section 'a hot-plugged device'
	start u -- -device qemu-xhci,id=usb
	qmp u '{"execute": "device_add", "arguments": {"driver": "usb-tablet", "bus": "usb.0"}}' >/dev/null
	call save u
	holds 'a device that was plugged in later' test "$status" = 4
	holds 'is named' grep -q "^cpr-helper: QEMU has changed 'device device\[0\] (usb-tablet)': it was plugged after QEMU's start" <<<"$err"
	holds 'that guest runs on' counts u
	end u
	if [ -x "${CPR_QEMU_NEXT:-}/root/usr/bin/qemu-system-x86_64" ]; then
		next_tests "$CPR_QEMU_NEXT/root/usr/bin/qemu-system-x86_64"
	else
		skip 'a newer QEMU' 'needs install.sh qemu-next'
	fi

	section 'a tap device'
	helper=helper_apart
	start t -- -netdev tap,id=n,ifname=mine,script=no,downscript=no -device virtio-net-pci,netdev=n
	helper=$CPR_HELPER_FAKE
	if [ "$status" = 0 ]; then
		json 'a guest with a tap device' "o['vms'][0]['rehearsal']" save t
		[ "$status" = 0 ] || complain "$err"
		end t
	else
		skip 'a guest with a tap device' 'needs /dev/net/tun'
	fi

	section 'paused guests, and options that exclude a rehearsal'
	start p -- -S
	json 'a guest that never ran' "o['vms'][0]['rehearsal'] and o['vms'][0]['runstate'] == 'prelaunch'" save p
	[ "$status" = 0 ] || complain "$err"
	call abort p
	json 'again' "o['vms'][0]['rehearsal'] and o['vms'][0]['qemu']['binary'] == '$tmp/third'" save p --qemu "$tmp/third"
	holds 'as recorded' manifest p "m['saved']['qemu']['binary'] == '$tmp/third'"
	end p
	start s
	counts s
	"$here/agent.py" --suspend /run/cpr/s/ram0
	holds 'a guest sleeps' soon state_is s running suspended
	json 'its save' "o['vms'][0]['rehearsal'] and o['vms'][0]['runstate'] == 'suspended'" save s
	[ "$status" = 0 ] || complain "$err"
	end s
	start o -- -netdev user,id=n -object filter-buffer,id=f,netdev=n,interval=1000
	json 'an option that nobody can judge' "o['vms'][0]['rehearsal_note'].startswith('the effect of -object filter-buffer,')" save o
	call abort o
	refuses 'a rehearsal that must be' 4 "cpr-helper: VM 'o': there can be no rehearsal: the effect of -object filter-buffer,id=f,netdev=n,interval=1000 outside of QEMU is not known" save o --rehearse
	holds 'that guest was not touched' counts o
	end o
	holds 'no VM is left' test -z "$(ls -A /run/cpr)"
}

if [ "$(id -u)" != 0 ]; then
	skip 'rehearsals' 'needs root'
elif ! usable; then
	skip 'rehearsals' 'needs QEMU 10.0, install qemu-system-x86'
else
	rehearsal_tests
fi
