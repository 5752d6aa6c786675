# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A guest is not restored on a disk that has changed since the save, unless the user forces it.
#
# A guest's disks, and the migration settings of its QEMU. Needs VMs, see vms.sh.

disk_image() { # FILE [BACKING]: an empty qcow2 image of 1 MiB, as qemu-img would make it
	python3 - "$@" <<-'EOF'
		import struct, sys
		backing = sys.argv[2].encode() if len(sys.argv) > 2 else b""
		ext = struct.pack(">IIII", 0xE2792ACA, 3, int.from_bytes(b"raw\0", "big"), 0) + bytes(8) if backing else b""
		at = 104 + len(ext) if backing else 0
		head = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, at, len(backing), 16, 1 << 20, 0, 1,
		                   3 << 16, 1 << 16, 1, 0, 0, 0, 0, 0, 4, 104)
		clusters = [head + ext + backing, struct.pack(">Q", 2 << 16), struct.pack(">4H", 1, 1, 1, 1), b""]
		open(sys.argv[1], "wb").write(b"".join(c.ljust(1 << 16, b"\0") for c in clusters))
	EOF
}
settings() { # NAME: all that QEMU has set for migrations
	qmp "$1" '{"execute": "query-migrate-capabilities"}'
	qmp "$1" '{"execute": "query-migrate-parameters"}'
}
set_parameters() { # NAME MEMBERS
	qmp "$1" "{\"execute\": \"migrate-set-parameters\", \"arguments\": {${2//$'\n'/ }}}" >/dev/null
}
migration_is() { qmp "$1" '{"execute": "query-migrate"}' | grep -q "\"status\": \"$2\""; } # NAME STATUS
# In the background: accept a migration and read nothing, so that it never ends.
full_peer() { # SOCKET
	exec python3 - "$1" <<-'EOF'
		import os, signal, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[1] + ".new")
		s.listen()
		os.rename(sys.argv[1] + ".new", sys.argv[1])
		peer = s.accept()
		signal.pause()
	EOF
}
write_to() { # NAME DISK: as the guest would
	qmp "$1" "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\":
		\"qemu-io $2 \\\"write -P 5 512k 4k\\\"\"}}" >/dev/null
}
works() { # DESCRIPTION HELPER-ARGUMENT...
	local what=$1
	shift
	call "$@"
	holds "$what" test "$status" = 0
	[ "$status" = 0 ] || complain "$err"
}
# A restore that is refused for a disk, and leaves the VM as it was.
differs() { # DESCRIPTION DISK FILE REASON [HELPER OPTION...]
	local what=$1 words="^cpr-helper: disk '$2': '$3'$4"
	shift 4
	call restore d "$@"
	holds "$what: refused" test "$status" = 4
	holds "$what: why" grep -q "$words" <<<"$err"
	holds "$what: the VM stays as it was" state_is d held
}
unchanged() { # COMMAND...: in the directory, with times and names as they were after it
	local file=$1 before
	before=$(stat -c %y "$file")
	shift
	"$@" && touch -d "$before" "$file"
}

damage_disks() { # STATEMENT about m, the manifest as it was kept
	python3 -c "
import json
m = json.load(open('$tmp/manifest'))
$1
json.dump(m, open('/run/cpr/d/manifest.json', 'w'))"
	reseal d
}
# The block job j has ended. It needs a job-complete as soon as it is ready.
job_has_ended() { # NAME
	qmp "$1" '{"execute": "job-complete", "arguments": {"id": "j"}}'
	qmp "$1" '{"execute": "query-jobs"}' | grep -q '"return": \[\]'
}

excluded() { # CAPABILITY
	if ! switch d "$1" true; then
		skip "the capability $1" 'this QEMU does not switch it on here'
		return
	fi
	call save d
	holds "the capability $1 is refused" test "$status" = 4
	holds "by its name" grep -q "^cpr-helper: QEMU's capability '$1': it is enabled: " <<<"$err"
	holds "it is left on" switch d "$1" false
	holds "the guest runs on" counts d
}

settings_tests() {
	local before capability peer

	section 'settings of QEMU'

	for capability in postcopy-ram dirty-bitmaps background-snapshot x-colo mapped-ram; do
		excluded $capability
	done
	# What would stop or spoil a save, and what it leaves alone.
	set_parameters d '"max-bandwidth": 5000000, "multifd-channels": 4, "downtime-limit": 100,
		"tls-creds": "none", "tls-hostname": "host", "announce-rounds": 2, "zero-page-detection": "none"'
	for capability in return-path switchover-ack multifd pause-before-switchover release-ram \
		auto-converge late-block-activate validate-uuid postcopy-blocktime rdma-pin-all; do
		holds "the user's $capability" switch d $capability true
	done
	before=$(settings d)
	holds 'they are set' grep -q '"tls-creds": "none"' <<<"$before"
	works 'a save with them' save d
	holds 'changes them' test "$(settings d)" != "$before"
	works 'its abort' abort d
	holds 'puts all of them back' test "$(settings d)" = "$before"
	holds 'and forgets them' manifest d "'previous' not in m"
	holds 'the guest runs on' counts d

	echo 'not now' >"$CPR_FAKE/fail-save"
	call save d
	rm "$CPR_FAKE/fail-save"
	holds 'a save that fails' test "$status" = 1
	holds 'puts them back as well' test "$(settings d)" = "$before"

	# Killed after QEMU had written the state.
	call save d
	python3 - <<-'EOF'
		import json
		m = json.load(open("/run/cpr/d/manifest.json"))
		del m["saved"]
		json.dump(m, open("/run/cpr/d/manifest.json", "w"))
	EOF
	sed -i 's/^saved/running/' "$CPR_FAKE/vm.d"
	works 'the abort of a save that was cut short' abort d
	holds 'puts them back, too' test "$(settings d)" = "$before"
	holds 'the guest runs' counts d

	for capability in switchover-ack return-path multifd pause-before-switchover; do switch d $capability false; done
	set_parameters d '"max-bandwidth": 4096, "tls-creds": ""'
	full_peer "$tmp/full" &
	peer=$!
	soon test -S "$tmp/full"
	qmp d '{"execute": "migrate", "arguments": {"uri": "unix:'$tmp'/full"}}' >/dev/null
	soon migration_is d active
	refuses "somebody else's migration" 5 \
		"cpr-helper: QEMU's migration 'active': another migration is under way" save d
	qmp d '{"execute": "migrate_cancel"}' >/dev/null
	holds 'can go on' soon migration_is d cancelled
	kill $peer
	holds 'with the guest' counts d
}

# DESCRIPTION PATTERN CODE: neither a restore of g nor its dry run takes a QEMU that does what CODE does.
misfit() {
	local options=(--replace "$tmp/way=$tmp/moved" --qemu "$tmp/misfit-qemu") dry
	{
		printf '#!/bin/bash\ncase " $* " in *" -incoming "*) : >%s ;; esac\n' "$tmp/misfit-started"
		printf '%s\nexec qemu-system-x86_64 "$@"\n' "$3"
	} >"$tmp/misfit-qemu"
	chmod 755 "$tmp/misfit-qemu"
	for dry in '' --dry-run; do
		call restore g "${options[@]}" $dry
		holds "$1 $dry" test "$status" = 4
		holds 'in words' grep -q "^cpr-helper: .*$2" <<<"$err"
		grep -q "^cpr-helper: .*$2" <<<"$err" || complain "$err"
	done
}

disks_tests() {
	local dir=$tmp/disks before word

	mkdir "$dir"
	guest_image "$dir/base"
	guest_image "$dir/plain"
	disk_image "$dir/data.qcow2" "$dir/base"
	cd "$dir" || return
	start d -- -drive file=data.qcow2,if=none,id=data -device virtio-blk-pci,drive=data \
		-blockdev "driver=raw,node-name=plain,file.driver=file,file.filename=$dir/plain" \
		-device virtio-blk-pci,drive=plain,id=second \
		-drive driver=null-co,read-zeroes=on,if=none,id=void -device virtio-blk-pci,drive=void
	cd / || return
	holds 'a VM with disks' counts d
	settings_tests

	section 'record'
	write_to d data
	write_to d '-d /machine/peripheral/second/virtio-backend'
	json 'a disk that is no file is shown' "o['vm']['manifest']['unchecked'] == [{'name': 'void', 'unchecked': 'null-co'}]" show d
	call show d
	holds 'in words, too' grep -q '^unchecked disks: *void (null-co)$' <<<"$out"
	works 'its save' save d
	holds 'notes that disk' grep -q "^cpr-helper: note: VM 'd': disk 'void' (null-co) is not a local file: that it does not change" <<<"$err"
	before=$(counted d)
	holds 'each file of each disk is on record' manifest d "
		{(k['name'], k['path'].rsplit('/', 1)[1], k['kind']) for k in m['saved']['disks'] if 'path' in k} ==
		{('data', 'data.qcow2', 'file'), ('data', 'base', 'file'), ('second', 'plain', 'file'),
		 ('ide0-hd0', 'boot', 'file')}"
	holds 'a disk that is no file, as such' manifest d "{'name': 'void', 'unchecked': 'null-co'} in m['saved']['disks']"
	holds 'what a file is' manifest d "[k for k in m['saved']['disks'] if k.get('path', '').endswith('/plain')][0] == {
		'name': 'second', 'path': '$dir/plain', 'kind': 'file', 'size': $(stat -c %s "$dir/plain"),
		'inode': $(stat -c %i "$dir/plain"), 'mtime': $(date -r "$dir/plain" +%s%N),
		'head': [k for k in m['saved']['disks'] if k.get('path', '').endswith('/boot')][0]['head']}"
	next_host d

	section 'changed disks'
	touch -r "$dir/plain" "$tmp/plain-time"
	touch "$dir/plain"
	differs 'a file that was written to' second "$dir/plain" ' has changed since the guest was saved: its modification time was 20.*, and is now 20'
	differs 'another one forced' second "$dir/plain" ' has changed' --force "data,$dir/base"
	for word in seco cond second2 "$dir/plain2"; do
		refuses "a disk '$word' forced" 3 "cpr-helper: --force '$word': the guest has no such disk" restore d --force "second,$word"
	done
	call restore d --dry-run
	holds 'restore --dry-run sees it, too' grep -q "^cpr-helper: disk 'second': '$dir/plain' has changed" <<<"$err"
	holds 'and refuses' test "$status" = 4
	prints 'but not if it is forced' 'd: held, would be restored' restore d --dry-run --force second
	touch -r "$tmp/plain-time" "$dir/plain"
	truncate -s +512 "$dir/plain"
	differs 'another size' second "$dir/plain" ' has changed since the guest was saved: its size was 1048576, and is now 1049088$'
	truncate -s -512 "$dir/plain"
	touch -r "$tmp/plain-time" "$dir/plain"
	ln "$dir/plain" "$dir/kept"
	cp -p "$dir/plain" "$dir/copy"
	mv "$dir/copy" "$dir/plain"
	differs 'another file in its place' second "$dir/plain" ' has changed since the guest was saved: it is another file: its inode was '
	rm "$dir/plain"
	differs 'none in its place' second "$dir/plain" ': No such file or directory$' --force second
	mkdir "$dir/plain"
	differs 'something else in its place' second "$dir/plain" ' has changed since the guest was saved: it was a file, and is now a special file$'
	rmdir "$dir/plain"
	mv "$dir/kept" "$dir/plain"
	cp -p "$dir/data.qcow2" "$tmp/kept"
	unchanged "$dir/data.qcow2" dd if=/dev/zero of="$dir/data.qcow2" bs=1 seek=130 count=1 conv=notrunc status=none
	differs "a qcow2 header, with the file's time as it was" data "$dir/data.qcow2" \
		' has changed since the guest was saved: the digest of its first 64 KiB was '
	unchanged "$dir/data.qcow2" dd if="$tmp/kept" of="$dir/data.qcow2" conv=notrunc status=none
	touch -r "$dir/base" "$tmp/base-time"
	touch "$dir/base"
	differs 'a file that another is based on' data "$dir/base" ' has changed since the guest was saved: its modification time was'
	differs 'and another one forced' data "$dir/base" ' has changed' --force "$dir/data.qcow2"
	holds 'nothing was started for any of them' test "$(counted d)" = "$before"

	section '--force'
	touch "$dir/plain"
	call restore d
	holds 'two that differ: the remedy names both' grep -q "^  remedy: .*'cpr-helper restore d --force .*" <<<"$err"
	holds 'each once' grep -q -- "--force \(data,second\|second,data\)'" <<<"$err"
	works 'forced by name and by path' restore d --force "second,$dir/base"
	holds 'both are noted' test "$(grep -c "^cpr-helper: note: VM 'd': disk '.*has changed, and --force accepts it: its modification time was" <<<"$err")" = 2
	holds 'the guest goes on' counts_on d "$before"

	section 'working directory'
	call save d
	next_host d
	mv "$dir" "$dir.away"
	refuses 'one that is gone' 3 "cpr-helper: working directory '$dir': No such file or directory" restore d
	refuses 'in a dry run, too' 3 "cpr-helper: working directory '$dir': No such file or directory" restore d --dry-run
	: >"$dir"
	refuses 'one that is a file' 3 "cpr-helper: working directory '$dir': Not a directory" restore d
	rm "$dir"
	holds 'nothing was claimed' state_is d held
	mv "$dir.away" "$dir"
	works 'the remedy can be followed' restore d

	section '--all --force'
	call save d
	next_host d
	touch "$dir/plain"
	refuses 'a disk without its VM' 2 "cpr-helper: restore --force 'second': with --all, disks are listed as VM:DISK, because VMs have disks of the same name" \
		restore --all --force second
	refuses 'a VM that does not wait' 3 "cpr-helper: --force 'e': no VM of this name is sealed or held" \
		restore --all --force d:second,e:second
	call restore --all --dry-run --force d:cond
	holds 'a disk that the VM does not have' grep -q "^cpr-helper: d: --force 'cond': the guest has no such disk$" <<<"$err"
	holds 'nothing was restored by any of these' state_is d held
	works 'the disk of that VM' restore --all --force d:second

	section 'unchanged disks'
	before=$(counted d)
	call save d
	next_host d
	call restore d
	holds 'disks that nobody touched' test "$status$err" = 0
	holds 'the guest goes on with them' counts_on d "$before"

	section 'older and damaged manifests'
	call save d
	next_host d
	cp /run/cpr/d/manifest.json "$tmp/manifest"
	damage_disks 'm["saved"]["disks"] = [1]'
	refuses 'a damaged record' 1 "cpr-helper: manifest 'manifest.json': 'saved.disks' is not a list of disks" restore d
	damage_disks 'm["saved"]["disks"].append({"name": "gone", "path": "'"$dir/./plain"'", "kind": "file"})'
	differs 'a disk without its traits' gone "$dir/./plain" ' has changed since the guest was saved: it is another file: its inode was unknown, and is now '
	damage_disks 'm["argv"] = [a.replace("/plain", "/plain2") for a in m["argv"]]'
	cp -p "$dir/plain" "$dir/plain2"
	refuses 'a QEMU that would open another disk' 4 \
		"cpr-helper: disk 'second': the guest had '$dir/plain', and QEMU was not started with it" restore d
	holds 'leaves the VM as it was' state_is d held
	damage_disks 'del m["saved"]["disks"]'
	call restore d
	holds 'no record, as by an older cpr-helper' test "$status$err" = 0

	section 'disks that QEMU was not started with'
	qmp d "{\"execute\": \"blockdev-snapshot-sync\", \"arguments\": {\"device\": \"data\",
		\"snapshot-file\": \"$dir/later.qcow2\"}}" >/dev/null
	refuses 'a snapshot since the start' 4 \
		"cpr-helper: disk '$dir/later.qcow2': QEMU was not started with it, and the next QEMU would not open it" save d
	holds 'its guest runs on' counts d
	qmp d '{"execute": "block-commit", "arguments": {"device": "data", "job-id": "j",
		"top": "'"$dir/later.qcow2"'", "base": "data.qcow2"}}' >/dev/null
	holds 'it is written to the image' soon job_has_ended d
	works 'then it can be saved' save d
	call abort d

	section 'the way out'
	mkdir "$tmp/way"
	guest_image "$tmp/way/disk"
	printf '#!/bin/sh\nexec qemu-system-x86_64 "$@"\n' >"$tmp/other-qemu"
	printf '#!/bin/sh\necho not today >&2\nexit 1\n' >"$tmp/broken-qemu"
	chmod 755 "$tmp/other-qemu" "$tmp/broken-qemu"
	cd "$tmp/way" || return
	start g -- -drive "file=$tmp/way/disk,format=raw,if=none,id=w" -device virtio-blk-pci,drive=w
	cd / || return
	counts g
	call save g
	next_host g
	before=$(counted g)
	mv "$tmp/way" "$tmp/moved"
	refuses 'files that were moved' 3 "cpr-helper: working directory '$tmp/way': No such file or directory" restore g
	refuses 'what is no path' 2 "cpr-helper: --replace 'way=moved': it is not the absolute path of a file or directory" restore g --replace way=moved
	refuses "the guest's memory" 2 "cpr-helper: --replace '/run=/tmp': what is in the region is not replaced: it is the guest's memory" restore g --replace /run=/tmp
	refuses 'what the VM does not name' 3 "cpr-helper: --replace '$tmp/wa': the VM was not started with this path" restore g --replace "$tmp/wa=$tmp/moved"
	refuses 'of all VMs' 2 'cpr-helper: restore: --replace is for one VM, not for --all' restore --all --replace "$tmp/way=$tmp/moved"
	prints 'a dry run' 'g: held, would be restored' restore g --dry-run --replace "$tmp/way=$tmp/moved"
	call restore g --replace "$tmp/way=$tmp/moved" --qemu "$tmp/broken-qemu"
	holds 'with a QEMU that does not start' grep -q '^  | not today$' <<<"$err"
	misfit 'with a QEMU that is too old' "QEMU '9.2.4 (old)': this version does not support handovers" \
		'[ "$1" != -version ] || { echo "QEMU emulator version 9.2.4 (old)"; exit; }'
	misfit 'without the machine' "QEMU '$tmp/misfit-qemu': asked for what it loads with the machine type pc-q35-" \
		'case " $* " in *" -dump-vmstate "*) exit 1 ;; esac'
	misfit 'with an older device' "QEMU .* could not load it: 'virtio-blk' has versions" \
		"case \"\$*\" in *-dump-vmstate*) qemu-system-x86_64 -M q35 -dump-vmstate $tmp/dump &&
			sed '/^  \"virtio-blk-device\": {/,/^  }/s/\"version_id\": 2,/\"version_id\": 1,/' $tmp/dump >/proc/self/fd/3; exit ;; esac"
	holds 'no QEMU was started for any of them' test ! -e "$tmp/misfit-started"
	holds 'leaves it as it was' state_is g held
	holds 'with the manifest that it had' manifest g "m['cwd'] == '$tmp/way' and 'other' not in m['saved'].get('qemu', {}).get('binary', '')"
	works 'with one that does' restore g --replace "$tmp/way=$tmp/moved" --qemu "$tmp/other-qemu"
	holds 'the guest goes on' counts_on g "$before"
	holds 'all of it is on record' manifest g "m['cwd'] == '$tmp/moved' and m['binary'] == '$tmp/other-qemu' and
		any('$tmp/moved/disk' in a for a in m['argv']) and not any('$tmp/way' in a for a in m['argv'])"
	call save g
	next_host g
	works 'for the next time' restore g
	end g

	section 'firmware'
	word=$(ls /usr/share/seabios/bios-256k.bin /usr/share/qemu/bios-256k.bin 2>/dev/null | head -n 1)
	if [ -z "$word" ]; then
		skip 'firmware in a flash' 'there is no bios-256k.bin'
	else
		cp "$word" "$dir/code.fd"
		start f -- -drive "if=pflash,format=raw,readonly=on,file=$dir/code.fd"
		holds 'a guest with its firmware in a flash' counts f
		cp "$word" "$dir/new.fd"
		printf X | dd of="$dir/new.fd" conv=notrunc status=none
		mv "$dir/new.fd" "$dir/code.fd"
		works 'a save after an upgrade of the firmware' save f
		holds 'notes it' grep -q "^cpr-helper: note: VM 'f': firmware '$dir/code.fd' was replaced" <<<"$err"
		next_host f
		printf Y | dd of="$dir/code.fd" conv=notrunc status=none
		before=$(counted f)
		works 'a restore after another' restore f
		holds 'notes it as well' grep -q "^cpr-helper: note: VM 'f': firmware '.*code.fd') has changed" <<<"$err"
		holds 'and the guest goes on' counts_on f "$before"
		truncate -s 128K "$dir/code.fd"
		mv "$dir/code.fd" "$dir/new.fd"
		cp "$dir/new.fd" "$dir/code.fd"
		call save f
		holds 'firmware of another size is refused' test "$status" = 4
		end f
	fi

	section 'disks that would be lost'
	write_to d ide0-hd0
	refuses 'a snapshot=on disk that was written to' 4 "cpr-helper: disk 'ide0-hd0': the guest has written to it, and with snapshot=on the data is in a temporary file of QEMU" save d
	holds 'its guest runs on' counts d
	end d
	cd "$dir" || return
	start d -- -drive file=plain,format=raw,if=none,id=plain -device virtio-blk-pci,drive=plain
	cd / || return
	mv "$dir/plain2" "$dir/plain"
	refuses 'a file that was replaced while the guest runs' 4 "cpr-helper: disk 'plain': its file '$dir/plain' is not the one that QEMU has open" save d
	rm "$dir/plain"
	refuses 'one that was removed' 4 "cpr-helper: disk 'plain': its file '$dir/plain' was removed" save d
	holds 'the guest runs on all the same' counts d
	end d
}

if [ "$(id -u)" != 0 ]; then
	skip 'disks' 'needs root'
elif ! usable; then
	skip 'disks' 'needs QEMU 10.0, install qemu-system-x86'
else
	disks_tests
fi
