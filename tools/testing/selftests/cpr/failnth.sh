#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# An operation that finds no memory fails, and has changed and leaked nothing.
#
# failnth.sh - every allocation of each operation fails once; see failnth.c. For the debug
# kernel, which can inject faults.
set -u

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

region=64M!4G
faults=/sys/kernel/debug

# Every allocation is one that may fail.
set_faults() {
	echo N >$faults/failslab/ignore-gfp-wait
	echo N >$faults/failslab/cache-filter
	echo N >$faults/fail_page_alloc/ignore-gfp-wait
	echo N >$faults/fail_page_alloc/ignore-gfp-highmem
	echo 0 >$faults/fail_page_alloc/min-order
}

test_operations() {
	load
	"$bin/ctl" format
	mount_cprfs
	give_nic_to_vfio
	run_program failnth $nic
	take_nic_back
	"$bin/ctl" unpin fail
	rm -rf "${mnt:?}"/*
	sync -f $mnt
	check "no frame is lost" wait_until 10 all_is_free || "$bin/ctl" status | sed 's/^/# /'
	umount $mnt
	check "the module is unloaded" wait_until 30 unload
}

test_load() {
	local i
	load
	"$bin/ctl" format force
	mount_cprfs
	mkdir $mnt/a
	for i in $(seq 10); do
		head -c 10000 /dev/urandom >$mnt/a/$i
	done
	fingerprint $mnt >/run/before
	umount $mnt
	unload
	run_program failnth load "$(modinfo -n cpr_handover)" region=$region
	check "the module loads after that" load
	mount_cprfs
	check "all files are what they were" same_tree $mnt /run/before
	umount $mnt
	check "the module is unloaded after that" wait_until 30 unload
}

detach_pmem
set_faults
test_operations
test_load
exit 0
