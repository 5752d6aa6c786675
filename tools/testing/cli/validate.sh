# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# `validate` tells a whole state file from a damaged one, and prints where it is damaged.
#
# What needs a state file of QEMU is skipped without QEMU; tools/testing/state has many more.

state=$tmp/state
rm -rf "$state"
refuses 'validate: no such file' 3 "cpr-helper: cannot read '$tmp/none': No such file or directory" \
	validate "$tmp/none"
refuses 'validate: a directory' 1 "cpr-helper: cannot read '$tmp': it is not a regular file" \
	validate "$tmp"
mkfifo "$tmp/fifo"
refuses 'validate: a FIFO, without waiting' 1 \
	"cpr-helper: cannot read '$tmp/fifo': it is not a regular file" validate "$tmp/fifo"
: >"$state"
refuses 'validate: an empty file' 1 \
	"cpr-helper: state file '$state': at byte 0, in header: expected magic (4 bytes from byte 0 on), found the end of the file: the file is truncated" \
	validate "$state"
echo hello >"$state"
refuses 'validate: another file' 1 \
	"cpr-helper: state file '$state': at byte 0, in header: expected 'QEVM', found 0x68656c6c: this is not a QEMU state file" \
	validate "$state"
# BYTES MEANING: what is no state file is named, and refused.
other_format() {
	local found
	# shellcheck disable=SC2059
	printf "$1" >"$state"
	found=0x$(od -An -tx1 -N4 "$state" | tr -d ' ')
	refuses "validate: $2" 4 "cpr-helper: state file '$state': at byte 0, in header: expected 'QEVM', found $found: $2" \
		validate "$state"
}
other_format '\x1f\x8b\x08\x00more' 'it is compressed: unpack it with gunzip first'
other_format '\x28\xb5\x2f\xfdmore' 'it is compressed: unpack it with unzstd first'
other_format '\xfd7zXZmore' 'it is compressed: unpack it with unxz first'
other_format 'LibvirtQemudSave' "libvirt's virsh save wrote it, with a header of its own"
other_format 'QFI\xfb' 'it is a disk in qcow2 format'
# Beside it, a file that another program calls manifest.json.
echo '{"manifest_version": 3, "name": "an extension"}' >"$tmp/manifest.json"
refuses 'validate: a foreign manifest is ignored' 4 "cpr-helper: note: $tmp/manifest.json: not the manifest of a VM, ignored
cpr-helper: state file '$state': at byte 0, in header: expected 'QEVM', found 0x514649fb: it is a disk in qcow2 format" \
	validate "$state"
rm "$tmp/manifest.json"
head -c 8192 /dev/zero >"$state"
refuses 'validate: a file of zeros' 1 \
	"cpr-helper: state file '$state': at byte 0, in header: expected 'QEVM', found 0x00000000: the file begins with zeros: its data never reached the disk" \
	validate "$state"
json 'a fault in JSON' "o['valid'] is False and o['proven'] is False and \
	o['fault']['offset'] == 0 and o['fault']['expected'] == \"'QEVM'\" and \
	o['error']['code'] == 1" validate "$state"

# Beside it lies the manifest of a VM that has this memory, and DIGEST.
manifest() {
	cat >"$tmp/manifest.json" <<-EOF
		{"version": 1, "name": "a", "binary": "/b", "machine": "${2:-microvm}", "cwd": "/",
		 "qemu_version": "10.0.9", "argv": [],
		 "memory": [{"file": "ram0", "id": "${3:-cpr-ram0}", "size": 67108864}],
		 "saved": {"file": "${4:-state}", "digest": "$1", "size": $(stat -c %s "$state"),
		           "runstate": "running"}}
	EOF
}

if command -v qemu-system-x86_64 >/dev/null &&
	qemu-system-x86_64 -M help | grep -q '^pc-q35-10\.0'; then
	holds 'QEMU makes a state file' python3 "$here/../state/make.py" "$tmp/made" microvm-cpr
	cp "$tmp/made/microvm-cpr.state" "$state"
	holds 'it is whole' "$helper" validate "$state"
	call validate "$state"
	holds 'without a digest it is said that the bytes are not proven' \
		grep -q '^digest: *none recorded: the contents of devices and pages are not proven$' <<<"$out"
	json 'what it holds, in JSON' "o['valid'] and not o['proven'] and o['digest'] is None and \
		o['machine'] == 'microvm' and o['runstate'] == 'prelaunch' and o['cpus'] == 1 and \
		o['capabilities'] == ['x-ignore-shared'] and o['ram']['in_place'] == 64 << 20 and \
		[b['name'] for b in o['ram']['blocks'] if b['in_place']] == ['cpr-ram0']" \
		validate "$state"
	manifest "xxh3-128:$(printf '0%.0s' {1..32})"
	call validate "$state"
	holds 'a digest that differs is a refusal' test "$status" = 1
	digest=$(grep -o 'found xxh3-128:[0-9a-f]*' <<<"$err")
	manifest "${digest#found }"
	call validate "$state"
	holds 'the digest of the manifest proves it' grep -q "^digest: *${digest#found }, as it was saved$" \
		<<<"$out"
	json 'that, in JSON' "o['valid'] and o['proven'] and o['digest'] == '${digest#found }' and \
		o['qemu_version'] == '10.0.9'" validate "$state"
	manifest "${digest#found }" pc-q35-10.0
	refuses 'the machine of another guest' 1 \
		"cpr-helper: state file '$state': at byte 13, in configuration: expected machine type 'pc-q35-10.0', as the manifest has it, found 'microvm': this is the state of another guest" \
		validate "$state"
	manifest "${digest#found }" microvm cpr-ram7
	call validate "$state"
	holds 'memory that is not in the manifest' \
		grep -q "expected page 0 of 'cpr-ram0', found the end of the section" <<<"$err"
	manifest "${digest#found }" microvm cpr-ram0 other
	json 'the manifest of another file has no digest for this one' "o['valid'] and not o['proven']" \
		validate "$state"
	echo '{' >"$tmp/manifest.json"
	call validate "$state"
	holds 'a damaged manifest is no reason to check less' test "$status" = 1
	rm "$tmp/manifest.json"
	printf '\0' >>"$state"
	call validate "$state"
	holds 'a byte too many' grep -q 'something was appended to the file$' <<<"$err"
else
	skip 'state files of QEMU' 'needs QEMU 10.0'
fi
rm -f "$state" "$tmp/fifo"
