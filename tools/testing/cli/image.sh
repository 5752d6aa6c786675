# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# Images offline: format and inspect. Needs nothing.

img=$tmp/image
refuses 'inspect: no such file' 3 "cpr-helper: cannot open '$tmp/none': No such file or directory" \
	inspect "$tmp/none"
refuses 'inspect: a directory' 1 "cpr-helper: cannot open '$tmp': neither a file nor a block device" \
	inspect "$tmp"
refuses 'inspect: /dev/null' 1 "cpr-helper: cannot open '/dev/null': neither a file nor a block device" \
	inspect /dev/null
: >"$img"
refuses 'inspect: an empty file' 1 "cpr-helper: image '$img': it is empty" inspect "$img"
echo hello >"$img"
refuses 'inspect: a tiny file' 3 "cpr-helper: image '$img': 6 bytes are too few for an image" \
	inspect "$img"
head -c 16M /dev/urandom >"$img"
refuses 'inspect: garbage' 3 "cpr-helper: image '$img': no superblock" inspect "$img"

refuses 'format: no --start' 2 \
	"cpr-helper: format '$img': --start ADDRESS is needed: an image is bound to where its region lies in memory" \
	format "$img"
refuses 'format: --start without a file' 2 \
	'cpr-helper: format: --start is for a FILE; the module knows its region' format --start 4G
refuses 'format: an address that is none' 2 "cpr-helper: format '4Q': --start is no address" \
	format "$img" --start 4Q
label=$(printf 'x%.0s' {1..32})
refuses 'format: a long label' 2 "cpr-helper: format '$label': a label has at most 31 bytes" \
	format "$img" --start 4G --label "$label"
refuses 'format: not aligned' 1 \
	"cpr-helper: image '$img': region 0x1000000 bytes at 0x100001000 is not aligned to 2 MiB" \
	format "$img" --start 0x100001000
truncate -s 14M "$img"
refuses 'format: too small' 1 \
	"cpr-helper: image '$img': region of 14 MiB is outside of 16 MiB to 256 TiB" \
	format "$img" --start 4G
truncate -s 64M "$img"
prints 'format --dry-run' "$img: would be formatted, 64 MiB at 0x100000000" \
	format "$img" --start 4G --dry-run
refuses 'that wrote nothing' 3 "cpr-helper: image '$img': no superblock" inspect "$img"
prints 'format' "$img: formatted, 64 MiB at 0x100000000" format "$img" --start 4G --label lab
refuses 'format twice' 4 \
	"cpr-helper: image '$img': it bears an image already; formatting destroys all VMs in it" \
	format "$img" --start 4G
json 'inspect' "o['superblock']['label'] == 'lab' and o['superblock']['start'] == 4 << 30 and \
	o['superblock']['size'] == 64 << 20 and o['problems'] == [] and \
	[s['valid'] for s in o['slots']] == [True, False] and o['slots'][0]['current'] and \
	[f['path'] for f in o['files']] == ['/'] and o['vms'] == []" inspect "$img"
holds 'its exit status' test "$status" = 0
call inspect "$img"
holds 'inspect, in words' grep -q '^start: *0x100000000$' <<<"$out"
prints 'format --force' "$img: formatted, 64 MiB at 0x140000000" format "$img" --start 5G --force

cp --sparse=always "$img" "$tmp/good"
zero() { dd if=/dev/zero of="$img" bs=4096 seek="$1" count="$2" conv=notrunc status=none; }
poke() { printf '%b' "$2" | dd of="$img" bs=1 seek="$1" conv=notrunc status=none; }
again() { cp --sparse=always "$tmp/good" "$img"; }

zero 0 1
refuses 'inspect: superblock lost' 1 \
	"cpr-helper: image '$img': damaged: the superblock does not verify; the other one was used" \
	inspect "$img"
json 'what is left is shown' "o['superblock']['start'] == 5 << 30 and o['files'] and o['error']['code'] == 1" \
	inspect "$img"
refuses 'format refuses a damaged image, too' 4 \
	"cpr-helper: image '$img': it bears an image already; formatting destroys all VMs in it" \
	format "$img" --start 4G
again; zero 16 1
refuses 'inspect: copy of the superblock lost' 1 \
	"cpr-helper: image '$img': damaged: the copy of the superblock does not verify; the other one was used" \
	inspect "$img"
again; zero 512 1
refuses 'inspect: catalog lost' 1 \
	"cpr-helper: image '$img': damaged: no catalog verifies: slot 0: never written; slot 1: never written" \
	inspect "$img"
again; poke $((0x200000 + 4096 + 20)) '\xff'
refuses 'inspect: a bit flipped in the catalog' 1 \
	"cpr-helper: image '$img': damaged: no catalog verifies: slot 0: checksum of the records is wrong; slot 1: never written" \
	inspect "$img"
again; poke 8 '\x02'
refuses 'inspect: a newer version' 4 \
	"cpr-helper: image '$img': image version 2.0, this code reads 1.x" inspect "$img"
again; truncate -s 32M "$img"
refuses 'inspect: truncated' 1 \
	"cpr-helper: image '$img': image is of 67108864 bytes, only 33554432 are there" inspect "$img"

# Whatever the bytes: an answer, never a crash. The checksums are mended, so that
# the damage gets past them.
holds 'inspect: 300 images with random damage' python3 "$here/damage.py" "$helper" "$tmp/good" "$tmp/hurt" 300
rm -f "$img" "$tmp/good" "$tmp/hurt"
