# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# `inspect` prints what an image has, and what is wrong with it, whatever bytes it has.
#
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
	"cpr-helper: format: --start ADDRESS is missing: an image is bound to where its region lies in memory" \
	format "$img"
refuses 'format: --start without a file' 2 \
	'cpr-helper: format: --start is for a FILE; the module knows its region' format --start 4G
refuses 'format: an address that is none' 2 "cpr-helper: format --start '4Q': no address like 8G or 0x200000000" \
	format "$img" --start 4Q
label=$(printf 'x%.0s' {1..32})
refuses 'format: a long label' 2 "cpr-helper: format --label '$label': longer than 31 bytes" \
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
	"cpr-helper: image '$img': it has an image already; formatting destroys all VMs in it" \
	format "$img" --start 4G
json 'inspect' "o['superblock']['label'] == 'lab' and o['superblock']['start'] == 4 << 30 and \
	o['superblock']['size'] == 64 << 20 and o['problems'] == [] and \
	[s['valid'] for s in o['slots']] == [True, True] and o['slots'][1]['current'] and \
	[f['path'] for f in o['files']] == ['/'] and o['vms'] == []" inspect "$img"
holds 'its exit status' test "$status" = 0
call inspect "$img"
holds 'inspect, in words' grep -q '^start: *0x100000000$' <<<"$out"
prints 'format --force' "$img: formatted, 64 MiB at 0x140000000" format "$img" --start 5G --force

section 'format of what has something else on it'
foreign() { # WORDS
	local before
	before=$(sha256sum <"$img")
	refuses "$1" 4 "cpr-helper: image '$img': it has something else on it, which formatting destroys: $1" \
		format "$img" --start 4G
	refuses "$1, --dry-run" 4 "cpr-helper: image '$img': it has something else on it, which formatting destroys: $1" \
		format "$img" --start 4G --dry-run
	holds "$1 is untouched" test "$(sha256sum <"$img")" = "$before"
}
cp --sparse=always "$img" "$tmp/good"
blank() { rm -f "$img"; truncate -s 64M "$img"; }
blank
if PATH=$PATH:/usr/sbin mke2fs -q -t ext4 -L data -U 01234567-89ab-cdef-0123-456789abcdef "$img" 2>"$tmp/err"; then
	foreign "ext4, label 'data', UUID 01234567-89ab-cdef-0123-456789abcdef"
else
	skip 'ext4' 'needs mke2fs'
fi
blank
printf '\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x08\0\0' | dd of="$img" bs=1 seek=446 conv=notrunc status=none
printf '\x55\xaa' | dd of="$img" bs=1 seek=510 conv=notrunc status=none
foreign 'partitions, dos'
blank
printf 'QFI\xfb\0\0\0\3' | dd of="$img" conv=notrunc status=none
foreign 'a disk in qcow2 format'
prints 'format --force of it' "$img: formatted, 64 MiB at 0x140000000" format "$img" --start 5G --force
cp --sparse=always "$tmp/good" "$img"

section 'damage'
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
	"cpr-helper: image '$img': it has an image already; formatting destroys all VMs in it" \
	format "$img" --start 4G
again; zero 16 1
refuses 'inspect: copy of the superblock lost' 1 \
	"cpr-helper: image '$img': damaged: the copy of the superblock does not verify; the other one was used" \
	inspect "$img"
again; zero 512 1
refuses 'inspect: catalog lost' 1 \
	"cpr-helper: image '$img': damaged: slot 0 is damaged: no catalog header; slot 1 has generation 2, which may be older" \
	inspect "$img"
again; zero 512 1; zero 1024 1
refuses 'inspect: both catalogs lost' 1 \
	"cpr-helper: image '$img': damaged: no catalog verifies: slot 0: no catalog header; slot 1: no catalog header" \
	inspect "$img"
# A format commits twice, so both slots have the same content.
again; poke $((0x400000 + 4096 + 20)) '\xff'
refuses 'inspect: a bit flipped in the current catalog, which the other slot has too' 1 \
	"cpr-helper: image '$img': damaged: slot 1 is damaged: checksum of the records is wrong; slot 0 was used" \
	inspect "$img"
json 'the other slot is shown' "o['slots'][0]['current'] and [f['path'] for f in o['files']] == ['/']" \
	inspect "$img"
again; poke 0 X; poke $((65536 + 100)) X
refuses 'inspect: both superblocks damaged, one without its magic' 1 \
	"cpr-helper: image '$img': superblock checksum is wrong" inspect "$img"
refuses 'format refuses two damaged superblocks' 4 \
	"cpr-helper: image '$img': it has an image already; formatting destroys all VMs in it" \
	format "$img" --start 4G
zero 0 1; zero 16 1
refuses 'inspect: both superblocks lost' 1 \
	"cpr-helper: image '$img': no superblock, but a catalog at 0x200000" inspect "$img"
refuses 'format refuses a catalog without a superblock' 4 \
	"cpr-helper: image '$img': it has an image already; formatting destroys all VMs in it" \
	format "$img" --start 4G
zero 512 1; zero 1024 1
refuses 'inspect: nothing left' 3 "cpr-helper: image '$img': no superblock" inspect "$img"
prints 'format takes that for no image' "$img: would be formatted, 64 MiB at 0x100000000" \
	format "$img" --start 4G --dry-run
again; poke 8 '\x02'
refuses 'inspect: a damaged version' 1 \
	"cpr-helper: image '$img': damaged: the superblock does not verify; the other one was used" \
	inspect "$img"
again; holds 'an image of another version' python3 -B "$here/plant.py" "$img" super-version
refuses 'inspect: a newer version' 4 \
	"cpr-helper: image '$img': image version 2.2, this code reads 1.x" inspect "$img"
again; truncate -s 32M "$img"
refuses 'inspect: truncated' 1 \
	"cpr-helper: image '$img': image has 67108864 bytes, but only 33554432 are available" inspect "$img"

# Whatever the bytes: an answer, never a crash. The checksums are mended, so that
# the damage gets past them.
holds 'inspect: 300 images with random damage' python3 -B "$here/damage.py" "$helper" "$tmp/good" "$tmp/hurt" 300

section 'devices'
again
holds 'an image with devices' "$CPR_DEVIMAGE" "$img"
json 'inspect: devices' "o['problems'] == [] and [v['name'] for v in o['vms']] == ['db', 'web'] and \
	o['vms'][0]['devices'] == [] and o['vms'][0]['dma'] == [] and o['vms'][1]['devices'] == [ \
	{'address': '0000:41:00.0', 'model': '8086:10d3', 'subsystem': '1af4:1100', 'class': '020000', \
	 'revision': '03', 'serial': '0123456789abcdef', 'dma': 1, \
	 'members': ['0000:41:00.0', '0000:41:00.1']}, \
	{'address': '10000:41:1f.7', 'model': '144d:a80a', 'subsystem': '0000:0000', 'class': '010802', \
	 'revision': '00', 'serial': None, 'dma': 0, \
	 'members': ['0000:41:00.0', '0000:41:00.1', '0000:41:00.2', '0000:41:00.3', '10000:41:1f.7']}]" \
	inspect "$img"
json 'inspect: digests' "[(v['manifest_digest'], v['ram_digest']) for v in o['vms']] == [ \
	('xxh3-128:012300000000000000000000000000ef', 'xxh3-128:fe000000000000000000000000000010'), \
	(None, None)]" inspect "$img"
json 'inspect: what they reach' "o['vms'][1]['dma'] == [ \
	{'region': {'extents': 1, 'bytes': 4 << 20}, 'mmio': {'extents': 0, 'bytes': 0}, \
	 'ram': {'extents': 0, 'bytes': 0}}, \
	{'region': {'extents': 2, 'bytes': (4 << 20) - (128 << 10)}, \
	 'mmio': {'extents': 2, 'bytes': (1 << 63) + 0x4000}, 'ram': {'extents': 1, 'bytes': 0x3000}}]" \
	inspect "$img"
json 'inspect: memory errors' "o['bad_pages'] == [ \
	{'page': 16, 'count': 1, 'offset': 0x10000, 'frame': 0}, \
	{'page': 4100, 'count': 2, 'offset': 0x1004000, 'frame': 8}]" inspect "$img"
call inspect "$img"
holds 'its exit status' test "$status" = 0
# The tables of the VMs, of the devices and of the DMA, without what is not about these.
want='VM   STATE   SINCE  KERNEL  DIGEST OF ITS MANIFEST                     OF ITS RAM
db   sealed  -      6.12.0  xxh3-128:012300000000000000000000000000ef  xxh3-128:fe000000000000000000000000000010
web  sealed  -      6.12.0  -                                          -

VM   DEVICE         MODEL      SUBSYSTEM  CLASS   REV  SERIAL            DMA  IOMMU GROUP
web  0000:41:00.0   8086:10d3  1af4:1100  020000  03   0123456789abcdef  1    0000:41:00.0 0000:41:00.1
web  10000:41:1f.7  144d:a80a  0000:0000  010802  00   -                 0    0000:41:00.0 0000:41:00.1 0000:41:00.2 0000:41:00.3 ... (5 in all)

VM   DMA  REGION              MMIO                RAM
web  0    1 extent, 4 MiB     -                   -
web  1    2 extents, 3.9 MiB  2 extents, 8.0 EiB  1 extent, 12 KiB

MEMORY ERROR AT  PAGES  FRAME
0x10000          1      0
0x1004000        2      8'
got=$(sed -n '/^VM /,$p' <<<"$out")
holds 'inspect of devices, in words' diff <(echo "$want") <(echo "$got")
holds 'inspect: 300 images with devices and random damage' \
	python3 -B "$here/damage.py" "$helper" "$img" "$tmp/hurt" 300

# Records that no writer writes, under checksums that are right.
wrong() { # FAULT WORDS
	again
	holds "an image of fault '$1'" "$CPR_DEVIMAGE" "$img" "$1"
	refuses "inspect: $2" 1 "cpr-helper: image '$img': damaged: slot 0 is damaged: ${2:0:92}; slot 1 has generation 2, which may be older" \
		inspect "$img"
	json 'and shows none of it' "'vms' not in o and not o['slots'][0]['valid'] and \
		o['slots'][0]['problem'] == '$2'" inspect "$img"
}
wrong flags 'VM 0: unknown flags 0x4'
wrong digest 'VM 0: flags 0x1 do not fit the digest of its memory'
wrong class 'VM 1: DMA at iova 0 leads to 0x140600000, which is not of class 3'
wrong order 'VM 1: DMA of 0x340000 bytes at iova 0 is bad or out of order'
wrong dma 'VM 1: a device has DMA record 2 of 2'
wrong group 'VM 1: a device is not in its own IOMMU group of 4'
wrong twice 'VM 1: device 10000:41:1f.7 is listed twice'
wrong wrap 'VM 1: DMA of 0xc000000000000000 bytes at iova 0x4000000000000000 is bad or out of order'

section 'check'
plant() { python3 -B "$here/plant.py" "$img" "$1"; } # KIND
again
prints 'a new image has no defect' "$img: no defect" inspect --check "$img"
json 'an image with devices has no defect' "o['defects'] == [] and 'error' not in o" inspect --check "$img"
"$CPR_DEVIMAGE" "$img"
prints 'nor has an image with devices' "$img: no defect" inspect --check "$img"
cp --sparse=always "$img" "$tmp/good"
kinds=$(python3 -B "$here/plant.py" --kinds)
# The table in the documentation, and the strings in the code, but for memory that has failed:
# a file has none.
table=$(sed -n 's/^| `\([a-z]*-[a-z]*\|reserved\)` |.*/\1/p' "$here/../../../Documentation/image-format.md" | grep -v unreadable | sort)
holds 'the documentation lists the kinds that are planted' diff <(echo "$kinds") <(echo "$table")
code=$(grep -oh '"\(super\|slot\|record\|node\|extent\|vm\|dma\|device\|bad\)-[a-z]*"\|"reserved"' \
	"$here/../../../kmod/catalog.c" "$here/../../../user/vm/check.c" | tr -d '"' | grep -v unreadable | sort -u)
holds 'the code reports the kinds that are planted' diff <(echo "$kinds") <(echo "$code")
for kind in $kinds; do
	again
	holds "$kind is planted" plant "$kind"
	json "$kind is reported" "'$kind' in [d['kind'] for d in o['defects']] and o['error']['code'] == 1 and \
		all(d['place'] and d['offset'] >= 0 and d['defect'] for d in o['defects'])" \
		inspect --check "$img"
	holds "$kind: its exit status" test "$status" = 1
done
again
for kind in super-magic slot-unfinished vm-flags node-time reserved; do
	plant $kind
done
json 'defects of several places are all reported' \
	"[(d['kind'], d['place'], d['offset']) for d in o['defects']] == [ \
	('super-magic', 'superblock', 0), ('node-time', 'slot 0', 0x200000), \
	('vm-flags', 'slot 0', 0x200000), ('slot-unfinished', 'slot 1', 0x400000)]" inspect --check "$img"
again; plant slot-checksum; plant slot-unfinished
call inspect --check "$img"
holds 'a line for each defect' diff - <(echo "$out") <<'END'
KIND             PLACE   OFFSET    DEFECT
slot-checksum    slot 0  0x200000  header checksum is wrong
slot-unfinished  slot 1  0x400000  a commit was cut off
END
holds 'how many there are' test "$status: $err" = "1: cpr-helper: image '$img': 2 defects"
head -c 16M /dev/zero >"$img"
json 'no image at all' "[d['kind'] for d in o['defects']] == ['super-magic'] * 2" inspect --check "$img"
echo hello >"$img"
json 'a tiny file' "[d['kind'] for d in o['defects']] == ['super-size']" inspect --check "$img"
holds '300 images with random damage' python3 -B "$here/damage.py" "$helper" "$tmp/good" "$tmp/hurt" 300
rm -f "$img" "$tmp/good" "$tmp/hurt"
