# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A newer QEMU than the toolbox's, unpacked and run there with the toolbox's libraries
# and firmware: a state file may come from it.
#
#   root/       its files

qemu_next_packages=(qemu-system-x86 qemu-system-data qemu-system-common)

build_qemu_next() {
	local dir=$1 deb
	debian_private_apt "$dir/apt"
	mkdir "$dir/debs" "$dir/root"
	(cd "$dir/debs" && APT_CONFIG=$dir/apt/apt.conf \
		apt-get -qq download "${qemu_next_packages[@]/%//trixie-backports}")
	for deb in "$dir"/debs/*.deb; do
		dpkg-deb -x "$deb" "$dir/root"
	done
	rm -rf "$dir/debs" "$dir/apt"
}
