#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# File-system testers that others wrote find nothing wrong with cprfs.
#
# suites.sh [SUITE...] - fio, stress_ng, fsmark and dbench, from Debian's packages, on
# cprfs, or only these. They are on a disk of their own: `boot.sh --disk suites`.
set -u

# shellcheck source-path=SCRIPTDIR/../selftests/cpr source=common.sh
. /lab/selftests/cpr/common.sh

# shellcheck source-path=SCRIPTDIR source=common.sh
. /lab/fs/common.sh

# A file takes 2 MiB at least, and these make many.
region=1G!4G
# Of each stressor. A slower machine does less in this time.
seconds=5

# suite COMMAND... - run a suite's program in a new directory of cprfs
suite() {
	mkdir -p $mnt/suite
	chroot $root sh -c "cd $mnt/suite && exec \"\$@\"" sh "$@"
	local status=$?
	rm -rf $mnt/suite
	return $status
}

# ---- fio: each I/O engine reads what it wrote ----

fio_job() { # ENGINE DIRECT RW
	local size=16m
	suite fio --name="$1" --directory=$mnt/suite --ioengine="$1" --direct="$2" --rw="$3" \
		--bsrange=512-256k --bs_unaligned=$((1 - $2)) --blockalign=512 --size=$size --numjobs=2 \
		--iodepth=8 --verify=crc32c --verify_fatal=1 --do_verify=1 --verify_dump=0 \
		--thread --group_reporting --randrepeat=0 --output-format=terse
}

test_fio() {
	local engine rw
	for rw in write randwrite randrw; do
		for engine in psync mmap libaio io_uring pvsync2; do
			check "fio: $engine, $rw" fio_job $engine 0 $rw
			[ $engine = mmap ] || check "fio: $engine, direct, $rw" fio_job $engine 1 $rw
		done
	done
}

# ---- stress-ng ----

# Those of the classes filesystem and vm that use files of their own, and need neither
# links nor special files. Not fpunch: it fails on tmpfs, too, when its processes race. Not
# access: it expects that files can be executed, which cprfs never allows.
stressors=(
	acl chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dup fallocate
	fault fcntl fd-fork fiemap file-ioctl filename flock fsize fstat getdent hdd io iomix
	lease locka lockf lockofd madvise metamix mmap mmaphuge msync open readahead rename
	revio seek sendfile splice sync-file touch umask unlink utime
)

# 3: not enough resources, 4: not implemented here.
stress() {
	suite stress-ng --temp-path $mnt/suite --verify --no-rand-seed --oom-avoid \
		--timeout "$seconds" --skip-silent "--$1" 2 "${@:2}"
}

test_stress_ng() {
	local stressor
	for stressor in "${stressors[@]}"; do
		# A mapping is of a file only if that is asked for.
		case $stressor in
		mmap) set -- --mmap-file --mmap-bytes 32m ;;
		mmaphuge) set -- --mmaphuge-file ;;
		msync | hdd | iomix | fallocate | readahead | revio | sync-file)
			set -- "--$stressor-bytes" 32m ;;
		copy-file) set -- --copy-file-bytes 128m ;;
		seek) set -- --seek-size 32m ;;
		*) set -- ;;
		esac
		stress "$stressor" "$@" >/run/stress.out 2>&1
		case $? in
		0) ok "stress-ng: $stressor" ;;
		3 | 4) skip "stress-ng: $stressor" "not on this kernel" ;;
		*)
			not_ok "stress-ng: $stressor"
			tail -n 20 /run/stress.out | sed 's/^/#   /'
			;;
		esac
	done
}

# ---- fsmark and dbench: many files, with fsync ----

test_fsmark() {
	local sync
	for sync in 0 1 2 5; do
		check "fsmark: sync method $sync" suite fs_mark -d $mnt/suite -t 2 -n 100 -s 16384 -S $sync
	done
}

test_dbench() {
	check "dbench: two clients" suite dbench -c /usr/share/dbench/client.txt -D $mnt/suite -t $((4 * seconds)) 2
}

free_blocks() { stat -f -c %f $mnt; }

detach_pmem
load
"$bin/ctl" format
mount_cprfs
free_before=$(free_blocks)
check "the suites are there" mount_suites || exit
[ $# -gt 0 ] || set -- fio stress_ng fsmark dbench
for name; do
	started=$SECONDS
	"test_$name"
	say "$name: $((SECONDS - started)) s"
done
check "all space is free again" test "$(free_blocks)" = "$free_before"
check "no name is left" test -z "$(ls -A $mnt)"
umount_suites
umount $mnt
check "the module is unloaded" wait_until 30 unload
exit 0
