# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# File-system testers and a fuzzer of system calls from Debian's packages, for
# `boot.sh --disk suites`. They are on a disk of their own, because few runs need them, and
# fio alone brings the libraries of all kinds of storage that fio can test.
#
#   disk.img    ext4, read-only in L1: a root directory with the testers

suites_packages=(fio stress-ng fsmark dbench trinity)

build_suites() {
	local dir=$1 root=$1/root
	debian_root "$root" "${suites_packages[@]}"
	rm -rf "$root/var/lib/apt/lists" "$root/var/cache/apt"
	# What L1 mounts here: its own /proc, /sys and /dev, and the file system under test.
	mkdir -p "$root/run/cpr"
	"${vm_dir:?}/toolbox.sh" mke2fs -q -t ext4 -m 0 -O ^has_journal -d "$root" "$dir/disk.img" 800M
	rm -rf --one-file-system "$root"
}
