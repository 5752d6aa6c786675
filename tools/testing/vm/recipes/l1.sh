# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# L1, the host under test, before the project is installed on it.
#
#   root/       its root directory, with the stock kernels in it
#   versions    a line per kernel in it: SERIES VERSION

l1_packages=(
	# what a host of virtual machines has
	qemu-system-x86 kmod udev pciutils iproute2 procps kexec-tools ndctl
	# what makes an initramfs; of both kinds the cores can be installed together
	initramfs-tools-core dracut-core zstd
	# what the helper links to
	libnl-3-200 libnl-genl-3-200 libkmod2 libjson-c5 libxxhash0 libsystemd0 libblkid1
	# what tests use
	socat jq xxd strace busybox-static
	# for L2
	qemu-guest-agent
)

build_l1() {
	local dir=$1 kernels version
	kernels=$(artefact_path kernels)
	debian_root "$dir/root" "${l1_packages[@]}"
	rm -rf "$dir/root/var/lib/apt/lists" "$dir/root/var/cache/apt"
	cp -al "$kernels/image/." "$dir/root"
	cp "$kernels/versions" "$dir/versions"
	while read -r _ version; do
		chroot "$dir/root" depmod "$version"
		"${vm_dir:?}/initrd/mkinitrd.sh" "$dir/root" "$version" "$dir/root/boot/initrd.img-$version"
	done <"$dir/versions"
}
