# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the scripts that use the testers on the disk of `boot.sh --disk suites`.

root=/run/suites

# mount_suites - mount the disk, and in it what its programs need and cprfs, on $root
mount_suites() {
	local disk dir
	for disk in /sys/block/vd*; do
		[ "$(cat "$disk/serial" 2>/dev/null)" = suites ] || continue
		mkdir -p $root
		mount -o ro "/dev/${disk##*/}" $root || return
	done
	mountpoint -q $root || return
	for dir in /proc /sys /dev "${mnt:?}"; do
		mount --rbind "$dir" "$root$dir" || return
	done
	mount -t tmpfs tmpfs $root/tmp
}

umount_suites() { umount -R $root; }
