#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# No request to the netlink family, however damaged, harms the kernel or the region.
#
# netlink.sh REQUESTS [OPTION...] - send random requests (fuzz-netlink.c, whose OPTIONs these
# are), while files of the VMs are made, used and removed. Then the fsck finds nothing, the
# module loads what it left, and no frame is lost.
set -u

# shellcheck source-path=SCRIPTDIR/../selftests/cpr source=common.sh
. /lab/selftests/cpr/common.sh
# shellcheck source-path=SCRIPTDIR source=common.sh
. /lab/fuzz/common.sh

unmount_all() {
	while mountpoint -q $mnt; do
		umount $mnt || return
	done
}

remove_all() {
	local dir
	for dir in "$mnt"/*/; do
		[ ! -d "$dir" ] || "$bin/ctl" unpin "$(basename "$dir")" || return
	done
	rm -rf "${mnt:?}"/*
	sync -f $mnt
	"$bin/ctl" wait-clean
}

detach_pmem
load
"$bin/ctl" format
mount_cprfs
give_nic_to_vfio
started=$SECONDS
fuzz fuzz-netlink --device $nic --requests "$@"
say "the fuzzer took $((SECONDS - started)) s"
check "each explanation is complete" fails sh -c "dmesg | grep -a 'truncated extack'"
check "nothing stays mounted" unmount_all
take_nic_back
check "the module is unloaded" wait_until 30 unload
check "the fsck finds nothing wrong" fsck_finds_nothing
check "the module loads what is left" load
mount_cprfs
check "all VMs are unpinned, and all files removed" remove_all
check "no frame is lost" wait_until 10 all_is_free || "$bin/ctl" status | sed 's/^/# /'
umount $mnt
check "the module is unloaded again" wait_until 30 unload
exit 0
