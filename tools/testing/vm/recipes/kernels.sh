# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The stock kernels under test, unpacked and never installed (their install
# scripts would want an initramfs generator and a boot loader):
#
#   versions    a line per kernel: SERIES VERSION
#   image/      what runs: /boot/vmlinuz-VERSION and /usr/lib/modules/VERSION
#   headers/    what modules are built against
#
# Toolbox and L1 both take theirs from here, so they always agree.

kernel_series=(6.12 7.3)

# Hardware that no QEMU has. Each image of L1 has all its modules indexed anew,
# which means unpacking them: half as many take half as long.
kernel_unwanted=(
	sound
	drivers/{accel,bluetooth,comedi,gpu,hid,hwmon,iio,infiniband,media,mmc,mtd,platform,staging,usb}
	drivers/net/wireless
	drivers/net/ethernet/{broadcom,cavium,chelsio,marvell,mellanox,netronome,qlogic,sfc,wangxun}
)

# The newest package of a series that any of the suites has.
kernel_version() {
	apt-cache show linux-image-amd64 |
		sed -n "s/^Depends:.*linux-image-\(${1//./\\.}\.[^ ]*-amd64\) .*/\1/p" |
		sort -V | tail -n 1
}

# 6.12 has all of its image in one package; 7.3 is split in three.
kernel_packages() {
	local version=$1 abi=${1%-amd64} name
	for name in linux-{image,binary,modules,base,headers}-"$version" \
		"linux-headers-$abi-common" "linux-kbuild-$abi"; do
		if [ -n "$(apt-cache show "$name" 2>/dev/null)" ]; then
			echo "$name"
		fi
	done
}

kernel_unpack() {
	local deb
	for deb in "$1"/*.deb; do
		case ${deb##*/} in
		linux-headers-* | linux-kbuild-*) dpkg-deb -x "$deb" "$2/headers" ;;
		*) dpkg-deb -x "$deb" "$2/image" ;;
		esac
	done
}

kernel_tidy() {
	local modules=$1/usr/lib/modules/$2
	[ -e "$1/boot/vmlinuz-$2" ] || mv "$modules/vmlinuz" "$1/boot/vmlinuz-$2"
	(cd "$modules/kernel" && rm -rf "${kernel_unwanted[@]}")
}

build_kernels() {
	local dir=$1 series version packages=()
	debian_private_apt "$dir/apt"
	export APT_CONFIG=$dir/apt/apt.conf
	for series in "${kernel_series[@]}"; do
		version=$(kernel_version "$series")
		[ -n "$version" ] || die "Debian has no kernel $series for amd64 (any more)"
		echo "$series $version" >>"$dir/versions"
		mapfile -t -O "${#packages[@]}" packages < <(kernel_packages "$version")
	done
	mkdir "$dir/debs" "$dir/image" "$dir/headers"
	(cd "$dir/debs" && apt-get -qq download "${packages[@]}")
	kernel_unpack "$dir/debs" "$dir"
	while read -r _ version; do
		kernel_tidy "$dir/image" "$version"
	done <"$dir/versions"
	rm -rf "$dir/debs" "$dir/apt"
}
