#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# No image, however damaged, harms the kernel that loads it.
#
# images.sh COUNT [SEED] - have the module load COUNT damaged images, and use those that it
# takes; see fuzz-images.c.
set -u

# shellcheck source-path=SCRIPTDIR/../selftests/cpr source=common.sh
. /lab/selftests/cpr/common.sh
# shellcheck source-path=SCRIPTDIR source=common.sh
. /lab/fuzz/common.sh

region=64M!4G
seed=${2:-$(date +%s)}

tables() { head -c 6M /dev/pmem0; }

make_vm() { # NAME STATE
	mkdir $mnt/"$1"
	fallocate -l 4M $mnt/"$1"/ram
	echo "$1" >$mnt/"$1"/manifest.json
	"$bin/ctl" pin "$1" ram
	[ "$2" = running ] || "$bin/ctl" save "$1"
	[ "$2" = saved ] || "$bin/ctl" seal "$1" $mnt/"$1"/manifest.json
}

# An image with all kinds of records, but memory errors, which nothing can undo.
make_image() {
	load
	"$bin/ctl" format force
	mount_cprfs
	make_vm sealed sealed
	make_vm saved saved
	mkdir -p $mnt/d/e/f
	for i in 1 2 3; do
		head -c 3000 /dev/urandom >$mnt/d/e/$i
	done
	truncate -s 1G $mnt/sparse
	umount $mnt
	unload
	attach_pmem
	"$bin/forge-dma" /dev/pmem0 sealed map=0,sealed/ram,4M device=$nic
	tables >/run/tables
	detach_pmem
}

detach_pmem
check "an image is made" make_image
check "it loads" load
unload
# What the kernel says about each image would fill its log.
dmesg -n 1
fuzz fuzz-images /dev/pmem0 /run/tables "$(modinfo -n cpr_handover)" region=$region "$seed" "$1"
dmesg -n 5
attach_pmem
dd if=/run/tables of=/dev/pmem0 bs=2M conv=notrunc status=none
detach_pmem
check "the image as it was loads after that" load
check "the module is unloaded" wait_until 30 unload
exit 0
