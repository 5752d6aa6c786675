#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A memory error hurts the owner of the page only, and is on record as long as the image.
#
# poison.sh - memory errors, in an L1 of its own because nothing can undo them: the test
# program, and what a reload and a format keep.
set -u

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

status() { "$bin/ctl" status | grep -o " bad=.*bad-pages=[0-9]*"; }
is_status() { test "$(status)" = "$1"; }
frames() { status | sed "s/ bad=\([0-9]*\).*/\1/"; }

reload() {
	umount $mnt
	unload
	load
	mount_cprfs
}

test_held_vm() {
	local before frames
	mkdir $mnt/vm
	check "a file with an error is made" "$bin/poison" file vm/ram
	"$bin/ctl" pin vm ram
	"$bin/ctl" save vm
	echo manifest >$mnt/vm/manifest.json
	check "a VM with an error is sealed" "$bin/ctl" seal vm $mnt/vm/manifest.json
	before=$(status)
	frames=$(frames)
	check "errors are on record" grep -q "bad=[1-9].* bad-pages=[1-9]" <<<"$before"
	reload
	check "reload: all errors are on record" is_status "$before"
	check "reload: the held VM has the error at its page" "$bin/poison" has-error vm/ram
	"$bin/ctl" unpin vm
	rm -r $mnt/vm
	sync
	reload
	check "the frame of the deleted VM is bad, too" test "$(frames)" = $((frames + 1))
}

test_format() {
	local pages
	pages=$(status | grep -o "bad-pages=.*")
	umount $mnt
	check "the region is formatted over the errors" "$bin/ctl" format force
	check "format keeps the record" test "$(status | grep -o "bad-pages=.*")" = "$pages"
	mount_cprfs
	reload
	check "format committed the record" test "$(status | grep -o "bad-pages=.*")" = "$pages"
}

# A superblock, the end of a slot, and the beginning of one: frames 0 and 1 of the region.
test_tables() {
	local i
	check "the superblock fails" "$bin/poison" page 0
	check "reload: the copy is used" reload
	dmesg -C
	check "the end of a slot fails" "$bin/poison" page $((512 + 500))
	for i in 1 2 3; do
		mkdir $mnt/d$i
		sync
	done
	check "both slots are used" fails sh -c "dmesg | grep 'overwritten in place'"
	reload
	check "reload: the last commit is there" test -d $mnt/d3
	check "the header of a slot fails" "$bin/poison" page 512
	for i in 4 5 6; do
		mkdir $mnt/d$i
		sync
	done
	check "the log says that the other slot is overwritten" sh -c "dmesg | grep -q 'slot 0 of the catalog has memory errors: slot 1 is overwritten in place'"
	reload
	check "reload: the last commit is there, still" test -d $mnt/d6
	umount $mnt
	check "a region whose tables have failed is not formatted" fails "$bin/ctl" format force
	check "the refusal gives the reason" sh -c "'$bin/ctl' format force | grep -q \"memory of the region's tables has failed\""
	mount_cprfs
}

modprobe -q hwpoison-inject
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
detach_pmem
load
"$bin/ctl" format
mount_cprfs
run_program poison
test_held_vm
test_format
test_tables
umount $mnt
check "the module is unloaded" unload
exit 0
