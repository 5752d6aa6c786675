#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# No system call of an unprivileged process, whatever its arguments, harms the kernel or the region.
#
# trinity.sh SECONDS - trinity, from Debian's package, on files of a VM that belong to an
# unprivileged user: on any files, then on those of a running VM, whose sizes and names are
# fixed; each for SECONDS, scaled. trinity is on a disk of its own: `boot.sh --disk suites`.
set -u

# shellcheck source-path=SCRIPTDIR/../selftests/cpr source=common.sh
. /lab/selftests/cpr/common.sh
# shellcheck source-path=SCRIPTDIR source=common.sh
. /lab/fuzz/common.sh
# shellcheck source-path=SCRIPTDIR/../fs source=common.sh
. /lab/fs/common.sh

seconds=$(($1 * CPR_SCALE))
user=1000

make_victims() {
	local i
	chmod 711 $mnt
	mkdir -p $mnt/vm/d/e
	for i in 1 100 4096 10000 3000000; do
		head -c $i /dev/urandom >$mnt/vm/$i
	done
	truncate -s 1G $mnt/vm/sparse
	fallocate -l 4M $mnt/vm/ram0
	fallocate -l 4M $mnt/vm/ram1
	cp $mnt/vm/100 $mnt/vm/d/e/f
	chown -R $user:$user $mnt/vm
}

# trinity GROUP - system calls of GROUP (vfs, vm or all) for some time, in a PID namespace:
# all processes in it end with the first. trinity itself ends on SIGINT, and then says how
# many calls there were. Files that it reads itself may be destroyed, so its exit status
# says nothing.
trinity() {
	local group=()
	[ "$1" = all ] || group=(-g "$1")
	unshare --pid --fork --kill-child chroot --userspec=$user:$user $root sh -c "ulimit -c 0 && cd $mnt/vm &&
		exec timeout -s INT -k 60 $seconds trinity -q -q -l off -a 64 -C 4 -V $mnt/vm \"\$@\"" \
		sh "${group[@]}" >/run/trinity.out 2>&1 </dev/null
	tail -n 5 /run/trinity.out | tr -cd '[:print:]\n' | sed 's/^/# /'
	grep -aq "[1-9][0-9]* \(iterations\|operations\)" /run/trinity.out
}

run_trinity() { # DESCRIPTION
	local group
	for group in vfs vm all; do
		check "$1: system calls of the group $group" trinity $group
	done
	check "$1: no process is left" wait_until 30 fails grep -lqs "^Uid:.$user" /proc/[0-9]*/status
}

detach_pmem
load
"$bin/ctl" format
mount_cprfs
make_victims
check "the suites are there" mount_suites || exit
run_trinity "defined"
rm -rf $mnt/vm
make_victims
check "the VM runs" "$bin/ctl" pin vm ram0 ram1
run_trinity "running"
check "the VM's memory files are what they were" test "$(stat -c %s $mnt/vm/ram0 $mnt/vm/ram1 | xargs)" = "4194304 4194304"
umount_suites
check "cprfs is unmounted" wait_until 30 umount $mnt
check "the module is unloaded" wait_until 30 unload
check "the fsck finds nothing wrong" fsck_finds_nothing
check "the module loads what is left" load
mount_cprfs
"$bin/ctl" unpin vm
rm -rf "${mnt:?}"/*
sync -f $mnt
check "no frame is lost" wait_until 10 all_is_free || "$bin/ctl" status | sed 's/^/# /'
umount $mnt
check "the module is unloaded again" wait_until 30 unload
exit 0
